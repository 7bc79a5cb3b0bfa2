//! The judge: what closed buckets mean. Pure: candidate time in, alerts out.
//!
//! At the end of each bucket the entities that called in it are tested, first-seen events are looked for, and what would page is
//! attributed (vendor or caller), held against outages, and told as incidents.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::EngineSettings;
use super::audit::AuditMemory;
use super::findings::{Details, share_of_novelty};
use super::tracking::Tracking;
use crate::alerts::{Alert, Budget, IncidentStore, Severity, Subject, severity};
use crate::calls::{Name, Relation, View};
use crate::detect::{
    Benign, Cause, Contribution, LastSeen, Outages, class_in_words, detector_of, novelty_contribution,
};
use crate::features::{
    DAY, Entity, EntityId, EntityState, EntityStore, FeatureVector, Level, Part, WINDOWS, WindowSums,
};
use crate::models::adaptation::Shift;
use crate::models::audit;
use crate::models::baseline::{Baseline, Expected, Snapshot, Verdict, fused, judge, judge_all};
use crate::models::bundle::Bundle;
use crate::models::calibration::p_value;
use crate::models::model_drift::PairDay;
use crate::models::multivariate_row;
use crate::models::novelty::{Novelty, NoveltyTracker, Together};
use crate::models::peers::behaviour;
use crate::models::seasonality::cell_of;
use crate::models::statistic::{Kind, statistic_named};
use crate::rollup::{BUCKET_MICROS, Row, bucket_start};

/// A pair keeps office hours if its weekends are below this share of its weekdays.
const OFFICE_WEEKEND: f64 = 0.7;
/// A change of a vendor explains its callers' windows for as long as they overlap it, and this much longer.
pub(super) const EXPLAINED: i64 = 6 * 3_600_000_000;
/// Time that a rise of server errors waits to see whether it is an outage.
const WAIT_FOR_OUTAGE: i64 = 2 * BUCKET_MICROS;
/// Further new things that the sentence of a novelty names.
const MAX_ALSO: usize = 2;
/// Entities from which a bucket's are judged by several workers: below, handing out costs more than judging.
const MIN_PARALLEL: usize = 256;

/// What detectors remember of one entity.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct EntityPart {
    /// How a known entity goes on since training.
    pub tracking: Option<Box<Tracking>>,
    /// Shifts that are being reported, by statistic (index in its table; peaks follow after it).
    pub shifts: Vec<(usize, Shift)>,
    /// How ordinary the day of a known pair is so far.
    pub day: Option<PairDay>,
}

impl Part for EntityPart {
    fn is_disposable(&self) -> bool {
        self.tracking.is_none() && self.shifts.is_empty() && self.day.is_none()
    }
}

pub(super) type State = EntityState<EntityPart>;
pub(super) type Store = EntityStore<EntityPart>;

/// All that the stream remembers of what was called.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub store: Store,
    tracker: NoveltyTracker,
    /// What the audit view remembers.
    pub audit: AuditMemory,
    outages: Outages,
    last_seen: LastSeen,
    /// The day that is held against the model, since the epoch.
    pub day: i64,
    pub incidents: IncidentStore,
    /// What callers showed for the first time within the last hour.
    together: Together,
    /// When a vendor was last confirmed to have changed: by statistic (index).
    pub changed: BTreeMap<(View, Name, usize), i64>,
    /// Since when a subject's server errors wait, and when they were seen last.
    waiting: BTreeMap<Subject, (i64, i64)>,
}

impl Memory {
    pub fn restored(mut self) -> Self {
        self.tracker = self.tracker.restored();
        self
    }
}

/// Callback for every fused p-value: entity, bucket, p per entity-day.
pub(super) type Observer = Box<dyn FnMut(&Entity, i64, f64) + Send>;

/// Judges closed buckets by a bundle.
pub(super) struct Evaluator {
    pub bundle: Arc<Bundle>,
    pub settings: EngineSettings,
    pub budget: Budget,
    /// What a pair without history may differ by.
    between: [f64; 3],
    /// Pairs that keep office hours: they say when the company rests.
    pub office: Vec<EntityId>,
    pub memory: Memory,
    /// Sees p-values, and changes nothing.
    pub observer: Option<Observer>,
}

/// What may become a finding: an entity, what it showed, and how rare that is.
pub(super) struct Candidate {
    pub entity: Entity,
    pub subject: Subject,
    pub cause: Cause,
    /// Buckets that the evidence spans.
    pub window: i64,
    /// Alarms a day expected at this level, over all entities.
    pub rate: f64,
    /// Chance that an entity shows as much on a day.
    pub p_value: f64,
    /// The part of the budget, in alarms a day, within which such a candidate pages.
    pub share: f64,
    pub pages: bool,
    pub contributions: Vec<Contribution>,
    pub endpoint: Option<String>,
    pub calls: u64,
    pub details: Details,
}

/// What is looked at before its bucket ends: rows in the order of their first calls, within one minute.
pub(super) struct Look<'a> {
    pub bucket: i64,
    /// End of the minute, microseconds since the epoch.
    pub end: i64,
    pub rows: Vec<&'a Row>,
    /// The relation of each row under another name of its endpoint, where that differs.
    pub renamed: Vec<Option<Arc<Relation>>>,
}

/// What the tests say of one entity.
struct Judged {
    verdicts: Vec<Verdict>,
    /// The hour's row for the multivariate models, where it is due and out of the ordinary.
    row: Option<Vec<f64>>,
    sums: Box<WindowSums>,
}

/// What entities are judged by: nothing that judging changes.
#[derive(Clone, Copy)]
struct Judging<'a> {
    bundle: &'a Bundle,
    store: &'a Store,
    between: &'a [f64],
}

impl Judging<'_> {
    fn judge(self, index: usize, bucket: i64) -> Option<Judged> {
        let state = self.store.at(index).filter(|state| state.entity.view == View::Egress)?;
        let view = self.bundle.views.get(&state.entity.view)?;
        let level = view.levels.get(&state.entity.level)?;
        let baseline = self.bundle.baselines.get(state.entity.id());
        let sums = Box::new(state.windows.sums(bucket));
        let at = Snapshot { state, bucket, sums: &sums };
        let by = Expected {
            baseline,
            level,
            between: self.between,
            peers: baseline.map_or_else(|| self.peers_of(state, &sums), |baseline| baseline.peers),
            adaptation: state.part.tracking.as_ref().map(|tracking| &tracking.adaptation),
        };
        let is_due = state.entity.level == Level::Pair
            && multivariate_row::is_due(bucket)
            && baseline.is_some_and(|known| known.is_known)
            && self.bundle.multivariate.contains_key(&state.entity.view);
        let row = is_due.then(|| multivariate_row::row(&judge_all(at, by)));
        let row = row.filter(|row| !multivariate_row::is_ordinary(row));
        let verdicts = judge(at, by);
        Some(Judged { verdicts, row, sums })
    }

    /// The peer group of an entity without history, by what it has done so far.
    fn peers_of(self, state: &State, sums: &WindowSums) -> usize {
        let peers = self.bundle.peers.get(&state.entity.view);
        peers.map_or(0, |peers| peers.assign(&behaviour(&sums[DAY], 1.0, 1.0)))
    }
}

impl Evaluator {
    pub fn new(bundle: Arc<Bundle>, settings: EngineSettings, memory: Memory) -> Self {
        let keeps_office_hours = |(entity, baseline): (&Entity, &Baseline)| {
            let [weekday, weekend] = baseline.seasonality.as_ref()?.mean();
            (baseline.is_known && weekend < OFFICE_WEEKEND * weekday).then(|| entity.id())
        };
        let office = bundle.baselines.sorted().into_iter().filter_map(keeps_office_hours).collect();
        let between = bundle.expectations.between_callers();
        let budget = Budget::new(settings.alerts_per_day, bundle.views.keys().copied());
        Self { bundle, settings, budget, between, office, memory, observer: None }
    }

    /// Judges what was called for the first time in a minute of a bucket that may still be open.
    pub fn look(&mut self, look: &Look<'_>) -> Vec<Alert> {
        let time = look.end + self.settings.lateness_micros();
        let bundle = Arc::clone(&self.bundle);
        for (row, renamed) in look.rows.iter().zip(&look.renamed) {
            let relation = renamed.as_ref().unwrap_or(&row.relation);
            let novelties = self.memory.tracker.look(relation, row.first_seen(), &bundle.known);
            if novelties.is_empty() {
                continue;
            }
            self.memory.store.note(relation);
            for novelty in novelties {
                self.evaluate_novelty(&novelty, look.bucket, time);
            }
        }
        self.memory.incidents.report(time)
    }

    /// Judges a bucket: its rows in the order of their first calls, with their features.
    pub fn close(&mut self, bucket: i64, rows: &[Row], vectors: &[FeatureVector]) -> Vec<Alert> {
        let time = bucket_start(bucket + 1) + self.settings.lateness_micros();
        let mut alerts = self.memory.incidents.close(time);
        self.forget(bucket, time);
        let bundle = Arc::clone(&self.bundle);
        let Memory { store, last_seen, .. } = &mut self.memory;
        store.advance(bucket);
        let mut touched = indexmap::IndexSet::new();
        for (row, values) in rows.iter().zip(vectors) {
            store.add(
                row,
                values,
                |id| bundle.baselines.contains(id),
                |index| {
                    touched.insert(index);
                },
            );
            last_seen.note(EntityId::pair(&row.relation), &bundle.baselines, bucket);
        }
        // Vendors first: what they explain is not reported of their callers.
        let order = |index: &usize| match store.at(*index).map(|state| state.entity.level) {
            Some(Level::Vendor) => 0,
            Some(Level::VendorEndpoint) => 1,
            Some(Level::Pair) => 2,
            Some(Level::Credential) | None => 3,
        };
        let mut touched: Vec<usize> = touched.into_iter().collect();
        touched.sort_by_key(order);
        let judged = self.judge_all(&touched, bucket);
        self.memory.outages.observe(&self.memory.store, bucket);
        self.judge_silences(bucket, time);
        self.evaluate_model_drift(bucket, time);

        // Novelties were looked for minute by minute; a beacon takes the whole bucket.
        let beacons = rows.iter().filter_map(|row| self.memory.tracker.beacon(row, &bundle.known));
        for novelty in beacons.collect::<Vec<_>>() {
            self.evaluate_novelty(&novelty, bucket, time);
        }
        self.judge_audit(&audit::rows(rows), bucket, time);
        for (index, judged) in judged {
            self.evaluate_entity(index, judged, bucket, time);
        }
        alerts.extend(self.memory.incidents.report(time));
        alerts
    }

    /// The tests of all egress entities that called in a bucket, in their order: the same whatever the number of workers.
    fn judge_all(&mut self, touched: &[usize], bucket: i64) -> Vec<(usize, Judged)> {
        let by = Judging { bundle: &self.bundle, store: &self.memory.store, between: &self.between };
        let judge = |index: &usize| by.judge(*index, bucket).map(|judged| (*index, judged));
        let judged: Vec<(usize, Judged)> = if touched.len() >= MIN_PARALLEL {
            touched.par_iter().with_min_len(64).filter_map(judge).collect()
        } else {
            touched.iter().filter_map(judge).collect()
        };
        let Memory { store, outages, .. } = &mut self.memory;
        for (index, judged) in &judged {
            if let Some(state) = store.at(*index).filter(|state| state.entity.level == Level::Pair) {
                let baseline = self.bundle.baselines.get(state.entity.id());
                outages.note(Snapshot { state, bucket, sums: &judged.sums }, baseline);
            }
        }
        judged
    }

    fn evaluate_entity(&mut self, index: usize, judged: Judged, bucket: i64, time: i64) {
        let Judged { mut verdicts, row, sums } = judged;
        let bundle = Arc::clone(&self.bundle);
        // Taken out so that incidents can be written while the entity is read.
        let mut store = std::mem::take(&mut self.memory.store);
        let mut candidates = self.follow(&mut store, index, bucket);
        if let Some(state) = store.at_mut(index)
            && let Some(view) = bundle.views.get(&state.entity.view)
        {
            let (view_name, level) = (state.entity.view, state.entity.level);
            self.pass_over_levels(state, &mut verdicts, time);
            let score = fused(level, verdicts.iter().map(|verdict| (verdict.test, verdict.p_value)));
            let p_value = p_value(view.score.as_ref(), score);
            if let Some(observe) = &mut self.observer {
                observe(&state.entity, bucket, p_value);
            }
            let baseline = bundle.baselines.get(state.entity.id());
            if level == Level::Pair && baseline.is_some_and(|known| known.is_known) {
                let leading = leading(&verdicts).map(|verdict| verdict.test.statistic);
                PairDay::note(&mut state.part.day, p_value, leading);
            }
            let rate = bundle.alarms_per_day(bundle.entities(view_name), p_value);
            candidates.extend(self.above_peaks(state, &sums, baseline, time));
            if rate <= self.budget.tests(view_name)
                && let Some(state) = store.at(index)
                && let Some(candidate) = self.unusual(&store, state, &verdicts, p_value, time)
            {
                let cause = candidate.cause.clone();
                self.tell(&store, candidate, bucket, time);
                if let Some(state) = store.at_mut(index) {
                    self.note_shift(state, &cause, &verdicts, time);
                }
            }
            for candidate in candidates {
                self.tell(&store, candidate, bucket, time);
            }
            if let Some(state) = store.at(index) {
                let surges: Vec<Candidate> =
                    verdicts.iter().filter_map(|verdict| self.surge(state, verdict, rate, bucket)).collect();
                for surge in surges {
                    self.tell(&store, surge, bucket, time);
                }
                if let Some(odd) = row.and_then(|row| self.odd_hour(state, &row)) {
                    self.tell(&store, odd, bucket, time);
                }
            }
        }
        self.memory.store = store;
    }

    fn judge_silences(&mut self, bucket: i64, time: i64) {
        let Memory { store, last_seen, .. } = &mut self.memory;
        let groups = last_seen.silences(store, &self.bundle.baselines, bucket);
        let store = std::mem::take(&mut self.memory.store);
        for group in &groups {
            if let Some(candidate) = self.silent(group, bucket) {
                self.tell(&store, candidate, bucket, time);
            }
        }
        self.memory.store = store;
    }

    fn evaluate_novelty(&mut self, novelty: &Novelty, bucket: i64, time: i64) {
        self.memory.together.show(novelty);
        let store = std::mem::take(&mut self.memory.store);
        let candidate = self.novelty(novelty);
        self.tell(&store, candidate, bucket, time);
        self.memory.store = store;
    }

    /// The rate up to which a novelty pages.
    pub fn novelty_threshold(&self, view: View) -> f64 {
        let replayed = self.bundle.novelty_rates.threshold(self.budget.novelties(view));
        self.budget.novelty(view).min(replayed)
    }

    /// A novelty, judged by itself and with all that its caller showed within the hour.
    fn novelty(&self, novelty: &Novelty) -> Candidate {
        let shown = self.memory.together.shown(novelty);
        let relation = &novelty.relation;
        let view = relation.view();
        let callers = self.bundle.known.callers(view);
        let (rates, share) = (&self.bundle.novelty_rates, self.novelty_threshold(view));
        let rate = rates.together(callers, shown.iter().map(|(class, _)| *class));
        let part = share_of_novelty(rates, callers, novelty.class, &shown);
        let is_new_caller = !self.bundle.known.has_caller(view, relation.caller());
        let others = shown.iter().filter(|(class, _)| *class != novelty.class);
        let credential = relation.credential();
        let entity = Entity::pair_of(relation);
        Candidate {
            subject: Subject::of(&entity),
            entity,
            cause: Cause { name: novelty.class.name, is_rise: true, is_of_vendor: false, view },
            window: 1,
            rate,
            p_value: 1.0 - (-rate).exp(),
            share,
            pages: rate <= share,
            contributions: vec![novelty_contribution(novelty, rates.of(novelty.class), part)],
            endpoint: Some(relation.endpoint().to_string()),
            // At least the one that showed it: its bucket is still open.
            calls: 1,
            details: Details {
                counterfactual: (rate <= share).then(|| self.without_novelties(callers, &shown, share)),
                likely: Benign::of_novelties(&shown.iter().map(|(class, _)| class.name).collect(), is_new_caller),
                sharing: None,
                also: others
                    .take(MAX_ALSO)
                    .map(|(class, detail)| format!("{}: {detail}", class_in_words(class.name)))
                    .collect(),
                novelty: Some(novelty.detail.clone()),
                credential: (!credential.is_empty()).then(|| credential.to_string()),
            },
        }
    }

    /// Holds an candidate against outages, and adds it to its incident.
    pub fn tell(&mut self, store: &Store, mut candidate: Candidate, bucket: i64, time: i64) {
        let entity = candidate.entity.clone();
        let statistic = statistic_named(candidate.cause.name);
        let is_outage_like = candidate.cause.name == "multivariate"
            || statistic
                .is_some_and(|statistic| statistic.of_vendor || matches!(statistic.kind, Kind::Mix | Kind::Volume));
        let outages = &self.memory.outages;
        if is_outage_like && outages.overlap(entity.view, &entity.vendor, bucket, candidate.window) {
            let storms = !candidate.cause.is_of_vendor && outages.stormed(entity.id(), bucket, candidate.window);
            candidate.pages = storms || outages.has_lasted(entity.view, &entity.vendor, bucket);
            if storms {
                candidate.subject.caller = entity.caller.to_string();
            }
            candidate.details.likely = Some(Benign::VendorOutage);
        }
        if matches!(candidate.cause.name, "calls" | "spend_peak")
            && self
                .settings
                .campaigns
                .iter()
                .any(|campaign| campaign.covers(entity.caller.as_str(), entity.vendor.as_str(), time))
        {
            candidate.pages = false;
            candidate.details.likely = Some(Benign::Campaign);
        }
        if candidate.cause.name == "server_error" {
            let (since, last) = self.memory.waiting.get(&candidate.subject).copied().unwrap_or((time, time));
            let since = if time - last > EXPLAINED { time } else { since };
            self.memory.waiting.insert(candidate.subject.clone(), (since, time));
            candidate.pages &= time >= since + WAIT_FOR_OUTAGE;
        }
        let detector = detector_of(&candidate.cause);
        let severity = match (candidate.pages, candidate.details.likely) {
            (true, _) => {
                severity(candidate.rate.min(candidate.share), candidate.share, detector.impact).max(Severity::Medium)
            }
            (false, Some(_)) => Severity::Informational,
            (false, None) => Severity::Low,
        };
        let (subject, finding) = self.finding(store, candidate, bucket, time);
        self.memory.incidents.add(&subject, &finding, severity, &self.bundle.manifest.version);
    }

    /// Lets go of what no window reaches any more; once an hour is enough.
    fn forget(&mut self, bucket: i64, time: i64) {
        if cell_of(bucket).is_multiple_of(12) {
            let day = WINDOWS[WINDOWS.len() - 1].buckets * BUCKET_MICROS;
            self.memory.changed.retain(|_, at| time - *at <= day + EXPLAINED);
            self.memory.waiting.retain(|_, (_, last)| time - *last <= EXPLAINED);
            for state in self.memory.store.states_mut() {
                state.part.shifts.retain(|(_, shift)| !shift.is_forgotten(time));
            }
        }
    }
}

/// The verdict that says most among those that join the fused score.
pub(super) fn leading(verdicts: &[Verdict]) -> Option<&Verdict> {
    let fused = verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0);
    fused.min_by(|a, b| a.p_value.total_cmp(&b.p_value))
}
