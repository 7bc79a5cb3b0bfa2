//! The identities of an intruder or a release: networks, clients, credentials and names that the log does not know.
//!
//! Chosen once per planted scenario, so that its calls share them.
//!
//! Not here: which of it a scenario uses (`scenario`).

use rand::Rng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::scenario::{Credential, Scenario};
use super::survey::{PairFacts, Survey, Victim, prefix};
use crate::calls::View;

/// Networks of hosting companies and anonymisers as seen in reports of incidents: the first three numbers.
const FOREIGN_NETWORKS: [&str; 12] = [
    "185.220.101",
    "45.137.21",
    "194.26.192",
    "146.70.52",
    "104.248.37",
    "167.99.148",
    "89.248.163",
    "193.32.162",
    "37.120.218",
    "51.158.111",
    "141.98.10",
    "5.188.206",
];
const EGRESS_CLIENTS: [&str; 7] = [
    "curl/8.4.0",
    "python-requests/2.31.0",
    "Go-http-client/2.0",
    "Wget/1.21.4",
    "rclone/v1.65.0",
    "okhttp/4.12.0",
    "axios/1.6.2",
];
const AUDIT_CLIENTS: [&str; 4] = [
    "aws-cli/2.15.10 Python/3.11.6 Linux/6.1.0-kali9-amd64 exe/x86_64.kali.2023",
    "Boto3/1.34.11 md/Botocore#1.34.11 ua/2.0 os/linux#5.15.0 lang/python#3.10.12",
    "S3 Browser/11.4.5 (https://s3browser.com)",
    "aws-sdk-go/1.49.13 (go1.21.5; linux; amd64)",
];
/// What a credential looks like where the victim has none.
const EGRESS_KEY: &str = "key_0a1B2c3D4e5F";
const AUDIT_KEY: &str = "AKIAA0B1C2D3E4F5G6H7";
const NEW_NAMES: [&str; 6] = ["returns", "loyalty", "quotes", "insights", "catalogue", "refunds"];

/// Identities that are not the victim's own.
#[derive(Clone, Debug)]
pub(super) struct Disguise {
    /// The first three numbers of a public network.
    pub network: String,
    pub client: String,
    pub next_client: Option<String>,
    pub credential: String,
    /// The host that calls go to instead of the victim's.
    pub host: Option<String>,
    /// Another caller of the log.
    pub other: Option<String>,
    pub new_caller: String,
}

impl Disguise {
    pub fn choose(scenario: &Scenario, survey: &Survey, victim: &Victim, rng: &mut Xoshiro256PlusPlus) -> Self {
        let facts = survey.callers.get(&victim.caller);
        let uses =
            |client: &str| facts.is_some_and(|facts| facts.clients.keys().any(|own| family(own) == family(client)));
        let clients: &[&str] = if scenario.view == View::Audit { &AUDIT_CLIENTS } else { &EGRESS_CLIENTS };
        let unknown: Vec<&str> = clients.iter().copied().filter(|client| !uses(client)).collect();
        let networks: Vec<&str> =
            FOREIGN_NETWORKS.iter().copied().filter(|network| !survey.networks.contains(*network)).collect();
        let own =
            facts.and_then(|facts| facts.clients.iter().max_by_key(|(_, calls)| **calls)).map(|(client, _)| client);
        let hosts: Vec<&String> =
            scenario.changes().flat_map(|with| &with.hosts).filter(|host| !survey.hosts.contains_key(*host)).collect();
        let others = others(scenario, survey, victim);
        let shape = if scenario.view == View::Audit { AUDIT_KEY } else { EGRESS_KEY };
        let service =
            NEW_NAMES.iter().map(|name| format!("{name}-svc")).find(|name| !survey.callers.contains_key(name));
        Self {
            network: pick(&networks, rng).unwrap_or("203.0.113").to_owned(),
            client: pick(&unknown, rng).unwrap_or("intruder/1.0").to_owned(),
            next_client: own.map(|client| next_version(client)),
            credential: fresh_credential(victim.credential.as_deref().unwrap_or(shape), rng),
            host: hosts.choose(rng).map(|host| (*host).clone()),
            other: others.choose(rng).cloned(),
            new_caller: service.unwrap_or_else(|| format!("service-{:04}", rng.gen_range(0..10_000))),
        }
    }
}

/// Callers that may act in the victim's place, or whose credential it may use: those at its host where there are such, else all.
fn others(scenario: &Scenario, survey: &Survey, victim: &Victim) -> Vec<String> {
    let is_other = |name: &&String| {
        **name != victim.caller && survey.callers.get(*name).is_some_and(|facts| facts.view == scenario.view)
    };
    let neighbours: Vec<String> =
        survey.hosts.get(&victim.host).into_iter().flatten().filter(is_other).cloned().collect();
    let needs_credential = scenario.changes().any(|with| with.credential == Some(Credential::Other));
    if neighbours.is_empty() && !needs_credential {
        return survey.callers.keys().filter(is_other).cloned().collect();
    }
    let own = victim.credential.as_deref();
    let has_another = |name: &String| {
        let credential = survey.pair(name, &victim.host).and_then(PairFacts::credential);
        !needs_credential || (credential.is_some() && credential != own)
    };
    neighbours.into_iter().filter(has_another).collect()
}

fn pick<'a>(from: &[&'a str], rng: &mut Xoshiro256PlusPlus) -> Option<&'a str> {
    from.choose(rng).copied()
}

/// The client without its version.
fn family(client: &str) -> &str {
    client.split(['/', ' ']).next().unwrap_or(client)
}

/// The client with the first minor version that it names counted on: `node-fetch/3.3.2` → `node-fetch/3.4.2`.
fn next_version(client: &str) -> String {
    let Some((before, rest)) = client.split_once('.') else { return format!("{client}.1") };
    let end = rest.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(rest.len());
    let (minor, after) = rest.split_at(end);
    match minor.parse::<u32>() {
        Ok(minor) => format!("{before}.{}{after}", minor.saturating_add(1)),
        Err(_) => format!("{client}.1"),
    }
}

/// A credential of the same shape: letters and digits past its prefix are other ones.
pub(super) fn fresh_credential(own: &str, rng: &mut Xoshiro256PlusPlus) -> String {
    let kept = own.rfind(['_', '-', ' ']).map_or(4.min(own.len()), |at| at + 1);
    match own.split_at_checked(kept) {
        Some((prefix, rest)) => format!("{prefix}{}", same_shape(rest, rng)),
        None => same_shape(own, rng),
    }
}

/// Each letter and digit another of its kind.
pub(super) fn same_shape(text: &str, rng: &mut Xoshiro256PlusPlus) -> String {
    let other = |symbol: char| match symbol {
        '0'..='9' => rng.gen_range('0'..='9'),
        'a'..='z' => rng.gen_range('a'..='z'),
        'A'..='Z' => rng.gen_range('A'..='Z'),
        other => other,
    };
    text.chars().map(other).collect()
}

/// An address within a network.
pub(super) fn address_in(network: &str, rng: &mut Xoshiro256PlusPlus) -> String {
    format!("{network}.{}", rng.gen_range(2..250))
}

/// A new address beside one of the victim's own; none where it has no IPv4 address.
pub(super) fn address_beside(survey: &Survey, caller: &str, rng: &mut Xoshiro256PlusPlus) -> Option<String> {
    let facts = survey.callers.get(caller)?;
    let networks: Vec<&str> = facts.addresses.keys().filter_map(|address| prefix(address)).collect();
    let network = networks.choose(rng)?;
    // Few tries: a network whose addresses are all known has no new one.
    let mut address = address_in(network, rng);
    for _ in 0..16 {
        if !facts.addresses.contains_key(&address) {
            break;
        }
        address = address_in(network, rng);
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_release_counts_the_minor_version_on_and_a_new_key_looks_like_the_old_one() {
        assert_eq!(next_version("node-fetch/3.9.2 (x)"), "node-fetch/3.10.2 (x)");
        assert_eq!(next_version("tool"), "tool.1");
        let key = fresh_credential("sk_live_a1B2", &mut Xoshiro256PlusPlus::seed_from_u64(1));
        assert!(key.starts_with("sk_live_") && key.len() == 12 && key != "sk_live_a1B2", "{key}");
    }
}
