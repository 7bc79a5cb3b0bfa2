//! A credential that is older than the policy allows, counted from the first call with it that was seen.
//!
//! A credential may be older than the first call that we saw, never younger.

use super::{Broken, Builtin, DAY, Judge, Level, Seen};

pub(super) const RULE: Builtin = Builtin {
    name: "credential_overdue",
    summary: "a credential that is overdue for rotation",
    level: Level::Medium,
    breaks: &["vendor=stripe, caller=a, credential=k; vendor=stripe, caller=a, credential=k, day=91"],
    keeps: &[
        "vendor=stripe, caller=a, credential=k; vendor=stripe, caller=a, credential=k, day=89",
        "vendor=stripe, caller=a, credential=k; vendor=stripe, caller=a, credential=l, day=91",
    ],
    judge: Judge::Row(judge),
};

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let used = seen.memory.credential(seen.relation())?;
    let (days, max) = ((used.last_seen - used.first_seen) / DAY, i64::from(seen.policy.credentials.max_age_days));
    let is_overdue = used.last_seen - used.first_seen > max * DAY;
    is_overdue.then(|| {
        Broken::new(format!("used a credential that is {days} days old"), format!("rotation within {max} days"))
    })
}
