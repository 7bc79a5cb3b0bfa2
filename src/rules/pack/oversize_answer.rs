//! An answer larger than the policy allows (OWASP API10:2023): what answers is not trusted to be small.
//!
//! Silent until the policy sets `[answers] max_bytes`; what is usual of an endpoint is what detectors learn.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::{Measure, View};

pub(super) const RULE: Builtin = Builtin {
    name: "oversize_answer",
    summary: "an answer that is larger than the policy allows",
    level: Level::Medium,
    breaks: &["vendor=stripe, bytes_in_max=1000001"],
    keeps: &["vendor=stripe, bytes_in_max=1000000", "view=audit, vendor=stripe, bytes_in_max=1000001"],
    judge: Judge::Row(judge),
};

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let (max, largest) = (seen.policy.answers.max_bytes?, seen.row.measures.get(Measure::BytesInMax));
    let is_oversize = seen.relation().view() == View::Egress && largest > max;
    is_oversize.then(|| {
        Broken::new(
            format!("got an answer of {largest} bytes from {}", seen.relation().endpoint()),
            format!("at most {max} bytes"),
        )
    })
}
