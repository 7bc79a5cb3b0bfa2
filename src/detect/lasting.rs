//! Whether a change goes on, or was over within a quarter of an hour.
//!
//! A vendor that is slow for ten minutes and recovers wakes nobody: there is nothing left to do. Its evidence stays in the longer windows,
//! though, where it looks like a smaller change that lasts. So what is asked is not how long the evidence is reported, but how it lies in
//! time: the loudest part of it, against what comes just before and after.
//!
//! Not here: which classes of findings wait for it (`class`), and what else is harmless (`harmless`).

use std::ops::Range;

use super::memory::State;
use crate::calls::fixed_to_f64;
use crate::features::{Column, FeatureVector, HOUR};
use crate::models::baseline::Verdict;
use crate::models::statistic::Kind;
use crate::rollup::hour_of;

/// Share of the loudest part's effect that its neighbour must show.
const HALF: f64 = 0.5;

/// Share of a count's excess that must lie outside of its loudest part: failures are few, and which quarter of an hour has most is chance.
const OUTSIDE: f64 = 0.15;

/// Calls of a window from which ten minutes of it have a mean: of fewer, whatever is loudest is chance too.
const MIN_CALLS: f64 = 60.0;

/// How a window is divided: slots of the loudest part, of its neighbour, and of the whole window; slots that the loudest part may touch.
struct Division {
    loudest: usize,
    beside: usize,
    all: usize,
    touched: usize,
}

/// A quarter of an hour and ten minutes of the last hour; of the longer windows an hour and two: what lasts some minutes may lie in both of
/// two hours.
const SHORT: Division = Division { loudest: 3, beside: 2, all: 12, touched: 4 };
const LONG: Division = Division { loudest: 1, beside: 2, all: 24, touched: 2 };

/// Whether what `verdict` says of an entity lasts: the ten minutes before or after its loudest quarter of an hour (of a window beyond an
/// hour: the two hours before or after its loudest one) show at least half of its effect by the call; of a count, or of few calls, a part of its excess lies
/// outside of the buckets that a quarter of an hour may touch (of the hours that an hour may).
pub(super) fn lasts(state: &State, verdict: &Verdict, bucket: i64) -> bool {
    let is_count = matches!(verdict.test.statistic().kind, Kind::Count(..));
    divided(state, verdict, bucket).is_none_or(|(slots, division)| {
        let is_thin = slots.iter().map(|(_, calls)| calls).sum::<f64>() < MIN_CALLS;
        if is_count || is_thin { is_spread(&slots, &division) } else { goes_on(&slots, &division) }
    })
}

/// Whether what `verdict` says of an entity is over: the newest ten minutes (of a window beyond an hour: the newest two hours) show less than
/// half of its loudest part's effect by the call.
pub(super) fn is_over(state: &State, verdict: &Verdict, bucket: i64) -> bool {
    divided(state, verdict, bucket).is_some_and(|(slots, division)| {
        let newest = slots.len().saturating_sub(division.beside);
        loudest(&slots, division.loudest)
            .is_some_and(|loudest| by_call(&slots[newest..]) < HALF * by_call(&slots[loudest]))
    })
}

/// The slots of a test's window, oldest first: what each adds to the change, and its calls; `None` where a statistic is no sum over calls.
fn divided(state: &State, verdict: &Verdict, bucket: i64) -> Option<(Vec<(f64, f64)>, Division)> {
    let kind = verdict.test.statistic().kind;
    let sign = verdict.seen.effect(kind).signum();
    let (window, division) = if verdict.test.window <= HOUR { (HOUR, SHORT) } else { (verdict.test.window, LONG) };
    let newest = if window == HOUR { bucket } else { hour_of(bucket) };
    let mut slots = vec![(0.0, 0.0); division.all];
    for (at, values) in state.windows.parts(window, bucket) {
        let effect = effect_of(kind, values, sign)?;
        if let Some(slot) = usize::try_from(newest - at).ok().and_then(|ago| slots.iter_mut().rev().nth(ago)) {
            *slot = effect;
        }
    }
    Some((slots, division))
}

/// What a slot adds to a change, and calls; `None` where a statistic is not a sum over calls.
fn effect_of(kind: Kind, values: &FeatureVector, sign: f64) -> Option<(f64, f64)> {
    let at = |column: Column| values[column as usize];
    match kind {
        Kind::Mean(residual, count) => Some((sign * fixed_to_f64(at(residual)), at(count) as f64)),
        Kind::Count(observed, expected) => {
            Some((at(observed) as f64 - fixed_to_f64(at(expected)), at(Column::Calls) as f64))
        }
        Kind::Volume | Kind::Mix | Kind::Largest(..) => None,
    }
}

/// Effect by the call of some slots.
fn by_call(slots: &[(f64, f64)]) -> f64 {
    let (effect, calls) = sum(slots);
    if calls > 0.0 { effect / calls } else { 0.0 }
}

fn sum(slots: &[(f64, f64)]) -> (f64, f64) {
    slots.iter().fold((0.0, 0.0), |sum, slot| (sum.0 + slot.0, sum.1 + slot.1))
}

/// Which `count` slots (of n_slots of effect and calls) are the loudest part; of several, the earliest.
fn loudest(slots: &[(f64, f64)], count: usize) -> Option<Range<usize>> {
    let parts = (0..=slots.len().checked_sub(count)?).map(|start| start..start + count);
    parts.rev().max_by(|a, b| sum(&slots[a.clone()]).0.total_cmp(&sum(&slots[b.clone()]).0))
}

/// Whether slots (n_slots of effect and calls, oldest first) show at least half of their loudest part's effect right before or after it.
fn goes_on(slots: &[(f64, f64)], division: &Division) -> bool {
    let Some(loudest) = loudest(slots, division.loudest) else { return false };
    let before = loudest.start.checked_sub(division.beside).map(|from| &slots[from..loudest.start]);
    let after = slots.get(loudest.end..loudest.end + division.beside);
    [before, after].into_iter().flatten().any(|beside| by_call(beside) >= HALF * by_call(&slots[loudest.clone()]))
}

/// Whether a part of the excess of slots (n_slots of effect and calls, oldest first) lies outside of the loudest ones.
fn is_spread(slots: &[(f64, f64)], division: &Division) -> bool {
    let Some(loudest) = loudest(slots, division.touched) else { return false };
    let (all, within) = (sum(slots).0, sum(&slots[loudest]).0);
    all - within >= OUTSIDE * all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty calls a bucket, of which each has the effect of its bucket.
    fn hour(effects: [f64; 12]) -> Vec<(f64, f64)> {
        effects.iter().map(|effect| (20.0 * effect, 20.0)).collect()
    }

    #[test]
    fn a_quarter_of_an_hour_is_over_and_what_follows_it_for_ten_minutes_is_not() {
        let after = |buckets: usize| {
            hour(std::array::from_fn(|bucket| if (4..4 + buckets).contains(&bucket) { 1.0 } else { 0.05 }))
        };
        assert!(!goes_on(&after(3), &SHORT));
        assert!(goes_on(&after(5), &SHORT) && goes_on(&after(8), &SHORT));
    }

    #[test]
    fn what_begins_and_ends_within_buckets_is_as_short_as_it_is() {
        let effects = [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!(!goes_on(&hour(effects), &SHORT));
    }

    #[test]
    fn a_burst_of_failures_is_short_and_some_each_hour_are_not_whatever_hour_has_most() {
        let failures = |counts: [f64; 12]| counts.map(|count| (count - 0.05, 20.0));
        let burst = [0.0, 0.0, 0.0, 3.0, 7.0, 6.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        let spread = [0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 1.0, 1.0];
        assert!(!is_spread(&failures(burst), &SHORT) && is_spread(&failures(spread), &SHORT));
    }

    #[test]
    fn what_has_just_begun_may_yet_pass() {
        let begun = |buckets: usize| hour(std::array::from_fn(|bucket| if bucket >= 12 - buckets { 1.0 } else { 0.0 }));
        assert!((1..5).all(|buckets| !goes_on(&begun(buckets), &SHORT)));
        assert!(goes_on(&begun(5), &SHORT));
    }

    #[test]
    fn an_hour_of_a_day_is_over_and_three_are_not() {
        let day = |hours: usize| -> Vec<(f64, f64)> {
            (0..24).map(|hour| (if (6..6 + hours).contains(&hour) { 30.0 } else { 1.0 }, 60.0)).collect()
        };
        assert!(!goes_on(&day(1), &LONG) && goes_on(&day(3), &LONG));
    }
}
