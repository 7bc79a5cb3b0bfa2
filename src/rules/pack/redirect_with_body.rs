//! A redirect that asks for the body to be sent again (307, 308), wherever it leads (OWASP API10:2023): what was meant for one place goes to
//! another.

use super::{Broken, Builtin, Judge, Level, Seen};
use crate::calls::{Measure, View};

pub(super) const RULE: Builtin = Builtin {
    name: "redirect_with_body",
    summary: "a redirect that asks for the body again (307, 308)",
    level: Level::Low,
    breaks: &["vendor=stripe, endpoint=POST /v1/charges, resent=1"],
    keeps: &["vendor=stripe, endpoint=POST /v1/charges", "view=audit, vendor=stripe, resent=1"],
    judge: Judge::Row(judge),
};

fn judge(seen: &Seen<'_>) -> Option<Broken> {
    let is_resent = seen.row.measures.get(Measure::Resent) > 0 && seen.relation().view() == View::Egress;
    is_resent.then(|| {
        Broken::new(
            format!("was asked by {} to send a body elsewhere", seen.relation().endpoint()),
            "answers, or redirects without the body",
        )
    })
}
