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
mod news;
mod relation;
mod seen;
mod tracker;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::seasonality::Span;
use crate::calls::View;

pub use news::surprise_of_calls;
pub use relation::{Relation, relations};
pub use seen::{SeenHistory, SeenSet};
pub use tracker::NoveltyTracker;

/// Weight of a prior rate, in days.
const PRIOR_DAYS: f64 = 10.0;
/// First-seen events of a caller within this time are judged together, microseconds.
const HOUR: i64 = 3_600_000_000;
/// First-seen events of a caller less than this apart are one incident of the replay, microseconds.
const INCIDENT: i64 = 6 * HOUR;
/// Incidents of the replay that are kept, the rarest.
const MAX_REPLAYED: usize = 1_000;

/// A class of first-seen events.
#[derive(Debug)]
pub struct NoveltyClass {
    /// Name in files and alerts.
    pub name: &'static str,
    /// What it is, in words.
    pub says: &'static str,
    /// Expected times a day before any history is read.
    pub prior: f64,
    /// Whether one release brings it about together with others: such classes never add weight to one another.
    pub of_release: bool,
}

const fn class(name: &'static str, says: &'static str, prior: f64, of_release: bool) -> NoveltyClass {
    NoveltyClass { name, says, prior, of_release }
}

/// Every class of egress and audit. Priors are judgement, not measurement: histories hardly contain any.
#[rustfmt::skip]
pub const NOVELTIES: &[NoveltyClass] = &[
    class("vendor_new", "a vendor that nobody here has called before", 0.05, false),
    class("vendor_new_drop", "a vendor that takes files, texts or messages, and that nobody here has called before", 0.02, false),
    class("pair_new", "a caller's first call to a vendor that others use", 0.5, true),
    class("network_public_new", "a public network that nobody here has called from", 0.05, false),
    class("network_public_known", "a public network that only others have called from", 0.2, false),
    class("network_private_far", "a private network apart from all known ones", 0.2, true),
    class("network_private_near", "a private network beside known ones", 1.0, true),
    class("client_new", "a client that nobody here uses", 0.2, false),
    class("client_tool", "an interactive tool that nobody here uses", 0.05, false),
    class("client_known", "a client that only others use", 1.0, true),
    class("credential_of_another", "another caller's credential", 0.05, false),
    class("credential_new", "a credential never seen", 0.5, true),
    class("credential_dormant", "a credential that nobody has used for a week or more", 0.05, false),
    class("beacon", "a new pair of caller and vendor that calls like a clock", 0.05, false),
    class("hour_new", "an hour of the day at which the caller never called", 0.5, false),
    class("credential_burst", "many new credentials within a day", 0.05, false),
    class("endpoint_sensitive", "a sensitive or deleting endpoint that nobody here has called", 0.05, false),
    class("endpoint_write", "a writing endpoint that nobody here has called", 0.3, false),
    class("endpoint_read", "a reading endpoint that nobody here has called", 1.0, true),
    class("method_new", "a method that the caller never used at the vendor", 0.3, true),
    class("plaintext", "plaintext HTTP to a vendor that is called over TLS", 0.05, false),
    class("tls_old", "a TLS version below 1.2", 0.05, false),
    class("principal_new", "a principal never seen", 0.3, false),
    class("principal_network_new", "a principal in a network that nobody here has used", 0.05, false),
    class("principal_network_known", "a principal in a network that only others use", 0.2, false),
    class("principal_client_new", "a principal with a client that nobody here uses", 0.1, false),
    class("principal_client_known", "a principal with a client that only others use", 0.3, false),
    class("principal_console_new", "a principal at a console for the first time", 0.1, false),
    class("principal_factor_lost", "a sign-in without the second factor by one who had it", 0.1, false),
    class("region_new", "a region that nobody here has used", 0.05, false),
    class("region_known", "a principal in a region that only others use", 0.2, false),
    class("operation_login", "a first sign-in operation", 1.0, false),
    class("operation_list", "a first listing operation", 1.0, true),
    class("operation_read", "a first reading operation", 1.0, true),
    class("operation_identity", "a first identity check", 0.3, true),
    class("operation_use", "a first use of a service", 0.3, true),
    class("operation_write", "a first writing operation", 0.3, true),
    class("operation_secret", "a first read of secrets", 0.1, false),
    class("operation_bulk", "a first bulk read", 0.1, false),
    class("operation_delete", "a first deleting operation", 0.1, false),
    class("operation_grant", "a first grant of rights or credentials", 0.05, false),
    class("operation_share", "a first sharing with others", 0.02, false),
    class("operation_defence", "a first change of logging or protection", 0.02, false),
    class("network_hosting_new", "a hosting provider that nobody here has called from", 0.03, false),
    class("country_new", "a country that nobody here has called from", 0.02, false),
];

/// Place of a class in [`NOVELTIES`], by its name.
fn place_of(name: &str) -> usize {
    NOVELTIES.iter().position(|class| class.name == name).unwrap_or_default()
}

/// One novelty.
#[derive(Clone, Debug, PartialEq)]
pub struct Novelty {
    /// Its class.
    pub class: &'static str,
    /// The new thing: a vendor, a network, an endpoint … never a secret.
    pub detail: String,
    /// First call that showed it, microseconds since the epoch.
    pub time: i64,
    /// The view.
    pub view: View,
    /// Who called.
    pub caller: String,
    /// Whom.
    pub vendor: String,
    /// The endpoint called.
    pub endpoint: String,
    /// Credential used; may be empty.
    pub credential: String,
}

/// Expected first-seen events a day, by class (in [`NOVELTIES`] order), and what a replay of the history would have told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoveltyRates {
    rates: Vec<f64>,
    /// Days of the replay.
    days: f64,
    /// Rates of the incidents that the replay would have told, rarest first.
    replayed: Vec<f32>,
}

impl NoveltyRates {
    /// Replays the last two thirds of a history, each fold judged with what was known before it.
    pub fn fit(relations: &[(i64, Relation<'_>)], history: &SeenHistory, span: Span) -> Self {
        let learning = (span.fold_count() as i64 / 3).max(1);
        let begin = *span.folds().start() + learning;
        let replayed = &relations[relations.partition_point(|(bucket, _)| span.fold_of(*bucket) < begin)..];
        let mut tracker = NoveltyTracker::default();
        let mut novelties = Vec::new();
        for of_fold in replayed.chunk_by(|(a, _), (b, _)| span.fold_of(*a) == span.fold_of(*b)) {
            let Some((bucket, _)) = of_fold.first() else { continue };
            let known = history.known_before(span.fold_of(*bucket));
            for (_, relation) in of_fold {
                novelties.extend(tracker.look(relation, &known));
                novelties.extend(tracker.beacon(relation, &known));
            }
        }
        let days = (span.fold_count() as i64 - learning).max(0) as f64 / span.folds_per_day();
        let mut times = vec![0.0; NOVELTIES.len()];
        novelties.iter().for_each(|novelty| times[place_of(novelty.class)] += 1.0);
        times[place_of("credential_dormant")] += history.returns() as f64;
        let rate = |(class, times): (&NoveltyClass, f64)| (times + class.prior * PRIOR_DAYS) / (days + PRIOR_DAYS);
        let mut rates = Self { rates: NOVELTIES.iter().zip(times).map(rate).collect(), days, replayed: Vec::new() };
        rates.replayed = rates.incidents(&novelties, &history.known());
        rates
    }

    /// The rate of each incident that novelties make: those of one caller less than six hours apart are one.
    fn incidents(&self, novelties: &[Novelty], known: &SeenSet) -> Vec<f32> {
        let mut together = Together::default();
        let mut callers: BTreeMap<View, usize> = BTreeMap::new();
        let mut open: BTreeMap<(View, &str), (i64, f64)> = BTreeMap::new();
        let mut closed = Vec::new();
        for novelty in novelties {
            together.show(novelty);
            let callers = *callers.entry(novelty.view).or_insert_with(|| known.callers(novelty.view));
            let rate = self.together(callers, together.shown(novelty).keys().copied());
            let incident = open.entry((novelty.view, &novelty.caller)).or_insert((novelty.time, rate));
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

    /// Expected times a day that a class is seen.
    pub fn of(&self, class: &str) -> f64 {
        self.rates.get(place_of(class)).copied().unwrap_or(1.0)
    }

    /// How often a day all of these classes are expected of one caller within an hour: by themselves, or together.
    pub fn together<'a>(&self, callers: usize, classes: impl Iterator<Item = &'a str> + Clone) -> f64 {
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
pub struct Together(VecDeque<Shown>);

/// What a caller showed for the first time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shown {
    time: i64,
    view: View,
    caller: String,
    class: String,
    detail: String,
}

impl Together {
    /// Remembers a novelty, and forgets those of more than an hour ago.
    pub fn show(&mut self, novelty: &Novelty) {
        self.0.retain(|shown| novelty.time - shown.time <= HOUR);
        self.0.push_back(Shown {
            time: novelty.time,
            view: novelty.view,
            caller: novelty.caller.clone(),
            class: novelty.class.to_owned(),
            detail: novelty.detail.clone(),
        });
    }

    /// The classes that the caller of a novelty showed, each with its newest detail.
    pub fn shown(&self, novelty: &Novelty) -> BTreeMap<&str, &str> {
        let of_caller = |shown: &&Shown| shown.view == novelty.view && shown.caller == novelty.caller;
        self.0.iter().filter(of_caller).map(|shown| (shown.class.as_str(), shown.detail.as_str())).collect()
    }
}

/// What is expected a day of all that one caller showed within an hour: independent classes multiply, those that one
/// release brings about together do not.
pub fn combined_rate<'a>(rates: &NoveltyRates, callers: usize, classes: impl IntoIterator<Item = &'a str>) -> f64 {
    let callers = callers.max(1) as f64;
    let apart = classes.into_iter().filter(|class| !NOVELTIES[place_of(class)].of_release);
    apart.fold(callers, |rate, class| rate * (rates.of(class) / callers).min(1.0))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DAY: i64 = 86_400_000_000;
    const SPAN: Span = Span { first: 0, last: 8 * crate::rollup::BUCKETS_PER_DAY - 1 };

    pub fn relation<'a>(caller: &'a str, vendor: &'a str, endpoint: &'a str, day: i64) -> (i64, Relation<'a>) {
        let relation = Relation {
            time: day * DAY,
            last: day * DAY,
            calls: 1,
            view: View::Egress,
            caller,
            vendor,
            host: vendor,
            endpoint,
            credential: "fp_1",
            network: "10.20.3.0/24",
            client: "boto3",
            region: "",
            scheme: "https",
            tls_version: "1.3",
            trace_id: None,
        };
        (day * crate::rollup::BUCKETS_PER_DAY, relation)
    }

    fn classes(relation: &Relation<'_>, known: &SeenSet) -> Vec<&'static str> {
        NoveltyTracker::default().look(relation, known).into_iter().map(|novelty| novelty.class).collect()
    }

    #[test]
    fn what_was_seen_is_no_first_sight_and_what_was_not_is_one() {
        let day = Span { first: 0, last: crate::rollup::BUCKETS_PER_DAY - 1 };
        let known = SeenHistory::of(&[relation("billing", "stripe", "POST /v1/charges", 0)], day).known();
        let (_, same) = relation("billing", "stripe", "POST /v1/charges", 1);
        assert!(classes(&same, &known).is_empty());
        assert_eq!(classes(&Relation { vendor: "adyen", ..same }, &known), ["vendor_new"]);
        assert_eq!(classes(&Relation { vendor: "transfer.sh", ..same }, &known), ["vendor_new_drop"]);
        assert_eq!(classes(&Relation { endpoint: "POST /v1/refunds", ..same }, &known), ["endpoint_write"]);
        assert_eq!(classes(&Relation { endpoint: "GET /v1/customers", ..same }, &known)[0], "endpoint_read");
        assert_eq!(classes(&Relation { endpoint: "POST /v1/payouts", ..same }, &known), ["endpoint_sensitive"]);
        assert_eq!(classes(&Relation { network: "203.0.113.0/24", ..same }, &known), ["network_public_new"]);
        assert_eq!(classes(&Relation { network: "10.20.9.0/24", ..same }, &known), ["network_private_near"]);
        assert_eq!(classes(&Relation { endpoint: "DELETE /v1/charges/{id}", ..same }, &known), ["endpoint_sensitive"]);
        assert_eq!(classes(&Relation { scheme: "http", ..same }, &known), ["plaintext"]);
        assert_eq!(classes(&Relation { client: "curl", ..same }, &known), ["client_tool"]);
    }

    #[test]
    fn a_network_nobody_has_called_from_is_graded_by_who_owns_it() {
        let day = Span { first: 0, last: crate::rollup::BUCKETS_PER_DAY - 1 };
        let (_, without) = relation("billing", "stripe", "POST /v1/charges", 0);
        let office = Relation { network: "AS3320 deutsche telekom ag (DE)", ..without };
        let known = SeenHistory::of(&[(0, office)], day).known();
        for (network, class) in [
            ("AS6805 telefonica germany (DE)", "network_public_new"),
            ("AS24940 hetzner online gmbh (DE)", "network_hosting_new"),
            ("AS9009 m247 europe srl (RO)", "country_new"),
        ] {
            assert_eq!(classes(&Relation { network, ..without }, &known), [class]);
        }
        // A history without countries cannot tell that one is new.
        let known = SeenHistory::of(&[(0, without)], day).known();
        let rented = Relation { network: "AS9009 m247 europe srl (RO)", ..without };
        assert_eq!(classes(&rented, &known), ["network_hosting_new"]);
    }

    #[test]
    fn a_first_sight_is_told_once_also_after_a_restart() {
        let known = SeenSet::default();
        let (_, new) = relation("billing", "stripe", "POST /v1/charges", 0);
        let mut tracker = NoveltyTracker::default();
        assert_eq!(tracker.look(&new, &known).len(), 1);
        let bytes = postcard::to_stdvec(&tracker).unwrap();
        let mut tracker = postcard::from_bytes::<NoveltyTracker>(&bytes).unwrap().restored();
        assert!(tracker.look(&new, &known).is_empty());
    }

    #[test]
    fn a_replay_raises_the_rate_of_what_happens_every_day() {
        let names: Vec<String> =
            (0..8).map(|day| format!("GET /v1/report/{}", ["a", "b", "c", "d", "e", "f", "g", "h"][day])).collect();
        let days: Vec<_> = (0..8).map(|day| relation("billing", "stripe", &names[day as usize], day)).collect();
        let rates = NoveltyRates::fit(&days, &SeenHistory::of(&days, SPAN), SPAN);
        assert!(rates.of("endpoint_read") > 0.9 && rates.of("plaintext") < 0.05);
        assert!(rates.threshold(0.5) < rates.of("endpoint_read"), "six incidents in six days are more than three");
        assert_eq!(rates.threshold(2.0), f64::INFINITY);
    }

    #[test]
    fn classes_of_one_release_do_not_multiply() {
        let days = [relation("billing", "stripe", "GET /", 0)];
        let rates = NoveltyRates::fit(&days, &SeenHistory::of(&days, SPAN), SPAN);
        let release = BTreeSet::from(["client_known", "credential_new", "endpoint_read"]);
        assert_eq!(combined_rate(&rates, 10, release), 10.0);
        let theft = BTreeSet::from(["network_public_new", "client_tool"]);
        assert!(combined_rate(&rates, 10, theft) < rates.of("client_tool") / 50.0);
    }
}
