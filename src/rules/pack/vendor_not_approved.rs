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
    if relation.view() != View::Egress || policy.approves(relation.caller(), relation.vendor()) != Some(false) {
        return None;
    }
    let is_known = policy.approvals.iter().any(|one| one.vendors.covers(relation.vendor()));
    let for_whom = if is_known { "not approved for this caller" } else { "not approved" };
    Some(Broken::new(format!("called a vendor that is {for_whom}"), "an approved vendor"))
}
