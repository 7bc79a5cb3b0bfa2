//! Peers: which pairs behave alike. A pair without history borrows what is usual for its group.
//!
//! k-means over standardised behaviour (Lloyd, IEEE Transactions on Information Theory 28, 1982; k-means++ starts by Arthur &
//! Vassilvitskii, SODA 2007; by linfa), seeded, with `sqrt(n / 2)` groups. Few entities, or columns that are not numbers, make one
//! group: borrowing from all is never wrong, only less precise.
//!
//! Not here: what is borrowed (`baseline`).

use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_clustering::KMeans;
use linfa_nn::distance::L2Dist;
use ndarray::{Array1, Array2, ArrayView1};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256Plus;
use serde::{Deserialize, Serialize};

use crate::features::{Column, FeatureVector};

/// Number of columns of a behaviour.
const COLUMNS: usize = 5;
/// Fewest entities that are grouped; most groups.
const MIN_ENTITIES: usize = 6;
const MAX_GROUPS: usize = 8;
/// Largest magnitude of a column of a behaviour, in its unit.
const MAX_ABSOLUTE: f64 = 50.0;
/// Starts of k-means, of which the best counts.
const STARTS: usize = 3;

/// A pair's behaviour (5): ln of calls a day, ln of the mean bytes of a request and of an answer, share of calls that fail (0 to
/// 1), and ratio of the level at weekends to that on weekdays. From the sums of its features over `days` days.
pub fn behaviour(sums: &FeatureVector, days: f64, weekend_level: f64) -> Vec<f64> {
    let at = |column: Column| sums[column as usize] as f64;
    let calls = at(Column::Calls).max(1.0);
    clean([
        (calls / days).ln_1p(),
        (at(Column::BytesOutSum) / at(Column::BytesOutCount).max(1.0)).ln_1p(),
        (at(Column::BytesInSum) / at(Column::BytesInCount).max(1.0)).ln_1p(),
        1.0 - at(Column::Ok) / calls,
        weekend_level,
    ])
}

/// What is not a number becomes 0, and what is larger than any behaviour is bounded.
fn clean(columns: [f64; COLUMNS]) -> Vec<f64> {
    columns.map(|value| if value.is_finite() { value.clamp(-MAX_ABSOLUTE, MAX_ABSOLUTE) } else { 0.0 }).to_vec()
}

/// Groups of pairs that behave alike.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Peers {
    /// Mean and standard deviation of each column (5), by which behaviour is standardised.
    scale: Vec<(f64, f64)>,
    model: Option<KMeans<f64, L2Dist>>,
}

impl Peers {
    /// Groups `behaviours` (n_entities, 5). The same behaviours and seed give the same groups.
    pub fn fit(behaviours: &[Vec<f64>], seed: u64) -> Self {
        let n = behaviours.len();
        if n < MIN_ENTITIES {
            return Self::default();
        }
        let column = |index: usize| behaviours.iter().map(move |row| row.get(index).copied().unwrap_or_default());
        let scale = (0..COLUMNS).map(|index| {
            let mean = column(index).sum::<f64>() / n as f64;
            let variance = column(index).map(|value| (value - mean).powi(2)).sum::<f64>() / n as f64;
            (mean, variance.sqrt().max(1e-9))
        });
        let mut peers = Self { scale: scale.collect(), model: None };
        let scaled: Vec<f64> = behaviours.iter().flat_map(|row| peers.scaled(row)).collect();
        let groups = (((n as f64) / 2.0).sqrt() as usize).clamp(1, MAX_GROUPS);
        let Ok(rows) = Array2::from_shape_vec((n, COLUMNS), scaled) else { return peers };
        let params = KMeans::params_with_rng(groups, Xoshiro256Plus::seed_from_u64(seed)).n_runs(STARTS);
        peers.model = params.fit(&DatasetBase::from(rows)).ok();
        peers
    }

    fn scaled(&self, behaviour: &[f64]) -> Array1<f64> {
        let at = |index: usize| behaviour.get(index).copied().unwrap_or_default();
        self.scale.iter().enumerate().map(|(index, (mean, deviation))| (at(index) - mean) / deviation).collect()
    }

    /// Index of the group of a `behaviour` (5).
    pub fn assign(&self, behaviour: &[f64]) -> usize {
        self.model.as_ref().map_or(0, |model| model.predict(&ArrayView1::from(&self.scaled(behaviour))))
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.model.as_ref().map_or(1, |model| model.centroids().nrows())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_behave_alike_are_grouped_the_same_each_time() {
        let quiet = (0..10).map(|n| clean([2.0 + 0.01 * f64::from(n), 5.0, 7.0, 0.0, 0.2]));
        let busy = (0..10).map(|n| clean([9.0 + 0.01 * f64::from(n), 12.0, 7.0, 0.0, 1.0]));
        let behaviours: Vec<Vec<f64>> = quiet.chain(busy).collect();
        let peers = Peers::fit(&behaviours, 7);
        assert!(peers.groups() > 1);
        assert_ne!(peers.assign(&behaviours[0]), peers.assign(&behaviours[19]));
        let again = Peers::fit(&behaviours, 7);
        assert!(behaviours.iter().all(|row| peers.assign(row) == again.assign(row)));
    }

    #[test]
    fn few_or_constant_entities_are_one_group() {
        assert_eq!(Peers::fit(&[clean([f64::NAN; 5])], 7).assign(&[]), 0);
        let constant = vec![clean([1.0; 5]); 12];
        let peers = Peers::fit(&constant, 7);
        assert!(constant.iter().all(|row| peers.assign(row) == peers.assign(&constant[0])));
    }
}
