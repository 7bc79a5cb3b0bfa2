//! Calls to a public address instead of a name: nobody vouches for who answers, and no certificate fits.
//!
//! Private addresses are `private_destination`'s.

use std::net::IpAddr;

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{Relation, View, is_private};
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "bare_address",
    summary: "a call to a public IP address instead of a name",
    level: Level::Medium,
    breaks: &["vendor=203.0.113.9, host=203.0.113.9"],
    keeps: &["vendor=10.0.0.7, host=10.0.0.7", "vendor=stripe, host=api.stripe.com"],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, _policy: &Policy) -> Option<Broken> {
    let host = relation.host().as_str();
    let is_bare = relation.view() == View::Egress && host.parse::<IpAddr>().is_ok() && !is_private(host);
    is_bare.then(|| Broken::new(format!("called the address {host}"), "a name"))
}
