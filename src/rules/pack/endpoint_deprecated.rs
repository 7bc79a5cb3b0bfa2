//! An endpoint, or a version of an API, that the policy or the vendor itself calls deprecated.
//!
//! Not here: what vendors retire (`datasets/vendors`).

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{Dimension, Relation};
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "endpoint_deprecated",
    summary: "a call to an endpoint or in a version that is deprecated",
    level: Level::Low,
    breaks: &[
        "vendor=stripe, endpoint=POST /v1/charges",
        "vendor=google, endpoint=GET /v1/a, api_version=v1",
        "vendor=openai, endpoint=POST /v1/threads/{id}/runs, api_version=v1",
        "vendor=meta, endpoint=GET /v9.0/me, api_version=v9.0",
    ],
    keeps: &[
        "vendor=stripe, endpoint=POST /v1/payment_intents",
        "vendor=openai, endpoint=POST /v1/charges",
        "vendor=google, endpoint=GET /v2/a, api_version=v2",
        "vendor=google, endpoint=GET /a",
    ],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, policy: &Policy) -> Option<Broken> {
    let (vendor, endpoint) = (relation.vendor().as_str(), relation.endpoint().as_str());
    let version = relation.name(Dimension::ApiVersion).as_str();
    let own = policy.deprecated.iter().find(|one| one.covers(vendor, endpoint, version));
    let instead = match own {
        Some(own) => own.instead.as_deref().unwrap_or("another endpoint or version"),
        None => &policy.pack.vendor(vendor)?.deprecation(endpoint, version)?.instead,
    };
    let in_version = if version.is_empty() { String::new() } else { format!(" in version {version}") };
    Some(Broken::new(format!("called {endpoint}{in_version}, which is deprecated"), instead))
}
