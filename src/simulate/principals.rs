//! Principals of a cloud account: services, people, builders, scanners, and AWS itself.
//!
//! Each person has a permission set of their own: the decoder identifies people by their role, so a shared role would be one caller.
//!
//! Not here: what principals do on a day (`audit`).

use rand::Rng;

use super::operations::{DATA, READS, WRITES};
use super::random::{Purpose, Random, happens, pick, spread, stream};

/// What a principal is: it decides what the principal does and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A service with a role of its own.
    Service,
    /// A person, through single sign-on.
    Engineer,
    /// Infrastructure as code, with a long-lived key.
    Builder,
    /// A legacy job with a long-lived key.
    Job,
    /// A third party's posture scanner.
    Scanner,
    /// The nightly backup.
    Backup,
    /// An AWS service that acts on the account's behalf.
    Internal,
}

use Role::{Backup, Builder, Engineer, Internal, Job, Scanner, Service};

/// Roles of twenty principals, in this order; a larger company repeats them.
const ROLES: [Role; 20] = [
    Service, Engineer, Service, Builder, Engineer, Service, Scanner, Engineer, Service, Internal, Engineer, Service,
    Job, Engineer, Service, Engineer, Backup, Service, Engineer, Service,
];
const PEOPLE: [&str; 16] = [
    "Anna", "Ben", "Chiara", "Deniz", "Emil", "Farah", "Goran", "Hana", "Ivo", "Jana", "Karim", "Lena", "Mateo",
    "Noor", "Olga", "Pavel",
];
const SERVICES: [&str; 10] =
    ["orders", "billing", "search", "images", "ledger", "sessions", "reports", "ingest", "mailer", "assistant"];
const INTERNAL: [&str; 4] =
    ["autoscaling.amazonaws.com", "inspector2.amazonaws.com", "config.amazonaws.com", "backup.amazonaws.com"];
const SDKS: [&str; 4] = ["Boto3/1.34.", "aws-sdk-go-v2/1.30.", "aws-sdk-java/2.25.", "aws-sdk-nodejs/3.58."];

/// Networks, one /24 each: egress of the company's own services, office, CI, scanner.
pub(super) const EGRESS: [u8; 3] = [52, 18, 44];
pub(super) const OFFICE: [u8; 3] = [81, 2, 69];
pub(super) const BUILDS: [u8; 3] = [20, 55, 12];
pub(super) const SCANNER: [u8; 3] = [34, 90, 7];

/// A person or program that acts in the account.
#[derive(Clone)]
pub(super) struct Principal {
    pub(super) name: String,
    pub(super) role: Role,
    /// User agent without the last part of the version.
    pub(super) client: &'static str,
    pub(super) version: u16,
    /// Operations with their weights.
    pub(super) operations: Vec<(&'static str, f64)>,
    /// A person's home network, /24.
    pub(super) home: [u8; 3],
    /// Hour at which a person starts to work (UTC).
    pub(super) work_start: f64,
    /// Whether a service has a daily pattern.
    pub(super) is_diurnal: bool,
    /// Median size of the objects that it reads and writes, bytes.
    pub(super) object_bytes: f64,
    /// How often its long-lived key was rotated.
    pub(super) key: u8,
    /// Calls on a usual working day.
    pub(super) calls_a_day: f64,
    /// First day on which it is active again.
    pub(super) absent_until: usize,
}

/// The principals of the first day; their calls a day sum to `calls_a_day`.
pub(super) fn first_principals(seed: u64, number: usize, calls_a_day: f64) -> Vec<Principal> {
    let mut principals: Vec<Principal> = (0..number).map(|number| principal(seed, number, None)).collect();
    let sum: f64 = principals.iter().map(|principal| principal.calls_a_day).sum();
    for principal in &mut principals {
        principal.calls_a_day *= calls_a_day / sum;
    }
    principals
}

/// One principal; `role` where it is given, as for a new principal.
pub(super) fn principal(seed: u64, number: usize, role: Option<Role>) -> Principal {
    let random = &mut stream(seed, Purpose::World, &[2, number]);
    let role = role.or_else(|| ROLES.get(number % ROLES.len()).copied()).unwrap_or(Service);
    let of = |random: &mut Random, names: &[&'static str]| pick(random, names).copied().unwrap_or_default();
    let name = match role {
        Service => format!("svc-{}-{number}", of(random, &SERVICES)),
        Engineer => format!("AWSReservedSSO_{}{number}_{:016x}", of(random, &PEOPLE), random.r#gen::<u64>()),
        Builder => format!("ci-infrastructure-{number}"),
        Job => format!("legacy-import-{number}"),
        Scanner => format!("posture-scanner-{number}"),
        Backup => format!("nightly-backup-{number}"),
        Internal => INTERNAL.get(number / ROLES.len() % INTERNAL.len()).copied().unwrap_or_default().to_owned(),
    };
    let client = match role {
        Service | Job | Backup => of(random, &SDKS),
        Engineer => {
            if happens(random, 0.5) {
                "aws-cli/2.17."
            } else {
                "Mozilla/5.0 (X11; Linux x86_64) Firefox/1"
            }
        }
        Builder => "APN/1.0 HashiCorp/1.0 Terraform/1.9.",
        Scanner => "posture-scan/4.2.",
        Internal => "AWS Internal",
    };
    let (weight, sigma) = match role {
        Service => (10.0, 0.8),
        Internal => (4.0, 0.5),
        Job => (3.0, 0.3),
        Builder | Scanner => (4.0, 0.2),
        Engineer => (1.2, 0.5),
        Backup => (0.6, 0.2),
    };
    let operations = match role {
        Service => some(random, &DATA, 2..6),
        Engineer => {
            let mut known = some(random, &READS, 14..30);
            known.extend(some(random, &WRITES, 2..7).into_iter().map(|(operation, weight)| (operation, weight * 0.25)));
            known
        }
        Job => vec![("s3:ListObjects", 1.0), ("s3:GetObject", 4.0)],
        Internal => some(random, &READS, 4..9),
        Builder | Scanner | Backup => Vec::new(),
    };
    Principal {
        name,
        role,
        client,
        version: random.gen_range(10..60),
        operations,
        home: [random.gen_range(77..96), random.gen_range(1..250), random.gen_range(1..250)],
        work_start: random.gen_range(6.5..9.5),
        is_diurnal: happens(random, 0.6),
        object_bytes: 18_000.0 * spread(random, 1.2),
        key: 0,
        calls_a_day: weight * spread(random, sigma),
        absent_until: 0,
    }
}

/// A random subset of a list, each item with a weight.
fn some(random: &mut Random, from: &[&'static str], number: std::ops::Range<usize>) -> Vec<(&'static str, f64)> {
    let wanted = random.gen_range(number);
    let mut chosen: Vec<(&'static str, f64)> = Vec::new();
    for _ in 0..10 * wanted {
        let operation = pick(random, from).copied().unwrap_or_default();
        if chosen.len() < wanted && chosen.iter().all(|(known, _)| *known != operation) {
            chosen.push((operation, spread(random, 1.0)));
        }
    }
    chosen
}
