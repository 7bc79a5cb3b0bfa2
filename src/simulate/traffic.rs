//! The calls of one day: each pair of caller and vendor is drawn from a random stream of its own.
//!
//! Counts are gamma-Poisson about an autocorrelated level; sizes are mixtures with tails; failures are retried, at most twice.
//!
//! Not here: the record of a call (`ecs`).

use rand::Rng;
use rand_distr::{Distribution, Exp1};

use super::callers::{BUCKET, BUCKETS, Caller, Kind, Pair};
use super::changes::{Company, Refusals, Today, VendorConditions};
use super::random::{AutoRegressive, Purpose, Random, count, gamma, happens, pareto, spread, stream, weighted};
use super::vendors::{Endpoint, Vendor};

/// Shape of the gamma factor on the calls of five minutes; builds come in bursts.
const GAMMA_SHAPE: f64 = 12.0;
const BUILD_GAMMA_SHAPE: f64 = 1.5;
/// Probability that a nightly job fails half-way and runs again.
const JOB_FAILURE: f64 = 0.03;
/// Maximum retries of a failed call.
const MAX_RETRIES: u32 = 2;
/// Pareto tail of latencies: share of calls, tail index, cap (factor).
const SLOW: (f64, f64, f64) = (0.01, 1.4, 40.0);
/// Mean bytes of a token.
const BYTES_PER_TOKEN: u64 = 4;

/// One call, kept small: a day of them is in memory.
pub(super) struct SimulatedCall {
    /// Microseconds since the epoch.
    pub(super) time: i64,
    pub(super) caller: u32,
    /// Index of the caller's pair.
    pub(super) pair: u16,
    pub(super) endpoint: u16,
    /// Number of the pod.
    pub(super) pod: u16,
    pub(super) status: u16,
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    /// Microseconds.
    pub(super) latency: u64,
    /// Seed of the trace id and of the object id in the path.
    pub(super) id: u64,
    pub(super) version: u16,
    pub(super) key: u8,
    pub(super) by_hand: bool,
}

impl SimulatedCall {
    /// Time, caller and host.
    pub(super) fn names<'a>(&self, company: &'a Company) -> Option<(i64, &'a str, &'a str)> {
        let caller = company.callers.get(self.caller as usize)?;
        let vendor = company.vendors.get(caller.setup.pairs.get(usize::from(self.pair))?.vendor)?;
        Some((self.time, &caller.name, &vendor.host))
    }
}

/// All calls of a day, by time.
pub(super) fn calls(company: &Company, today: &Today) -> Vec<SimulatedCall> {
    let mut calls = Vec::new();
    for (number, caller) in company.callers.iter().enumerate() {
        if today.day >= caller.silent_until {
            for pair in 0..caller.setup.pairs.len() {
                let Some(pair_day) = PairDay::of(company, today, number, pair) else { continue };
                pair_day.draw(&mut calls);
            }
        }
    }
    calls.sort_by_key(|call| (call.time, call.caller, call.pair, call.id));
    calls
}

/// One pair's day, from which its calls are drawn.
struct PairDay<'a> {
    company: &'a Company,
    today: &'a Today,
    caller: &'a Caller,
    vendor: &'a Vendor,
    conditions: &'a VendorConditions,
    /// Index of the caller.
    number: usize,
    /// Index of the pair.
    pair: usize,
}

impl<'a> PairDay<'a> {
    fn of(company: &'a Company, today: &'a Today, number: usize, pair: usize) -> Option<Self> {
        let caller = company.callers.get(number)?;
        let vendor = caller.setup.pairs.get(pair)?.vendor;
        let (conditions, vendor) = (today.conditions.get(vendor)?, company.vendors.get(vendor)?);
        Some(Self { company, today, caller, vendor, conditions, number, pair })
    }

    fn draw(&self, into: &mut Vec<SimulatedCall>) {
        let Some(vendor) = self.caller.setup.pairs.get(self.pair).map(|pair| pair.vendor) else { return };
        let seed = self.company.spec.seed;
        // A job's nightly window belongs to the caller, not the vendor, so its stream has no vendor in its keys.
        let profile = profile(&mut stream(seed, Purpose::Traffic, &[self.number, self.today.day]), self.caller);
        let random = &mut stream(seed, Purpose::Traffic, &[self.number, vendor, self.today.day]);
        let variability = &self.company.spec.variability;
        let day_off =
            if self.today.is_day_off { self.caller.kind.day_off(self.company.spec.weekend_level) } else { 1.0 };
        let day = day_off * spread(random, variability.level_sigma * 0.6);
        let shape = if self.caller.kind == Kind::BuildAgent { BUILD_GAMMA_SHAPE } else { GAMMA_SHAPE };
        let mut levels = AutoRegressive::new(random, 0.93, variability.level_sigma);
        for (bucket, share) in profile.iter().enumerate() {
            let level = levels.next(random);
            let Some(pair) = self.caller.setup_at(bucket).pairs.get(self.pair) else { continue };
            let usual = self.caller.calls_a_day * pair.share;
            let mean = self.boosted(bucket, usual, usual * share) * day * level;
            if mean > 0.0 {
                let uneven = if variability.heavy_tails { gamma(random, shape) } else { 1.0 };
                for _ in 0..count(random, mean * uneven) {
                    self.call(random, bucket, pair, false, into);
                }
            }
        }
        for &(_, bucket) in self.today.debugging.iter().filter(|(caller, _)| *caller == self.number && self.pair == 0) {
            let Some(pair) = self.caller.setup_at(bucket).pairs.get(self.pair) else { continue };
            for later in 0..random.gen_range(5..20) {
                self.call(random, (bucket + later / 4).min(BUCKETS - 1), pair, true, into);
            }
        }
    }

    /// Expected calls in a bucket. For a batch job a boost is a backfill, a separate run, since it is idle by day.
    fn boosted(&self, bucket: usize, usual_day: f64, mean: f64) -> f64 {
        let is_this = |boosted: &Option<usize>| boosted.is_none_or(|pair| pair == self.pair);
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

    fn call(&self, random: &mut Random, bucket: usize, pair: &Pair, by_hand: bool, into: &mut Vec<SimulatedCall>) {
        let variability = &self.company.spec.variability;
        let setup = self.caller.setup_at(bucket);
        let index = weighted(random, pair.endpoints.iter().copied());
        let Some(endpoint) = self.vendor.endpoints.get(index) else { return };
        let offset = if self.caller.kind == Kind::FrequentJob {
            let seconds: f64 = Exp1.sample(random);
            ((2.0 + 9.0 * seconds) * 1e6) as i64
        } else {
            random.gen_range(0..BUCKET)
        };
        let end = self.today.start + BUCKETS as i64 * BUCKET - 1;
        let mut time = self.today.start + bucket as i64 * BUCKET + offset.min(BUCKET - 1);
        let is_regular = !variability.heavy_tails;
        let bytes_out =
            endpoint.request.draw(random, if endpoint.method == "GET" { 1.0 } else { pair.size_factor }, is_regular);
        let id = random.r#gen();
        for attempt in 0..=MAX_RETRIES {
            let errors = self.conditions.errors.get(bucket).copied().unwrap_or_default();
            let refused = self.refused(bucket);
            let status = if refused > 0.0 && happens(random, refused) {
                422
            } else {
                status(random, endpoint, errors, variability.background_errors)
            };
            let bytes_in = match status {
                200..=299 => endpoint.response.draw(random, pair.size_factor, is_regular),
                _ => 120 + u64::from(status) % 90,
            };
            let latency = self.latency(random, bucket, bytes_out + bytes_in, status);
            into.push(SimulatedCall {
                time: time.min(end),
                caller: self.number as u32,
                pair: self.pair as u16,
                endpoint: index as u16,
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

    /// Share of the calls in a bucket that the vendor refuses since a release.
    fn refused(&self, bucket: usize) -> f64 {
        let is_this = |of: &&Refusals| of.caller == self.number && of.pair == self.pair && of.buckets.contains(&bucket);
        self.today.refusals.iter().find(is_this).map_or(0.0, |of| of.share)
    }

    /// Draws a latency, microseconds.
    fn latency(&self, random: &mut Random, bucket: usize, bytes: u64, status: u16) -> u64 {
        let condition = self.conditions.latency.get(bucket).copied().unwrap_or(1.0);
        let is_regular = !self.company.spec.variability.heavy_tails;
        let slow = if !is_regular && happens(random, SLOW.0) { 1.5 * pareto(random, SLOW.1, SLOW.2) } else { 1.0 };
        let transfer = 1.0 + bytes as f64 / 400_000.0;
        let refused = if (400..500).contains(&status) { 0.5 } else { 1.0 };
        let milliseconds = self.vendor.latency_ms * transfer * condition * slow * refused * spread(random, 0.35);
        (milliseconds * 1e3) as u64
    }
}

/// Input and output tokens of a call to a language model; `None` for other calls.
pub(super) fn tokens(vendor: &Vendor, endpoint: &Endpoint, call: &SimulatedCall) -> Option<(u64, u64)> {
    let is_counted = vendor.counts_tokens && endpoint.method == "POST" && call.status < 300;
    is_counted.then(|| {
        let is_embedding = endpoint.path.ends_with("embeddings");
        let output = if is_embedding { 0 } else { call.bytes_in / (BYTES_PER_TOKEN + 1) };
        (call.bytes_out / BYTES_PER_TOKEN, output)
    })
}

/// Share of a caller's daily calls in each bucket.
fn profile(random: &mut Random, caller: &Caller) -> Vec<f64> {
    let mut shares: Vec<f64> = if caller.kind.is_batch() {
        let mut shares = vec![0.0; BUCKETS];
        let start = (caller.job_start + random.gen_range(0..3)).saturating_sub(1);
        let length = caller.job_length + random.gen_range(0..3);
        shares.iter_mut().skip(start).take(length).for_each(|share| *share = 1.0);
        if happens(random, JOB_FAILURE) {
            // The job fails half-way, and runs again from the start.
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

/// Draws the status. `errors` is the share of calls that fail now, `background` the share of errors on any day.
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
        "POST" if endpoint.response.is_empty() => 202,
        _ if endpoint.response.is_empty() && endpoint.method != "HEAD" => 204,
        _ => 200,
    }
}
