//! The watch: tells each first sight once, also after a restart.

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use super::Sight;
use super::beacon::Ticks;
use super::dormancy::Awake;
use super::known::{Fact, Known, Looker, hour_of};
use super::news::news;
use super::relation::Relation;
use crate::calls::Direction;
use crate::rollup::{bucket_of, day_of};

/// New credentials of a pair within a day that are a burst.
const BURST_OF_CREDENTIALS: usize = 5;
const DAY: i64 = 86_400_000_000;
/// Pairs that nothing was learned of and whose calls are timed.
const MOST_NEW_PAIRS: usize = 10_000;
/// First sights that are remembered so as not to be told again.
const MOST_REMEMBERED: usize = 100_000;

/// Tells each first sight once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watch {
    /// Hashes of what was told, oldest first.
    told: VecDeque<u64>,
    #[serde(skip)]
    index: HashSet<u64>,
    /// New credentials of a pair and when they came.
    credentials: BTreeMap<(String, String), BTreeMap<String, i64>>,
    /// When known credentials were used last.
    awake: Awake,
    /// Calls of pairs that nothing was learned of.
    ticks: BTreeMap<(Direction, String, String), Ticks>,
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

impl Watch {
    /// Restores what is derived, after loading.
    pub fn restored(mut self) -> Self {
        self.index = self.told.iter().copied().collect();
        self
    }

    /// First sights of a relation that were not told before.
    pub fn look(&mut self, relation: &Relation<'_>, known: &Known) -> Vec<Sight> {
        use std::hash::BuildHasher;
        let mut sights: Vec<Sight> = self.dormant_credential(relation, known).into_iter().collect();
        if relation.direction == Direction::Audit {
            return sights; // the rest of that view is judged by `audit`
        }
        let Relation { caller, vendor, endpoint, credential, network, client, region, scheme, tls_version, .. } =
            *relation;
        let place = (network, client, region, scheme, tls_version, hour_of(relation.time));
        let relation_hash = foldhash::fast::FixedState::default().hash_one((
            relation.direction,
            caller,
            vendor,
            endpoint,
            credential,
            place,
        ));
        if self.quiet.contains(&relation_hash) {
            return sights;
        }
        let news = news(relation, known);
        if news.is_empty() {
            if self.quiet.len() >= MOST_REMEMBERED {
                self.quiet.clear();
            }
            self.quiet.insert(relation_hash);
            return sights;
        }
        for (class, parts, detail) in news {
            if !self.tell(relation.direction, class, parts) {
                continue;
            }
            sights.push(sight(relation, class, detail.to_owned()));
            if class == "credential_new" {
                sights.extend(self.burst_of_credentials(relation));
            }
        }
        sights
    }

    /// Whether this is to be told: it was not before.
    fn tell(&mut self, direction: Direction, class: &str, [a, b, c]: [&str; 3]) -> bool {
        let id = hash(&[direction.as_str(), class, a, b, c]);
        if !self.index.insert(id) {
            return false;
        }
        self.told.push_back(id);
        if self.told.len() > MOST_REMEMBERED
            && let Some(oldest) = self.told.pop_front()
        {
            self.index.remove(&oldest);
        }
        true
    }

    fn dormant_credential(&mut self, relation: &Relation<'_>, known: &Known) -> Option<Sight> {
        let Relation { direction, credential, .. } = *relation;
        let day = day_of(bucket_of(relation.time));
        let wakes = !credential.is_empty() && self.awake.wake(&known.rests, direction, credential, day);
        wakes.then(|| sight(relation, "credential_dormant", credential.to_owned()))
    }

    /// Times a rolled-up relation, at the end of its bucket: a pair that nothing was learned of and that ticks like a clock; of a caller that is itself new only where nobody calls
    /// the vendor, since a new service's jobs tick too.
    pub fn beacon(&mut self, relation: &Relation<'_>, known: &Known) -> Option<Sight> {
        let Relation { direction, caller, vendor, .. } = *relation;
        if direction == Direction::Audit {
            return None;
        }
        let mut look = Looker::new(known, direction);
        if look.has(Fact::Pair, &[caller, vendor])
            || (look.has(Fact::Vendor, &[vendor]) && !look.has(Fact::Caller, &[caller]))
        {
            return None;
        }
        let pair = (direction, caller.to_owned(), vendor.to_owned());
        if !self.ticks.contains_key(&pair) && self.ticks.len() >= MOST_NEW_PAIRS {
            return None;
        }
        let seconds = self.ticks.entry(pair).or_default().add(relation)?;
        let is_news = self.tell(direction, "beacon", [caller, vendor, ""]);
        is_news.then(|| sight(relation, "beacon", format!("{vendor}, every {seconds:.0} s")))
    }

    fn burst_of_credentials(&mut self, relation: &Relation<'_>) -> Option<Sight> {
        let seen = self.credentials.entry((relation.caller.to_owned(), relation.vendor.to_owned())).or_default();
        seen.retain(|_, first| *first > relation.time - DAY);
        if seen.len() < MOST_REMEMBERED {
            seen.entry(relation.credential.to_owned()).or_insert(relation.time);
        }
        let count = seen.len();
        let today = (relation.time / DAY).to_string();
        let is_burst = count >= BURST_OF_CREDENTIALS
            && self.tell(relation.direction, "credential_burst", [relation.caller, relation.vendor, &today]);
        is_burst.then(|| sight(relation, "credential_burst", format!("{count} new credentials")))
    }
}

fn sight(relation: &Relation<'_>, class: &'static str, detail: String) -> Sight {
    Sight {
        class,
        detail,
        time: relation.time,
        direction: relation.direction,
        caller: relation.caller.to_owned(),
        vendor: relation.vendor.to_owned(),
        endpoint: relation.endpoint.to_owned(),
        credential: relation.credential.to_owned(),
    }
}
