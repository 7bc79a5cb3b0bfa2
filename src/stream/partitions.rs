//! The partitions that are ours: how far each was read, and which have fallen quiet.
//!
//! Not here: Kafka. Lags and instants come in as arguments.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Assigned partitions by name (`topic/3`), and where partitions that are not assigned yet go on.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    /// Next offset of every partition whose records the engine holds.
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

    /// Next offsets, for the checkpoint and the commit.
    pub(super) fn next(&self) -> &BTreeMap<String, i64> {
        &self.next
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

    /// Forgets partitions: another member reads on, so our offset would be a lie before long.
    pub(super) fn remove(&mut self, name: &str) {
        self.assigned.remove(name);
        self.next.remove(name);
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
