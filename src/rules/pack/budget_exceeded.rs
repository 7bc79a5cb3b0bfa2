//! More calls, bytes or dollars (by list price) of a caller at a vendor in a day (UTC) than the policy allows.
//!
//! A day begins anew with its first bucket; only what was seen of it counts.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::View;
use crate::rules::policy::MICROS_PER_DOLLAR;

pub(super) const RULE: Builtin = Builtin {
    name: "budget_exceeded",
    summary: "more calls, bytes or dollars a day than the policy allows",
    level: Level::Medium,
    breaks: &[
        "vendor=openai, caller=a, calls=60, ok=60; vendor=openai, caller=a, calls=60, ok=60, client=b",
        "vendor=openai, caller=a, bytes_out_sum=5001",
        "vendor=openai, caller=a, cost=2500001",
        "vendor=plaid, caller=a, calls=60, ok=60; vendor=plaid, caller=b, calls=60, ok=60",
    ],
    keeps: &[
        "vendor=openai, caller=a, calls=60, ok=60; vendor=openai, caller=b, calls=60, ok=60",
        "vendor=openai, caller=a, calls=60, ok=60; vendor=openai, caller=a, calls=60, ok=60, day=1",
        "vendor=stripe, caller=a, calls=6000, ok=6000",
        "vendor=openai, caller=a, cost=2500000",
    ],
    judge: Judge::Row(judge),
};

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let relation = seen.relation();
    if relation.view() != View::Egress {
        return None;
    }
    let (vendor, caller) = (relation.vendor(), relation.caller());
    let mut budgets = seen.policy.budgets.iter().filter(|one| one.vendors.covers(vendor) && one.callers.covers(caller));
    budgets.find_map(|budget| {
        let [calls, bytes_out, bytes_in, cost] =
            if budget.is_of_vendor { seen.memory.today_of_vendor(relation) } else { seen.memory.today(relation) };
        if let Some(max) = budget.cost.filter(|max| cost > *max) {
            let dollars = |micros: i64| format!("{:.2} dollars", micros as f64 / MICROS_PER_DOLLAR);
            return Some(Broken::new(
                format!("spent {} today", dollars(cost)),
                format!("at most {} a day", dollars(max)),
            ));
        }
        let limits = [
            (calls, budget.calls, "calls"),
            (bytes_out, budget.bytes_out, "bytes sent"),
            (bytes_in, budget.bytes_in, "bytes received"),
        ];
        let (sum, max, unit) =
            limits.into_iter().find_map(|(sum, max, unit)| Some((sum, max.filter(|max| sum > *max)?, unit)))?;
        Some(Broken::new(format!("reached {sum} {unit} today"), format!("at most {max} {unit} a day")))
    })
}
