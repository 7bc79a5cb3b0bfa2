//! A key or token in the URL, in its query or its path: proxies, browsers and logs keep URLs, and whoever reads them has the key.
//!
//! Misses logs without queries. A URL that was signed to be handed on ends by itself, and is none.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{CredentialKind, Dimension, Relation};
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "key_in_url",
    summary: "a key or token in the URL",
    level: Level::Medium,
    breaks: &["vendor=google, credential=k, credential_kind=query_key", "vendor=google, credential_kind=path_key"],
    keeps: &[
        "vendor=google, credential=k, credential_kind=signed_url",
        "vendor=google, credential=k, credential_kind=bearer",
    ],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, _policy: &Policy) -> Option<Broken> {
    let kind = relation.name(Dimension::CredentialKind).as_str();
    let places = [(CredentialKind::QueryKey, "query"), (CredentialKind::PathKey, "path")];
    let (_, place) = places.into_iter().find(|(known, _)| known.as_str() == kind)?;
    Some(Broken::new(format!("sent a key in the {place} of a URL of {}", relation.host()), "keys in headers"))
}
