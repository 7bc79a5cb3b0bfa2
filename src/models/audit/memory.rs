//! What was seen, and since which day: known is what was seen on an earlier day.
//!
//! The same rule holds over a history and in the stream, so a replay of the history shows what the stream would. Keys are
//! hashes: a company's memory is some tens of thousands of numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::calls::combine;

/// Things that the stream remembers beside the history. What comes later stays new.
const MAX_REMEMBERED: usize = 1_000_000;
/// Seen only while an incident of its principal went on: not learned, so that an attacker cannot teach.
const HELD: i64 = i64::MAX;

/// Key of a fact: its kind, and the addresses of its parts.
pub(super) fn key<const N: usize>(kind: u8, parts: [u64; N]) -> u64 {
    combine([u64::from(kind)].into_iter().chain(parts))
}

/// What was seen since the history, and on which day first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Memory(BTreeMap<u64, i64>);

impl Memory {
    /// Whether a fact is in the history, or was seen on a day before.
    pub(super) fn knows(&self, history: &BTreeSet<u64>, key: u64, day: i64) -> bool {
        history.contains(&key) || self.0.get(&key).is_some_and(|first| *first < day)
    }

    /// Notes a fact; whether it was never seen before. Of a principal whose incident goes on, nothing is learned.
    pub(super) fn see(&mut self, history: &BTreeSet<u64>, key: u64, day: i64, is_held: bool) -> bool {
        if history.contains(&key) {
            return false;
        }
        let first = if is_held { HELD } else { day };
        match self.0.get_mut(&key) {
            Some(known) => {
                *known = (*known).min(first);
                false
            }
            None => {
                if self.0.len() < MAX_REMEMBERED {
                    self.0.insert(key, first);
                }
                true
            }
        }
    }

    /// All facts, as a history's.
    pub fn into_known(self) -> BTreeSet<u64> {
        self.0.into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_today_is_known_tomorrow_unless_an_incident_went_on() {
        let (mut memory, history) = (Memory::default(), BTreeSet::from([1]));
        assert!(memory.knows(&history, 1, 0) && !memory.see(&history, 1, 0, false));
        assert!(memory.see(&history, 2, 5, false) && !memory.see(&history, 2, 5, false));
        assert!(!memory.knows(&history, 2, 5) && memory.knows(&history, 2, 6));
        assert!(memory.see(&history, 3, 5, true) && !memory.knows(&history, 3, 9));
        assert!(!memory.see(&history, 3, 9, false), "it was seen, but not learned");
        assert!(memory.knows(&history, 3, 10));
    }
}
