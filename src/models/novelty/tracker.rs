//! The tracker: tells each novelty once, also after a restart.

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use super::Novelty;
use super::beacon::Ticks;
use super::dormancy::Awake;
use super::news::news;
use super::relation::Relation;
use super::seen::{Fact, Looker, SeenSet, hour_of};
use crate::calls::View;
use crate::rollup::{bucket_of, day_of};

/// New credentials of a pair within a day that are a burst.
const BURST_OF_CREDENTIALS: usize = 5;
const DAY: i64 = 86_400_000_000;
/// Pairs that nothing was learned of and whose calls are timed.
const MAX_NEW_PAIRS: usize = 10_000;
/// First-seen events that are remembered so as not to be told again.
const MAX_REMEMBERED: usize = 100_000;

/// Tells each novelty once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NoveltyTracker {
    /// Hashes of what was told, oldest first.
    told: VecDeque<u64>,
    #[serde(skip)]
    index: HashSet<u64>,
    /// New credentials of a pair and when they came.
    credentials: BTreeMap<(String, String), BTreeMap<String, i64>>,
    /// When known credentials were used last.
    awake: Awake,
    /// Calls of pairs that nothing was learned of.
    ticks: BTreeMap<(View, String, String), Ticks>,
    /// Relations without any news: most of them, most of the time. Follows from what is known.
    #[serde(skip)]
    quiet: HashSet<u64>,
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes()).update(&[0x1f]);
    }
    let bytes = hasher.finalize();
    u64::from_le_bytes(std::array::from_fn(|place| bytes.as_bytes()[place]))
}

impl NoveltyTracker {
    /// Restores what is derived, after loading.
    pub fn restored(mut self) -> Self {
        self.index = self.told.iter().copied().collect();
        self
    }

    /// First-seen events of a relation that were not told before.
    pub fn look(&mut self, relation: &Relation<'_>, known: &SeenSet) -> Vec<Novelty> {
        use std::hash::BuildHasher;
        let mut novelties: Vec<Novelty> = self.dormant_credential(relation, known).into_iter().collect();
        if relation.view == View::Audit {
            return novelties; // the rest of that view is judged by `audit`
        }
        let Relation { caller, vendor, endpoint, credential, network, client, region, scheme, tls_version, .. } =
            *relation;
        let place = (network, client, region, scheme, tls_version, hour_of(relation.time));
        let relation_hash = foldhash::fast::FixedState::default().hash_one((
            relation.view,
            caller,
            vendor,
            endpoint,
            credential,
            place,
        ));
        if self.quiet.contains(&relation_hash) {
            return novelties;
        }
        let news = news(relation, known);
        if news.is_empty() {
            if self.quiet.len() >= MAX_REMEMBERED {
                self.quiet.clear();
            }
            self.quiet.insert(relation_hash);
            return novelties;
        }
        for (class, parts, detail) in news {
            if !self.tell(relation.view, class, parts) {
                continue;
            }
            novelties.push(novelty(relation, class, detail.to_owned()));
            if class == "credential_new" {
                novelties.extend(self.burst_of_credentials(relation));
            }
        }
        novelties
    }

    /// Whether this is to be told: it was not before.
    fn tell(&mut self, view: View, class: &str, [a, b, c]: [&str; 3]) -> bool {
        let id = hash(&[view.as_str(), class, a, b, c]);
        if !self.index.insert(id) {
            return false;
        }
        self.told.push_back(id);
        if self.told.len() > MAX_REMEMBERED
            && let Some(oldest) = self.told.pop_front()
        {
            self.index.remove(&oldest);
        }
        true
    }

    fn dormant_credential(&mut self, relation: &Relation<'_>, known: &SeenSet) -> Option<Novelty> {
        let Relation { view, credential, .. } = *relation;
        let day = day_of(bucket_of(relation.time));
        let wakes = !credential.is_empty() && self.awake.wake(&known.rests, view, credential, day);
        wakes.then(|| novelty(relation, "credential_dormant", credential.to_owned()))
    }

    /// Times a rolled-up relation, at the end of its bucket: a pair that nothing was learned of and that ticks like a clock; of a caller that is itself new only where nobody calls
    /// the vendor, since a new service's jobs tick too.
    pub fn beacon(&mut self, relation: &Relation<'_>, known: &SeenSet) -> Option<Novelty> {
        let Relation { view, caller, vendor, .. } = *relation;
        if view == View::Audit {
            return None;
        }
        let mut look = Looker::new(known, view);
        if look.has(Fact::Pair, &[caller, vendor])
            || (look.has(Fact::Vendor, &[vendor]) && !look.has(Fact::Caller, &[caller]))
        {
            return None;
        }
        let pair = (view, caller.to_owned(), vendor.to_owned());
        if !self.ticks.contains_key(&pair) && self.ticks.len() >= MAX_NEW_PAIRS {
            return None;
        }
        let seconds = self.ticks.entry(pair).or_default().add(relation)?;
        let is_news = self.tell(view, "beacon", [caller, vendor, ""]);
        is_news.then(|| novelty(relation, "beacon", format!("{vendor}, every {seconds:.0} s")))
    }

    fn burst_of_credentials(&mut self, relation: &Relation<'_>) -> Option<Novelty> {
        let seen = self.credentials.entry((relation.caller.to_owned(), relation.vendor.to_owned())).or_default();
        seen.retain(|_, first| *first > relation.time - DAY);
        if seen.len() < MAX_REMEMBERED {
            seen.entry(relation.credential.to_owned()).or_insert(relation.time);
        }
        let count = seen.len();
        let today = (relation.time / DAY).to_string();
        let is_burst = count >= BURST_OF_CREDENTIALS
            && self.tell(relation.view, "credential_burst", [relation.caller, relation.vendor, &today]);
        is_burst.then(|| novelty(relation, "credential_burst", format!("{count} new credentials")))
    }
}

fn novelty(relation: &Relation<'_>, class: &'static str, detail: String) -> Novelty {
    Novelty {
        class,
        detail,
        time: relation.time,
        view: relation.view,
        caller: relation.caller.to_owned(),
        vendor: relation.vendor.to_owned(),
        endpoint: relation.endpoint.to_owned(),
        credential: relation.credential.to_owned(),
    }
}
