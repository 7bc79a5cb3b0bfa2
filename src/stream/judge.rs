//! The judge: what closed buckets mean. Pure: event time in, alerts out.
//!
//! At the end of each bucket the entities that called in it are tested, first sights are looked for, and what would page is
//! attributed (vendor or caller), held against outages, and told as incidents.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::EngineSettings;
use crate::alerts::{Alert, Book, Severity, Subject, severity};
use crate::calls::Direction;
use crate::detect::{
    Cause, Contribution, Finding, Outages, Sharing, contribution, detector_of, joint_contribution, sharing,
    sight_contribution,
};
use crate::features::{Account, Column, Entity, FeatureRow, Ledger, Level, Sighting, WINDOWS};
use crate::models::baseline::{Verdict, fused, judge};
use crate::models::bundle::Bundle;
use crate::models::calibration::p_value;
use crate::models::clock::cell_of;
use crate::models::first_sight::{Relation, Sight, Watch, joint_rate};
use crate::models::joint_row;
use crate::models::statistic::{Kind, STATISTICS};
use crate::rollup::{BUCKET_MICROS, bucket_start};

/// Reasons that a finding tells.
const MOST_REASONS: usize = 3;
/// First sights of a caller within this time are judged together.
const TOGETHER: i64 = 3_600_000_000;
/// A change of a vendor explains its callers' windows for as long as they overlap it, and this much longer.
const EXPLAINED: i64 = 6 * 3_600_000_000;
/// Time that a rise of server errors waits to see whether it is an outage.
const WAIT_FOR_OUTAGE: i64 = 2 * BUCKET_MICROS;
/// Pure volume pages from this many times the expectation; while the company rests; and from this many calls.
const SURGE: f64 = 30.0;
const SURGE_AT_REST: f64 = 8.0;
const FEWEST_CALLS_OF_A_SURGE: f64 = 20.0;
/// Buckets of the level that a surge is measured against: three hours.
const LEVEL_BUCKETS: i64 = 36;
/// The company rests while the pairs that keep office hours are below this share of their mean.
const AT_REST: f64 = 0.4;
/// A pair keeps office hours if its weekends are below this share of its weekdays.
const OFFICE_WEEKEND: f64 = 0.7;

/// All that the stream remembers of what was called.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    ledger: Ledger,
    watch: Watch,
    outages: Outages,
    book: Book,
    /// Classes that callers showed within the last hour: time, view, caller, class (place in its name).
    sights: VecDeque<(i64, Direction, String, String)>,
    /// When a vendor was last confirmed to have changed: by statistic.
    changed: BTreeMap<(Direction, String, String), i64>,
    /// Since when a subject's server errors wait, and when they were seen last.
    waiting: BTreeMap<Subject, (i64, i64)>,
}

impl Memory {
    pub fn restored(mut self) -> Self {
        self.watch = self.watch.restored();
        self
    }
}

/// Judges closed buckets by a bundle.
pub(super) struct Judge {
    bundle: Arc<Bundle>,
    settings: EngineSettings,
    callers: BTreeMap<Direction, usize>,
    /// What a pair without history may differ by.
    between: [f64; 3],
    /// Pairs that keep office hours: they tell when the company rests.
    office: Vec<Entity>,
    pub memory: Memory,
}

/// Where a finding goes and what it says.
struct Event<'a> {
    account: &'a Account,
    subject: Subject,
    cause: Cause,
    window: i64,
    rate: f64,
    p_value: f64,
    pages: bool,
    contributions: Vec<Contribution>,
    endpoint: Option<String>,
    calls: u64,
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
        Self { bundle, settings, callers, between, office, memory }
    }

    /// Judges a bucket: its feature rows, and its relations in the order of their first calls.
    pub fn close(&mut self, bucket: i64, rows: &[FeatureRow], relations: &[(i64, Relation<'_>)]) -> Vec<Alert> {
        let time = bucket_start(bucket + 1) + self.settings.lateness_micros();
        let mut alerts = self.memory.book.close(time);
        self.forget(bucket, time);
        self.memory.ledger.advance(bucket);
        let bundle = Arc::clone(&self.bundle);
        let touched = self.memory.ledger.add(rows, |entity| bundle.baselines.contains_key(entity));
        for (_, relation) in relations {
            let pair = Entity::pair(relation.direction, relation.caller, relation.vendor);
            let Relation { host, credential, trace_id, .. } = *relation;
            self.memory.ledger.note(&Sighting { pair: &pair, host, credential, trace_id });
        }
        self.memory.outages.observe(&self.memory.ledger, &bundle.baselines, bucket);

        // First sights come with a call, tests at the end of the bucket.
        let sights = relations.iter().flat_map(|(_, relation)| self.memory.watch.look(relation, &bundle.known));
        for sight in sights.collect::<Vec<_>>() {
            alerts.extend(self.judge_sight(&sight, bucket, time));
        }
        // Vendors first: what they explain is not told of their callers.
        let mut places: Vec<usize> = touched.into_iter().collect();
        places.sort_by_key(|place| match self.memory.ledger.at(*place).entity.level {
            Level::Vendor => 0,
            Level::VendorEndpoint => 1,
            Level::Pair => 2,
            Level::Credential => 3,
        });
        for place in places {
            alerts.extend(self.judge_account(place, bucket, time));
        }
        alerts
    }

    fn judge_account(&mut self, place: usize, bucket: i64, time: i64) -> Vec<Alert> {
        let bundle = Arc::clone(&self.bundle);
        // Taken out so that the book can be written while the account is read.
        let ledger = std::mem::take(&mut self.memory.ledger);
        let account = ledger.at(place);
        let direction = account.entity.direction;
        let mut alerts = Vec::new();
        if let Some(view) = bundle.views.get(&direction)
            && let Some(level) = view.levels.get(&account.entity.level)
        {
            let baseline = bundle.baselines.get(&account.entity);
            let peers = baseline.map_or_else(|| self.peers_of(account), |baseline| baseline.peers);
            let verdicts = judge(account, bucket, baseline, level, &self.between, peers);
            let score = fused(verdicts.iter().map(|verdict| (verdict.test, verdict.p_value)));
            let rate = bundle.entities() as f64 * p_value(view.score.as_ref(), score);
            if rate <= self.settings.budget().tests()
                && let Some(event) = self.unusual(&ledger, account, &verdicts, rate, time)
            {
                alerts.extend(self.tell(&ledger, event, bucket, time));
            }
            let surges: Vec<Event<'_>> =
                verdicts.iter().filter_map(|verdict| self.surge(account, verdict, bucket)).collect();
            for surge in surges {
                alerts.extend(self.tell(&ledger, surge, bucket, time));
            }
            if let Some(odd) = self.odd_hour(account, &verdicts, baseline, bucket) {
                alerts.extend(self.tell(&ledger, odd, bucket, time));
            }
        }
        self.memory.ledger = ledger;
        alerts
    }

    /// The peer group of an entity without history, by what it has done so far.
    fn peers_of(&self, account: &Account) -> usize {
        let day = WINDOWS.len() - 1;
        let at = |column: Column| account.sum(column, day) as f64;
        let calls = at(Column::Calls).max(1.0);
        let behaviour = crate::models::peers::behaviour([
            calls.ln_1p(),
            (at(Column::BytesOutSum) / at(Column::BytesOutCount).max(1.0)).ln_1p(),
            (at(Column::BytesInSum) / at(Column::BytesInCount).max(1.0)).ln_1p(),
            1.0 - at(Column::Ok) / calls,
            1.0,
        ]);
        self.bundle.peers.get(&account.entity.direction).map_or(0, |peers| peers.assign(&behaviour))
    }

    /// An entity whose tests together are too rare, attributed to the caller or the vendor; `None` where something else
    /// tells it better.
    fn unusual<'a>(
        &mut self,
        ledger: &'a Ledger,
        account: &'a Account,
        verdicts: &[Verdict],
        rate: f64,
        time: i64,
    ) -> Option<Event<'a>> {
        let bundle = Arc::clone(&self.bundle);
        let mut reasons: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0).collect();
        reasons.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
        let leading = *reasons.first()?;
        let statistic = leading.test.statistic();
        let entity = &account.entity;
        let told_of = match entity.level {
            Level::Pair => account,
            Level::Vendor => most_changed_pair(ledger, account, leading)?,
            Level::VendorEndpoint | Level::Credential => self.pair_in_question(ledger, account)?,
        };
        let seen = Verdict { seen: observed_of(told_of, leading), ..leading.clone() };
        let shared = if statistic.of_vendor {
            sharing(ledger, &bundle.baselines, told_of, if entity.level == Level::Pair { leading } else { &seen })
        } else {
            Sharing::Own
        };
        if entity.level == Level::Vendor && shared < Sharing::Likely {
            return None; // one caller only: its own test judges it
        }
        let mut subject = Subject {
            direction: entity.direction,
            vendor: entity.vendor.clone(),
            caller: if shared >= Sharing::Likely { String::new() } else { told_of.entity.caller.clone() },
        };
        let vendor = Subject { caller: String::new(), ..subject.clone() };
        let is_explainable = statistic.of_vendor || statistic.kind == Kind::Mix;
        let changed = (entity.direction, entity.vendor.clone(), statistic.name.to_owned());
        if shared == Sharing::Confirmed {
            self.memory.changed.insert(changed.clone(), time);
        }
        let explained = leading.test.buckets() * BUCKET_MICROS + EXPLAINED;
        let is_known = self.memory.changed.get(&changed).is_some_and(|at| time - at <= explained);
        let is_vendor_open = self.memory.book.is_open(&vendor);
        if is_known && !is_vendor_open && shared != Sharing::Confirmed {
            return None; // already told, and over
        }
        if is_vendor_open && is_explainable && (is_known || shared >= Sharing::Unknown) {
            subject = vendor.clone();
        }
        if subject == vendor && !is_vendor_open {
            let of_vendor: Vec<&str> =
                STATISTICS.iter().filter(|statistic| statistic.of_vendor).map(|statistic| statistic.name).collect();
            for pair in ledger.pairs_of(entity.direction, &entity.vendor) {
                if self.memory.book.widen(&vendor, &pair.entity.caller, &of_vendor) {
                    break;
                }
            }
        }
        let cause = Cause {
            name: statistic.name,
            is_rise: leading.seen.effect(statistic.kind) >= 0.0,
            is_of_vendor: subject == vendor,
            direction: entity.direction,
        };
        let words = |verdict: &&Verdict| contribution(account, verdict, &bundle.expectations);
        let told = reasons.iter().take(MOST_REASONS).filter(|verdict| verdict.p_value < 1.0);
        Some(Event {
            account: told_of,
            window: leading.test.buckets(),
            rate,
            p_value: rate / bundle.entities() as f64,
            pages: true,
            contributions: told.map(words).collect(),
            endpoint: leading
                .endpoint
                .clone()
                .or_else(|| (entity.level == Level::VendorEndpoint).then(|| entity.part.clone())),
            calls: account.sum(Column::Calls, leading.test.window).max(0) as u64,
            subject,
            cause,
        })
    }

    /// Of the pairs behind a shared credential or endpoint, the one whose incident goes on, else the one that calls most.
    fn pair_in_question<'a>(&self, ledger: &'a Ledger, account: &'a Account) -> Option<&'a Account> {
        let entity = &account.entity;
        let uses = |pair: &&Account| match entity.level {
            Level::Credential => pair.trail.credential == entity.part,
            _ => pair.endpoints.contains_key(&entity.part),
        };
        let subject = |pair: &Account| Subject {
            direction: entity.direction,
            vendor: entity.vendor.clone(),
            caller: pair.entity.caller.clone(),
        };
        let pairs = || ledger.pairs_of(entity.direction, &entity.vendor).filter(uses);
        let calls = |pair: &&Account| match pair.endpoints.get(&entity.part) {
            Some(series) => series.count(0),
            None => pair.sum(Column::Calls, 0),
        };
        pairs().find(|pair| self.memory.book.is_paging(&subject(pair))).or_else(|| pairs().max_by_key(calls))
    }

    /// Pure volume: far beyond the clock, whatever the ratios say.
    fn surge<'a>(&self, account: &'a Account, verdict: &Verdict, bucket: i64) -> Option<Event<'a>> {
        if verdict.test.statistic().kind != Kind::Volume || verdict.z <= 0.0 {
            return None;
        }
        let entities = self.bundle.entities() as f64;
        let rate = entities * verdict.p_value;
        if rate > self.settings.budget().volume() {
            return None;
        }
        let clock = self.bundle.baselines.get(&account.entity).filter(|known| known.is_known)?.clock.as_ref()?;
        let buckets = verdict.test.buckets() as f64;
        let level = clock.expected(bucket, LEVEL_BUCKETS) * buckets / LEVEL_BUCKETS as f64;
        let usual = verdict.seen.against.max(level);
        let times = if self.is_company_at_rest(bucket) { SURGE_AT_REST } else { SURGE };
        let least = (clock.peak() * buckets).max(FEWEST_CALLS_OF_A_SURGE);
        if verdict.seen.observed < times * usual || verdict.seen.observed < least {
            return None;
        }
        let entity = &account.entity;
        Some(Event {
            account,
            subject: Subject {
                direction: entity.direction,
                vendor: entity.vendor.clone(),
                caller: entity.caller.clone(),
            },
            cause: Cause {
                name: verdict.test.statistic().name,
                is_rise: true,
                is_of_vendor: false,
                direction: entity.direction,
            },
            window: verdict.test.buckets(),
            rate,
            p_value: verdict.p_value,
            pages: true,
            contributions: vec![contribution(account, verdict, &self.bundle.expectations)],
            endpoint: None,
            calls: verdict.seen.observed as u64,
        })
    }

    fn is_company_at_rest(&self, bucket: i64) -> bool {
        let hour = WINDOWS[2].buckets;
        let levels = self.office.iter().filter_map(|entity| {
            let clock = self.bundle.baselines.get(entity)?.clock.as_ref()?;
            let [weekday, weekend] = clock.mean();
            Some(clock.expected(bucket, hour) / hour as f64 / ((weekday + weekend) / 2.0).max(1e-9))
        });
        let (count, sum) = levels.fold((0_u32, 0.0), |(count, sum), level| (count + 1, sum + level));
        count > 0 && sum / f64::from(count) < AT_REST
    }

    /// An hour whose numbers are usual one by one and odd together.
    fn odd_hour<'a>(
        &self,
        account: &'a Account,
        verdicts: &[Verdict],
        baseline: Option<&crate::models::baseline::Baseline>,
        bucket: i64,
    ) -> Option<Event<'a>> {
        let entity = &account.entity;
        let known = baseline.filter(|known| known.is_known)?;
        let joint = self.bundle.joint.get(&entity.direction)?;
        if entity.level != Level::Pair || !joint_row::is_due(bucket) {
            return None;
        }
        let row = joint_row::row(account, bucket, verdicts, Some(known));
        let rate = joint.alarms_per_day(&row);
        if rate > self.settings.budget().joint() {
            return None;
        }
        let p_value = rate / joint.entities.max(1) as f64;
        let shares = joint.joint.contributions(ndarray::ArrayView1::from(&row));
        let words =
            |(column, share): &(String, f64)| joint_contribution(column, *share, joint_row::window_name(), p_value);
        Some(Event {
            account,
            subject: Subject {
                direction: entity.direction,
                vendor: entity.vendor.clone(),
                caller: entity.caller.clone(),
            },
            cause: Cause { name: "joint", is_rise: true, is_of_vendor: false, direction: entity.direction },
            window: WINDOWS[2].buckets,
            rate,
            p_value,
            pages: true,
            contributions: shares.iter().take(MOST_REASONS).map(words).collect(),
            endpoint: None,
            calls: account.sum(Column::Calls, 2).max(0) as u64,
        })
    }

    /// How often a day this first sight is expected: by itself, or with all that its caller showed within the hour.
    fn rate_of(&self, sight: &Sight, callers: usize) -> f64 {
        let of_caller = |(_, direction, caller, class): &'_ (i64, Direction, String, String)| {
            (*direction == sight.direction && *caller == sight.caller).then(|| class.clone())
        };
        let shown: BTreeSet<String> = self.memory.sights.iter().filter_map(of_caller).collect();
        let rates = &self.bundle.sight_rates;
        joint_rate(rates, callers, shown.iter().map(String::as_str)).min(rates.of(sight.class))
    }

    fn judge_sight(&mut self, sight: &Sight, bucket: i64, time: i64) -> Option<Alert> {
        self.memory.sights.retain(|(at, ..)| sight.time - at <= TOGETHER);
        let (direction, caller) = (sight.direction, sight.caller.clone());
        self.memory.sights.push_back((sight.time, direction, caller, sight.class.to_owned()));
        let callers = self.callers.get(&sight.direction).copied().unwrap_or_default();
        let rate = self.rate_of(sight, callers);
        let pair = Entity::pair(sight.direction, &sight.caller, &sight.vendor);
        let ledger = std::mem::take(&mut self.memory.ledger);
        let alert = ledger.get(&pair).and_then(|account| {
            let event = Event {
                account,
                subject: Subject {
                    direction: sight.direction,
                    vendor: sight.vendor.clone(),
                    caller: sight.caller.clone(),
                },
                cause: Cause { name: sight.class, is_rise: true, is_of_vendor: false, direction: sight.direction },
                window: 1,
                rate,
                p_value: 1.0 - (-rate).exp(),
                pages: rate <= self.settings.budget().first_sights(),
                contributions: vec![sight_contribution(sight, rate)],
                endpoint: Some(sight.endpoint.clone()),
                calls: account.sum(Column::Calls, 0).max(0) as u64,
            };
            self.tell(&ledger, event, bucket, time)
        });
        self.memory.ledger = ledger;
        alert
    }

    /// Holds an event against outages, and adds it to its incident.
    fn tell(&mut self, ledger: &Ledger, mut event: Event<'_>, bucket: i64, time: i64) -> Option<Alert> {
        let entity = &event.account.entity;
        let is_test = STATISTICS.iter().any(|statistic| statistic.name == event.cause.name);
        let is_outage_like = event.cause.name == "joint"
            || STATISTICS.iter().any(|statistic| {
                statistic.name == event.cause.name
                    && (statistic.of_vendor || matches!(statistic.kind, Kind::Mix | Kind::Volume))
            });
        let outages = &self.memory.outages;
        if is_outage_like && outages.overlap(entity.direction, &entity.vendor, bucket, event.window) {
            let storms = !event.cause.is_of_vendor && outages.stormed(entity, bucket, event.window);
            event.pages = storms || outages.has_lasted(entity.direction, &entity.vendor, bucket);
            if storms {
                event.subject.caller.clone_from(&entity.caller);
            }
        }
        if event.cause.name == "server_error" {
            let (since, last) = self.memory.waiting.get(&event.subject).copied().unwrap_or((time, time));
            let since = if time - last > EXPLAINED { time } else { since };
            self.memory.waiting.insert(event.subject.clone(), (since, time));
            event.pages &= time >= since + WAIT_FOR_OUTAGE;
        }
        let detector = detector_of(&event.cause);
        let share = if is_test { self.settings.budget().tests() } else { self.settings.budget().first_sights() };
        let severity = if event.pages {
            severity(event.rate.min(share), share, detector.impact).max(Severity::Medium)
        } else {
            Severity::Low
        };
        let finding = self.finding(ledger, event, bucket, time);
        let (subject, finding) = finding;
        self.memory.book.add(&subject, &finding, severity, &self.bundle.manifest.version)
    }

    fn finding(&self, ledger: &Ledger, event: Event<'_>, bucket: i64, time: i64) -> (Subject, Finding) {
        let subject = event.subject;
        let vendor = Entity::group(subject.direction, Level::Vendor, &subject.vendor, "", "");
        let of_vendor = vendor.as_ref().and_then(|vendor| ledger.get(vendor));
        let trail = match of_vendor {
            Some(of_vendor) if subject.caller.is_empty() => &of_vendor.trail,
            _ => &event.account.trail,
        };
        let credential = Some(trail.credential.clone());
        let credential = credential.filter(|credential| !credential.is_empty() && !subject.caller.is_empty());
        let who = if subject.caller.is_empty() {
            subject.vendor.clone()
        } else {
            format!("{} → {}", subject.caller, subject.vendor)
        };
        let message = event.contributions.first().map_or_else(
            || format!("{who}: {}", event.cause.name),
            |leading| {
                let over = if leading.window.is_empty() { String::new() } else { format!(" over {}", leading.window) };
                let shared = if event.cause.is_of_vendor { ", for its callers alike" } else { "" };
                format!("{who}: {}{over}, usual: {}{shared}", leading.observed, leading.baseline)
            },
        );
        let finding = Finding {
            detector: detector_of(&event.cause),
            cause: event.cause,
            time,
            first_seen: bucket_start(bucket + 1 - event.window),
            last_seen: bucket_start(bucket + 1),
            pages: event.pages,
            alarms_per_day: event.rate,
            p_value: event.p_value,
            message,
            contributions: event.contributions,
            hosts: trail.hosts.iter().cloned().collect(),
            credential,
            endpoint: event.endpoint.filter(|endpoint| !endpoint.is_empty()),
            calls: event.calls,
            trace_ids: trail.trace_ids.iter().cloned().collect(),
        };
        (subject, finding)
    }

    /// Lets go of what no window reaches any more; once an hour is enough.
    fn forget(&mut self, bucket: i64, time: i64) {
        if cell_of(bucket).is_multiple_of(12) {
            let day = WINDOWS[WINDOWS.len() - 1].buckets * BUCKET_MICROS;
            self.memory.changed.retain(|_, at| time - *at <= day + EXPLAINED);
            self.memory.waiting.retain(|_, (_, last)| time - *last <= EXPLAINED);
        }
    }
}

/// What a test sees of an account.
fn observed_of(account: &Account, verdict: &Verdict) -> crate::models::statistic::Observation {
    let empty = [0; _];
    let window = account.series.window(verdict.test.window);
    crate::models::statistic::Observation::of(verdict.test.statistic().kind, window, &empty, 0.0)
}

/// Of a vendor's pairs, the one that shows the change most.
fn most_changed_pair<'a>(ledger: &'a Ledger, vendor: &'a Account, verdict: &Verdict) -> Option<&'a Account> {
    let kind = verdict.test.statistic().kind;
    let z = |pair: &&Account| observed_of(pair, verdict).z(kind, 0.05);
    let Entity { direction, vendor, .. } = &vendor.entity;
    ledger.pairs_of(*direction, vendor).max_by(|a, b| z(a).total_cmp(&z(b)).then_with(|| b.entity.cmp(&a.entity)))
}
