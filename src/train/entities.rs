//! The history of each entity: its features bucket by bucket, replayed through the same state that the stream keeps.
//!
//! Buckets are kept as variable-length integers, a quarter of their size: a history of any length is bounded by what was done.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;

use crate::calls::{Merge, Name};
use crate::features::{Column, Entity, EntityId, EntityState, FEATURES, FeatureVector, Level, WIDTH, WindowSums};
use crate::models::baseline::Snapshot;
use crate::models::seasonality::Span;
use crate::rollup::{Row, day_of};

/// One bucket of an entity.
#[derive(Debug)]
struct Bucket {
    bucket: i64,
    values: FeatureVector,
    /// Calls by index in the entity's endpoints.
    endpoints: Vec<(u32, i64)>,
}

/// All of one entity's history.
#[derive(Debug)]
pub(super) struct EntityHistory {
    /// Who.
    pub entity: Entity,
    /// Endpoints called, of a pair.
    pub endpoints: Vec<Name>,
    /// The caller that it was seen with first, and whether there were others.
    caller: u64,
    is_shared: bool,
    /// Calls by bucket, of a pair, that are not learned from: no silence either.
    aside: Vec<(i64, i64)>,
    /// Closed buckets: bucket, features, number of endpoints, and index and calls of each; zigzag LEB128.
    closed: Vec<u8>,
    open: Option<Bucket>,
    indices: HashMap<u64, u32>,
}

impl EntityHistory {
    fn new(entity: Entity, caller: u64) -> Self {
        Self {
            entity,
            endpoints: Vec::new(),
            caller,
            is_shared: false,
            aside: Vec::new(),
            closed: Vec::new(),
            open: None,
            indices: HashMap::default(),
        }
    }

    fn add(&mut self, row: &Row, values: &FeatureVector) {
        if self.open.as_ref().is_none_or(|open| open.bucket != row.bucket) {
            self.close();
            self.open = Some(Bucket { bucket: row.bucket, values: [0; WIDTH], endpoints: Vec::new() });
        }
        let Some(open) = &mut self.open else { return };
        for ((feature, into), value) in FEATURES.iter().zip(&mut open.values).zip(values) {
            feature.merge.apply(into, *value);
        }
        if self.entity.level == Level::Pair {
            let endpoint = row.relation.endpoint();
            let index = *self.indices.entry(endpoint.id()).or_insert_with(|| {
                self.endpoints.push(endpoint.clone());
                self.endpoints.len() as u32 - 1
            });
            open.endpoints.push((index, row.calls()));
        }
        self.is_shared |= row.relation.caller().id() != self.caller;
    }

    fn set_aside(&mut self, row: &Row) {
        match self.aside.last_mut() {
            Some((bucket, calls)) if *bucket == row.bucket => *calls += row.calls(),
            _ => self.aside.push((row.bucket, row.calls())),
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        write(&mut self.closed, open.bucket);
        open.values.iter().for_each(|value| write(&mut self.closed, *value));
        write(&mut self.closed, open.endpoints.len() as i64);
        for (index, calls) in open.endpoints {
            write(&mut self.closed, i64::from(index));
            write(&mut self.closed, calls);
        }
    }

    fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let mut rest = self.closed.as_slice();
        std::iter::from_fn(move || {
            let bucket = read(&mut rest)?;
            let mut values = [0; WIDTH];
            for value in &mut values {
                *value = read(&mut rest)?;
            }
            let count = read(&mut rest)?;
            let mut endpoints = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
            for _ in 0..count {
                endpoints.push((u32::try_from(read(&mut rest)?).ok()?, read(&mut rest)?));
            }
            Some(Bucket { bucket, values, endpoints })
        })
    }

    /// `(bucket, calls)`, in order.
    pub fn calls(&self) -> Vec<(i64, i64)> {
        self.buckets().map(|at| (at.bucket, at.values[Column::Calls as usize])).collect()
    }

    /// `(bucket, calls)`, in order, with those that are not learned from.
    pub fn all_calls(&self) -> Vec<(i64, i64)> {
        let mut calls = [self.calls(), self.aside.clone()].concat();
        calls.sort_unstable();
        calls
    }

    /// Folds that are not learned from.
    pub fn folds_aside(&self, span: Span) -> BTreeSet<i64> {
        self.aside.iter().map(|(bucket, _)| span.fold_of(*bucket)).collect()
    }

    /// Folds with calls.
    pub fn folds(&self, span: Span) -> BTreeSet<i64> {
        self.buckets().map(|at| span.fold_of(at.bucket)).collect()
    }

    /// Days with calls.
    pub fn days(&self) -> usize {
        self.buckets().map(|at| day_of(at.bucket)).collect::<BTreeSet<_>>().len()
    }

    /// Calls by endpoint (index in [`Self::endpoints`]) and fold.
    pub fn endpoint_calls(&self, span: Span) -> Vec<BTreeMap<i64, i64>> {
        let mut calls = vec![BTreeMap::new(); self.endpoints.len()];
        for at in self.buckets() {
            for (index, count) in &at.endpoints {
                *calls[*index as usize].entry(span.fold_of(at.bucket)).or_default() += count;
            }
        }
        calls
    }

    /// Replays the history through an entity's state, and shows it at the end of each bucket with calls.
    pub fn replay(&self, mut see: impl FnMut(i64, Snapshot<'_>)) {
        let mut state = EntityState::new(self.entity.clone(), 0);
        for at in self.buckets() {
            state.add(at.bucket, &at.values);
            for (index, calls) in &at.endpoints {
                state.add_endpoint(at.bucket, &self.endpoints[*index as usize], *calls);
            }
            let sums: WindowSums = state.windows.sums(at.bucket);
            see(at.bucket, Snapshot { state: &state, bucket: at.bucket, usual_bucket: at.bucket, sums: &sums });
        }
    }

    /// Sums of the features over all of the history.
    pub fn total(&self) -> FeatureVector {
        let mut total = [0; WIDTH];
        for at in self.buckets() {
            total.iter_mut().zip(&at.values).for_each(|(sum, value)| *sum += value);
        }
        total
    }
}

fn write(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read(bytes: &mut &[u8]) -> Option<i64> {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
        shift += 7;
    }
}

/// Gathers the histories of a view's entities.
#[derive(Debug, Default)]
pub(super) struct Gatherer(BTreeMap<EntityId, EntityHistory>);

impl Gatherer {
    /// Adds a row and its features; rows must come in the order of their buckets.
    pub fn add(&mut self, row: &Row, values: &FeatureVector) {
        let (relation, caller) = (&row.relation, row.relation.caller().id());
        let pair = self.0.entry(EntityId::pair(relation));
        pair.or_insert_with(|| EntityHistory::new(Entity::pair_of(relation), caller)).add(row, values);
        for level in [Level::VendorEndpoint, Level::Credential, Level::Vendor] {
            let Some(id) = EntityId::group(level, relation) else { continue };
            if let Some(history) = self.0.get_mut(&id) {
                history.add(row, values);
            } else {
                let entity = Entity::at_level(level, relation);
                self.0.entry(id).or_insert(EntityHistory::new(entity, caller)).add(row, values);
            }
        }
    }

    /// Notes a row that is not learned from, in the same order.
    pub fn set_aside(&mut self, row: &Row) {
        let (relation, caller) = (&row.relation, row.relation.caller().id());
        let pair = self.0.entry(EntityId::pair(relation));
        pair.or_insert_with(|| EntityHistory::new(Entity::pair_of(relation), caller)).set_aside(row);
    }

    /// The histories by level, in the order of their entities. Entities above pairs are kept only where callers share them: else
    /// they would say again what their one pair says.
    pub fn finish(self) -> BTreeMap<Level, Vec<EntityHistory>> {
        let mut levels: BTreeMap<Level, Vec<EntityHistory>> = BTreeMap::new();
        for mut history in self.0.into_values() {
            history.close();
            history.closed.shrink_to_fit();
            if !history.closed.is_empty() && (history.entity.level == Level::Pair || history.is_shared) {
                levels.entry(history.entity.level).or_default().push(history);
            }
        }
        levels.values_mut().for_each(|histories| histories.sort_unstable_by(|a, b| a.entity.cmp(&b.entity)));
        levels
    }
}

/// Whether every feature merges in a way that a replay knows.
const _: () = {
    let mut index = 0;
    while index < FEATURES.len() {
        assert!(matches!(FEATURES[index].merge, Merge::Sum | Merge::Max));
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Calls;
    use crate::rollup::{BUCKET_MICROS, Rollup};

    #[test]
    fn integers_of_any_size_come_back_as_they_were_written() {
        let values = [0, 1, -1, 63, 64, -65, i64::MAX, i64::MIN, 1 << 40];
        let mut bytes = Vec::new();
        values.iter().for_each(|value| write(&mut bytes, *value));
        let mut rest = bytes.as_slice();
        let read_back: Vec<i64> = std::iter::from_fn(|| read(&mut rest)).collect();
        assert_eq!(read_back, values);
    }

    #[test]
    fn an_entity_that_one_caller_has_alone_is_left_to_its_pair() {
        let pairs = [("billing", "stripe"), ("crm", "stripe"), ("billing", "adyen")];
        let calls = pairs.iter().cycle().take(30).zip(0..).map(|(pair, n)| (n * BUCKET_MICROS / 3, *pair));
        let mut gatherer = Gatherer::default();
        for row in Rollup::of(&Calls::of_pairs(calls)).into_rows() {
            gatherer.add(&row, &[1; WIDTH]);
        }
        let levels = gatherer.finish();
        assert_eq!(levels[&Level::Pair].len(), 3);
        let vendors: Vec<&str> = levels[&Level::Vendor].iter().map(|vendor| vendor.entity.vendor.as_str()).collect();
        assert_eq!(vendors, ["stripe"]);
        assert_eq!(levels[&Level::Vendor][0].calls().len(), 10);
    }
}
