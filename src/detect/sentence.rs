//! The sentence of a finding: who, whom, what, how much against usual, over which time, and who else sees it.
//!
//! A class words what happened; here is what all sentences have in common.
//!
//! Not here: numbers in words (`words`), and who sees it (`attribution`).

use super::attribution::Sharing;
use super::class::Sentence;
use super::contribution::Contribution;
use super::words::{in_numbers, in_window};
use crate::models::audit::test_named;

/// What is more or less than usual, by how much, and who else sees it.
pub(super) fn shifted(of: &Sentence<'_>, what: &str) -> String {
    measured(of, what, seen_by(of))
}

/// The same of what others cannot see.
pub(super) fn measured(of: &Sentence<'_>, what: &str, seen: &str) -> String {
    let Some(leading) = of.leading else { return bare(of) };
    let window = &leading.window;
    let over = if window.is_empty() { String::new() } else { format!(" over {}", in_window(window)) };
    let times = times(leading);
    format!("{what}: {}{over}, usually {}{times}{seen}", leading.observed, leading.baseline)
}

/// More of what a test of the audit view counts.
pub(super) fn counted(of: &Sentence<'_>) -> String {
    let counts = test_named(of.class.name).map_or(of.class.name, |test| test.summary);
    shifted(
        of,
        &format!("{} at {}: {} {counts} than usual", of.who(), of.whom(), if of.is_rise { "more" } else { "less" }),
    )
}

/// A sentence without evidence.
pub(super) fn bare(of: &Sentence<'_>) -> String {
    format!("{} at {}: {}", of.who(), of.vendor, of.class.name)
}

/// How many times as much, where both are numbers and something is usual.
fn times(leading: &Contribution) -> String {
    let (Some(observed), Some(baseline)) = (leading.observed_value, leading.baseline_value) else {
        return String::new();
    };
    match observed / baseline {
        times if !times.is_finite() || times < 0.0 => String::new(),
        times if times >= 10.0 => format!(" ({times:.0} times as much)"),
        times if times >= 1.1 => format!(" ({} times as much)", in_numbers((10.0 * times).round() / 10.0)),
        0.0 => String::new(),
        times => format!(" ({:.0} % of it)", 100.0 * times),
    }
}

fn seen_by(of: &Sentence<'_>) -> &'static str {
    match (of.class.is_of_vendor(), of.sharing) {
        (true, _) => "; its callers see it alike",
        (false, None) => "",
        (false, Some(_)) if !of.has_others => "; nobody else calls it",
        (false, Some(Sharing::Own)) => "; its other callers do not see it",
        (false, Some(Sharing::Unknown)) => "; its other callers are too quiet to tell whether they see it",
        (false, Some(Sharing::Likely | Sharing::Confirmed)) => "; its other callers see it too",
    }
}

/// What was never there before; `says` words it with the new thing.
fn novelty(of: &Sentence<'_>, says: impl Fn(&str) -> String) -> String {
    let Some(leading) = of.leading else { return bare(of) };
    let also =
        if of.also.is_empty() { String::new() } else { format!("; within the hour also {}", of.also.join(", ")) };
    format!("{} ({}){also}", says(&leading.observed), leading.baseline)
}

/// A new thing that needs no words but its own.
pub(super) fn new_said(of: &Sentence<'_>, says: &str) -> String {
    novelty(of, |_| says.to_owned())
}

/// Something new at a vendor.
pub(super) fn new_at(of: &Sentence<'_>) -> String {
    novelty(of, |seen| format!("{} at {}: {seen}", of.who(), of.vendor))
}

/// A new place.
pub(super) fn new_from(of: &Sentence<'_>) -> String {
    novelty(of, |seen| format!("{} called {} from {seen}", of.who(), of.vendor))
}

/// A new client or credential.
pub(super) fn new_with(of: &Sentence<'_>) -> String {
    novelty(of, |seen| format!("{} called {} with {seen}", of.who(), of.vendor))
}

/// A new vendor.
pub(super) fn new_vendor(of: &Sentence<'_>) -> String {
    novelty(of, |seen| format!("{} called {}, {seen}", of.who(), of.vendor))
}

/// A new endpoint.
pub(super) fn new_endpoint(of: &Sentence<'_>) -> String {
    novelty(of, |seen| format!("{} called {seen}, at {}", of.who(), of.vendor))
}

/// Many new credentials.
pub(super) fn new_shown(of: &Sentence<'_>) -> String {
    novelty(of, |seen| format!("{} showed {} {seen}", of.who(), of.vendor))
}

/// An old version.
pub(super) fn new_over(of: &Sentence<'_>) -> String {
    novelty(of, |seen| format!("{} called {} over {seen}", of.who(), of.vendor))
}
