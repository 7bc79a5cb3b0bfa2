//! Limits: how many names of a kind the catalogue keeps, of one caller and of all.
//!
//! A caller that makes up paths, hosts or keys cannot make the catalogue grow without end. Past a limit calls still count, under [`MORE`];
//! how many different names they had is estimated by a sketch, and a finding tells of it.
//!
//! Names are admitted in the order of rows, so while no limit is reached the catalogue does not depend on that order.
//!
//! Not here: what is stored of a name (`writer`).

use foldhash::{HashMap, HashSet};

use super::sketch::Sketch;
use crate::calls::{Name, combine};

/// The name that stands for all names past a limit.
pub const MORE: &str = "(more)";

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $per_caller:literal, $total:literal;)*) => {
        /// What is limited.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in findings.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        const DEFAULTS: [Limit; Kind::ALL.len()] = [$(Limit { per_caller: $per_caller, total: $total },)*];
    };
}

kinds! {
    /// Callers.
    Caller = "caller", 1, 20_000;
    /// Vendors.
    Vendor = "vendor", 1_000, 50_000;
    /// Hosts.
    Host = "host", 1_000, 100_000;
    /// Endpoint templates of a vendor.
    Endpoint = "endpoint", 5_000, 500_000;
    /// Credential fingerprints.
    Credential = "credential", 1_000, 200_000;
    /// Accounts at vendors.
    Account = "account", 1_000, 100_000;
    /// Credentials at a vendor: each has a row a day.
    Pairing = "credential at a vendor", 2_000, 500_000;
    /// Networks.
    Network = "network", 1_000, 200_000;
    /// Client families.
    Client = "client", 500, 50_000;
    /// Regions.
    Region = "region", 200, 5_000;
    /// Media types of answers.
    ContentType = "content_type", 200, 20_000;
    /// Versions of APIs.
    ApiVersion = "api_version", 200, 20_000;
    /// Hosts that redirects led to.
    Redirect = "redirect", 200, 20_000;
    /// Rows of `usage`.
    Usage = "usage", 50_000, 5_000_000;
    /// Rows of `trait`.
    Trait = "trait", 50_000, 5_000_000;
}

/// How many are kept.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Of one caller.
    pub per_caller: u32,
    /// Of all callers together.
    pub total: u32,
}

/// The limit of each kind.
#[derive(Clone, Debug)]
pub struct Limits([Limit; Kind::ALL.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(DEFAULTS)
    }
}

impl Limits {
    /// The same limits, but for one kind.
    #[must_use]
    pub fn with(mut self, kind: Kind, limit: Limit) -> Self {
        self.0[kind as usize] = limit;
        self
    }

    /// The limit of a kind.
    pub fn of(&self, kind: Kind) -> Limit {
        self.0[kind as usize]
    }
}

/// The names of a kind that are admitted, of each caller and of all.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    known: HashSet<u64>,
    counts: HashMap<(Kind, u64), u32>,
}

/// Stands for all callers.
const ALL_CALLERS: u64 = 0;

impl Admitted {
    /// Takes note of what the catalogue has already.
    pub fn insert(&mut self, kind: Kind, caller: u64, name: u64) {
        for scope in [caller, ALL_CALLERS] {
            if self.known.insert(Self::key(kind, scope, name)) {
                *self.counts.entry((kind, scope)).or_default() += 1;
            }
        }
    }

    /// Whether a name of a caller is kept: it is known, or there is room.
    pub fn admit(&mut self, limits: &Limits, kind: Kind, caller: u64, name: u64) -> bool {
        if self.known.contains(&Self::key(kind, caller, name)) {
            return true;
        }
        let limit = limits.of(kind);
        let count = |scope| self.counts.get(&(kind, scope)).copied().unwrap_or_default();
        let is_known_to_all = self.known.contains(&Self::key(kind, ALL_CALLERS, name));
        let has_room = count(caller) < limit.per_caller && (is_known_to_all || count(ALL_CALLERS) < limit.total);
        if has_room {
            self.insert(kind, caller, name);
        }
        has_room
    }

    fn key(kind: Kind, scope: u64, name: u64) -> u64 {
        combine([kind as u64, scope, name])
    }
}

/// What came past a limit.
#[derive(Clone, Debug)]
pub(super) struct Overflow {
    pub sketch: Sketch,
    pub calls: i64,
    pub first_seen: i64,
    pub last_seen: i64,
}

impl Default for Overflow {
    fn default() -> Self {
        Self { sketch: Sketch::default(), calls: 0, first_seen: i64::MAX, last_seen: i64::MIN }
    }
}

/// The content address of [`MORE`].
pub(super) fn more() -> Name {
    Name::new(MORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_past_its_limit_costs_no_other_caller_its_names() {
        let limits = Limits::default().with(Kind::Host, Limit { per_caller: 2, total: 3 });
        let mut admitted = Admitted::default();
        let mut admit = |caller, host| admitted.admit(&limits, Kind::Host, caller, host);
        assert_eq!([1, 2, 3, 1].map(|host| admit(7, host)), [true, true, false, true]);
        // The third of all callers, one that is known, and a fourth.
        assert_eq!([3, 1].map(|host| admit(8, host)), [true, true]);
        assert_eq!([2, 9].map(|host| admit(9, host)), [true, false]);
    }
}
