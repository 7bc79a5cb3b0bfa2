//! A caller, a credential's owner or a log source that no longer calls.
//!
//! # Finds
//! A service that stopped calling a vendor (or all of its vendors) when its daily pattern expects calls, all callers of a vendor
//! gone at once, and one log source of several that died: most of what one view (egress or audit) logs falls silent together,
//! which is reported as one. On a day on which most callers call less (`company_wide`) it is a notice, one for all of them.
//!
//! # Why it matters
//! Whoever switches logs off wants something unseen; and a silent payment service loses money before anybody looks.
//!
//! # Misses
//! Pairs with fewer than eight expected calls until somebody would notice anyway; a caller that calls less, but calls. A view that
//! falls silent as a whole is `logs_stopped`'s; behind such a pause everybody is given the usual time to call again. Where more than one
//! call in 500 comes late, up to an hour, silence is told that much later.
//!
//! # Tuning
//! The share is fixed (5 % of the view's budget, 10 % in the audit view). A planned shutdown is reported once and closes
//! by itself after six hours.
//!
//! # Example alert
//! `billing-worker stopped calling stripe: no call for 10 minutes, usually about 10 calls in this time`
//!
//! # What to do first
//! 1. See whether the service runs, and whether its calls reach the vendor.
//! 2. If it runs and calls, its log is lost on the way: look at the shipper.
//! 3. If it was retired, record the verdict; the silence closes by itself.
//!
//! # When it is wrong
//! A service that was retired, a holiday that falls on a working day, a nightly job that starts later than it ever did.
//!
//! # Source
//! Calls expected since the last one, by time of day, against the longest silence of the pair's own history
//! (see `models::silence`).

use super::company_wide::MOST_CALLERS;
use super::sentence::measured;
use super::words::in_numbers;
use super::{
    Analytic, Benign, Candidate, Category, CauseClass, Change, Class, Company, Context, Contribution, Detector, Impact,
    Meta, Own,
};
use crate::calls::{Name, View};
use crate::features::{Column, Entity, EntityId, EntityState, EntityStore, Level, SIX_HOURS, WINDOWS};
use crate::models::baseline::{Baseline, Baselines};
use crate::models::calibration::p_value;
use crate::models::silence::{at_level, is_reportable, times_longest};
use crate::rollup::{BUCKET_SECONDS, Row};
use foldhash::HashSet;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Buckets after which a silence is old news: a day.
const OLD: i64 = 288;
/// Expected calls since a silence began from which a pair should have called.
const AWAITED_CALLS: f64 = 3.0;
/// Share of the awaited pairs, and fewest callers among them, whose common silence is that of a log source.
const SOURCE_SHARE: f64 = 0.5;
const SOURCE_CALLERS: usize = 3;
/// Whom an incident is about in which most of what is logged fell silent.
pub(super) const LOG_SOURCE: &str = "log source";

static META: Meta = Meta {
    name: "silence",
    title: "Expected calls do not come",
    category: Category::Drift,
    impact: Impact::Medium,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("silence.rs"),
};

static OF_CALLER: Class = Class::new("silence", &META, CauseClass::ServiceChanged, |of| {
    measured(of, &format!("{} stopped calling {}", of.who(), of.whom()), "")
})
.of(Change::Own);
static OF_VENDOR: Class =
    Class::new("silence", &META, CauseClass::Unknown, |of| measured(of, &format!("{} fell silent", of.vendor), ""))
        .of(Change::OfVendor);
static ON_QUIET_DAY: Class = Class::new("silence_on_quiet_day", &META, CauseClass::Unknown, |of| {
    measured(of, "most callers call less than usual, and some fell silent", "")
});

/// Expected calls do not come.
pub(super) struct Silence;

impl Detector for Silence {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&OF_CALLER, &OF_VENDOR, &ON_QUIET_DAY];
    type Model = ();
    type Memory = LastSeen;
    type Part = ();

    fn close(context: &Context<'_>, rows: &[Row], own: Own<'_, Self>) -> Vec<Candidate> {
        let by = By { baselines: &context.bundle.baselines, company: context.company };
        for row in rows {
            own.memory.note(EntityId::pair(&row.relation), row.relation.view(), by, context.bucket);
        }
        let groups = own.memory.silences(context.store, by, context.bucket);
        groups.iter().filter_map(|group| silent(context, group)).collect()
    }
}

/// When pairs are to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LastSeen {
    /// Pairs by the first bucket at whose end their silence could be worth reporting.
    due: BTreeMap<i64, Vec<EntityId>>,
    /// Pairs that are due or silent.
    followed: HashSet<EntityId>,
    /// Pairs whose silence could be worth reporting now.
    silent: BTreeSet<EntityId>,
}

/// By what silences are measured.
#[derive(Clone, Copy)]
struct By<'a> {
    baselines: &'a Baselines,
    company: &'a Company,
}

impl By<'_> {
    /// Calls expected of a pair in the `buckets` that end with `last`.
    fn expected(self, known: &Baseline, view: View, last: i64, buckets: i64) -> f64 {
        let at = self.company.usual_bucket(view, last);
        known.seasonality.as_ref().map_or(0.0, |seasonality| seasonality.expected(at, buckets))
    }

    /// Calls that a pair has missed up to the end of `bucket`, but for what may still come late. While nothing at all was logged, nobody missed
    /// any.
    fn missed(self, known: &Baseline, view: View, last_seen: i64, bucket: i64) -> f64 {
        let since = last_seen.max(self.company.awaited_since(view));
        let until = bucket - self.company.lateness(view);
        self.expected(known, view, until, (until - since).max(0))
    }

    /// The first bucket at whose end a pair that called last in `last_seen` could be silent; `None` where that takes more than a day.
    fn due(self, known: &Baseline, view: View, last_seen: i64) -> Option<i64> {
        known.seasonality.as_ref()?;
        let longest = f64::from(known.longest_silence);
        let is_due = |bucket| is_reportable(times_longest(self.missed(known, view, last_seen, bucket), longest));
        if !is_due(last_seen + OLD) {
            return None;
        }
        let (mut before, mut due) = (0, OLD);
        while due - before > 1 {
            let middle = before + (due - before) / 2;
            if is_due(last_seen + middle) { due = middle } else { before = middle }
        }
        Some(last_seen + due)
    }

    fn silence_of<P>(self, state: &EntityState<P>, known: &Baseline, bucket: i64) -> Option<Missing> {
        let view = state.entity.view;
        let called = state.sum(Column::Calls, SIX_HOURS, bucket) as f64;
        let heard = bucket - self.company.awaited_since(view);
        let expected = self.expected(known, view, bucket, WINDOWS[SIX_HOURS].length(bucket).min(heard));
        let missed = at_level(self.missed(known, view, state.last_seen, bucket), called, expected);
        let times = times_longest(missed, f64::from(known.longest_silence));
        let pair = || state.entity.clone();
        is_reportable(times).then(|| Missing { pair: pair(), last_seen: state.last_seen, missed, times })
    }
}

/// One pair's silence.
#[derive(Clone, Debug, PartialEq)]
struct Missing {
    /// Who is silent.
    pair: Entity,
    /// The last bucket with a call.
    last_seen: i64,
    /// Calls that were expected since.
    missed: f64,
    /// Against the pair's longest silence.
    times: f64,
}

/// Whose silence it is: silences that began together are one.
#[derive(Clone, Debug, PartialEq)]
enum Group {
    /// One caller's, at one vendor or at all of its vendors.
    Caller(Vec<Missing>),
    /// That of all callers of a vendor.
    Vendor(Vec<Missing>),
    /// That of most of what is logged in a view.
    Source(Vec<Missing>),
    /// All of a view, on a day on which most callers call less.
    QuietDay(Vec<Missing>),
}

impl LastSeen {
    /// Notes that a pair called in a bucket.
    fn note(&mut self, pair: EntityId, view: View, by: By<'_>, bucket: i64) {
        if !self.followed.contains(&pair) {
            self.follow(pair, view, by, bucket);
        }
    }

    fn follow(&mut self, pair: EntityId, view: View, by: By<'_>, last_seen: i64) {
        let known = by.baselines.get(pair).filter(|known| known.is_known);
        if let Some(due) = known.and_then(|known| by.due(known, view, last_seen)) {
            self.followed.insert(pair);
            self.due.entry(due).or_default().push(pair);
        }
    }

    /// Who is silent at the end of a bucket, the longest silence of each first.
    fn silences<P>(&mut self, store: &EntityStore<P>, by: By<'_>, bucket: i64) -> Vec<Group> {
        let later = self.due.split_off(&(bucket + 1));
        let due_now = std::mem::replace(&mut self.due, later);
        self.silent.extend(due_now.into_values().flatten());
        let mut silences = Vec::new();
        for pair in std::mem::take(&mut self.silent) {
            let state = store.get(pair).filter(|state| bucket - state.last_seen <= OLD);
            let Some((state, known)) = state.zip(by.baselines.get(pair)) else {
                self.followed.remove(&pair);
                continue;
            };
            let view = state.entity.view;
            if by.due(known, view, state.last_seen).is_none_or(|due| due > bucket) {
                self.followed.remove(&pair);
                self.follow(pair, view, by, state.last_seen);
                continue;
            }
            self.silent.insert(pair);
            // That nothing at all is logged is news of the log.
            if by.company.heard(view) == Some(bucket) {
                silences.extend(by.silence_of(state, known, bucket));
            }
        }
        if silences.is_empty() {
            return Vec::new();
        }
        silences.sort_by(|a, b| b.missed.total_cmp(&a.missed).then_with(|| a.pair.cmp(&b.pair)));
        // The newest of the silences is the one that others may have begun with.
        let begin = silences.iter().map(|silence| silence.last_seen).max().unwrap_or(bucket);
        let awaited = store.states().filter(|state| {
            let known = by.baselines.get(state.entity.id()).filter(|known| known.is_known);
            let expected = |known| by.expected(known, state.entity.view, bucket, bucket - begin);
            state.entity.level == Level::Pair
                && bucket - state.last_seen <= OLD
                && known.is_some_and(|known| expected(known) >= AWAITED_CALLS)
        });
        let awaited = awaited.map(|state| Awaited { pair: &state.entity, is_quiet: state.last_seen <= begin + 1 });
        grouped(&awaited.collect::<Vec<_>>(), by.company, bucket, silences)
    }
}

/// A pair that should have called since a silence began, and whether it has not either.
#[derive(Clone, Copy)]
struct Awaited<'a> {
    pair: &'a Entity,
    is_quiet: bool,
}

fn grouped(awaited: &[Awaited<'_>], company: &Company, bucket: i64, silent: Vec<Missing>) -> Vec<Group> {
    let mut views: BTreeMap<View, Vec<Missing>> = BTreeMap::new();
    for silence in silent {
        views.entry(silence.pair.view).or_default().push(silence);
    }
    // Each view has log sources of its own: that one goes on says nothing of the other's.
    let of_view = |(view, silent)| {
        let awaited: Vec<Awaited<'_>> = awaited.iter().copied().filter(|awaited| awaited.pair.view == view).collect();
        if company.was_quiet(view, bucket) { vec![Group::QuietDay(silent)] } else { grouped_in_view(&awaited, silent) }
    };
    views.into_iter().flat_map(of_view).collect()
}

fn grouped_in_view(awaited: &[Awaited<'_>], silent: Vec<Missing>) -> Vec<Group> {
    // Thin pairs take longer to be missed: that they are quiet too says whose silence it is.
    let quiet: Vec<&Entity> = awaited.iter().filter(|awaited| awaited.is_quiet).map(|awaited| awaited.pair).collect();
    let callers: BTreeSet<&Name> = quiet.iter().map(|pair| &pair.caller).collect();
    if callers.len() >= SOURCE_CALLERS && quiet.len() as f64 >= SOURCE_SHARE * awaited.len().max(1) as f64 {
        return vec![Group::Source(silent)];
    }
    let is_silent: BTreeSet<Entity> = silent.iter().map(|silence| silence.pair.clone()).collect();
    let of_vendor = |silence: &Missing| {
        let pairs = awaited.iter().map(|awaited| awaited.pair).filter(|pair| pair.vendor == silence.pair.vendor);
        let pairs: Vec<&Entity> = pairs.collect();
        pairs.len() > 1 && pairs.iter().all(|pair| is_silent.contains(*pair))
    };
    let mut vendors: BTreeMap<Entity, Vec<Missing>> = BTreeMap::new();
    let mut own: BTreeMap<Entity, Vec<Missing>> = BTreeMap::new();
    for silence in silent {
        let (groups, key) = if of_vendor(&silence) {
            (&mut vendors, Entity { caller: Name::default(), ..silence.pair.clone() })
        } else {
            (&mut own, Entity { vendor: Name::default(), ..silence.pair.clone() })
        };
        groups.entry(key).or_default().push(silence);
    }
    vendors.into_values().map(Group::Vendor).chain(own.into_values().map(Group::Caller)).collect()
}

/// Who no longer calls, and how rare that is; `None` where it is not rare enough to report.
fn silent(context: &Context<'_>, group: &Group) -> Option<Candidate> {
    let Context { bundle, budget, bucket, .. } = *context;
    let (Group::Caller(silences) | Group::Vendor(silences) | Group::Source(silences) | Group::QuietDay(silences)) =
        group;
    let longest = silences.first()?;
    let view = bundle.views.get(&longest.pair.view)?;
    let times = silences.iter().map(|silence| silence.times).fold(0.0, f64::max);
    let p_value = p_value(view.silence.as_ref(), times);
    let pairs = view.levels.get(&Level::Pair).map_or(1, |level| level.entities);
    let rate = bundle.alarms_per_day(pairs, p_value);
    let threshold = budget.silence(longest.pair.view);
    if !threshold.admits(rate, p_value) {
        return None;
    }
    let class = match group {
        Group::Caller(_) => &OF_CALLER,
        Group::Vendor(_) | Group::Source(_) => &OF_VENDOR,
        Group::QuietDay(_) => &ON_QUIET_DAY,
    };
    let mut candidate = Candidate::new(longest.pair.clone(), class);
    match group {
        Group::Caller(_) => {}
        Group::Vendor(_) => candidate.subject.caller.clear(),
        Group::Source(_) => {
            candidate.subject.caller.clear();
            candidate.subject.account.clear();
            LOG_SOURCE.clone_into(&mut candidate.subject.vendor);
        }
        Group::QuietDay(_) => {
            candidate.subject.caller.clear();
            candidate.subject.account.clear();
            MOST_CALLERS.clone_into(&mut candidate.subject.vendor);
            candidate.pages = false;
            candidate.details.likely = Some(Benign::QuietDay);
        }
    }
    let missed = silences.iter().map(|silence| silence.missed).sum();
    let buckets = bucket - longest.last_seen;
    let contributions = vec![reason(silences.len(), buckets, missed, p_value)];
    Some(Candidate {
        is_rise: false,
        window: buckets,
        rate,
        p_value,
        threshold: Some(threshold),
        contributions,
        ..candidate
    })
}

/// A silence in words: of how many pairs, for how many buckets, and the calls missed.
pub(super) fn reason(pairs: usize, buckets: i64, missed: f64, p_value: f64) -> Contribution {
    let minutes = buckets * BUCKET_SECONDS / 60;
    let of = if pairs > 1 { format!(" from {pairs} pairs of caller and vendor") } else { String::new() };
    Contribution {
        name: OF_CALLER.name.to_owned(),
        window: String::new(),
        observed: format!("no call{of} for {minutes} minutes"),
        baseline: format!("about {} calls in this time", in_numbers(missed)),
        observed_value: Some(0.0),
        baseline_value: Some(missed),
        unit: "calls".to_owned(),
        share: 1.0,
        p_value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::WIDTH;
    use crate::models::seasonality::{Seasonality, Span};

    const SPAN: Span = Span { first: 0, last: 14 * 288 - 1 };

    fn baselines(pairs: &[(&str, &str)]) -> Baselines {
        let calls: Vec<(i64, i64)> = (SPAN.first..=SPAN.last).map(|bucket| (bucket, 5)).collect();
        let known = Baseline::of_pair(Seasonality::fit(&calls, SPAN, None));
        pairs.iter().map(|(caller, vendor)| (pair_of(caller, vendor), known.clone())).collect()
    }

    /// A pair of the audit view where the vendor is one that logs, else of egress.
    fn pair_of(caller: &str, vendor: &str) -> Entity {
        Entity::pair(if vendor == "aws" { View::Audit } else { View::Egress }, caller, vendor)
    }

    /// Five calls a bucket up to bucket 5,000, and of those who are not silent two buckets more.
    fn after(pairs: &[(&str, &str)], silent: &[(&str, &str)]) -> Vec<Group> {
        let (mut last_seen, baselines, mut company) = (LastSeen::default(), baselines(pairs), Company::default());
        let mut store = EntityStore::<()>::default();
        let mut groups = Vec::new();
        for bucket in 4_900..=5_002 {
            store.advance(bucket);
            for (caller, vendor) in pairs.iter().filter(|pair| bucket <= 5_000 || !silent.contains(*pair)) {
                let pair = pair_of(caller, vendor);
                let index = store.open(pair.id(), || pair.clone());
                let mut values = [0; WIDTH];
                values[Column::Calls as usize] = 5;
                store.at_mut(index).unwrap().add(bucket, &values);
                company.note(pair.view, bucket, 0.0);
                let by = By { baselines: &baselines, company: &company };
                last_seen.note(pair.id(), pair.view, by, bucket);
            }
            // Somebody else calls on: the log itself goes on.
            [View::Egress, View::Audit].into_iter().for_each(|view| company.note(view, bucket, 0.0));
            groups = last_seen.silences(&store, By { baselines: &baselines, company: &company }, bucket);
        }
        groups
    }

    const PAIRS: [(&str, &str); 5] =
        [("billing", "stripe"), ("billing", "adyen"), ("mailer", "sendgrid"), ("crm", "stripe"), ("shop", "adyen")];

    #[test]
    fn two_empty_buckets_at_sixty_calls_an_hour_are_a_silence() {
        let groups = after(&PAIRS, &[("mailer", "sendgrid")]);
        assert!(matches!(&groups[..], [Group::Caller(of)] if of.len() == 1 && of[0].missed > 9.0), "{groups:?}");
    }

    #[test]
    fn a_callers_vendors_are_one_silence_and_so_are_a_vendors_callers() {
        let groups = after(&PAIRS, &[("billing", "stripe"), ("billing", "adyen")]);
        assert!(matches!(&groups[..], [Group::Caller(of)] if of.len() == 2), "{groups:?}");
        let groups = after(&PAIRS, &[("billing", "stripe"), ("crm", "stripe")]);
        assert!(matches!(&groups[..], [Group::Vendor(of)] if of.len() == 2), "{groups:?}");
    }

    #[test]
    fn most_pairs_at_once_are_the_log_source() {
        assert!(matches!(&after(&PAIRS, &PAIRS[..4])[..], [Group::Source(of)] if of.len() == 4));
    }

    #[test]
    fn a_log_source_is_one_silence_however_much_the_other_view_still_logs() {
        let principals = ["ann", "ben", "cem", "dan", "eva", "fay", "gus", "hal", "ida", "jon"];
        let pairs: Vec<_> = PAIRS.into_iter().chain(principals.map(|principal| (principal, "aws"))).collect();
        let groups = after(&pairs, &PAIRS);
        assert!(matches!(&groups[..], [Group::Source(of)] if of.len() == PAIRS.len()), "{groups:?}");
    }

    #[test]
    fn who_calls_again_is_no_longer_silent_and_who_never_called_is_not() {
        assert!(after(&PAIRS, &[]).is_empty());
        assert!(after(&[], &[]).is_empty());
    }
}
