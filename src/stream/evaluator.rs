//! The judge: what closed buckets mean. Pure: candidate time in, alerts out.
//!
//! At the end of each bucket the entities that called in it are tested, first-seen events are looked for, and what would page is
//! attributed (vendor or caller), held against outages, and told as incidents.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::EngineSettings;
use super::audit::AuditMemory;
use super::findings::{Details, share_of_novelty};
use super::tracking::Tracking;
use crate::alerts::{Alert, Budget, IncidentStore, Severity, Subject, severity};
use crate::calls::View;
use crate::detect::{
    Benign, Cause, Contribution, LastSeen, Outages, class_in_words, detector_of, novelty_contribution,
};
use crate::features::{Entity, EntityState, EntityStore, FeatureRow, Level, Sighting, WINDOWS};
use crate::models::adaptation::Shift;
use crate::models::audit::Row;
use crate::models::baseline::{fused, judge};
use crate::models::bundle::Bundle;
use crate::models::calibration::p_value;
use crate::models::model_drift::ModelDrift;
use crate::models::novelty::{Novelty, NoveltyTracker, Relation, Together};
use crate::models::peers::behaviour;
use crate::models::seasonality::cell_of;
use crate::models::statistic::{Kind, statistic_named};
use crate::rollup::{BUCKET_MICROS, bucket_start};

/// A pair keeps office hours if its weekends are below this share of its weekdays.
const OFFICE_WEEKEND: f64 = 0.7;
/// A change of a vendor explains its callers' windows for as long as they overlap it, and this much longer.
pub(super) const EXPLAINED: i64 = 6 * 3_600_000_000;
/// Time that a rise of server errors waits to see whether it is an outage.
const WAIT_FOR_OUTAGE: i64 = 2 * BUCKET_MICROS;
/// Further new things that the sentence of a novelty names.
const MAX_ALSO: usize = 2;

/// All that the stream remembers of what was called.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub store: EntityStore,
    tracker: NoveltyTracker,
    /// What the audit view remembers.
    pub audit: AuditMemory,
    outages: Outages,
    heard: LastSeen,
    /// Whether the model still fits, by view.
    pub model_drift: BTreeMap<View, ModelDrift>,
    /// How the means of known entities go on.
    pub tracking: BTreeMap<Entity, Tracking>,
    /// Shifts that are being told, by entity and statistic (place in its table; records follow after it).
    pub shifts: BTreeMap<(Entity, usize), Shift>,
    pub incidents: IncidentStore,
    /// What callers showed for the first time within the last hour.
    together: Together,
    /// When a vendor was last confirmed to have changed: by statistic.
    pub changed: BTreeMap<(View, String, String), i64>,
    /// Since when a subject's server errors wait, and when they were seen last.
    waiting: BTreeMap<Subject, (i64, i64)>,
}

impl Memory {
    pub fn restored(mut self) -> Self {
        self.tracker = self.tracker.restored();
        self
    }
}

/// Is shown each p-value of an entity's tests: who, at the end of which bucket, and the chance of such an entity-day.
pub(super) type Observer = Box<dyn FnMut(&Entity, i64, f64) + Send>;

/// Judges closed buckets by a bundle.
pub(super) struct Evaluator {
    pub bundle: Arc<Bundle>,
    pub settings: EngineSettings,
    pub budget: Budget,
    callers: BTreeMap<View, usize>,
    /// What a pair without history may differ by.
    between: [f64; 3],
    /// Pairs that keep office hours: they tell when the company rests.
    pub office: Vec<Entity>,
    pub memory: Memory,
    /// Sees p-values, and changes nothing.
    pub observer: Option<Observer>,
}

/// Where a finding goes and what it says.
pub(super) struct Candidate<'a> {
    pub state: &'a EntityState,
    pub subject: Subject,
    pub cause: Cause,
    pub window: i64,
    pub rate: f64,
    pub p_value: f64,
    /// The part of the budget, in alarms a day, within which such an candidate pages.
    pub share: f64,
    pub pages: bool,
    pub contributions: Vec<Contribution>,
    pub endpoint: Option<String>,
    pub calls: u64,
    pub told: Details,
}

/// What is looked at before its bucket ends: relations in the order of their first calls, within one minute.
pub(super) struct Look<'a> {
    pub bucket: i64,
    /// End of the minute, microseconds since the epoch.
    pub end: i64,
    pub relations: Vec<Relation<'a>>,
    /// The template of each relation's endpoint, where it differs.
    pub names: Vec<Option<String>>,
}

impl Evaluator {
    pub fn new(bundle: Arc<Bundle>, settings: EngineSettings, memory: Memory) -> Self {
        let views = [View::Egress, View::Audit];
        let callers = views.map(|view| (view, bundle.known.callers(view))).into();
        let keeps_office_hours = |(entity, baseline): (&Entity, &crate::models::baseline::Baseline)| {
            let [weekday, weekend] = baseline.clock.as_ref()?.mean();
            (baseline.is_known && weekend < OFFICE_WEEKEND * weekday).then(|| entity.clone())
        };
        let office = bundle.baselines.iter().filter_map(keeps_office_hours).collect();
        let between = bundle.expectations.between_callers();
        let budget = Budget::new(settings.alerts_per_day, bundle.views.keys().copied());
        Self { bundle, settings, budget, callers, between, office, memory, observer: None }
    }

    /// Judges what was called for the first time in a minute of a bucket that may still be open.
    pub fn look(&mut self, look: &Look<'_>) -> Vec<Alert> {
        let time = look.end + self.settings.lateness_micros();
        let bundle = Arc::clone(&self.bundle);
        for (relation, name) in look.relations.iter().zip(&look.names) {
            let relation = Relation { endpoint: name.as_deref().unwrap_or(relation.endpoint), ..*relation };
            let novelties = self.memory.tracker.look(&relation, &bundle.known);
            if novelties.is_empty() {
                continue;
            }
            let pair = Entity::pair(relation.view, relation.caller, relation.vendor);
            self.memory.store.open(pair.clone());
            // A trace id of the calls so far would depend on how they were batched: the end of the bucket brings one.
            let Relation { host, credential, .. } = relation;
            self.memory.store.note(&Sighting { pair: &pair, host, credential, trace_id: None });
            for novelty in novelties {
                self.evaluate_novelty(&novelty, look.bucket, time);
            }
        }
        self.memory.incidents.report(time)
    }

    /// Judges a bucket: its feature rows, its relations and its audit rows in the order of their first calls.
    pub fn close(
        &mut self,
        bucket: i64,
        rows: &[FeatureRow],
        relations: &[(i64, Relation<'_>)],
        audit: &[Row<'_>],
    ) -> Vec<Alert> {
        let time = bucket_start(bucket + 1) + self.settings.lateness_micros();
        let mut alerts = self.memory.incidents.close(time);
        self.forget(bucket, time);
        self.memory.store.advance(bucket);
        let bundle = Arc::clone(&self.bundle);
        let touched = self.memory.store.add(rows, |entity| bundle.baselines.contains_key(entity));
        for (_, relation) in relations {
            let pair = Entity::pair(relation.view, relation.caller, relation.vendor);
            self.memory.heard.hear(&pair, bucket);
            let Relation { host, credential, trace_id, .. } = *relation;
            self.memory.store.note(&Sighting { pair: &pair, host, credential, trace_id });
        }
        self.memory.outages.observe(&self.memory.store, &bundle.baselines, bucket);
        self.judge_silences(bucket, time);
        self.evaluate_model_drift(bucket, time);

        // First-seen events were looked for minute by minute; a beacon takes the whole bucket.
        let novelties =
            relations.iter().filter_map(|(_, relation)| self.memory.tracker.beacon(relation, &bundle.known));
        for novelty in novelties.collect::<Vec<_>>() {
            self.evaluate_novelty(&novelty, bucket, time);
        }
        self.judge_audit(audit, bucket, time);
        // Vendors first: what they explain is not told of their callers.
        let is_egress = |place: &usize| self.memory.store.at(*place).entity.view == View::Egress;
        let mut places: Vec<usize> = touched.into_iter().filter(is_egress).collect();
        places.sort_by_key(|place| match self.memory.store.at(*place).entity.level {
            Level::Vendor => 0,
            Level::VendorEndpoint => 1,
            Level::Pair => 2,
            Level::Credential => 3,
        });
        for place in places {
            self.evaluate_entity(place, bucket, time);
        }
        alerts.extend(self.memory.incidents.report(time));
        alerts
    }

    fn evaluate_entity(&mut self, place: usize, bucket: i64, time: i64) {
        let bundle = Arc::clone(&self.bundle);
        // Taken out so that the incidents can be written while the state is read.
        let store = std::mem::take(&mut self.memory.store);
        let state = store.at(place);
        let view = state.entity.view;
        if let Some(view) = bundle.views.get(&view)
            && let Some(level) = view.levels.get(&state.entity.level)
        {
            let baseline = bundle.baselines.get(&state.entity);
            let peers = baseline.map_or_else(|| self.peers_of(state), |baseline| baseline.peers);
            let mut sums = baseline.map(|baseline| self.follow(state, baseline, bucket)).unwrap_or_default();
            sums.extend(self.above_peaks(state, baseline, time));
            let adaptation = self.memory.tracking.get(&state.entity).map(|tracking| &tracking.adaptation);
            let mut verdicts = judge(state, bucket, baseline, level, &self.between, peers, adaptation);
            self.pass_over_levels(&state.entity, &mut verdicts, time);
            let score = fused(verdicts.iter().map(|verdict| (verdict.test, verdict.p_value)));
            let p_value = p_value(view.score.as_ref(), score);
            if let Some(observe) = &mut self.observer {
                observe(&state.entity, bucket, p_value);
            }
            let rate = bundle.alarms_per_day(bundle.entities(), p_value);
            if state.entity.level == Level::Pair && baseline.is_some_and(|known| known.is_known) {
                self.note_model_drift(&state.entity, p_value, &verdicts);
            }
            if rate <= self.budget.tests(state.entity.view)
                && let Some(candidate) = self.unusual(&store, state, &verdicts, p_value, time)
            {
                self.note_shift(&state.entity, &candidate.cause, &verdicts, time);
                self.tell(&store, candidate, bucket, time);
            }
            for beyond in sums {
                self.tell(&store, beyond, bucket, time);
            }
            let surges: Vec<Candidate<'_>> =
                verdicts.iter().filter_map(|verdict| self.surge(state, verdict, rate, bucket)).collect();
            for surge in surges {
                self.tell(&store, surge, bucket, time);
            }
            if let Some(odd) = self.odd_hour(state, &verdicts, baseline, bucket) {
                self.tell(&store, odd, bucket, time);
            }
        }
        self.memory.store = store;
    }

    /// The peer group of an entity without history, by what it has done so far.
    fn peers_of(&self, state: &EntityState) -> usize {
        let behaviour = behaviour(state.series.window(WINDOWS.len() - 1), 1.0, 1.0);
        self.bundle.peers.get(&state.entity.view).map_or(0, |peers| peers.assign(&behaviour))
    }

    fn judge_silences(&mut self, bucket: i64, time: i64) {
        let groups = self.memory.heard.silences(&self.memory.store, &self.bundle.baselines, bucket);
        self.memory.heard.forget(bucket);
        let store = std::mem::take(&mut self.memory.store);
        for group in &groups {
            if let Some(candidate) = self.silent(&store, group, bucket) {
                self.tell(&store, candidate, bucket, time);
            }
        }
        self.memory.store = store;
    }

    fn evaluate_novelty(&mut self, novelty: &Novelty, bucket: i64, time: i64) {
        self.memory.together.show(novelty);
        let pair = Entity::pair(novelty.view, &novelty.caller, &novelty.vendor);
        let store = std::mem::take(&mut self.memory.store);
        if let Some(state) = store.get(&pair) {
            let candidate = self.novelty(novelty, state);
            self.tell(&store, candidate, bucket, time);
        }
        self.memory.store = store;
    }

    /// The rate up to which a novelty pages.
    pub fn novelty_threshold(&self, view: View) -> f64 {
        let replayed = self.bundle.novelty_rates.threshold(self.budget.novelties(view));
        self.budget.novelty(view).min(replayed)
    }

    /// A novelty, judged by itself and with all that its caller showed within the hour.
    fn novelty<'a>(&self, novelty: &Novelty, state: &'a EntityState) -> Candidate<'a> {
        let mut shown = self.memory.together.shown(novelty);
        shown.insert(novelty.class, &novelty.detail);
        let callers = self.callers.get(&novelty.view).copied().unwrap_or_default();
        let (rates, share) = (&self.bundle.novelty_rates, self.novelty_threshold(novelty.view));
        let rate = rates.together(callers, shown.keys().copied());
        let part = share_of_novelty(rates, callers, novelty.class, &shown);
        let is_new_caller = !self.bundle.known.has_caller(novelty.view, &novelty.caller);
        let others = shown.iter().filter(|(class, _)| **class != novelty.class);
        Candidate {
            state,
            subject: Subject::of(&state.entity),
            cause: Cause { name: novelty.class, is_rise: true, is_of_vendor: false, view: novelty.view },
            window: 1,
            rate,
            p_value: 1.0 - (-rate).exp(),
            share,
            pages: rate <= share,
            contributions: vec![novelty_contribution(novelty, rates.of(novelty.class), part)],
            endpoint: Some(novelty.endpoint.clone()),
            // At least the one that showed it: its bucket is still open.
            calls: 1,
            told: Details {
                counterfactual: (rate <= share).then(|| self.without_novelties(callers, &shown, share)),
                likely: Benign::of_novelties(&shown.keys().copied().collect(), is_new_caller),
                sharing: None,
                also: others
                    .take(MAX_ALSO)
                    .map(|(class, detail)| format!("{}: {detail}", class_in_words(class)))
                    .collect(),
                novelty: Some(novelty.detail.clone()),
                credential: Some(novelty.credential.clone()).filter(|credential| !credential.is_empty()),
            },
        }
    }

    /// Holds an candidate against outages, and adds it to its incident.
    pub fn tell(&mut self, store: &EntityStore, mut candidate: Candidate<'_>, bucket: i64, time: i64) {
        let entity = &candidate.state.entity;
        let statistic = statistic_named(candidate.cause.name);
        let is_outage_like = candidate.cause.name == "multivariate"
            || statistic
                .is_some_and(|statistic| statistic.of_vendor || matches!(statistic.kind, Kind::Mix | Kind::Volume));
        let outages = &self.memory.outages;
        if is_outage_like && outages.overlap(entity.view, &entity.vendor, bucket, candidate.window) {
            let storms = !candidate.cause.is_of_vendor && outages.stormed(entity, bucket, candidate.window);
            candidate.pages = storms || outages.has_lasted(entity.view, &entity.vendor, bucket);
            if storms {
                candidate.subject.caller.clone_from(&entity.caller);
            }
            candidate.told.likely = Some(Benign::VendorOutage);
        }
        if matches!(candidate.cause.name, "calls" | "spend_peak")
            && self.settings.campaigns.iter().any(|campaign| campaign.covers(&entity.caller, &entity.vendor, time))
        {
            candidate.pages = false;
            candidate.told.likely = Some(Benign::Campaign);
        }
        if candidate.cause.name == "server_error" {
            let (since, last) = self.memory.waiting.get(&candidate.subject).copied().unwrap_or((time, time));
            let since = if time - last > EXPLAINED { time } else { since };
            self.memory.waiting.insert(candidate.subject.clone(), (since, time));
            candidate.pages &= time >= since + WAIT_FOR_OUTAGE;
        }
        let detector = detector_of(&candidate.cause);
        let severity = match (candidate.pages, candidate.told.likely) {
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
            self.memory.shifts.retain(|_, shift| !shift.is_forgotten(time));
        }
    }
}
