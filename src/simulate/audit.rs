//! Audit events of one day: services all day, people in sessions, builders in deployments, scanners on a schedule.
//!
//! A day's events follow from the seed, the principal and the day; changes persist from day to day.
//!
//! Not here: the record of an event (`cloudtrail`).

use std::ops::Range;

use rand::Rng;
use rand_distr::{Distribution, Exp1};

use super::operations::{BACKUP, DATA, DELETES, GRANTS, INCIDENT, READS, WRITES, is_data};
use super::principals::{BUILDS, EGRESS, OFFICE, Principal, Role, SCANNER, first_principals, principal};
use super::random::{AutoRegressive, Purpose, Random, count, gamma, happens, normal, pick, spread, stream, weighted};
use super::spec::Spec;
use super::{DAY, Label};

/// Microseconds.
const HOUR: i64 = 3_600_000_000;
/// Microseconds.
const SECOND: f64 = 1e6;
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
/// Share of a person's events outside their usual operations.
const UNUSUAL_SHARE: f64 = 0.004;
/// Length of a person's absence, days.
const ABSENCE_DAYS: usize = 14;
/// Mean events of an engineer's session.
const SESSION_EVENTS: f64 = 30.0;
/// Mean events of a deployment.
const DEPLOYMENT_EVENTS: f64 = 60.0;

/// One audit event, kept small: a day of them is in memory.
pub(super) struct AuditEvent {
    /// Microseconds since the epoch.
    pub(super) time: i64,
    pub(super) principal: u32,
    /// `service:Name`.
    pub(super) operation: &'static str,
    pub(super) address: [u8; 4],
    pub(super) client: &'static str,
    pub(super) version: u16,
    pub(super) region: &'static str,
    /// Error code; empty for success.
    pub(super) error: &'static str,
    /// Id of the session.
    pub(super) session: u32,
    pub(super) id: u64,
    pub(super) key: u8,
    /// Size of the object read or written; 0 for other operations.
    pub(super) bytes: u64,
}

/// The cloud account: all principals in their current state.
pub(super) struct Account {
    pub(super) spec: Spec,
    pub(super) principals: Vec<Principal>,
}

/// The events and changes of a day.
pub(super) struct Day {
    pub(super) start: i64,
    pub(super) events: Vec<AuditEvent>,
    pub(super) labels: Vec<Label>,
    day: usize,
    is_day_off: bool,
}

/// One session: principal, network and client.
#[derive(Clone, Copy)]
struct Session<'a> {
    number: usize,
    principal: &'a Principal,
    network: [u8; 3],
    client: &'static str,
    id: u32,
    /// Share of events that are denied.
    denied: f64,
    /// Mean seconds between events.
    pause: f64,
}

impl Account {
    pub(super) fn new(spec: &Spec) -> Self {
        Self { spec: spec.clone(), principals: first_principals(spec.seed, spec.callers, spec.calls_a_day) }
    }

    /// Simulates the next day: its changes, and its events by time.
    pub(super) fn simulate_day(&mut self, day: usize) -> Day {
        let (variability, seed) = (self.spec.variability.clone(), self.spec.seed);
        let start = self.spec.first_instant() + day as i64 * DAY;
        let calendar = &mut stream(seed, Purpose::Calendar, &[day]);
        let is_weekend = self.spec.is_weekend(day);
        let is_holiday = !is_weekend && happens(calendar, variability.holidays);
        let mut today =
            Day { start, events: Vec::new(), labels: Vec::new(), day, is_day_off: is_weekend || is_holiday };
        if is_holiday {
            today.label("holiday", 0..DAY, "");
        }
        if !today.is_day_off && happens(calendar, variability.new_callers) {
            let role = if calendar.r#gen() { Role::Engineer } else { Role::Service };
            let peer = self.principals.iter().find(|principal| principal.role == role);
            let calls_a_day = peer.map_or(30.0, |peer| peer.calls_a_day);
            let new_principal = Principal { calls_a_day, ..principal(seed, self.principals.len(), Some(role)) };
            let what = if role == Role::Engineer { "new employee" } else { "new service" };
            today.label(what, 0..DAY, &new_principal.name);
            self.principals.push(new_principal);
        }
        for number in 0..self.principals.len() {
            self.change(number, &mut today);
            let Some(principal) = self.principals.get(number) else { continue };
            if day >= principal.absent_until {
                let random = &mut stream(seed, Purpose::Traffic, &[number, day]);
                today.simulate(random, &self.spec, number, principal);
            }
        }
        let engineers: Vec<usize> =
            self.numbers(Role::Engineer).filter(|&number| self.is_present(number, day)).collect();
        if happens(calendar, variability.incidents)
            && let Some((&number, principal)) =
                pick(calendar, &engineers).and_then(|n| Some((n, self.principals.get(*n)?)))
        {
            today.incident(calendar, number, principal);
        }
        let builders: Vec<usize> = self.numbers(Role::Builder).collect();
        if !today.is_day_off
            && happens(calendar, variability.rebuilds)
            && let Some((&number, principal)) =
                pick(calendar, &builders).and_then(|n| Some((n, self.principals.get(*n)?)))
        {
            let at = calendar.gen_range(9 * HOUR..16 * HOUR);
            today.deploy(calendar, number, principal, at, 8);
            today.label("rebuild by infrastructure code", at..at + 2 * HOUR, &principal.name);
        }
        today.events.sort_by_key(|event| (event.time, event.principal, event.id));
        today
    }

    /// Time, principal and (empty) host of an event.
    pub(super) fn names(&self, event: &AuditEvent) -> Option<(i64, &str, &str)> {
        Some((event.time, self.principals.get(event.principal as usize)?.name.as_str(), ""))
    }

    fn numbers(&self, role: Role) -> impl Iterator<Item = usize> {
        self.principals
            .iter()
            .enumerate()
            .filter(move |(_, principal)| principal.role == role)
            .map(|(number, _)| number)
    }

    fn is_present(&self, number: usize, day: usize) -> bool {
        self.principals.get(number).is_some_and(|principal| day >= principal.absent_until)
    }

    /// Applies the day's change to a principal, from midnight on.
    fn change(&mut self, number: usize, today: &mut Day) {
        let variability = &self.spec.variability;
        let Some(principal) = self.principals.get_mut(number) else { return };
        let random = &mut stream(self.spec.seed, Purpose::Changes, &[number, today.day]);
        let drift = 0.1 * variability.level_sigma * normal(random);
        principal.calls_a_day *= (1.0 + variability.growth_a_month).powf(1.0 / 30.0) * drift.exp();
        if today.day == 0 || today.day < principal.absent_until {
            return;
        }
        if today.day == principal.absent_until {
            today.label("back after two weeks of absence", 0..DAY, &principal.name);
            return;
        }
        let works = !today.is_day_off;
        match principal.role {
            Role::Service if works && happens(random, variability.releases) => {
                principal.version += 1;
                let unused = DATA.iter().find(|name| principal.operations.iter().all(|(known, _)| known != *name));
                if happens(random, 0.06)
                    && let Some(unused) = unused
                {
                    principal.operations.push((unused, 0.3));
                    today.label("release that performs another operation", 0..DAY, &principal.name);
                } else {
                    today.label("release", 0..DAY, &principal.name);
                }
            }
            Role::Builder | Role::Job if works && happens(random, variability.key_rotations) => {
                principal.key = principal.key.wrapping_add(1);
                today.label("planned key rotation", 0..DAY, &principal.name);
            }
            Role::Engineer if works && happens(random, variability.new_pods * 0.4) => {
                principal.home = [random.gen_range(77..96), random.gen_range(1..250), random.gen_range(1..250)];
                today.label("an engineer works from elsewhere", 0..4 * DAY, &principal.name);
            }
            Role::Engineer if happens(random, variability.silences) => {
                principal.absent_until = today.day + ABSENCE_DAYS
            }
            _ => {}
        }
    }
}

impl Day {
    fn simulate(&mut self, random: &mut Random, spec: &Spec, number: usize, principal: &Principal) {
        let level = spread(random, 0.6 * spec.variability.level_sigma);
        match principal.role {
            Role::Service | Role::Internal => self.serve(random, spec, number, principal, level),
            Role::Engineer => self.work(random, spec, number, principal, level),
            Role::Builder if !self.is_day_off => {
                for _ in 0..count(random, level * principal.calls_a_day / DEPLOYMENT_EVENTS) {
                    let at = random.gen_range(8 * HOUR..18 * HOUR);
                    self.deploy(random, number, principal, at, 1);
                }
            }
            Role::Builder => {}
            Role::Job => {
                for half_hour in 0..48 {
                    let at = half_hour * HOUR / 2 + random.gen_range(0..40_000_000);
                    let session = Session::of(random, number, principal, EGRESS, 0.001, 2.0);
                    let calls = 1 + count(random, level * principal.calls_a_day / 48.0) as usize;
                    self.push_events(random, &session, at, |random| usual(random, principal), calls);
                }
            }
            Role::Scanner => {
                let rounds = (level * principal.calls_a_day / READS.len() as f64).round().max(1.0) as usize;
                let at = 3 * HOUR + random.gen_range(0..HOUR / 4);
                let session = Session::of(random, number, principal, SCANNER, 0.04, 0.8);
                let mut names = READS.iter().cycle();
                let next = |_: &mut Random| names.next().copied().unwrap_or_default();
                self.push_events(random, &session, at, next, rounds * READS.len());
            }
            Role::Backup => {
                let at = 2 * HOUR + random.gen_range(0..HOUR / 6);
                let calls = (level * principal.calls_a_day).round() as usize;
                let session = Session::of(random, number, principal, EGRESS, 0.0, 3.0);
                let mut index = 0;
                let next = |_: &mut Random| {
                    index += 1;
                    BACKUP.get((index - 1) * BACKUP.len() / calls.max(1)).copied().unwrap_or(BACKUP[1])
                };
                self.push_events(random, &session, at, next, calls);
            }
        }
    }

    /// A service: counts about an autocorrelated level, throttled now and then.
    fn serve(&mut self, random: &mut Random, spec: &Spec, number: usize, principal: &Principal, level: f64) {
        let variability = &spec.variability;
        let day_off = if self.is_day_off && principal.is_diurnal { spec.weekend_level } else { 1.0 };
        let mut levels = AutoRegressive::new(random, 0.9, variability.level_sigma);
        let burst = happens(random, variability.campaigns).then(|| random.gen_range(8..18));
        let throttled = happens(random, variability.error_bursts).then(|| random.gen_range(0..144));
        for slot in 0..144 {
            let hour = f64::from(slot) / 6.0;
            let daily = ((hour - 14.0) / 24.0 * std::f64::consts::TAU).cos();
            let daily = if principal.is_diurnal { 1.0 + 0.8 * daily } else { 1.0 };
            let boost = if burst.is_some_and(|from| (from..from + 3).contains(&(slot / 6))) { 7.0 } else { 1.0 };
            let uneven = if variability.heavy_tails { gamma(random, 12.0) } else { 1.0 };
            let mean = principal.calls_a_day / 144.0 * daily * day_off * level * boost * levels.next(random) * uneven;
            let session = Session::of(random, number, principal, EGRESS, 0.002, 0.0);
            for _ in 0..count(random, mean) {
                let time = self.start + i64::from(slot) * HOUR / 6 + random.gen_range(0..HOUR / 6);
                let error = if throttled == Some(slot) && happens(random, 0.4) { "ThrottlingException" } else { "" };
                let operation = usual(random, principal);
                self.push_event(random, &session, time, operation, error);
            }
        }
        if let Some(from) = burst {
            self.label("peak", i64::from(from) * HOUR..i64::from(from + 3) * HOUR, &principal.name);
        }
        if let Some(slot) = throttled {
            self.label(
                "throttling by the vendor",
                i64::from(slot) * HOUR / 6..i64::from(slot + 1) * HOUR / 6,
                &principal.name,
            );
        }
    }

    /// A person: sessions from the office or from home during working hours; some sessions explore.
    fn work(&mut self, random: &mut Random, spec: &Spec, number: usize, principal: &Principal, level: f64) {
        let is_at_work = happens(random, if self.is_day_off { 0.04 } else { 0.87 });
        if !is_at_work {
            return;
        }
        let network = if happens(random, 0.35) { principal.home } else { OFFICE };
        for _ in 0..count(random, level * principal.calls_a_day / SESSION_EVENTS).max(1) {
            let at = ((principal.work_start + random.gen_range(0.0..8.0)) * HOUR as f64) as i64;
            let session = Session::of(random, number, principal, network, 0.015, 22.0);
            let length = SESSION_EVENTS * spread(random, 0.5);
            let calls = count(random, length).max(1) as usize;
            if happens(random, spec.variability.exploring) {
                self.push_events(
                    random,
                    &session,
                    at,
                    |random| pick(random, &READS).copied().unwrap_or_default(),
                    calls,
                );
                self.label("an engineer looks around", at..at + HOUR, &principal.name);
            } else {
                let next = |random: &mut Random| {
                    let is_new = happens(random, UNUSUAL_SHARE);
                    if is_new { pick(random, &READS).copied().unwrap_or_default() } else { usual(random, principal) }
                };
                self.push_events(random, &session, at, next, calls);
            }
        }
    }

    /// Infrastructure as code: reads everything, then changes a little; `size` times as much in a rebuild.
    fn deploy(&mut self, random: &mut Random, number: usize, principal: &Principal, at: i64, size: usize) {
        let session = Session::of(random, number, principal, BUILDS, 0.002, 0.7);
        let reads = random.gen_range(25..85);
        let mut names = vec!["sts:GetCallerIdentity"];
        names.extend((0..reads).filter_map(|_| pick(random, &READS)));
        let writes = random.gen_range(0..8) * size;
        names.extend((0..writes).filter_map(|_| pick(random, &WRITES)));
        if size > 1 || happens(random, 0.3) {
            names.extend((0..random.gen_range(1..4) * size).filter_map(|_| pick(random, &GRANTS)));
        }
        names.extend((0..random.gen_range(0..2) * size).filter_map(|_| pick(random, &DELETES)));
        let calls = names.len();
        let mut names = names.into_iter();
        self.push_events(random, &session, at, |_| names.next().unwrap_or_default(), calls);
    }

    /// Incident response: an engineer investigates and repairs, every third time at night from home.
    fn incident(&mut self, random: &mut Random, number: usize, principal: &Principal) {
        let is_night = happens(random, 1.0 / 3.0);
        let at = if is_night { random.gen_range(0..5 * HOUR) } else { random.gen_range(9 * HOUR..19 * HOUR) };
        let network = if is_night { principal.home } else { OFFICE };
        let session = Session::of(random, number, principal, network, 0.02, 12.0);
        let calls = random.gen_range(60..180);
        self.push_events(random, &session, at, |random| pick(random, &INCIDENT).copied().unwrap_or_default(), calls);
        let what = if is_night { "incident response on call at night" } else { "incident response" };
        self.label(what, at..at + HOUR, &principal.name);
    }

    fn push_events(
        &mut self,
        random: &mut Random,
        session: &Session<'_>,
        at: i64,
        mut next: impl FnMut(&mut Random) -> &'static str,
        calls: usize,
    ) {
        let mut time = self.start + at;
        for _ in 0..calls {
            let operation = next(random);
            self.push_event(random, session, time, operation, "");
            let pause: f64 = Exp1.sample(random);
            time += (session.pause * pause * SECOND) as i64;
        }
    }

    fn push_event(
        &mut self,
        random: &mut Random,
        session: &Session<'_>,
        time: i64,
        operation: &'static str,
        error: &'static str,
    ) {
        let principal = session.principal;
        let denied = if operation.starts_with("ec2:") { "Client.UnauthorizedOperation" } else { "AccessDenied" };
        let is_denied = error.is_empty() && happens(random, session.denied);
        let [first, second, third] = session.network;
        let host = 10 + (session.number as u8 % 200) / if session.network == EGRESS { 50 } else { 1 };
        let away = if principal.role == Role::Scanner { 0.5 } else { 0.03 };
        self.events.push(AuditEvent {
            time: time.min(self.start + DAY - 1),
            principal: session.number as u32,
            operation,
            address: [first, second, third, host],
            client: session.client,
            version: principal.version,
            region: REGIONS[usize::from(happens(random, away))],
            error: if is_denied { denied } else { error },
            session: session.id,
            id: random.r#gen(),
            key: principal.key,
            bytes: if is_data(operation) { (principal.object_bytes * spread(random, 1.2)) as u64 } else { 0 },
        });
    }

    fn label(&mut self, kind: &str, times: Range<i64>, caller: &str) {
        self.labels.push(Label {
            kind: kind.to_owned(),
            start: self.start + times.start,
            end: self.start + times.end,
            caller: caller.to_owned(),
            vendor_host: String::new(),
            credential: String::new(),
        });
    }
}

impl<'a> Session<'a> {
    fn of(
        random: &mut Random,
        number: usize,
        principal: &'a Principal,
        network: [u8; 3],
        denied: f64,
        pause: f64,
    ) -> Self {
        Self { number, principal, network, client: principal.client, id: random.r#gen(), denied, pause }
    }
}

fn usual(random: &mut Random, principal: &Principal) -> &'static str {
    let index = weighted(random, principal.operations.iter().map(|(_, weight)| *weight));
    principal.operations.get(index).map_or("sts:GetCallerIdentity", |(operation, _)| operation)
}
