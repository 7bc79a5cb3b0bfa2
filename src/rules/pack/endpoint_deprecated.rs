//! An endpoint that the policy calls deprecated.
//!
//! Not here: which versions a vendor retires; no vendor publishes that in a form to read.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::Relation;
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "endpoint_deprecated",
    summary: "a call to an endpoint that is deprecated",
    level: Level::Low,
    breaks: &["vendor=stripe, endpoint=POST /v1/charges"],
    keeps: &["vendor=stripe, endpoint=POST /v1/payment_intents", "vendor=openai, endpoint=POST /v1/charges"],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, policy: &Policy) -> Option<Broken> {
    let covers = |vendor: &str, endpoint: &str| {
        policy.deprecated.iter().find(|one| one.vendor.covers(vendor) && one.endpoint.covers(endpoint))
    };
    let deprecated = covers(relation.vendor(), relation.endpoint())?;
    let instead = deprecated.instead.as_deref().unwrap_or("another endpoint");
    Some(Broken::new(format!("called the deprecated {}", relation.endpoint()), instead))
}
