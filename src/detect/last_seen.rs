//! Silences: when each pair should have called again, and who has fallen silent: one caller, all callers of a vendor, or most of
//! what is logged.
//!
//! A pair counts from the first time that it called: a log that never held a caller tells nothing of its silence. When a pair's
//! silence could matter follows from its seasonality, so it is looked at then, and not before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::calls::Name;
use crate::features::{Column, Entity, EntityId, EntityState, EntityStore, Level, SIX_HOURS, WINDOWS};
use crate::models::baseline::{Baseline, Baselines};
use crate::models::silence::{at_level, is_reportable, missed_calls, times_longest};

/// Buckets after which a silence is old news: a day.
const OLD: i64 = 288;
/// Expected calls of the last half hour from which a pair should be calling now.
const AWAITED_CALLS: f64 = 2.0;
const AWAITED_BUCKETS: i64 = 6;
/// Share of the awaited pairs, and fewest callers among them, whose common silence is that of a log source.
const SOURCE_SHARE: f64 = 0.5;
const SOURCE_CALLERS: usize = 3;

/// When pairs are to be looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LastSeen {
    /// Pairs by the first bucket at whose end their silence could be worth reporting.
    due: BTreeMap<i64, Vec<EntityId>>,
    /// Pairs that are due or silent.
    followed: BTreeSet<EntityId>,
    /// Pairs whose silence could be worth reporting now.
    silent: BTreeSet<EntityId>,
}

/// One pair's silence.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Who is silent.
    pub pair: Entity,
    /// The last bucket with a call.
    pub last_seen: i64,
    /// Calls that were expected since.
    pub missed: f64,
    /// Against the pair's longest silence.
    pub times: f64,
}

/// Whose silence it is: silences that began together are one.
#[derive(Clone, Debug, PartialEq)]
pub enum SilenceGroup {
    /// One caller's, at one vendor or at all of its vendors.
    Caller(Vec<Silence>),
    /// That of all callers of a vendor.
    Vendor(Vec<Silence>),
    /// That of most of what is logged.
    Source(Vec<Silence>),
}

impl LastSeen {
    /// Notes that a pair called in a bucket.
    pub fn note(&mut self, pair: EntityId, baselines: &Baselines, bucket: i64) {
        if !self.followed.contains(&pair) {
            self.follow(pair, baselines, bucket);
        }
    }

    fn follow(&mut self, pair: EntityId, baselines: &Baselines, last_seen: i64) {
        let known = baselines.get(pair).filter(|known| known.is_known);
        if let Some(due) = known.and_then(|known| due(known, last_seen)) {
            self.followed.insert(pair);
            self.due.entry(due).or_default().push(pair);
        }
    }

    /// Who is silent at the end of a bucket, the longest silence of each first.
    pub fn silences<P>(&mut self, store: &EntityStore<P>, baselines: &Baselines, bucket: i64) -> Vec<SilenceGroup> {
        let later = self.due.split_off(&(bucket + 1));
        let due_now = std::mem::replace(&mut self.due, later);
        self.silent.extend(due_now.into_values().flatten());
        let mut silences = Vec::new();
        for pair in std::mem::take(&mut self.silent) {
            let state = store.get(pair).filter(|state| bucket - state.last_seen <= OLD);
            let Some((state, known)) = state.zip(baselines.get(pair)) else {
                self.followed.remove(&pair);
                continue;
            };
            if due(known, state.last_seen).is_none_or(|due| due > bucket) {
                self.followed.remove(&pair);
                self.follow(pair, baselines, state.last_seen);
                continue;
            }
            self.silent.insert(pair);
            silences.extend(silence_of(state, known, bucket));
        }
        if silences.is_empty() {
            return Vec::new();
        }
        silences.sort_by(|a, b| b.missed.total_cmp(&a.missed).then_with(|| a.pair.cmp(&b.pair)));
        let is_awaited = |state: &&EntityState<P>| {
            let known = baselines.get(state.entity.id()).filter(|known| known.is_known);
            let seasonality = known.and_then(|known| known.seasonality.as_ref());
            state.entity.level == Level::Pair
                && bucket - state.last_seen <= OLD
                && seasonality.is_some_and(|usual| usual.expected(bucket, AWAITED_BUCKETS) >= AWAITED_CALLS)
        };
        let awaited: Vec<&Entity> = store.states().filter(is_awaited).map(|state| &state.entity).collect();
        grouped(&awaited, silences)
    }
}

/// The first bucket at whose end a pair that called last in `last_seen` could be silent; `None` where that takes more than a day.
fn due(known: &Baseline, last_seen: i64) -> Option<i64> {
    let seasonality = known.seasonality.as_ref()?;
    let longest = f64::from(known.longest_silence);
    let is_due = |bucket: i64| is_reportable(times_longest(missed_calls(seasonality, last_seen, bucket), longest));
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

fn silence_of<P>(state: &EntityState<P>, known: &Baseline, bucket: i64) -> Option<Silence> {
    let seasonality = known.seasonality.as_ref()?;
    let called = state.sum(Column::Calls, SIX_HOURS, bucket) as f64;
    let expected = seasonality.expected(bucket, WINDOWS[SIX_HOURS].length(bucket));
    let missed = at_level(missed_calls(seasonality, state.last_seen, bucket), called, expected);
    let times = times_longest(missed, f64::from(known.longest_silence));
    let pair = || state.entity.clone();
    is_reportable(times).then(|| Silence { pair: pair(), last_seen: state.last_seen, missed, times })
}

fn grouped(awaited: &[&Entity], silent: Vec<Silence>) -> Vec<SilenceGroup> {
    let callers: BTreeSet<&Name> = silent.iter().map(|silence| &silence.pair.caller).collect();
    let quiet_now = silent.iter().filter(|silence| awaited.contains(&&silence.pair)).count();
    if callers.len() >= SOURCE_CALLERS && quiet_now as f64 >= SOURCE_SHARE * awaited.len().max(1) as f64 {
        return vec![SilenceGroup::Source(silent)];
    }
    let is_silent: BTreeSet<Entity> = silent.iter().map(|silence| silence.pair.clone()).collect();
    let of_vendor = |silence: &Silence| {
        let same = |pair: &&&Entity| pair.vendor == silence.pair.vendor && pair.view == silence.pair.view;
        let pairs: Vec<_> = awaited.iter().filter(same).collect();
        pairs.len() > 1 && pairs.iter().all(|pair| is_silent.contains(**pair))
    };
    let mut vendors: BTreeMap<Entity, Vec<Silence>> = BTreeMap::new();
    let mut own: BTreeMap<Entity, Vec<Silence>> = BTreeMap::new();
    for silence in silent {
        let (groups, key) = if of_vendor(&silence) {
            (&mut vendors, Entity { caller: Name::default(), ..silence.pair.clone() })
        } else {
            (&mut own, Entity { vendor: Name::default(), ..silence.pair.clone() })
        };
        groups.entry(key).or_default().push(silence);
    }
    vendors.into_values().map(SilenceGroup::Vendor).chain(own.into_values().map(SilenceGroup::Caller)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::View;
    use crate::features::WIDTH;
    use crate::models::seasonality::{Seasonality, Span};

    const SPAN: Span = Span { first: 0, last: 14 * 288 - 1 };

    fn baselines(pairs: &[(&str, &str)]) -> Baselines {
        let calls: Vec<(i64, i64)> = (SPAN.first..=SPAN.last).map(|bucket| (bucket, 5)).collect();
        let known = Baseline {
            days: 14,
            calls: 20_160,
            is_known: true,
            seasonality: Some(Seasonality::fit(&calls, SPAN, None)),
            dispersion: Vec::new(),
            endpoints: Vec::new(),
            peers: 0,
            longest_silence: 5.0,
            peaks: None,
            leaks: Default::default(),
        };
        pairs.iter().map(|(caller, vendor)| (Entity::pair(View::Egress, caller, vendor), known.clone())).collect()
    }

    /// Five calls a bucket up to bucket 5,000, and of those who are not silent two buckets more.
    fn after(pairs: &[(&str, &str)], silent: &[(&str, &str)]) -> Vec<SilenceGroup> {
        let (mut last_seen, baselines) = (LastSeen::default(), baselines(pairs));
        let mut store = EntityStore::<()>::default();
        let mut groups = Vec::new();
        for bucket in 4_900..=5_002 {
            store.advance(bucket);
            for (caller, vendor) in pairs.iter().filter(|pair| bucket <= 5_000 || !silent.contains(*pair)) {
                let pair = Entity::pair(View::Egress, caller, vendor);
                let index = store.open(pair.id(), || pair.clone());
                let mut values = [0; WIDTH];
                values[Column::Calls as usize] = 5;
                store.at_mut(index).unwrap().add(bucket, &values);
                last_seen.note(pair.id(), &baselines, bucket);
            }
            groups = last_seen.silences(&store, &baselines, bucket);
        }
        groups
    }

    const PAIRS: [(&str, &str); 5] =
        [("billing", "stripe"), ("billing", "adyen"), ("mailer", "sendgrid"), ("crm", "stripe"), ("shop", "adyen")];

    #[test]
    fn two_empty_buckets_at_sixty_calls_an_hour_are_a_silence() {
        let groups = after(&PAIRS, &[("mailer", "sendgrid")]);
        assert!(matches!(&groups[..], [SilenceGroup::Caller(of)] if of.len() == 1 && of[0].missed > 9.0), "{groups:?}");
    }

    #[test]
    fn a_callers_vendors_are_one_silence_and_so_are_a_vendors_callers() {
        let groups = after(&PAIRS, &[("billing", "stripe"), ("billing", "adyen")]);
        assert!(matches!(&groups[..], [SilenceGroup::Caller(of)] if of.len() == 2), "{groups:?}");
        let groups = after(&PAIRS, &[("billing", "stripe"), ("crm", "stripe")]);
        assert!(matches!(&groups[..], [SilenceGroup::Vendor(of)] if of.len() == 2), "{groups:?}");
    }

    #[test]
    fn most_pairs_at_once_are_the_log_source() {
        assert!(matches!(&after(&PAIRS, &PAIRS[..4])[..], [SilenceGroup::Source(of)] if of.len() == 4));
    }

    #[test]
    fn who_calls_again_is_no_longer_silent_and_who_never_called_is_not() {
        assert!(after(&PAIRS, &[]).is_empty());
        assert!(after(&[], &[]).is_empty());
    }
}
