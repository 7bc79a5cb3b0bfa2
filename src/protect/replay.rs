//! Later calls held against a policy: what it would have blocked.
//!
//! Whether a policy allows a call depends on the call's relation alone, so it is worked out once for each. Endpoints of what is blocked go under
//! templates that are learned as they come, as in the catalogue: a scan of a thousand paths is one row.
//!
//! Not here: reading logs (`ingest`), and printing (`cli`).

use std::collections::BTreeMap;

use foldhash::HashMap;

use super::policy::{Policy, Why};
use crate::calls::{Calls, Relation, Templates, View};
use crate::catalog::MORE;

/// Most rows that are kept; what is blocked past them counts under [`MORE`].
const MAX_ROWS: usize = 100_000;
/// Most relations whose verdict is remembered.
const MAX_VERDICTS: usize = 1_000_000;

/// Calls that would have been blocked, of one caller to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Who calls.
    pub caller: String,
    /// The host.
    pub host: String,
    /// Method and path template.
    pub endpoint: String,
    /// What the policy lacks.
    pub why: Why,
    /// Calls.
    pub calls: u64,
    /// First call, microseconds since the epoch.
    pub first_seen: i64,
    /// Last call, microseconds since the epoch.
    pub last_seen: i64,
}

/// Caller, host, vendor, endpoint, and what the policy lacks.
type Key = (String, String, String, String, Why);

/// Calls, first and last.
type Sum = (u64, i64, i64);

/// What a policy would have done.
pub struct Replay<'a> {
    policy: &'a Policy,
    verdicts: HashMap<u64, Option<Why>>,
    templates: Templates,
    rows: BTreeMap<Key, Sum>,
    /// Calls that were judged.
    pub judged: u64,
    /// Of these, calls that would have been blocked.
    pub blocked: u64,
    /// Records of audit logs, which no gateway sees.
    pub not_judged: u64,
}

impl<'a> Replay<'a> {
    /// Nothing was called yet.
    pub fn new(policy: &'a Policy) -> Self {
        Self {
            policy,
            verdicts: HashMap::default(),
            templates: Templates::default(),
            rows: BTreeMap::new(),
            judged: 0,
            blocked: 0,
            not_judged: 0,
        }
    }

    /// Judges calls.
    pub fn add(&mut self, calls: &Calls) {
        for call in calls.rows() {
            let relation = &calls.relations()[call.relation as usize];
            if relation.view() == View::Audit {
                self.not_judged += 1;
                continue;
            }
            self.judged += 1;
            if self.verdicts.len() >= MAX_VERDICTS {
                self.verdicts.clear();
            }
            let policy = self.policy;
            let Some(why) = *self.verdicts.entry(relation.id()).or_insert_with(|| policy.against(relation)) else {
                continue;
            };
            self.blocked += 1;
            self.count(relation, why, call.time);
        }
    }

    fn count(&mut self, relation: &Relation, why: Why, time: i64) {
        let (vendor, endpoint) = (relation.vendor().as_str(), relation.endpoint().as_str());
        if self.templates.observe_new(vendor, endpoint) {
            self.rename();
        }
        let text = |text: &str| text.to_owned();
        let endpoint = self.templates.apply(vendor, endpoint).into_owned();
        let mut key = (text(relation.caller().as_str()), text(relation.host().as_str()), text(vendor), endpoint, why);
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
            key = (text(MORE), text(MORE), String::new(), text(MORE), why);
        }
        add(&mut self.rows, key, (1, time, time));
    }

    /// Gives rows the names that templates have by now.
    fn rename(&mut self) {
        for (mut key, sum) in std::mem::take(&mut self.rows) {
            key.3 = self.templates.apply(&key.2, &key.3).into_owned();
            add(&mut self.rows, key, sum);
        }
    }

    /// What would have been blocked, most calls first.
    pub fn rows(&self) -> Vec<Blocked> {
        let mut rows: Vec<Blocked> = self
            .rows
            .iter()
            .map(|((caller, host, _, endpoint, why), (calls, first_seen, last_seen))| Blocked {
                caller: caller.clone(),
                host: host.clone(),
                endpoint: endpoint.clone(),
                why: *why,
                calls: *calls,
                first_seen: *first_seen,
                last_seen: *last_seen,
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.calls));
        rows
    }
}

fn add(rows: &mut BTreeMap<Key, Sum>, key: Key, (calls, first, last): Sum) {
    let known = rows.entry(key).or_insert((0, i64::MAX, i64::MIN));
    *known = (known.0 + calls, known.1.min(first), known.2.max(last));
}
