//! An alert as a card for a person at a terminal: who, what, how unlikely, and what was seen against what is usual.
//!
//! Names in an alert come from logs, which an attacker may have written: control characters never reach the terminal.
//!
//! Not here: shapes for machines (`ocsf`, `sinks`).

use std::slice;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use jiff::Timestamp;

use super::{Activity, Alert, Severity};
use crate::detect::Counterfactual;

/// Widest a card gets, in columns.
const WIDTH: u16 = 100;
/// Most reasons that a card shows.
const MAX_REASONS: usize = 5;
const DAYS_A_MONTH: f64 = 30.44;
const DAYS_A_YEAR: f64 = 365.25;

/// Whether a card may use escape codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Text alone: for files, pipes and logs.
    #[default]
    Plain,
    /// Colours by severity.
    Colour,
}

/// The alert as a card of at most 100 columns, ending with a newline.
pub fn card(alert: &Alert, style: Style) -> String {
    let mut card = table(style);
    card.add_row([headline(alert, style), Cell::new(printable(&alert.title))]);
    for (label, value) in facts(alert) {
        card.add_row([label.to_string(), printable_lines(&value)]);
    }
    let mut lines = trimmed(&card);
    if !alert.contributions.is_empty() {
        lines.push('\n');
        lines.push_str(&trimmed(&reasons(alert, style)));
    }
    lines
}

fn table(style: Style) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    match style {
        Style::Plain => table.force_no_tty(),
        Style::Colour => table.enforce_styling(),
    };
    table
}

/// The table's lines without the blanks that pad them.
fn trimmed(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn headline(alert: &Alert, style: Style) -> Cell {
    let cell = Cell::new(alert.severity.as_str().to_uppercase());
    let colour = match alert.severity {
        Severity::Informational | Severity::Low => Color::Cyan,
        Severity::Medium => Color::Yellow,
        Severity::High | Severity::Critical => Color::Red,
    };
    if style == Style::Colour { cell.fg(colour).add_attribute(Attribute::Bold) } else { cell }
}

/// The non-empty lines of the card, with their labels.
fn facts(alert: &Alert) -> Vec<(&'static str, String)> {
    let step = match alert.activity {
        Activity::Create => "opened",
        Activity::Update => "continues",
        Activity::Close => "closed",
    };
    let others =
        |names: Vec<&str>, own: &str| names.into_iter().filter(|name| *name != own).collect::<Vec<_>>().join("  ");
    let related = alert.related.iter().map(|related| format!("{} {}", related.id, related.title)).collect::<Vec<_>>();
    let facts = [
        ("what", alert.message.clone()),
        ("cause", alert.cause_class.as_str().replace('_', " ")),
        ("without", alert.counterfactual.as_ref().map(Counterfactual::sentence).unwrap_or_default()),
        ("first time", alert.first_time_facts().collect::<Vec<_>>().join("\n")),
        ("caller", alert.caller.clone().unwrap_or_default()),
        ("owner", alert.teams().join("  ")),
        ("vendor", [slice::from_ref(&alert.vendor), &alert.hosts].concat().join("  ")),
        ("endpoint", alert.endpoint.clone().unwrap_or_default()),
        ("credential", alert.credential.clone().unwrap_or_default()),
        ("technique", technique(alert)),
        ("likelihood", likelihood(alert.alarms_per_day)),
        ("evidence", format!("{} to {}, {} calls", instant(alert.first_seen), instant(alert.last_seen), alert.calls)),
        ("also callers", others(alert.callers(), alert.caller.as_deref().unwrap_or_default())),
        ("also vendors", others(alert.vendors(), &alert.vendor)),
        ("related", related.join("\n")),
        ("incident", format!("{}, {step} {}", alert.id, instant(alert.time))),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn technique(alert: &Alert) -> String {
    let technique = alert.technique.as_deref().and_then(crate::detect::technique);
    technique
        .map(|technique| format!("{} {} ({})", technique.uid, technique.name, technique.tactic))
        .unwrap_or_default()
}

fn reasons(alert: &Alert, style: Style) -> Table {
    let mut reasons = table(style);
    reasons.set_header(["measure", "window", "observed", "usual", "share", "by chance"]);
    for reason in alert.contributions.iter().take(MAX_REASONS) {
        let window = if reason.is_novelty() { "first" } else { &reason.window };
        let share = format!("{:.0} %", 100.0 * reason.share);
        let chance = format!("{:.0e}", reason.p_value);
        let row = [&reason.name, window, &reason.observed, &reason.baseline, &share, &chance];
        reasons.add_row(row.map(printable));
    }
    reasons
}

/// How unlikely, in words: `expected once in 40 days at this level`.
fn likelihood(alarms_per_day: f64) -> String {
    let days = 1.0 / alarms_per_day;
    let often = match days {
        _ if days.is_nan() || days < 0.0 => return "how often such an alarm comes by chance is not known".to_string(),
        _ if days < 0.7 => format!("{alarms_per_day:.0} times a day"),
        _ if days < 1.5 => "once a day".to_string(),
        _ if days < 100.0 => format!("once in {days:.0} days"),
        _ if days < 2.0 * DAYS_A_YEAR => format!("once in {:.0} months", days / DAYS_A_MONTH),
        _ if days < 1_000.0 * DAYS_A_YEAR => format!("once in {:.0} years", days / DAYS_A_YEAR),
        _ => "less than once in 1000 years".to_string(),
    };
    format!("expected {often} at this level")
}

/// An instant in microseconds since the epoch as RFC 3339, to the second.
fn instant(microseconds: i64) -> String {
    match Timestamp::from_second(microseconds.div_euclid(1_000_000)) {
        Ok(instant) => instant.to_string(),
        Err(_) => format!("{microseconds} µs"),
    }
}

/// The lines of a text, each [`printable`].
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// The text with U+FFFD in place of what could move the cursor, begin a line, change colours or reverse the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let harmful = |c: char| {
        let is_of_direction =
            matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        is_of_direction || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
    };
    text.chars().map(|c| if harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_card_shows_who_what_how_unlikely_and_why() {
        let card = card(&sample(), Style::Plain);
        let expected = " HIGH        Bulk upload to a known vendor
 what        payroll-svc sent 412 MB to content.dropboxapi.com, usual 1.1 MB
 cause       data left
 without     Without the change of request size this window is usual.
 caller      payroll-svc
 vendor      dropbox  content.dropboxapi.com
 endpoint    POST /2/files/upload
 credential  fp_9a1c
 technique   T1567.002 Exfiltration to Cloud Storage (Exfiltration)
 likelihood  expected once in 40 days at this level
 evidence    2026-09-01T00:00:00Z to 2026-09-01T01:00:00Z, 212 calls
 related     aw-51aa First call to a vendor
 incident    aw-7f3c, opened 2026-09-01T01:00:00Z

 measure    window  observed  usual   share  by chance
 bytes_out  1h      412 MB    1.1 MB  97 %   3e-7
";
        assert_eq!(card, expected, "\n{card}");
    }

    #[test]
    fn a_card_is_never_wider_than_a_hundred_columns() {
        let mut alert = sample();
        alert.message = "a word and ".repeat(40);
        alert.endpoint = Some("x".repeat(300));
        alert.contributions[0].observed = "y".repeat(200);
        let card = card(&alert, Style::Plain);
        assert!(card.lines().all(|line| line.chars().count() <= usize::from(WIDTH)), "{card}");
    }

    #[test]
    fn an_escape_code_in_a_log_never_reaches_the_terminal() {
        let mut alert = sample();
        alert.caller = Some("\u{1b}[2J\u{202e}evil".to_string());
        assert!(!card(&alert, Style::Plain).contains(['\u{1b}', '\u{202e}']));
        let coloured = card(&alert, Style::Colour);
        assert!(coloured.contains("\u{1b}[") && !coloured.contains("[2J\u{202e}") && !coloured.contains("\u{1b}[2J"));
    }

    #[test]
    fn likelihood_is_written_in_the_largest_unit_that_fits() {
        for (rate, words) in [
            (3.2, "expected 3 times a day at this level"),
            (1.0, "expected once a day at this level"),
            (0.025, "expected once in 40 days at this level"),
            (1.0 / 365.25, "expected once in 12 months at this level"),
            (1e-4, "expected once in 27 years at this level"),
            (0.0, "expected less than once in 1000 years at this level"),
            (f64::NAN, "how often such an alarm comes by chance is not known"),
        ] {
            assert_eq!(likelihood(rate), words);
        }
    }
}
