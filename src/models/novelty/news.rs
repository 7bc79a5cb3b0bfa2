//! What of a relation is new: the rules by which something becomes a novelty of a class.

use polars::prelude::{DataFrame, PolarsResult};

use super::relation::{Relation, RelationColumns};
use super::seen::{Fact, Looker, SeenSet, block_of, hour_of, method_of};
use super::{NoveltyRates, combined_rate};
use crate::calls::{
    VendorCategory, Verb, View, country_of, is_hosting, is_interactive_tool, is_private, is_write, sensitive_endpoint,
};

/// How surprising each call is by itself, by the hash of its record: `-log10` of how often a day all that it shows is expected
/// together, whether or not another call showed it before; 0 where nothing is new, and for calls of audit logs.
///
/// # Errors
/// Where the frame lacks a column of the call.
pub fn surprise_of_calls(calls: &DataFrame, known: &SeenSet, rates: &NoveltyRates) -> PolarsResult<Vec<(u64, f64)>> {
    let columns = RelationColumns::of_calls(calls)?;
    let records = calls.column("record_hash")?.u64()?;
    let callers = known.callers(View::Egress);
    let surprise = |(row, record): (usize, Option<u64>)| {
        let relation = columns.row(row);
        let classes: Vec<&str> = news(&relation, known).into_iter().map(|(class, ..)| class).collect();
        let alone = classes.iter().map(|class| rates.of(class)).fold(1.0, f64::min);
        let together = combined_rate(rates, callers, classes);
        record.map(|record| (record, -alone.min(together).log10()))
    };
    Ok(records.iter().enumerate().filter_map(surprise).collect())
}

/// The new things of a relation: class, what tells one such novelty from another, and the new thing itself.
pub(super) fn news<'a>(relation: &Relation<'a>, known: &SeenSet) -> Vec<(&'static str, [&'a str; 3], &'a str)> {
    let mut look = Looker::new(known, relation.view);
    match relation.view {
        View::Egress => egress_news(relation, &mut look),
        View::Audit => Vec::new(), // judged by `audit`
    }
}

fn egress_news<'a>(relation: &Relation<'a>, look: &mut Looker<'_>) -> Vec<(&'static str, [&'a str; 3], &'a str)> {
    let Relation { caller, vendor, endpoint, credential, network, client, scheme, tls_version, .. } = *relation;
    let mut news = Vec::new();
    let is_new_caller = !look.has(Fact::Caller, &[caller]);
    if !look.has(Fact::Vendor, &[vendor]) {
        let takes_anything = look.vendors().category(vendor).is_some_and(VendorCategory::takes_anything);
        let class = if takes_anything { "vendor_new_drop" } else { "vendor_new" };
        return vec![(class, [caller, vendor, ""], vendor)];
    }
    let is_new_pair = !look.has(Fact::Pair, &[caller, vendor]);
    if is_new_pair && !is_new_caller {
        news.push(("pair_new", [caller, vendor, ""], vendor));
    }
    if !network.is_empty() && !look.has(Fact::CallerNetwork, &[caller, network]) {
        let class = match (is_private(network), look.has(Fact::Network, &[network])) {
            (false, true) => "network_public_known",
            (false, false) => new_network(look, network, "network_public_new"),
            (true, _) if look.has(Fact::NetworkBlock, &[block_of(network)]) => "network_private_near",
            (true, _) => "network_private_far",
        };
        news.push((class, [caller, network, ""], network));
    }
    if !client.is_empty() && !look.has(Fact::CallerClient, &[caller, client]) {
        let class = if look.has(Fact::Client, &[client]) {
            "client_known"
        } else if is_interactive_tool(client) {
            "client_tool"
        } else {
            "client_new"
        };
        news.push((class, [caller, client, ""], client));
    }
    if !credential.is_empty() && !look.has(Fact::CallerCredential, &[caller, credential]) {
        if look.has(Fact::Credential, &[credential]) {
            news.push(("credential_of_another", [caller, credential, ""], credential));
        } else if !is_new_caller {
            news.push(("credential_new", [caller, vendor, credential], credential));
        }
    }
    let is_known_endpoint =
        look.has(Fact::CallerEndpoint, &[caller, vendor, endpoint]) || look.has(Fact::Endpoint, &[vendor, endpoint]);
    if !is_new_caller && !look.has(Fact::CallerHour, &[caller, hour_of(relation.time)]) {
        news.push(("hour_new", [caller, hour_of(relation.time), ""], hour_of(relation.time)));
    }
    let method = method_of(endpoint);
    if !is_known_endpoint && !is_new_caller {
        let class = endpoint_class(look.vendors().verb(vendor, endpoint), endpoint);
        news.push((class, [caller, vendor, endpoint], endpoint));
    } else if !is_new_pair && !look.has(Fact::CallerMethod, &[caller, vendor, method]) {
        news.push(("method_new", [caller, vendor, method], method));
    }
    if scheme == "http" && !look.has(Fact::VendorScheme, &[vendor, scheme]) {
        news.push(("plaintext", [caller, vendor, ""], scheme));
    }
    if matches!(tls_version, "1.0" | "1.1" | "ssl3") && !look.has(Fact::CallerTls, &[caller, vendor, tls_version]) {
        news.push(("tls_old", [caller, vendor, ""], tls_version));
    }
    news
}

/// The class of a new endpoint: by what the pack says that it does, else by its method and the words in its path.
fn endpoint_class(verb: Option<Verb>, endpoint: &str) -> &'static str {
    let (is_sensitive, is_writing) = match verb {
        Some(verb) => (verb.is_sensitive(), verb == Verb::Write),
        None => {
            let is_writing = is_write(endpoint);
            (method_of(endpoint) == "DELETE" || (is_writing && sensitive_endpoint(endpoint)), is_writing)
        }
    };
    match (is_sensitive, is_writing) {
        (true, _) => "endpoint_sensitive",
        (false, true) => "endpoint_write",
        (false, false) => "endpoint_read",
    }
}

/// The class of a network that nobody has called from, graded by who owns it: `otherwise` where that tells nothing.
fn new_network(look: &mut Looker<'_>, network: &str, otherwise: &'static str) -> &'static str {
    let country = country_of(network);
    if !country.is_empty() && look.has(Fact::Countries, &[]) && !look.has(Fact::Country, &[country]) {
        "country_new"
    } else if is_hosting(network) {
        "network_hosting_new"
    } else {
        otherwise
    }
}
