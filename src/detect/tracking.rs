//! The tracking of a known entity since training: how its means move, and which shifts are its new level.
//!
//! Not here: what adds up slowly (`slow_leak`), and whether the whole model is out of date (`model_drift`).

use serde::{Deserialize, Serialize};

use crate::features::FeatureVector;
use crate::models::adaptation::{Adaptation, Shift};
use crate::models::baseline::Verdict;
use crate::models::hourly::{Hourly, Means};
use crate::models::statistic::Kind;

/// What goes on of one entity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tracking {
    hourly: Hourly,
    /// How far its means have moved since training.
    pub adaptation: Adaptation,
}

impl Tracking {
    /// Adds the features of a bucket. Returns the hour before, if the bucket completes one; its means are followed unless the baseline
    /// is frozen, so that an attacker cannot train it.
    pub fn follow(&mut self, bucket: i64, values: &FeatureVector, is_frozen: impl FnOnce() -> bool) -> Option<Means> {
        let hour = self.hourly.add(bucket, values)?;
        if !is_frozen() {
            self.adaptation.follow(&hour);
        }
        Some(hour)
    }
}

/// Shifts that are being reported of an entity, by an index: of a statistic, or of a kind of peak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shifts(Vec<(usize, Shift)>);

impl Shifts {
    /// Whether none is reported.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one is reported at an index.
    pub fn has(&self, index: usize) -> bool {
        self.0.iter().any(|(known, _)| *known == index)
    }

    /// Whether an effect at `time` is no more than a level that was reported for a day.
    pub fn explain(&mut self, index: usize, kind: Kind, effect: f64, time: i64) -> bool {
        let shift = self.0.iter_mut().find(|(known, _)| *known == index);
        shift.is_some_and(|(_, shift)| shift.explains(kind, effect, time))
    }

    /// Remembers that a shift is being reported.
    pub fn remember(&mut self, index: usize, time: i64, effect: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == index) {
            Some((_, shift)) => shift.goes_on(time, effect),
            None => self.0.push((index, Shift::begun(time, effect))),
        }
    }

    /// Forgets what ended long ago, and says whether anything did.
    pub fn forget(&mut self, time: i64) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, shift)| !shift.is_forgotten(time));
        self.0.len() < before
    }

    /// What is no more than a level that was reported for a day is not new: its p-value becomes 1.
    pub fn pass_over_levels(&mut self, verdicts: &mut [Verdict], time: i64) {
        for verdict in verdicts.iter_mut().filter(|verdict| verdict.p_value < 1.0) {
            let kind = verdict.test.statistic().kind;
            if self.explain(verdict.test.statistic, kind, verdict.seen.effect(kind), time) {
                verdict.p_value = 1.0;
            }
        }
    }
}
