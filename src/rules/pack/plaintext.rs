//! Calls over HTTP without TLS: whoever is on the way reads key and data.
//!
//! Misses logs without the scheme. A health check that redirects breaks it too, and is worth mending.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{Dimension, Relation, View};
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "plaintext",
    summary: "a call over plaintext HTTP",
    level: Level::Medium,
    breaks: &["vendor=google, host=maps.googleapis.com, scheme=http"],
    keeps: &[
        "vendor=google, host=maps.googleapis.com, scheme=https",
        "vendor=google",
        "view=audit, vendor=google, scheme=http",
    ],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, _policy: &Policy) -> Option<Broken> {
    let is_plain = relation.view() == View::Egress && relation.name(Dimension::Scheme) == "http";
    is_plain.then(|| Broken::new(format!("called {} over plaintext HTTP", relation.host()), "https"))
}
