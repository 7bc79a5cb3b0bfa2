//! The judge: what closed buckets mean. Pure: event time in, alerts out.
//!
//! At the end of each bucket the entities that called in it are tested, first sights are looked for, and what would page is
//! attributed (vendor or caller), held against outages, and told as incidents.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::EngineSettings;
use super::audit::AuditMemory;
use super::course::Course;
use super::findings::{Told, share_of_sight};
use crate::alerts::{Alert, Book, Severity, Subject, severity};
use crate::calls::Direction;
use crate::detect::{Benign, Cause, Contribution, Heard, Outages, class_in_words, detector_of, sight_contribution};
use crate::features::{Account, Entity, FeatureRow, Ledger, Level, Sighting, WINDOWS};
use crate::models::adaptation::Shift;
use crate::models::audit::Row;
use crate::models::baseline::{fused, judge};
use crate::models::bundle::Bundle;
use crate::models::calibration::p_value;
use crate::models::clock::cell_of;
use crate::models::first_sight::{Relation, Sight, Together, Watch};
use crate::models::fitness::Fitness;
use crate::models::peers::behaviour;
use crate::models::statistic::{Kind, statistic_named};
use crate::rollup::{BUCKET_MICROS, bucket_start};

/// A pair keeps office hours if its weekends are below this share of its weekdays.
const OFFICE_WEEKEND: f64 = 0.7;
/// A change of a vendor explains its callers' windows for as long as they overlap it, and this much longer.
pub(super) const EXPLAINED: i64 = 6 * 3_600_000_000;
/// Time that a rise of server errors waits to see whether it is an outage.
const WAIT_FOR_OUTAGE: i64 = 2 * BUCKET_MICROS;
/// Further new things that the sentence of a first sight names.
const MOST_ALSO: usize = 2;

/// All that the stream remembers of what was called.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    pub ledger: Ledger,
    watch: Watch,
    /// What the audit view remembers.
    pub audit: AuditMemory,
    outages: Outages,
    heard: Heard,
    /// Whether the model still fits, by view.
    pub fitness: BTreeMap<Direction, Fitness>,
    /// How the means of known entities go on.
    pub courses: BTreeMap<Entity, Course>,
    /// Shifts that are being told, by entity and statistic (place in its table; records follow after it).
    pub shifts: BTreeMap<(Entity, usize), Shift>,
    pub book: Book,
    /// What callers showed for the first time within the last hour.
    together: Together,
    /// When a vendor was last confirmed to have changed: by statistic.
    pub changed: BTreeMap<(Direction, String, String), i64>,
    /// Since when a subject's server errors wait, and when they were seen last.
    waiting: BTreeMap<Subject, (i64, i64)>,
}

impl Memory {
    pub fn restored(mut self) -> Self {
        self.watch = self.watch.restored();
        self
    }
}

/// Is shown each p-value of an entity's tests: who, at the end of which bucket, and the chance of such an entity-day.
pub(super) type Observer = Box<dyn FnMut(&Entity, i64, f64) + Send>;

/// Judges closed buckets by a bundle.
pub(super) struct Judge {
    pub bundle: Arc<Bundle>,
    pub settings: EngineSettings,
    callers: BTreeMap<Direction, usize>,
    /// What a pair without history may differ by.
    between: [f64; 3],
    /// Pairs that keep office hours: they tell when the company rests.
    pub office: Vec<Entity>,
    pub memory: Memory,
    /// Sees p-values, and changes nothing.
    pub observer: Option<Observer>,
}

/// Where a finding goes and what it says.
pub(super) struct Event<'a> {
    pub account: &'a Account,
    pub subject: Subject,
    pub cause: Cause,
    pub window: i64,
    pub rate: f64,
    pub p_value: f64,
    /// The part of the budget, in alarms a day, within which such an event pages.
    pub share: f64,
    pub pages: bool,
    pub contributions: Vec<Contribution>,
    pub endpoint: Option<String>,
    pub calls: u64,
    pub told: Told,
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

impl Judge {
    pub fn new(bundle: Arc<Bundle>, settings: EngineSettings, memory: Memory) -> Self {
        let views = [Direction::Egress, Direction::Audit];
        let callers = views.map(|direction| (direction, bundle.known.callers(direction))).into();
        let keeps_office_hours = |(entity, baseline): (&Entity, &crate::models::baseline::Baseline)| {
            let [weekday, weekend] = baseline.clock.as_ref()?.mean();
            (baseline.is_known && weekend < OFFICE_WEEKEND * weekday).then(|| entity.clone())
        };
        let office = bundle.baselines.iter().filter_map(keeps_office_hours).collect();
        let between = bundle.expectations.between_callers();
        Self { bundle, settings, callers, between, office, memory, observer: None }
    }

    /// Judges what was called for the first time in a minute of a bucket that may still be open.
    pub fn look(&mut self, look: &Look<'_>) -> Vec<Alert> {
        let time = look.end + self.settings.lateness_micros();
        let bundle = Arc::clone(&self.bundle);
        for (relation, name) in look.relations.iter().zip(&look.names) {
            let relation = Relation { endpoint: name.as_deref().unwrap_or(relation.endpoint), ..*relation };
            let sights = self.memory.watch.look(&relation, &bundle.known);
            if sights.is_empty() {
                continue;
            }
            let pair = Entity::pair(relation.direction, relation.caller, relation.vendor);
            self.memory.ledger.open(pair.clone());
            // A trace id of the calls so far would depend on how they were batched: the end of the bucket brings one.
            let Relation { host, credential, .. } = relation;
            self.memory.ledger.note(&Sighting { pair: &pair, host, credential, trace_id: None });
            for sight in sights {
                self.judge_sight(&sight, look.bucket, time);
            }
        }
        self.memory.book.tell(time)
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
        let mut alerts = self.memory.book.close(time);
        self.forget(bucket, time);
        self.memory.ledger.advance(bucket);
        let bundle = Arc::clone(&self.bundle);
        let touched = self.memory.ledger.add(rows, |entity| bundle.baselines.contains_key(entity));
        for (_, relation) in relations {
            let pair = Entity::pair(relation.direction, relation.caller, relation.vendor);
            self.memory.heard.hear(&pair, bucket);
            let Relation { host, credential, trace_id, .. } = *relation;
            self.memory.ledger.note(&Sighting { pair: &pair, host, credential, trace_id });
        }
        self.memory.outages.observe(&self.memory.ledger, &bundle.baselines, bucket);
        self.judge_silences(bucket, time);
        self.judge_fitness(bucket, time);

        // First sights were looked for minute by minute; a beacon takes the whole bucket.
        let sights = relations.iter().filter_map(|(_, relation)| self.memory.watch.beacon(relation, &bundle.known));
        for sight in sights.collect::<Vec<_>>() {
            self.judge_sight(&sight, bucket, time);
        }
        self.judge_audit(audit, bucket, time);
        // Vendors first: what they explain is not told of their callers.
        let is_egress = |place: &usize| self.memory.ledger.at(*place).entity.direction == Direction::Egress;
        let mut places: Vec<usize> = touched.into_iter().filter(is_egress).collect();
        places.sort_by_key(|place| match self.memory.ledger.at(*place).entity.level {
            Level::Vendor => 0,
            Level::VendorEndpoint => 1,
            Level::Pair => 2,
            Level::Credential => 3,
        });
        for place in places {
            self.judge_account(place, bucket, time);
        }
        alerts.extend(self.memory.book.tell(time));
        alerts
    }

    fn judge_account(&mut self, place: usize, bucket: i64, time: i64) {
        let bundle = Arc::clone(&self.bundle);
        // Taken out so that the book can be written while the account is read.
        let ledger = std::mem::take(&mut self.memory.ledger);
        let account = ledger.at(place);
        let direction = account.entity.direction;
        if let Some(view) = bundle.views.get(&direction)
            && let Some(level) = view.levels.get(&account.entity.level)
        {
            let baseline = bundle.baselines.get(&account.entity);
            let peers = baseline.map_or_else(|| self.peers_of(account), |baseline| baseline.peers);
            let mut sums = baseline.map(|baseline| self.follow(account, baseline, bucket)).unwrap_or_default();
            sums.extend(self.beyond_records(account, baseline, time));
            let adaptation = self.memory.courses.get(&account.entity).map(|course| &course.adaptation);
            let mut verdicts = judge(account, bucket, baseline, level, &self.between, peers, adaptation);
            self.pass_over_levels(&account.entity, &mut verdicts, time);
            let score = fused(verdicts.iter().map(|verdict| (verdict.test, verdict.p_value)));
            let p_value = p_value(view.score.as_ref(), score);
            if let Some(observe) = &mut self.observer {
                observe(&account.entity, bucket, p_value);
            }
            let rate = bundle.alarms_per_day(bundle.entities(), p_value);
            if account.entity.level == Level::Pair && baseline.is_some_and(|known| known.is_known) {
                self.note_fitness(&account.entity, p_value, &verdicts);
            }
            if rate <= self.settings.budget().tests()
                && let Some(event) = self.unusual(&ledger, account, &verdicts, p_value, time)
            {
                self.note_shift(&account.entity, &event.cause, &verdicts, time);
                self.tell(&ledger, event, bucket, time);
            }
            for beyond in sums {
                self.tell(&ledger, beyond, bucket, time);
            }
            let surges: Vec<Event<'_>> =
                verdicts.iter().filter_map(|verdict| self.surge(account, verdict, rate, bucket)).collect();
            for surge in surges {
                self.tell(&ledger, surge, bucket, time);
            }
            if let Some(odd) = self.odd_hour(account, &verdicts, baseline, bucket) {
                self.tell(&ledger, odd, bucket, time);
            }
        }
        self.memory.ledger = ledger;
    }

    /// The peer group of an entity without history, by what it has done so far.
    fn peers_of(&self, account: &Account) -> usize {
        let behaviour = behaviour(account.series.window(WINDOWS.len() - 1), 1.0, 1.0);
        self.bundle.peers.get(&account.entity.direction).map_or(0, |peers| peers.assign(&behaviour))
    }

    fn judge_silences(&mut self, bucket: i64, time: i64) {
        let hushes = self.memory.heard.silences(&self.memory.ledger, &self.bundle.baselines, bucket);
        self.memory.heard.forget(bucket);
        let ledger = std::mem::take(&mut self.memory.ledger);
        for hush in &hushes {
            if let Some(event) = self.hushed(&ledger, hush, bucket) {
                self.tell(&ledger, event, bucket, time);
            }
        }
        self.memory.ledger = ledger;
    }

    fn judge_sight(&mut self, sight: &Sight, bucket: i64, time: i64) {
        self.memory.together.show(sight);
        let pair = Entity::pair(sight.direction, &sight.caller, &sight.vendor);
        let ledger = std::mem::take(&mut self.memory.ledger);
        if let Some(account) = ledger.get(&pair) {
            let event = self.first_sight(sight, account);
            self.tell(&ledger, event, bucket, time);
        }
        self.memory.ledger = ledger;
    }

    /// The rate up to which a first sight pages.
    pub fn sight_threshold(&self) -> f64 {
        let budget = self.settings.budget();
        budget.first_sight().min(self.bundle.sight_rates.threshold(budget.first_sights()))
    }

    /// A first sight, judged by itself and with all that its caller showed within the hour.
    fn first_sight<'a>(&self, sight: &Sight, account: &'a Account) -> Event<'a> {
        let mut shown = self.memory.together.shown(sight);
        shown.insert(sight.class, &sight.detail);
        let callers = self.callers.get(&sight.direction).copied().unwrap_or_default();
        let (rates, share) = (&self.bundle.sight_rates, self.sight_threshold());
        let rate = rates.together(callers, shown.keys().copied());
        let part = share_of_sight(rates, callers, sight.class, &shown);
        let is_new_caller = !self.bundle.known.has_caller(sight.direction, &sight.caller);
        let others = shown.iter().filter(|(class, _)| **class != sight.class);
        Event {
            account,
            subject: Subject::of(&account.entity),
            cause: Cause { name: sight.class, is_rise: true, is_of_vendor: false, direction: sight.direction },
            window: 1,
            rate,
            p_value: 1.0 - (-rate).exp(),
            share,
            pages: rate <= share,
            contributions: vec![sight_contribution(sight, rates.of(sight.class), part)],
            endpoint: Some(sight.endpoint.clone()),
            // At least the one that showed it: its bucket is still open.
            calls: 1,
            told: Told {
                counterfactual: (rate <= share).then(|| self.without_sights(callers, &shown)),
                likely: Benign::of_sights(&shown.keys().copied().collect(), is_new_caller),
                sharing: None,
                also: others
                    .take(MOST_ALSO)
                    .map(|(class, detail)| format!("{}: {detail}", class_in_words(class)))
                    .collect(),
                novelty: Some(sight.detail.clone()),
                credential: Some(sight.credential.clone()).filter(|credential| !credential.is_empty()),
            },
        }
    }

    /// Holds an event against outages, and adds it to its incident.
    pub fn tell(&mut self, ledger: &Ledger, mut event: Event<'_>, bucket: i64, time: i64) {
        let entity = &event.account.entity;
        let statistic = statistic_named(event.cause.name);
        let is_outage_like = event.cause.name == "joint"
            || statistic
                .is_some_and(|statistic| statistic.of_vendor || matches!(statistic.kind, Kind::Mix | Kind::Volume));
        let outages = &self.memory.outages;
        if is_outage_like && outages.overlap(entity.direction, &entity.vendor, bucket, event.window) {
            let storms = !event.cause.is_of_vendor && outages.stormed(entity, bucket, event.window);
            event.pages = storms || outages.has_lasted(entity.direction, &entity.vendor, bucket);
            if storms {
                event.subject.caller.clone_from(&entity.caller);
            }
            event.told.likely = Some(Benign::VendorOutage);
        }
        if matches!(event.cause.name, "calls" | "spend_record")
            && self.settings.campaigns.iter().any(|campaign| campaign.covers(&entity.caller, &entity.vendor, time))
        {
            event.pages = false;
            event.told.likely = Some(Benign::Campaign);
        }
        if event.cause.name == "server_error" {
            let (since, last) = self.memory.waiting.get(&event.subject).copied().unwrap_or((time, time));
            let since = if time - last > EXPLAINED { time } else { since };
            self.memory.waiting.insert(event.subject.clone(), (since, time));
            event.pages &= time >= since + WAIT_FOR_OUTAGE;
        }
        let detector = detector_of(&event.cause);
        let severity = match (event.pages, event.told.likely) {
            (true, _) => severity(event.rate.min(event.share), event.share, detector.impact).max(Severity::Medium),
            (false, Some(_)) => Severity::Informational,
            (false, None) => Severity::Low,
        };
        let (subject, finding) = self.finding(ledger, event, bucket, time);
        self.memory.book.add(&subject, &finding, severity, &self.bundle.manifest.version);
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
