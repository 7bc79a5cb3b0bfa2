//! A report in a few lines, for a terminal.
//!
//! Not here: the page (`page`), and what needs attention (`attention`).

use super::Report;
use super::chart::grouped;

/// Names that a line has room for.
const MAX_NAMES: usize = 5;

impl Report {
    /// Vendors, keys, who answers for them, and what is not as it should be.
    pub fn summary(&self) -> String {
        let Self { inventory, credentials, ownership, governance, coverage, .. } = self;
        let total = |kind: &str| inventory.totals.iter().find(|total| total.kind == kind);
        let known = |kind: &str| {
            let count = total(kind).map_or(0, |total| total.known);
            format!("{} {kind}{}", grouped(i64::try_from(count).unwrap_or(i64::MAX)), if count == 1 { "" } else { "s" })
        };
        let calls = inventory.days.iter().map(|day| day.calls).sum();
        let most: Vec<&str> = inventory.vendors.iter().map(|vendor| &*vendor.vendor).collect();
        let new: Vec<&str> = inventory.new_of("vendor").map(|change| &*change.name).collect();
        let without: Vec<&str> = ownership.without_owner.iter().map(String::as_str).collect();
        let silent: Vec<&str> = coverage.silent.iter().map(|silent| &*silent.caller).collect();
        let overdue = ownership.vendors.iter().filter(|one| one.state == "overdue").map(|one| &*one.vendor);
        let overdue: Vec<&str> = overdue.collect();
        let unapproved = match &governance.unapproved {
            Some(pairs) => {
                let pairs: Vec<String> =
                    pairs.iter().map(|pair| format!("{} by {}", pair.vendor, pair.caller)).collect();
                some(&pairs.iter().map(String::as_str).collect::<Vec<_>>())
            }
            None => "no policy approves vendors".to_owned(),
        };
        let oldest = credentials.oldest_days.map_or(String::new(), |days| format!(", the oldest in use {days} days"));
        let due = credentials.due.len();
        let lines = [
            ("vendors", format!("{}, {} calls by {}", known("vendor"), grouped(calls), known("caller"))),
            ("most called", some(&most)),
            ("new", some(&new)),
            ("endpoints", known("endpoint")),
            ("keys", format!("{}{oldest}", credentials.known)),
            ("keys due", format!("{due} to be rotated or revoked")),
            ("no owner", some(&without)),
            (
                "reviews",
                if overdue.is_empty() { "none overdue".to_owned() } else { format!("overdue: {}", some(&overdue)) },
            ),
            ("not approved", unapproved),
            ("silent", some(&silent)),
        ];
        lines.map(|(name, text)| format!(" {name:<13} {text}")).join("\n")
    }
}

fn some(names: &[&str]) -> String {
    match names.len() {
        0 => "none".to_owned(),
        count if count > MAX_NAMES => format!("{} and {} more", names[..MAX_NAMES].join(", "), count - MAX_NAMES),
        _ => names.join(", "),
    }
}
