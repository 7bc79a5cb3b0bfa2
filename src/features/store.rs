//! The entity store: all that is remembered of each entity, one value behind one address, with an index by vendor.
//!
//! Pairs of caller and vendor are kept for whoever calls. The entities above them (a vendor, one of its endpoints, a shared
//! credential) are kept only where somebody asks for them, so that state is bounded by what was learned and by who called
//! within a day. Detectors keep typed parts of an entity; an entity that nobody called for a day, and of which no part must be
//! kept, is forgotten.
//!
//! Not here: what is unusual (`models`, `detect`), and when a bucket is complete (`stream`).

use std::collections::{BTreeMap, VecDeque};

use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use super::{Column, CountWindows, Entity, EntityId, FeatureVector, Level, WINDOWS, Windows};
use crate::calls::{Name, Relation, TraceId, View, combine};
use crate::rollup::Row;

/// Hosts that are kept of an entity.
const MAX_HOSTS: usize = 8;
/// Trace ids that are kept of an entity.
const MAX_TRACES: usize = 3;
/// Endpoints of a pair that are counted apart; calls of further ones count for the pair alone.
const MAX_ENDPOINTS: usize = 512;
/// Buckets without a call after which an entity is forgotten: a day.
const FORGOTTEN_AFTER: i64 = WINDOWS[WINDOWS.len() - 1].buckets;

/// What an alert names of an entity: the newest of what its calls showed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trail {
    /// Hosts called, sorted.
    pub hosts: Vec<Name>,
    /// Fingerprint of the credential used last; empty where there is none.
    pub credential: Name,
    /// Trace ids of the newest calls.
    pub trace_ids: VecDeque<TraceId>,
}

impl Trail {
    fn add(&mut self, relation: &Relation, trace_id: Option<TraceId>) {
        let (host, credential) = (relation.host(), relation.credential());
        if self.hosts.len() < MAX_HOSTS && !host.is_empty() && !self.hosts.contains(host) {
            self.hosts.push(host.clone());
            self.hosts.sort_unstable();
        }
        if !credential.is_empty() && self.credential != *credential {
            self.credential = credential.clone();
        }
        if let Some(trace_id) = trace_id.filter(|id| self.trace_ids.back() != Some(id)) {
            if self.trace_ids.len() == MAX_TRACES {
                self.trace_ids.pop_front();
            }
            self.trace_ids.push_back(trace_id);
        }
    }
}

/// What detectors remember of an entity.
pub trait Part: Default {
    /// Whether it may be forgotten with an entity that nobody called for a day.
    fn is_disposable(&self) -> bool;
}

impl Part for () {
    fn is_disposable(&self) -> bool {
        true
    }
}

/// All that is remembered of one entity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EntityState<P = ()> {
    /// Who.
    pub entity: Entity,
    /// Its features.
    pub windows: Windows,
    /// Calls of each endpoint, of a pair; sorted by the endpoint's address.
    endpoints: Vec<(Name, CountWindows)>,
    /// What an alert names.
    pub trail: Trail,
    /// The bucket of its first call since it is remembered.
    pub since: i64,
    /// The newest bucket with a call.
    pub last_seen: i64,
    /// What detectors remember.
    pub part: P,
}

impl<P: Part> EntityState<P> {
    /// An entity without calls, first seen in `bucket`.
    pub fn new(entity: Entity, bucket: i64) -> Self {
        Self {
            entity,
            windows: Windows::default(),
            endpoints: Vec::new(),
            trail: Trail::default(),
            since: bucket,
            last_seen: bucket,
            part: P::default(),
        }
    }
}

impl<P> EntityState<P> {
    /// Sum of a feature over a window (index in `WINDOWS`) that ends with `bucket`.
    pub fn sum(&self, column: Column, window: usize, bucket: i64) -> i64 {
        self.windows.sum(column, window, bucket)
    }

    /// Adds features of the newest bucket.
    pub fn add(&mut self, bucket: i64, values: &FeatureVector) {
        self.windows.add(bucket, values);
        self.last_seen = bucket;
    }

    /// Adds calls of an endpoint in the newest bucket.
    pub fn add_endpoint(&mut self, bucket: i64, endpoint: &Name, calls: i64) {
        match self.endpoints.binary_search_by_key(&endpoint.id(), |(name, _)| name.id()) {
            Ok(index) => self.endpoints[index].1.add(bucket, calls),
            Err(_) if self.endpoints.len() >= MAX_ENDPOINTS => {
                self.endpoints.retain(|(_, counts)| !counts.is_idle(bucket));
                if self.endpoints.len() < MAX_ENDPOINTS {
                    self.add_endpoint(bucket, endpoint, calls);
                }
            }
            Err(index) => {
                let mut counts = CountWindows::default();
                counts.add(bucket, calls);
                self.endpoints.insert(index, (endpoint.clone(), counts));
            }
        }
    }

    /// Endpoints with calls within the day before `bucket`, by address.
    pub fn endpoints(&self, bucket: i64) -> impl Iterator<Item = (&Name, &CountWindows)> {
        let is_recent = move |(_, counts): &&(Name, CountWindows)| !counts.is_idle(bucket);
        self.endpoints.iter().filter(is_recent).map(|(name, counts)| (name, counts))
    }

    /// The counts of an endpoint.
    pub fn endpoint(&self, endpoint: &Name) -> Option<&CountWindows> {
        let index = self.endpoints.binary_search_by_key(&endpoint.id(), |(name, _)| name.id()).ok()?;
        Some(&self.endpoints[index].1)
    }
}

/// All entities.
#[derive(Clone, Debug)]
pub struct EntityStore<P = ()> {
    states: Vec<Option<EntityState<P>>>,
    index: HashMap<EntityId, u32>,
    free: Vec<u32>,
    /// The pairs of each vendor of a view, by address.
    pairs: HashMap<u64, BTreeMap<EntityId, u32>>,
    /// Entities by the last bucket in which they are known to have called: when one may be forgotten.
    expiry: BTreeMap<i64, Vec<u32>>,
    /// The newest bucket.
    now: i64,
}

impl<P> Default for EntityStore<P> {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            index: HashMap::default(),
            free: Vec::new(),
            pairs: HashMap::default(),
            expiry: BTreeMap::new(),
            now: i64::MIN,
        }
    }
}

fn vendor_key(view: View, vendor: &Name) -> u64 {
    combine([view as u64, vendor.id()])
}

impl<P: Part> EntityStore<P> {
    /// Opens a bucket, the newest one, and forgets who has not called for a day.
    pub fn advance(&mut self, bucket: i64) {
        self.now = bucket;
        let later = self.expiry.split_off(&(bucket - FORGOTTEN_AFTER + 1));
        for index in std::mem::replace(&mut self.expiry, later).into_values().flatten() {
            let Some(state) = self.states.get(index as usize).and_then(Option::as_ref) else { continue };
            if state.last_seen > bucket - FORGOTTEN_AFTER {
                self.expiry.entry(state.last_seen).or_default().push(index);
            } else if state.part.is_disposable() {
                self.remove(index);
            } else {
                // Asked again a day later.
                self.expiry.entry(bucket).or_default().push(index);
            }
        }
    }

    fn remove(&mut self, index: u32) {
        let Some(state) = self.states.get_mut(index as usize).and_then(Option::take) else { return };
        let id = state.entity.id();
        self.index.remove(&id);
        self.free.push(index);
        if state.entity.level == Level::Pair {
            let key = vendor_key(state.entity.view, &state.entity.vendor);
            if let Some(pairs) = self.pairs.get_mut(&key) {
                pairs.remove(&id);
                if pairs.is_empty() {
                    self.pairs.remove(&key);
                }
            }
        }
    }

    /// Adds a row of the newest bucket and its features; `keeps` says which entities above pairs are kept, and `touch` is shown
    /// the index of each entity that the row belongs to.
    pub fn add(
        &mut self,
        row: &Row,
        values: &FeatureVector,
        keeps: impl Fn(EntityId) -> bool,
        mut touch: impl FnMut(usize),
    ) {
        let relation = &*row.relation;
        let pair = self.open(EntityId::pair(relation), || Entity::pair_of(relation));
        if let Some(state) = self.at_mut(pair) {
            state.add(row.bucket, values);
            state.add_endpoint(row.bucket, relation.endpoint(), row.calls());
            state.trail.add(relation, row.trace_id);
        }
        touch(pair);
        for level in [Level::VendorEndpoint, Level::Credential, Level::Vendor] {
            let Some(id) = EntityId::group(level, relation).filter(|id| keeps(*id)) else { continue };
            let group = self.open(id, || Entity::at_level(level, relation));
            if let Some(state) = self.at_mut(group) {
                state.add(row.bucket, values);
                if level == Level::Vendor {
                    state.trail.add(relation, row.trace_id);
                }
            }
            touch(group);
        }
    }

    /// Notes what an alert about a relation's pair would name, before its bucket is complete. A trace id of the calls so far would
    /// depend on how they were batched: the end of the bucket brings one.
    pub fn note(&mut self, relation: &Relation) {
        let pair = self.open(EntityId::pair(relation), || Entity::pair_of(relation));
        let vendor = EntityId::group(Level::Vendor, relation).and_then(|id| self.index_of(id));
        for index in [Some(pair), vendor].into_iter().flatten() {
            if let Some(state) = self.at_mut(index) {
                state.trail.add(relation, None);
            }
        }
    }

    /// The index of an entity, which is opened if there is none.
    pub fn open(&mut self, id: EntityId, entity: impl FnOnce() -> Entity) -> usize {
        if let Some(index) = self.index.get(&id) {
            return *index as usize;
        }
        let state = EntityState::new(entity(), self.now.max(0));
        self.insert(id, state)
    }

    fn insert(&mut self, id: EntityId, state: EntityState<P>) -> usize {
        let index = self.free.pop().unwrap_or(self.states.len() as u32);
        if state.entity.level == Level::Pair {
            let key = vendor_key(state.entity.view, &state.entity.vendor);
            self.pairs.entry(key).or_default().insert(id, index);
        }
        self.index.insert(id, index);
        self.expiry.entry(state.last_seen).or_default().push(index);
        match self.states.get_mut(index as usize) {
            Some(slot) => *slot = Some(state),
            None => self.states.push(Some(state)),
        }
        index as usize
    }
}

impl<P> EntityStore<P> {
    /// The newest bucket.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Number of entities.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no entity.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The index of an entity, if it is there.
    pub fn index_of(&self, id: EntityId) -> Option<usize> {
        self.index.get(&id).map(|index| *index as usize)
    }

    /// The entity at an index.
    pub fn at(&self, index: usize) -> Option<&EntityState<P>> {
        self.states.get(index).and_then(Option::as_ref)
    }

    /// The entity at an index.
    pub fn at_mut(&mut self, index: usize) -> Option<&mut EntityState<P>> {
        self.states.get_mut(index).and_then(Option::as_mut)
    }

    /// An entity, if it is there.
    pub fn get(&self, id: EntityId) -> Option<&EntityState<P>> {
        self.at(self.index_of(id)?)
    }

    /// An entity, if it is there.
    pub fn get_mut(&mut self, id: EntityId) -> Option<&mut EntityState<P>> {
        self.at_mut(self.index_of(id)?)
    }

    /// The pairs of a vendor, by address.
    pub fn pairs_of(&self, view: View, vendor: &Name) -> impl Iterator<Item = &EntityState<P>> {
        let pairs = self.pairs.get(&vendor_key(view, vendor));
        pairs.into_iter().flat_map(|pairs| pairs.values()).filter_map(|index| self.at(*index as usize))
    }

    /// All entities, in no order.
    pub fn states(&self) -> impl Iterator<Item = &EntityState<P>> {
        self.states.iter().flatten()
    }

    /// All entities, in no order.
    pub fn states_mut(&mut self) -> impl Iterator<Item = &mut EntityState<P>> {
        self.states.iter_mut().flatten()
    }
}

impl<P: Part> FromIterator<EntityState<P>> for EntityStore<P> {
    fn from_iter<I: IntoIterator<Item = EntityState<P>>>(states: I) -> Self {
        let mut store = Self::default();
        for state in states {
            store.now = store.now.max(state.last_seen);
            store.insert(state.entity.id(), state);
        }
        store
    }
}

impl<P: Serialize> Serialize for EntityStore<P> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut states: Vec<&EntityState<P>> = self.states().collect();
        states.sort_unstable_by_key(|state| state.entity.id());
        (self.now, states).serialize(serializer)
    }
}

impl<'de, P: Part + Deserialize<'de>> Deserialize<'de> for EntityStore<P> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (now, states): (i64, Vec<EntityState<P>>) = Deserialize::deserialize(deserializer)?;
        let store: Self = states.into_iter().collect();
        Ok(Self { now, ..store })
    }
}

#[cfg(test)]
mod tests {
    use super::super::WIDTH;
    use super::*;
    use crate::calls::Calls;
    use crate::rollup::{BUCKET_MICROS, Rollup};

    fn rows(bucket: i64, pairs: &[(&str, &str)]) -> Vec<Row> {
        let calls = pairs.iter().map(|pair| (bucket * BUCKET_MICROS, *pair));
        Rollup::of(&Calls::of_pairs(calls)).into_rows()
    }

    fn call(store: &mut EntityStore, bucket: i64, pairs: &[(&str, &str)]) {
        store.advance(bucket);
        for row in rows(bucket, pairs) {
            store.add(&row, &[1; WIDTH], |_| true, |_| ());
        }
    }

    #[test]
    fn who_has_not_called_for_a_day_is_forgotten_and_leaves_the_index() {
        let mut store = EntityStore::<()>::default();
        call(&mut store, 0, &[("billing", "stripe"), ("crm", "stripe")]);
        call(&mut store, 200, &[("crm", "stripe")]);
        assert_eq!(store.pairs_of(View::Egress, &"stripe".into()).count(), 2);
        call(&mut store, 288, &[]);
        let left: Vec<_> =
            store.pairs_of(View::Egress, &"stripe".into()).map(|pair| pair.entity.caller.as_str()).collect();
        assert_eq!(left, ["crm"]);
        call(&mut store, 200 + 288, &[("shop", "adyen")]);
        assert_eq!(store.pairs_of(View::Egress, &"stripe".into()).count(), 0);
        assert_eq!(store.states().count(), 3, "shop, and adyen with its endpoint");
    }

    #[test]
    fn a_store_goes_on_as_before_after_a_trip_through_bytes() {
        let mut store = EntityStore::<()>::default();
        (0..40).for_each(|bucket| call(&mut store, bucket, &[("billing", "stripe"), ("crm", "adyen")]));
        let bytes = postcard::to_stdvec(&store).unwrap();
        let mut again: EntityStore = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(postcard::to_stdvec(&again).unwrap(), bytes);
        for store in [&mut store, &mut again] {
            call(store, 300, &[("billing", "stripe")]);
        }
        assert_eq!(postcard::to_stdvec(&again).unwrap(), postcard::to_stdvec(&store).unwrap());
    }
}
