//! When each pair was last_seen last, and who has fallen silent: one caller, all callers of a vendor, or most of what is logged.
//!
//! Pairs count from the first time that they are last_seen: a log that never held a caller tells nothing of its silence.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::features::{Column, Entity, EntityStore, WINDOWS};
use crate::models::baseline::{Baseline, Baselines};
use crate::models::silence::{at_level, is_reportable, missed_calls, times_longest};

/// Buckets after which a silence is old news: a day.
const OLD: i64 = 288;
/// Window that a pair's level is taken from, as a place in `WINDOWS`: six hours.
const LEVEL_WINDOW: usize = 3;
/// Expected calls of the last half hour from which a pair should be last_seen now.
const AWAITED_CALLS: f64 = 2.0;
const AWAITED_BUCKETS: i64 = 6;
/// Share of the awaited pairs, and fewest callers among them, whose common silence is that of a log source.
const SOURCE_SHARE: f64 = 0.5;
const SOURCE_CALLERS: usize = 3;

/// When pairs were last_seen last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LastSeen(BTreeMap<Entity, i64>);

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
    /// Notes that a pair called.
    pub fn hear(&mut self, pair: &Entity, bucket: i64) {
        match self.0.get_mut(pair) {
            Some(last) => *last = bucket,
            None => {
                self.0.insert(pair.clone(), bucket);
            }
        }
    }

    /// Lets go of pairs that have been silent for so long that nobody waits for them.
    pub fn forget(&mut self, bucket: i64) {
        self.0.retain(|_, last_seen| bucket - *last_seen <= OLD);
    }

    /// Who is silent at the end of a bucket, the longest silence of each first.
    pub fn silences(&self, store: &EntityStore, baselines: &Baselines, bucket: i64) -> Vec<SilenceGroup> {
        let (mut awaited, mut silent) = (Vec::new(), Vec::new());
        for (pair, last_seen) in &self.0 {
            let Some(known) = baselines.get(pair).filter(|known| known.is_known) else { continue };
            let Some(clock) = &known.clock else { continue };
            if clock.expected(bucket, AWAITED_BUCKETS) >= AWAITED_CALLS {
                awaited.push(pair);
            }
            if *last_seen < bucket
                && let Some(silence) = silence_of(pair, known, store, *last_seen, bucket)
            {
                silent.push(silence);
            }
        }
        silent.sort_by(|a, b| b.missed.total_cmp(&a.missed).then_with(|| a.pair.cmp(&b.pair)));
        grouped(&awaited, silent)
    }
}

fn silence_of(pair: &Entity, known: &Baseline, store: &EntityStore, last_seen: i64, bucket: i64) -> Option<Silence> {
    let clock = known.clock.as_ref()?;
    let called = store.get(pair).map_or(0, |state| state.sum(Column::Calls, LEVEL_WINDOW)) as f64;
    let expected = clock.expected(bucket, WINDOWS[LEVEL_WINDOW].buckets);
    let missed = at_level(missed_calls(clock, last_seen, bucket), called, expected);
    let times = times_longest(missed, f64::from(known.longest_silence));
    is_reportable(times).then(|| Silence { pair: pair.clone(), last_seen, missed, times })
}

fn grouped(awaited: &[&Entity], silent: Vec<Silence>) -> Vec<SilenceGroup> {
    let callers: BTreeSet<&str> = silent.iter().map(|silence| silence.pair.caller.as_str()).collect();
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
            (&mut vendors, Entity { caller: String::new(), ..silence.pair.clone() })
        } else {
            (&mut own, Entity { vendor: String::new(), ..silence.pair.clone() })
        };
        groups.entry(key).or_default().push(silence);
    }
    vendors.into_values().map(SilenceGroup::Vendor).chain(own.into_values().map(SilenceGroup::Caller)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::View;
    use crate::features::{EntityState, WIDTH};
    use crate::models::seasonality::{Seasonality, Span};

    const SPAN: Span = Span { first: 0, last: 14 * 288 - 1 };

    fn baselines(pairs: &[(&str, &str)]) -> Baselines {
        let calls: Vec<(i64, i64)> = (SPAN.first..=SPAN.last).map(|bucket| (bucket, 5)).collect();
        let known = Baseline {
            days: 14,
            calls: 20_160,
            is_known: true,
            clock: Some(Seasonality::fit(&calls, SPAN, None)),
            dispersion: Vec::new(),
            endpoints: BTreeMap::new(),
            peers: 0,
            longest_silence: 5.0,
            peaks: None,
            leaks: Default::default(),
        };
        pairs.iter().map(|(caller, vendor)| (Entity::pair(View::Egress, caller, vendor), known.clone())).collect()
    }

    /// Six hours of five calls a bucket.
    fn usual_calls(pairs: &[(&str, &str)]) -> EntityStore {
        let entities = pairs.iter().map(|(caller, vendor)| {
            let mut state = EntityState::new(Entity::pair(View::Egress, caller, vendor));
            let mut values = [0; WIDTH];
            values[Column::Calls as usize] = 5 * 70;
            state.add(5_000, &values);
            state.advance(5_002);
            state
        });
        entities.collect::<Vec<_>>().into()
    }

    fn after(pairs: &[(&str, &str)], silent: &[(&str, &str)]) -> Vec<SilenceGroup> {
        let mut last_seen = LastSeen::default();
        for (caller, vendor) in pairs {
            let last = if silent.contains(&(*caller, *vendor)) { 5_000 } else { 5_002 };
            last_seen.hear(&Entity::pair(View::Egress, caller, vendor), last);
        }
        last_seen.silences(&usual_calls(pairs), &baselines(pairs), 5_002)
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
    fn who_was_never_last_seen_is_not_silent() {
        assert!(LastSeen::default().silences(&EntityStore::default(), &baselines(&PAIRS), 5_002).is_empty());
    }
}
