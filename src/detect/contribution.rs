//! Contributions: the reasons of a finding, in words and numbers.
//!
//! Not here: how a measure is worded (`words`, and each detector's file).

use serde::{Deserialize, Serialize};

use crate::models::novelty::novelty_named;

/// One reason of a finding: a measure, what is usual for it, and what was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Name of the measure (`bytes_out`, `denied`) or of the novelty (`network_public_new`).
    pub name: String,
    /// Trailing window that it was seen in (`5m` to `24h`); empty for a novelty.
    pub window: String,
    /// What was seen, in words with its unit.
    pub observed: String,
    /// What is usual, in words with its unit.
    pub baseline: String,
    /// What was seen, in `unit`; `None` where it is no number.
    pub observed_value: Option<f64>,
    /// What is usual, in `unit`; `None` where nothing is usual for it.
    pub baseline_value: Option<f64>,
    /// Unit of both values.
    pub unit: String,
    /// Its part of the finding's surprise, 0 to 1: of a test, its weight over its p-value among the entity's tests; of a
    /// novelty, its logarithm among all that its caller showed within the hour.
    pub share: f64,
    /// How often an entity-day would show as much by chance.
    pub p_value: f64,
}

impl Contribution {
    /// Whether it tells of something that was never there before.
    pub fn is_novelty(&self) -> bool {
        novelty_named(&self.name).is_some()
    }
}
