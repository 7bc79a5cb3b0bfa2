//! A credential that nobody has used for longer than the policy allows: it should be revoked, as nobody would miss it and somebody may
//! find it.
//!
//! Told on the day on which it has been idle for too long, once: it is asked in the first bucket of each day.

use super::{Broken, Builtin, DAY, Judge, Level};
use crate::rules::memory::Used;
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "credential_idle",
    summary: "a credential that nobody uses any more",
    level: Level::Low,
    breaks: &["vendor=stripe, caller=a, credential=k; vendor=stripe, caller=a, credential=l, day=31"],
    keeps: &[
        "vendor=stripe, caller=a, credential=k; vendor=stripe, caller=a, credential=l, day=30",
        "vendor=stripe, caller=a, credential=k; vendor=stripe, caller=a, credential=k, day=31",
    ],
    judge: Judge::Day(judge),
};

fn judge(used: &Used, policy: &Policy, time: i64) -> Option<Broken> {
    let (idle, max) = (time - used.last_seen, i64::from(policy.credentials.max_idle_days));
    (idle > max * DAY && !used.is_idle).then(|| {
        Broken::new(
            format!("has not used a credential for {} days", idle / DAY),
            format!("revocation after {max} days"),
        )
    })
}
