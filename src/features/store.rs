//! The entity store: all that is remembered of each entity, one value behind one address, with an index by vendor.
//!
//! Pairs of caller and vendor are kept for whoever calls. The entities above them (a vendor, one of its endpoints, a shared
//! credential) are kept only where somebody asks for them, so that state is bounded by what was learned and by who called
//! within a day. Detectors keep typed parts of an entity; an entity that nobody called for a day, and of which no part must be
//! kept, is forgotten. The store knows which entities changed since it was saved, so that a checkpoint writes these alone.
//!
//! Not here: what is unusual (`models`, `detect`), when a bucket is complete (`stream`), and files (`state`).

use std::collections::{BTreeMap, VecDeque};

use foldhash::{HashMap, HashSet};
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

    /// Adds a row of the newest bucket and its features.
    fn add_row(&mut self, row: &Row, values: &FeatureVector, level: Level) {
        self.add(row.bucket, values);
        if level == Level::Pair {
            self.add_endpoint(row.bucket, row.relation.endpoint(), row.calls());
        }
        if matches!(level, Level::Pair | Level::Vendor) {
            self.trail.add(&row.relation, row.trace_id);
        }
    }

    /// Whether it had no call after a bucket.
    pub fn is_at(&self, bucket: i64) -> bool {
        self.windows.newest().is_none_or(|newest| newest <= bucket)
    }

    /// Adds features and, of a pair, calls of an endpoint of a bucket before its newest, which came late.
    fn add_late(&mut self, row: &Row, values: &FeatureVector) {
        let newest = self.windows.newest().unwrap_or(row.bucket);
        self.windows.add_late(row.bucket, values);
        if self.entity.level != Level::Pair {
            return;
        }
        let endpoint = row.relation.endpoint();
        match self.endpoints.binary_search_by_key(&endpoint.id(), |(name, _)| name.id()) {
            Ok(index) => self.endpoints[index].1.add_late(row.bucket, row.calls(), newest),
            Err(index) if self.endpoints.len() < MAX_ENDPOINTS => {
                let mut counts = CountWindows::default();
                counts.add_late(row.bucket, row.calls(), newest);
                self.endpoints.insert(index, (endpoint.clone(), counts));
            }
            Err(_) => {}
        }
    }

    /// It as it was at the end of a `bucket` that is past, with `late` features by bucket; see [`Windows::as_of`].
    #[must_use]
    pub fn as_of(&self, bucket: i64, late: &BTreeMap<i64, FeatureVector>) -> Self
    where
        P: Clone,
    {
        let endpoints = self.endpoints.iter().map(|(name, counts)| (name.clone(), counts.as_of(bucket))).collect();
        let windows = self.windows.as_of(bucket, late);
        Self { windows, endpoints, last_seen: bucket, since: self.since.min(bucket), ..self.clone() }
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
    /// What changed since the store was saved; `None` while it never was: then all did.
    unsaved: Option<Unsaved>,
}

/// What changed since the store was saved.
#[derive(Clone, Debug, Default)]
struct Unsaved {
    /// By index: entities that may have changed.
    changed: HashSet<u32>,
    removed: HashSet<EntityId>,
}

/// What a checkpoint must write of the entities.
pub struct Changes<'a, P> {
    /// Whether these are all entities there are.
    pub is_whole: bool,
    /// Those that may have changed, in no order.
    pub changed: Vec<&'a EntityState<P>>,
    /// Those that are gone, in no order.
    pub removed: Vec<EntityId>,
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
            unsaved: None,
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
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.changed.remove(&index);
            unsaved.removed.insert(id);
        }
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
        for (index, level) in self.entities_of(row, keeps).into_iter().flatten() {
            if let Some(state) = self.at_mut(index) {
                state.add_row(row, values, level);
            }
            touch(index);
        }
    }

    /// Adds a row of a bucket before the newest one, which came late; as by [`Self::add`], but `touch` is also shown whether the entity had
    /// no later call: then it goes on as if the row had come in time.
    pub fn add_late(
        &mut self,
        row: &Row,
        values: &FeatureVector,
        keeps: impl Fn(EntityId) -> bool,
        mut touch: impl FnMut(usize, bool),
    ) {
        for (index, level) in self.entities_of(row, keeps).into_iter().flatten() {
            let Some(state) = self.at_mut(index) else { continue };
            let (goes_on, last_seen) = (state.is_at(row.bucket), state.last_seen);
            if goes_on {
                state.add_row(row, values, level);
            } else {
                state.add_late(row, values);
                state.trail.add(&row.relation, row.trace_id);
            }
            state.last_seen = state.last_seen.max(last_seen);
            state.since = state.since.min(row.bucket);
            touch(index, goes_on);
        }
    }

    /// The entities that a row belongs to, opened where they are not there: its pair, and those above it that are kept.
    fn entities_of(&mut self, row: &Row, keeps: impl Fn(EntityId) -> bool) -> [Option<(usize, Level)>; 4] {
        let relation = &*row.relation;
        [Level::Pair, Level::VendorEndpoint, Level::Credential, Level::Vendor].map(|level| {
            let id = match level {
                Level::Pair => EntityId::pair(relation),
                _ => EntityId::group(level, relation).filter(|id| keeps(*id))?,
            };
            Some((self.open(id, || Entity::at_level(level, relation)), level))
        })
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
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.changed.insert(index);
            unsaved.removed.remove(&id);
        }
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

    /// The entity at an index, to be changed.
    pub fn at_mut(&mut self, index: usize) -> Option<&mut EntityState<P>> {
        let state = self.states.get_mut(index).and_then(Option::as_mut);
        if let (Some(_), Some(unsaved)) = (&state, &mut self.unsaved) {
            unsaved.changed.insert(index as u32);
        }
        state
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

    /// Shows all entities, in no order; `change` says whether it changed one.
    pub fn change_all(&mut self, mut change: impl FnMut(&mut EntityState<P>) -> bool) {
        for (state, index) in self.states.iter_mut().zip(0..) {
            if state.as_mut().is_some_and(&mut change)
                && let Some(unsaved) = &mut self.unsaved
            {
                unsaved.changed.insert(index);
            }
        }
    }

    /// What changed since [`Self::saved`].
    pub fn changes(&self) -> Changes<'_, P> {
        match &self.unsaved {
            None => self.whole(),
            Some(Unsaved { changed, removed }) => Changes {
                is_whole: false,
                changed: changed.iter().filter_map(|index| self.at(*index as usize)).collect(),
                removed: removed.iter().copied().collect(),
            },
        }
    }

    /// All entities, as if none had been saved.
    pub fn whole(&self) -> Changes<'_, P> {
        Changes { is_whole: true, changed: self.states().collect(), removed: Vec::new() }
    }

    /// All changes so far are saved.
    pub fn saved(&mut self) {
        self.unsaved = Some(Unsaved::default());
    }
}

impl<P: Part> EntityStore<P> {
    /// The store that was saved, with its newest bucket. Entities by address: the order in which they are looked at follows from it.
    pub fn restored(now: i64, states: impl IntoIterator<Item = EntityState<P>>) -> Self {
        let mut store: Self = states.into_iter().collect();
        store.now = now;
        store.saved();
        store
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

    type Saved = BTreeMap<EntityId, Vec<u8>>;

    /// Saves what changed, and says of how many entities.
    fn save(store: &mut EntityStore, saved: &mut Saved) -> usize {
        let Changes { is_whole, changed, removed } = store.changes();
        if is_whole {
            saved.clear();
        }
        let count = changed.len() + removed.len();
        saved.extend(changed.into_iter().map(|state| (state.entity.id(), postcard::to_stdvec(state).unwrap())));
        saved.retain(|id, _| !removed.contains(id));
        store.saved();
        count
    }

    #[test]
    fn a_store_goes_on_as_before_after_it_was_saved_change_by_change_and_restored() {
        let (mut store, mut saved) = (EntityStore::<()>::default(), Saved::new());
        let pairs = [("billing", "stripe"), ("crm", "adyen"), ("shop", "twilio")];
        for bucket in 0..700 {
            call(&mut store, bucket, &pairs[(bucket as usize / 60 % 2)..][..2]);
            if bucket % 7 == 0 {
                save(&mut store, &mut saved);
            }
        }
        save(&mut store, &mut saved);
        let mut whole = Saved::new();
        save(&mut EntityStore { unsaved: None, ..store.clone() }, &mut whole);
        assert_eq!(saved, whole);

        let states = saved.values().map(|bytes| postcard::from_bytes(bytes).unwrap());
        let mut again = EntityStore::restored(store.now(), states);
        for store in [&mut store, &mut again] {
            (700..1_100).for_each(|bucket| call(store, bucket, &pairs[..1]));
        }
        let (mut first, mut second) = (saved.clone(), saved);
        save(&mut store, &mut first);
        save(&mut again, &mut second);
        assert_eq!(first, second);
        assert!(first.len() < whole.len(), "who did not call any more is gone from what is saved");
    }

    #[test]
    fn only_what_changed_is_saved_again() {
        let (mut store, mut saved) = (EntityStore::<()>::default(), Saved::new());
        call(&mut store, 0, &[("billing", "stripe"), ("crm", "adyen"), ("shop", "twilio")]);
        assert_eq!(save(&mut store, &mut saved), 9, "pairs, vendors and endpoints");
        assert_eq!(save(&mut store, &mut saved), 0);
        call(&mut store, 1, &[("crm", "adyen")]);
        assert_eq!(save(&mut store, &mut saved), 3);
        store.change_all(|state| state.entity.caller.as_str() == "shop");
        assert_eq!(save(&mut store, &mut saved), 1);
    }
}
