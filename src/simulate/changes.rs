//! Harmless changes: what happens to callers and vendors from day to day, each with a label.
//!
//! A day's changes follow from the seed, the day and the days before, so a longer run begins with the same days.
//!
//! Not here: the calls that show a change (`traffic`).

use rand::Rng;

use super::callers::{BUCKET, BUCKETS, Caller, credential, first_callers, newcomer};
use super::random::{AutoRegressive, Purpose, Random, happens, normal, pick, stream};
use super::spec::{Spec, Variability, Vendors};
use super::vendors::{Vendor, invented, known};
use super::{DAY, Label};

/// Length of a silence, days.
const SILENCE_DAYS: usize = 14;

/// The company: all callers and vendors in their current state.
pub(super) struct Company {
    pub(super) spec: Spec,
    pub(super) vendors: Vec<Vendor>,
    pub(super) callers: Vec<Caller>,
}

/// What is special about a day.
pub(super) struct Today {
    /// Days since the first.
    pub(super) day: usize,
    /// Its first instant, microseconds since the epoch.
    pub(super) start: i64,
    pub(super) is_day_off: bool,
    /// Latency and errors of each vendor.
    pub(super) conditions: Vec<VendorConditions>,
    /// Periods with more calls than usual.
    pub(super) boosts: Vec<Boost>,
    /// Calls that a release's vendor refuses.
    pub(super) refusals: Vec<Refusals>,
    /// Debugging by hand: caller, bucket.
    pub(super) debugging: Vec<(usize, usize)>,
    pub(super) labels: Vec<Label>,
}

/// A vendor's latency and errors today, by bucket.
pub(super) struct VendorConditions {
    /// Factor on its latency.
    pub(super) latency: Vec<f64>,
    /// Share of calls that fail with a server error.
    pub(super) errors: Vec<f64>,
}

/// A factor on a caller's calls, for some buckets of today.
pub(super) struct Boost {
    pub(super) caller: usize,
    /// Index of its pair; `None`: all pairs.
    pub(super) pair: Option<usize>,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) factor: f64,
}

/// A share of a pair's calls that is refused, for some buckets of today.
pub(super) struct Refusals {
    pub(super) caller: usize,
    pub(super) pair: usize,
    pub(super) buckets: std::ops::Range<usize>,
    pub(super) share: f64,
}

impl Company {
    pub(super) fn new(spec: &Spec) -> Self {
        let mut vendors = known();
        match &spec.vendors {
            None => {}
            Some(Vendors::Number(number)) => {
                vendors.truncate(*number);
                vendors.extend((vendors.len()..*number).map(|number| invented(spec.seed, number, None)));
            }
            Some(Vendors::Hosts(hosts)) => {
                let vendor = |(number, host): (usize, &String)| {
                    let index = vendors.iter().position(|vendor| vendor.host == *host);
                    index.map_or_else(|| invented(spec.seed, number, Some(host)), |index| vendors.swap_remove(index))
                };
                vendors = hosts.iter().enumerate().map(vendor).collect();
            }
        }
        let callers = first_callers(spec, &vendors);
        Self { spec: spec.clone(), vendors, callers }
    }

    /// Starts the next day, and applies its changes.
    pub(super) fn begin(&mut self, day: usize) -> Today {
        let start = self.spec.first_instant() + day as i64 * DAY;
        let mut today = Today {
            day,
            start,
            is_day_off: false,
            conditions: Vec::new(),
            boosts: Vec::new(),
            refusals: Vec::new(),
            debugging: Vec::new(),
            labels: Vec::new(),
        };
        let variability = self.spec.variability.clone();
        let date = self.spec.date(day);
        let is_weekend = self.spec.is_weekend(day);
        let is_month_end = date.day() == 1 || date.day() + 1 >= date.days_in_month();
        let calendar = &mut stream(self.spec.seed, Purpose::Calendar, &[day]);
        let is_holiday = !is_weekend && happens(calendar, variability.holidays);
        today.is_day_off = is_weekend || is_holiday;
        if is_holiday {
            today.label("holiday", 0..BUCKETS, "", "", "");
        }
        for vendor in 0..self.vendors.len() {
            let conditions = self.conditions(vendor, &variability, &mut today);
            today.conditions.push(conditions);
        }
        if !today.is_day_off && happens(calendar, variability.new_callers) {
            let number = self.callers.len();
            if let Some(peer) = pick(calendar, &self.callers) {
                let caller = newcomer(calendar, number, peer);
                today.label("new caller with its peers' vendors", 0..BUCKETS, &caller.name, "", "");
                self.callers.push(caller);
            }
        }
        for number in 0..self.callers.len() {
            self.change(number, &variability, &mut today);
            let Some(caller) = self.callers.get(number) else { continue };
            if is_month_end && caller.has_month_end && variability.month_end_peak > 1.0 && caller.silent_until <= day {
                today.boost(number, None, 0..BUCKETS, variability.month_end_peak);
                today.label("month end", 0..BUCKETS, &caller.name, "", "");
            }
        }
        today
    }

    fn conditions(&self, vendor: usize, variability: &Variability, today: &mut Today) -> VendorConditions {
        let random = &mut stream(self.spec.seed, Purpose::Conditions, &[vendor, today.day]);
        let mut levels = AutoRegressive::new(random, 0.8, variability.latency_sigma);
        let hours: Vec<f64> = (0..24).map(|_| levels.next(random)).collect();
        let latency = hours.iter().flat_map(|&level| std::iter::repeat_n(level, BUCKETS / 24)).collect();
        let mut conditions = VendorConditions { latency, errors: vec![0.0; BUCKETS] };
        let host = self.vendors.get(vendor).map_or("", |vendor| vendor.host.as_str());
        let mut episode = |kind: &str, rate: f64, length: std::ops::Range<usize>, latency: f64, errors: f64| {
            if !happens(random, rate) {
                return;
            }
            let from = random.gen_range(0..BUCKETS - length.end);
            let buckets = from..from + random.gen_range(length);
            for slot in conditions.latency.iter_mut().take(buckets.end).skip(buckets.start) {
                *slot *= latency;
            }
            for slot in conditions.errors.iter_mut().take(buckets.end).skip(buckets.start) {
                *slot = errors;
            }
            today.label(kind, buckets, "", host, "");
        };
        episode("vendor brownout: slow", variability.brownouts, 2..9, 3.0, 0.004);
        episode("vendor's burst of server errors", variability.error_bursts, 1..5, 1.2, 0.3);
        episode("vendor outage", variability.outages, 3..19, 5.0, 0.85);
        episode("vendor slow for a quarter of an hour", variability.slow_quarters, 3..4, 2.0, 0.0);
        conditions
    }

    /// Applies at most one change per caller and day.
    fn change(&mut self, number: usize, variability: &Variability, today: &mut Today) {
        let seed = self.spec.seed;
        let Some(caller) = self.callers.get_mut(number) else { return };
        let random = &mut stream(seed, Purpose::Changes, &[number, today.day]);
        caller.before = None;
        caller.calls_a_day *= (1.0 + variability.growth_a_month).powf(1.0 / 30.0)
            * (variability.level_sigma * 0.1 * normal(random)).exp();
        if today.day < caller.silent_until || today.day == 0 {
            return;
        }
        if today.day == caller.silent_until && caller.silent_until > 0 {
            today.label("back after two weeks of silence", 0..BUCKETS, &caller.name, "", "");
            return;
        }
        let works = !today.is_day_off;
        let at = random.gen_range(9 * 12..17 * 12);
        // A nightly job shows the change in its next night.
        let after = at..at + if caller.kind.is_batch() { BUCKETS } else { 48 };
        let pair = random.gen_range(0..caller.setup.pairs.len().max(1));
        let vendor = caller.setup.pairs.get(pair).and_then(|pair| self.vendors.get(pair.vendor));
        let host = vendor.map_or("", |vendor| vendor.host.as_str());
        let mut happens = |rate: f64| happens(random, rate);
        if works && happens(variability.releases) {
            caller.before = Some(caller.setup.clone());
            caller.changed_at = at;
            let what = release(random, caller, pair);
            today.label(what, after, &caller.name, if what == "release" { "" } else { host }, "");
            if !caller.kind.is_batch() && random.r#gen::<f64>() < variability.failing_releases {
                let buckets = at..at + random.gen_range(12..24);
                today.label("release with some errors at one vendor", buckets.clone(), &caller.name, host, "");
                let share = random.gen_range(0.03..0.1);
                today.refusals.push(Refusals { caller: number, pair, buckets, share });
            }
        } else if happens(variability.new_pods) {
            caller.before = Some(caller.setup.clone());
            caller.changed_at = at;
            replace_pods(random, caller);
            today.label("new pods", after, &caller.name, "", "");
        } else if works && happens(variability.key_rotations) {
            caller.before = Some(caller.setup.clone());
            caller.changed_at = at;
            if let (Some(pair), Some(vendor)) = (caller.setup.pairs.get_mut(pair), vendor) {
                pair.key = pair.key.wrapping_add(1);
                let key = credential(seed, &caller.name, vendor, pair.key);
                today.label("planned key rotation", after, &caller.name, host, &key);
            }
        } else if !caller.kind.is_batch() && happens(variability.campaigns) {
            let hours = at..(at + random.gen_range(12..48)).min(BUCKETS);
            today.boost(number, Some(pair), hours.clone(), random.gen_range(5.0..14.0));
            today.label("campaign", hours, &caller.name, host, "");
        } else if caller.kind.is_batch() && happens(variability.backfills) {
            let hours = at..at + random.gen_range(6..36);
            today.boost(number, None, hours.clone(), random.gen_range(1.0..4.0));
            today.label("backfill", hours, &caller.name, "", "");
        } else if works && happens(variability.debugging) {
            today.debugging.push((number, at));
            today.label("debugging by hand", at..at + 6, &caller.name, host, "");
        } else if happens(variability.silences) {
            caller.silent_until = today.day + SILENCE_DAYS;
        } else if caller.kind.is_batch() && happens(variability.job_peaks) {
            today.boost(number, None, 0..BUCKETS, random.gen_range(3.0..6.0));
            today.label("a job's peak", 0..BUCKETS, &caller.name, "", "");
        }
    }
}

/// A release: a new version on new pods, some with other sizes, endpoints or mix. Returns the kind of change for the label.
fn release(random: &mut Random, caller: &mut Caller, pair: usize) -> &'static str {
    caller.setup.version += 1;
    replace_pods(random, caller);
    let Some(pair) = caller.setup.pairs.get_mut(pair) else { return "release" };
    let used: f64 = pair.endpoints.iter().sum();
    let draw: f64 = random.r#gen();
    if draw < 0.25 {
        let factor = 1.0 + random.gen_range(0.05..0.15);
        pair.size_factor *= if random.r#gen() { factor } else { 1.0 / factor };
        "release that shifts sizes"
    } else if draw < 0.33
        && let Some(unused) = pair.endpoints.iter_mut().find(|weight| **weight == 0.0)
    {
        *unused = used * random.gen_range(0.05..0.3);
        "release that calls another endpoint"
    } else if draw < 0.43 && pair.endpoints.len() > 1 {
        for weight in &mut pair.endpoints {
            *weight *= (0.3 * normal(random)).exp();
        }
        "release that shifts the mix of calls"
    } else {
        "release"
    }
}

fn replace_pods(random: &mut Random, caller: &mut Caller) {
    caller.setup.first_pod = random.gen_range(1000..9000);
}

impl Today {
    fn boost(&mut self, caller: usize, pair: Option<usize>, buckets: std::ops::Range<usize>, factor: f64) {
        self.boosts.push(Boost { caller, pair, from: buckets.start, to: buckets.end, factor });
    }

    fn label(
        &mut self,
        kind: &str,
        buckets: std::ops::Range<usize>,
        caller: &str,
        vendor_host: &str,
        credential: &str,
    ) {
        let instant = |bucket: usize| self.start + bucket as i64 * BUCKET;
        self.labels.push(Label {
            kind: kind.to_owned(),
            start: instant(buckets.start),
            end: instant(buckets.end),
            caller: caller.to_owned(),
            vendor_host: vendor_host.to_owned(),
            credential: credential.to_owned(),
        });
    }
}
