//! Ticks: what a principal did in one bucket, counted by class of step, with what it showed for the first time.
//!
//! A failed sign-in counts for the company alone: anybody can try. A call that failed for the vendor's fault is nobody's
//! behaviour. Counts are integers; what is not (bytes in units of the usual size, surprise of a sequence) is fixed-point.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::marks::{Facts, Mark, look};
use super::{Audit, Memory, Principal, Role, Row, Sequence};
use crate::calls::{Name, StepClass};
use crate::rollup::{bucket_of, day_of};

/// Buckets of the trailing hour, and of the trailing day.
pub const HOUR_BUCKETS: i64 = 12;
/// Buckets of the trailing day.
pub const DAY_BUCKETS: i64 = 288;
/// Steps further apart than this are no sequence, microseconds.
const SEQUENCE_GAP: i64 = 1_800_000_000;
/// 1.0 in fixed point.
pub(super) const ONE: f64 = 1024.0;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Calls of a class of step (place in [`StepClass::ALL`]).
    List,
    /// Reads.
    Read,
    /// Uses.
    Use,
    /// Reads of secrets.
    Secret,
    /// Bulk reads.
    Bulk,
    /// Writes.
    Write,
    /// Grants, and changes of logging and protection.
    Grant,
    /// Sharing.
    Share,
    /// Deletes.
    Delete,
    /// Denied calls.
    Denied,
    /// Calls that failed for the caller's mistake.
    Errors,
    /// Bytes in units of the operation's usual size, fixed-point.
    Bytes,
    /// Operations that the principal never did.
    NewOperations,
    /// Surprise of the order of steps, fixed-point.
    Sequence,
    /// All calls.
    All,
    /// Failed sign-ins.
    Failed,
}

/// Counts in the order of [`Count`].
pub type Counts = [i64; Count::Failed as usize + 1];

/// One principal's bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tick {
    /// Bucket.
    pub bucket: i64,
    /// Counts.
    pub counts: Counts,
    /// What was shown for the first time.
    pub marks: Vec<Mark>,
    /// Operations, while the hour lasts.
    pub operations: BTreeSet<Name>,
    /// Accounts that could not be signed in to; of the company's ticks.
    pub failing: BTreeSet<Name>,
    /// Transitions between steps, and whether each is the day's first of its kind.
    pub transitions: Vec<(StepClass, StepClass, bool)>,
    /// Whether the principal was in a network of its own.
    pub is_at_home: bool,
    /// Whether it did a sensitive operation for the first time.
    pub is_sensitive_first: bool,
}

impl Tick {
    /// Counts the surprise of the order of its steps.
    pub fn count_sequence(&mut self, sequence: &Sequence, principal: &Principal, role: Role) {
        let firsts = self.transitions.iter().filter(|(_, _, is_first)| *is_first);
        let surprise: f64 = firsts.map(|(from, to, _)| sequence.surprise(principal, role, *from, *to)).sum();
        self.counts[Count::Sequence as usize] = (surprise * ONE) as i64;
    }

    fn add(&mut self, row: &Row<'_>, size: Option<f64>) {
        let own = row.calls - row.server_errors;
        let mut count = |count: Count, times: i64| self.counts[count as usize] += times;
        count(Count::All, row.calls);
        let of_step = match row.step {
            StepClass::List => Some(Count::List),
            StepClass::Read => Some(Count::Read),
            StepClass::Use => Some(Count::Use),
            StepClass::Secret => Some(Count::Secret),
            StepClass::Bulk => Some(Count::Bulk),
            StepClass::Write => Some(Count::Write),
            StepClass::Grant | StepClass::Defence => Some(Count::Grant),
            StepClass::Share => Some(Count::Share),
            StepClass::Delete => Some(Count::Delete),
            StepClass::Login | StepClass::Identity => None,
        };
        if let Some(of_step) = of_step {
            count(of_step, own);
        }
        count(Count::Denied, row.denied);
        count(Count::Errors, row.errors);
        if let Some(size) = size.filter(|size| *size > 0.0) {
            count(Count::Bytes, (row.bytes as f64 / size * ONE) as i64);
        }
    }
}

/// Usual bytes of a principal's operation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sizes(BTreeMap<(Principal, Name), f64>);

impl Sizes {
    /// Learns means from rows.
    pub fn fit(rows: &[Row<'_>]) -> Self {
        let mut sums: BTreeMap<(Principal, Name), (i64, i64)> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.bytes > 0) {
            let (bytes, calls) = sums.entry((row.whose(), row.operation.clone())).or_default();
            *bytes += row.bytes;
            *calls += row.calls;
        }
        Self(sums.into_iter().map(|(what, (bytes, calls))| (what, bytes as f64 / calls.max(1) as f64)).collect())
    }

    fn usual(&self, principal: &Principal, row: &Row<'_>) -> Option<f64> {
        (row.bytes > 0).then(|| self.0.get(&(principal.clone(), row.operation.clone())).copied()).flatten()
    }
}

/// Turns rows into ticks, and remembers what a later tick needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Observer {
    /// What was seen.
    pub memory: Memory,
    /// Each principal's last step, and when.
    last: BTreeMap<Principal, (i64, StepClass)>,
    day: i64,
    /// Transitions that the day has shown.
    today: BTreeSet<(Principal, StepClass, StepClass)>,
}

impl Observer {
    /// The ticks of a bucket's rows, in the order of their first calls; the company's has no name. Of principals that are held
    /// nothing is learned.
    pub fn observe(
        &mut self,
        rows: &[Row<'_>],
        audit: &Audit,
        role_of: &dyn Fn(&Principal, &Row<'_>) -> Role,
        is_held: &dyn Fn(&Principal) -> bool,
    ) -> BTreeMap<Principal, Tick> {
        let mut ticks: BTreeMap<Principal, Tick> = BTreeMap::new();
        for row in rows {
            let day = day_of(row.bucket);
            self.turn_to(day);
            let principal = row.whose();
            if row.is_failed_sign_in() {
                let company = principal.company();
                let tick = ticks.entry(company).or_default();
                tick.bucket = row.bucket;
                tick.counts[Count::Failed as usize] += row.denied;
                tick.failing.insert(row.principal.clone());
                if row.denied == row.calls {
                    continue;
                }
            }
            let role = role_of(&principal, row);
            let facts = Facts::of(row);
            let looked = look(row, &facts, &self.memory, &audit.known, day, role);
            let is_held = is_held(&principal);
            let mut is_new_operation = false;
            for fact in facts.all() {
                is_new_operation |= self.memory.see(&audit.known, fact, day, is_held) && fact == facts.operation;
            }
            let tick = ticks.entry(principal.clone()).or_default();
            tick.bucket = row.bucket;
            tick.add(row, audit.sizes.usual(&principal, row));
            tick.operations.insert(row.operation.clone());
            tick.is_at_home |= looked.is_at_home;
            tick.is_sensitive_first |= looked.is_sensitive_first;
            for mark in looked.marks {
                if !tick.marks.iter().any(|known| known.class == mark.class) {
                    tick.marks.push(mark);
                }
            }
            if row.server_errors < row.calls {
                tick.counts[Count::NewOperations as usize] += i64::from(is_new_operation);
                if role != Role::Internal {
                    tick.transitions.extend(self.step(principal, row));
                }
            }
        }
        ticks
    }

    fn turn_to(&mut self, day: i64) {
        // What comes late is no earlier day.
        if day > self.day {
            self.day = day;
            self.today.clear();
            let noon = day * DAY_BUCKETS * crate::rollup::BUCKET_MICROS;
            self.last.retain(|_, (time, _)| noon - *time < SEQUENCE_GAP);
        }
    }

    fn step(&mut self, principal: Principal, row: &Row<'_>) -> Option<(StepClass, StepClass, bool)> {
        let step = row.step;
        // After which step one came that is late, nobody knows any more.
        if self.last.get(&principal).is_some_and(|(time, _)| bucket_of(*time) > row.bucket) {
            return None;
        }
        let before = self.last.insert(principal.clone(), (row.last, step));
        let (_, from) = before.filter(|(time, from)| row.time - time < SEQUENCE_GAP && *from != step)?;
        Some((from, step, self.today.insert((principal, from, step))))
    }
}

/// Adds a tick to a principal's last day, and lets go of what no window reaches any more. One that came late takes its place among the
/// others, and keeps what it showed until the next that did not.
pub fn advance(ticks: &mut VecDeque<Tick>, tick: Tick) {
    let bucket = tick.bucket;
    if ticks.back().is_some_and(|newest| bucket < newest.bucket) {
        let place = ticks.partition_point(|other| other.bucket <= bucket);
        ticks.insert(place, tick);
        return;
    }
    ticks.push_back(tick);
    while ticks.front().is_some_and(|oldest| oldest.bucket <= bucket - DAY_BUCKETS) {
        ticks.pop_front();
    }
    for old in ticks.iter_mut().rev().skip_while(|tick| tick.bucket > bucket - HOUR_BUCKETS) {
        if old.marks.is_empty() && old.operations.is_empty() {
            break;
        }
        old.marks.clear();
        old.operations.clear();
        old.transitions.clear();
    }
}
