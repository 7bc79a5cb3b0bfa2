//! The ledger: the trailing windows of every entity, moved forward bucket by bucket, with what an alert must name.
//!
//! Pairs of caller and vendor are kept for whoever calls. The entities above them (a vendor, one of its endpoints, a shared
//! credential) are kept only where a baseline knows them, so that state is bounded by what was learned and by who called
//! within a day.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use super::{Column, CountSeries, Entity, FeatureRow, FeatureVector, Level, Series};
use crate::calls::Direction;

/// Hosts and trace ids that are kept of an entity.
const MOST_HOSTS: usize = 8;
const MOST_TRACES: usize = 3;
/// Endpoints of a pair that are counted apart; calls of further ones count for the pair alone.
const MOST_ENDPOINTS: usize = 512;

/// What an alert names of an entity: the newest of what its calls showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trail {
    /// Hosts called.
    pub hosts: BTreeSet<String>,
    /// Fingerprint of the credential used last; empty where there is none.
    pub credential: String,
    /// Trace ids of the newest calls.
    pub trace_ids: VecDeque<String>,
}

impl Trail {
    fn add(&mut self, host: &str, credential: &str, trace_id: Option<&str>) {
        if self.hosts.len() < MOST_HOSTS && !host.is_empty() && !self.hosts.contains(host) {
            self.hosts.insert(host.to_owned());
        }
        if !credential.is_empty() && self.credential != credential {
            credential.clone_into(&mut self.credential);
        }
        if let Some(trace_id) = trace_id.filter(|id| self.trace_ids.back().is_none_or(|newest| newest != id)) {
            if self.trace_ids.len() == MOST_TRACES {
                self.trace_ids.pop_front();
            }
            self.trace_ids.push_back(trace_id.to_owned());
        }
    }
}

/// One entity's windows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Who.
    pub entity: Entity,
    /// Its features.
    pub series: Series,
    /// Calls of each endpoint, of a pair.
    pub endpoints: BTreeMap<String, CountSeries>,
    /// What an alert names.
    pub trail: Trail,
}

impl Account {
    /// An account without calls.
    pub fn new(entity: Entity) -> Self {
        Self { entity, series: Series::default(), endpoints: BTreeMap::new(), trail: Trail::default() }
    }

    /// Sum of a feature over a window (place in `WINDOWS`).
    pub fn sum(&self, column: Column, window: usize) -> i64 {
        self.series.window(window)[column as usize]
    }

    /// Adds features of the newest bucket.
    pub fn add(&mut self, bucket: i64, values: &FeatureVector) {
        self.series.add_features(bucket, values);
    }

    /// Adds calls of an endpoint in the newest bucket.
    pub fn add_endpoint(&mut self, bucket: i64, endpoint: &str, calls: i64) {
        if let Some(series) = self.endpoints.get_mut(endpoint) {
            series.add_count(bucket, calls);
        } else if self.endpoints.len() < MOST_ENDPOINTS {
            self.endpoints.entry(endpoint.to_owned()).or_default().add_count(bucket, calls);
        }
    }

    /// Moves every window forward so that it ends with `bucket`.
    pub fn advance(&mut self, bucket: i64) {
        self.series.advance(bucket);
        self.endpoints.retain(|_, series| {
            series.advance(bucket);
            !series.is_idle()
        });
    }
}

/// A host, a credential and a trace id that a pair showed in a bucket, in the order of their calls.
#[derive(Clone, Debug)]
pub struct Sighting<'a> {
    /// The pair.
    pub pair: &'a Entity,
    /// Host called.
    pub host: &'a str,
    /// Credential fingerprint, may be empty.
    pub credential: &'a str,
    /// Trace id of one of the calls.
    pub trace_id: Option<&'a str>,
}

/// All accounts, in the order of their first call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Account>", into = "Vec<Account>")]
pub struct Ledger {
    accounts: Vec<Account>,
    places: HashMap<Entity, usize>,
}

impl From<Vec<Account>> for Ledger {
    fn from(accounts: Vec<Account>) -> Self {
        let places = accounts.iter().enumerate().map(|(place, account)| (account.entity.clone(), place)).collect();
        Self { accounts, places }
    }
}

impl From<Ledger> for Vec<Account> {
    fn from(ledger: Ledger) -> Self {
        ledger.accounts
    }
}

impl Ledger {
    /// Moves every window forward so that it ends with `bucket`, and forgets who has not called for a day.
    pub fn advance(&mut self, bucket: i64) {
        self.accounts.iter_mut().for_each(|account| account.advance(bucket));
        if self.accounts.iter().any(|account| account.series.is_idle()) {
            let mut accounts = std::mem::take(&mut self.accounts);
            accounts.retain(|account| !account.series.is_idle());
            *self = accounts.into();
        }
    }

    /// Adds the rows of a bucket, the newest one; `keeps` says which entities above pairs are kept. Returns the places of
    /// all accounts that the rows belong to, in order.
    pub fn add(&mut self, rows: &[FeatureRow], keeps: impl Fn(&Entity) -> bool) -> BTreeSet<usize> {
        let mut touched = BTreeSet::new();
        for row in rows {
            let pair = self.open(Entity::pair(row.direction, &row.caller, &row.vendor));
            let account = &mut self.accounts[pair];
            account.add(row.bucket, &row.values);
            account.add_endpoint(row.bucket, &row.endpoint, row.values[Column::Calls as usize]);
            touched.insert(pair);
            for entity in groups_of(row).into_iter().filter(|entity| keeps(entity)) {
                let place = self.open(entity);
                self.accounts[place].add(row.bucket, &row.values);
                touched.insert(place);
            }
        }
        touched
    }

    /// Notes what an alert about a pair or its vendor would name.
    pub fn note(&mut self, sighting: &Sighting<'_>) {
        let Entity { direction, vendor, .. } = sighting.pair;
        let vendor = Entity::group(*direction, Level::Vendor, vendor, "", "");
        for entity in [Some(sighting.pair), vendor.as_ref()].into_iter().flatten() {
            if let Some(place) = self.places.get(entity) {
                self.accounts[*place].trail.add(sighting.host, sighting.credential, sighting.trace_id);
            }
        }
    }

    /// The place of an entity's account, opened if there is none.
    pub fn open(&mut self, entity: Entity) -> usize {
        if let Some(place) = self.places.get(&entity) {
            return *place;
        }
        let place = self.accounts.len();
        self.places.insert(entity.clone(), place);
        self.accounts.push(Account::new(entity));
        place
    }

    /// The account at a place that [`Self::add`] returned.
    pub fn at(&self, place: usize) -> &Account {
        &self.accounts[place]
    }

    /// An entity's account, if it called within a day.
    pub fn get(&self, entity: &Entity) -> Option<&Account> {
        self.places.get(entity).map(|place| &self.accounts[*place])
    }

    /// The pairs of a vendor, in the order of their first call.
    pub fn pairs_of<'a>(&'a self, direction: Direction, vendor: &'a str) -> impl Iterator<Item = &'a Account> {
        self.accounts.iter().filter(move |account| {
            let entity = &account.entity;
            entity.level == Level::Pair && entity.direction == direction && entity.vendor == vendor
        })
    }

    /// All accounts.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }
}

/// The entities above its pair that a row belongs to.
pub fn groups_of(row: &FeatureRow) -> Vec<Entity> {
    let levels = [Level::VendorEndpoint, Level::Credential, Level::Vendor];
    let group = |level| Entity::group(row.direction, level, &row.vendor, &row.endpoint, &row.credential);
    levels.into_iter().filter_map(group).collect()
}
