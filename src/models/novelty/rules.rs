//! What of a relation is new: the rules by which something becomes a novelty of a class.
//!
//! Not here: whether it was reported before (`tracker`), how rare a class is (the module), and what it means (`detect`).

use super::seen::{Fact, SeenSet, block_of, hour_of, method_of};
use super::{NoveltyClass, NoveltyRates, classes, combined_rate};
use crate::calls::{
    Calls, Dimension, Name, Relation, VendorCategory, Verb, View, country_of, is_hosting, is_interactive_tool,
    is_private, is_write, sensitive_endpoint,
};

type Class = &'static NoveltyClass;

/// A new thing of a relation.
pub(super) struct New {
    pub class: Class,
    /// What tells one such novelty from another, as addresses.
    pub key: [u64; 3],
    /// The new thing itself: a vendor, a network, an endpoint … never a secret.
    pub detail: String,
}

impl New {
    fn of(class: Class, key: [u64; 3], detail: impl Into<String>) -> Self {
        Self { class, key, detail: detail.into() }
    }
}

/// How surprising each call is by itself, by the hash of its record: `-log10` of how often a day all that it shows is expected
/// together, whether or not another call showed it before; 0 where nothing is new, and for calls of audit logs.
pub fn surprise_of_calls(calls: &Calls, known: &SeenSet, rates: &NoveltyRates) -> Vec<(u64, f64)> {
    let callers = known.callers(View::Egress);
    let mut scores = Vec::new();
    for call in calls.rows() {
        let Some(record) = call.record else { continue };
        let classes: Vec<Class> =
            news(calls.relation(call), call.time, known).into_iter().map(|new| new.class).collect();
        let alone = classes.iter().map(|class| rates.of(class)).fold(1.0, f64::min);
        let together = combined_rate(rates, callers, classes);
        scores.push((record.get(), -alone.min(together).log10()));
    }
    scores
}

/// The new things of a relation with a call at `time`, microseconds since the epoch. Audit relations have none: `audit` judges them.
pub(super) fn news(relation: &Relation, time: i64, known: &SeenSet) -> Vec<New> {
    let view = relation.view();
    if view == View::Audit {
        return Vec::new();
    }
    let [caller, vendor, endpoint, credential, network, client] = [
        relation.caller(),
        relation.vendor(),
        relation.endpoint(),
        relation.credential(),
        relation.network(),
        relation.client(),
    ]
    .map(Name::id);
    let vendor_text = relation.vendor().as_str();
    let mut news = Vec::new();
    let is_new_caller = !known.has(view, Fact::Caller, [caller]);
    if !known.has(view, Fact::Vendor, [vendor]) {
        let takes_anything = known.vendors().category(vendor_text).is_some_and(VendorCategory::takes_anything);
        let class = if takes_anything { &classes::VENDOR_NEW_DROP } else { &classes::VENDOR_NEW };
        return vec![New::of(class, [caller, vendor, 0], vendor_text)];
    }
    let is_new_pair = !known.has(view, Fact::Pair, [caller, vendor]);
    if is_new_pair && !is_new_caller {
        news.push(New::of(&classes::PAIR_NEW, [caller, vendor, 0], vendor_text));
    }
    if network != 0 && !known.has(view, Fact::CallerNetwork, [caller, network]) {
        let text = relation.network().as_str();
        let class = match (is_private(text), known.has(view, Fact::Network, [network])) {
            (false, true) => &classes::NETWORK_PUBLIC_KNOWN,
            (false, false) => new_network(known, view, text),
            (true, _) if known.has(view, Fact::NetworkBlock, [Name::id_of(block_of(text))]) => {
                &classes::NETWORK_PRIVATE_NEAR
            }
            (true, _) => &classes::NETWORK_PRIVATE_FAR,
        };
        news.push(New::of(class, [caller, network, 0], text));
    }
    if client != 0 && !known.has(view, Fact::CallerClient, [caller, client]) {
        let text = relation.client().as_str();
        let class = if known.has(view, Fact::Client, [client]) {
            &classes::CLIENT_KNOWN
        } else if is_interactive_tool(text) {
            &classes::CLIENT_TOOL
        } else {
            &classes::CLIENT_NEW
        };
        news.push(New::of(class, [caller, client, 0], text));
    }
    if credential != 0 && !known.has(view, Fact::CallerCredential, [caller, credential]) {
        let text = relation.credential().as_str();
        if known.has(view, Fact::Credential, [credential]) {
            news.push(New::of(&classes::CREDENTIAL_OF_ANOTHER, [caller, credential, 0], text));
        } else if !is_new_caller {
            news.push(New::of(&classes::CREDENTIAL_NEW, [caller, vendor, credential], text));
        }
    }
    let is_known_endpoint = known.has(view, Fact::CallerEndpoint, [caller, vendor, endpoint])
        || known.has(view, Fact::Endpoint, [vendor, endpoint]);
    let hour = hour_of(time);
    if !is_new_caller && !known.has(view, Fact::CallerHour, [caller, Name::id_of(hour)]) {
        news.push(New::of(&classes::HOUR_NEW, [caller, Name::id_of(hour), 0], hour));
    }
    let endpoint_text = relation.endpoint().as_str();
    let method = method_of(endpoint_text);
    if !is_known_endpoint && !is_new_caller {
        let class = endpoint_class(known.vendors().verb(vendor_text, endpoint_text), endpoint_text);
        news.push(New::of(class, [caller, vendor, endpoint], endpoint_text));
    } else if !is_new_pair && !known.has(view, Fact::CallerMethod, [caller, vendor, Name::id_of(method)]) {
        news.push(New::of(&classes::METHOD_NEW, [caller, vendor, Name::id_of(method)], method));
    }
    let scheme = relation.name(Dimension::Scheme);
    if scheme.as_str() == "http" && !known.has(view, Fact::VendorScheme, [vendor, scheme.id()]) {
        news.push(New::of(&classes::PLAINTEXT, [caller, vendor, 0], scheme.as_str()));
    }
    let tls_version = relation.name(Dimension::TlsVersion);
    let is_old = matches!(tls_version.as_str(), "1.0" | "1.1" | "ssl2" | "ssl3");
    if is_old && !known.has(view, Fact::CallerTls, [caller, vendor, tls_version.id()]) {
        news.push(New::of(&classes::TLS_OLD, [caller, vendor, 0], tls_version.as_str()));
    }
    news
}

/// The class of a new endpoint: by what the pack says that it does, else by its method and the words in its path.
fn endpoint_class(verb: Option<Verb>, endpoint: &str) -> Class {
    let (is_sensitive, is_writing) = match verb {
        Some(verb) => (verb.is_sensitive(), verb == Verb::Write),
        None => {
            let is_writing = is_write(endpoint);
            (method_of(endpoint) == "DELETE" || (is_writing && sensitive_endpoint(endpoint)), is_writing)
        }
    };
    match (is_sensitive, is_writing) {
        (true, _) => &classes::ENDPOINT_SENSITIVE,
        (false, true) => &classes::ENDPOINT_WRITE,
        (false, false) => &classes::ENDPOINT_READ,
    }
}

/// The class of a network that nobody has called from, graded by who owns it.
fn new_network(known: &SeenSet, view: View, network: &str) -> Class {
    let country = country_of(network);
    let has_countries = !country.is_empty() && known.has(view, Fact::Countries, []);
    if has_countries && !known.has(view, Fact::Country, [Name::id_of(country)]) {
        &classes::COUNTRY_NEW
    } else if is_hosting(network) {
        &classes::NETWORK_HOSTING_NEW
    } else {
        &classes::NETWORK_PUBLIC_NEW
    }
}
