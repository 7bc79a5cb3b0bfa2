//! An alert in few words, for a person who is called at night: what, why, since when, and what to do first.
//!
//! Names come from logs, which an attacker may have written: control characters are gone here, and what marks up text at a target is escaped by
//! that target.
//!
//! Not here: the shapes of targets (`sinks`), and the card of a terminal (`card`).

use serde::Deserialize;

use super::{Activity, Alert, NoticeKind, printable};
use crate::detect::{DetectorKind, detector_named};

/// Reasons that are told.
const MAX_REASONS: usize = 3;
/// Longest sentence, characters.
const MAX_SENTENCE: usize = 600;
/// Longest reason, characters.
const MAX_REASON: usize = 200;

/// The address of an incident where people work on it, with `{id}` where the incident's id goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Link(String);

/// What leads to no incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write an address with {{id}} where the incident's id goes, such as `https://soc.example/incidents/{{id}}`")]
pub struct NoLink;

impl TryFrom<String> for Link {
    type Error = NoLink;

    fn try_from(text: String) -> Result<Self, NoLink> {
        let leads = text.starts_with("https://") || text.starts_with("http://");
        if leads && text.contains("{id}") && !text.contains(char::is_control) { Ok(Self(text)) } else { Err(NoLink) }
    }
}

impl Link {
    fn to(&self, incident: &str) -> String {
        self.0.replace("{id}", incident)
    }
}

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
    /// Who owns the caller or the vendor, whoever is to be asked first leading.
    pub owner: Option<String>,
    /// What to do first.
    pub first_step: String,
    /// Where it is shown, if anywhere.
    pub link: Option<String>,
}

impl Brief {
    /// Of an alert.
    pub fn of(alert: &Alert, link: Option<&Link>) -> Self {
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
            owner: Some(alert.teams().join(", "))
                .filter(|teams| !teams.is_empty())
                .map(|teams| cut(&teams, MAX_REASON)),
            first_step: first_step(alert),
            link: link.map(|link| link.to(&alert.id)),
        }
    }

    /// It as plain text, a line each.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.sentence.clone(), format!("Who: {}", self.subject)];
        lines.extend(self.owner.iter().map(|owner| format!("Owner: {owner}")));
        lines.extend(self.reasons.iter().map(|reason| format!("- {reason}")));
        lines.extend(self.first_seen.iter().map(|fact| format!("- first seen: {fact}")));
        lines.extend(self.likely.iter().map(|likely| format!("May be harmless: {likely}")));
        lines.push(format!("First: {}", self.first_step));
        lines.extend(self.link.clone());
        lines.join("\n")
    }
}

/// The first step of the runbook of whatever raised it, which stands in its page.
fn first_step(alert: &Alert) -> String {
    if alert.activity == Activity::Close {
        return "Nothing: it is over. Say whether it was real with `apiwarden alerts verdict`.".to_owned();
    }
    let notice = || NoticeKind::ALL.into_iter().find(|kind| kind.as_str() == alert.detector);
    let step = detector_named(&alert.detector).and_then(DetectorKind::first_step);
    step.or_else(|| notice().map(|kind| kind.first_step().to_owned()))
        .unwrap_or_else(|| "Ask the caller's owner what changed.".to_owned())
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
    use crate::alerts::{Owner, sample};
    use crate::detect::DETECTORS;

    fn link(text: &str) -> Result<Link, NoLink> {
        Link::try_from(text.to_owned())
    }

    #[test]
    fn a_link_that_would_lead_to_no_incident_is_refused() {
        for wrong in
            ["", "https://soc.example/incidents", "soc.example/{id}", "javascript:{id}", "https://soc.example/{id}\n"]
        {
            assert_eq!(link(wrong).err(), Some(NoLink), "{wrong}");
        }
    }

    #[test]
    fn a_brief_says_what_why_and_what_to_do_first_and_nothing_controls_a_terminal() {
        let alert = Alert { message: "x\u{1b}[31m".repeat(400), ..sample() };
        let brief = Brief::of(&alert, Some(&link("https://soc.example/i/{id}").unwrap()));
        assert!(brief.sentence.chars().count() <= MAX_SENTENCE && !brief.sentence.contains('\u{1b}'));
        assert!(!brief.reasons.is_empty() && brief.reasons.len() <= MAX_REASONS);
        assert_eq!(brief.link, Some(format!("https://soc.example/i/{}", alert.id)));
        assert!(brief.to_text().lines().any(|line| line.starts_with("First: ")));
        let owner = |team: &str| Owner { team: team.to_owned(), ..Owner::default() };
        let owned = Alert { owners: vec![owner("people"), owner("storage"), owner("people")], ..sample() };
        assert!(Brief::of(&owned, None).to_text().contains("\nOwner: people, storage\n"));
        let over = Alert { activity: Activity::Close, ..sample() };
        assert!(Brief::of(&over, None).headline.ends_with("(over)"));
    }

    #[test]
    fn the_first_step_is_the_one_in_the_page_of_the_detector() {
        for detector in DETECTORS {
            let alert = Alert { detector: detector.meta.name.to_owned(), ..sample() };
            let step = Brief::of(&alert, None).first_step;
            let page = detector.page().split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                step.chars().count() <= MAX_REASON && page.contains(&format!("1. {step}")),
                "{}: {step}",
                alert.detector
            );
        }
        let notice = Alert { detector: NoticeKind::SinkFailing.as_str().to_owned(), ..sample() };
        assert_eq!(Brief::of(&notice, None).first_step, NoticeKind::SinkFailing.first_step());
    }
}
