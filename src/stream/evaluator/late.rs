//! Calls that came after their buckets were judged: they are added to what they belong to, and that is judged again.
//!
//! An entity without later calls goes on as if they had come in time: where a shipper was away, all of a caller's calls are late, and
//! nothing is lost of what they show. Any other is judged as it was, as far as that is still known: its long windows as a whole, of its short
//! ones what came late, and of the last hour all. Only what pages is told, with its own time, and says that it came late; what is first seen and rules were told at
//! once. An incident of silence that the calls explain ends.
//!
//! Not here: which calls are late, and up to when (`engine`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Evaluator, Memory, Reporter, Touched};
use crate::alerts::Alert;
use crate::calls::View;
use crate::detect::{Store, Subject};
use crate::features::{Entity, EntityId, FeatureVector, WIDTH, merge};
use crate::models::audit;
use crate::rollup::{BUCKETS_PER_DAY, BUCKETS_PER_HOUR, Row, bucket_of, bucket_start};
use crate::stream::preparation::Prepared;

/// Features that came late, by entity and bucket: of each entity those of the last hour with such calls, since windows do not keep them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Late(BTreeMap<EntityId, BTreeMap<i64, FeatureVector>>);

impl Late {
    fn add(&mut self, entity: EntityId, bucket: i64, values: &FeatureVector) {
        merge(self.0.entry(entity).or_default().entry(bucket).or_insert([0; WIDTH]), values);
    }

    /// Forgets what no window of a later call reaches, and who had no late call for a day before `newest`.
    fn forget(&mut self, newest: i64) {
        self.0.retain(|_, buckets| {
            let Some((last, _)) = buckets.last_key_value() else { return false };
            let since = *last - BUCKETS_PER_HOUR;
            *buckets = buckets.split_off(&(since + 1));
            since > newest - 2 * BUCKETS_PER_DAY
        });
    }
}

/// What is said of what came late.
pub(super) const CAME_LATE: &str = "; its calls came late";

impl Evaluator {
    /// Judges again what late rows belong to. `time` is up to when all has been read, microseconds of event time.
    pub fn revise(&mut self, prepared: &[Prepared], time: i64) -> Vec<Alert> {
        let closed: Vec<_> = prepared.iter().flat_map(Prepared::buckets).collect();
        let rows: Vec<Row> = closed.iter().flat_map(|bucket| bucket.rows.iter().cloned()).collect();
        // First: what they show is no part of the silence that they end.
        self.explain_silences(&rows);
        self.by.is_late = true;
        self.memory.company.hear_late(&rows, bucket_of(time));
        for bucket in &closed {
            let (going_on, past) = self.add_late(bucket.rows, bucket.vectors);
            self.judge_past(bucket.bucket, past);
            let end = bucket_start(bucket.bucket + 1) + self.by.settings.lateness_micros();
            for (index, judged) in self.judge_all(&going_on, bucket.bucket) {
                self.evaluate_entity(index, judged, bucket.bucket, end);
            }
            self.judge_late_audit(bucket.rows, bucket.bucket, end);
        }
        self.memory.late.forget(self.memory.store.now());
        self.by.is_late = false;
        self.memory.incidents.report(time)
    }

    /// Adds rows to their entities: the indices of those that had no later call, vendors first, and the others.
    fn add_late(&mut self, rows: &[Row], vectors: &[FeatureVector]) -> (Vec<usize>, BTreeSet<EntityId>) {
        let Memory { store, late, .. } = &mut self.memory;
        let keeps = |id: EntityId| self.by.bundle.baselines.contains(id);
        let (mut going_on, mut past) = (Touched::default(), BTreeSet::new());
        let mut behind = Vec::new();
        for (row, values) in rows.iter().zip(vectors) {
            store.add_late(row, values, keeps, |index, goes_on| {
                if goes_on {
                    going_on.insert(index);
                } else {
                    behind.push(index);
                }
            });
            for id in behind.drain(..).filter_map(|index| Some(store.at(index)?.entity.id())) {
                late.add(id, row.bucket, values);
                past.insert(id);
            }
        }
        (super::vendors_first(store, going_on), past)
    }

    /// Judges entities as they were at the end of a bucket. What is worked out on the way is not kept.
    fn judge_past(&mut self, bucket: i64, touched: BTreeSet<EntityId>) {
        let Memory { store, late, .. } = &self.memory;
        let as_of = |id: EntityId| Some(store.get(id)?.as_of(bucket, late.0.get(&id)?));
        let past: Store = touched.into_iter().filter_map(as_of).collect();
        let mut entities: Vec<(usize, EntityId)> = past
            .states()
            .filter(|state| state.entity.view == View::Egress)
            .filter_map(|state| Some((past.index_of(state.entity.id())?, state.entity.id())))
            .collect();
        entities
            .sort_unstable_by_key(|(index, id)| (past.at(*index).map(|state| super::rank(state.entity.level)), *id));
        let touched: Vec<usize> = entities.into_iter().map(|(index, _)| index).collect();
        let now = std::mem::replace(&mut self.memory.store, past);
        let time = bucket_start(bucket + 1) + self.by.settings.lateness_micros();
        for (index, judged) in self.judge_all(&touched, bucket) {
            self.evaluate_entity(index, judged, bucket, time);
        }
        self.memory.store = now;
    }

    /// Judges a bucket's late rows of the audit view with the hour after them, as far as principals' last day still has it.
    fn judge_late_audit(&mut self, rows: &[Row], bucket: i64, time: i64) {
        let Memory { store, audit, company, releases, explanations, incidents, .. } = &mut self.memory;
        let context = self.by.context(store, (company, releases), incidents, (bucket, time));
        let found = audit.evaluate(&context, &audit::rows(rows));
        let mut reporter = Reporter { by: &self.by, store, explanations, incidents, bucket, time };
        found.into_iter().for_each(|candidate| reporter.report(candidate));
    }

    pub(super) fn explain_silences(&mut self, rows: &[Row]) {
        for row in rows {
            let pair = Subject::of(&Entity::pair_of(&row.relation));
            self.memory.incidents.explain_silence(&pair, row.first_seen(), "the missing calls came late");
        }
    }
}
