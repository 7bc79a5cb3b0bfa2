//! The causes that the judge looks for in one state at the end of a bucket: tests that are too rare together, pure volume,
//! and an hour that is odd as a whole; each attributed to whom it is about.

use std::sync::Arc;

use super::evaluator::{Candidate, EXPLAINED, Evaluator, State, Store};
use super::findings::Details;
use crate::alerts::Subject;
use crate::calls::{Name, VendorCategory};
use crate::detect::{
    Benign, Cause, Counterfactual, Sharing, SilenceGroup, contribution, left_out, multivariate_contribution, sharing,
    silence_contribution,
};
use crate::features::{Column, HOUR, Level, WINDOWS};
use crate::models::baseline::{Verdict, share_of};
use crate::models::calibration::p_value;
use crate::models::multivariate_row;
use crate::models::peak::max_calls_per_hour;
use crate::models::statistic::{Kind, Observation, STATISTICS};
use crate::rollup::BUCKET_MICROS;

/// Reasons that a finding tells.
const MAX_REASONS: usize = 3;
/// Pure volume pages from this many times the expectation; at a metered vendor while the company rests; and from this many
/// calls.
const SURGE: f64 = 30.0;
const SURGE_AT_REST: f64 = 8.0;
const MIN_SURGE_CALLS: f64 = 20.0;
/// Times the calls of the busiest hour ever, from an hour on.
const SURGE_OVER_PEAK: f64 = 2.0;
/// Times the expectation from which unusual volume with usual ratios is told, without a page, as a campaign.
const CAMPAIGN: f64 = 3.0;
/// Buckets of the level that a surge is measured against: three hours.
const LEVEL_BUCKETS: i64 = 36;
/// Whom an incident is about in which most of what is logged fell silent.
const LOG_SOURCE: &str = "log source";
/// The company rests while the pairs that keep office hours are below this share of their mean.
const AT_REST: f64 = 0.4;
/// A caller makes most of a vendor's change from this part of it.
const MAJORITY_OF_CHANGE: f64 = 0.5;

impl Evaluator {
    /// An entity whose tests together are too rare, attributed to the caller or the vendor; `None` where something else
    /// tells it better.
    pub fn unusual(
        &mut self,
        store: &Store,
        state: &State,
        verdicts: &[Verdict],
        p_value: f64,
        time: i64,
    ) -> Option<Candidate> {
        let bundle = Arc::clone(&self.bundle);
        let mut reasons: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.test.weight() > 0.0).collect();
        reasons.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
        let leading = *reasons.first()?;
        let statistic = leading.test.statistic();
        let entity = &state.entity;
        let subject_state = match entity.level {
            Level::Pair => state,
            Level::Vendor => most_changed(store.pairs_of(entity.view, &entity.vendor), leading, store.now())?,
            Level::VendorEndpoint | Level::Credential => most_changed(users_of(store, state), leading, store.now())?,
        };
        let bucket = store.now();
        let seen = Verdict { seen: observed_of(subject_state, leading, bucket), ..leading.clone() };
        let shared = if statistic.of_vendor {
            sharing(store, &bundle.baselines, subject_state, if entity.level == Level::Pair { leading } else { &seen })
        } else {
            Sharing::Own
        };
        if entity.level == Level::Vendor && shared < Sharing::Likely {
            return None; // one caller only: its own test judges it
        }
        let makes_most = share_of_change(store, subject_state, leading) >= MAJORITY_OF_CHANGE;
        let subject = self.subject_of(store, subject_state, leading, (shared, makes_most), time)?;
        let is_of_vendor = subject.caller.is_empty();
        let cause = Cause {
            name: statistic.name,
            is_rise: leading.seen.effect(statistic.kind) >= 0.0,
            is_of_vendor,
            view: entity.view,
        };
        // A vendor has no endpoints of its own to say what is usual by: its most changed caller has.
        let said_of = if entity.level == Level::Vendor { subject_state } else { state };
        let words = |verdict: &&Verdict| {
            contribution((said_of, bucket), verdict, &bundle.expectations, share_of(entity.level, verdict, verdicts))
        };
        // Whether others see it is told also of what a vendor cannot cause.
        let is_asked = matches!(statistic.kind, Kind::Mean(..) | Kind::Count(..));
        let seen_by = is_asked.then(|| sharing(store, &bundle.baselines, subject_state, &seen));
        let told = reasons.iter().take(MAX_REASONS).filter(|verdict| verdict.p_value < 1.0);
        Some(Candidate {
            entity: subject_state.entity.clone(),
            window: leading.test.buckets(),
            rate: bundle.alarms_per_day(bundle.entities(entity.view), p_value),
            p_value,
            share: self.budget.tests(entity.view),
            pages: true,
            contributions: told.map(words).collect(),
            endpoint: leading
                .endpoint
                .as_ref()
                .or_else(|| (entity.level == Level::VendorEndpoint).then_some(&entity.part))
                .map(Name::to_string),
            calls: state.sum(Column::Calls, leading.test.window, bucket).max(0) as u64,
            subject,
            cause,
            details: Details {
                counterfactual: self.without_statistics(entity, verdicts),
                sharing: seen_by,
                ..Details::default()
            },
        })
    }

    /// Whether a change is told of the caller or of the vendor; `None` where it was told already, and is over. A caller that
    /// makes most of a change has it until others confirm it: its own doing shows in the vendor's numbers too.
    fn subject_of(
        &mut self,
        store: &Store,
        subject_state: &State,
        leading: &Verdict,
        (shared, makes_most): (Sharing, bool),
        time: i64,
    ) -> Option<Subject> {
        let (statistic, entity) = (leading.test.statistic(), &subject_state.entity);
        let own = Subject::of(entity);
        let vendor = Subject { caller: String::new(), ..own.clone() };
        let changed = (entity.view, entity.vendor.clone(), leading.test.statistic);
        if shared == Sharing::Confirmed {
            self.memory.changed.insert(changed.clone(), time);
        }
        let explained = leading.test.buckets() * BUCKET_MICROS + EXPLAINED;
        let is_known = self.memory.changed.get(&changed).is_some_and(|at| time - at <= explained);
        let is_vendor_open = self.memory.incidents.is_open(&vendor);
        if is_known && !is_vendor_open && shared != Sharing::Confirmed {
            return None;
        }
        let is_explainable = statistic.of_vendor || statistic.kind == Kind::Mix;
        let is_explained = is_vendor_open && is_explainable && (is_known || shared >= Sharing::Unknown);
        let is_own = shared < Sharing::Likely || (shared == Sharing::Likely && makes_most && !is_vendor_open);
        if is_own && !is_explained {
            return Some(own);
        }
        if !is_vendor_open {
            self.widen(store, &vendor, time);
        }
        Some(vendor)
    }

    /// Makes the incident of one of a vendor's callers the vendor's, if a vendor can have caused it.
    fn widen(&mut self, store: &Store, vendor: &Subject, time: i64) {
        let of_vendor: Vec<&str> =
            STATISTICS.iter().filter(|statistic| statistic.of_vendor).map(|statistic| statistic.name).collect();
        let name = Name::new(&vendor.vendor);
        let mut pairs = store.pairs_of(vendor.view, &name);
        pairs
            .any(|pair| self.memory.incidents.promote_to_vendor(vendor, pair.entity.caller.as_str(), &of_vendor, time));
    }

    /// Pure volume: far beyond the clock, whatever the ratios say. `rate_of_tests` is that of the ratios: where they are usual too, and
    /// the volume is not beyond what a campaign brings, it is told as one.
    pub fn surge(&self, state: &State, verdict: &Verdict, rate_of_tests: f64, bucket: i64) -> Option<Candidate> {
        if verdict.test.statistic().kind != Kind::Volume || verdict.z <= 0.0 {
            return None;
        }
        let rate = self.bundle.alarms_per_day(self.bundle.entities(state.entity.view), verdict.p_value);
        let share = self.budget.volume(state.entity.view);
        if rate > share {
            return None;
        }
        let known = self.bundle.baselines.get(state.entity.id()).filter(|known| known.is_known)?;
        let seasonality = known.seasonality.as_ref()?;
        let buckets = WINDOWS[verdict.test.window].length(bucket) as f64;
        let level = seasonality.expected(bucket, LEVEL_BUCKETS) * buckets / LEVEL_BUCKETS as f64;
        let usual = verdict.seen.against.max(level);
        let is_at_rest = self.is_company_at_rest(bucket);
        let is_at_rest = is_at_rest && self.is_metered(state.entity.vendor.as_str());
        let times = if is_at_rest { SURGE_AT_REST } else { SURGE };
        // A nightly job that is made up for by day is no surge: more than ever is.
        let peak = known.peaks.as_ref().map_or(0.0, max_calls_per_hour);
        let peak = if is_at_rest { 0.0 } else { peak * if buckets < 12.0 { 1.0 } else { SURGE_OVER_PEAK } };
        let least = (seasonality.peak() * buckets).max(MIN_SURGE_CALLS).max(peak);
        let pages = verdict.seen.observed >= times * usual && verdict.seen.observed >= least;
        let tests = self.budget.tests(state.entity.view);
        let is_campaign = rate_of_tests > tests && verdict.seen.observed >= CAMPAIGN * usual;
        if !pages && (!is_campaign || verdict.seen.observed < MIN_SURGE_CALLS) {
            return None;
        }
        let counterfactual = Counterfactual::find(&[left_out(verdict)], |_| rate_of_tests, tests);
        let entity = &state.entity;
        Some(Candidate {
            entity: state.entity.clone(),
            subject: Subject::of(entity),
            cause: Cause { name: verdict.test.statistic().name, is_rise: true, is_of_vendor: false, view: entity.view },
            window: verdict.test.buckets(),
            rate,
            p_value: verdict.p_value,
            share,
            pages,
            contributions: vec![contribution((state, bucket), verdict, &self.bundle.expectations, 1.0)],
            endpoint: None,
            calls: verdict.seen.observed as u64,
            details: Details {
                counterfactual: pages.then_some(counterfactual),
                likely: Some(Benign::Campaign),
                ..Details::default()
            },
        })
    }

    /// Who no longer calls, and how rare that is; `None` where it is not rare enough to tell.
    pub fn silent(&self, group: &SilenceGroup, bucket: i64) -> Option<Candidate> {
        let (SilenceGroup::Caller(silences) | SilenceGroup::Vendor(silences) | SilenceGroup::Source(silences)) = group;
        let longest = silences.first()?;
        let view = self.bundle.views.get(&longest.pair.view)?;
        let times = silences.iter().map(|silence| silence.times).fold(0.0, f64::max);
        let p_value = p_value(view.silence.as_ref(), times);
        let pairs = view.levels.get(&Level::Pair).map_or(1, |level| level.entities);
        let rate = self.bundle.alarms_per_day(pairs, p_value);
        if rate > self.budget.silence(longest.pair.view) {
            return None;
        }
        let mut subject = Subject::of(&longest.pair);
        match group {
            SilenceGroup::Caller(_) => {}
            SilenceGroup::Vendor(_) => subject.caller.clear(),
            SilenceGroup::Source(_) => (subject.caller, subject.vendor) = (String::new(), LOG_SOURCE.to_owned()),
        }
        let missed = silences.iter().map(|silence| silence.missed).sum();
        let buckets = bucket - longest.last_seen;
        let view = subject.view;
        Some(Candidate {
            entity: longest.pair.clone(),
            cause: Cause { name: "silence", is_rise: false, is_of_vendor: subject.caller.is_empty(), view },
            subject,
            window: buckets,
            rate,
            p_value,
            share: self.budget.silence(longest.pair.view),
            pages: true,
            contributions: vec![silence_contribution(silences.len(), buckets, missed, p_value)],
            endpoint: None,
            calls: 0,
            details: Details::default(),
        })
    }

    /// Whether a vendor sells work by the piece, as far as anybody knows.
    pub fn is_metered(&self, vendor: &str) -> bool {
        self.bundle.known.vendors().category(vendor).is_some_and(VendorCategory::is_metered)
    }

    fn is_company_at_rest(&self, bucket: i64) -> bool {
        let hour = WINDOWS[2].buckets;
        let levels = self.office.iter().filter_map(|entity| {
            let seasonality = self.bundle.baselines.get(*entity)?.seasonality.as_ref()?;
            let [weekday, weekend] = seasonality.mean();
            Some(seasonality.expected(bucket, hour) / hour as f64 / ((weekday + weekend) / 2.0).max(1e-9))
        });
        let (count, sum) = levels.fold((0_u32, 0.0), |(count, sum), level| (count + 1, sum + level));
        count > 0 && sum / f64::from(count) < AT_REST
    }

    /// An hour whose numbers are usual one by one and odd together.
    pub fn odd_hour(&self, state: &State, row: &[f64]) -> Option<Candidate> {
        let entity = &state.entity;
        let multivariate = self.bundle.multivariate.get(&entity.view)?;
        let p_value = multivariate.p_value(row);
        let rate = self.bundle.alarms_per_day(multivariate.entities, p_value);
        if rate > self.budget.multivariate_notice(entity.view) {
            return None;
        }
        let shares = multivariate.multivariate.contributions(ndarray::ArrayView1::from(row));
        let words = |(column, share): &(String, f64)| {
            multivariate_contribution(column, *share, multivariate_row::window_name(), p_value)
        };
        Some(Candidate {
            entity: entity.clone(),
            subject: Subject::of(entity),
            cause: Cause { name: "multivariate", is_rise: true, is_of_vendor: false, view: entity.view },
            window: WINDOWS[HOUR].buckets,
            rate,
            p_value,
            share: self.budget.multivariate_notice(entity.view),
            // A notice: what it paged for was found by others, or was false (benches/README.md).
            pages: false,
            contributions: shares.iter().take(MAX_REASONS).map(words).collect(),
            endpoint: None,
            calls: state.sum(Column::Calls, HOUR, state.last_seen).max(0) as u64,
            details: Details {
                counterfactual: Some(self.without_columns(entity.view, multivariate, row, &shares)),
                ..Details::default()
            },
        })
    }
}

/// What a test sees of an entity at the end of a bucket.
fn observed_of(state: &State, verdict: &Verdict, bucket: i64) -> Observation {
    let sums = state.windows.sums(bucket);
    Observation::of(verdict.test.statistic().kind, &sums[verdict.test.window], &[0; _], 0.0)
}

/// The pairs behind a shared credential or endpoint.
fn users_of<'a>(store: &'a Store, state: &'a State) -> impl Iterator<Item = &'a State> {
    let entity = &state.entity;
    store.pairs_of(entity.view, &entity.vendor).filter(|pair| match entity.level {
        Level::Credential => pair.trail.credential == entity.part,
        _ => pair.endpoint(&entity.part).is_some_and(|counts| !counts.is_idle(store.now())),
    })
}

/// Of some pairs, the one whose calls make most of a change: whether the vendor changed is what is left without them.
fn most_changed<'a>(pairs: impl Iterator<Item = &'a State>, verdict: &Verdict, bucket: i64) -> Option<&'a State> {
    let parts = pairs.map(|pair| (part_of_change(pair, verdict, bucket), pair));
    let most = parts.max_by(|(a, of), (b, other)| a.total_cmp(b).then_with(|| other.entity.cmp(&of.entity)));
    most.map(|(_, pair)| pair)
}

/// Part of a change at a vendor that one pair's calls make, 0 to 1.
fn share_of_change(store: &Store, pair: &State, verdict: &Verdict) -> f64 {
    let part = |pair: &State| part_of_change(pair, verdict, store.now()).max(0.0);
    let all: f64 = store.pairs_of(pair.entity.view, &pair.entity.vendor).map(part).sum();
    if all > 0.0 { part(pair) / all } else { 0.0 }
}

/// What a pair's calls add to a change: residuals in its direction, or counts above those expected.
fn part_of_change(pair: &State, verdict: &Verdict, bucket: i64) -> f64 {
    let (kind, seen) = (verdict.test.statistic().kind, observed_of(pair, verdict, bucket));
    match kind {
        Kind::Mean(..) => seen.observed * verdict.seen.effect(kind).signum(),
        _ => seen.observed - seen.against,
    }
}
