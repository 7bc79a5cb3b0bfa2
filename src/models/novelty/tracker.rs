//! The novelty tracker: reports each novelty once, also after a restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use super::beacon::Ticks;
use super::dormancy::Awake;
use super::rules::news;
use super::seen::{Fact, SeenSet, week_hour_of};
use super::{Novelty, NoveltyClass, classes};
use crate::calls::{Name, Relation, View, combine};
use crate::features::EntityId;
use crate::rollup::{Row, bucket_of, day_of};

/// New credentials of a pair within a day that are a burst.
const BURST_OF_CREDENTIALS: usize = 5;
const DAY: i64 = 86_400_000_000;
/// Pairs that nothing was learned of and whose calls are timed.
const MAX_NEW_PAIRS: usize = 10_000;
/// Novelties that are remembered so as not to be reported again.
const MAX_REMEMBERED: usize = 100_000;

/// Reports each novelty once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NoveltyTracker {
    /// Addresses of what was reported, oldest first.
    reported: VecDeque<u64>,
    #[serde(skip)]
    index: HashSet<u64>,
    /// New credentials of a pair and when they came.
    credentials: BTreeMap<EntityId, BTreeMap<u64, i64>>,
    /// When known credentials were used last.
    awake: Awake,
    /// Calls of pairs that nothing was learned of.
    ticks: BTreeMap<EntityId, Ticks>,
    /// Relations without any news, by the hour: most of them, most of the time. Follows from what is known.
    #[serde(skip)]
    quiet: HashSet<u64>,
}

impl NoveltyTracker {
    /// Restores what is derived, after loading.
    pub fn restored(mut self) -> Self {
        self.index = self.reported.iter().copied().collect();
        self
    }

    /// Novelties of a relation with a call at `time`, microseconds since the epoch, that were not reported before.
    pub fn look(&mut self, relation: &Arc<Relation>, time: i64, known: &SeenSet) -> Vec<Novelty> {
        let mut novelties: Vec<Novelty> = self.dormant_credential(relation, time, known).into_iter().collect();
        if relation.view() == View::Audit {
            return novelties; // the rest of that view is judged by `audit`
        }
        let quiet = combine([relation.id(), week_hour_of(time)]);
        if self.quiet.contains(&quiet) {
            return novelties;
        }
        let news = news(relation, time, known);
        if news.is_empty() {
            if self.quiet.len() >= MAX_REMEMBERED {
                self.quiet.clear();
            }
            self.quiet.insert(quiet);
            return novelties;
        }
        for new in news {
            if !self.report(relation.view(), new.class, new.key) {
                continue;
            }
            novelties.push(novelty(relation, time, new.class, new.detail));
            if new.class == &classes::CREDENTIAL_NEW {
                novelties.extend(self.burst_of_credentials(relation, time));
            }
        }
        novelties
    }

    /// Whether this is to be reported: it was not before.
    fn report(&mut self, view: View, class: &NoveltyClass, [a, b, c]: [u64; 3]) -> bool {
        let id = combine([view as u64, Name::id_of(class.name), a, b, c]);
        if !self.index.insert(id) {
            return false;
        }
        self.reported.push_back(id);
        if self.reported.len() > MAX_REMEMBERED
            && let Some(oldest) = self.reported.pop_front()
        {
            self.index.remove(&oldest);
        }
        true
    }

    fn dormant_credential(&mut self, relation: &Arc<Relation>, time: i64, known: &SeenSet) -> Option<Novelty> {
        let credential = relation.credential();
        let day = day_of(bucket_of(time));
        let wakes = !credential.is_empty() && self.awake.wake(&known.rests, relation.view(), credential, day);
        wakes.then(|| novelty(relation, time, &classes::CREDENTIAL_DORMANT, credential.to_string()))
    }

    /// Times a row, at the end of its bucket: a pair that nothing was learned of and that calls at fixed intervals; of a caller that is
    /// itself new only where nobody calls the vendor, since a new service's jobs tick too.
    pub fn beacon(&mut self, row: &Row, known: &SeenSet) -> Option<Novelty> {
        let relation = &row.relation;
        let view = relation.view();
        if view == View::Audit {
            return None;
        }
        let [caller, vendor] = [relation.caller().id(), relation.vendor().id()];
        if known.has(view, Fact::Pair, [caller, vendor])
            || (known.has(view, Fact::Vendor, [vendor]) && !known.has(view, Fact::Caller, [caller]))
        {
            return None;
        }
        let pair = EntityId::pair(relation);
        if !self.ticks.contains_key(&pair) && self.ticks.len() >= MAX_NEW_PAIRS {
            return None;
        }
        let seconds = self.ticks.entry(pair).or_default().add(row)?;
        let is_news = self.report(view, &classes::BEACON, [caller, vendor, 0]);
        let detail = || format!("{}, every {seconds:.0} s", relation.vendor());
        is_news.then(|| novelty(relation, row.first_seen(), &classes::BEACON, detail()))
    }

    fn burst_of_credentials(&mut self, relation: &Arc<Relation>, time: i64) -> Option<Novelty> {
        let seen = self.credentials.entry(EntityId::pair(relation)).or_default();
        seen.retain(|_, first| *first > time - DAY);
        if seen.len() < MAX_REMEMBERED {
            seen.entry(relation.credential().id()).or_insert(time);
        }
        let count = seen.len();
        let today = [relation.caller().id(), relation.vendor().id(), (time / DAY) as u64];
        let is_burst = count >= BURST_OF_CREDENTIALS && self.report(relation.view(), &classes::CREDENTIAL_BURST, today);
        is_burst.then(|| novelty(relation, time, &classes::CREDENTIAL_BURST, format!("{count} new credentials")))
    }
}

fn novelty(relation: &Arc<Relation>, time: i64, class: &'static NoveltyClass, detail: String) -> Novelty {
    Novelty { class, detail, time, relation: Arc::clone(relation) }
}
