//! A call that does not come through the gateway that the policy demands: past its limits, its log and its keys.
//!
//! Silent until the policy has `[[gateways]]`. A call is the gateway's where its caller is one, or where it comes from its network; a log
//! without networks cannot tell the latter, and breaks nothing. Of vendors' audit logs the network alone tells.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{Relation, View};
use crate::rules::policy::{Gateway, Policy};

pub(super) const RULE: Builtin = Builtin {
    name: "gateway_bypassed",
    summary: "a call that bypasses the gateway",
    level: Level::Medium,
    breaks: &[
        "vendor=openai, caller=web-shop, network=10.8.1.0/24",
        "view=audit, vendor=openai, caller=web-key, network=203.0.113.0/24",
    ],
    keeps: &[
        "vendor=openai, caller=web-gateway, network=10.8.1.0/24",
        "vendor=openai, caller=web-shop, network=10.9.1.0/24",
        "vendor=openai, caller=web-shop",
        "vendor=openai, caller=batch, network=10.8.1.0/24",
        "vendor=stripe, caller=web-shop, network=10.8.1.0/24",
    ],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, policy: &Policy) -> Option<Broken> {
    let is_bypassed = |one: &&Gateway| {
        let is_meant = one.vendors.covers(relation.vendor()) && one.callers.covers(relation.caller());
        let can_tell = match (relation.view(), one.networks.is_empty()) {
            (View::Egress, true) => true,
            (View::Audit, true) => false,
            (_, false) => !relation.network().is_empty(),
        };
        let is_gateway = one.gateways.is_limited() && one.gateways.covers(relation.caller());
        is_meant && can_tell && !is_gateway && !one.networks.iter().any(|known| known.covers(relation.network()))
    };
    let bypassed = policy.gateways.iter().find(is_bypassed)?;
    let place = if relation.network().is_empty() { String::new() } else { format!(" from {}", relation.network()) };
    let gateways = if bypassed.gateways.is_limited() { bypassed.gateways.names() } else { "the gateway".to_owned() };
    Some(Broken::new(format!("called{place} past the gateway"), format!("calls through {gateways}")))
}
