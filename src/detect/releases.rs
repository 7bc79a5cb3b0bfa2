//! Releases: since when a caller calls with a version of a client that is new for it.
//!
//! Whoever released something an hour ago knows where its errors come from. Versions are no novelties: every week brings some. Only when a
//! caller showed the last one is kept, and the few that it shows by turns.
//!
//! Not here: what a release excuses (`harmless`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calls::{Measure, Name, View};
use crate::rollup::{BUCKETS_PER_DAY, Row};

/// Versions of clients that a caller shows by turns. Who shows more is a person's browser or many programs, and releases tell nothing.
const MAX_VERSIONS: usize = 8;
/// Buckets without a call after which a caller is forgotten: a month, as of a monthly job.
const FORGOTTEN_AFTER: i64 = 31 * BUCKETS_PER_DAY;

/// The releases of all callers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Releases(BTreeMap<(View, Name), Versions>);

/// The versions of clients that a caller shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Versions {
    known: Vec<i64>,
    /// The bucket of the newest one, where others were known before.
    released: Option<i64>,
    last_seen: i64,
}

impl Releases {
    /// Takes note of the versions of a bucket's rows.
    pub fn note(&mut self, rows: &[Row], bucket: i64) {
        for row in rows {
            let numbers = [Measure::ReleaseMin, Measure::ReleaseMax].map(|measure| row.measures.get(measure));
            if numbers == [0, 0] {
                continue;
            }
            let key = (row.relation.view(), row.relation.caller().clone());
            let versions = self.0.entry(key).or_default();
            versions.last_seen = bucket;
            numbers.into_iter().filter(|number| *number != 0).for_each(|number| versions.note(number, bucket));
        }
    }

    /// Buckets since a caller's newest release; `None` where none is known.
    pub fn age(&self, view: View, caller: &Name, bucket: i64) -> Option<i64> {
        let versions = self.0.get(&(view, caller.clone()))?;
        Some(bucket - versions.released.filter(|_| versions.known.len() <= MAX_VERSIONS)?)
    }

    /// Forgets callers that have not called for a month.
    pub fn forget(&mut self, bucket: i64) {
        self.0.retain(|_, versions| bucket - versions.last_seen < FORGOTTEN_AFTER);
    }
}

impl Versions {
    fn note(&mut self, number: i64, bucket: i64) {
        if self.known.len() > MAX_VERSIONS || self.known.contains(&number) {
            return;
        }
        if !self.known.is_empty() {
            self.released = Some(bucket);
        }
        self.known.push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(numbers: impl IntoIterator<Item = (i64, i64)>) -> Releases {
        let mut versions = Versions::default();
        numbers.into_iter().for_each(|(bucket, number)| versions.note(number, bucket));
        Releases(BTreeMap::from([((View::Egress, Name::new("billing")), versions)]))
    }

    fn age(releases: &Releases, bucket: i64) -> Option<i64> {
        releases.age(View::Egress, &Name::new("billing"), bucket)
    }

    #[test]
    fn the_first_version_of_a_caller_is_no_release_and_the_next_one_is() {
        let releases = versions([(1, 7), (2, 7), (50, 9), (60, 7), (70, 9)]);
        assert_eq!((age(&releases, 72), age(&versions([(1, 7), (2, 7)]), 72)), (Some(22), None));
        assert_eq!(releases.age(View::Egress, &Name::new("other"), 72), None);
    }

    #[test]
    fn who_shows_ever_new_versions_releases_nothing() {
        assert_eq!(age(&versions((0..20).map(|version| (version, version + 1))), 20), None);
    }
}
