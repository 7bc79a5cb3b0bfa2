//! The shipped pack: rules about calls that hold for every company, one file each.
//!
//! A rule asks one question: of a relation alone, of a row with what was seen before, or of a day. Its samples say what breaks it and
//! what does not. What it allows is set in the policy.
//!
//! Not here: exceptions and levels (`policy`), and what no column tells: certificates, ciphers, what a client is configured to.

mod bare_address;
mod budget_exceeded;
mod credential_compromised;
mod credential_idle;
mod credential_overdue;
mod credential_shared;
mod endpoint_deprecated;
mod environment_crossed;
mod gateway_bypassed;
mod html_answer;
mod key_in_url;
mod no_timeout;
mod oversize_answer;
mod plaintext;
mod private_destination;
mod redirect_off_host;
mod redirect_with_body;
mod region_not_allowed;
mod sensitive_data;
mod size_jump;
mod unauthenticated;
mod vendor_not_approved;
mod weak_tls;

use super::level::Level;
use super::memory::{Memory, Used};
use super::policy::Policy;
use crate::calls::Relation;
use crate::rollup::Row;

/// Every rule of the pack. A new one is a file of this module and a line here.
pub static RULES: &[Builtin] = &[
    plaintext::RULE,
    weak_tls::RULE,
    bare_address::RULE,
    private_destination::RULE,
    unauthenticated::RULE,
    key_in_url::RULE,
    credential_shared::RULE,
    credential_compromised::RULE,
    credential_overdue::RULE,
    credential_idle::RULE,
    environment_crossed::RULE,
    vendor_not_approved::RULE,
    sensitive_data::RULE,
    gateway_bypassed::RULE,
    region_not_allowed::RULE,
    endpoint_deprecated::RULE,
    budget_exceeded::RULE,
    redirect_off_host::RULE,
    redirect_with_body::RULE,
    no_timeout::RULE,
    html_answer::RULE,
    size_jump::RULE,
    oversize_answer::RULE,
];

/// A rule of the pack.
#[derive(Debug)]
pub struct Builtin {
    /// Name in alerts, exceptions and lists.
    pub name: &'static str,
    /// What it finds.
    pub summary: &'static str,
    /// How grave that is, unless the policy says otherwise.
    pub level: Level,
    /// Rows that break it, under the policy of samples.
    pub breaks: &'static [&'static str],
    /// Rows that do not.
    pub keeps: &'static [&'static str],
    pub(super) judge: Judge,
}

/// What of a rule was broken, in words: `over plaintext HTTP`, `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What was done.
    pub observed: String,
    /// What the rule demands.
    pub required: String,
}

impl Broken {
    fn new(observed: impl Into<String>, required: impl Into<String>) -> Self {
        Self { observed: observed.into(), required: required.into() }
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Judge {
    /// A relation alone: asked once of each.
    Relation(fn(&Relation, &Policy) -> Option<Broken>),
    /// A row, and what was seen before it.
    Row(fn(&Seen<'_>) -> Option<Broken>),
    /// A credential, once a day, at the start of the day's first bucket (microseconds since the epoch).
    Day(fn(&Used, &Policy, i64) -> Option<Broken>),
}

/// A row, and what was seen before it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub(super) row: &'a Row,
    pub(super) policy: &'a Policy,
    pub(super) memory: &'a Memory,
    /// The environment that the caller's name tells.
    pub(super) environment: Option<&'a str>,
}

impl<'a> Seen<'a> {
    fn relation(&self) -> &'a Relation {
        &self.row.relation
    }
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The policy that samples are judged by.
pub(super) const SAMPLE_POLICY: &str = r#"
[answers]
max_bytes = 1000000

[[vendors]]
names = ["stripe", "google", "openai", "10.*", "203.*"]

[[vendors]]
names = ["aws"]
regions = ["eu-*"]

[[vendors]]
names = ["plaid"]
callers = ["billing*"]
environments = ["production"]
data_classes = ["personal"]
authentication = true

[[deprecated]]
vendor = "stripe"
endpoint = "POST /v1/charges"
instead = "POST /v1/payment_intents"

[[deprecated]]
vendor = "google"
versions_below = "v2"

[redirects]
hosts = ["*.cdn.example"]

[[gateways]]
vendors = ["openai"]
callers = ["web*"]
gateways = ["web-gateway"]
networks = ["10.9.0.0/16"]

[[compromised]]
vendors = ["slack"]
since = 2026-01-10

[[budgets]]
vendors = ["openai"]
calls_per_day = 100
bytes_out_per_day = 5000
dollars_per_day = 2.5

[[budgets]]
vendors = ["plaid"]
callers_together = true
calls_per_day = 100
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rules_share_a_name_and_each_is_the_name_of_its_file() {
        for (index, rule) in RULES.iter().enumerate() {
            assert!(RULES[..index].iter().all(|other| other.name != rule.name), "{}", rule.name);
            let file = format!("{}/src/rules/pack/{}.rs", env!("CARGO_MANIFEST_DIR"), rule.name);
            assert!(std::path::Path::new(&file).exists(), "{file}");
        }
    }
}
