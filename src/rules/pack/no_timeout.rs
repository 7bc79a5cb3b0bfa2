//! A call that lasted longer than a client with a timeout would wait (OWASP API10:2023): one slow vendor then holds all that wait for it.
//!
//! Seen from outside: a log has the latency, not the client's settings. Tunnels, upgrades and streams of events last by design.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::{Dimension, Measure, View};

pub(super) const RULE: Builtin = Builtin {
    name: "no_timeout",
    summary: "a call that lasted longer than the policy allows: a client without a timeout",
    level: Level::Low,
    breaks: &["vendor=stripe, endpoint=GET /v1/a, latency_ms_max=300001"],
    keeps: &[
        "vendor=stripe, endpoint=GET /v1/a, latency_ms_max=300000",
        "vendor=stripe, endpoint=CONNECT /, latency_ms_max=900000",
        "vendor=openai, endpoint=POST /v1/a, content_type=text/event-stream, latency_ms_max=900000",
        "view=audit, vendor=stripe, latency_ms_max=900000",
    ],
    judge: Judge::Row(judge),
};

/// Milliseconds of a second.
const SECOND: i64 = 1_000;

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let relation = seen.relation();
    let (longest, max) = (seen.row.measures.get(Measure::LatencyMax), i64::from(seen.policy.answers.max_seconds));
    let lasts =
        relation.endpoint().starts_with("CONNECT ") || relation.name(Dimension::ContentType) == "text/event-stream";
    let is_broken = longest > max * SECOND && !lasts && relation.view() == View::Egress;
    is_broken.then(|| {
        let seconds = longest / SECOND;
        Broken::new(format!("waited {seconds} s for {}", relation.endpoint()), format!("a timeout of at most {max} s"))
    })
}
