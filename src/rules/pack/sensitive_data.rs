//! Data of a class that the policy does not allow to be sent to a vendor.
//!
//! Silent until `[[vendors]]` limits `data_classes`. What a log does not show of a call, no rule sees.

use super::{Broken, Builtin, Judge, Level};
use crate::calls::{DataClasses, Dimension, Relation, View};
use crate::rules::policy::Policy;

pub(super) const RULE: Builtin = Builtin {
    name: "sensitive_data",
    summary: "data of a class that is not approved for the vendor",
    level: Level::Medium,
    breaks: &["vendor=plaid, caller=billing-prod, credential=k, sent=personal health"],
    keeps: &[
        "vendor=plaid, caller=billing-prod, credential=k, sent=personal",
        "vendor=plaid, caller=billing-prod, credential=k, received=health",
        "vendor=stripe, caller=a, sent=card",
    ],
    judge: Judge::Relation(judge),
};

fn judge(relation: &Relation, policy: &Policy) -> Option<Broken> {
    let sent = relation.name(Dimension::Sent).as_str();
    if sent.is_empty() || relation.view() != View::Egress {
        return None;
    }
    let approvals = policy.approvals.iter().filter(|one| one.vendors.covers(relation.vendor()));
    let of_pair: Vec<_> = approvals.filter(|one| one.callers.covers(relation.caller())).collect();
    // Without a limit everything is allowed.
    let limits = of_pair.iter().map(|one| one.data_classes.as_deref()).collect::<Option<Vec<_>>>()?;
    let allowed: Vec<&str> = limits.into_iter().flatten().map(|class| class.as_str()).collect();
    let refused: Vec<&str> = DataClasses::named(sent).filter(|class| !allowed.contains(class)).collect();
    let required =
        if allowed.is_empty() { "no sensitive data".to_owned() } else { format!("at most {}", allowed.join(", ")) };
    let is_broken = !of_pair.is_empty() && !refused.is_empty();
    is_broken.then(|| Broken::new(format!("sent data of the class {}", refused.join(", ")), required))
}
