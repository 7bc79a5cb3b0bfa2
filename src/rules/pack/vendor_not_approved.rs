//! A vendor that nobody has approved for this caller: a shadow API.
//!
//! Silent until the policy approves a vendor, and asked of egress alone.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{Relation, View};
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "vendor_not_approved",
    summary: "a call to a vendor that is not approved for the caller (shadow API)",
    level: Level::Medium,
    breaks: &[
        "vendor=pastebin.com, caller=a",
        "vendor=plaid, caller=geo-prod, credential=k",
        "vendor=plaid, caller=billing-staging, credential=k",
    ],
    keeps: &[
        "vendor=stripe, caller=a",
        "vendor=plaid, caller=billing-prod, credential=k",
        "view=audit, vendor=pastebin.com, caller=a",
    ],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, policy: &Policy) -> Option<Broken> {
    if policy.approvals.is_empty() || relation.view() != View::Egress {
        return None;
    }
    let environment = policy.environment(relation.caller()).unwrap_or_default();
    let of_vendor: Vec<_> = policy.approvals.iter().filter(|one| one.vendors.covers(relation.vendor())).collect();
    let is_approved = of_vendor.iter().any(|one| {
        one.callers.covers(relation.caller())
            && (!one.environments.is_limited() || one.environments.covers(environment))
    });
    let for_whom = if of_vendor.is_empty() { "not approved" } else { "not approved for this caller" };
    (!is_approved).then(|| Broken::new(format!("called a vendor that is {for_whom}"), "an approved vendor"))
}
