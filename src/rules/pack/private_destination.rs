//! Calls to a private, link-local or loopback address in a log of third-party calls: server-side request forgery ends there
//! (`169.254.169.254` hands out credentials), and no vendor lives there.
//!
//! Where the log has internal calls too, an exception for their callers or `private_destination = "off"` is right.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{Relation, View, is_private};
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "private_destination",
    summary: "a call to a private, link-local or loopback address",
    level: Level::Medium,
    breaks: &["vendor=169.254.169.254, host=169.254.169.254", "vendor=10.0.0.7, host=10.0.0.7", "vendor=::1, host=::1"],
    keeps: &["vendor=203.0.113.9, host=203.0.113.9", "vendor=stripe, host=api.stripe.com"],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, _policy: &Policy) -> Option<Broken> {
    let host = relation.host().as_str();
    let is_inside = host == "::1" || is_private(host);
    let is_broken = relation.view() == View::Egress && is_inside;
    is_broken.then(|| Broken::new(format!("called the private address {host}"), "a public host"))
}
