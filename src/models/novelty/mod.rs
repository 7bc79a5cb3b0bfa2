//! First-seen events: what was never there before, as a rate a day.
//!
//! A pair nobody has seen has no distribution to be far out in; what can be learned is how often such a thing turns up at
//! all. Each class has a prior rate (what releases and people do without any attack, in a company of some tens of services)
//! that is updated by a replay of the history, each fold judged with what was known before it:
//! `rate = (times seen + 10 x prior) / (days + 10)`. The replay also tells how many pages a rate would have cost.
//!
//! A class is graded by who else does it: the caller alone is new to it, or the whole company.
//!
//! Not here: what a novelty means (`detect`).

mod beacon;
mod dormancy;
mod rules;
mod seen;
mod tracker;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::seasonality::Span;
use crate::calls::{Name, Relation, View};
use crate::rollup::{Row, bucket_of};

pub use rules::surprise_of_calls;
pub use seen::{SeenHistory, SeenSet};
pub use tracker::NoveltyTracker;

/// Weight of a prior rate, in days.
const PRIOR_DAYS: f64 = 10.0;
/// First-seen events of a caller within this time are judged together, microseconds.
const HOUR: i64 = 3_600_000_000;
/// What the same subject shows less than this apart is one incident, microseconds.
pub const INCIDENT: i64 = 6 * HOUR;
/// Incidents of the replay that are kept, the rarest.
const MAX_REPLAYED: usize = 1_000;

/// A class of things that can be new.
#[derive(Debug)]
pub struct NoveltyClass {
    /// Index in [`NOVELTIES`].
    pub index: usize,
    /// Name in files and alerts.
    pub name: &'static str,
    /// What it is, in words.
    pub summary: &'static str,
    /// Expected times a day before any history is read; `None` in the audit view, which has priors of its own. Judgement, not
    /// measurement: histories hardly contain any.
    pub prior: Option<f64>,
    /// Whether one release brings it about together with others: such classes never add weight to one another.
    pub of_release: bool,
}

impl PartialEq for NoveltyClass {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Eq for NoveltyClass {}

/// A class in state files: by its name.
mod by_name {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{NoveltyClass, novelty_named};

    pub fn serialize<S: Serializer>(class: &&'static NoveltyClass, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(class.name)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static NoveltyClass, D::Error> {
        let name = String::deserialize(deserializer)?;
        novelty_named(&name).ok_or_else(|| D::Error::custom(format!("unknown class of novelties {name}")))
    }
}

macro_rules! novelties {
    (
        learned { $($class:ident = $name:literal, $summary:literal, $prior:literal, $of_release:literal;)* }
        audit { $($mark:ident = $mark_name:literal, $mark_summary:literal;)* }
    ) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(usize)]
        enum Index { $($class,)* $($mark,)* }

        /// The classes, one by one.
        pub mod classes {
            use super::{Index, NoveltyClass};
            $(
                #[doc = $summary]
                pub static $class: NoveltyClass = NoveltyClass {
                    index: Index::$class as usize,
                    name: $name,
                    summary: $summary,
                    prior: Some($prior),
                    of_release: $of_release,
                };
            )*
            $(
                #[doc = $mark_summary]
                pub static $mark: NoveltyClass = NoveltyClass {
                    index: Index::$mark as usize,
                    name: $mark_name,
                    summary: $mark_summary,
                    prior: None,
                    of_release: false,
                };
            )*
        }

        /// Every class: those of egress, whose rates are learned, then the marks of the audit view, whose rates `audit` keeps.
        pub static NOVELTIES: &[&NoveltyClass] = &[$(&classes::$class,)* $(&classes::$mark,)*];
    };
}

#[rustfmt::skip]
novelties! {
    learned {
        VENDOR_NEW = "vendor_new", "a vendor that nobody here has called before", 0.05, false;
        VENDOR_NEW_DROP = "vendor_new_drop", "a vendor that takes files, texts or messages, and that nobody here has called before", 0.02, false;
        PAIR_NEW = "pair_new", "a caller's first call to a vendor that others use", 0.5, true;
        NETWORK_PUBLIC_NEW = "network_public_new", "a public network that nobody here has called from", 0.05, false;
        NETWORK_PUBLIC_KNOWN = "network_public_known", "a public network that only others have called from", 0.2, false;
        NETWORK_PRIVATE_FAR = "network_private_far", "a private network apart from all known ones", 0.2, true;
        NETWORK_PRIVATE_NEAR = "network_private_near", "a private network beside known ones", 1.0, true;
        CLIENT_NEW = "client_new", "a client that nobody here uses", 0.2, false;
        CLIENT_TOOL = "client_tool", "an interactive tool that nobody here uses", 0.05, false;
        CLIENT_KNOWN = "client_known", "a client that only others use", 1.0, true;
        CREDENTIAL_OF_ANOTHER = "credential_of_another", "another caller's credential", 0.05, false;
        CREDENTIAL_NEW = "credential_new", "a credential never seen", 0.5, true;
        CREDENTIAL_DORMANT = "credential_dormant", "a credential that nobody has used for a week or more", 0.05, false;
        BEACON = "beacon", "a new pair of caller and vendor that calls at fixed intervals", 0.05, false;
        HOUR_NEW = "hour_new", "an hour of the day at which the caller never called", 0.5, false;
        CREDENTIAL_BURST = "credential_burst", "many new credentials within a day", 0.05, false;
        ENDPOINT_SENSITIVE = "endpoint_sensitive", "a sensitive or deleting endpoint that nobody here has called", 0.05, false;
        ENDPOINT_WRITE = "endpoint_write", "a writing endpoint that nobody here has called", 0.3, false;
        ENDPOINT_READ = "endpoint_read", "a reading endpoint that nobody here has called", 1.0, true;
        METHOD_NEW = "method_new", "a method that the caller never used at the vendor", 0.3, true;
        PLAINTEXT = "plaintext", "plaintext HTTP to a vendor that is called over TLS", 0.05, false;
        TLS_OLD = "tls_old", "a TLS version below 1.2", 0.05, false;
        NETWORK_HOSTING_NEW = "network_hosting_new", "a hosting provider that nobody here has called from", 0.03, false;
        COUNTRY_NEW = "country_new", "a country that nobody here has called from", 0.02, false;
    }
    audit {
        PRINCIPAL_NEW = "principal_new", "a principal never seen";
        PRINCIPAL_NETWORK_NEW = "principal_network_new", "a principal in a network that nobody here has used";
        PRINCIPAL_NETWORK_KNOWN = "principal_network_known", "a principal in a network that only others use";
        PRINCIPAL_CLIENT_NEW = "principal_client_new", "a principal with a client that nobody here uses";
        PRINCIPAL_CLIENT_KNOWN = "principal_client_known", "a principal with a client that only others use";
        PRINCIPAL_CONSOLE_NEW = "principal_console_new", "a principal at a console for the first time";
        PRINCIPAL_FACTOR_LOST = "principal_factor_lost", "a sign-in without the second factor by one who had it";
        REGION_NEW = "region_new", "a region that nobody here has used";
        REGION_KNOWN = "region_known", "a principal in a region that only others use";
        OPERATION_LOGIN = "operation_login", "a first sign-in operation";
        OPERATION_LIST = "operation_list", "a first listing operation";
        OPERATION_READ = "operation_read", "a first reading operation";
        OPERATION_IDENTITY = "operation_identity", "a first identity check";
        OPERATION_USE = "operation_use", "a first use of a service";
        OPERATION_WRITE = "operation_write", "a first writing operation";
        OPERATION_SECRET = "operation_secret", "a first read of secrets";
        OPERATION_BULK = "operation_bulk", "a first bulk read";
        OPERATION_DELETE = "operation_delete", "a first deleting operation";
        OPERATION_GRANT = "operation_grant", "a first grant of rights or credentials";
        OPERATION_SHARE = "operation_share", "a first sharing with others";
        OPERATION_DEFENCE = "operation_defence", "a first change of logging or protection";
    }
}

/// A class by its name.
pub fn novelty_named(name: &str) -> Option<&'static NoveltyClass> {
    NOVELTIES.iter().find(|class| class.name == name).copied()
}

/// One novelty.
#[derive(Clone, Debug)]
pub struct Novelty {
    /// Its class.
    pub class: &'static NoveltyClass,
    /// The new thing: a vendor, a network, an endpoint … never a secret.
    pub detail: String,
    /// First call that showed it, microseconds since the epoch.
    pub time: i64,
    /// Who called whom, with what.
    pub relation: Arc<Relation>,
}

/// A first-seen event of a history that was hardly to be expected in all of it.
#[derive(Clone, Debug)]
pub struct Unexpected {
    /// The rarest class that its caller showed within the hour.
    pub class: &'static NoveltyClass,
    /// First call that showed it, microseconds since the epoch.
    pub time: i64,
    /// Who called whom, with what.
    pub relation: Arc<Relation>,
    /// How often all that its caller showed within the hour was expected in the whole history.
    pub expected: f64,
}

/// Replays the last two thirds of a history, each fold judged with what was known before it. The novelties and the days of the replay.
fn replay(rows: &[Row], history: &SeenHistory, span: Span) -> (Vec<Novelty>, f64) {
    let learning = (span.fold_count() as i64 / 3).max(1);
    let begin = *span.folds().start() + learning;
    let replayed = &rows[rows.partition_point(|row| span.fold_of(row.bucket) < begin)..];
    let mut tracker = NoveltyTracker::default();
    let mut novelties = Vec::new();
    for of_fold in replayed.chunk_by(|a, b| span.fold_of(a.bucket) == span.fold_of(b.bucket)) {
        let Some(first) = of_fold.first() else { continue };
        let known = history.known_before(span.fold_of(first.bucket));
        for row in of_fold {
            novelties.extend(tracker.look(&row.relation, row.first_seen(), &known));
            novelties.extend(tracker.beacon(row, &known));
        }
    }
    let days = (span.fold_count() as i64 - learning).max(0) as f64 / span.folds_per_day();
    (novelties, days)
}

/// Expected novelties a day, by class (in [`NOVELTIES`] order), and what a replay of the history would have reported.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NoveltyRates {
    /// Times a day; `None` for classes of the audit view, which has rates of its own.
    rates: Vec<Option<f64>>,
    /// Days of the replay.
    days: f64,
    /// Rates of the incidents that the replay would have reported, rarest first.
    replayed: Vec<f32>,
}

impl NoveltyRates {
    /// Learns from the last two thirds of a history, each fold judged with what was known before it.
    pub fn fit(rows: &[Row], history: &SeenHistory, span: Span) -> Self {
        let (novelties, days) = replay(rows, history, span);
        let mut rates = Self::of_times(&novelties, history.returns(), days);
        rates.replayed = rates.incidents(&novelties, &history.known());
        rates
    }

    /// What these `novelties` of so many days, and `returns` of dormant credentials, say of the rates.
    fn of_times<'a>(novelties: impl IntoIterator<Item = &'a Novelty>, returns: usize, days: f64) -> Self {
        let mut times = vec![0.0; NOVELTIES.len()];
        novelties.into_iter().for_each(|novelty| times[novelty.class.index] += 1.0);
        times[classes::CREDENTIAL_DORMANT.index] += returns as f64;
        let rate = |(class, times): (&&NoveltyClass, f64)| {
            class.prior.map(|prior| (times + prior * PRIOR_DAYS) / (days + PRIOR_DAYS))
        };
        Self { rates: NOVELTIES.iter().zip(times).map(rate).collect(), days, replayed: Vec::new() }
    }

    /// The first-seen events of the history that were to be expected less than `expected` times in all of it, each judged with the rates
    /// of the other folds.
    pub fn unexpected(rows: &[Row], history: &SeenHistory, span: Span, expected: f64) -> Vec<Unexpected> {
        let (novelties, days) = replay(rows, history, span);
        let known = history.known();
        let fold_of = |novelty: &Novelty| span.fold_of(bucket_of(novelty.time));
        let mut together = Together::default();
        let mut unexpected = Vec::new();
        for of_fold in novelties.chunk_by(|a, b| fold_of(a) == fold_of(b)) {
            let Some(fold) = of_fold.first().map(fold_of) else { continue };
            let others = novelties.iter().filter(|novelty| fold_of(novelty) != fold);
            let rates = Self::of_times(others, history.returns(), (days - 1.0 / span.folds_per_day()).max(0.0));
            for novelty in of_fold {
                together.show(novelty);
                let view = novelty.relation.view();
                let shown = together.shown(novelty);
                let rate = rates.together(known.callers(view), shown.iter().map(|(class, _)| *class));
                if rate * days < expected {
                    let relation = Arc::clone(&novelty.relation);
                    let rarer = |a: &&NoveltyClass, b: &&NoveltyClass| rates.of(a).total_cmp(&rates.of(b));
                    let class = shown.iter().map(|(class, _)| *class).min_by(rarer).unwrap_or(novelty.class);
                    let time = novelty.time;
                    unexpected.push(Unexpected { class, time, relation, expected: rate * days });
                }
            }
        }
        unexpected
    }

    /// The rate of each incident that novelties make: those of one caller less than six hours apart are one.
    fn incidents(&self, novelties: &[Novelty], known: &SeenSet) -> Vec<f32> {
        let mut together = Together::default();
        let mut open: BTreeMap<(View, &Name), (i64, f64)> = BTreeMap::new();
        let mut closed = Vec::new();
        for novelty in novelties {
            together.show(novelty);
            let view = novelty.relation.view();
            let shown = together.shown(novelty);
            let rate = self.together(known.callers(view), shown.iter().map(|(class, _)| *class));
            let incident = open.entry((view, novelty.relation.caller())).or_insert((novelty.time, rate));
            if novelty.time - incident.0 > INCIDENT {
                closed.push(std::mem::replace(&mut incident.1, rate) as f32);
            }
            *incident = (novelty.time, incident.1.min(rate));
        }
        closed.extend(open.into_values().map(|(_, rate)| rate as f32));
        closed.sort_unstable_by(f32::total_cmp);
        closed.truncate(MAX_REPLAYED);
        closed
    }

    /// Expected times a day that a class is seen; 1 for one of the audit view.
    pub fn of(&self, class: &NoveltyClass) -> f64 {
        self.learned(class).unwrap_or(1.0)
    }

    /// The same; `None` for a class of the audit view.
    pub fn learned(&self, class: &NoveltyClass) -> Option<f64> {
        self.rates.get(class.index).copied().flatten()
    }

    /// How often a day all of these classes are expected of one caller within an hour: by themselves, or together.
    pub fn together<'a>(&self, callers: usize, classes: impl Iterator<Item = &'a NoveltyClass> + Clone) -> f64 {
        let alone = classes.clone().map(|class| self.of(class)).fold(f64::INFINITY, f64::min);
        if alone.is_infinite() { alone } else { alone.min(combined_rate(self, callers, classes)) }
    }

    /// The rate up to which novelties may page so that the replay would have paged no more than `a_day` times a day.
    pub fn threshold(&self, a_day: f64) -> f64 {
        let allowed = (a_day * self.days).max(0.0) as usize;
        // A little below the first that would have been one too many.
        self.replayed.get(allowed).map_or(f64::INFINITY, |rate| f64::from(*rate) * (1.0 - 1e-6))
    }
}

/// What callers showed within the last hour: what is rare together is rarer than each alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Together {
    by_caller: BTreeMap<(View, Name), VecDeque<Shown>>,
    /// When callers that had shown nothing within the hour were last forgotten, microseconds since the epoch.
    swept_at: i64,
}

/// What a caller showed for the first time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shown {
    time: i64,
    #[serde(with = "by_name")]
    class: &'static NoveltyClass,
    detail: String,
}

impl Together {
    /// Remembers a novelty, and forgets those of more than an hour ago.
    pub fn show(&mut self, novelty: &Novelty) {
        let (time, relation) = (novelty.time, &novelty.relation);
        let is_recent = |shown: &Shown| time - shown.time <= HOUR;
        if time - self.swept_at > HOUR {
            self.swept_at = time;
            self.by_caller.retain(|_, shown| shown.iter().any(is_recent));
        }
        let shown = self.by_caller.entry((relation.view(), relation.caller().clone())).or_default();
        shown.retain(is_recent);
        shown.push_back(Shown { time, class: novelty.class, detail: novelty.detail.clone() });
    }

    /// The classes that the caller of a novelty showed, each with its newest detail, in the order of their names.
    pub fn shown(&self, novelty: &Novelty) -> Vec<(&'static NoveltyClass, &str)> {
        let relation = &novelty.relation;
        let of_caller = self.by_caller.get(&(relation.view(), relation.caller().clone()));
        let newest: BTreeMap<&str, (&'static NoveltyClass, &str)> = of_caller
            .into_iter()
            .flatten()
            .map(|shown| (shown.class.name, (shown.class, shown.detail.as_str())))
            .collect();
        newest.into_values().collect()
    }
}

/// What is expected a day of all that one caller showed within an hour: independent classes multiply, those that one
/// release brings about together do not.
pub fn combined_rate<'a>(
    rates: &NoveltyRates,
    callers: usize,
    classes: impl IntoIterator<Item = &'a NoveltyClass>,
) -> f64 {
    let callers = callers.max(1) as f64;
    let apart = classes.into_iter().filter(|class| !class.of_release);
    apart.fold(callers, |rate, class| rate * (rates.of(class) / callers).min(1.0))
}

#[cfg(test)]
pub(super) mod tests {
    use super::classes::*;
    use super::*;
    use crate::calls::{DIMENSIONS, Dimension, Measure, Measures};
    use crate::rollup::BUCKETS_PER_DAY;

    const DAY: i64 = 86_400_000_000;
    const SPAN: Span = Span { first: 0, last: 8 * BUCKETS_PER_DAY - 1 };

    /// A row of one call on a day, with these dimensions changed.
    fn row(caller: &str, vendor: &str, endpoint: &str, day: i64, changed: &[(Dimension, &str)]) -> Row {
        let mut names: [Name; DIMENSIONS] = std::array::from_fn(|_| Name::default());
        let usual = [
            (Dimension::View, "egress"),
            (Dimension::Caller, caller),
            (Dimension::Vendor, vendor),
            (Dimension::Host, vendor),
            (Dimension::Endpoint, endpoint),
            (Dimension::Credential, "fp_1"),
            (Dimension::Network, "10.20.3.0/24"),
            (Dimension::Client, "boto3"),
            (Dimension::Scheme, "https"),
            (Dimension::TlsVersion, "1.3"),
        ];
        for (dimension, text) in usual.iter().chain(changed) {
            names[*dimension as usize] = Name::new(text);
        }
        let mut measures = Measures([0; _]);
        measures.0[Measure::Calls as usize] = 1;
        (measures.0[Measure::FirstSeen as usize], measures.0[Measure::LastSeen as usize]) = (day * DAY, day * DAY);
        Row { bucket: day * BUCKETS_PER_DAY, relation: Arc::new(names.into()), measures, trace_id: None }
    }

    fn usual(day: i64, changed: &[(Dimension, &str)]) -> Row {
        row("billing", "stripe", "POST /v1/charges", day, changed)
    }

    fn classes(row: &Row, known: &SeenSet) -> Vec<&'static str> {
        let novelties = NoveltyTracker::default().look(&row.relation, row.first_seen(), known);
        novelties.into_iter().map(|novelty| novelty.class.name).collect()
    }

    #[test]
    fn what_was_seen_is_no_novelty_and_what_was_not_is_one() {
        let day = Span { first: 0, last: BUCKETS_PER_DAY - 1 };
        let known = SeenHistory::of(&[usual(0, &[])], day).known();
        assert!(classes(&usual(1, &[]), &known).is_empty());
        for (dimension, value, class) in [
            (Dimension::Vendor, "adyen", "vendor_new"),
            (Dimension::Vendor, "transfer.sh", "vendor_new_drop"),
            (Dimension::Endpoint, "POST /v1/refunds", "endpoint_write"),
            (Dimension::Endpoint, "GET /v1/customers", "endpoint_read"),
            (Dimension::Endpoint, "POST /v1/payouts", "endpoint_sensitive"),
            (Dimension::Endpoint, "DELETE /v1/charges/{id}", "endpoint_sensitive"),
            (Dimension::Network, "203.0.113.0/24", "network_public_new"),
            (Dimension::Network, "10.20.9.0/24", "network_private_near"),
            (Dimension::Scheme, "http", "plaintext"),
            (Dimension::Client, "curl", "client_tool"),
        ] {
            assert_eq!(classes(&usual(1, &[(dimension, value)]), &known)[0], class);
        }
    }

    #[test]
    fn a_network_nobody_has_called_from_is_graded_by_who_owns_it() {
        let day = Span { first: 0, last: BUCKETS_PER_DAY - 1 };
        let from = |network| usual(0, &[(Dimension::Network, network)]);
        let known = SeenHistory::of(&[from("AS3320 deutsche telekom ag (DE)")], day).known();
        for (network, class) in [
            ("AS6805 telefonica germany (DE)", "network_public_new"),
            ("AS24940 hetzner online gmbh (DE)", "network_hosting_new"),
            ("AS9009 m247 europe srl (RO)", "country_new"),
        ] {
            assert_eq!(classes(&from(network), &known), [class]);
        }
        // A history without countries cannot tell that one is new.
        let known = SeenHistory::of(&[usual(0, &[])], day).known();
        assert_eq!(classes(&from("AS9009 m247 europe srl (RO)"), &known), ["network_hosting_new"]);
    }

    #[test]
    fn a_novelty_is_reported_once_also_after_a_restart() {
        let known = SeenSet::default();
        let new = usual(0, &[]);
        let mut tracker = NoveltyTracker::default();
        assert_eq!(tracker.look(&new.relation, 0, &known).len(), 1);
        let bytes = postcard::to_stdvec(&tracker).unwrap();
        let mut tracker = postcard::from_bytes::<NoveltyTracker>(&bytes).unwrap().restored();
        assert!(tracker.look(&new.relation, 0, &known).is_empty());
    }

    #[test]
    fn a_replay_raises_the_rate_of_what_happens_every_day() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|report| format!("GET /v1/report/{report}"));
        let days: Vec<Row> = (0..8).map(|day| row("billing", "stripe", &names[day as usize], day, &[])).collect();
        let rates = NoveltyRates::fit(&days, &SeenHistory::of(&days, SPAN), SPAN);
        assert!(rates.of(&ENDPOINT_READ) > 0.9 && rates.of(&PLAINTEXT) < 0.05);
        assert!(rates.threshold(0.5) < rates.of(&ENDPOINT_READ), "six incidents in six days are more than three");
        assert_eq!(rates.threshold(2.0), f64::INFINITY);
    }

    #[test]
    fn classes_of_one_release_do_not_multiply() {
        let days = [row("billing", "stripe", "GET /", 0, &[])];
        let rates = NoveltyRates::fit(&days, &SeenHistory::of(&days, SPAN), SPAN);
        assert_eq!(combined_rate(&rates, 10, [&CLIENT_KNOWN, &CREDENTIAL_NEW, &ENDPOINT_READ]), 10.0);
        assert!(combined_rate(&rates, 10, [&NETWORK_PUBLIC_NEW, &CLIENT_TOOL]) < rates.of(&CLIENT_TOOL) / 50.0);
    }

    #[test]
    fn each_class_stands_at_its_index_and_is_found_by_its_name_alone() {
        for (index, class) in NOVELTIES.iter().enumerate() {
            assert_eq!(class.index, index);
            assert_eq!(novelty_named(class.name), Some(*class));
        }
        assert_eq!(novelty_named("no such class"), None);
    }

    #[test]
    fn what_is_rare_together_is_unexpected_and_what_others_days_show_is_not() {
        let usual: Vec<Row> = (0..8).map(|day| row("billing", "stripe", "GET /", day, &[])).collect();
        let unexpected = |rows: &[Row]| {
            let facts = SeenHistory::of(rows, SPAN);
            NoveltyRates::unexpected(rows, &facts, SPAN, 0.05).len()
        };
        assert_eq!(unexpected(&usual), 0);
        let stolen = [(Dimension::Client, "curl"), (Dimension::Network, "45.137.21.0/24")];
        let theft = row("billing", "stripe", "GET /", 5, &stolen);
        let with = |day: usize, row: Row| {
            let mut rows = usual.clone();
            rows.insert(day, row);
            rows
        };
        assert!(unexpected(&with(6, theft)) > 0);
        let release = row("billing", "stripe", "GET /v1/new", 5, &[]);
        assert_eq!(unexpected(&with(6, release)), 0);
    }
}
