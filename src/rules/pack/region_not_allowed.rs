//! A region of a vendor that the policy does not allow for it.
//!
//! Misses logs without the region.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::Relation;
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "region_not_allowed",
    summary: "a call in a region that is not allowed",
    level: Level::Medium,
    breaks: &["vendor=aws, region=us-east-1", "view=audit, vendor=aws, region=us-east-1"],
    keeps: &["vendor=aws, region=eu-west-1", "vendor=aws", "vendor=stripe, region=us-east-1"],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, policy: &Policy) -> Option<Broken> {
    let region = Some(relation.region().as_str()).filter(|region| !region.is_empty())?;
    let approvals = policy.approvals.iter().filter(|one| one.vendors.covers(relation.vendor()));
    let of_pair: Vec<_> = approvals.filter(|one| one.callers.covers(relation.caller())).collect();
    let allowed: Vec<String> = of_pair.iter().map(|one| one.regions.names()).collect();
    let is_refused = !of_pair.is_empty() && of_pair.iter().all(|one| !one.regions.covers(region));
    is_refused.then(|| Broken::new(format!("called in the region {region}"), format!("regions {}", allowed.join(", "))))
}
