//! What the callers of a view do alike: a day off, a clock that moved, a log that stops, calls that come late.
//!
//! What most of them show at once is no news of any one of them. Each is noticed here, once an hour or when calls come, and detectors ask:
//! [`usual_bucket`](Company::usual_bucket) is the time of day by the clock that the history was learned by.
//!
//! Not here: what is told of it (`company_wide`, `logs_stopped`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lateness::Lateness;
use crate::calls::{Name, View};
use crate::features::{Column, EntityId, EntityStore, Level, SIX_HOURS, WINDOWS};
use crate::models::baseline::Baselines;
use crate::models::clock_shift::evidence;
use crate::models::seasonality::Seasonality;
use crate::rollup::{BUCKETS_PER_HOUR, Row, hour_of};

/// Pairs of a view that are asked: so many say what most do.
const MAX_ASKED: usize = 512;
/// Expected calls of six hours from which a pair says how much is called: of fewer, which come in bunches, the median is far below the mean.
const MIN_EXPECTED: f64 = 20.0;
/// Expected calls of all of them that did not come in a pause.
pub(super) const MIN_MISSED: f64 = 10.0;
/// Fewest pairs that say it, and their median level below which the company is quiet.
const MIN_PAIRS: usize = 5;
const QUIET: f64 = 0.7;
/// Evidence, in nats, from which a caller takes sides, and most that a pair adds to it.
const MIN_EVIDENCE: f64 = 3.0;
const MAX_EVIDENCE: f64 = 6.0;
/// Fewest callers that take sides, their share of all, and the share of them that must agree.
const MIN_CALLERS: usize = 3;
const MIN_SHARE: f64 = 0.2;
const AGREEMENT: f64 = 0.75;
/// Most hours that clocks are thought to have moved.
const MAX_SHIFT: i64 = 2;
/// Hours back that are looked at: the shorter finds a shift sooner, the longer one that few callers show.
const HOURS_BACK: [i64; 2] = [8, 24];
/// Hours after a quiet one in which the day's shape says nothing of clocks, and a silence nothing of its caller.
const UNCLEAR: i64 = 24;

/// What is known of the callers of each view.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Company {
    views: BTreeMap<View, Habits>,
    /// Pairs that are asked, by view. Follows from the bundle, so no snapshot holds it.
    #[serde(skip)]
    asked: Option<BTreeMap<View, Vec<(Name, EntityId)>>>,
}

/// What the callers of a view do alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Habits {
    /// Hours that calls come after those of the history; and after how many they seemed to come an hour ago.
    shift: i64,
    leaning: i64,
    is_quiet: bool,
    /// The newest hour in which it was.
    quiet_hour: i64,
    /// The newest bucket with a call; the first one at all, or after the last pause of all.
    heard: i64,
    since: i64,
    lateness: Lateness,
}

impl Habits {
    fn new(bucket: i64) -> Self {
        Self { heard: bucket, since: bucket, quiet_hour: i64::MIN / 2, ..Self::default() }
    }

    /// Whether calls were heard in all of the hours that end with `hour`.
    fn has_heard(&self, hour: i64, count: i64) -> bool {
        hour_of(self.since) <= hour - count
    }
}

impl Company {
    /// Takes note of the views that are called in a bucket, before anybody is judged.
    pub fn hear(&mut self, rows: &[Row], baselines: &Baselines, bucket: i64) {
        self.hear_missing(rows, baselines, bucket);
        self.hear_late(rows, bucket);
    }

    /// Takes note of when rows came: in a bucket that is theirs or later.
    pub fn hear_late(&mut self, rows: &[Row], bucket: i64) {
        for of_bucket in rows.chunk_by(|a, b| a.bucket == b.bucket) {
            for (view, habits) in &mut self.views {
                let calls = of_bucket.iter().filter(|row| row.relation.view() == *view).map(Row::calls).sum();
                if calls > 0 {
                    habits.lateness.note(bucket, bucket - of_bucket[0].bucket, calls);
                }
            }
        }
    }

    /// Buckets that usually are over until nearly all calls of one have come.
    pub fn lateness(&self, view: View) -> i64 {
        self.views.get(&view).map_or(0, |habits| habits.lateness.usual())
    }

    fn hear_missing(&mut self, rows: &[Row], baselines: &Baselines, bucket: i64) {
        let asked = self.asked.take().unwrap_or_else(|| asked(baselines));
        for view in [View::Egress, View::Audit] {
            if rows.iter().any(|row| row.relation.view() == view) {
                let (last, pause) = (bucket - 1, bucket - 1 - self.heard(view).unwrap_or(bucket));
                let at = self.usual_bucket(view, last);
                let missed = |(_, id): &(Name, EntityId)| {
                    let seasonality = baselines.get(*id).and_then(|known| known.seasonality.as_ref());
                    seasonality.map_or(0.0, |seasonality| seasonality.expected(at, pause))
                };
                let asked = asked.get(&view).filter(|_| pause > 0);
                self.note(view, bucket, asked.map_or(0.0, |asked| asked.iter().map(missed).sum()));
            }
        }
        self.asked = Some(asked);
    }

    /// Takes note that a view is called in a bucket; `missed` calls were expected of all since the last one.
    pub(super) fn note(&mut self, view: View, bucket: i64, missed: f64) {
        let habits = self.views.entry(view).or_insert_with(|| Habits::new(bucket));
        if bucket > habits.heard + 1 && missed >= MIN_MISSED {
            habits.since = bucket;
        }
        habits.heard = habits.heard.max(bucket);
    }

    /// Looks at what all pairs did, at the end of an hour.
    pub fn observe<P>(&mut self, store: &EntityStore<P>, baselines: &Baselines, bucket: i64) {
        if (bucket + 1).rem_euclid(BUCKETS_PER_HOUR) != 0 {
            return;
        }
        let hour = hour_of(bucket);
        for (view, pairs) in self.asked.get_or_insert_with(|| asked(baselines)) {
            let Some(habits) = self.views.get_mut(view) else { continue };
            let asked = Asked { pairs, store, baselines, bucket };
            habits.is_quiet = habits.has_heard(hour, 6) && asked.is_quiet(habits.shift);
            if habits.is_quiet {
                habits.quiet_hour = hour;
            }
            let is_clear = hour - habits.quiet_hour >= UNCLEAR;
            let leaning = if is_clear { asked.leaning(habits) } else { habits.shift };
            // One hour's evidence may be chance.
            if leaning == habits.leaning {
                habits.shift = leaning;
            }
            habits.leaning = leaning;
        }
    }

    /// The bucket of the history's clock that a bucket is: another one where the callers' clocks moved.
    pub fn usual_bucket(&self, view: View, bucket: i64) -> i64 {
        bucket - self.shift(view) * BUCKETS_PER_HOUR
    }

    /// Hours that the calls of a view come after those of the history.
    pub fn shift(&self, view: View) -> i64 {
        self.views.get(&view).map_or(0, |habits| habits.shift)
    }

    /// Whether most pairs of a view call less than usual.
    pub fn is_quiet(&self, view: View) -> bool {
        self.views.get(&view).is_some_and(|habits| habits.is_quiet)
    }

    /// Whether most pairs of a view called less than usual within the last day: what fell silent then is no news yet.
    pub fn was_quiet(&self, view: View, bucket: i64) -> bool {
        self.views.get(&view).is_some_and(|habits| hour_of(bucket) - habits.quiet_hour < UNCLEAR)
    }

    /// The newest bucket with a call of a view.
    pub fn heard(&self, view: View) -> Option<i64> {
        self.views.get(&view).map(|habits| habits.heard)
    }

    /// Since when calls of a view were to be expected again: the bucket before the first one after a pause of all.
    pub fn awaited_since(&self, view: View) -> i64 {
        self.views.get(&view).map_or(i64::MIN, |habits| habits.since - 1)
    }
}

/// The pairs of each view that are asked: known ones, the same ones whoever asks.
fn asked(baselines: &Baselines) -> BTreeMap<View, Vec<(Name, EntityId)>> {
    let mut asked: BTreeMap<View, Vec<(Name, EntityId)>> = BTreeMap::new();
    for (entity, known) in baselines.sorted() {
        if entity.level == Level::Pair && known.is_known && known.seasonality.is_some() {
            asked.entry(entity.view).or_default().push((entity.caller.clone(), entity.id()));
        }
    }
    for pairs in asked.values_mut() {
        pairs.sort_unstable_by_key(|(_, id)| *id);
        pairs.truncate(MAX_ASKED);
    }
    asked
}

/// What a pair's history says of the hours of the day; `None` where it was too short to say anything.
fn hours_of(baselines: &Baselines, pair: EntityId) -> Option<&Seasonality> {
    let seasonality = baselines.get(pair)?.seasonality.as_ref();
    seasonality.filter(|seasonality| seasonality.has_hours())
}

/// The pairs of a view, asked at the end of a bucket.
struct Asked<'a, P> {
    pairs: &'a [(Name, EntityId)],
    store: &'a EntityStore<P>,
    baselines: &'a Baselines,
    bucket: i64,
}

impl<P> Asked<'_, P> {
    /// Whether the median pair calls clearly less than usual over six hours, even if clocks have just moved by an hour.
    fn is_quiet(&self, shift: i64) -> bool {
        (shift - 1..=shift + 1).all(|shift| self.median_level(shift).is_some_and(|level| level < QUIET))
    }

    /// The median pair's calls of six hours as a share of those expected; `None` where too few expect enough.
    fn median_level(&self, shift: i64) -> Option<f64> {
        let level = |(_, id): &(Name, EntityId)| {
            let at = self.bucket - shift * BUCKETS_PER_HOUR;
            let expected = hours_of(self.baselines, *id)?.expected(at, WINDOWS[SIX_HOURS].length(self.bucket));
            let calls = self.store.get(*id).map_or(0, |state| state.sum(Column::Calls, SIX_HOURS, self.bucket));
            (expected >= MIN_EXPECTED).then_some(calls as f64 / expected)
        };
        let mut levels: Vec<f64> = self.pairs.iter().filter_map(level).collect();
        levels.sort_unstable_by(f64::total_cmp);
        (levels.len() >= MIN_PAIRS).then(|| levels[levels.len() / 2])
    }

    /// The shift that most callers with a preference prefer to the present one; the present one if there is none.
    fn leaning(&self, habits: &Habits) -> i64 {
        let hour = hour_of(self.bucket);
        let windows = HOURS_BACK.into_iter().filter(|count| habits.has_heard(hour, *count));
        let others = (-MAX_SHIFT..=MAX_SHIFT).filter(|shift| *shift != habits.shift);
        let of_window = |count| others.clone().map(move |shift| (self.evidence(count, shift, habits.shift), shift));
        let agreed = windows.flat_map(of_window).filter_map(|(evidence, shift)| Some((evidence?, shift)));
        agreed.max_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(habits.shift, |(_, shift)| shift)
    }

    /// The callers' evidence, in nats, for a shift against another over the last hours; `None` where they do not agree on it.
    fn evidence(&self, hours: i64, shift: i64, against: i64) -> Option<f64> {
        let hour = hour_of(self.bucket);
        let mut callers: BTreeMap<&Name, f64> = BTreeMap::new();
        for (caller, id) in self.pairs {
            let evidence = self.store.get(*id).zip(hours_of(self.baselines, *id)).map(|(state, seasonality)| {
                let calls = state.windows.calls_by_hour(hour, hours);
                evidence(seasonality, &calls, hour, shift, against)
            });
            let of_caller = callers.entry(caller).or_default();
            *of_caller += evidence.unwrap_or_default().clamp(-MAX_EVIDENCE, MAX_EVIDENCE);
        }
        let side = |sign: f64| callers.values().filter(|evidence| sign * **evidence >= MIN_EVIDENCE).count();
        let (agree, disagree) = (side(1.0), side(-1.0));
        let sides = agree + disagree;
        let is_agreed = sides >= MIN_CALLERS.max((MIN_SHARE * callers.len() as f64).ceil() as usize)
            && agree as f64 >= AGREEMENT * sides as f64;
        is_agreed.then(|| callers.values().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Entity, WIDTH};
    use crate::models::baseline::Baseline;
    use crate::models::seasonality::Span;
    use crate::rollup::BUCKETS_PER_DAY;

    const SPAN: Span = Span { first: 0, last: 14 * BUCKETS_PER_DAY - 1 };
    /// A Tuesday: day 0 was a Thursday.
    const TUESDAY: i64 = 19 * BUCKETS_PER_DAY;

    /// Calls of a bucket where work begins at `hour` and ends ten hours later.
    fn office(bucket: i64, hour: i64) -> i64 {
        let begin = hour * BUCKETS_PER_HOUR;
        if (begin..begin + 120).contains(&bucket.rem_euclid(BUCKETS_PER_DAY)) { 6 } else { 1 }
    }

    /// What the hours of a Tuesday and a Wednesday make of six callers that each work from `hour` and at `level`.
    fn after(hour: i64, level: f64) -> Vec<Company> {
        let usual: Vec<(i64, i64)> = (SPAN.first..=SPAN.last).map(|bucket| (bucket, office(bucket, 7))).collect();
        let known = Baseline::of_pair(Seasonality::fit(&usual, SPAN, None));
        let pairs: Vec<Entity> =
            (0..6).map(|number| Entity::pair(View::Egress, &format!("caller-{number}"), "stripe")).collect();
        let baselines: Baselines = pairs.iter().map(|pair| (pair.clone(), known.clone())).collect();
        let (mut store, mut company, mut hours) = (EntityStore::<()>::default(), Company::default(), Vec::new());
        for bucket in TUESDAY - BUCKETS_PER_DAY..TUESDAY + 2 * BUCKETS_PER_DAY {
            store.advance(bucket);
            company.note(View::Egress, bucket, 0.0);
            for pair in &pairs {
                let is_monday = bucket < TUESDAY;
                let calls =
                    office(bucket, if is_monday { 7 } else { hour }) as f64 * if is_monday { 1.0 } else { level };
                let mut values = [0; WIDTH];
                values[Column::Calls as usize] = calls as i64;
                let index = store.open(pair.id(), || pair.clone());
                store.at_mut(index).unwrap().add(bucket, &values);
            }
            company.observe(&store, &baselines, bucket);
            if bucket >= TUESDAY && (bucket + 1).rem_euclid(BUCKETS_PER_HOUR) == 0 {
                hours.push(company.clone());
            }
        }
        hours
    }

    fn shifts(hours: &[Company]) -> Vec<i64> {
        let mut shifts: Vec<i64> = hours.iter().map(|company| company.shift(View::Egress)).collect();
        shifts.dedup();
        shifts
    }

    #[test]
    fn a_day_that_begins_an_hour_later_for_all_moves_the_clock_before_noon() {
        let hours = after(8, 1.0);
        assert_eq!(shifts(&hours), [0, 1]);
        assert_eq!(hours[11].shift(View::Egress), 1);
        assert_eq!(hours[11].usual_bucket(View::Egress, TUESDAY), TUESDAY - BUCKETS_PER_HOUR);
        assert!(hours.iter().all(|company| !company.is_quiet(View::Egress)));
        assert_eq!(shifts(&after(6, 1.0)), [0, -1]);
    }

    #[test]
    fn a_day_off_is_quiet_and_no_clock_moves_and_a_usual_day_is_neither() {
        let hours = after(7, 0.5);
        assert!(hours[14].is_quiet(View::Egress) && hours[38].is_quiet(View::Egress));
        assert_eq!(shifts(&hours), [0]);
        let usual = after(7, 1.0);
        assert_eq!(shifts(&usual), [0]);
        assert!(usual.iter().all(|company| !company.is_quiet(View::Egress)));
    }

    #[test]
    fn calls_are_awaited_from_the_end_of_a_pause_that_everybody_took() {
        let mut company = Company::default();
        company.note(View::Egress, 10, 0.0);
        company.note(View::Egress, 14, 9.0);
        assert_eq!(company.awaited_since(View::Egress), 9, "few calls were expected: no pause");
        company.note(View::Egress, 20, 50.0);
        assert_eq!((company.awaited_since(View::Egress), company.heard(View::Egress)), (19, Some(20)));
    }
}
