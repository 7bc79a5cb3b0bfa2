//! How long calls take until they are in Kafka, by partition: what a partition that was read to its end can still show.
//!
//! A call that comes after a partition's end was confirmed was made, most likely, no longer before that than calls of the partition usually
//! take. So a quiet partition bounds event time by the clock less its usual delay, and holds nobody up. One that takes longer is late,
//! and judged as such.
//!
//! Not here: whether a partition was read to its end (`partitions`), and what a bound closes (`watermark`).

use std::collections::{BTreeMap, VecDeque};

/// Delays that are remembered of a partition.
const REMEMBERED: usize = 64;
/// The share of them that a bound covers.
const COVERED: f64 = 0.9;
/// Longest usual delay of a stream that has a clock, microseconds: audit logs of clouds come up to 40 minutes late.
pub(super) const MAX_DELAY: i64 = 3_600_000_000;

/// Delays from call to arrival, by partition, microseconds.
#[derive(Debug, Default)]
pub(super) struct Shipping {
    delays: BTreeMap<String, VecDeque<i64>>,
}

impl Shipping {
    /// Notes how long the newest call of some records took, microseconds.
    pub fn note(&mut self, partition: &str, delay: i64) {
        let delays = self.delays.entry(partition.to_owned()).or_default();
        if delays.len() == REMEMBERED {
            delays.pop_front();
        }
        delays.push_back(delay.max(0));
    }

    /// The usual delay of a partition, microseconds, else the longest of the others; `None` where that is so long that the stream has no clock, or
    /// where nobody knows.
    pub fn usual(&self, partition: &str) -> Option<i64> {
        let of_others = || self.delays.values().filter_map(usual).max();
        self.delays.get(partition).and_then(usual).or_else(of_others).filter(|delay| *delay <= MAX_DELAY)
    }
}

fn usual(delays: &VecDeque<i64>) -> Option<i64> {
    let mut sorted: Vec<i64> = delays.iter().copied().collect();
    sorted.sort_unstable();
    let covered = (sorted.len() as f64 * COVERED).ceil() as usize;
    sorted.get(covered.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn a_partition_has_the_delay_that_most_of_its_calls_have_and_a_new_one_that_of_the_slowest() {
        let mut shipping = Shipping::default();
        assert_eq!(shipping.usual("t/0"), None);
        (0..20).for_each(|_| shipping.note("t/0", 20 * MINUTE));
        (0..20).for_each(|call| shipping.note("t/1", if call == 3 { 30 * MINUTE } else { 1 }));
        assert_eq!(
            ["t/0", "t/1", "t/2"].map(|name| shipping.usual(name)),
            [Some(20 * MINUTE), Some(1), Some(20 * MINUTE)]
        );
    }

    #[test]
    fn a_stream_of_old_calls_has_no_clock() {
        let mut shipping = Shipping::default();
        shipping.note("t/0", 3 * 60 * MINUTE);
        assert_eq!(shipping.usual("t/0"), None);
    }
}
