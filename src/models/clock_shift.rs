//! A clock that moved: whether calls keep their usual hours, or those before or after.
//!
//! Summer time, a new time zone of the schedulers: from one day on everything comes an hour later. The hours at which a pair called are a
//! multinomial sample of its usual day; what they say for another hour is a log-likelihood ratio (Wilks, Annals of Mathematical Statistics
//! 9, 1938). Only the shape of the day counts, so neither growth nor a day off looks like a shift. Calls come in bunches, so no pair
//! counts for more than a few independent ones.
//!
//! Not here: how many callers must agree (`detect`).

use super::seasonality::Seasonality;
use crate::rollup::BUCKETS_PER_HOUR;

/// Independent calls that a pair counts for at most.
const MAX_CALLS: f64 = 30.0;
/// Share of a day's calls that any hour may have, whatever was seen: no single hour decides alone.
const FLOOR: f64 = 1e-3;

/// The evidence, in nats, that calls came `shift` hours after their usual hours rather than `against` hours after. `calls` are the calls
/// of consecutive hours (n_hours), the last of which is hour `last` since the epoch.
pub fn evidence(seasonality: &Seasonality, calls: &[i64], last: i64, shift: i64, against: i64) -> f64 {
    let first = last - calls.len() as i64 + 1;
    let usual = |shift: i64| {
        let of_hour = |hour: i64| seasonality.expected((hour - shift + 1) * BUCKETS_PER_HOUR - 1, BUCKETS_PER_HOUR);
        let expected: Vec<f64> = (first..=last).map(of_hour).collect();
        let total = expected.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        expected.into_iter().map(move |calls| (calls / total).max(FLOOR))
    };
    let total = calls.iter().sum::<i64>() as f64;
    let weight = (MAX_CALLS / total.max(1.0)).min(1.0);
    let ratios = usual(shift).zip(usual(against)).map(|(shifted, usual)| (shifted / usual).ln());
    calls.iter().zip(ratios).map(|(calls, ratio)| weight * *calls as f64 * ratio).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::seasonality::Span;

    /// Two weeks of a day that begins at eight and ends at eighteen.
    fn office() -> Seasonality {
        let span = Span { first: 0, last: 14 * 288 - 1 };
        let calls = |bucket: i64| if (96..216).contains(&bucket.rem_euclid(288)) { 6 } else { 0 };
        let calls: Vec<(i64, i64)> = (span.first..=span.last).map(|bucket| (bucket, calls(bucket))).collect();
        Seasonality::fit(&calls, span, None)
    }

    /// Calls of the hours from five to ten of day 20, where work begins at `begin`.
    fn morning(begin: i64, calls: i64) -> Vec<i64> {
        (5..11).map(|hour| if hour >= begin { calls } else { 0 }).collect()
    }

    #[test]
    fn a_day_that_begins_an_hour_later_is_seen_and_a_usual_or_a_quiet_one_is_not() {
        let (office, last) = (office(), 20 * 24 + 10);
        assert!(evidence(&office, &morning(9, 70), last, 1, 0) > 3.0);
        assert!(evidence(&office, &morning(8, 70), last, 1, 0) < -3.0);
        assert!(evidence(&office, &morning(8, 20), last, 1, 0) < -3.0, "a day off");
        assert!(evidence(&office, &[0; 6], last, 1, 0).abs() < 1e-9, "no calls say nothing");
        assert!(evidence(&office, &morning(9, 70), last, 0, 1) < -3.0, "and it stays shifted");
    }
}
