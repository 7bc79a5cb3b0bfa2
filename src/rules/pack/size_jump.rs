//! An answer many times larger than any before it of the same endpoint (OWASP API10:2023): what answers may not be what it was.
//!
//! Only endpoints with enough answers behind them, and answers of some size, count. It is told once: the jump is then what was seen before.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::{Measure, View};

pub(super) const RULE: Builtin = Builtin {
    name: "size_jump",
    summary: "an answer many times larger than any before it",
    level: Level::Low,
    breaks: &[
        "vendor=google, host=g.com, endpoint=GET /x, calls=200, ok=200, bytes_in_max=200000; vendor=google, host=g.com, endpoint=GET /x, bytes_in_max=2000001, day=1",
    ],
    keeps: &[
        "vendor=google, host=g.com, endpoint=GET /x, calls=200, ok=200, bytes_in_max=200000; vendor=google, host=g.com, endpoint=GET /x, bytes_in_max=2000000, day=1",
        "vendor=google, host=g.com, endpoint=GET /x, calls=20, ok=20, bytes_in_max=200000; vendor=google, host=g.com, endpoint=GET /x, bytes_in_max=9000000, day=1",
        "vendor=google, host=g.com, endpoint=GET /x, calls=200, ok=200, bytes_in_max=200; vendor=google, host=g.com, endpoint=GET /x, bytes_in_max=9000, day=1",
        "vendor=google, host=g.com, endpoint=GET /x, calls=200, ok=200, bytes_in_max=200000; vendor=google, host=g.com, endpoint=GET /y, bytes_in_max=9000000, day=1",
    ],
    judge: Judge::Row(judge),
};

/// Answers that must have come before.
const MIN_ANSWERS: i64 = 100;
/// Smallest answer that counts, bytes.
const MIN_BYTES: i64 = 1 << 20;

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let relation = seen.relation();
    let before = seen.memory.answers(relation).filter(|known| known.answers_before >= MIN_ANSWERS)?;
    let (largest, usual) = (seen.row.measures.get(Measure::BytesInMax), before.max_bytes_before);
    let max = usual.saturating_mul(i64::from(seen.policy.answers.max_growth)).max(MIN_BYTES);
    let is_jump = largest > max && relation.view() == View::Egress;
    is_jump.then(|| {
        let observed = format!("got an answer of {largest} bytes from {}", relation.endpoint());
        Broken::new(observed, format!("at most {max} bytes: the largest so far had {usual}"))
    })
}
