//! A credential that was in use when its vendor, or it itself, was compromised, and that is in use still: whoever took it can call.
//!
//! What is compromised, and since when, says the policy (`[[compromised]]`). Told each day until the credential is rotated.
//!
//! A credential that was first used on that day or later is taken for a new one.

use super::{Broken, Builtin, Judge, Level, Seen};

pub(super) const RULE: Builtin = Builtin {
    name: "credential_compromised",
    summary: "a credential that was compromised and is still in use",
    level: Level::High,
    breaks: &["vendor=slack, caller=a, credential=k; vendor=slack, caller=a, credential=k, day=9"],
    keeps: &[
        "vendor=slack, caller=a, credential=k; vendor=slack, caller=a, credential=l, day=9",
        "vendor=slack, caller=a, credential=k; vendor=slack, caller=a, credential=k, day=8",
        "vendor=stripe, caller=a, credential=k; vendor=stripe, caller=a, credential=k, day=9",
    ],
    judge: Judge::Row(judge),
};

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let relation = seen.relation();
    let used = seen.memory.credential(relation)?;
    let is_exposed = |since: i64| used.first_seen < since && used.last_seen >= since;
    let mut compromised = seen.policy.compromised.iter();
    let one = compromised.find(|one| one.covers(relation.vendor(), relation.credential()) && is_exposed(one.since))?;
    Some(Broken::new(format!("uses a credential that is compromised since {}", one.day), "rotation"))
}
