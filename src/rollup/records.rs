//! Records that were seen, by the buckets of their calls: what is delivered twice, or lies in two files, counts once.
//!
//! Only records that have an id of their own can be recognised: equal calls are legal.

use std::collections::BTreeMap;

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use crate::calls::CallRow;

/// Ids of closed buckets that are kept: eight bytes each.
const MAX_CLOSED: usize = 4_000_000;

/// The ids of records, by bucket: of open ones, and of those that were closed, as long as records may still come for them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Records {
    by_bucket: BTreeMap<i64, HashSet<u64>>,
    /// Sorted.
    closed: BTreeMap<i64, Vec<u64>>,
    /// Ids in it.
    len: usize,
    /// Buckets before this one are forgotten.
    known_from: i64,
}

impl Records {
    /// Takes note of the record of a call in a bucket. Whether it was there before.
    pub fn is_repeated(&mut self, bucket: i64, call: &CallRow) -> bool {
        let Some(record) = call.record else { return false };
        self.closed.get(&bucket).is_some_and(|closed| closed.binary_search(&record.get()).is_ok())
            || !self.by_bucket.entry(bucket).or_default().insert(record.get())
    }

    /// Number of ids that are known.
    pub fn len(&self) -> usize {
        self.len + self.by_bucket.values().map(HashSet::len).sum::<usize>()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the records of a bucket are still known.
    pub fn knows(&self, bucket: i64) -> bool {
        bucket >= self.known_from
    }

    /// Closes the buckets before `open_from`: few more records are to come for them. Forgets those before `late_from`, and the oldest where there
    /// are too many.
    pub fn close_before(&mut self, open_from: i64, late_from: i64) {
        let open = self.by_bucket.split_off(&open_from);
        for (bucket, ids) in std::mem::replace(&mut self.by_bucket, open) {
            self.len += ids.len();
            let closed = self.closed.entry(bucket).or_default();
            closed.extend(ids);
            closed.sort_unstable();
        }
        self.known_from = self.known_from.max(late_from);
        while let Some(oldest) = self.closed.first_entry()
            && (*oldest.key() < self.known_from || self.len > MAX_CLOSED)
        {
            self.known_from = self.known_from.max(*oldest.key() + 1);
            self.len -= oldest.remove().len();
        }
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
        records.close_before(2, 1);
        assert!(records.knows(1) && records.is_repeated(1, &call(7)) && !records.is_repeated(1, &call(9)));
        records.close_before(3, 2);
        assert!(!records.knows(1));
        assert!(!records.is_repeated(1, &call(7)));
        assert_eq!((records.forget_oldest(), records.forget_oldest()), (1, 0));
    }
}
