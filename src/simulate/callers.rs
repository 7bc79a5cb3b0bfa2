//! Callers: what kind of program each is, which vendors it calls how often, and its current setup.
//!
//! A setup is what a release replaces: client version, pods, sizes, mix of endpoints, keys. While a day is simulated, the setups
//! before and after that day's change are both available.
//!
//! Not here: when a setup changes (`changes`), and single calls (`traffic`).

use rand::Rng;

use super::random::{Purpose, Random, count, happens, mix, pick, spread, stream, weighted};
use super::spec::Spec;
use super::vendors::Vendor;

/// Five-minute buckets in a day; rates are constant within a bucket.
pub(super) const BUCKETS: usize = 288;
/// Length of a bucket, microseconds.
pub(super) const BUCKET: i64 = 300_000_000;

/// What a caller is: it decides when the caller calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A service behind a website: more calls by day than by night.
    WebService,
    /// A tool of people in offices.
    OfficeTool,
    /// A nightly job.
    NightlyJob,
    /// A job every five minutes.
    FrequentJob,
    /// A gateway to language models.
    ModelGateway,
    /// Builds and deploys, while people work.
    BuildAgent,
}

/// Each kind with its share of callers and typical names.
const KINDS: [(Kind, f64, &[&str]); 6] = [
    (
        Kind::WebService,
        0.42,
        &["checkout", "billing", "identity", "catalogue", "search", "geo", "notify", "orders", "support", "pricing"],
    ),
    (Kind::OfficeTool, 0.15, &["backoffice", "helpdesk", "crm", "payroll", "reporting"]),
    (Kind::NightlyJob, 0.15, &["export", "ledger-sync", "warehouse-load", "archive"]),
    (Kind::FrequentJob, 0.14, &["inventory-poll", "status-check", "metrics-ship", "queue-drain"]),
    (Kind::ModelGateway, 0.07, &["ml-gateway", "assistant"]),
    (Kind::BuildAgent, 0.07, &["ci-agent", "deployer"]),
];
const TEAMS: [&str; 8] = ["payments", "growth", "platform", "data", "people", "support", "logistics", "security"];
/// Client libraries and their usual major versions.
const CLIENTS: [(&str, u8); 9] = [
    ("node-fetch", 3),
    ("python-requests", 2),
    ("axios", 1),
    ("Go-http-client", 2),
    ("Apache-HttpClient", 5),
    ("okhttp", 4),
    ("reqwest", 0),
    ("aiohttp", 3),
    ("got", 12),
];

impl Kind {
    pub(super) fn is_batch(self) -> bool {
        self == Self::NightlyJob
    }

    /// Relative call rate at an hour of the day (UTC).
    pub(super) fn level(self, hour: f64) -> f64 {
        let day = (((hour - 14.0) / 24.0 * std::f64::consts::TAU).cos() + 1.0) / 2.0;
        match self {
            Self::WebService => 0.2 + day,
            Self::ModelGateway => 0.25 + day * day,
            Self::OfficeTool | Self::BuildAgent => match hour as u32 {
                7 | 18 => 0.35,
                8 | 12 | 17 => 0.8,
                9..=16 => 1.0,
                _ => 0.01,
            },
            Self::NightlyJob => 0.0,
            Self::FrequentJob => 1.0,
        }
    }

    /// Call rate on a day off as a share of a working day's; `level` is a web service's.
    pub(super) fn day_off(self, level: f64) -> f64 {
        match self {
            Self::WebService | Self::ModelGateway => level,
            Self::OfficeTool | Self::BuildAgent => level * 0.2,
            Self::NightlyJob | Self::FrequentJob => 1.0,
        }
    }
}

/// A program that calls vendors.
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) team: &'static str,
    pub(super) kind: Kind,
    /// Third byte of its pods' addresses: all its pods are in one subnet.
    pub(super) subnet: u8,
    pub(super) client: (&'static str, u8),
    /// Calls on a usual working day, to all its vendors.
    pub(super) calls_a_day: f64,
    /// Bucket in which its nightly job starts.
    pub(super) job_start: usize,
    /// Usual length of its nightly job, buckets.
    pub(super) job_length: usize,
    /// Whether it has more calls at the end of a month.
    pub(super) has_month_end: bool,
    /// First day on which it calls again.
    pub(super) silent_until: usize,
    /// The setup before today's change, in the buckets before `changed_at`; then `setup` holds.
    pub(super) before: Option<Setup>,
    pub(super) setup: Setup,
    pub(super) changed_at: usize,
}

/// What a release replaces.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) version: u16,
    /// Number of the first pod, and how many there are.
    pub(super) first_pod: u16,
    pub(super) pods: u16,
    pub(super) pairs: Vec<Pair>,
}

/// One caller's use of one vendor.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) vendor: usize,
    /// Share of the caller's calls.
    pub(super) share: f64,
    /// Factor on the sizes of its bodies.
    pub(super) size_factor: f64,
    /// How often its key was rotated.
    pub(super) key: u8,
    /// Weight of each endpoint of the vendor; 0: not used yet.
    pub(super) endpoints: Vec<f64>,
}

impl Caller {
    /// The setup in a bucket of today.
    pub(super) fn setup_at(&self, bucket: usize) -> &Setup {
        self.before.as_ref().filter(|_| bucket < self.changed_at).unwrap_or(&self.setup)
    }
}

/// The id of a pair's API key, as logs show it. Not a secret.
pub(super) fn credential(seed: u64, caller: &str, vendor: &Vendor, key: u8) -> String {
    let hash =
        caller.bytes().chain(vendor.host.bytes()).fold(seed ^ u64::from(key), |hash, b| mix(hash ^ u64::from(b)));
    let mut label = vendor.key_prefix.clone();
    label.extend(letters(hash).take(8));
    label
}

/// Ten letters and digits derived from a hash.
pub(super) fn letters(mut hash: u64) -> impl Iterator<Item = char> {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..10).map(move |_| {
        let letter = LETTERS.get((hash % 62) as usize).copied().unwrap_or(b'0');
        hash /= 62;
        char::from(letter)
    })
}

/// The callers of the first day; their calls a day sum to the specification's.
pub(super) fn first_callers(spec: &Spec, vendors: &[Vendor]) -> Vec<Caller> {
    let mut callers: Vec<Caller> = (0..spec.callers).map(|number| caller(spec, vendors, number)).collect();
    let sum: f64 = callers.iter().map(|caller| caller.calls_a_day).sum();
    for caller in &mut callers {
        caller.calls_a_day *= spec.calls_a_day / sum;
    }
    callers
}

fn caller(spec: &Spec, vendors: &[Vendor], number: usize) -> Caller {
    let random = &mut stream(spec.seed, Purpose::World, &[0, number]);
    let (kind, _, names) = KINDS.get(kind_number(random, number)).copied().unwrap_or(KINDS[0]);
    let ending = match kind {
        Kind::WebService => ["api", "svc", "worker"][number % 3],
        Kind::OfficeTool => "tool",
        Kind::NightlyJob | Kind::FrequentJob => "job",
        Kind::ModelGateway | Kind::BuildAgent => "svc",
    };
    let name = format!("{}-{ending}-{number}", pick(random, names).copied().unwrap_or_default());
    let setup = Setup {
        version: random.gen_range(100..400),
        first_pod: random.gen_range(1000..9000),
        pods: if kind == Kind::WebService { random.gen_range(2..9) } else { random.gen_range(1..3) },
        pairs: pairs(random, kind, vendors),
    };
    let bulk = if kind == Kind::FrequentJob { 0.6 } else { 1.0 };
    Caller {
        name,
        team: pick(random, &TEAMS).copied().unwrap_or_default(),
        kind,
        subnet: (number % 250) as u8 + 1,
        client: pick(random, &CLIENTS).copied().unwrap_or(CLIENTS[0]),
        calls_a_day: bulk * spread(random, 0.9),
        job_start: random.gen_range(6..66),
        job_length: random.gen_range(4..20),
        has_month_end: happens(random, 0.3),
        silent_until: 0,
        before: None,
        setup,
        changed_at: 0,
    }
}

/// Index of a kind, drawn by share; the first six callers have one kind each.
fn kind_number(random: &mut Random, number: usize) -> usize {
    if number < KINDS.len() { number } else { weighted(random, KINDS.iter().map(|(_, share, _)| *share)) }
}

/// Draws a caller's vendors: popularity falls with a vendor's index, so many callers share the first vendors.
fn pairs(random: &mut Random, kind: Kind, vendors: &[Vendor]) -> Vec<Pair> {
    let wanted = (1 + count(random, 2.2) as usize).min(6).min(vendors.len());
    let fits = |vendor: &Vendor| vendor.counts_tokens == (kind == Kind::ModelGateway);
    let popularity = |(rank, vendor): (usize, &Vendor)| {
        let rank_weight = (1.0 + rank as f64).powf(-0.6);
        if fits(vendor) { rank_weight } else { rank_weight * 0.05 }
    };
    let mut chosen: Vec<usize> = Vec::new();
    for _ in 0..20 * wanted {
        let vendor = weighted(random, vendors.iter().enumerate().map(popularity));
        if chosen.len() < wanted && !chosen.contains(&vendor) {
            chosen.push(vendor);
        }
    }
    let shares: Vec<f64> = chosen.iter().map(|_| spread(random, 0.9)).collect();
    let sum: f64 = shares.iter().sum();
    let pair = |(&vendor, share): (&usize, &f64)| Pair {
        vendor,
        share: share / sum,
        size_factor: spread(random, 0.3),
        key: 0,
        endpoints: endpoints(random, vendors.get(vendor).map_or(0, |vendor| vendor.endpoints.len())),
    };
    chosen.iter().zip(&shares).map(pair).collect()
}

/// Draws the weights of a vendor's endpoints; some stay unused.
fn endpoints(random: &mut Random, number: usize) -> Vec<f64> {
    let mut weights: Vec<f64> =
        (0..number).map(|_| if happens(random, 0.65) { spread(random, 1.1) } else { 0.0 }).collect();
    if weights.iter().all(|weight| *weight == 0.0)
        && let Some(first) = weights.first_mut()
    {
        *first = 1.0;
    }
    weights
}

/// A new caller with the kind and the vendors of `peer`.
pub(super) fn newcomer(random: &mut Random, number: usize, peer: &Caller) -> Caller {
    let mut setup = peer.setup.clone();
    setup.version = 100;
    setup.first_pod = random.gen_range(1000..9000);
    for pair in &mut setup.pairs {
        pair.key = 0;
        pair.size_factor = spread(random, 0.3);
    }
    let stem = peer.name.split('-').next().unwrap_or_default();
    Caller {
        name: format!("{stem}-next-{number}"),
        subnet: (number % 250) as u8 + 1,
        calls_a_day: peer.calls_a_day * random.gen_range(0.1..0.5),
        job_start: random.gen_range(6..66),
        silent_until: 0,
        before: None,
        setup,
        changed_at: 0,
        team: peer.team,
        kind: peer.kind,
        client: peer.client,
        job_length: peer.job_length,
        has_month_end: peer.has_month_end,
    }
}
