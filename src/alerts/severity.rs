//! Severity: from how rarely an alarm of this level occurs by chance, and from the impact.
//!
//! The budget alone decides whether a person is paged: impact never pages for what is outside the budget, and never suppresses what is within
//! it. On either side, impact and rarity move the severity by one step.
//!
//! Not here: the rate itself (`models::calibration`, from the p-value and the number of entities).

use super::Severity;
use crate::detect::Impact;

/// An alarm this many times rarer than the budget is one step more severe.
const MUCH_RARER: f64 = 100.0;

/// The severity of an alarm of which `alarms_per_day` are expected by chance over all entities, under a budget of `budget` paging
/// alarms a day.
///
/// It pages ([`Severity::Medium`] and above) exactly if the rate is within the budget. A rate that is no number does not page.
pub fn severity(alarms_per_day: f64, budget: f64, impact: Impact) -> Severity {
    let much_rarer = alarms_per_day * MUCH_RARER <= budget;
    match (alarms_per_day <= budget, impact) {
        (false, Impact::Low) => Severity::Informational,
        (false, _) => Severity::Low,
        (true, Impact::Medium) if much_rarer => Severity::High,
        (true, Impact::High) if much_rarer => Severity::Critical,
        (true, Impact::High) => Severity::High,
        (true, _) => Severity::Medium,
    }
}

/// Risk from 0 to 100: the severity sets the range, rarity the position in it.
///
/// The ranges are those that SIEMs map to severities (Elastic Security: low from 21, medium from 47, high from 73, critical from
/// 99). The position moves from the lower end at ten alarms a day to the upper at one in a million days, by the logarithm.
pub fn risk_score(severity: Severity, alarms_per_day: f64) -> u8 {
    let (lowest, highest) = match severity {
        Severity::Informational => (0, 20),
        Severity::Low => (21, 46),
        Severity::Medium => (47, 72),
        Severity::High => (73, 98),
        Severity::Critical => (99, 100),
    };
    let position = ((1.0 - alarms_per_day.log10()) / 7.0).clamp(0.0, 1.0);
    // The cast cannot wrap: `position` is in 0..=1, or NaN, which casts to 0.
    lowest + (position * f64::from(highest - lowest)).round() as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IMPACTS: [Impact; 3] = [Impact::Low, Impact::Medium, Impact::High];

    proptest! {
        #[test]
        fn an_alarm_pages_exactly_within_the_budget(rate in 1e-6..1e3, budget in 1e-3..1e2, impact in 0..3usize) {
            prop_assert_eq!(severity(rate, budget, IMPACTS[impact]) >= Severity::Medium, rate <= budget);
        }

        #[test]
        fn higher_rarity_or_impact_is_never_less_severe(rate in 1e-6..1e3, rarer in 1e-6..1.0, budget in 1e-3..1e2, impact in 0..3usize) {
            let here = severity(rate, budget, IMPACTS[impact]);
            prop_assert!(severity(rate * rarer, budget, IMPACTS[impact]) >= here);
            prop_assert!(IMPACTS[impact..].iter().all(|heavier| severity(rate, budget, *heavier) >= here));
            prop_assert!(risk_score(here, rate * rarer) >= risk_score(here, rate));
        }
    }

    #[test]
    fn a_hundred_times_rarer_is_a_step_more_severe() {
        assert_eq!(severity(1.0, 1.0, Impact::Medium), Severity::Medium);
        assert_eq!(severity(0.01, 1.0, Impact::Medium), Severity::High);
        assert_eq!(severity(1.0, 1.0, Impact::High), Severity::High);
        assert_eq!(severity(0.01, 1.0, Impact::High), Severity::Critical);
    }

    #[test]
    fn a_higher_severity_scores_above_every_lower_one() {
        use Severity::{Critical, High, Informational, Low, Medium};
        for pair in [Informational, Low, Medium, High, Critical].windows(2) {
            assert!(risk_score(pair[0], 0.0) < risk_score(pair[1], f64::INFINITY), "{pair:?}");
        }
        assert_eq!(risk_score(Informational, f64::NAN), 0);
        assert_eq!(risk_score(Critical, 0.0), 100);
    }
}
