//! Calls without a credential that succeed at a host where others use one, or where the policy demands one.
//!
//! Misses logs without credentials, which is why others must be seen with one, unless the policy demands it.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::{Measure, View};

pub(super) const RULE: Builtin = Builtin {
    name: "unauthenticated",
    summary: "a call without a credential to an API that others authenticate to",
    level: Level::Medium,
    breaks: &[
        "vendor=stripe, host=api.stripe.com, caller=a, credential=k; vendor=stripe, host=api.stripe.com, caller=b",
        "vendor=plaid, host=plaid.com, caller=billing-prod",
    ],
    keeps: &[
        "vendor=stripe, host=api.stripe.com, caller=a; vendor=stripe, host=api.stripe.com, caller=b",
        "vendor=stripe, host=api.stripe.com, caller=a, credential=k",
        "vendor=stripe, host=api.stripe.com, caller=a, credential=k; vendor=stripe, host=api.stripe.com, caller=b, denied=1",
    ],
    judge: Judge::Row(judge),
};

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let relation = seen.relation();
    let is_open =
        relation.view() == View::Egress && relation.credential().is_empty() && seen.row.measures.get(Measure::Ok) > 0;
    if !is_open {
        return None;
    }
    let approvals = seen.policy.approvals.iter().filter(|one| one.vendors.covers(relation.vendor()));
    let is_demanded = approvals.into_iter().any(|one| one.authentication && one.callers.covers(relation.caller()));
    let is_broken = is_demanded || seen.memory.authenticates(relation);
    is_broken.then(|| Broken::new(format!("called {} without a credential", relation.host()), "a credential"))
}
