//! What needs attention, the most urgent first: the page of a report that everybody reads.
//!
//! Each line is counted from a section, and leads to it. What was not examined, for lack of a file, is a line too: nothing found is not nothing there.
//!
//! Not here: the sections themselves.

use serde::Serialize;

use super::Report;

/// A line.
#[derive(Debug, Serialize)]
pub(super) struct Attention {
    /// `now`, `soon`, `know`.
    pub urgency: &'static str,
    pub text: String,
    /// The section that has the details.
    pub section: &'static str,
}

/// The lines of a report, in order.
pub(super) fn attention(report: &Report) -> Vec<Attention> {
    let mut lines = Lines::default();
    let Report { alerts, governance, credentials, coverage, ownership, inventory, .. } = report;
    lines.count("now", alerts.open_pages, "incident that paged goes on", "incidents that paged go on", "alerts");
    let blank = coverage.blank_days.len();
    lines.count("now", blank, "day without any log record", "days without any log record", "coverage");
    let silent = coverage.silent.len();
    lines.named(
        "now",
        silent,
        "caller went silent",
        "callers went silent",
        "coverage",
        coverage.silent.iter().map(|one| &*one.caller),
    );
    let unapproved: Vec<&str> = inventory
        .vendors
        .iter()
        .filter(|one| one.approved == Some("no") && one.calls > 0)
        .map(|one| &*one.vendor)
        .collect();
    let (one, several) = ("vendor is called and not approved", "vendors are called and not approved");
    lines.named("now", unapproved.len(), one, several, "governance", unapproved.iter().copied());
    let paging = governance.violations.iter().map(|violations| violations.pages).sum();
    lines.count("now", paging, "violation of a rule pages", "violations of rules page", "governance");
    let still = credentials.count("revoke the old key");
    let (one, several) = ("key was replaced and is still used", "keys were replaced and are still used");
    lines.count("now", still, one, several, "credentials");
    let ended = governance.exceptions_in("ended");
    lines.count("now", ended, "exception has ended", "exceptions have ended", "governance");

    let quiet = alerts.pages - alerts.open_pages;
    let (one, several) =
        ("incident paged and went quiet: was it handled?", "incidents paged and went quiet: were they handled?");
    lines.count("soon", quiet, one, several, "alerts");
    let overdue = credentials.count("rotate");
    let (one, several) = ("key is overdue for rotation", "keys are overdue for rotation");
    lines.count("soon", overdue, one, several, "credentials");
    let notices: usize = governance.violations.iter().map(|violations| violations.incidents - violations.pages).sum();
    let (one, several) = ("violation of a rule does not page", "violations of rules do not page");
    lines.count("soon", notices, one, several, "governance");
    let owners = ownership.without_owner.len();
    let names = ownership.without_owner.iter().map(String::as_str);
    lines.named("soon", owners, "vendor has no owner", "vendors have no owner", "ownership", names);
    lines.count("soon", ownership.count("overdue"), "review is overdue", "reviews are overdue", "ownership");
    let soon = credentials.count("rotate soon");
    lines.count("soon", soon, "key is due for rotation soon", "keys are due for rotation soon", "credentials");
    let idle = credentials.count("revoke");
    lines.count("soon", idle, "key is idle and can be revoked", "keys are idle and can be revoked", "credentials");
    let ending = governance.exceptions_in("ends soon");
    lines.count("soon", ending, "exception ends soon", "exceptions end soon", "governance");
    lines.count("soon", ownership.count("soon"), "review is due soon", "reviews are due soon", "ownership");

    let new: Vec<&str> = inventory.new_of("vendor").map(|change| &*change.name).collect();
    lines.named("know", new.len(), "vendor is new", "vendors are new", "inventory", new.iter().copied());

    let unanswered = governance.not_evaluable;
    let (one, several) =
        ("Sigma rule cannot be answered from call logs", "Sigma rules cannot be answered from call logs");
    lines.count("know", unanswered, one, several, "governance");
    if !alerts.given {
        lines.add("know", "alerts were not examined: no file of alerts was given".to_owned(), "alerts");
    }
    if governance.rules_in_force.is_none() {
        lines.add("know", "rules were not examined: no pipeline with [governance] was given".to_owned(), "governance");
    }
    lines.0
}

/// Names that a line has room for.
const MAX_NAMES: usize = 4;

#[derive(Default)]
struct Lines(Vec<Attention>);

impl Lines {
    fn add(&mut self, urgency: &'static str, text: String, section: &'static str) {
        self.0.push(Attention { urgency, text, section });
    }

    fn count(&mut self, urgency: &'static str, count: usize, one: &str, several: &str, section: &'static str) {
        self.named(urgency, count, one, several, section, [].into_iter());
    }

    fn named<'a>(
        &mut self,
        urgency: &'static str,
        count: usize,
        one: &str,
        several: &str,
        section: &'static str,
        names: impl Iterator<Item = &'a str>,
    ) {
        if count == 0 {
            return;
        }
        let names: Vec<&str> = names.take(MAX_NAMES).collect();
        let names = match (names.len(), count) {
            (0, _) => String::new(),
            (shown, count) if shown < count => format!(": {} and {} more", names.join(", "), count - shown),
            _ => format!(": {}", names.join(", ")),
        };
        self.add(urgency, format!("{count} {}{names}", if count == 1 { one } else { several }), section);
    }
}
