//! The account of records: each that was read is a call, another kind of event, or rejected. Nothing else may happen to one.
//!
//! Not here: what became of the calls (`stream::Counters`).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::decoder::Decoded;

/// How many records were what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls.
    pub calls: u64,
    /// Other kinds of events, by kind.
    pub not_calls: BTreeMap<String, u64>,
    /// Records that could not be read, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Fields of calls that could not be read and are unknown, by name. Their calls are counted as calls.
    pub unreadable: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts what came of a payload.
    pub fn add(&mut self, decoded: &Decoded) {
        self.calls += decoded.calls as u64;
        for (kind, count) in &decoded.not_calls {
            add(&mut self.not_calls, kind, *count);
        }
        for error in &decoded.errors {
            add(&mut self.rejected, error.reason(), 1);
        }
        for (field, count) in &decoded.unreadable {
            add(&mut self.unreadable, field, *count);
        }
    }

    /// Counts what another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        let maps = [
            (&mut self.not_calls, &other.not_calls),
            (&mut self.rejected, &other.rejected),
            (&mut self.unreadable, &other.unreadable),
        ];
        for (own, other) in maps {
            other.iter().for_each(|(key, count)| add(own, key, *count));
        }
    }

    /// All records.
    pub fn records(&self) -> u64 {
        self.calls + self.other_events() + self.rejects()
    }

    /// Records that tell of no call of ours.
    pub fn other_events(&self) -> u64 {
        self.not_calls.values().sum()
    }

    /// Records that could not be read.
    pub fn rejects(&self) -> u64 {
        self.rejected.values().sum()
    }
}

fn add(counts: &mut BTreeMap<String, u64>, key: &str, count: u64) {
    match counts.get_mut(key) {
        Some(known) => *known += count,
        None => drop(counts.insert(key.to_owned(), count)),
    }
}

/// Counts with their keys: `7 not_json, 3 missing_field`.
pub struct Counts<'a>(pub &'a BTreeMap<String, u64>);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, count)) in self.0.iter().enumerate() {
            write!(f, "{}{count} {key}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{Place, Problem, RecordError};

    #[test]
    fn records_are_calls_other_events_and_rejects_and_nothing_else() {
        let place = Place::File { path: std::path::Path::new("a").into(), line: 1 };
        let decoded = Decoded {
            calls: 3,
            not_calls: [("blank", 2)].into(),
            unreadable: [("status".to_owned(), 1)].into(),
            errors: vec![RecordError::from(Problem::UnknownFormat).at(&place, None)],
        };
        let (mut tally, mut all) = (Tally::default(), Tally::default());
        tally.add(&decoded);
        tally.add(&decoded);
        all.merge(&tally);
        assert_eq!(all, tally);
        assert_eq!((all.records(), all.calls, all.other_events(), all.rejects()), (12, 6, 4, 2));
        assert_eq!(Counts(&all.rejected).to_string(), "2 unknown_format");
    }
}
