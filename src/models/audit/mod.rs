//! The audit view: what a vendor's own log says was done in our tenant, judged by who does what, how often and from where.
//!
//! One principal does many kinds of operation, each rarely, so ratios and means say little. What tells is which step is new
//! to whom (`marks`, `rates`), how many of a class come together (`counts`), whether places and clients go on (`marks`), in
//! which order steps come (`sequence`), and how unlikely all of that is together (`evidence`). Without a history the priors
//! of the classes judge alone (`cold`).
//!
//! Everything is worked out from rolled-up rows, bucket by bucket (`tick`), by the same code over a history and in the stream.
//!
//! Not here: fitting (`train`), incidents and words (`stream`, `detect`).

mod cold_start;
mod counts;
mod evidence;
mod marks;
mod memory;
mod rates;
mod row;
mod sequence;
mod surprise;
mod tick;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::calls::{Name, View};
use crate::features::Entity;

pub use cold_start::{COLD_START_PAGE, ColdStart, ColdStartCall, ColdStartScore};
pub use counts::{
    CELLS, COMPANY_TESTS, Excess, Expected, Over, SAMPLE_BUCKETS, Shared, TESTS, Test, Values, What, cell, test_named,
    values_of,
};
pub use evidence::{Evidence, Known, Verdict, at_most, judge};
pub use marks::{Class, Group, Mark, operation_class};
pub use memory::Memory;
pub use rates::Rates;
pub use row::{Row, rows};
pub use sequence::Sequence;
pub use surprise::surprise_of_calls;
pub use tick::{Count, Counts, DAY_BUCKETS, HOUR_BUCKETS, Observer, Sizes, Tick, advance};

/// Fewest days of history from which habits are judged; below, the priors judge alone.
pub const MIN_DAYS: usize = 7;
/// Alarms a day, as a share of those allowed, that are never passed whatever the replay says.
const CAP: f64 = 0.1;

/// Who acts at a vendor: a role and never its session, a user, a service of the vendor's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// The vendor.
    pub vendor: Name,
    /// The vendor's account; empty where the log does not say. One name in two accounts is two principals.
    pub account: Name,
    /// Its name there; empty for the company as a whole.
    pub name: Name,
}

impl Principal {
    /// The company as a whole, at the vendor and in the account of this principal.
    pub fn company(&self) -> Self {
        Self { name: Name::default(), ..self.clone() }
    }

    /// The pair that it is among entities.
    pub fn entity(&self) -> Entity {
        let [name, vendor, account] = [&self.name, &self.vendor, &self.account].map(Name::clone);
        Entity::pair_in(View::Audit, name, vendor, account)
    }
}

/// What a principal is, by what it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Single sign-on, or often at a console.
    Human,
    /// Changes many kinds of things by trade: deployment, infrastructure as code.
    Builder,
    /// A workload.
    #[default]
    Service,
    /// The vendor's own services.
    Internal,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Human, Self::Builder, Self::Service, Self::Internal];

    /// The group whose tails it is judged by: people, or machines.
    pub const fn tail(self) -> usize {
        matches!(self, Self::Human) as usize
    }
}

/// What was learned of one principal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Habits {
    /// What it is.
    pub role: Role,
    /// What each of [`TESTS`] expects.
    pub tests: Vec<Expected>,
}

/// All that was learned of the audit view.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Audit {
    /// Days of history.
    pub days: usize,
    /// Hashes of what was ever seen.
    pub known: BTreeSet<u64>,
    /// How often something new is seen.
    pub rates: Rates,
    /// How steps follow one another.
    pub sequence: Sequence,
    /// Usual bytes of a principal's operation.
    pub sizes: Sizes,
    /// What is usual for whom.
    pub habits: BTreeMap<Principal, Habits>,
    /// What is usual for a principal without history, by role.
    pub strangers: BTreeMap<Role, Vec<Expected>>,
    /// Tails of each of [`TESTS`]: of machines, of people.
    pub tails: Vec<[Excess; 2]>,
    /// What each of [`COMPANY_TESTS`] expects, by vendor.
    pub company: BTreeMap<Name, Vec<Expected>>,
    /// Days of the history that were replayed.
    pub replayed: usize,
    /// The rarest alarm of each principal's day in the replay that would page, alarms a day, ascending.
    pub replay: Vec<f64>,
}

impl Audit {
    /// Whether there is enough history to judge habits by.
    pub fn is_warm(&self) -> bool {
        self.days >= MIN_DAYS && !self.habits.is_empty()
    }

    /// Principals of the history.
    pub fn principals(&self) -> usize {
        self.habits.len().max(1)
    }

    /// What a principal is: as learned, else as its first row looks.
    pub fn role_of(&self, principal: &Principal, row: &Row<'_>) -> Role {
        self.habits.get(principal).map_or_else(|| row.apparent_role(), |habits| habits.role)
    }

    /// Alarms a day up to which evidence pages, so that the replay would have paged no more than `alerts_per_day`, and never above the cap.
    pub fn threshold(&self, alerts_per_day: f64) -> f64 {
        let room = (alerts_per_day * self.replayed as f64) as usize;
        let kept = self.replay.get(room).map_or(f64::INFINITY, |rate| rate * 0.999);
        kept.min(CAP * alerts_per_day)
    }
}
