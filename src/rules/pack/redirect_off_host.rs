//! A redirect to a host of somebody else (OWASP API10:2023, unsafe consumption): a client that follows it sends its request, and perhaps its
//! key, to whoever that is.
//!
//! The vendor's own other hosts are allowed, and those of `[redirects] hosts`. Misses logs without the target: HAR, ECS, OpenTelemetry, Kong,
//! Caddy, Suricata and NGINX may have it.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{Dimension, Relation, View, vendor_of};
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "redirect_off_host",
    summary: "a redirect to a host of somebody else",
    level: Level::Medium,
    breaks: &["vendor=stripe, host=api.stripe.com, redirect=evil.example"],
    keeps: &[
        "vendor=stripe, host=api.stripe.com, redirect=files.stripe.com",
        "vendor=stripe, host=api.stripe.com, redirect=a.cdn.example",
        "vendor=acme.io, host=api.acme.io, redirect=files.acme.io",
        "vendor=stripe, host=api.stripe.com",
    ],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, policy: &Policy) -> Option<Broken> {
    let target = relation.name(Dimension::Redirect).as_str();
    if target.is_empty() || relation.view() != View::Egress {
        return None;
    }
    let is_own = vendor_of(target, &policy.pack) == relation.vendor().as_str();
    let is_allowed = policy.redirects.is_limited() && policy.redirects.covers(target);
    let broken =
        || Broken::new(format!("was redirected from {} to {target}", relation.host()), "the vendor's own hosts");
    (!is_own && !is_allowed).then(broken)
}
