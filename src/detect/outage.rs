//! Outages: a vendor that is down for most of its callers, and storms of retries against it.
//!
//! A hard outage is the business of availability monitoring: what it explains does not page until it has lasted. A storm does:
//! bounded retries do not reach ten times the usual calls.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::calls::{Name, View};
use crate::features::{Column, EntityId, EntityStore, QUARTER};
use crate::models::baseline::{Baseline, Snapshot};

/// Share of calls that fail, and fewest failures, of a caller to which a vendor is down.
const DOWN_SHARE: f64 = 0.2;
const DOWN_FAILURES: i64 = 3;
/// Standard deviations above that share, over all callers, which are no chance: one in twenty.
const BEYOND_CHANCE: f64 = 1.64;
/// Fewest calls of a caller that is asked.
const MIN_CALLS: i64 = 5;
/// Times the usual calls that make a storm.
pub const STORM: f64 = 10.0;
/// Buckets that outages and storms are remembered for: a day.
const REMEMBERED: i64 = 288;
/// Buckets after which an outage pages: three hours; and the share of them that it must have lasted.
const LASTING: i64 = 36;
const LASTING_SHARE: f64 = 0.9;
/// A quarter of an hour, in buckets.
const QUARTER_BUCKETS: i64 = 3;
/// Buckets of the level that a storm is measured against: three hours.
const LEVEL_BUCKETS: i64 = 36;

/// What a vendor's callers met in a quarter of an hour.
#[derive(Clone, Copy, Debug, Default)]
struct Quarter {
    /// Callers with calls enough to be asked, and those to whom the vendor is down.
    asked: usize,
    down: usize,
    is_down_for_any: bool,
    calls: i64,
    failures: i64,
}

impl Quarter {
    /// Down for at least half of those asked, and beyond what a few failures too many make by chance: else every error mix
    /// that shifts at a quiet vendor would look like an outage now and then, and be explained by it.
    fn is_outage(&self) -> bool {
        let calls = self.calls as f64;
        let by_chance = BEYOND_CHANCE * (calls * DOWN_SHARE * (1.0 - DOWN_SHARE)).sqrt();
        let is_share = self.failures as f64 >= DOWN_SHARE * calls + by_chance;
        self.is_down_for_any && self.down * 2 >= self.asked && is_share
    }
}

/// When vendors were down, and when callers stormed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outages {
    down: BTreeMap<(View, Name), VecDeque<i64>>,
    storms: BTreeMap<EntityId, VecDeque<i64>>,
    /// Vendors with server errors, and the bucket of the newest: only these can be down.
    failing: BTreeMap<(View, Name), i64>,
}

impl Outages {
    /// Notes a pair that called in a bucket.
    pub fn note<P>(&mut self, of: Snapshot<'_, P>, baseline: Option<&Baseline>) {
        let Snapshot { state, bucket, usual_bucket, sums } = of;
        let entity = &state.entity;
        let newest = state.windows.bucket(bucket).map_or(0, |values| values[Column::ServerError as usize]);
        if newest > 0 {
            self.failing.insert((entity.view, entity.vendor.clone()), bucket);
        }
        let calls = sums[QUARTER][Column::Calls as usize] as f64;
        if calls >= STORM && times_usual(calls, baseline, usual_bucket) >= STORM {
            remember(self.storms.entry(entity.id()).or_default(), bucket);
        }
    }

    /// Looks at the vendors that could be down at the end of a bucket.
    pub fn observe<P>(&mut self, store: &EntityStore<P>, bucket: i64) {
        self.failing.retain(|_, newest| bucket - *newest < QUARTER_BUCKETS);
        for (view, vendor) in self.failing.keys() {
            let mut quarter = Quarter::default();
            for pair in store.pairs_of(*view, vendor) {
                let calls = pair.sum(Column::Calls, QUARTER, bucket);
                let failures = pair.sum(Column::ServerError, QUARTER, bucket);
                let is_down = failures >= DOWN_FAILURES && failures as f64 >= DOWN_SHARE * calls as f64;
                if calls >= MIN_CALLS {
                    quarter.asked += 1;
                    quarter.down += usize::from(is_down);
                }
                quarter.is_down_for_any |= is_down;
                (quarter.calls, quarter.failures) = (quarter.calls + calls, quarter.failures + failures);
            }
            if quarter.is_outage() {
                remember(self.down.entry((*view, vendor.clone())).or_default(), bucket);
            }
        }
        let is_recent = |buckets: &mut VecDeque<i64>| {
            buckets.retain(|at| bucket - at < REMEMBERED + QUARTER_BUCKETS);
            !buckets.is_empty()
        };
        self.down.retain(|_, buckets| is_recent(buckets));
        self.storms.retain(|_, buckets| is_recent(buckets));
    }

    /// Whether a window that ends with `bucket` overlaps an outage.
    pub fn overlap(&self, view: View, vendor: &Name, bucket: i64, window: i64) -> bool {
        self.count(view, vendor, bucket, window + 2) > 0
    }

    /// Whether an outage has lasted so long that it pages.
    pub fn has_lasted(&self, view: View, vendor: &Name, bucket: i64) -> bool {
        self.count(view, vendor, bucket, LASTING + 1) as f64 > LASTING_SHARE * (LASTING + 1) as f64
    }

    /// Whether a caller stormed within a window that ends with `bucket`.
    pub fn stormed(&self, pair: EntityId, bucket: i64, window: i64) -> bool {
        self.storms.get(&pair).is_some_and(|storms| storms.iter().any(|at| bucket - at < window))
    }

    fn count(&self, view: View, vendor: &Name, bucket: i64, buckets: i64) -> usize {
        let down = self.down.get(&(view, vendor.clone()));
        down.map_or(0, |down| down.iter().filter(|at| bucket - **at < buckets).count())
    }
}

fn remember(buckets: &mut VecDeque<i64>, bucket: i64) {
    if buckets.back() != Some(&bucket) {
        buckets.push_back(bucket);
    }
}

/// Calls of the last quarter of an hour, against what is expected at this time and around it.
fn times_usual(calls: f64, baseline: Option<&Baseline>, bucket: i64) -> f64 {
    let usual = baseline.and_then(|baseline| baseline.seasonality.as_ref()).map_or(0.0, |seasonality| {
        let level = seasonality.expected(bucket, LEVEL_BUCKETS) * QUARTER_BUCKETS as f64 / LEVEL_BUCKETS as f64;
        seasonality.expected(bucket, QUARTER_BUCKETS).max(level)
    });
    calls / usual.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quarter(asked: usize, down: usize, calls: i64, failures: i64) -> Quarter {
        Quarter { asked, down, is_down_for_any: true, calls, failures }
    }

    #[test]
    fn an_outage_is_for_most_callers_and_no_chance() {
        assert!(quarter(3, 2, 60, 40).is_outage());
        assert!(!quarter(3, 1, 60, 20).is_outage(), "one caller's trouble");
        assert!(!quarter(1, 1, 12, 3).is_outage(), "three of twelve come by chance where one in eight fails");
        assert!(quarter(1, 1, 12, 7).is_outage());
    }
}
