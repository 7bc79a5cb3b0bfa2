//! An alert in few words, for a person who is called at night: what, why, since when, and what to do first.
//!
//! Names come from logs, which an attacker may have written: control characters are gone here, and what marks up text at a target is escaped by
//! that target.
//!
//! Not here: the shapes of targets (`sinks`), and the card of a terminal (`card`).

use super::{Activity, Alert, printable};
use crate::detect::{Category, CauseClass};

/// Reasons that are told.
const MAX_REASONS: usize = 3;
/// Longest sentence, characters.
const MAX_SENTENCE: usize = 600;
/// Longest reason, characters.
const MAX_REASON: usize = 200;

/// What a person is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// The incident's id.
    pub id: String,
    /// The severity and what it is, in a few words.
    pub headline: String,
    /// One sentence.
    pub sentence: String,
    /// Who calls whom.
    pub subject: String,
    /// The strongest reasons, with usual and seen.
    pub reasons: Vec<String>,
    /// What was seen for the first time.
    pub first_seen: Vec<String>,
    /// The harmless change that it may be.
    pub likely: Option<String>,
    /// What to do first.
    pub first_step: &'static str,
    /// Where it is shown, if anywhere.
    pub link: Option<String>,
}

impl Brief {
    /// Of an alert; `link` has `{id}` where the incident's id goes.
    pub fn of(alert: &Alert, link: Option<&str>) -> Self {
        let state = match alert.activity {
            Activity::Create => "",
            Activity::Update => " (continues)",
            Activity::Close => " (over)",
        };
        let reason = |reason: &crate::detect::Contribution| {
            let window = if reason.window.is_empty() { String::new() } else { format!(" in {}", reason.window) };
            cut(&format!("{}{window}: {} (usual: {})", reason.name, reason.observed, reason.baseline), MAX_REASON)
        };
        let caller = alert.caller.as_deref().unwrap_or("all callers");
        Self {
            id: alert.id.clone(),
            headline: cut(&format!("{}: {}{state}", alert.severity.as_str(), alert.title), 150),
            sentence: cut(&alert.message, MAX_SENTENCE),
            subject: cut(&format!("{caller} → {}", alert.vendor), MAX_REASON),
            reasons: alert.contributions.iter().take(MAX_REASONS).map(reason).collect(),
            first_seen: alert.first_time_facts().take(MAX_REASONS).map(|fact| cut(fact, MAX_REASON)).collect(),
            likely: alert.likely.map(|likely| likely.as_str().replace('_', " ")),
            first_step: first_step(alert),
            link: link.map(|link| link.replace("{id}", &alert.id)),
        }
    }

    /// It as plain text, a line each.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.sentence.clone(), format!("Who: {}", self.subject)];
        lines.extend(self.reasons.iter().map(|reason| format!("- {reason}")));
        lines.extend(self.first_seen.iter().map(|fact| format!("- first seen: {fact}")));
        lines.extend(self.likely.iter().map(|likely| format!("May be harmless: {likely}")));
        lines.push(format!("First: {}", self.first_step));
        lines.extend(self.link.clone());
        lines.join("\n")
    }
}

/// The first step of a runbook, by what has happened.
fn first_step(alert: &Alert) -> &'static str {
    match (alert.activity, alert.cause_class, alert.category) {
        (Activity::Close, ..) => "nothing: it is over; say whether it was real with `apiwarden alerts verdict`.",
        (_, CauseClass::CredentialMisused, _) => {
            "ask the credential's owner whether the use was theirs; if nobody knows it, revoke the credential."
        }
        (_, CauseClass::VendorChanged, _) => "look at the vendor's status page, and tell the callers.",
        (_, _, Category::Exfiltration) => {
            "ask the caller's owner what was sent; if nobody knows, block the caller's way to the vendor."
        }
        (_, _, Category::Governance) => {
            "tell the caller's owner which rule it breaks, or write an exception that ends."
        }
        (_, _, Category::Operations) => "look at the service's log and metrics.",
        _ => "ask the caller's owner what changed.",
    }
}

/// A text of at most so many characters, without what could control a terminal.
pub fn cut(text: &str, most: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= most {
        return text;
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    #[test]
    fn a_brief_says_what_why_and_what_to_do_first_and_nothing_controls_a_terminal() {
        let alert = Alert { message: "x\u{1b}[31m".repeat(400), ..sample() };
        let brief = Brief::of(&alert, Some("https://soc.example/i/{id}"));
        assert!(brief.sentence.chars().count() <= MAX_SENTENCE && !brief.sentence.contains('\u{1b}'));
        assert!(!brief.reasons.is_empty() && brief.reasons.len() <= MAX_REASONS);
        assert_eq!(brief.link, Some(format!("https://soc.example/i/{}", alert.id)));
        assert!(brief.to_text().lines().any(|line| line.starts_with("First: ")));
        let over = Alert { activity: Activity::Close, ..sample() };
        assert!(Brief::of(&over, None).headline.ends_with("(over)"));
    }
}
