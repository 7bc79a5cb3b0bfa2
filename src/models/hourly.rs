//! Hourly means: how an entity's calls of one hour lie against what is usual for their endpoints.
//!
//! The pace of what is slow: leaks are summed up and baselines follow hour by hour. Hours without calls are no hours.

use serde::{Deserialize, Serialize};

use crate::calls::{QUANTITIES, fixed_to_f64};
use crate::features::{Column, FeatureVector};

/// Buckets in an hour.
const BUCKETS: i64 = 12;
/// Residual and number of calls of each of [`QUANTITIES`].
const COLUMNS: [(Column, Column); QUANTITIES.len()] = [
    (Column::BytesOutResidual, Column::BytesOutCount),
    (Column::BytesInResidual, Column::BytesInCount),
    (Column::LatencyResidual, Column::LatencyCount),
];

/// The hour that goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hourly {
    hour: i64,
    residuals: [i64; QUANTITIES.len()],
    counts: [i64; QUANTITIES.len()],
}

/// A whole hour: by quantity (in [`QUANTITIES`] order), the mean in deviations of a call, and the calls that it is the mean of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Means {
    /// Hours since the epoch.
    pub hour: i64,
    /// Mean residual of a call.
    pub means: [f64; QUANTITIES.len()],
    /// Calls.
    pub counts: [f64; QUANTITIES.len()],
}

impl Hourly {
    /// Adds a bucket's features; the hour before, if the bucket opens a new one.
    pub fn add(&mut self, bucket: i64, values: &FeatureVector) -> Option<Means> {
        let hour = bucket.div_euclid(BUCKETS);
        let whole = (hour != self.hour).then(|| std::mem::replace(self, Self { hour, ..Self::default() }).means());
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
    fn an_hour_is_told_when_the_next_one_begins() {
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
