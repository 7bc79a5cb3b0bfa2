//! Calibration: whether p-values are as rare as they say, on days on which nothing is known to have happened.
//!
//! A p-value is the chance that an entity has such a day (`models::calibration`), so what is counted are entity-days: the
//! smallest p-value of each. Of a history of less than four days they are the parts of a day that it was cut into.
//!
//! Not here: how p-values come about (`models`), and whether alerts find anything ([`evaluate`](super::evaluate)).

use std::collections::BTreeMap;

use serde::Serialize;

use super::labels::{Case, Labels};
use crate::features::{Entity, Level};
use crate::models::baseline::Baselines;
use crate::models::seasonality::Span;
use crate::rollup::bucket_start;

/// What a p-value of an entity-day is held against.
pub const NOMINAL: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];
/// Ages, in days of an entity's own history: name and last day.
const AGES: [(&str, u32); 4] = [("0", 0), ("1-3", 3), ("4-10", 10), ("over 10", u32::MAX)];
/// What happened is seen for as long as a day's window looks back to it, microseconds.
const SEEN_AFTER: i64 = 86_400_000_000;

/// Smallest p-value of each entity-day.
#[derive(Clone, Debug)]
pub struct EntityDays {
    span: Span,
    smallest: BTreeMap<Entity, BTreeMap<i64, f64>>,
}

/// How often entities of one age had a day that the model calls rare.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Days of own history.
    pub age: &'static str,
    /// Entity-days on which nothing is known to have happened.
    pub entity_days: usize,
    /// Share of them with a p-value up to each of [`NOMINAL`]; `None` where there is no entity-day.
    pub shares: Option<[f64; NOMINAL.len()]>,
}

impl EntityDays {
    /// None yet; `span` is that of the history which the bundle was learned from.
    pub fn new(span: Span) -> Self {
        Self { span, smallest: BTreeMap::new() }
    }

    /// Notes a p-value at the end of a bucket.
    pub fn observe(&mut self, entity: &Entity, bucket: i64, p_value: f64) {
        let fold = self.span.fold_of(bucket);
        let smallest = |days: &mut BTreeMap<i64, f64>| {
            days.entry(fold).and_modify(|least| *least = least.min(p_value)).or_insert(p_value);
        };
        match self.smallest.get_mut(entity) {
            Some(days) => smallest(days),
            None => smallest(self.smallest.entry(entity.clone()).or_default()),
        }
    }

    /// Counts the entity-days that lie within `from` and `to` (microseconds since the epoch) and that no case touches, by age;
    /// all ages come last.
    pub fn calibration(&self, baselines: &Baselines, labels: &Labels, from: i64, to: i64) -> Vec<Calibration> {
        let length = self.span.fold_buckets();
        let mut by_age: [Vec<f64>; AGES.len()] = Default::default();
        for (entity, days) in &self.smallest {
            let age = baselines.get(entity.id()).map_or(0, |baseline| baseline.days);
            let place = AGES.iter().position(|(_, last)| age <= *last).unwrap_or(AGES.len() - 1);
            let is_normal = |fold: i64| {
                let (start, end) = (bucket_start(fold * length), bucket_start((fold + 1) * length));
                let touches = |case: &Case| {
                    case.start < end && start < case.end.saturating_add(SEEN_AFTER) && is_about(case, entity)
                };
                start >= from && end <= to && !labels.cases.iter().any(touches)
            };
            by_age[place].extend(days.iter().filter(|(fold, _)| is_normal(**fold)).map(|(_, p_value)| *p_value));
        }
        let all = by_age.concat();
        let ages = AGES.iter().map(|(age, _)| *age).zip(by_age).chain([("all", all)]);
        ages.map(|(age, p_values)| Calibration::of(age, &p_values)).collect()
    }
}

impl Calibration {
    fn of(age: &'static str, p_values: &[f64]) -> Self {
        let share = |nominal: f64| {
            p_values.iter().filter(|p_value| **p_value <= nominal).count() as f64 / p_values.len() as f64
        };
        let shares = (!p_values.is_empty()).then(|| NOMINAL.map(share));
        Self { age, entity_days: p_values.len(), shares }
    }
}

/// Whether a case may show in an entity's numbers: rather once too often than once too seldom.
fn is_about(case: &Case, entity: &Entity) -> bool {
    let Some(subject) = &case.subject else { return true };
    let by_host = subject.vendor_host.as_ref().is_none_or(|host| host.contains(entity.vendor.as_str()));
    match (&subject.caller, entity.level) {
        (Some(caller), Level::Pair) => entity.caller == **caller,
        _ => by_host,
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::scenario;
    use super::*;
    use crate::calls::View;
    use crate::rollup::BUCKETS_PER_DAY;

    const DAY: i64 = 86_400_000_000;

    fn observed() -> EntityDays {
        let mut days = EntityDays::new(Span { first: -14 * BUCKETS_PER_DAY, last: -1 });
        for caller in ["payroll", "billing"] {
            let pair = Entity::pair(View::Egress, caller, "stripe.com");
            for day in 0..5 {
                days.observe(&pair, day * BUCKETS_PER_DAY + 3, 0.5);
                days.observe(&pair, day * BUCKETS_PER_DAY + 9, if day == 4 { 0.005 } else { 0.9 });
            }
        }
        days
    }

    #[test]
    fn the_smallest_p_value_of_each_entity_day_is_counted() {
        let ages = observed().calibration(&Baselines::default(), &Labels::default(), 0, 5 * DAY);
        assert_eq!((ages[0].age, ages[0].entity_days), ("0", 10));
        assert_eq!(ages[0].shares, Some([0.2, 0.2, 0.0, 0.0]));
        assert_eq!((ages[3].entity_days, ages[3].shares), (0, None));
        assert_eq!((ages[4].age, ages[4].entity_days), ("all", 10));
    }

    #[test]
    fn days_on_which_something_happened_and_the_day_after_are_not_counted() {
        // Over the first hour: its day, and the next, whose windows still see it.
        let cases = vec![scenario("P1", true, ["payroll", "", ""])];
        let ages = observed().calibration(&Baselines::default(), &Labels { cases, records: vec![] }, 0, 4 * DAY);
        assert_eq!(ages[4].entity_days, 4 + 2);
    }
}
