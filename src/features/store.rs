//! The store: the trailing windows of every entity, moved forward bucket by bucket, with what an alert must name.
//!
//! Pairs of caller and vendor are kept for whoever calls. The entities above them (a vendor, one of its endpoints, a shared
//! credential) are kept only where a baseline knows them, so that state is bounded by what was learned and by who called
//! within a day.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use super::{Column, CountSeries, Entity, FeatureRow, FeatureVector, Level, Series};
use crate::calls::View;

/// Hosts and trace ids that are kept of an entity.
const MAX_HOSTS: usize = 8;
const MAX_TRACES: usize = 3;
/// Endpoints of a pair that are counted apart; calls of further ones count for the pair alone.
const MAX_ENDPOINTS: usize = 512;

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
        if self.hosts.len() < MAX_HOSTS && !host.is_empty() && !self.hosts.contains(host) {
            self.hosts.insert(host.to_owned());
        }
        if !credential.is_empty() && self.credential != credential {
            credential.clone_into(&mut self.credential);
        }
        if let Some(trace_id) = trace_id.filter(|id| self.trace_ids.back().is_none_or(|newest| newest != id)) {
            if self.trace_ids.len() == MAX_TRACES {
                self.trace_ids.pop_front();
            }
            self.trace_ids.push_back(trace_id.to_owned());
        }
    }
}

/// One entity's windows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EntityState {
    /// Who.
    pub entity: Entity,
    /// Its features.
    pub series: Series,
    /// Calls of each endpoint, of a pair.
    pub endpoints: BTreeMap<String, CountSeries>,
    /// What an alert names.
    pub trail: Trail,
}

impl EntityState {
    /// An state without calls.
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
        } else if self.endpoints.len() < MAX_ENDPOINTS {
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

/// All entities, in the order of their first call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<EntityState>", into = "Vec<EntityState>")]
pub struct EntityStore {
    entities: Vec<EntityState>,
    places: HashMap<Entity, usize>,
}

impl From<Vec<EntityState>> for EntityStore {
    fn from(entities: Vec<EntityState>) -> Self {
        let places = entities.iter().enumerate().map(|(place, state)| (state.entity.clone(), place)).collect();
        Self { entities, places }
    }
}

impl From<EntityStore> for Vec<EntityState> {
    fn from(store: EntityStore) -> Self {
        store.entities
    }
}

impl EntityStore {
    /// Moves every window forward so that it ends with `bucket`, and forgets who has not called for a day.
    pub fn advance(&mut self, bucket: i64) {
        self.entities.iter_mut().for_each(|state| state.advance(bucket));
        if self.entities.iter().any(|state| state.series.is_idle()) {
            let mut entities = std::mem::take(&mut self.entities);
            entities.retain(|state| !state.series.is_idle());
            *self = entities.into();
        }
    }

    /// Adds the rows of a bucket, the newest one; `keeps` says which entities above pairs are kept. Returns the places of
    /// all entities that the rows belong to, in order.
    pub fn add(&mut self, rows: &[FeatureRow], keeps: impl Fn(&Entity) -> bool) -> BTreeSet<usize> {
        let mut touched = BTreeSet::new();
        for row in rows {
            let pair = self.open(Entity::pair(row.view, &row.caller, &row.vendor));
            let state = &mut self.entities[pair];
            state.add(row.bucket, &row.values);
            state.add_endpoint(row.bucket, &row.endpoint, row.values[Column::Calls as usize]);
            touched.insert(pair);
            for entity in groups_of(row).into_iter().filter(|entity| keeps(entity)) {
                let place = self.open(entity);
                self.entities[place].add(row.bucket, &row.values);
                touched.insert(place);
            }
        }
        touched
    }

    /// Notes what an alert about a pair or its vendor would name.
    pub fn note(&mut self, sighting: &Sighting<'_>) {
        let Entity { view, vendor, .. } = sighting.pair;
        let vendor = Entity::group(*view, Level::Vendor, vendor, "", "");
        for entity in [Some(sighting.pair), vendor.as_ref()].into_iter().flatten() {
            if let Some(place) = self.places.get(entity) {
                self.entities[*place].trail.add(sighting.host, sighting.credential, sighting.trace_id);
            }
        }
    }

    /// The place of an entity's state, opened if there is none.
    pub fn open(&mut self, entity: Entity) -> usize {
        if let Some(place) = self.places.get(&entity) {
            return *place;
        }
        let place = self.entities.len();
        self.places.insert(entity.clone(), place);
        self.entities.push(EntityState::new(entity));
        place
    }

    /// The state at a place that [`Self::add`] returned.
    pub fn at(&self, place: usize) -> &EntityState {
        &self.entities[place]
    }

    /// An entity's state, if it called within a day.
    pub fn get(&self, entity: &Entity) -> Option<&EntityState> {
        self.places.get(entity).map(|place| &self.entities[*place])
    }

    /// The pairs of a vendor, in the order of their first call.
    pub fn pairs_of<'a>(&'a self, view: View, vendor: &'a str) -> impl Iterator<Item = &'a EntityState> {
        self.entities.iter().filter(move |state| {
            let entity = &state.entity;
            entity.level == Level::Pair && entity.view == view && entity.vendor == vendor
        })
    }

    /// All entities.
    pub fn entities(&self) -> &[EntityState] {
        &self.entities
    }
}

/// The entities above its pair that a row belongs to.
pub fn groups_of(row: &FeatureRow) -> Vec<Entity> {
    let levels = [Level::VendorEndpoint, Level::Credential, Level::Vendor];
    let group = |level| Entity::group(row.view, level, &row.vendor, &row.endpoint, &row.credential);
    levels.into_iter().filter_map(group).collect()
}
