//! HTML from an endpoint that answers with JSON: a login page, a captive portal, a domain that changed hands (OWASP API10:2023, unsafe
//! consumption). A client that parses what it did not expect fails, or worse, does not.
//!
//! Good answers alone count: error pages are HTML at many vendors.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::{Dimension, Measure};

pub(super) const RULE: Builtin = Builtin {
    name: "html_answer",
    summary: "HTML from an endpoint that answers with JSON",
    level: Level::Medium,
    breaks: &[
        "vendor=google, host=g.com, endpoint=GET /x, content_type=application/json; vendor=google, host=g.com, endpoint=GET /x, content_type=text/html",
    ],
    keeps: &[
        "vendor=google, host=g.com, endpoint=GET /x, content_type=text/html",
        "vendor=google, host=g.com, endpoint=GET /x, content_type=application/json; vendor=google, host=g.com, endpoint=GET /x, content_type=text/html, denied=1",
        "vendor=google, host=g.com, endpoint=GET /x, content_type=application/json; vendor=google, host=g.com, endpoint=GET /y, content_type=text/html",
    ],
    judge: Judge::Row(judge),
};

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let relation = seen.relation();
    let is_html = relation.name(Dimension::ContentType) == "text/html" && seen.row.measures.get(Measure::Ok) > 0;
    let is_changed = is_html && seen.memory.answers_json(relation);
    is_changed.then(|| Broken::new(format!("got HTML from {}", relation.endpoint()), "JSON, as it answered before"))
}
