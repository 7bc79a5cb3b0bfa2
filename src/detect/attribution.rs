//! Who changed: the vendor, or this caller?
//!
//! The vendor's other callers are pooled over the same window: each may be too quiet to say anything, and all together are not. Two
//! hypotheses are held against each other by the likelihood of what the pool shows: it shares the change, or it is as ever. Size of effect
//! and power are both needed: one chance hit among other callers would hand a theft to the vendor. A vendor's change multiplies sizes and
//! latencies, so the size of an effect is a ratio: in deviations of a call it differs from caller to caller.

use crate::features::{Column, EntityState, EntityStore, FeatureVector, WIDTH};
use crate::models::baseline::{Baselines, Verdict};
use crate::models::dispersion::UNKNOWN_DISPERSION;
use crate::models::statistic::{Kind, Observation, deviance, tests_at};

/// Share of the caller's effect that the others must show.
const SAME_SIZE: f64 = 0.4;
/// Evidence for one hypothesis against the other, in nats, beyond noise, and far beyond it.
const EVIDENCE: f64 = 3.0;
const FAR_BEYOND_NOISE: f64 = 8.0;

/// What a vendor's other callers say of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// They would show it if they shared it, and do not.
    Own,
    /// Too few calls to tell.
    Unknown,
    /// They show it.
    Likely,
    /// They show it far beyond noise.
    Confirmed,
}

/// The other callers of a vendor as one: their sums over a window, and their dispersion.
struct Pool {
    sums: FeatureVector,
    dispersion: f64,
}

/// Whether a vendor's other callers show the change that `verdict` tells of `state`.
pub fn sharing<P>(store: &EntityStore<P>, baselines: &Baselines, state: &EntityState<P>, verdict: &Verdict) -> Sharing {
    let kind = verdict.test.statistic().kind;
    let pool = Pool::of(store, baselines, state, verdict);
    let pooled = Observation::of(kind, &pool.sums, &[0; WIDTH], 0.0);
    match kind {
        Kind::Mean(..) => of_means(verdict.seen, pooled, pool.dispersion),
        Kind::Count(..) => of_counts(verdict.seen.effect(kind), pooled, pool.dispersion),
        Kind::Volume | Kind::Mix | Kind::Largest(..) => Sharing::Unknown,
    }
}

/// Of a mean: normal, of variance `1/n` and the dispersion.
fn of_means(seen: Observation, pooled: Observation, dispersion: f64) -> Sharing {
    if pooled.against <= 0.0 || seen.against <= 0.0 {
        return Sharing::Unknown;
    }
    let of_call = |sum: f64, of: Observation| sum / of.against;
    let (own, shared) = (of_call(seen.observed, seen), of_call(pooled.observed, pooled));
    let (own_ratio, shared_ratio) = (of_call(seen.shift, seen), of_call(pooled.shift, pooled));
    let sign = own.signum();
    let is_same_size = shared * sign >= SAME_SIZE * own.abs() || shared_ratio * sign >= SAME_SIZE * own_ratio * sign;
    let variance = 1.0 / pooled.against + dispersion;
    // Where it is shared, at least to the size that counts as the same.
    let if_shared = (shared * sign).max(SAME_SIZE * own.abs()) * sign;
    let for_shared = (shared * shared - (shared - if_shared).powi(2)) / (2.0 * variance);
    let power = own * own / (2.0 * variance);
    decided(is_same_size && shared * sign > 0.0, for_shared, power)
}

/// Of a count above its expectation: negative binomial; `own` is the effect as ln of the ratio.
fn of_counts(own: f64, pooled: Observation, dispersion: f64) -> Sharing {
    let expected = pooled.against.max(1e-4);
    let shared = pooled.effect(Kind::Count(Column::Calls, Column::Calls));
    let evidence = |count: f64| deviance(count, expected, dispersion).max(0.0).powi(2) / 2.0;
    decided(shared >= SAME_SIZE * own, evidence(pooled.observed), evidence(expected * own.max(0.0).exp()))
}

/// `evidence` for a shared change is what the pool shows, `power` what it would show of the whole effect, in nats.
fn decided(is_same_size: bool, evidence: f64, power: f64) -> Sharing {
    match (is_same_size, evidence, power) {
        (true, evidence, _) if evidence >= FAR_BEYOND_NOISE => Sharing::Confirmed,
        (true, evidence, _) if evidence >= EVIDENCE => Sharing::Likely,
        (false, _, power) if power >= FAR_BEYOND_NOISE => Sharing::Own,
        _ => Sharing::Unknown,
    }
}

impl Pool {
    fn of<P>(store: &EntityStore<P>, baselines: &Baselines, state: &EntityState<P>, verdict: &Verdict) -> Self {
        let entity = &state.entity;
        let (mut sums, mut squares, mut calls, mut dispersions) = ([0; WIDTH], 0.0, 0.0, Vec::new());
        let others = store.pairs_of(entity.view, &entity.vendor);
        for other in others.filter(|other| entity.caller.is_empty() || other.entity.caller != entity.caller) {
            let of_other = other.windows.parts(verdict.test.window, store.now());
            let own: FeatureVector =
                std::array::from_fn(|column| of_other.iter().map(|(_, values)| values[column]).sum());
            let called = own[Column::Calls as usize] as f64;
            (calls, squares) = (calls + called, squares + called * called);
            sums.iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
            let index = tests_at(other.entity.level).iter().position(|test| *test == verdict.test);
            let known = baselines.get(other.entity.id()).zip(index);
            dispersions.extend(known.and_then(|(known, index)| known.dispersion.get(index)).map(|of| f64::from(*of)));
        }
        let usual = if dispersions.is_empty() {
            UNKNOWN_DISPERSION
        } else {
            dispersions.iter().sum::<f64>() / dispersions.len() as f64
        };
        // Callers differ from day to day each by itself: what they have in common is less uncertain, the more of them there are.
        Self { sums, dispersion: if calls > 0.0 { usual * squares / (calls * calls) } else { usual } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of so many calls: in deviations of a call, and as ln of the ratio.
    fn mean(calls: f64, deviations: f64, ratio: f64) -> Observation {
        Observation { observed: calls * deviations, against: calls, shift: calls * ratio, ..Observation::default() }
    }

    #[test]
    fn what_others_show_beyond_noise_is_the_vendors_and_what_they_would_show_and_do_not_is_the_callers_own() {
        let slow = mean(100.0, 2.0, 0.7);
        assert_eq!(of_means(slow, mean(60.0, 1.8, 0.65), 0.01), Sharing::Confirmed);
        assert_eq!(of_means(slow, mean(3.0, 2.0, 0.7), 0.01), Sharing::Likely);
        assert_eq!(of_means(slow, mean(60.0, 0.05, 0.02), 0.01), Sharing::Own);
        assert_eq!(of_means(slow, mean(1.0, 0.1, 0.0), 0.01), Sharing::Unknown);
        assert_eq!(of_means(slow, mean(60.0, -2.0, -0.7), 0.01), Sharing::Own, "the other way");
    }

    #[test]
    fn an_answer_that_is_empty_for_all_is_so_by_its_ratio_whatever_answers_vary_by() {
        let of_constant_size = mean(40.0, -9.0, -3.0);
        assert_eq!(of_means(of_constant_size, mean(40.0, -2.0, -2.9), 0.02), Sharing::Confirmed);
    }

    #[test]
    fn counts_are_decided_alike() {
        let pooled = |observed: f64, against: f64| Observation { observed, against, ..Observation::default() };
        let tenfold = 10.0_f64.ln();
        assert_eq!(of_counts(tenfold, pooled(20.0, 2.0), 0.05), Sharing::Confirmed);
        assert_eq!(of_counts(tenfold, pooled(2.0, 2.0), 0.05), Sharing::Own);
        assert_eq!(of_counts(tenfold, pooled(0.0, 0.1), 0.05), Sharing::Unknown);
    }
}
