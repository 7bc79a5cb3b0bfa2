//! The watch: tells each first sight once, also after a restart.

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashSet;
use serde::{Deserialize, Serialize};

use super::Sight;
use super::known::Known;
use super::news::news;
use super::relation::Relation;
use crate::calls::Direction;

/// New credentials of a pair within a day that are a burst.
const BURST_OF_CREDENTIALS: usize = 5;
const DAY: i64 = 86_400_000_000;
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
        let Relation { caller, vendor, endpoint, credential, network, client, region, scheme, tls_version, .. } =
            *relation;
        let place = (network, client, region, scheme, tls_version);
        let relation_hash = foldhash::fast::FixedState::default().hash_one((
            relation.direction,
            caller,
            vendor,
            endpoint,
            credential,
            place,
        ));
        if self.quiet.contains(&relation_hash) {
            return Vec::new();
        }
        let news = news(relation, known);
        if news.is_empty() {
            if self.quiet.len() >= MOST_REMEMBERED {
                self.quiet.clear();
            }
            self.quiet.insert(relation_hash);
            return Vec::new();
        }
        let mut sights = Vec::new();
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
