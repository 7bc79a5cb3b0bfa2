//! The history of each entity: its feature rows bucket by bucket, replayed through the same entities that the stream keeps.

use std::collections::{BTreeMap, BTreeSet};

use crate::features::{Column, Entity, EntityState, FEATURES, FeatureRow, FeatureVector, Level, WIDTH, groups_of};
use crate::models::seasonality::Span;
use crate::rollup::{Merge, day_of};

/// One bucket of an entity.
#[derive(Debug)]
struct Bucket {
    bucket: i64,
    values: FeatureVector,
    /// Calls by place in the entity's endpoints.
    endpoints: Vec<(u32, i64)>,
}

/// All of one entity's history.
#[derive(Debug)]
pub(super) struct EntityHistory {
    /// Who.
    pub entity: Entity,
    /// Callers that it was seen with.
    pub callers: BTreeSet<String>,
    /// Endpoints called, of a pair.
    pub endpoints: Vec<String>,
    buckets: Vec<Bucket>,
    places: BTreeMap<String, u32>,
}

impl EntityHistory {
    fn new(entity: Entity) -> Self {
        Self { entity, callers: BTreeSet::new(), endpoints: Vec::new(), buckets: Vec::new(), places: BTreeMap::new() }
    }

    fn add(&mut self, row: &FeatureRow) {
        if self.buckets.last().is_none_or(|newest| newest.bucket != row.bucket) {
            self.buckets.push(Bucket { bucket: row.bucket, values: [0; WIDTH], endpoints: Vec::new() });
        }
        let Some(newest) = self.buckets.last_mut() else { return };
        for (place, value) in row.values.iter().enumerate() {
            match FEATURES[place].merge {
                Merge::Sum => newest.values[place] += value,
                Merge::Max => newest.values[place] = newest.values[place].max(*value),
                Merge::Min => newest.values[place] = newest.values[place].min(*value),
            }
        }
        if self.entity.level == Level::Pair {
            let next = self.endpoints.len() as u32;
            let place = *self.places.entry(row.endpoint.clone()).or_insert_with(|| {
                self.endpoints.push(row.endpoint.clone());
                next
            });
            newest.endpoints.push((place, row.values[Column::Calls as usize]));
        }
        if !self.callers.contains(&row.caller) {
            self.callers.insert(row.caller.clone());
        }
    }

    /// `(bucket, calls)`, in order.
    pub fn calls(&self) -> Vec<(i64, i64)> {
        self.buckets.iter().map(|at| (at.bucket, at.values[Column::Calls as usize])).collect()
    }

    /// Folds with calls.
    pub fn folds(&self, span: Span) -> BTreeSet<i64> {
        self.buckets.iter().map(|at| span.fold_of(at.bucket)).collect()
    }

    /// Days with calls.
    pub fn days(&self) -> usize {
        self.buckets.iter().map(|at| day_of(at.bucket)).collect::<BTreeSet<_>>().len()
    }

    /// Calls by endpoint (place in [`Self::endpoints`]) and fold.
    pub fn endpoint_calls(&self, span: Span) -> Vec<BTreeMap<i64, i64>> {
        let mut calls = vec![BTreeMap::new(); self.endpoints.len()];
        for at in &self.buckets {
            for (place, count) in &at.endpoints {
                *calls[*place as usize].entry(span.fold_of(at.bucket)).or_default() += count;
            }
        }
        calls
    }

    /// Replays the history through an state, and shows it at the end of each bucket with calls.
    pub fn replay(&self, mut see: impl FnMut(i64, &EntityState)) {
        let mut state = EntityState::new(self.entity.clone());
        for at in &self.buckets {
            state.advance(at.bucket);
            state.add(at.bucket, &at.values);
            for (place, calls) in &at.endpoints {
                state.add_endpoint(at.bucket, &self.endpoints[*place as usize], *calls);
            }
            see(at.bucket, &state);
        }
    }

    /// Sums of the features over all of the history.
    pub fn total(&self) -> FeatureVector {
        let mut total = [0; WIDTH];
        for at in &self.buckets {
            total.iter_mut().zip(&at.values).for_each(|(sum, value)| *sum += value);
        }
        total
    }
}

/// Gathers entities from feature rows, which must be sorted by bucket. Entities above pairs are kept only where callers
/// share them: else they would say again what their one pair says.
pub(super) fn gather(rows: &[FeatureRow]) -> BTreeMap<Level, Vec<EntityHistory>> {
    let mut entities: BTreeMap<Entity, EntityHistory> = BTreeMap::new();
    for row in rows {
        let pair = Entity::pair(row.view, &row.caller, &row.vendor);
        for entity in std::iter::once(pair).chain(groups_of(row)) {
            entities.entry(entity.clone()).or_insert_with(|| EntityHistory::new(entity)).add(row);
        }
    }
    let mut levels: BTreeMap<Level, Vec<EntityHistory>> = BTreeMap::new();
    for history in entities.into_values() {
        if history.entity.level == Level::Pair || history.callers.len() > 1 {
            levels.entry(history.entity.level).or_default().push(history);
        }
    }
    levels
}
