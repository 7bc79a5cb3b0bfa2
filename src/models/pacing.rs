//! Pacing: how a budget of pages is kept where the rates behind it are wrong.
//!
//! A page is worth its threshold only if the calibrated rates hold. What holds in any case is bookkeeping: each kind of pages is asked to bring
//! so many a day, and its debt is by how many it is ahead of that. The deeper the debt, the stricter the threshold, by the logarithm:
//! adaptive conformal inference (Gibbs & Candès, NeurIPS 2021) with the step in ln threshold, which makes pages a self-correcting point
//! process (Isham & Westcott, Stochastic Processes and their Applications 8, 1979). The variance of such a count stays bounded, where that of
//! a Poisson process grows.
//!
//! Only pages that the strictest threshold would have kept away make it stricter: a wave of thefts far below it says nothing of how wrong the
//! rates are. They are spent all the same, and bring nearer the debt at which further pages join one incident.
//!
//! Days that nothing pages on fill a reserve, which all kinds share. It pays for the pages of kinds without debt, and what exceeds its
//! neutral level loosens every threshold. So no kind is tightened for what another has spent; it only loses what it had been lent.
//!
//! Whatever the series, pages in `T` days are at most `asked · T`, plus the full reserve, plus, of each kind, its largest debt. From the third day
//! on that is twice what was asked within a week, and up to three and a half of each kind whose share is small: where budgets are a few pages a
//! week they give way, since nobody buys the silence of a kind, and each pages once a week however it is overdrawn. The lower side is no promise: a threshold loosens up to [`MAX_LOOSENING`], and where nothing
//! odd happens nothing pages.
//!
//! Balances are integers and move by whole minutes, so they do not depend on how often they were brought up to date.
//!
//! Not here: which kinds there are and what is asked of each (`detect::budget`), what counts as a page (`alerts`).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// A threshold is divided by at most this: what would page at a tenth of the budget always does.
pub const MAX_TIGHTENING: f64 = 10.0;
/// A threshold is multiplied by at most this.
pub const MAX_LOOSENING: f64 = 30.0;

/// Days of the whole budget up to which the reserve loosens nothing.
const NEUTRAL_DAYS: f64 = 3.0;
/// A beginning says little of how wrong the rates are: for so many days the reserve also holds so many days of the whole budget, and loosens nothing.
const GRACE: i64 = 2;
const GRACE_DAYS: f64 = 6.0;
/// Days of the whole budget beyond that until the loosening is greatest; pages at least.
const LOOSENING_DAYS: f64 = 1.0;
const MIN_LOOSENING: f64 = 0.5;
/// Days of a kind's share at whose debt the tightening is greatest; pages at least.
const TIGHTENING_DAYS: f64 = 2.0;
const MIN_TIGHTENING: f64 = 2.0;
/// Days of a kind's share that its debt may grow further; pages at least.
const OVERDRAFT_DAYS: f64 = 1.0;
const MIN_OVERDRAFT: f64 = 0.5;
/// An overdrawn kind still pages once in this many days.
const OVERDRAWN_DAYS: i64 = 7;
/// Days over which kept pages are reported.
const KEPT_DAYS: i64 = 7;

/// One page, in the unit of balances.
const PAGE: i64 = 1_000_000_000_000;
const MINUTES_A_DAY: i64 = 1_440;
const MICROS_A_MINUTE: i64 = 60_000_000;

/// What is asked of a kind, in the unit of balances.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    a_minute: i64,
    /// Debt at which the tightening is greatest.
    tightening: i64,
    /// Debt from which the kind is overdrawn.
    limit: i64,
}

impl Pace {
    fn of(pages_a_day: f64) -> Self {
        let tightening = balance((TIGHTENING_DAYS * pages_a_day).max(MIN_TIGHTENING));
        let overdraft = balance((OVERDRAFT_DAYS * pages_a_day).max(MIN_OVERDRAFT));
        let a_minute = balance(pages_a_day / MINUTES_A_DAY as f64);
        Self { a_minute, tightening, limit: tightening + overdraft }
    }
}

/// Pages in the unit of balances. The cast saturates: nobody asks for more.
fn balance(pages: f64) -> i64 {
    (pages * PAGE as f64).round().min(i64::MAX as f64 / 16.0) as i64
}

/// What a kind has spent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Spent {
    debt: i64,
    /// The part of it that a stricter threshold would have kept away.
    steered: i64,
    /// When it last paged, in minutes since the epoch.
    paged_at: Option<i64>,
    /// Pages by day since the epoch, of the last days.
    by_day: VecDeque<(i64, u32)>,
}

/// How a kind keeps to its budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept<K> {
    /// The kind.
    pub kind: K,
    /// Pages a day asked for.
    pub asked: f64,
    /// Pages a day over the last seven days, or since the beginning.
    pub kept: f64,
    /// Threshold in force over the calibrated one.
    pub multiplier: f64,
}

/// The balances of all kinds. It knows nothing of what is asked until [`Self::ask`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pacer<K: Ord> {
    #[serde(skip, default = "BTreeMap::new")]
    asked: BTreeMap<K, Pace>,
    spent: BTreeMap<K, Spent>,
    /// `None` before anything was asked.
    reserve: Option<i64>,
    /// The first minute, and the one up to which balances are.
    minutes: Option<(i64, i64)>,
}

impl<K: Ord> Default for Pacer<K> {
    fn default() -> Self {
        Self { asked: BTreeMap::new(), spent: BTreeMap::new(), reserve: None, minutes: None }
    }
}

impl<K: Ord + Copy> Pacer<K> {
    /// Asks for so many pages a day of each kind. Balances stay; who asks for other numbers than before goes on with them.
    pub fn ask(&mut self, pages_a_day: impl IntoIterator<Item = (K, f64)>) {
        self.asked = pages_a_day.into_iter().map(|(kind, pages)| (kind, Pace::of(pages.max(0.0)))).collect();
        self.reserve.get_or_insert(self.neutral() + self.grace());
    }

    /// Asked of all kinds, a day, in the unit of balances.
    fn a_day(&self) -> i64 {
        self.asked.values().map(|pace| pace.a_minute * MINUTES_A_DAY).sum()
    }

    fn neutral(&self) -> i64 {
        (self.a_day() as f64 * NEUTRAL_DAYS) as i64
    }

    fn grace(&self) -> i64 {
        (self.a_day() as f64 * GRACE_DAYS) as i64
    }

    /// Whether the pages so far say too little.
    fn is_beginning(&self) -> bool {
        self.minutes.is_none_or(|(first, now)| now - first < GRACE * MINUTES_A_DAY)
    }

    /// How much the reserve holds at most.
    fn full(&self) -> i64 {
        self.neutral() + if self.is_beginning() { self.grace() } else { self.loosening() }
    }

    /// How far the reserve is filled beyond its neutral level.
    fn loosening(&self) -> i64 {
        ((self.a_day() as f64 * LOOSENING_DAYS) as i64).max(balance(MIN_LOOSENING))
    }

    /// Brings the balances up to `time`, microseconds of event time; one that was passed before changes nothing.
    pub fn advance(&mut self, time: i64) {
        let now = time.div_euclid(MICROS_A_MINUTE);
        let (first, last) = self.minutes.unwrap_or((now, now));
        let begun = first + GRACE * MINUTES_A_DAY;
        self.minutes = Some((first, last));
        if last < begun && now >= begun {
            self.earn(begun - last);
            // What was not needed at the beginning is no loan.
            self.reserve = self.reserve.map(|reserve| reserve.min(self.neutral()));
            self.minutes = Some((first, begun));
        }
        let last = self.minutes.map_or(now, |(_, last)| last);
        self.minutes = Some((first, now.max(last)));
        self.earn((now - last).max(0));
    }

    fn earn(&mut self, minutes: i64) {
        let mut reserve = self.reserve.unwrap_or_default();
        for (kind, pace) in &self.asked {
            let earned = pace.a_minute.saturating_mul(minutes);
            let paid = self.spent.get_mut(kind).map_or(0, |spent| {
                let paid = earned.min(spent.debt);
                spent.debt -= paid;
                spent.steered -= earned.min(spent.steered);
                paid
            });
            reserve = reserve.saturating_add(earned - paid);
        }
        self.reserve = Some(reserve.min(self.full()));
    }

    /// Threshold in force over the calibrated one, from 1 / [`MAX_TIGHTENING`] to [`MAX_LOOSENING`].
    pub fn multiplier(&self, kind: K) -> f64 {
        let Some(pace) = self.asked.get(&kind) else { return 1.0 };
        let debt = self.spent.get(&kind).map_or(0, |spent| spent.steered);
        if debt > 0 {
            return MAX_TIGHTENING.powf(-(debt as f64 / pace.tightening as f64).min(1.0));
        }
        if self.is_beginning() {
            return 1.0;
        }
        let beyond = self.reserve.unwrap_or_default() - self.neutral();
        MAX_LOOSENING.powf((beyond as f64 / self.loosening() as f64).clamp(0.0, 1.0))
    }

    fn debt(&self, kind: K) -> i64 {
        self.spent.get(&kind).map_or(0, |spent| spent.debt)
    }

    /// Whether a further page of a kind would be more than its debt allows.
    pub fn is_overdrawn(&self, kind: K) -> bool {
        let limit = self.asked.get(&kind).map(|pace| pace.limit);
        let paged_at = self.spent.get(&kind).and_then(|spent| spent.paged_at);
        let is_recent =
            self.minutes.zip(paged_at).is_some_and(|((_, now), at)| now - at < OVERDRAWN_DAYS * MINUTES_A_DAY);
        is_recent && limit.is_some_and(|limit| self.debt(kind) >= limit)
    }

    /// Counts a page of a kind, at the time up to which balances are; `is_steered` if it would not page at the strictest threshold.
    pub fn page(&mut self, kind: K, is_steered: bool) {
        let now = self.minutes.map_or(0, |(_, now)| now);
        // Who is in debt has no credit: else a kind that floods would eat up what the others leave to each other.
        let paid = if self.debt(kind) > 0 { 0 } else { self.reserve.unwrap_or_default().clamp(0, PAGE) };
        self.reserve = self.reserve.map(|reserve| reserve - paid);
        let spent = self.spent.entry(kind).or_default();
        let most = self.asked.get(&kind).map_or(0, |pace| pace.limit + PAGE);
        spent.debt = (spent.debt + PAGE - paid).min(most);
        if is_steered {
            spent.steered = (spent.steered + PAGE - paid).min(spent.debt);
        }
        spent.paged_at = Some(now);
        let day = now.div_euclid(MINUTES_A_DAY);
        match spent.by_day.back_mut().filter(|(last, _)| *last == day) {
            Some((_, pages)) => *pages += 1,
            None => spent.by_day.push_back((day, 1)),
        }
        spent.by_day.retain(|(of, _)| *of > day - KEPT_DAYS);
    }

    /// Gives back a page of a kind that should not have been: balances are as if it had not.
    pub fn refund(&mut self, kind: K) {
        let full = self.full();
        let spent = self.spent.entry(kind).or_default();
        let forgiven = PAGE.min(spent.debt);
        spent.debt -= forgiven;
        spent.steered -= PAGE.min(spent.steered);
        if let Some((_, pages)) = spent.by_day.back_mut() {
            *pages = pages.saturating_sub(1);
        }
        self.reserve = self.reserve.map(|reserve| (reserve + PAGE - forgiven).min(full));
    }

    /// How each kind keeps to what was asked.
    pub fn kept(&self) -> impl Iterator<Item = Kept<K>> + '_ {
        let (first, now) = self.minutes.unwrap_or_default();
        let today = now.div_euclid(MINUTES_A_DAY);
        let days = (today - first.div_euclid(MINUTES_A_DAY) + 1).min(KEPT_DAYS) as f64;
        self.asked.iter().map(move |(kind, pace)| {
            let by_day = self.spent.get(kind).into_iter().flat_map(|spent| &spent.by_day);
            let pages: u32 = by_day.filter(|(day, _)| *day > today - KEPT_DAYS).map(|(_, pages)| pages).sum();
            Kept {
                kind: *kind,
                asked: (pace.a_minute * MINUTES_A_DAY) as f64 / PAGE as f64,
                kept: f64::from(pages) / days,
                multiplier: self.multiplier(*kind),
            }
        })
    }
}

#[cfg(test)]
mod tests;
