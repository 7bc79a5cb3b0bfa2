//! The calls of one day: of each caller to each of its vendors, out of a stream of their own.
//!
//! Counts are gamma-Poisson about a level that wanders; sizes are mixtures with tails; failures are retried, at most twice.
//!
//! Not here: what a record of a call looks like (`ecs`).

use rand::Rng;
use rand_distr::{Distribution, Exp1};

use super::callers::{BUCKET, BUCKETS, Caller, Kind, Pair};
use super::changes::{Company, Today, Weather};
use super::random::{Purpose, Random, Wander, count, gamma, happens, pareto, spread, stream, weighted};
use super::vendors::{Endpoint, Vendor};

/// Shape of the gamma factor on the calls of five minutes; builds come in bursts.
const EVENNESS: f64 = 12.0;
const EVENNESS_OF_BUILDS: f64 = 1.5;
/// Chance that a nightly job breaks off and runs again.
const JOB_FAILS: f64 = 0.03;
/// Retries of a call that the vendor failed.
const MAX_RETRIES: u32 = 2;
/// Share of slow calls in the Pareto tail of latencies, its index, and how far it reaches.
const SLOW: (f64, f64, f64) = (0.01, 1.4, 40.0);
/// Bytes that a token stands for.
const BYTES_A_TOKEN: u64 = 4;

/// One call, as small as it goes: a day of them lies in memory.
pub(super) struct Exchange {
    /// Microseconds since the epoch.
    pub(super) time: i64,
    pub(super) caller: u32,
    /// Number of the caller's pair.
    pub(super) pair: u16,
    pub(super) endpoint: u16,
    /// Number of the pod.
    pub(super) pod: u16,
    pub(super) status: u16,
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    /// Microseconds.
    pub(super) latency: u64,
    /// Of the trace and of the object in the path.
    pub(super) id: u64,
    pub(super) version: u16,
    pub(super) key: u8,
    pub(super) by_hand: bool,
}

impl Exchange {
    /// When it is made, by which caller, and to which host.
    pub(super) fn names<'a>(&self, company: &'a Company) -> Option<(i64, &'a str, &'a str)> {
        let caller = company.callers.get(self.caller as usize)?;
        let vendor = company.vendors.get(caller.setup.pairs.get(usize::from(self.pair))?.vendor)?;
        Some((self.time, &caller.name, &vendor.host))
    }
}

/// All calls of a day, by time.
pub(super) fn exchanges(company: &Company, today: &Today) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for (number, caller) in company.callers.iter().enumerate() {
        if today.day >= caller.silent_until {
            for place in 0..caller.setup.pairs.len() {
                let Some(drawn) = Drawing::of(company, today, number, place) else { continue };
                drawn.draw(&mut exchanges);
            }
        }
    }
    exchanges.sort_by_key(|call| (call.time, call.caller, call.pair, call.id));
    exchanges
}

/// What one relation's day is drawn from.
struct Drawing<'a> {
    company: &'a Company,
    today: &'a Today,
    caller: &'a Caller,
    vendor: &'a Vendor,
    weather: &'a Weather,
    number: usize,
    place: usize,
}

impl<'a> Drawing<'a> {
    fn of(company: &'a Company, today: &'a Today, number: usize, place: usize) -> Option<Self> {
        let caller = company.callers.get(number)?;
        let vendor = caller.setup.pairs.get(place)?.vendor;
        let (weather, vendor) = (today.weather.get(vendor)?, company.vendors.get(vendor)?);
        Some(Self { company, today, caller, vendor, weather, number, place })
    }

    fn draw(&self, into: &mut Vec<Exchange>) {
        let Some(vendor) = self.caller.setup.pairs.get(self.place).map(|pair| pair.vendor) else { return };
        let seed = self.company.spec.seed;
        // A job's nightly window is the caller's, whichever vendor: it has a stream without one.
        let profile = profile(&mut stream(seed, Purpose::Traffic, &[self.number, self.today.day]), self.caller);
        let random = &mut stream(seed, Purpose::Traffic, &[self.number, vendor, self.today.day]);
        let untidy = &self.company.spec.untidiness;
        let day_off =
            if self.today.is_day_off { self.caller.kind.day_off(self.company.spec.weekend_level) } else { 1.0 };
        let day = day_off * spread(random, untidy.level_wander * 0.6);
        let evenness = if self.caller.kind == Kind::BuildAgent { EVENNESS_OF_BUILDS } else { EVENNESS };
        let mut wander = Wander::new(random, 0.93, untidy.level_wander);
        for (bucket, share) in profile.iter().enumerate() {
            let level = wander.next(random);
            let Some(pair) = self.caller.setup_at(bucket).pairs.get(self.place) else { continue };
            let usual = self.caller.calls_a_day * pair.share;
            let mean = self.boosted(bucket, usual, usual * share) * day * level;
            if mean > 0.0 {
                let uneven = if untidy.heavy_tails { gamma(random, evenness) } else { 1.0 };
                for _ in 0..count(random, mean * uneven) {
                    self.call(random, bucket, pair, false, into);
                }
            }
        }
        for &(_, bucket) in self.today.debugging.iter().filter(|(caller, _)| *caller == self.number && self.place == 0)
        {
            let Some(pair) = self.caller.setup_at(bucket).pairs.get(self.place) else { continue };
            for later in 0..random.gen_range(5..20) {
                self.call(random, (bucket + later / 4).min(BUCKETS - 1), pair, true, into);
            }
        }
    }

    /// Calls to expect in a bucket. A batch job's boost is a backfill: a run of its own, since it does nothing by day.
    fn boosted(&self, bucket: usize, usual_day: f64, mean: f64) -> f64 {
        let is_this = |boosted: &Option<usize>| boosted.is_none_or(|pair| pair == self.place);
        let boosts = self.today.boosts.iter().filter(|boost| boost.caller == self.number && is_this(&boost.pair));
        boosts.filter(|boost| (boost.from..boost.to).contains(&bucket)).fold(mean, |mean, boost| {
            let is_backfill = self.caller.kind.is_batch() && boost.to - boost.from < BUCKETS;
            if is_backfill {
                mean + usual_day * boost.factor / (boost.to - boost.from) as f64
            } else {
                mean * boost.factor
            }
        })
    }

    fn call(&self, random: &mut Random, bucket: usize, pair: &Pair, by_hand: bool, into: &mut Vec<Exchange>) {
        let untidy = &self.company.spec.untidiness;
        let setup = self.caller.setup_at(bucket);
        let place = weighted(random, pair.endpoints.iter().copied());
        let Some(endpoint) = self.vendor.endpoints.get(place) else { return };
        let offset = if self.caller.kind == Kind::FrequentJob {
            let seconds: f64 = Exp1.sample(random);
            ((2.0 + 9.0 * seconds) * 1e6) as i64
        } else {
            random.gen_range(0..BUCKET)
        };
        let end = self.today.start + BUCKETS as i64 * BUCKET - 1;
        let mut time = self.today.start + bucket as i64 * BUCKET + offset.min(BUCKET - 1);
        let is_tidy = !untidy.heavy_tails;
        let bytes_out =
            endpoint.request.draw(random, if endpoint.method == "GET" { 1.0 } else { pair.size_factor }, is_tidy);
        let id = random.r#gen();
        for attempt in 0..=MAX_RETRIES {
            let errors = self.weather.errors.get(bucket).copied().unwrap_or_default();
            let status = status(random, endpoint, errors, untidy.background_errors);
            let bytes_in = match status {
                200..=299 => endpoint.answer.draw(random, pair.size_factor, is_tidy),
                _ => 120 + u64::from(status) % 90,
            };
            let latency = self.latency(random, bucket, bytes_out + bytes_in, status);
            into.push(Exchange {
                time: time.min(end),
                caller: self.number as u32,
                pair: self.place as u16,
                endpoint: place as u16,
                pod: setup.first_pod + random.gen_range(0..setup.pods.max(1)),
                status,
                bytes_out: bytes_out + 180,
                bytes_in,
                latency,
                id,
                version: setup.version,
                key: pair.key,
                by_hand,
            });
            let retries = status >= 500 || status == 429;
            if !retries || by_hand {
                break;
            }
            let pause: f64 = Exp1.sample(random);
            time += latency as i64 + ((0.5 + pause) * f64::from(1 << attempt) * 1e6) as i64;
        }
    }

    /// Microseconds.
    fn latency(&self, random: &mut Random, bucket: usize, bytes: u64, status: u16) -> u64 {
        let weather = self.weather.latency.get(bucket).copied().unwrap_or(1.0);
        let tidy = !self.company.spec.untidiness.heavy_tails;
        let slow = if !tidy && happens(random, SLOW.0) { 1.5 * pareto(random, SLOW.1, SLOW.2) } else { 1.0 };
        let transfer = 1.0 + bytes as f64 / 400_000.0;
        let refused = if (400..500).contains(&status) { 0.5 } else { 1.0 };
        let milliseconds = self.vendor.latency_ms * transfer * weather * slow * refused * spread(random, 0.35);
        (milliseconds * 1e3) as u64
    }
}

/// Tokens in and out of a call to a language model; `None` for other calls.
pub(super) fn tokens(vendor: &Vendor, endpoint: &Endpoint, call: &Exchange) -> Option<(u64, u64)> {
    let is_counted = vendor.counts_tokens && endpoint.method == "POST" && call.status < 300;
    is_counted.then(|| {
        let is_embedding = endpoint.path.ends_with("embeddings");
        let answer = if is_embedding { 0 } else { call.bytes_in / (BYTES_A_TOKEN + 1) };
        (call.bytes_out / BYTES_A_TOKEN, answer)
    })
}

/// Shares of a caller's day, bucket by bucket.
fn profile(random: &mut Random, caller: &Caller) -> Vec<f64> {
    let mut shares: Vec<f64> = if caller.kind.is_batch() {
        let mut shares = vec![0.0; BUCKETS];
        let start = (caller.job_start + random.gen_range(0..3)).saturating_sub(1);
        let length = caller.job_length + random.gen_range(0..3);
        shares.iter_mut().skip(start).take(length).for_each(|share| *share = 1.0);
        if happens(random, JOB_FAILS) {
            // It breaks off half-way, and runs again as a whole.
            shares.iter_mut().skip(start + length / 2 + 4).take(length).for_each(|share| *share = 1.0);
        }
        shares
    } else {
        (0..BUCKETS).map(|bucket| caller.kind.level(bucket as f64 / 12.0)).collect()
    };
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}

/// How the vendor answers; `errors` is the share of calls that it fails now, `background` that of odd answers on any day.
fn status(random: &mut Random, endpoint: &Endpoint, errors: f64, background: f64) -> u16 {
    let draw: f64 = random.r#gen();
    if draw < errors {
        return if draw < errors * 0.7 { 503 } else { 504 };
    }
    if draw < errors + background {
        return match (draw - errors) / background {
            part if part < 0.62 && endpoint.names_an_object() => 404,
            part if part < 0.3 => 400,
            part if part < 0.62 => 422,
            part if part < 0.88 => 429,
            part if part < 0.97 => 500,
            _ => 401,
        };
    }
    match endpoint.method.as_str() {
        "POST" if endpoint.answer.is_empty() => 202,
        _ if endpoint.answer.is_empty() && endpoint.method != "HEAD" => 204,
        _ => 200,
    }
}
