//! Records that were seen, by the buckets of their calls: what is delivered twice, or lies in two files, counts once.
//!
//! Only records that have an id of their own can be recognised: equal calls are legal.

use std::collections::BTreeMap;

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use crate::calls::CallRow;

/// The ids of records, by bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Records {
    by_bucket: BTreeMap<i64, HashSet<u64>>,
}

impl Records {
    /// Takes note of the record of a call in a bucket. Whether it was there before.
    pub fn is_repeated(&mut self, bucket: i64, call: &CallRow) -> bool {
        let Some(record) = call.record else { return false };
        !self.by_bucket.entry(bucket).or_default().insert(record.get())
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.by_bucket.values().map(HashSet::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_bucket.is_empty()
    }

    /// Forgets the records of all buckets before this one.
    pub fn forget_before(&mut self, bucket: i64) {
        self.by_bucket = self.by_bucket.split_off(&bucket);
    }

    /// Forgets the records of the oldest bucket, and says how many they were.
    pub fn forget_oldest(&mut self) -> usize {
        self.by_bucket.pop_first().map_or(0, |(_, records)| records.len())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::calls::Outcome;

    fn call(record: u64) -> CallRow {
        CallRow {
            time: 0,
            relation: 0,
            outcome: Outcome::Ok,
            bytes_out: None,
            bytes_in: None,
            tokens_in: None,
            tokens_out: None,
            cost: None,
            latency_ms: None,
            release: 0,
            is_resent: false,
            trace_id: None,
            record: NonZeroU64::new(record),
        }
    }

    #[test]
    fn a_record_is_repeated_within_its_bucket_until_that_is_forgotten_and_one_without_an_id_never_is() {
        let mut records = Records::default();
        let seen = [7, 7, 8, 0, 0].map(|record| records.is_repeated(1, &call(record)));
        assert_eq!(seen, [false, true, false, false, false]);
        records.forget_before(2);
        assert!(!records.is_repeated(1, &call(7)));
        assert_eq!((records.forget_oldest(), records.forget_oldest()), (1, 0));
    }
}
