//! The partitions that are ours: how far each was read, and which have fallen quiet.
//!
//! Not here: Kafka. Lags and instants come in as arguments.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Assigned partitions by name (`topic/3`), and where those go on that are not assigned now.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    /// Next offset of every partition of which the engine holds records, assigned or not: should one come back before
    /// another member read on, the engine must not be shown again what it has seen.
    next: BTreeMap<String, i64>,
    assigned: BTreeMap<String, Quiet>,
}

#[derive(Debug)]
struct Quiet {
    since: Instant,
    is_idle: bool,
}

impl Partitions {
    /// Goes on from a checkpoint's offsets.
    pub(super) fn resume(next: BTreeMap<String, i64>) -> Self {
        Self { next, assigned: BTreeMap::new() }
    }

    /// Next offsets, for the checkpoint.
    pub(super) fn next(&self) -> &BTreeMap<String, i64> {
        &self.next
    }

    /// Next offsets, for the commit: only of what is ours, since of the rest another member knows more.
    pub(super) fn to_commit(&self) -> BTreeMap<String, i64> {
        let ours = self.next.iter().filter(|(name, _)| self.assigned.contains_key(*name));
        ours.map(|(name, next)| (name.clone(), *next)).collect()
    }

    /// Names of the assigned partitions.
    pub(super) fn assigned(&self) -> Vec<String> {
        self.assigned.keys().cloned().collect()
    }

    /// Adds partitions, and the offsets that they begin at where those are known.
    pub(super) fn add(&mut self, names: impl IntoIterator<Item = String>, begin: BTreeMap<String, i64>, now: Instant) {
        self.next.extend(begin);
        self.assigned.extend(names.into_iter().map(|name| (name, Quiet { since: now, is_idle: false })));
    }

    /// A partition is no longer ours.
    pub(super) fn remove(&mut self, name: &str) {
        self.assigned.remove(name);
    }

    /// Notes that all before `next` was read.
    pub(super) fn read_to(&mut self, name: &str, next: i64, now: Instant) {
        self.next.insert(name.to_owned(), next);
        self.assigned.insert(name.to_owned(), Quiet { since: now, is_idle: false });
    }

    /// The partitions that by now have been at their end for `patience`, each told once until it speaks again.
    pub(super) fn fallen_idle(&mut self, lag: &BTreeMap<String, i64>, patience: Duration, now: Instant) -> Vec<String> {
        let mut fallen = Vec::new();
        for (name, quiet) in &mut self.assigned {
            if lag.get(name) != Some(&0) {
                // Not at its end, or not to be seen: a leader that is away says nothing about what waits behind it.
                quiet.since = now;
            } else if !quiet.is_idle && now.duration_since(quiet.since) >= patience {
                quiet.is_idle = true;
                fallen.push(name.clone());
            }
        }
        fallen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_partition_that_was_lost_is_remembered_but_not_committed() {
        let mut partitions = Partitions::default();
        for name in ["t/0", "t/1"] {
            partitions.add([name.to_owned()], BTreeMap::new(), Instant::now());
            partitions.read_to(name, 5, Instant::now());
        }
        partitions.remove("t/1");
        assert_eq!(partitions.to_commit(), BTreeMap::from([("t/0".to_owned(), 5)]));
        assert_eq!(partitions.next().get("t/1"), Some(&5));
    }

    #[test]
    fn a_partition_is_idle_once_after_being_at_its_end_for_long_enough() {
        let (start, patience) = (Instant::now(), Duration::from_secs(30));
        let after = |seconds| start + Duration::from_secs(seconds);
        let end = BTreeMap::from([("t/0".to_owned(), 0)]);
        let unseen = BTreeMap::new();
        let mut partitions = Partitions::default();
        partitions.add(["t/0".to_owned()], BTreeMap::new(), start);
        assert!(partitions.fallen_idle(&end, patience, after(29)).is_empty());
        assert!(partitions.fallen_idle(&unseen, patience, after(40)).is_empty(), "its leader is away");
        assert!(partitions.fallen_idle(&end, patience, after(69)).is_empty());
        assert_eq!(partitions.fallen_idle(&end, patience, after(70)), ["t/0"]);
        assert!(partitions.fallen_idle(&end, patience, after(200)).is_empty(), "told already");
        partitions.read_to("t/0", 1, after(200));
        assert_eq!(partitions.fallen_idle(&end, patience, after(230)), ["t/0"]);
    }
}
