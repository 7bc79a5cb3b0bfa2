//! Days of the history that stand out: one pass finds them, the next does not learn from them.
//!
//! An incident that a baseline has learned is one that it no longer finds, and one that is larger than all else in the history sets
//! the threshold for all others. So every entity's day is judged by what its other days and all other entities teach (the cross-fit of
//! `calibrate`), and what first showed on it by the rates of the other days. Which p-values are too small to be of the same kind
//! as the rest is a question of false discoveries (Benjamini & Hochberg, JRSS B 57, 1995; as a test for outliers: Bates, Candès, Lei,
//! Romano & Sesia, Annals of Statistics 51, 2023). Large ones hide others, so the question is asked again without them.
//!
//! What stands out need not be an attack. So a pair keeps most of its days, and a day that is not learned from still counts as one of the
//! most unusual when alarms a day are calibrated (winsorizing: Tukey, Annals of Mathematical Statistics 33, 1962): the threshold knows that it
//! was, not how large it was.
//!
//! Not here: how days are judged (`calibrate`), and what people exclude themselves (`calls::exclude`).

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashSet;
use serde::Serialize;

use super::calibrate::EntityDay;
use crate::calls::{Exclude, Relation, View};
use crate::features::{Entity, EntityId, Level};
use crate::models::novelty::Unexpected;
use crate::models::seasonality::Span;
use crate::rollup::{Row, bucket_of, bucket_start};

/// Times that a pass over the history is made, at most.
pub(super) const MAX_PASSES: usize = 3;
/// Longest rule that is worth pasting, bytes.
const MAX_RULE: usize = 500;
/// How often in the whole history a first-seen event that stands out may have been expected.
pub(super) const EXPECTED_NOVELTIES: f64 = 0.05;
/// Share of the days that stand out, 0 to 1, that may be days like the others.
const FALSE_SHARE: f64 = 0.1;
/// Largest share of a pair's days, 0 to 1, that are not learned from; of a pair with fewer, one.
const MAX_SHARE: f64 = 0.25;

/// A day of an entity that stands out.
#[derive(Clone, Debug)]
pub(super) struct Odd {
    pub entity: Entity,
    pub fold: i64,
    /// What stood out, in words.
    pub what: &'static str,
    /// How many such days were expected in the whole history.
    pub expected: f64,
    /// Whether it is a first-seen event, no test.
    is_novelty: bool,
}

impl Odd {
    /// A pair's day with first-seen events that were hardly to be expected.
    pub fn of_novelty(unexpected: &Unexpected, span: Span) -> Self {
        let entity = Entity::pair_of(&unexpected.relation);
        let fold = span.fold_of(bucket_of(unexpected.time));
        Self { entity, fold, what: unexpected.class.summary, expected: unexpected.expected, is_novelty: true }
    }
}

/// What stands out of the days of a view's entities.
pub(super) fn outliers(mut days: Vec<EntityDay>) -> Vec<Odd> {
    days.sort_by(|a, b| b.own.total_cmp(&a.own));
    let count = days.len() as f64;
    let expected = |day: &EntityDay| count * 10_f64.powf(-day.own);
    let found = (1..=days.len()).rev().find(|rank| expected(&days[rank - 1]) <= FALSE_SHARE * *rank as f64);
    let odd = |day: EntityDay| {
        let expected = expected(&day);
        Odd { entity: day.entity, fold: day.fold, what: day.what, expected, is_novelty: false }
    };
    days.into_iter().take(found.unwrap_or_default()).map(odd).collect()
}

/// A day that was not learned from, for the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OddDay {
    /// First moment of the day, RFC 3339, and first that no longer is (2); of a history of less than four days, a part of one.
    pub time: [String; 2],
    /// Who called; empty where the vendor itself stood out.
    pub caller: String,
    /// Whom.
    pub vendor: String,
    /// What stood out.
    pub what: String,
    /// How many such days were expected in the whole history.
    pub expected: f64,
    /// A rule for `--exclude` that leaves the day out, where one can be written.
    pub exclude: Option<String>,
}

/// Pairs' folds that are not learned from.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Aside {
    pairs: HashSet<(EntityId, i64)>,
    /// Entities' folds whose tests stood out, by view.
    tested: BTreeMap<View, usize>,
}

impl Aside {
    /// Chooses among what stands out: the folds of all pairs that took part in it, the least expected first, within [`MAX_SHARE`].
    pub fn choose(odd: &[Odd], rows: &[Row], span: Span) -> Self {
        let mut expected: BTreeMap<(EntityId, i64), f64> = BTreeMap::new();
        for odd in odd {
            let least = expected.entry((odd.entity.id(), odd.fold)).or_insert(odd.expected);
            *least = least.min(odd.expected);
        }
        let mut pairs: BTreeMap<EntityId, (BTreeSet<i64>, BTreeMap<i64, f64>)> = BTreeMap::new();
        for row in rows {
            let fold = span.fold_of(row.bucket);
            let (folds, odd) = pairs.entry(EntityId::pair(&row.relation)).or_default();
            folds.insert(fold);
            for id in ids_of(&row.relation) {
                if let Some(expected) = expected.get(&(id, fold)) {
                    odd.entry(fold).and_modify(|least| *least = least.min(*expected)).or_insert(*expected);
                }
            }
        }
        let mut aside = Self::default();
        for (pair, (folds, odd)) in pairs {
            let allowed = ((MAX_SHARE * folds.len() as f64) as usize).max(1);
            let mut odd: Vec<(i64, f64)> = odd.into_iter().collect();
            odd.sort_by(|a, b| a.1.total_cmp(&b.1));
            aside.pairs.extend(odd.into_iter().take(allowed).map(|(fold, _)| (pair, fold)));
        }
        let tested: BTreeSet<(EntityId, i64, View)> = odd
            .iter()
            .filter(|odd| !odd.is_novelty && aside.has_day(odd))
            .map(|odd| (odd.entity.id(), odd.fold, odd.entity.view))
            .collect();
        tested.into_iter().for_each(|(_, _, view)| *aside.tested.entry(view).or_default() += 1);
        aside
    }

    /// Whether what stands out is not learned from: of a shared entity, as far as its pairs' days are not.
    fn has_day(&self, odd: &Odd) -> bool {
        odd.entity.level != Level::Pair || self.pairs.contains(&(odd.entity.id(), odd.fold))
    }

    /// Number of entities' folds of a view whose tests stood out.
    pub fn tested(&self, view: View) -> usize {
        self.tested.get(&view).copied().unwrap_or_default()
    }

    /// Whether nothing stands out.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Whether a row is not learned from.
    pub fn has(&self, row: &Row, span: Span) -> bool {
        !self.pairs.is_empty() && self.pairs.contains(&(EntityId::pair(&row.relation), span.fold_of(row.bucket)))
    }

    /// The days that are not learned from, in their order, each with what stood out most. A shared entity's is named only where no pair's day
    /// says the same.
    pub fn report(&self, odd: &[Odd], span: Span) -> Vec<OddDay> {
        let is_pair = |odd: &Odd| odd.entity.level == Level::Pair;
        let by_pairs: BTreeSet<(&str, i64)> =
            odd.iter().filter(|odd| is_pair(odd)).map(|odd| (odd.entity.vendor.as_str(), odd.fold)).collect();
        let mut days: BTreeMap<(i64, &Entity), &Odd> = BTreeMap::new();
        for odd in odd.iter().filter(|odd| self.has_day(odd)) {
            if !is_pair(odd) && by_pairs.contains(&(odd.entity.vendor.as_str(), odd.fold)) {
                continue;
            }
            let day = days.entry((odd.fold, &odd.entity)).or_insert(odd);
            if odd.expected < day.expected {
                *day = odd;
            }
        }
        days.into_values().map(|odd| OddDay::of(odd, span)).collect()
    }
}

/// The entities that a relation is part of.
fn ids_of(relation: &Relation) -> impl Iterator<Item = EntityId> + '_ {
    let groups = [Level::VendorEndpoint, Level::Credential, Level::Vendor];
    std::iter::once(EntityId::pair(relation))
        .chain(groups.into_iter().filter_map(|level| EntityId::group(level, relation)))
}

impl OddDay {
    fn of(odd: &Odd, span: Span) -> Self {
        let time = |fold: i64| {
            let micros = bucket_start(fold * span.fold_buckets());
            jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
        };
        let time = [time(odd.fold), time(odd.fold + 1)];
        let entity = &odd.entity;
        let part = match entity.level {
            Level::VendorEndpoint => Some(("endpoint", &entity.part)),
            Level::Credential => Some(("credential", &entity.part)),
            Level::Pair => Some(("caller", &entity.caller)),
            Level::Vendor => None,
        };
        let mut rule = part.map(|(name, value)| format!("{name}={value},")).unwrap_or_default();
        rule.push_str(&format!("vendor={},from={},to={}", entity.vendor, time[0], time[1]));
        // A name with a comma cannot be written in a rule, one with control characters or without end not on a command line.
        let can_be_pasted = rule.len() <= MAX_RULE && !rule.chars().any(char::is_control);
        let exclude = (can_be_pasted && rule.parse::<Exclude>().is_ok()).then_some(rule);
        let (caller, vendor) = (entity.caller.to_string(), entity.vendor.to_string());
        Self { time, caller, vendor, what: odd.what.to_owned(), expected: odd.expected, exclude }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Calls;
    use crate::rollup::{BUCKET_MICROS, BUCKETS_PER_DAY, Rollup};

    const SPAN: Span = Span { first: 0, last: 10 * BUCKETS_PER_DAY - 1 };

    fn day(caller: &str, fold: i64, own: f64) -> EntityDay {
        let entity = Entity::pair(View::Egress, caller, "stripe");
        EntityDay { entity, fold, score: own as f32, own, what: "request size" }
    }

    /// Ten days of a hundred callers, whose p-values are as rare as they say.
    fn ordinary() -> Vec<EntityDay> {
        let own = |rank: i64| -(rank as f64 / 1_001.0).log10();
        (1..=1_000).map(|rank| day(&format!("svc-{}", rank % 100), rank / 100, own(rank))).collect()
    }

    /// Two callers of one vendor, on each of the ten days.
    fn rows() -> Vec<Row> {
        let times = (0..10).map(|day| day * BUCKETS_PER_DAY * BUCKET_MICROS);
        let calls = times.flat_map(|time| ["billing", "payroll"].map(|caller| (time, (caller, "stripe"))));
        Rollup::of(&Calls::of_pairs(calls)).into_rows()
    }

    fn odd(entity: Entity, fold: i64, expected: f64) -> Odd {
        Odd { entity, fold, what: "request size", expected, is_novelty: false }
    }

    fn billing() -> Entity {
        Entity::pair(View::Egress, "billing", "stripe")
    }

    fn days_aside(aside: &Aside) -> Vec<(String, i64)> {
        let aside = rows().into_iter().filter(|row| aside.has(row, SPAN));
        aside.map(|row| (row.relation.caller().to_string(), SPAN.fold_of(row.bucket))).collect()
    }

    #[test]
    fn ordinary_days_do_not_stand_out_and_several_incidents_all_do() {
        assert_eq!(outliers(ordinary()).len(), 0);
        let incidents = (0..7).map(|incident| day("crm", incident, 4.0 + incident as f64));
        let found = outliers(ordinary().into_iter().chain(incidents).collect());
        assert_eq!(found.iter().filter(|odd| odd.entity.caller.as_str() == "crm").count(), 7);
        assert!(found.len() <= 8, "{found:?}");
    }

    #[test]
    fn a_pair_whose_days_are_all_odd_loses_a_quarter_of_them_the_oddest() {
        let odd: Vec<Odd> = (0..10).map(|fold| odd(billing(), fold, 1e-3 / (fold + 1) as f64)).collect();
        let aside = Aside::choose(&odd, &rows(), SPAN);
        assert_eq!(days_aside(&aside), [("billing".to_owned(), 8), ("billing".to_owned(), 9)]);
        assert_eq!(aside.tested(View::Egress), 2);
    }

    #[test]
    fn a_vendors_odd_day_is_one_of_all_its_callers() {
        let vendor = Entity::at_level(Level::Vendor, &rows()[0].relation);
        let aside = Aside::choose(&[odd(vendor, 3, 1e-6)], &rows(), SPAN);
        assert_eq!(days_aside(&aside), [("billing".to_owned(), 3), ("payroll".to_owned(), 3)]);
    }

    #[test]
    fn the_report_holds_a_rule_that_excludes_the_day() {
        let odd = [odd(billing(), 2, 1e-6), odd(Entity::at_level(Level::Vendor, &rows()[0].relation), 2, 1e-4)];
        let days = Aside::choose(&odd, &rows(), SPAN).report(&odd, SPAN);
        let rules: Vec<_> = days.iter().filter_map(|day| day.exclude.as_deref()).collect();
        let rule = "caller=billing,vendor=stripe,from=1970-01-03T00:00:00Z,to=1970-01-04T00:00:00Z";
        assert_eq!(rules, [rule], "the vendor's day is the same: {days:?}");
        assert!(rule.parse::<Exclude>().is_ok());
        for hostile in ["billing, old", "billing\nold", &"x".repeat(1_000)] {
            let entity = Entity::pair(View::Egress, hostile, "stripe");
            assert_eq!(OddDay::of(&self::odd(entity, 2, 1e-6), SPAN).exclude, None);
        }
    }
}
