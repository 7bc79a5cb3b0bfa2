//! A credential of production in the hands of a caller whose name says that it is of a test environment: one that callers of production
//! use, or one that says of itself that it is live (`sk_live_`).
//!
//! Names tell, or the policy's `[[environments]]`; callers whose names say nothing break nothing.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::{CredentialKind, Dimension};

pub(super) const RULE: Builtin = Builtin {
    name: "environment_crossed",
    summary: "a credential of production used by a caller that is not",
    level: Level::High,
    breaks: &[
        "vendor=stripe, caller=billing-prod, credential=k; vendor=stripe, caller=billing-staging, credential=k",
        "vendor=stripe, caller=billing-staging, credential=k, credential_kind=live_key",
    ],
    keeps: &[
        "vendor=stripe, caller=billing-prod, credential=k; vendor=stripe, caller=invoicing-prod, credential=k",
        "vendor=stripe, caller=billing-prod, credential=k; vendor=stripe, caller=product, credential=k",
        "vendor=stripe, caller=billing-staging, credential=k, credential_kind=test_key",
        "vendor=stripe, caller=billing-prod, credential=k, credential_kind=live_key",
    ],
    judge: Judge::Row(judge),
};

/// The environment whose credentials stay in it.
const PRODUCTION: &str = "production";

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let relation = seen.relation();
    let environment = seen.environment.filter(|own| *own != PRODUCTION)?;
    let used = seen.memory.credential(relation)?;
    let is_live = relation.name(Dimension::CredentialKind) == CredentialKind::LiveKey.as_str();
    let is_crossed = is_live || used.environments.contains(PRODUCTION);
    is_crossed.then(|| {
        Broken::new(format!("used a credential of production from {environment}"), "a credential for each environment")
    })
}
