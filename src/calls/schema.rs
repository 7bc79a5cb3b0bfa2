//! The schema of a call: which columns it has, what each is for, and how two rows' values become one.
//!
//! Two tables. A [`Dimension`] tells calls apart; all of them together are a [`Relation`], the key of a rollup. A [`Measure`]
//! is counted over calls, and is an integer that merges. The builder fills them, the rollup groups by them, the stored form
//! writes them, and [`Relation`] and [`Measures`] are the typed way to read them: a new column is one line here.
//!
//! Sums of logarithms are fixed-point integers: integer addition is associative where floating point is not, so a rollup does
//! not depend on how its calls were split into batches.
//!
//! Not here: where values come from (`builder`), buckets (`rollup`), and what is expected of a value (`models`).

use serde::{Deserialize, Serialize};

use super::name::{Name, combine};
use super::row::CallRow;
use super::{Channel, Outcome, PrincipalKind, StepClass, View};

/// 1.0 in fixed point: 2^20 steps, so that 10^10 squared logarithms still fit into 63 bits.
pub const ONE: f64 = 1_048_576.0;

/// Per-call quantities that are judged given the endpoint: bytes to the vendor, bytes from it, latency.
pub const QUANTITIES: [&str; 3] = ["bytes_out", "bytes_in", "latency"];

/// Answers by the class of their size, smallest first: a histogram that merges.
#[rustfmt::skip]
pub const ANSWERS_BY_SIZE: [Measure; 15] = [
    Measure::Answers0, Measure::Answers1, Measure::Answers64, Measure::Answers128, Measure::Answers256, Measure::Answers512,
    Measure::Answers1K, Measure::Answers2K, Measure::Answers4K, Measure::Answers8K, Measure::Answers16K, Measure::Answers32K,
    Measure::Answers64K, Measure::Answers128K, Measure::Answers256K,
];

/// The class of a size in bytes, as a place in [`ANSWERS_BY_SIZE`]: none, below 64 bytes, then by powers of two up to 256 KiB.
pub fn size_class(bytes: i64) -> usize {
    let bits = (i64::BITS - bytes.max(0).leading_zeros()) as usize;
    if bits == 0 { 0 } else { bits.saturating_sub(5).clamp(1, ANSWERS_BY_SIZE.len() - 1) }
}

/// A fixed-point sum as a number.
pub fn fixed_to_f64(fixed: i64) -> f64 {
    fixed as f64 / ONE
}

/// How two values of disjoint calls become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// They add up.
    Sum,
    /// The smaller stays.
    Min,
    /// The larger stays.
    Max,
}

impl Merge {
    /// Merges `value` into `into`.
    #[inline]
    pub fn apply(self, into: &mut i64, value: i64) {
        match self {
            Self::Sum => *into += value,
            Self::Min => *into = (*into).min(value),
            Self::Max => *into = (*into).max(value),
        }
    }
}

macro_rules! dimensions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A column that tells calls apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Dimension { $($(#[$doc])* $variant,)* }

        impl Dimension {
            /// Every dimension, in the order of a [`Relation`].
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Name in frames and files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

dimensions! {
    /// The view that the log gives.
    View = "view",
    /// Who called: a workload, or in audit logs the principal.
    Caller = "caller",
    /// Whom.
    Vendor = "vendor",
    /// Which host of theirs.
    Host = "host",
    /// Endpoint template, or audit operation.
    Endpoint = "endpoint",
    /// Credential fingerprint.
    Credential = "credential",
    /// Network that the call came from.
    Network = "network",
    /// Client family.
    Client = "client",
    /// Cloud region.
    Region = "region",
    /// `http` or `https`.
    Scheme = "scheme",
    /// TLS version.
    TlsVersion = "tls_version",
    /// The vendor's account, tenant or organisation.
    Account = "account",
    /// What kind of principal acted.
    Principal = "principal",
    /// Through what it acted.
    Channel = "channel",
    /// Class of the operation, in audit logs.
    Step = "step",
    /// Media type of the answer.
    ContentType = "content_type",
    /// What kind of credential it was.
    CredentialKind = "credential_kind",
    /// Version of the API: of a header, the query or the path.
    ApiVersion = "api_version",
    /// Classes of data to the vendor, with blanks between them.
    Sent = "sent",
    /// Classes of data from the vendor.
    Received = "received",
    /// The other host that a redirect led to.
    Redirect = "redirect",
}

/// Number of dimensions.
pub const DIMENSIONS: usize = Dimension::ALL.len();

/// Values of all dimensions: who called what, with which credential, from where. What a rolled-up row is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "[Name; DIMENSIONS]", into = "[Name; DIMENSIONS]")]
pub struct Relation {
    id: u64,
    names: [Name; DIMENSIONS],
    view: View,
    principal: PrincipalKind,
    channel: Channel,
    step: Option<StepClass>,
}

impl From<[Name; DIMENSIONS]> for Relation {
    fn from(names: [Name; DIMENSIONS]) -> Self {
        let text = |dimension: Dimension| names[dimension as usize].as_str();
        let (principal, channel) = (text(Dimension::Principal), text(Dimension::Channel));
        let step = StepClass::ALL.into_iter().find(|step| step.as_str() == text(Dimension::Step));
        Self {
            id: Self::id_of(names.each_ref().map(Name::id)),
            view: View::named(Some(text(Dimension::View))),
            principal: PrincipalKind::ALL.into_iter().find(|kind| kind.as_str() == principal).unwrap_or_default(),
            channel: Channel::ALL.into_iter().find(|known| known.as_str() == channel).unwrap_or_default(),
            step,
            names,
        }
    }
}

impl From<Relation> for [Name; DIMENSIONS] {
    fn from(relation: Relation) -> Self {
        relation.names
    }
}

impl Relation {
    /// The address of a relation with these names' addresses.
    pub(super) fn id_of(ids: [u64; DIMENSIONS]) -> u64 {
        combine(ids)
    }

    /// Its address: equal relations have equal ones.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The value of a dimension.
    pub fn name(&self, dimension: Dimension) -> &Name {
        &self.names[dimension as usize]
    }

    /// The same with another endpoint.
    pub fn with_endpoint(&self, endpoint: Name) -> Self {
        let mut names = self.names.clone();
        names[Dimension::Endpoint as usize] = endpoint;
        names.into()
    }

    /// The view.
    pub fn view(&self) -> View {
        self.view
    }

    /// Who called.
    pub fn caller(&self) -> &Name {
        self.name(Dimension::Caller)
    }

    /// Whom.
    pub fn vendor(&self) -> &Name {
        self.name(Dimension::Vendor)
    }

    /// Which host of theirs.
    pub fn host(&self) -> &Name {
        self.name(Dimension::Host)
    }

    /// Endpoint template or audit operation.
    pub fn endpoint(&self) -> &Name {
        self.name(Dimension::Endpoint)
    }

    /// Credential fingerprint.
    pub fn credential(&self) -> &Name {
        self.name(Dimension::Credential)
    }

    /// Network that the call came from.
    pub fn network(&self) -> &Name {
        self.name(Dimension::Network)
    }

    /// Client family.
    pub fn client(&self) -> &Name {
        self.name(Dimension::Client)
    }

    /// Cloud region.
    pub fn region(&self) -> &Name {
        self.name(Dimension::Region)
    }

    /// The vendor's account.
    pub fn account(&self) -> &Name {
        self.name(Dimension::Account)
    }

    /// What kind of principal acted.
    pub fn principal(&self) -> PrincipalKind {
        self.principal
    }

    /// Through what it acted.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Class of the operation; `None` outside of audit logs.
    pub fn step(&self) -> Option<StepClass> {
        self.step
    }
}

/// What a call's measures follow from.
struct Facts<'a> {
    call: &'a CallRow,
    is_ok: bool,
    /// `ln(1 + x)` of each quantity of an answered call, in [`QUANTITIES`] order.
    logarithms: [Option<f64>; QUANTITIES.len()],
    /// Class of size of its answer, where it was answered and the size is known.
    size: Option<usize>,
}

impl Facts<'_> {
    fn ended(&self, outcome: Outcome) -> i64 {
        i64::from(self.call.outcome == outcome)
    }

    fn known(&self, quantity: usize) -> i64 {
        i64::from(self.logarithms[quantity].is_some())
    }

    fn logarithm(&self, quantity: usize) -> i64 {
        self.logarithms[quantity].map_or(0, |ln| (ln * ONE) as i64)
    }

    fn square(&self, quantity: usize) -> i64 {
        self.logarithms[quantity].map_or(0, |ln| (ln * ln * ONE) as i64)
    }

    fn answered_in(&self, class: usize) -> i64 {
        i64::from(self.size == Some(class))
    }

    fn answered(&self, bytes: Option<i64>) -> i64 {
        if self.is_ok { bytes.unwrap_or_default() } else { 0 }
    }
}

/// How one measure is called and merges.
#[derive(Clone, Copy, Debug)]
pub struct MeasureColumn {
    /// Name in frames and files.
    pub name: &'static str,
    /// How two values become one.
    pub merge: Merge,
}

macro_rules! measures {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $merge:ident, |$facts:ident| $value:expr;)*) => {
        /// What is counted over calls.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Measure { $($(#[$doc])* $variant,)* }

        impl Measure {
            /// Every measure, in the order of [`MEASURES`].
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }

        /// Every measure, in the order of [`Measure`].
        pub const MEASURES: [MeasureColumn; [$(Measure::$variant,)*].len()] =
            [$(MeasureColumn { name: $name, merge: Merge::$merge },)*];

        impl Measures {
            /// The measures of one call.
            pub fn of(call: &CallRow) -> Self {
                let is_ok = matches!(call.outcome, Outcome::Ok | Outcome::Unknown);
                let ln = |value: Option<f64>| value.filter(|_| is_ok).map(f64::ln_1p);
                let bytes = [call.bytes_out, call.bytes_in].map(|bytes| bytes.map(|bytes| bytes as f64));
                let logarithms = [ln(bytes[0]), ln(bytes[1]), ln(call.latency_ms)];
                let size = call.bytes_in.filter(|_| is_ok).map(size_class);
                let facts = Facts { call, is_ok, logarithms, size };
                Self([$({ let $facts = &facts; $value },)*])
            }
        }
    };
}

// Sizes and latencies are those of answered calls (status below 400): the size of a failed call is its status.
measures! {
    /// Calls.
    Calls = "calls", Sum, |_facts| 1;
    /// Calls answered with a status below 400.
    Ok = "ok", Sum, |facts| facts.ended(Outcome::Ok);
    /// Calls answered 401 or 403.
    Denied = "denied", Sum, |facts| facts.ended(Outcome::Denied);
    /// Calls answered with another 4xx.
    ClientError = "client_error", Sum, |facts| facts.ended(Outcome::ClientError);
    /// Calls answered 429.
    Throttled = "throttled", Sum, |facts| facts.ended(Outcome::Throttled);
    /// Calls answered 5xx, or not at all.
    ServerError = "server_error", Sum, |facts| facts.ended(Outcome::ServerError) + facts.ended(Outcome::NoResponse);
    /// Bytes to the vendor, failed calls included.
    BytesOutSum = "bytes_out_sum", Sum, |facts| facts.call.bytes_out.unwrap_or_default();
    /// Bytes from the vendor, failed calls included.
    BytesInSum = "bytes_in_sum", Sum, |facts| facts.call.bytes_in.unwrap_or_default();
    /// Answered calls of known request size.
    BytesOutCount = "bytes_out_count", Sum, |facts| facts.known(0);
    /// Answered calls of known answer size.
    BytesInCount = "bytes_in_count", Sum, |facts| facts.known(1);
    /// Answered calls of known latency.
    LatencyCount = "latency_count", Sum, |facts| facts.known(2);
    /// Sum of `ln(1 + bytes)` of requests, fixed-point.
    BytesOutLnSum = "bytes_out_ln_sum", Sum, |facts| facts.logarithm(0);
    /// Sum of `ln(1 + bytes)` of answers, fixed-point.
    BytesInLnSum = "bytes_in_ln_sum", Sum, |facts| facts.logarithm(1);
    /// Sum of `ln(1 + ms)`, fixed-point.
    LatencyLnSum = "latency_ln_sum", Sum, |facts| facts.logarithm(2);
    /// Sum of squares of the same, fixed-point.
    BytesOutLnSquareSum = "bytes_out_ln_square_sum", Sum, |facts| facts.square(0);
    /// Sum of squares of the same, fixed-point.
    BytesInLnSquareSum = "bytes_in_ln_square_sum", Sum, |facts| facts.square(1);
    /// Sum of squares of the same, fixed-point.
    LatencyLnSquareSum = "latency_ln_square_sum", Sum, |facts| facts.square(2);
    /// Longest call, milliseconds.
    LatencyMax = "latency_ms_max", Max, |facts| facts.call.latency_ms.unwrap_or_default() as i64;
    /// Calls with a body that a redirect asked to be sent again (307, 308).
    Resent = "resent", Sum, |facts| i64::from(facts.call.is_resent);
    /// Largest answered request, bytes.
    BytesOutMax = "bytes_out_max", Max, |facts| facts.answered(facts.call.bytes_out);
    /// Largest answer, bytes.
    BytesInMax = "bytes_in_max", Max, |facts| facts.answered(facts.call.bytes_in);
    /// Tokens to and from a language model.
    Tokens = "tokens", Sum, |facts| facts.call.tokens_in.unwrap_or_default() + facts.call.tokens_out.unwrap_or_default();
    /// What the calls cost by list price, micro-dollars.
    Cost = "cost", Sum, |facts| facts.call.cost.unwrap_or_default();
    /// Smallest number of a client's release; it means nothing but that it is another. 0 where none is known.
    ReleaseMin = "release_min", Min, |facts| facts.call.release;
    /// Largest number of a client's release.
    ReleaseMax = "release_max", Max, |facts| facts.call.release;
    /// Answers without a byte.
    Answers0 = "answers_0", Sum, |facts| facts.answered_in(0);
    /// Answers of 1 to 63 bytes.
    Answers1 = "answers_1", Sum, |facts| facts.answered_in(1);
    /// Answers of at least 64 bytes, below twice that.
    Answers64 = "answers_64", Sum, |facts| facts.answered_in(2);
    /// Answers of at least 128 bytes, below twice that.
    Answers128 = "answers_128", Sum, |facts| facts.answered_in(3);
    /// Answers of at least 256 bytes, below twice that.
    Answers256 = "answers_256", Sum, |facts| facts.answered_in(4);
    /// Answers of at least 512 bytes, below twice that.
    Answers512 = "answers_512", Sum, |facts| facts.answered_in(5);
    /// Answers of at least 1 KiB, below twice that.
    Answers1K = "answers_1k", Sum, |facts| facts.answered_in(6);
    /// Answers of at least 2 KiB, below twice that.
    Answers2K = "answers_2k", Sum, |facts| facts.answered_in(7);
    /// Answers of at least 4 KiB, below twice that.
    Answers4K = "answers_4k", Sum, |facts| facts.answered_in(8);
    /// Answers of at least 8 KiB, below twice that.
    Answers8K = "answers_8k", Sum, |facts| facts.answered_in(9);
    /// Answers of at least 16 KiB, below twice that.
    Answers16K = "answers_16k", Sum, |facts| facts.answered_in(10);
    /// Answers of at least 32 KiB, below twice that.
    Answers32K = "answers_32k", Sum, |facts| facts.answered_in(11);
    /// Answers of at least 64 KiB, below twice that.
    Answers64K = "answers_64k", Sum, |facts| facts.answered_in(12);
    /// Answers of at least 128 KiB, below twice that.
    Answers128K = "answers_128k", Sum, |facts| facts.answered_in(13);
    /// Answers of at least 256 KiB.
    Answers256K = "answers_256k", Sum, |facts| facts.answered_in(14);
    /// First call, microseconds since the epoch, UTC.
    FirstSeen = "first_seen", Min, |facts| facts.call.time;
    /// Last call, microseconds since the epoch, UTC.
    LastSeen = "last_seen", Max, |facts| facts.call.time;
}

/// Measures of a group of calls, in the order of [`MEASURES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<i64>", into = "Vec<i64>")]
pub struct Measures(pub [i64; MEASURES.len()]);

impl From<Measures> for Vec<i64> {
    fn from(measures: Measures) -> Self {
        measures.0.into()
    }
}

impl TryFrom<Vec<i64>> for Measures {
    type Error = &'static str;

    fn try_from(stored: Vec<i64>) -> Result<Self, Self::Error> {
        stored.try_into().map(Self).map_err(|_| "not as many measures as this version counts")
    }
}

impl Measures {
    /// One of them.
    #[inline]
    pub fn get(&self, measure: Measure) -> i64 {
        self.0[measure as usize]
    }

    /// Merges those of other calls into these.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        for ((into, value), column) in self.0.iter_mut().zip(other.0).zip(&MEASURES) {
            column.merge.apply(into, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_apart_by_powers_of_two() {
        let sizes = [-1, 0, 1, 63, 64, 127, 128, 1 << 17, (1 << 18) - 1, 1 << 18, i64::MAX];
        assert_eq!(sizes.map(size_class), [0, 0, 1, 1, 2, 2, 3, 13, 13, 14, 14]);
    }

    #[test]
    fn no_two_columns_share_a_name() {
        let mut names: Vec<&str> = Dimension::ALL.iter().map(|dimension| dimension.name()).collect();
        names.extend(MEASURES.iter().map(|column| column.name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_relation_reads_its_typed_columns_back_after_storage() {
        let mut names: [Name; DIMENSIONS] = std::array::from_fn(|_| Name::default());
        for (dimension, text) in [
            (Dimension::View, "audit"),
            (Dimension::Principal, "single_sign_on"),
            (Dimension::Channel, "console"),
            (Dimension::Step, "grant"),
        ] {
            names[dimension as usize] = Name::new(text);
        }
        let relation = Relation::from(names);
        let read: Relation = postcard::from_bytes(&postcard::to_stdvec(&relation).unwrap()).unwrap();
        assert_eq!(read.id(), relation.id());
        assert_eq!(
            (read.view(), read.principal(), read.channel(), read.step()),
            (View::Audit, PrincipalKind::SingleSignOn, Channel::Console, Some(StepClass::Grant))
        );
    }
}
