//! The sentence of a finding: who, whom, what, how much against usual, over which time, and who else sees it.
//!
//! Not here: numbers in words (`words`), and who sees it (`attribution`).

use super::{Cause, Contribution, Sharing, in_numbers, in_window};
use crate::models::audit::test_named;
use crate::models::statistic::statistic_named;

/// What the sentence of a finding is made of.
#[derive(Clone, Copy, Debug)]
pub struct Sentence<'a> {
    /// What it is about.
    pub cause: &'a Cause,
    /// Who called; empty where it is about the vendor as a whole.
    pub caller: &'a str,
    /// Whom.
    pub vendor: &'a str,
    /// The endpoint that the evidence names.
    pub endpoint: Option<&'a str>,
    /// The strongest reason.
    pub leading: Option<&'a Contribution>,
    /// What else the caller showed for the first time within the hour, in words.
    pub also: &'a [String],
    /// How many others call the vendor.
    pub others: usize,
    /// Whether they see it; `None` where nobody asked.
    pub sharing: Option<Sharing>,
}

/// A finding in one plain sentence, without a full stop.
pub fn sentence(of: &Sentence<'_>) -> String {
    let Some(leading) = of.leading else {
        return format!("{} at {}: {}", who(of), of.vendor, of.cause.name);
    };
    if leading.is_novelty() { novelty(of, leading) } else { shift(of, leading) }
}

fn who(of: &Sentence<'_>) -> String {
    if of.caller.is_empty() { format!("callers of {}", of.vendor) } else { of.caller.to_owned() }
}

/// What is more or less than usual, by how much, and who else sees it.
fn shift(of: &Sentence<'_>, leading: &Contribution) -> String {
    let whom = if of.caller.is_empty() { "it" } else { of.vendor };
    let what = what_shifted(of, &who(of), whom);
    if of.cause.name == "multivariate" {
        return format!("{what}, most of all by its {}", leading.name.replace('_', " "));
    }
    let window = &leading.window;
    let over = if window.is_empty() { String::new() } else { format!(" over {}", in_window(window)) };
    let times = times(leading);
    let seen = seen_by(of);
    format!("{what}: {}{over}, usually {}{times}{seen}", leading.observed, leading.baseline)
}

fn what_shifted(of: &Sentence<'_>, who: &str, whom: &str) -> String {
    let endpoint = of.endpoint.unwrap_or("one endpoint");
    match (of.cause.name, of.cause.is_rise) {
        ("bytes_out", true) => format!("{who} sent {whom} larger requests than usual"),
        ("bytes_out", false) => format!("{who} sent {whom} smaller requests than usual"),
        ("bytes_in", true) => format!("{who} got larger answers from {whom} than usual"),
        ("bytes_in", false) => format!("{who} got smaller answers from {whom} than usual"),
        ("latency", true) => format!("{who} waited longer for {whom} than usual"),
        ("latency", false) => format!("{who} waited less for {whom} than usual"),
        ("denied", _) => format!("{who} had more calls denied by {whom} than usual"),
        ("client_error", _) => format!("{who} met more client errors at {whom} than usual"),
        ("throttled", _) => format!("{who} had more calls throttled by {whom} than usual"),
        ("server_error", _) => format!("{who} met more server errors at {whom} than usual"),
        ("endpoint_mix", _) => format!("{who} called {endpoint} at {whom} more than usual"),
        ("bytes_out_max", _) => format!("{who} sent {whom} one request far larger than usual"),
        ("bytes_in_max", _) => format!("{who} got one answer from {whom} far larger than usual"),
        ("calls", true) => format!("{who} called {whom} far more often than usual"),
        ("silence", _) if of.caller.is_empty() => format!("{} fell silent", of.vendor),
        ("silence", _) => format!("{who} stopped calling {whom}"),
        ("bytes_out_leak", _) => format!("{who} sent {whom} a little more in every call"),
        ("bytes_out_peak", _) => format!("{who} sent {whom} more than ever"),
        ("spend_peak", _) => format!("{who} spent more at {whom} than ever, by list price"),
        ("bytes_in_peak", _) => format!("{who} fetched more from {whom} than ever"),
        ("model_drift", _) => "what was learned no longer fits what is logged".to_owned(),
        ("multivariate", _) => format!("{who} had an hour at {whom} unlike any before"),
        (name, is_rise) => {
            let of_audit = || test_named(name).map(|test| test.summary);
            let says = statistic_named(name).map(|statistic| statistic.says).or_else(of_audit).unwrap_or(name);
            format!("{who} at {whom}: {} {says} than usual", if is_rise { "more" } else { "less" })
        }
    }
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
    match (of.cause.is_of_vendor, of.sharing) {
        _ if of.cause.name == "silence" || of.cause.name == "model_drift" => "",
        (true, _) => "; its callers see it alike",
        (false, None) => "",
        (false, Some(_)) if of.others == 0 => "; nobody else calls it",
        (false, Some(Sharing::Own)) => "; its other callers do not see it",
        (false, Some(Sharing::Unknown)) => "; its other callers are too quiet to tell whether they see it",
        (false, Some(Sharing::Likely | Sharing::Confirmed)) => "; its other callers see it too",
    }
}

/// What was never there before.
fn novelty(of: &Sentence<'_>, leading: &Contribution) -> String {
    let (who, vendor, seen) = (who(of), of.vendor, &leading.observed);
    let kinds = ["network_", "region_", "country_"];
    let told = match leading.name.as_str() {
        "vendor_new" | "vendor_new_drop" => format!("{who} called {vendor}, {seen}"),
        "plaintext" => format!("{who} called {vendor} over plaintext HTTP, a vendor that is called over TLS"),
        "pair_new" => format!("{who} called {vendor} for the first time, a vendor that others use"),
        "credential_burst" => format!("{who} showed {vendor} {seen}"),
        name if kinds.iter().any(|kind| name.starts_with(kind)) => format!("{who} called {vendor} from {seen}"),
        name if name.starts_with("client_") || name.starts_with("credential_") => {
            format!("{who} called {vendor} with {seen}")
        }
        name if name.starts_with("endpoint_") => format!("{who} called {seen}, at {vendor}"),
        "tls_old" => format!("{who} called {vendor} over {seen}"),
        _ => format!("{who} at {vendor}: {seen}"),
    };
    let also =
        if of.also.is_empty() { String::new() } else { format!("; within the hour also {}", of.also.join(", ")) };
    format!("{told} ({}){also}", leading.baseline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::View;

    fn cause(name: &'static str, is_of_vendor: bool) -> Cause {
        Cause { name, is_rise: true, is_of_vendor, view: View::Egress }
    }

    fn reason(name: &str, window: &str, observed: (&str, f64), baseline: (&str, f64)) -> Contribution {
        Contribution {
            name: name.to_owned(),
            window: window.to_owned(),
            observed: observed.0.to_owned(),
            baseline: baseline.0.to_owned(),
            observed_value: Some(observed.1),
            baseline_value: Some(baseline.1),
            unit: String::new(),
            share: 1.0,
            p_value: 1e-6,
        }
    }

    fn about<'a>(cause: &'a Cause, caller: &'a str, leading: &'a Contribution) -> Sentence<'a> {
        Sentence {
            cause,
            caller,
            vendor: "plaid",
            endpoint: None,
            leading: Some(leading),
            also: &[],
            others: 3,
            sharing: Some(Sharing::Own),
        }
    }

    #[test]
    fn a_shift_tells_how_much_over_which_time_and_who_else_sees_it() {
        let slow = reason("latency", "15m", ("about 1.64 s a call", 1640.0), ("about 532 ms a call", 532.0));
        assert_eq!(
            sentence(&about(&cause("latency", false), "fraud-scorer", &slow)),
            "fraud-scorer waited longer for plaid than usual: about 1.64 s a call over 15 minutes, \
             usually about 532 ms a call (3.1 times as much); its other callers do not see it"
        );
        assert_eq!(
            sentence(&about(&cause("latency", true), "", &slow)),
            "callers of plaid waited longer for it than usual: about 1.64 s a call over 15 minutes, \
             usually about 532 ms a call (3.1 times as much); its callers see it alike"
        );
    }

    #[test]
    fn a_first_sight_tells_what_else_was_new() {
        let seen = ("a credential never seen: fp_7e00", 1.0);
        let new = reason("credential_new", "", seen, ("expected 0.2 times a day", 0.2));
        let cause = cause("credential_new", false);
        let mut about = about(&cause, "billing", &new);
        assert_eq!(
            sentence(&about),
            "billing called plaid with a credential never seen: fp_7e00 (expected 0.2 times a day)"
        );
        let also = ["a client that nobody here uses: evil".to_owned()];
        about.also = &also;
        assert!(sentence(&about).contains("; within the hour also a client that nobody here uses: evil"));
    }
}
