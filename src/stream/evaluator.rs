//! The evaluator: what closed buckets mean. Pure: event time in, alerts out.
//!
//! It keeps the order: at the end of each bucket the entities that called in it are tested, all detectors are asked, and what they find is
//! held against outages and campaigns and joins an incident.
//!
//! Not here: what is found, and why (`detect`).

mod late;

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use indexmap::IndexSet;
use rayon::prelude::*;

use self::late::Late;
use super::bursts::Burst;
use super::preparation::{ClosedBucket, Early, Look, Prepared};
use super::settings::EngineSettings;
use crate::alerts::{Alert, IncidentStore, Severity, severity};
use crate::calls::View;
use crate::detect::{
    self, AuditMemory, Budget, Candidate, Changes, Company, Context, Evaluated, Explanations, Finding, Memories,
    Models, Novelties, OpenIncidents, Releases, Share, Shift, State, Store, Subject, unusual,
};
use crate::features::{DAY, Entity, EntityId, FeatureVector, Level, WindowSums};
use crate::models::audit;
use crate::models::baseline::{Expected, Snapshot, Verdict, fused, judge, judge_all};
use crate::models::bundle::Bundle;
use crate::models::calibration::p_value;
use crate::models::hourly::Means;
use crate::models::multivariate_row;
use crate::models::pacing::Kept;
use crate::models::peers::behaviour;
use crate::models::seasonality::cell_of;
use crate::models::statistic::STATISTICS;
use crate::rollup::{Row, bucket_start};
use crate::rules::Rules;
use crate::state::EngineState;

/// Entities from which a bucket's are judged by several workers: below, handing out costs more than judging.
const MIN_PARALLEL: usize = 256;

/// All that the stream remembers of what was called.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    store: Store,
    novelties: Novelties,
    audit: AuditMemory,
    changes: Changes,
    company: Company,
    releases: Releases,
    explanations: Explanations,
    incidents: IncidentStore,
    /// What single detectors remember.
    detectors: Memories,
    /// What came late within the last hour of each entity.
    late: Late,
}

impl Memory {
    /// Adds what changed since it was saved, or all of it.
    pub fn write(&self, state: &mut EngineState, is_whole: bool) -> Result<(), String> {
        let entities = if is_whole { self.store.whole() } else { self.store.changes() };
        state.is_whole = entities.is_whole;
        state.entities = entities.removed.into_iter().map(|id| (id.0, None)).collect();
        for entity in entities.changed {
            let bytes = postcard::to_stdvec(entity).map_err(|error| format!("an entity: {error}"))?;
            state.entities.insert(entity.entity.id().0, Some(bytes));
        }
        state.put("now", &self.store.now())?;
        state.put("novelties", &self.novelties)?;
        state.put("audit", &self.audit)?;
        state.put("changes", &self.changes)?;
        state.put("company", &self.company)?;
        state.put("releases", &self.releases)?;
        state.put("explanations", &self.explanations)?;
        state.put("incidents", &self.incidents)?;
        state.put("detectors", &self.detectors)?;
        state.put("late_windows", &self.late)
    }

    /// Reads all of it back.
    pub fn read(state: &EngineState) -> Result<Self, String> {
        let entity = |bytes: &Vec<u8>| postcard::from_bytes(bytes).map_err(|error| format!("an entity: {error}"));
        let entities = state.entities.values().flatten().map(entity).collect::<Result<Vec<State>, _>>()?;
        Ok(Self {
            store: Store::restored(state.get("now")?, entities),
            novelties: state.get::<Novelties>("novelties")?.restored(),
            audit: state.get("audit")?,
            changes: state.get("changes")?,
            company: state.get("company")?,
            releases: state.get("releases")?,
            explanations: state.get("explanations")?,
            incidents: state.get("incidents")?,
            detectors: state.get("detectors")?,
            late: state.get("late_windows")?,
        })
    }

    /// All changes so far are saved.
    pub fn saved(&mut self) {
        self.store.saved();
    }

    /// The same under another bundle: what was seen, open incidents and what detectors remember go over; windows are made anew of the rows of
    /// the last day, where there are any, since what was expected of each call has changed; and each entity is followed from now on.
    pub fn succeed(&mut self, prepared: &[Prepared], bundle: &Bundle) {
        let mut old = std::mem::take(&mut self.store);
        self.late = Late::default();
        if prepared.is_empty() {
            old.change_all(|state| state.part.tracking.take().is_some());
            self.store = old;
            return;
        }
        let keeps = |id: EntityId| bundle.baselines.contains(id);
        for closed in prepared.iter().flat_map(Prepared::buckets) {
            self.store.advance(closed.bucket);
            closed.rows.iter().zip(closed.vectors).for_each(|(row, values)| self.store.add(row, values, keeps, |_| ()));
        }
        for before in old.states() {
            let Some(state) = self.store.get_mut(before.entity.id()) else { continue };
            state.since = state.since.min(before.since);
            state.part = before.part.clone();
            state.part.tracking = None;
        }
    }
}

/// Callback for every fused p-value: entity, bucket, p per entity-day.
pub(super) type Observer = Box<dyn FnMut(&Entity, i64, f64) + Send>;

/// Judges closed buckets by a bundle.
pub(super) struct Evaluator {
    by: By,
    /// What a pair without history may differ by.
    between: [f64; 3],
    pub memory: Memory,
    /// Sees p-values, and changes nothing.
    pub observer: Option<Observer>,
}

/// What all is judged by: nothing that judging changes.
struct By {
    bundle: Arc<Bundle>,
    models: Models,
    settings: EngineSettings,
    budget: Budget,
    rules: Option<Arc<Rules>>,
    /// Whether what is judged came late: then only what pages or is first seen is told, and says so.
    is_late: bool,
}

impl By {
    fn context<'a>(
        &'a self,
        store: &'a Store,
        (company, releases): (&'a Company, &'a Releases),
        incidents: &'a IncidentStore,
        (bucket, time): (i64, i64),
    ) -> Context<'a> {
        let Self { bundle, models, budget, .. } = self;
        let rules = self.rules.as_deref();
        Context { bundle, models, budget: *budget, store, company, releases, rules, incidents, bucket, time }
    }
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
    company: &'a Company,
    between: &'a [f64],
}

impl Judging<'_> {
    fn judge(self, index: usize, bucket: i64) -> Option<Judged> {
        let state = self.store.at(index).filter(|state| state.entity.view == View::Egress)?;
        let view = self.bundle.views.get(&state.entity.view)?;
        let level = view.levels.get(&state.entity.level)?;
        let baseline = self.bundle.baselines.get(state.entity.id());
        let sums = Box::new(state.windows.sums(bucket));
        let usual_bucket = self.company.usual_bucket(state.entity.view, bucket);
        let at = Snapshot { state, bucket, usual_bucket, sums: &sums };
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

/// What an entity shows to detectors, but its state: see [`Evaluated`].
struct Shown<'a> {
    sums: &'a WindowSums,
    is_open: bool,
    verdicts: &'a [Verdict],
    p_value: f64,
    rate: f64,
    row: Option<&'a [f64]>,
    hour: Option<&'a Means>,
}

/// Adds candidates to incidents, while entities are only read.
struct Reporter<'a> {
    by: &'a By,
    store: &'a Store,
    explanations: &'a mut Explanations,
    incidents: &'a mut IncidentStore,
    bucket: i64,
    time: i64,
}

impl Reporter<'_> {
    /// Holds a candidate against what explains it, and adds it to its incident.
    fn report(&mut self, mut candidate: Candidate) {
        let By { bundle, settings, .. } = self.by;
        let (bucket, time) = (self.bucket, self.time);
        if candidate.takes_over {
            self.take_over(&candidate.subject);
        }
        let [caller, vendor] = [candidate.entity.caller.as_str(), candidate.entity.vendor.as_str()];
        let is_declared = settings.campaigns.iter().any(|campaign| campaign.covers(caller, vendor, time));
        self.explanations.apply(&mut candidate, is_declared, bucket);
        candidate.pages &= candidate.is_within_budget();
        let rate = candidate.rate;
        // How grave a page is does not depend on what else has paged.
        let limit = candidate.threshold.map_or(1.0, |threshold| threshold.calibrated);
        let severity = match (candidate.pages, candidate.details.likely) {
            (true, _) => severity(rate.min(limit), limit, candidate.class.detector.impact).max(Severity::Medium),
            (false, Some(_)) => Severity::Informational,
            (false, None) => Severity::Low,
        };
        if self.by.is_late && !candidate.pages {
            return;
        }
        let subject = candidate.subject.clone();
        let takes_back = candidate.takes_back;
        let mut finding = Finding::of(candidate, self.store, bundle, bucket, time);
        if self.by.is_late {
            finding.message.push_str(late::CAME_LATE);
        }
        if takes_back {
            self.incidents.take_back(&subject, &finding.message);
        } else {
            self.incidents.add(&subject, &finding, severity, &bundle.manifest.version);
        }
    }

    /// Makes the incident of one of a vendor's callers the vendor's, if a vendor can have caused it.
    fn take_over(&mut self, vendor: &Subject) {
        let of_vendor: Vec<&str> =
            STATISTICS.iter().filter(|statistic| statistic.of_vendor).map(|statistic| statistic.name).collect();
        let name = vendor.vendor.as_str().into();
        let mut pairs = self.store.pairs_of(vendor.view, &name);
        pairs.any(|pair| self.incidents.promote_to_vendor(vendor, pair.entity.caller.as_str(), &of_vendor, self.time));
    }
}

impl Evaluator {
    pub fn new(bundle: Arc<Bundle>, settings: EngineSettings, mut memory: Memory) -> Result<Self, String> {
        let between = bundle.expectations.between_callers();
        let budget = Budget::new(settings.alerts_per_day, bundle.views.keys().copied());
        memory.incidents.keep_to(budget, settings.notices_per_day);
        let models = Models::read(&bundle.detectors)?;
        let by = By { bundle, models, settings, budget, rules: None, is_late: false };
        Ok(Self { by, between, memory, observer: None })
    }

    /// Judges by these rules of governance from now on.
    pub fn govern(&mut self, rules: Arc<Rules>) {
        self.by.rules = Some(rules);
    }

    /// The rules in force.
    pub fn rules(&self) -> Option<Arc<Rules>> {
        self.by.rules.clone()
    }

    /// Lets time go on to `time`: pages so far decide which thresholds are in force.
    fn advance(&mut self, time: i64) {
        self.memory.incidents.advance(time);
        self.by.budget = self.by.budget.paced_by(self.memory.incidents.pacer());
    }

    /// How pages keep to the budget, by view and family.
    pub fn kept(&self) -> impl Iterator<Item = Kept<Share>> + '_ {
        self.memory.incidents.pacer().kept()
    }

    /// Nothing more will come: what was to be summed up later.
    pub fn finish(&mut self, time: i64) -> Vec<Alert> {
        self.memory.incidents.last_digest(time, &self.by.bundle.manifest.version)
    }

    /// Judges what does not wait for the end of its bucket.
    pub fn judge_early(&mut self, early: &Early) -> Vec<Alert> {
        match early {
            Early::Look(look) => self.look(look),
            Early::Burst(burst) => self.burst(burst),
        }
    }

    /// Judges what a pair moved by large calls in a bucket that goes on.
    fn burst(&mut self, Burst { bucket, relation, due, moved }: &Burst) -> Vec<Alert> {
        let store = &mut self.memory.store;
        let Some(index) = store.index_of(EntityId::pair(relation)) else { return Vec::new() };
        store.note(relation);
        let Some(state) = store.at(index) else { return Vec::new() };
        let mut sums = state.windows.sums(*bucket);
        moved.add_to(&mut sums);
        self.advance(*due);
        let shown = Shown {
            sums: &sums,
            is_open: true,
            verdicts: &[],
            p_value: 1.0,
            rate: f64::INFINITY,
            row: None,
            hour: None,
        };
        self.ask(index, shown, *bucket, *due);
        self.memory.incidents.report(*due)
    }

    /// Judges what was called for the first time in a bucket that may still be open: what needs no window.
    fn look(&mut self, look: &Look) -> Vec<Alert> {
        let Look { row, due, is_late } = look;
        let time = row.first_seen();
        let new = self.memory.novelties.look(&row.relation, row.first_seen(), &self.by.bundle);
        let broken = {
            let Memory { store, company, releases, incidents, detectors, .. } = &mut self.memory;
            let now = (row.bucket, time);
            detect::look(&self.by.context(store, (company, releases), incidents, now), row, detectors)
        };
        if new.is_empty() && broken.is_empty() {
            return Vec::new();
        }
        self.advance(*due);
        self.by.is_late = *is_late;
        if *is_late {
            self.explain_silences(std::slice::from_ref(row));
        }
        let Memory { store, novelties, explanations, incidents, .. } = &mut self.memory;
        store.note(&row.relation);
        let mut reporter = Reporter { by: &self.by, store, explanations, incidents, bucket: row.bucket, time };
        let evaluate = |novelty| novelties.evaluate(novelty, &self.by.bundle, self.by.budget);
        new.iter().filter_map(evaluate).chain(broken).for_each(|candidate| reporter.report(candidate));
        self.by.is_late = false;
        self.memory.incidents.report(*due)
    }

    /// Judges a bucket.
    pub fn close(&mut self, closed: &ClosedBucket<'_>) -> Vec<Alert> {
        let ClosedBucket { bucket, rows, vectors, early } = *closed;
        let mut alerts: Vec<Alert> = early.iter().flat_map(|early| self.judge_early(early)).collect();
        let time = bucket_start(bucket + 1) + self.by.settings.lateness_micros();
        self.advance(time);
        alerts.extend(self.memory.incidents.close(time));
        alerts.extend(self.memory.incidents.digest(time, &self.by.bundle.manifest.version));
        self.forget(bucket, time);
        self.memory.releases.note(rows, bucket);
        self.memory.company.hear(rows, &self.by.bundle.baselines, bucket);
        let touched = self.add(bucket, rows, vectors);
        self.memory.company.observe(&self.memory.store, &self.by.bundle.baselines, bucket);
        let judged = self.judge_all(&touched, bucket);
        self.memory.explanations.outages.observe(&self.memory.store, bucket);

        let Memory { store, novelties, audit, company, releases, explanations, incidents, detectors, .. } =
            &mut self.memory;
        let now = (bucket, time);
        let mut candidates =
            detect::close(&self.by.context(store, (company, releases), incidents, now), rows, detectors);
        // Novelties were looked for call by call; a beacon takes the whole bucket.
        let beacons: Vec<_> = rows.iter().filter_map(|row| novelties.beacon(row, &self.by.bundle)).collect();
        candidates.extend(beacons.iter().filter_map(|new| novelties.evaluate(new, &self.by.bundle, self.by.budget)));
        let mut reporter = Reporter { by: &self.by, store, explanations, incidents, bucket, time };
        candidates.into_iter().for_each(|candidate| reporter.report(candidate));
        let found =
            audit.evaluate(&self.by.context(store, (company, releases), reporter.incidents, now), &audit::rows(rows));
        found.into_iter().for_each(|candidate| reporter.report(candidate));

        for (index, judged) in judged {
            self.evaluate_entity(index, judged, bucket, time);
        }
        alerts.extend(self.memory.incidents.report(time));
        alerts
    }

    /// Entities and open incidents, for metrics.
    pub fn sizes(&self) -> [(&'static str, usize); 2] {
        [("entities", self.memory.store.len()), ("open_incidents", self.memory.incidents.len())]
    }

    /// The newest judged bucket with a call of each view.
    pub fn heard(&self) -> BTreeMap<View, i64> {
        let heard = |view| Some((view, self.memory.company.heard(view)?));
        [View::Egress, View::Audit].into_iter().filter_map(heard).collect()
    }

    /// What it means that nothing came up to the end of a bucket; `heard` is the newest bucket with a call of each view. Nothing else is
    /// judged, so records of the time before may still come.
    pub fn tick(&mut self, heard: &BTreeMap<View, i64>, bucket: i64) -> Vec<Alert> {
        let time = bucket_start(bucket + 1) + self.by.settings.lateness_micros();
        let Memory { store, company, releases, explanations, incidents, detectors, .. } = &mut self.memory;
        let candidates =
            detect::tick(&self.by.context(store, (company, releases), incidents, (bucket, time)), heard, detectors);
        let mut reporter = Reporter { by: &self.by, store, explanations, incidents, bucket, time };
        candidates.into_iter().for_each(|candidate| reporter.report(candidate));
        self.memory.incidents.report(time)
    }

    /// Adds a bucket's rows to their entities. Returns the indices of those, vendors first: what they explain is not reported of their
    /// callers.
    fn add(&mut self, bucket: i64, rows: &[Row], vectors: &[FeatureVector]) -> Vec<usize> {
        let (bundle, store) = (&self.by.bundle, &mut self.memory.store);
        store.advance(bucket);
        let mut touched = Touched::default();
        let keeps = |id: EntityId| bundle.baselines.contains(id);
        for (row, values) in rows.iter().zip(vectors) {
            store.add(row, values, keeps, |index| {
                touched.insert(index);
            });
        }
        vendors_first(store, touched)
    }

    /// The tests of all egress entities that called in a bucket, in their order: the same whatever the number of workers.
    fn judge_all(&mut self, touched: &[usize], bucket: i64) -> Vec<(usize, Judged)> {
        let Memory { store, company, .. } = &self.memory;
        let by = Judging { bundle: &self.by.bundle, store, company, between: &self.between };
        let judge = |index: &usize| by.judge(*index, bucket).map(|judged| (*index, judged));
        let judged: Vec<(usize, Judged)> = if touched.len() >= MIN_PARALLEL {
            touched.par_iter().with_min_len(64).filter_map(judge).collect()
        } else {
            touched.iter().filter_map(judge).collect()
        };
        if self.by.is_late {
            return judged;
        }
        let Memory { store, company, explanations, .. } = &mut self.memory;
        for (index, judged) in &judged {
            if let Some(state) = store.at(*index).filter(|state| state.entity.level == Level::Pair) {
                let baseline = self.by.bundle.baselines.get(state.entity.id());
                let usual_bucket = company.usual_bucket(state.entity.view, bucket);
                explanations.outages.note(Snapshot { state, bucket, usual_bucket, sums: &judged.sums }, baseline);
            }
        }
        judged
    }

    /// What the tests of an entity and all detectors find at the end of a bucket.
    fn evaluate_entity(&mut self, index: usize, judged: Judged, bucket: i64, time: i64) {
        let Judged { mut verdicts, row, sums } = judged;
        let Memory { store, incidents, .. } = &mut self.memory;
        let bundle = &self.by.bundle;
        let Some(state) = store.at_mut(index) else { return };
        let Some(view) = bundle.views.get(&state.entity.view) else { return };
        let baseline = bundle.baselines.get(state.entity.id());
        let values = state.windows.bucket(bucket).filter(|_| baseline.is_some_and(|known| known.is_known));
        let hour = values.and_then(|values| {
            let tracking = state.part.tracking.get_or_insert_default();
            tracking.follow(bucket, values, || has_incident(incidents, &state.entity))
        });
        state.part.shifts.pass_over_levels(&mut verdicts, time);
        let score = fused(state.entity.level, verdicts.iter().map(|verdict| (verdict.test, verdict.p_value)));
        let p_value = p_value(view.score.as_ref(), score);
        if let Some(observe) = &mut self.observer {
            observe(&state.entity, bucket, p_value);
        }
        let rate = bundle.alarms_per_day(bundle.entities(state.entity.view), p_value);
        let (row, hour) = (row.as_deref(), hour.as_ref());
        let shown = Shown { sums: &sums, is_open: false, verdicts: &verdicts, p_value, rate, row, hour };
        if let Some(shift) = self.ask(index, shown, bucket, time)
            && let Some(state) = self.memory.store.at_mut(index)
        {
            state.part.shifts.remember(shift.statistic, time, shift.effect);
        }
    }

    /// Asks all detectors about an entity, and reports what they find; returns the shift that its tests found.
    fn ask(&mut self, index: usize, shown: Shown<'_>, bucket: i64, time: i64) -> Option<Shift> {
        let Memory { store, changes, company, releases, explanations, incidents, detectors, .. } = &mut self.memory;
        let mut parts = std::mem::take(&mut store.at_mut(index)?.part.parts);
        let state = store.at(index)?;
        let Shown { sums, is_open, verdicts, p_value, rate, row, hour } = shown;
        let baseline = self.by.bundle.baselines.get(state.entity.id());
        let entity = Evaluated { state, sums, is_open, baseline, verdicts, p_value, rate, row, hour };
        let context = self.by.context(store, (company, releases), incidents, (bucket, time));
        let candidates = detect::evaluate(&context, &entity, detectors, &mut parts);
        let (unusual, shift) = unusual(&context, &entity, changes).unzip();
        let mut reporter = Reporter { by: &self.by, store, explanations, incidents, bucket, time };
        unusual.into_iter().chain(candidates).for_each(|candidate| reporter.report(candidate));
        store.at_mut(index)?.part.parts = parts;
        shift
    }

    /// Lets go of what no window reaches any more; once an hour is enough.
    fn forget(&mut self, bucket: i64, time: i64) {
        if cell_of(bucket).is_multiple_of(12) {
            self.memory.changes.forget(time);
            self.memory.releases.forget(bucket);
            let forget = |state: &mut State| {
                let is_changed = state.part.shifts.forget(time);
                detect::forget(&mut state.part.parts, time) || is_changed
            };
            self.memory.store.change_all(forget);
        }
    }
}

/// Indices of entities to be judged, in the order in which their rows came.
type Touched = IndexSet<usize, FixedState>;

/// Those indices in the order of judging.
fn vendors_first(store: &Store, touched: Touched) -> Vec<usize> {
    let mut touched: Vec<usize> = touched.into_iter().collect();
    touched.sort_by_key(|index| store.at(*index).map(|state| rank(state.entity.level)));
    touched
}

/// The place of a level in the order of judging: what a vendor explains is not reported of its callers.
const fn rank(level: Level) -> u8 {
    match level {
        Level::Vendor => 0,
        Level::VendorEndpoint => 1,
        Level::Pair => 2,
        Level::Credential => 3,
    }
}

/// Whether an incident that pages goes on about an entity, or about its vendor.
fn has_incident(incidents: &IncidentStore, entity: &Entity) -> bool {
    let own = Subject::of(entity);
    incidents.is_paging(&own.of_vendor()) || incidents.is_paging(&own)
}
