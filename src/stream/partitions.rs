//! The assigned partitions: how far each was read, and which are idle.
//!
//! A partition is idle once it has been quiet for long enough, and only on evidence: its leader, asked after all that was fetched had
//! been taken in, named an end that was read already. Evidence drives the quiet time, too: what lies between two answers counts
//! for [`MAX_STEP`] at most, so neither a process that stalls nor a broker that is away makes a partition quiet.
//!
//! Idleness ends for all partitions as soon as records of any are taken in, until the leaders have been asked again: the records may
//! have waited during a stall, and then those of the other partitions waited as long.
//!
//! Not here: Kafka. Offsets and instants come in as arguments.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ingest::kafka::Ends;

/// Time between two questions.
const ASK_INTERVAL: Duration = Duration::from_millis(200);
/// Longest time between two answers that counts as quiet.
const MAX_STEP: Duration = Duration::from_secs(2);

/// Assigned partitions by name (`topic/3`), and where those go on that are not assigned now.
#[derive(Debug)]
pub(super) struct Partitions {
    /// Next offset of every partition of which the engine holds records, assigned or not: should one come back before
    /// another member read on, the engine must not be shown again what it has seen.
    next: BTreeMap<String, i64>,
    assigned: BTreeMap<String, Assigned>,
    /// How long a partition is quiet before it is idle.
    patience: Duration,
    /// How long all of them have been quiet.
    silence: Quiet,
    /// When records were last taken in.
    read_at: Instant,
    asked_at: Option<Instant>,
}

#[derive(Debug)]
struct Assigned {
    quiet: Quiet,
    is_idle: bool,
}

/// Quiet time as far as there is evidence.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    length: Duration,
    counted_to: Instant,
}

impl Quiet {
    fn from(now: Instant) -> Self {
        Self { length: Duration::ZERO, counted_to: now }
    }

    /// Goes on to `to`; where that counts, it makes the quiet time longer.
    fn go_on(&mut self, to: Instant, counts: bool) {
        if counts {
            self.length += to.saturating_duration_since(self.counted_to).min(MAX_STEP);
        }
        self.counted_to = self.counted_to.max(to);
    }
}

impl Partitions {
    /// Goes on from a checkpoint's offsets. A partition is idle after `patience` at its end.
    pub(super) fn resume(next: BTreeMap<String, i64>, patience: Duration, now: Instant) -> Self {
        let silence = Quiet::from(now);
        Self { next, assigned: BTreeMap::new(), patience, silence, read_at: now, asked_at: None }
    }

    /// How long all partitions were read to their ends, as their leaders confirmed.
    pub(super) fn quiet_for(&self) -> Duration {
        self.silence.length
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

    /// Adds partitions, and the offsets that they begin at where those are known. Those that were there stay as quiet as they are.
    pub(super) fn add(&mut self, names: impl IntoIterator<Item = String>, begin: BTreeMap<String, i64>, now: Instant) {
        self.next.extend(begin);
        self.silence = Quiet::from(now);
        self.assigned
            .extend(names.into_iter().map(|name| (name, Assigned { quiet: Quiet::from(now), is_idle: false })));
    }

    /// A partition is no longer ours.
    pub(super) fn remove(&mut self, name: &str) {
        self.assigned.remove(name);
    }

    /// Ends all idleness. Returns the assigned partitions, each of which is waited for from now on.
    pub(super) fn expect_all(&mut self) -> Vec<String> {
        self.assigned.values_mut().for_each(|partition| partition.is_idle = false);
        self.assigned.keys().cloned().collect()
    }

    /// Records are about to be taken in. Returns the partitions that must be waited for again, if one was idle.
    pub(super) fn begin_reading(&mut self, now: Instant) -> Option<Vec<String>> {
        if self.silence.length >= self.patience {
            // After a silence of all, partitions resume one after another: that one was quiet until now says nothing.
            self.assigned.values_mut().for_each(|partition| partition.quiet = Quiet::from(now));
        }
        self.silence = Quiet::from(now);
        self.read_at = now;
        self.assigned.values().any(|partition| partition.is_idle).then(|| self.expect_all())
    }

    /// Notes that all before `next` was read.
    pub(super) fn read_to(&mut self, name: &str, next: i64, now: Instant) {
        self.next.insert(name.to_owned(), next);
        self.assigned.insert(name.to_owned(), Assigned { quiet: Quiet::from(now), is_idle: false });
    }

    /// Whether a partition's end was confirmed since it was read last: what comes now has just arrived.
    pub(super) fn was_at_end(&self, name: &str) -> bool {
        self.assigned.get(name).is_some_and(|partition| partition.quiet.length > Duration::ZERO)
    }

    /// The partitions of which the leaders are to be asked now, and up to where each was read.
    pub(super) fn next_question(&mut self, now: Instant) -> BTreeMap<String, Option<i64>> {
        if self.asked_at.is_some_and(|asked| now.saturating_duration_since(asked) < ASK_INTERVAL) {
            return BTreeMap::new();
        }
        let is_unread =
            |partition: &Assigned| now.saturating_duration_since(partition.quiet.counted_to) >= ASK_INTERVAL;
        let unread = self.assigned.iter().filter(|(_, partition)| is_unread(partition));
        let question: BTreeMap<_, _> = unread.map(|(name, _)| (name.clone(), self.next.get(name).copied())).collect();
        if !question.is_empty() {
            self.asked_at = Some(now);
        }
        question
    }

    /// Whether an answer is worth waiting for: a partition is idle, or will be once its leader confirms its end.
    pub(super) fn await_answer(&self) -> bool {
        self.assigned.values().any(|partition| partition.quiet.length >= self.patience)
    }

    /// Takes note of an answer, and returns the partitions that are idle from now on and were not before. All of them become idle together only
    /// where the newest bucket `is_over`: what still comes for it is not late.
    pub(super) fn confirm(&mut self, ends: &Ends, is_over: bool) -> Vec<String> {
        let is_at_end = |name: &String| ends.at_end.get(name) == Some(&true);
        // A pause of the whole input, such as of those who produce it, makes no single partition quiet: half the patience is left
        // for it to resume.
        let is_flowing = self.silence.length < self.patience / 2;
        if self.assigned.keys().all(is_at_end) {
            self.silence.go_on(ends.asked_at, true);
        }
        let is_silent = self.silence.length >= self.patience && is_over;
        let is_current = ends.asked_at >= self.read_at;
        let mut idle = Vec::new();
        for (name, partition) in &mut self.assigned {
            match ends.at_end.get(name) {
                Some(true) => partition.quiet.go_on(ends.asked_at, is_flowing),
                Some(false) => partition.quiet = Quiet::from(ends.asked_at.max(partition.quiet.counted_to)),
                None => {}
            }
            let is_quiet = is_silent || partition.quiet.length >= self.patience;
            if is_current && is_quiet && is_at_end(name) && !partition.is_idle {
                partition.is_idle = true;
                idle.push(name.clone());
            }
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partitions of a topic under a clock that the test moves: of each, how much was produced, and how much read.
    struct Bench {
        partitions: Partitions,
        now: Instant,
        produced: BTreeMap<String, i64>,
        idle: Vec<String>,
    }

    const PATIENCE: u64 = 30;

    fn bench(names: &[&str]) -> Bench {
        let now = Instant::now();
        let mut partitions = Partitions::resume(BTreeMap::new(), Duration::from_secs(PATIENCE), now);
        let begin: BTreeMap<String, i64> = names.iter().map(|name| ((*name).to_owned(), 0)).collect();
        partitions.add(begin.keys().cloned(), begin.clone(), now);
        Bench { partitions, now, produced: begin, idle: Vec::new() }
    }

    impl Bench {
        fn produce(&mut self, name: &str) {
            *self.produced.entry(name.to_owned()).or_default() += 1;
        }

        fn stall(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn read(&mut self, name: &str) {
            if let Some(expected) = self.partitions.begin_reading(self.now) {
                self.idle.retain(|idle| !expected.contains(idle));
            }
            self.partitions.read_to(name, self.produced[name], self.now);
        }

        /// Asks and answers once a second; returns those that are idle then.
        fn pass(&mut self, seconds: u64) -> Vec<String> {
            for _ in 0..seconds {
                self.now += Duration::from_secs(1);
                let question = self.partitions.next_question(self.now);
                let answer = self.answer(&question);
                self.idle.extend(self.partitions.confirm(&answer, true));
            }
            self.idle.clone()
        }

        /// The same, with a record of `t/0` read each second.
        fn flow(&mut self, seconds: u64) -> Vec<String> {
            for _ in 0..seconds {
                self.produce("t/0");
                self.read("t/0");
                self.pass(1);
            }
            self.idle.clone()
        }

        fn answer(&self, question: &BTreeMap<String, Option<i64>>) -> Ends {
            let at_end = question.iter().map(|(name, read_to)| (name.clone(), *read_to >= Some(self.produced[name])));
            Ends { asked_at: self.now, at_end: at_end.collect() }
        }
    }

    #[test]
    fn the_offset_of_a_partition_that_was_lost_is_remembered_but_not_committed() {
        let now = Instant::now();
        let mut partitions = Partitions::resume(BTreeMap::new(), Duration::from_secs(PATIENCE), now);
        for name in ["t/0", "t/1"] {
            partitions.add([name.to_owned()], BTreeMap::new(), now);
            partitions.read_to(name, 5, now);
        }
        partitions.remove("t/1");
        assert_eq!(partitions.to_commit(), BTreeMap::from([("t/0".to_owned(), 5)]));
        assert_eq!(partitions.next().get("t/1"), Some(&5));
    }

    #[test]
    fn a_partition_is_idle_after_being_at_its_end_for_long_enough_and_until_anything_is_read() {
        let mut bench = bench(&["t/0"]);
        assert!(bench.pass(PATIENCE - 1).is_empty());
        assert_eq!(bench.pass(1), ["t/0"]);
        assert_eq!(bench.pass(10), ["t/0"], "reported once");
        bench.produce("t/0");
        bench.read("t/0");
        assert!(bench.pass(PATIENCE - 1).is_empty());
        assert_eq!(bench.pass(1), ["t/0"]);
    }

    #[test]
    fn a_partition_with_unread_records_is_never_idle() {
        let mut bench = bench(&["t/0", "t/1"]);
        bench.produce("t/1");
        assert_eq!(bench.pass(10 * PATIENCE), ["t/0"]);
    }

    #[test]
    fn a_stall_makes_no_partition_quiet() {
        let mut bench = bench(&["t/0", "t/1"]);
        bench.pass(1);
        bench.stall(780);
        assert!(bench.pass(1).is_empty());
        assert!(bench.flow(PATIENCE - 4).is_empty(), "three seconds were quiet before");
        assert_eq!(bench.flow(1), ["t/1"]);
    }

    #[test]
    fn a_quiet_partition_is_waited_for_whenever_another_is_read_until_its_leader_confirms_its_end_again() {
        let mut bench = bench(&["t/0", "t/1"]);
        assert_eq!(bench.flow(PATIENCE), ["t/1"]);
        // During a stall both get records, and the first is read first.
        bench.stall(780);
        bench.produce("t/0");
        bench.produce("t/1");
        bench.read("t/0");
        assert!(bench.idle.is_empty());
        assert!(bench.pass(5).is_empty(), "the second has unread records");
    }

    #[test]
    fn an_answer_from_before_the_last_reading_makes_nothing_idle() {
        let mut bench = bench(&["t/0", "t/1"]);
        assert!(bench.flow(PATIENCE - 1).is_empty());
        bench.stall(1);
        let question = bench.partitions.next_question(bench.now);
        let answer = bench.answer(&question);
        bench.stall(1);
        bench.produce("t/0");
        bench.read("t/0");
        assert!(bench.partitions.confirm(&answer, true).is_empty());
        assert_eq!(bench.pass(1), ["t/1"]);
    }

    #[test]
    fn after_a_silence_of_all_each_partition_has_its_time_to_resume() {
        let mut bench = bench(&["t/0", "t/1"]);
        assert_eq!(bench.pass(PATIENCE), ["t/0", "t/1"]);
        assert!(bench.flow(PATIENCE - 1).is_empty());
        assert_eq!(bench.flow(1), ["t/1"]);
    }

    #[test]
    fn a_shorter_silence_of_all_leaves_half_the_time_to_resume() {
        let mut bench = bench(&["t/0", "t/1"]);
        assert!(bench.pass(PATIENCE - 1).is_empty());
        assert!(bench.flow(PATIENCE / 2 - 1).is_empty());
        assert_eq!(bench.flow(1), ["t/1"]);
    }

    #[test]
    fn a_partition_that_is_taken_is_waited_for_and_the_others_stay_quiet() {
        let mut bench = bench(&["t/0"]);
        assert_eq!(bench.pass(PATIENCE), ["t/0"]);
        bench.produced.insert("t/1".to_owned(), 1);
        bench.partitions.add(["t/1".to_owned()], BTreeMap::new(), bench.now);
        bench.idle.clear();
        assert_eq!(bench.partitions.expect_all(), ["t/0", "t/1"]);
        assert_eq!(bench.pass(PATIENCE), ["t/0"], "the new one was not read yet");
        bench.read("t/1");
        assert_eq!(bench.pass(PATIENCE), ["t/0", "t/1"]);
    }
}
