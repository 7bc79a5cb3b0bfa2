//! Hourly means: how far the calls of one hour are from what is usual for their endpoints.
//!
//! The unit of time of what is slow: leaks add up hour by hour, and baselines follow hour by hour. Hours without calls do not
//! count. The mean of standardised residuals is the group mean of a Shewhart chart (Shewhart 1931) with unequal group sizes.
//!
//! Not here: what is done with an hour (`leak`, `adaptation`).

use serde::{Deserialize, Serialize};

use crate::calls::{QUANTITIES, fixed_to_f64};
use crate::features::{Column, FeatureVector};

/// Buckets in an hour.
const BUCKETS: i64 = 12;
/// Residual and number of calls of each of [`QUANTITIES`] (3).
const COLUMNS: [(Column, Column); QUANTITIES.len()] = [
    (Column::BytesOutResidual, Column::BytesOutCount),
    (Column::BytesInResidual, Column::BytesInCount),
    (Column::LatencyResidual, Column::LatencyCount),
];

/// The current hour: sums over its buckets so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hourly {
    /// The newest bucket, and its hour (hours since the epoch).
    bucket: i64,
    hour: i64,
    /// Sums of residuals (3 quantities), in fixed point of standard deviations of a call.
    residuals: [i64; QUANTITIES.len()],
    /// Calls that have the quantity (3 quantities).
    counts: [i64; QUANTITIES.len()],
}

/// A complete hour of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Means {
    /// Hours since the epoch.
    pub hour: i64,
    /// Mean residual (3, in [`QUANTITIES`] order), in standard deviations of a call.
    pub means: [f64; QUANTITIES.len()],
    /// Calls that each is the mean of (3, in [`QUANTITIES`] order).
    pub counts: [f64; QUANTITIES.len()],
}

impl Hourly {
    /// Adds the features of a bucket (one value per column). Returns the hour before, if the bucket opens a new one and the hour
    /// before had calls. What comes later of a bucket that was added is left out.
    pub fn add(&mut self, bucket: i64, values: &FeatureVector) -> Option<Means> {
        if bucket <= self.bucket {
            return None;
        }
        let hour = bucket.div_euclid(BUCKETS);
        let whole = (hour != self.hour).then(|| std::mem::replace(self, Self { hour, ..Self::default() }).means());
        self.bucket = bucket;
        for (quantity, (residual, count)) in COLUMNS.iter().enumerate() {
            self.residuals[quantity] += values[*residual as usize];
            self.counts[quantity] += values[*count as usize];
        }
        whole.filter(|means| means.counts.iter().any(|count| *count > 0.0))
    }

    fn means(&self) -> Means {
        let counts = self.counts.map(|count| count.max(0) as f64);
        let mean = |quantity: usize| fixed_to_f64(self.residuals[quantity]) / counts[quantity].max(1.0);
        Means { hour: self.hour, means: std::array::from_fn(mean), counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::ONE;
    use crate::features::WIDTH;

    #[test]
    fn an_hour_is_complete_when_the_next_one_begins() {
        let mut values = [0; WIDTH];
        values[Column::BytesOutResidual as usize] = ONE as i64;
        values[Column::BytesOutCount as usize] = 2;
        let mut hourly = Hourly::default();
        assert_eq!(hourly.add(12, &values), None);
        assert_eq!(hourly.add(23, &values), None);
        let whole = hourly.add(60, &values).unwrap();
        assert_eq!((whole.means[0], whole.counts[0], whole.counts[1]), (0.5, 4.0, 0.0));
    }
}
