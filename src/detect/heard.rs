//! When each pair was heard last, and who has fallen silent: one caller, all callers of a vendor, or most of what is logged.
//!
//! Pairs count from the first time that they are heard: a log that never held a caller tells nothing of its silence.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::features::{Column, Entity, Ledger, WINDOWS};
use crate::models::baseline::{Baseline, Baselines};
use crate::models::silence::{at_level, is_worth_telling, missed_calls, times_longest};

/// Buckets after which a silence is old news: a day.
const OLD: i64 = 288;
/// Window that a pair's level is taken from, as a place in `WINDOWS`: six hours.
const LEVEL_WINDOW: usize = 3;
/// Expected calls of the last half hour from which a pair should be heard now.
const AWAITED_CALLS: f64 = 2.0;
const AWAITED_BUCKETS: i64 = 6;
/// Share of the awaited pairs, and fewest callers among them, whose common silence is that of a log source.
const SOURCE_SHARE: f64 = 0.5;
const SOURCE_CALLERS: usize = 3;

/// When pairs were heard last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Heard(BTreeMap<Entity, i64>);

/// One pair's silence.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Who is silent.
    pub pair: Entity,
    /// The last bucket with a call.
    pub heard: i64,
    /// Calls that were expected since.
    pub missed: f64,
    /// Against the pair's longest silence.
    pub times: f64,
}

/// Whose silence it is: silences that began together are one.
#[derive(Clone, Debug, PartialEq)]
pub enum Hush {
    /// One caller's, at one vendor or at all of its vendors.
    Caller(Vec<Silence>),
    /// That of all callers of a vendor.
    Vendor(Vec<Silence>),
    /// That of most of what is logged.
    Source(Vec<Silence>),
}

impl Heard {
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
        self.0.retain(|_, heard| bucket - *heard <= OLD);
    }

    /// Who is silent at the end of a bucket, the longest silence of each first.
    pub fn silences(&self, ledger: &Ledger, baselines: &Baselines, bucket: i64) -> Vec<Hush> {
        let (mut awaited, mut silent) = (Vec::new(), Vec::new());
        for (pair, heard) in &self.0 {
            let Some(known) = baselines.get(pair).filter(|known| known.is_known) else { continue };
            let Some(clock) = &known.clock else { continue };
            if clock.expected(bucket, AWAITED_BUCKETS) >= AWAITED_CALLS {
                awaited.push(pair);
            }
            if *heard < bucket
                && let Some(silence) = silence_of(pair, known, ledger, *heard, bucket)
            {
                silent.push(silence);
            }
        }
        silent.sort_by(|a, b| b.missed.total_cmp(&a.missed).then_with(|| a.pair.cmp(&b.pair)));
        grouped(&awaited, silent)
    }
}

fn silence_of(pair: &Entity, known: &Baseline, ledger: &Ledger, heard: i64, bucket: i64) -> Option<Silence> {
    let clock = known.clock.as_ref()?;
    let called = ledger.get(pair).map_or(0, |account| account.sum(Column::Calls, LEVEL_WINDOW)) as f64;
    let expected = clock.expected(bucket, WINDOWS[LEVEL_WINDOW].buckets);
    let missed = at_level(missed_calls(clock, heard, bucket), called, expected);
    let times = times_longest(missed, f64::from(known.longest_silence));
    is_worth_telling(times).then(|| Silence { pair: pair.clone(), heard, missed, times })
}

fn grouped(awaited: &[&Entity], silent: Vec<Silence>) -> Vec<Hush> {
    let callers: BTreeSet<&str> = silent.iter().map(|silence| silence.pair.caller.as_str()).collect();
    let quiet_now = silent.iter().filter(|silence| awaited.contains(&&silence.pair)).count();
    if callers.len() >= SOURCE_CALLERS && quiet_now as f64 >= SOURCE_SHARE * awaited.len().max(1) as f64 {
        return vec![Hush::Source(silent)];
    }
    let is_silent: BTreeSet<Entity> = silent.iter().map(|silence| silence.pair.clone()).collect();
    let of_vendor = |silence: &Silence| {
        let same = |pair: &&&Entity| pair.vendor == silence.pair.vendor && pair.direction == silence.pair.direction;
        let pairs: Vec<_> = awaited.iter().filter(same).collect();
        pairs.len() > 1 && pairs.iter().all(|pair| is_silent.contains(**pair))
    };
    let mut vendors: BTreeMap<Entity, Vec<Silence>> = BTreeMap::new();
    let mut own: BTreeMap<Entity, Vec<Silence>> = BTreeMap::new();
    for silence in silent {
        let (hushes, key) = if of_vendor(&silence) {
            (&mut vendors, Entity { caller: String::new(), ..silence.pair.clone() })
        } else {
            (&mut own, Entity { vendor: String::new(), ..silence.pair.clone() })
        };
        hushes.entry(key).or_default().push(silence);
    }
    vendors.into_values().map(Hush::Vendor).chain(own.into_values().map(Hush::Caller)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Direction;
    use crate::features::{Account, WIDTH};
    use crate::models::clock::{Clock, Span};

    const SPAN: Span = Span { first: 0, last: 14 * 288 - 1 };

    fn baselines(pairs: &[(&str, &str)]) -> Baselines {
        let calls: Vec<(i64, i64)> = (SPAN.first..=SPAN.last).map(|bucket| (bucket, 5)).collect();
        let known = Baseline {
            days: 14,
            calls: 20_160,
            is_known: true,
            clock: Some(Clock::fit(&calls, SPAN, None)),
            dispersion: Vec::new(),
            endpoints: BTreeMap::new(),
            peers: 0,
            longest_silence: 5.0,
            records: None,
            leaks: Default::default(),
        };
        pairs.iter().map(|(caller, vendor)| (Entity::pair(Direction::Egress, caller, vendor), known.clone())).collect()
    }

    /// Six hours of five calls a bucket.
    fn usual_calls(pairs: &[(&str, &str)]) -> Ledger {
        let accounts = pairs.iter().map(|(caller, vendor)| {
            let mut account = Account::new(Entity::pair(Direction::Egress, caller, vendor));
            let mut values = [0; WIDTH];
            values[Column::Calls as usize] = 5 * 70;
            account.add(5_000, &values);
            account.advance(5_002);
            account
        });
        accounts.collect::<Vec<_>>().into()
    }

    fn after(pairs: &[(&str, &str)], silent: &[(&str, &str)]) -> Vec<Hush> {
        let mut heard = Heard::default();
        for (caller, vendor) in pairs {
            let last = if silent.contains(&(*caller, *vendor)) { 5_000 } else { 5_002 };
            heard.hear(&Entity::pair(Direction::Egress, caller, vendor), last);
        }
        heard.silences(&usual_calls(pairs), &baselines(pairs), 5_002)
    }

    const PAIRS: [(&str, &str); 5] =
        [("billing", "stripe"), ("billing", "adyen"), ("mailer", "sendgrid"), ("crm", "stripe"), ("shop", "adyen")];

    #[test]
    fn two_empty_buckets_at_sixty_calls_an_hour_are_a_silence() {
        let hushes = after(&PAIRS, &[("mailer", "sendgrid")]);
        assert!(matches!(&hushes[..], [Hush::Caller(of)] if of.len() == 1 && of[0].missed > 9.0), "{hushes:?}");
    }

    #[test]
    fn a_callers_vendors_are_one_silence_and_so_are_a_vendors_callers() {
        let hushes = after(&PAIRS, &[("billing", "stripe"), ("billing", "adyen")]);
        assert!(matches!(&hushes[..], [Hush::Caller(of)] if of.len() == 2), "{hushes:?}");
        let hushes = after(&PAIRS, &[("billing", "stripe"), ("crm", "stripe")]);
        assert!(matches!(&hushes[..], [Hush::Vendor(of)] if of.len() == 2), "{hushes:?}");
    }

    #[test]
    fn most_pairs_at_once_are_the_log_source() {
        assert!(matches!(&after(&PAIRS, &PAIRS[..4])[..], [Hush::Source(of)] if of.len() == 4));
    }

    #[test]
    fn who_was_never_heard_is_not_silent() {
        assert!(Heard::default().silences(&Ledger::default(), &baselines(&PAIRS), 5_002).is_empty());
    }
}
