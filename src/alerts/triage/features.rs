//! The features of an alert for triage: numbers by name.
//!
//! Names come from our own catalogues (detectors, causes, techniques), never from a log, so a file of features holds nothing that an attacker
//! wrote. An absent name is zero: a detector added later changes no older row.
//!
//! Not here: who was judged before (`past`).

use std::collections::BTreeMap;

use crate::alerts::Alert;

/// An alert's features by name; what is not there is zero.
pub type Features = BTreeMap<String, f64>;

/// Name of the feature for how rarely an alarm of this level occurs by chance: `-log10` of alarms a day.
pub const RARITY: &str = "rarity";
/// Name of the feature for the severity before triage: OCSF's `severity_id`.
pub const SEVERITY: &str = "severity";
/// Prefix of the features for the causes of an alert.
pub const CAUSE: &str = "cause=";

/// Range of powers of ten within which rates and p-values are distinguished: from a thousand a day to once in a million million days.
const POWERS: (f64, f64) = (-3.0, 12.0);
const MICROSECONDS_A_MINUTE: f64 = 60e6;
const MICROSECONDS_AN_HOUR: i64 = 3_600_000_000;
/// Weekday of the epoch, from Monday.
const THURSDAY: i64 = 3;

/// The features of an alert.
pub fn features(alert: &Alert) -> Features {
    let yes = |is: bool| f64::from(u8::from(is));
    let minutes = alert.last_seen.saturating_sub(alert.first_seen).max(0) as f64 / MICROSECONDS_A_MINUTE;
    let novelties = alert.contributions.iter().filter(|reason| reason.is_novelty()).count();
    let hours = alert.time.div_euclid(MICROSECONDS_AN_HOUR);
    let days = hours.div_euclid(24) + THURSDAY;
    let numbers = [
        (RARITY, power(alert.alarms_per_day)),
        (SEVERITY, f64::from(alert.untriaged_severity() as u8)),
        ("surprise", power(alert.p_value)),
        ("reasons", alert.contributions.len() as f64),
        ("novelties", novelties as f64),
        ("calls_ln", (alert.calls as f64).ln_1p()),
        ("minutes_ln", minutes.ln_1p()),
        ("hosts", alert.hosts.len() as f64),
        ("parts", alert.involved.len() as f64),
        ("has_credential", yes(alert.credential.is_some())),
        ("has_endpoint", yes(alert.endpoint.is_some())),
        ("is_vendor_wide", yes(alert.caller.is_none())),
        ("hour", hours.rem_euclid(24) as f64),
        ("weekday", days.rem_euclid(7) as f64),
    ];
    let names = [
        format!("detector={}", alert.detector),
        format!("category={}", alert.category.as_str()),
        format!("view={}", alert.view.as_str()),
        format!("cause_class={}", alert.cause_class.as_str()),
    ];
    let likely = alert.likely.map(|benign| format!("likely={}", benign.as_str()));
    let technique = alert.technique.iter().map(|technique| format!("technique={technique}"));
    let causes = alert.contributions.iter().map(|reason| format!("{CAUSE}{}", reason.name));
    let window = alert.contributions.first().map(|strongest| format!("window={}", strongest.window));
    let present = names.into_iter().chain(likely).chain(technique).chain(causes).chain(window).map(|name| (name, 1.0));
    numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(present).collect()
}

/// `-log10`, within [`POWERS`]; 0 where it is no number.
fn power(rate: f64) -> f64 {
    let power = -rate.log10();
    if power.is_nan() { 0.0 } else { power.clamp(POWERS.0, POWERS.1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::sample;

    #[test]
    fn an_alert_is_described_by_numbers_alone_and_names_nobody() {
        let features = features(&sample());
        let says = |name: &str| features.get(name).copied().unwrap_or_default();
        assert!((says(RARITY) - 1.602).abs() < 1e-3);
        assert_eq!(
            [says("detector=burst"), says("cause=bytes_out"), says("hour"), says("weekday")],
            [1.0, 1.0, 1.0, 1.0]
        );
        assert!(features.keys().all(|name| !name.contains("payroll") && !name.contains("dropbox")));
    }

    #[test]
    fn a_rate_of_nothing_or_no_number_is_still_a_number() {
        assert_eq!([0.0, f64::INFINITY, f64::NAN, -1.0].map(power), [12.0, -3.0, 0.0, 0.0]);
    }
}
