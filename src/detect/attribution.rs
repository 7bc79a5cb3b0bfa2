//! Who changed: the vendor, or this caller?
//!
//! The vendor's other callers are pooled over the same window. Where they show the same change, beyond noise, the vendor
//! changed; where they would show it if they shared it and do not, it is the caller's own. Size of effect and power are both
//! needed: one chance hit among other callers would hand a theft to the vendor.

use crate::calls::fixed_to_f64;
use crate::features::{Column, EntityState, EntityStore};
use crate::models::baseline::{Baselines, Verdict};
use crate::models::dispersion::UNKNOWN_DISPERSION;
use crate::models::statistic::{Kind, Observation, deviance, tests_at};

/// Share of the caller's effect that the others must show.
const SAME_SIZE: f64 = 0.4;
/// z of the others that is beyond noise, and far beyond it.
const BEYOND_NOISE: f64 = 2.5;
const FAR_BEYOND_NOISE: f64 = 4.0;

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

/// Whether a vendor's other callers show the change that `verdict` tells of `state`.
pub fn sharing<P>(store: &EntityStore<P>, baselines: &Baselines, state: &EntityState<P>, verdict: &Verdict) -> Sharing {
    let entity = &state.entity;
    let others: Vec<&EntityState<P>> = store
        .pairs_of(entity.view, &entity.vendor)
        .filter(|other| entity.caller.is_empty() || other.entity.caller != entity.caller)
        .collect();
    let (test, kind) = (verdict.test, verdict.test.statistic().kind);
    let sum = |column: Column| others.iter().map(|other| other.sum(column, test.window, store.now())).sum::<i64>();
    let pooled = match kind {
        Kind::Mean(residual, count) => {
            Observation { observed: fixed_to_f64(sum(residual)), against: sum(count) as f64, ..Observation::default() }
        }
        Kind::Count(observed, expected) => Observation {
            observed: sum(observed) as f64,
            against: fixed_to_f64(sum(expected)),
            ..Observation::default()
        },
        Kind::Volume | Kind::Mix | Kind::Largest(..) => return Sharing::Unknown,
    };
    let dispersion = usual_dispersion(&others, baselines, verdict);
    let (own, shared, z, power) = match kind {
        Kind::Mean(..) => {
            if pooled.against <= 0.0 || verdict.seen.against <= 0.0 {
                return Sharing::Unknown;
            }
            let noise = (1.0 / pooled.against + dispersion).sqrt();
            let own = verdict.seen.effect(kind);
            let shared = pooled.effect(kind) * own.signum();
            (own.abs(), shared, shared / noise, own.abs() / noise)
        }
        _ => {
            let (own, expected) = (verdict.seen.effect(kind), pooled.against.max(1e-4));
            let if_shared = deviance(expected * own.max(0.0).exp(), expected, dispersion);
            (own, pooled.effect(kind), deviance(pooled.observed, expected, dispersion), if_shared)
        }
    };
    let is_same_size = shared >= SAME_SIZE * own;
    match (is_same_size, z, power) {
        (true, z, _) if z >= FAR_BEYOND_NOISE => Sharing::Confirmed,
        (true, z, _) if z >= BEYOND_NOISE => Sharing::Likely,
        (false, _, power) if power >= FAR_BEYOND_NOISE => Sharing::Own,
        _ => Sharing::Unknown,
    }
}

/// Mean dispersion of the others in a test.
fn usual_dispersion<P>(others: &[&EntityState<P>], baselines: &Baselines, verdict: &Verdict) -> f64 {
    let of_other = |other: &&EntityState<P>| {
        let place = tests_at(other.entity.level).iter().position(|test| *test == verdict.test)?;
        baselines.get(other.entity.id())?.dispersion.get(place).copied()
    };
    let known: Vec<f32> = others.iter().filter_map(of_other).collect();
    if known.is_empty() { UNKNOWN_DISPERSION } else { f64::from(known.iter().sum::<f32>()) / known.len() as f64 }
}
