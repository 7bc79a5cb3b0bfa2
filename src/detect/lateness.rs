//! How late the calls of a view usually come: that what may still come is missing says nothing.
//!
//! Cloud audit logs come in files that take 5 to 40 minutes, each its own time, so that newer calls come before older ones. Where calls
//! usually come that late, silence is told that much later. What comes after more than an hour is an outage of a shipper, and nothing to get used to.
//!
//! Not here: which calls are late (`stream`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rollup::{BUCKETS_PER_HOUR, day_of};

/// Latest that is usual, in buckets.
const LATEST: i64 = BUCKETS_PER_HOUR;
/// Of so many calls at most one comes later than what is usual.
const CALLS_PER_LATER: i64 = 500;

/// Calls of a view by how late they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Lateness {
    /// Calls by the buckets that were over when they came, 0 of those in time: those of the last day, and half of those of each day before.
    calls: BTreeMap<i64, i64>,
    day: i64,
    usual: i64,
}

impl Lateness {
    /// Takes note of calls that came in a bucket, `late` buckets after their own.
    pub fn note(&mut self, bucket: i64, late: i64, calls: i64) {
        if late > LATEST {
            return;
        }
        let day = day_of(bucket);
        if day > self.day {
            self.day = day;
            self.calls.values_mut().for_each(|calls| *calls /= 2);
        }
        *self.calls.entry(late).or_default() += calls;
        self.usual = self.worked_out();
    }

    fn worked_out(&self) -> i64 {
        let all: i64 = self.calls.values().sum();
        let mut later = 0;
        for (late, calls) in self.calls.iter().rev() {
            later += calls;
            if later * CALLS_PER_LATER > all {
                return *late;
            }
        }
        0
    }

    /// Buckets that usually are over until nearly all calls of one have come; 0 where they come in time.
    pub fn usual(&self) -> i64 {
        self.usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::BUCKETS_PER_DAY;

    #[test]
    fn what_one_call_in_a_thousand_does_is_not_usual_and_what_one_in_a_hundred_does_is() {
        let mut lateness = Lateness::default();
        assert_eq!(lateness.usual(), 0);
        lateness.note(0, 0, 10_000);
        lateness.note(0, 3, 10);
        assert_eq!(lateness.usual(), 0);
        lateness.note(0, 3, 90);
        lateness.note(0, 8, 10);
        assert_eq!(lateness.usual(), 3);
    }

    #[test]
    fn an_outage_of_a_shipper_is_nothing_to_get_used_to_and_what_ended_is_forgotten_within_days() {
        let mut lateness = Lateness::default();
        lateness.note(0, 0, 1_000);
        lateness.note(0, 20 * BUCKETS_PER_HOUR, 1_000);
        assert_eq!(lateness.usual(), 0);
        lateness.note(0, 4, 100);
        assert_eq!(lateness.usual(), 4);
        for day in 1..10 {
            lateness.note(day * BUCKETS_PER_DAY, 0, 1_000);
        }
        assert_eq!(lateness.usual(), 0);
    }
}
