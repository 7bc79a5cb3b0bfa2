//! A credential that more callers use than the policy allows: it cannot be rotated or revoked for one of them alone.
//!
//! Egress alone: in audit logs the caller is whom the credential belongs to.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::View;

pub(super) const RULE: Builtin = Builtin {
    name: "credential_shared",
    summary: "a credential that several callers share",
    level: Level::Medium,
    breaks: &["vendor=stripe, caller=a, credential=k; vendor=stripe, caller=b, credential=k"],
    keeps: &[
        "vendor=stripe, caller=a, credential=k; vendor=stripe, caller=b, credential=l",
        "vendor=stripe, caller=a; vendor=stripe, caller=b",
    ],
    judge: Judge::Row(judge),
};

/// Callers that are named.
const MAX_NAMED: usize = 4;

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let (relation, max) = (seen.relation(), seen.policy.credentials.max_callers as usize);
    let used = seen.memory.credential(relation).filter(|_| relation.view() == View::Egress)?;
    let named: Vec<&str> = used.callers.iter().take(MAX_NAMED).map(|caller| caller.as_str()).collect();
    let callers = if max == 1 { "one caller".to_owned() } else { format!("{max} callers") };
    (used.callers.len() > max)
        .then(|| Broken::new(format!("used a credential that is shared by {}", named.join(", ")), callers))
}
