//! A credential of production in the hands of a caller whose name says that it is of a test environment.
//!
//! Names tell, or the policy's `[[environments]]`; callers whose names say nothing break nothing.

use super::{Broken, Builtin, Judge, Level, Seen};

pub(super) const RULE: Builtin = Builtin {
    name: "environment_crossed",
    summary: "a credential of production used by a caller that is not",
    level: Level::High,
    breaks: &["vendor=stripe, caller=billing-prod, credential=k; vendor=stripe, caller=billing-staging, credential=k"],
    keeps: &[
        "vendor=stripe, caller=billing-prod, credential=k; vendor=stripe, caller=invoicing-prod, credential=k",
        "vendor=stripe, caller=billing-prod, credential=k; vendor=stripe, caller=product, credential=k",
    ],
    judge: Judge::Row(judge),
};

/// The environment whose credentials stay in it.
const PRODUCTION: &str = "production";

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let relation = seen.relation();
    let environment = seen.policy.environment(relation.caller()).filter(|own| *own != PRODUCTION)?;
    let used = seen.memory.credential(relation)?;
    let is_crossed = used.environments.contains(PRODUCTION);
    is_crossed.then(|| {
        Broken::new(format!("used a credential of production from {environment}"), "a credential for each environment")
    })
}
