//! Calibration: from each entity's history to its baseline, and to the tails that turn tests into p-values.
//!
//! Every fold (a day, where there are days enough) is judged with what the others teach: its expectations, then the entity's
//! dispersion and the tails. That nesting is what keeps the budget: tails that have seen the fold they judge make the fused score
//! more than twice too confident.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::curves::{Curves, HeldOut};
use super::entities::EntityHistory;
use crate::calls::Name;
use crate::features::{Entity, Level, WINDOWS};
use crate::models::baseline::{
    Baseline, Baselines, EndpointBaseline, Expected, LevelBaseline, MIN_ENDPOINT_CALLS, Snapshot, Verdict, fused, judge,
};
use crate::models::calibration::Tail;
use crate::models::dispersion::UNKNOWN_DISPERSION;
use crate::models::hourly::Hourly;
use crate::models::leak::{self, LEAKING, LeakBaseline};
use crate::models::peak::{self, KINDS, Peaks};
use crate::models::quantile::median;
use crate::models::seasonality::{Seasonality, Span};
use crate::models::silence::{longest_by_fold, times_by_fold};
use crate::models::statistic::{Kind, Moments, Test, tests_at};

/// Folds that are judged for the fused score's tail, the newest ones: further ones would add little but time.
const MAX_FOLDS: usize = 14;
/// Folds with calls from which an entity is judged by its own history; half of the folds where there are fewer.
const MIN_FOLDS: usize = 7;
/// Entities that tails are learned from; a company with more of them is sampled.
const MAX_ENTITIES: usize = 1_000;
/// Peers that it takes to have a usual dispersion of their own.
const MIN_PEERS: usize = 5;

/// What is to be calibrated: entities of one view and level.
pub(super) struct Calibration<'a> {
    pub level: Level,
    pub entities: &'a [EntityHistory],
    /// Peer group of each entity; empty where the level has none.
    pub peers: &'a [usize],
    pub span: Span,
    /// What a pair without history may differ by.
    pub between: &'a [f64],
}

/// What calibration learned.
pub(super) struct Calibrated {
    pub baselines: Baselines,
    pub level: LevelBaseline,
    /// The known entities' folds.
    pub days: Vec<EntityDay>,
    /// Silences by fold, each against the longest of its pair's other folds.
    pub silences: Vec<f64>,
    /// Peaks by fold, each against those of its pair's other folds.
    pub peaks: Vec<[f64; KINDS]>,
    /// Leaks by fold, each against the largest of its pair's other folds.
    pub leaks: Vec<f64>,
    /// How well tables and curves expect the calls of left out folds.
    pub held_out: HeldOut,
}

/// The most unusual moments of a known entity on a fold.
#[derive(Clone, Debug)]
pub(super) struct EntityDay {
    pub entity: Entity,
    pub fold: i64,
    /// Largest fused score.
    pub score: f32,
    /// Largest fused score of windows that lie within the fold, with the statistic that contributed most to it, in words.
    pub own: f64,
    pub what: &'static str,
}

/// Sums of one entity by fold, from which any fold can be left out.
struct Fit<'a> {
    history: &'a EntityHistory,
    is_known: bool,
    peers: usize,
    /// Folds that are not learned from.
    aside: BTreeSet<i64>,
    calls: Vec<(i64, i64)>,
    /// Where they expect calls better than a table; of a known pair.
    curves: Option<Curves>,
    held_out: HeldOut,
    calls_by_fold: BTreeMap<i64, i64>,
    /// Endpoints with enough calls: place in the history and calls by fold.
    endpoints: Vec<(usize, BTreeMap<i64, i64>)>,
    /// By fold, then test.
    moments: BTreeMap<i64, Vec<Moments>>,
    /// By fold, then endpoint and window.
    mix: BTreeMap<i64, Vec<[Moments; WINDOWS.len()]>>,
    /// Longest silence by fold, in expected calls; of a pair.
    silences: BTreeMap<i64, f64>,
}

fn without<T: Copy>(
    by_fold: impl Iterator<Item = (i64, T)>,
    left_out: Option<i64>,
    start: T,
    add: impl Fn(T, T) -> T,
) -> T {
    by_fold.filter(|(fold, _)| Some(*fold) != left_out).fold(start, |sum, (_, value)| add(sum, value))
}

impl<'a> Fit<'a> {
    fn of(history: &'a EntityHistory, peers: usize, tests: &[Test], span: Span) -> Self {
        let is_known = history.folds(span).len() >= MIN_FOLDS.min(span.fold_count() / 2).max(1);
        let calls = history.calls();
        let has_curves = is_known && history.entity.level == Level::Pair && span.has_seasonality();
        let aside = history.folds_aside(span);
        let chosen = has_curves.then(|| Curves::choose(&calls, span, &aside)).flatten();
        let (curves, held_out) = chosen.unwrap_or_default();
        let mut calls_by_fold = BTreeMap::new();
        calls.iter().for_each(|(bucket, calls)| *calls_by_fold.entry(span.fold_of(*bucket)).or_default() += calls);
        let endpoints = history.endpoint_calls(span).into_iter().enumerate();
        let endpoints = endpoints.filter(|(_, folds)| folds.values().sum::<i64>() >= MIN_ENDPOINT_CALLS).collect();
        let mut fit = Self {
            history,
            is_known,
            peers,
            aside,
            calls,
            curves,
            held_out,
            calls_by_fold,
            endpoints,
            moments: BTreeMap::new(),
            mix: BTreeMap::new(),
            silences: BTreeMap::new(),
        };
        if span.has_seasonality() {
            fit.silences = longest_by_fold(&history.all_calls(), span, |fold| fit.seasonality(Some(fold), span));
            fit.silences.retain(|fold, _| !fit.aside.contains(fold));
        }
        fit.gather_moments(tests, span);
        fit
    }

    fn gather_moments(&mut self, tests: &[Test], span: Span) {
        let mut today = None;
        let (mut seasonality, mut shares) = (None, Vec::new());
        let (mut moments, mut mix) = (BTreeMap::new(), BTreeMap::new());
        self.history.replay(|bucket, at| {
            let fold = span.fold_of(bucket);
            if today.replace(fold) != Some(fold) {
                seasonality = self.seasonality(Some(fold), span);
                shares = self.shares(Some(fold));
            }
            let sums = moments.entry(fold).or_insert_with(|| vec![Moments::default(); tests.len()]);
            for (place, test) in tests.iter().enumerate() {
                if Moments::samples(*test, bucket) {
                    sums[place].add(test.statistic().kind, at.observe(*test, seasonality.as_ref()));
                }
            }
            let sums = mix.entry(fold).or_insert_with(|| vec![[Moments::default(); _]; self.endpoints.len()]);
            for test in
                tests.iter().filter(|test| test.statistic().kind == Kind::Mix && Moments::samples(**test, bucket))
            {
                for ((place, _), (share, sums)) in self.endpoints.iter().zip(shares.iter().zip(sums.iter_mut())) {
                    let seen = at.observe_endpoint(&self.history.endpoints[*place], *share, test.window);
                    sums[test.window].add(Kind::Mix, seen);
                }
            }
        });
        (self.moments, self.mix) = (moments, mix);
    }

    fn seasonality(&self, left_out: Option<i64>, span: Span) -> Option<Seasonality> {
        (self.history.entity.level == Level::Pair).then(|| match &self.curves {
            Some(curves) => curves.seasonality(left_out),
            None => {
                let left_out: Vec<i64> = self.aside.iter().copied().chain(left_out).collect();
                Seasonality::fit_without(&self.calls, span, &left_out)
            }
        })
    }

    fn shares(&self, left_out: Option<i64>) -> Vec<f64> {
        let total = |folds: &BTreeMap<i64, i64>| {
            without(folds.iter().map(|(fold, calls)| (*fold, *calls)), left_out, 0, |sum, calls| sum + calls) as f64
        };
        let all = total(&self.calls_by_fold);
        self.endpoints.iter().map(|(_, folds)| (total(folds) + 0.5) / (all + 1.0)).collect()
    }

    fn test_moments(&self, test: usize, left_out: Option<i64>) -> Moments {
        let by_fold = self.moments.iter().map(|(fold, tests)| (*fold, tests[test]));
        without(by_fold, left_out, Moments::default(), Moments::and)
    }

    fn mix_moments(&self, endpoint: usize, window: usize, left_out: Option<i64>) -> Moments {
        let by_fold = self.mix.iter().map(|(fold, endpoints)| (*fold, endpoints[endpoint][window]));
        without(by_fold, left_out, Moments::default(), Moments::and)
    }

    /// The baseline that the folds teach, but for the one left out.
    fn baseline(&self, usual: &Usual, left_out: Option<i64>, span: Span) -> Baseline {
        let own = usual.tests.get(self.peers).or(usual.tests.first());
        let tests = own.map_or(0, Vec::len);
        let dispersion = |test: usize| {
            let usual = own.and_then(|own| own.get(test)).copied().unwrap_or_default();
            self.test_moments(test, left_out).shrunk(f64::from(usual)) as f32
        };
        let endpoints = self.shares(left_out).into_iter().enumerate().map(|(endpoint, share)| {
            let dispersion = |window: usize| {
                self.mix_moments(endpoint, window, left_out).shrunk(f64::from(usual.mix[window])) as f32
            };
            let name = self.history.endpoints[self.endpoints[endpoint].0].clone();
            (name, EndpointBaseline { share, dispersion: std::array::from_fn(dispersion) })
        });
        Baseline {
            days: self.history.days() as u32,
            calls: self.calls_by_fold.values().sum(),
            is_known: self.is_known,
            seasonality: self.seasonality(left_out, span),
            dispersion: (0..tests).map(dispersion).collect(),
            endpoints: sorted(endpoints.collect()),
            peers: self.peers,
            peaks: None,
            leaks: Default::default(),
            longest_silence: self.silences.values().copied().fold(0.0, f64::max) as f32,
        }
    }

    /// The largest sums of each fold.
    fn peaks(&self, span: Span) -> Vec<Peaks> {
        let mut folds: BTreeMap<i64, Peaks> = BTreeMap::new();
        self.history.replay(|bucket, at| {
            peak::raise(folds.entry(span.fold_of(bucket)).or_default(), at.sums);
        });
        folds.into_values().collect()
    }

    /// What can leak, learned hour by hour, and each fold's leaks against the largest of the others.
    fn leaks(&self, baseline: &Baseline, span: Span) -> ([LeakBaseline; LEAKING.len()], Vec<f64>) {
        let (mut hourly, mut hours) = (Hourly::default(), Vec::new());
        self.history.replay(|bucket, at| {
            hours.extend(at.state.windows.bucket(bucket).and_then(|values| hourly.add(bucket, values)));
        });
        let mut times = Vec::new();
        let learned = LEAKING.map(|quantity| {
            let of_quantity: Vec<(i64, f64, f64)> = hours
                .iter()
                .map(|hour| (span.fold_of(12 * hour.hour), hour.means[quantity], hour.counts[quantity]))
                .collect();
            let (learned, of_folds) = leak::learn(&of_quantity, baseline.hourly_dispersion(Level::Pair, quantity));
            times.extend(of_folds);
            learned
        });
        (learned, times)
    }
}

/// What was learned of one entity, and how its folds stand against one another.
struct Learned {
    baseline: Baseline,
    leaks: Vec<f64>,
    peaks: Vec<[f64; KINDS]>,
}

/// The usual dispersion: the median of those whose dispersion can be measured.
struct Usual {
    /// By peer group, then test.
    tests: Vec<Vec<f32>>,
    /// By window, over all endpoints.
    mix: [f32; WINDOWS.len()],
}

/// In the order of the addresses of their names, as an entity keeps its endpoints.
fn sorted(mut endpoints: Vec<(Name, EndpointBaseline)>) -> Vec<(Name, EndpointBaseline)> {
    endpoints.sort_unstable_by_key(|(name, _)| name.id());
    endpoints
}

impl Usual {
    fn of(fits: &[Fit<'_>], tests: usize, left_out: Option<i64>) -> Self {
        let groups = fits.iter().map(|fit| fit.peers + 1).max().unwrap_or(1);
        // By test, then peer group; every entity is asked once a test.
        let of_test = |test: usize| -> Vec<f32> {
            let own = |fit: &Fit<'_>| Some((fit.peers, fit.test_moments(test, left_out).own()?));
            let own: Vec<(usize, f64)> = fits.iter().filter_map(own).collect();
            let mut peers = vec![Vec::new(); groups];
            own.iter().for_each(|(group, dispersion)| peers[*group].push(*dispersion));
            let of_all = median(own.into_iter().map(|(_, dispersion)| dispersion).collect());
            let of_group = |peers: Vec<f64>| if peers.len() >= MIN_PEERS { median(peers) } else { of_all };
            peers.into_iter().map(|peers| of_group(peers).unwrap_or(UNKNOWN_DISPERSION) as f32).collect()
        };
        let of_tests: Vec<Vec<f32>> = (0..tests).map(of_test).collect();
        let of_group = |group: usize| of_tests.iter().map(|groups| groups[group]).collect();
        let of_mix = |window: usize| {
            let endpoints = fits.iter().flat_map(|fit| (0..fit.endpoints.len()).map(move |endpoint| (fit, endpoint)));
            let own = endpoints.filter_map(|(fit, endpoint)| fit.mix_moments(endpoint, window, left_out).own());
            median(own.collect()).unwrap_or(UNKNOWN_DISPERSION) as f32
        };
        Self { tests: (0..groups).map(of_group).collect(), mix: std::array::from_fn(of_mix) }
    }
}

/// A table of tests whose tails know nothing: every z passes, ungated use of `judge` takes only z.
fn raw_maxima(
    fit: &Fit<'_>,
    tests: &[Test],
    folds: &[Option<i64>],
    baselines: &[Baseline],
    span: Span,
) -> Vec<BTreeMap<i64, Vec<f32>>> {
    let mut maxima = vec![BTreeMap::new(); folds.len()];
    let mut today = None;
    let (mut seasonality, mut shares) = (None, Vec::new());
    fit.history.replay(|bucket, at| {
        let own = span.fold_of(bucket);
        if today.replace(own) != Some(own) {
            seasonality = fit.seasonality(Some(own), span);
            shares = fit.shares(Some(own));
        }
        let seen: Vec<_> = tests.iter().map(|test| at.observe(*test, seasonality.as_ref())).collect();
        let endpoints: Vec<&Name> = fit.endpoints.iter().map(|(place, _)| &fit.history.endpoints[*place]).collect();
        let of_endpoints: Vec<[_; WINDOWS.len()]> = endpoints
            .iter()
            .zip(&shares)
            .map(|(name, share)| std::array::from_fn(|window| at.observe_endpoint(name, *share, window)))
            .collect();
        for (fold, baseline) in baselines.iter().enumerate() {
            let today = maxima[fold].entry(own).or_insert_with(|| vec![0.0_f32; tests.len()]);
            for (place, test) in tests.iter().enumerate() {
                let kind = test.statistic().kind;
                let z = if kind == Kind::Mix {
                    let each = endpoints.iter().zip(&of_endpoints).filter_map(|(name, seen)| {
                        let own = baseline.endpoint(name)?;
                        Some(seen[test.window].z(kind, f64::from(own.dispersion[test.window])))
                    });
                    each.fold(0.0, f64::max)
                } else {
                    seen[place].z(kind, f64::from(baseline.dispersion[place]))
                };
                today[place] = today[place].max(z as f32);
            }
        }
    });
    maxima
}

fn tails(
    maxima: &[(&Fit<'_>, &BTreeMap<i64, Vec<f32>>)],
    tests: usize,
    span: Span,
    left_out: Option<i64>,
) -> Vec<Option<Tail>> {
    let folds: Vec<i64> = span.folds().filter(|fold| Some(*fold) != left_out).collect();
    let of_test = |test: usize| {
        let of_folds = |(fit, by_fold): &(&Fit<'_>, &BTreeMap<i64, Vec<f32>>)| -> Vec<f32> {
            let folds = folds.iter().filter(|fold| !fit.aside.contains(fold));
            folds.map(|fold| by_fold.get(fold).map_or(0.0, |tests| tests[test])).collect()
        };
        Tail::fit(maxima.iter().flat_map(of_folds).collect(), folds.len())
    };
    (0..tests).into_par_iter().map(of_test).collect()
}

/// Calibrates the entities of a view and level; `watch` is shown every known entity's verdicts on each judged fold.
pub(super) fn calibrate(what: &Calibration<'_>, watch: impl Fn(Snapshot<'_>, Expected<'_>) + Sync) -> Calibrated {
    let tests = tests_at(what.level);
    let span = what.span;
    let fits: Vec<Fit<'_>> = (0..what.entities.len())
        .into_par_iter()
        .map(|place| Fit::of(&what.entities[place], what.peers.get(place).copied().unwrap_or_default(), tests, span))
        .collect();
    let judged: Vec<i64> = span.folds().collect();
    let judged = &judged[judged.len().saturating_sub(MAX_FOLDS)..];
    let folds: Vec<Option<i64>> = std::iter::once(None).chain(judged.iter().copied().map(Some)).collect();
    let usual: Vec<Usual> = folds.par_iter().map(|fold| Usual::of(&fits, tests.len(), *fold)).collect();

    let known: Vec<&Fit<'_>> = fits.iter().filter(|fit| fit.is_known).collect();
    let step = known.len().div_ceil(MAX_ENTITIES).max(1);
    let sampled: Vec<&Fit<'_>> = known.iter().step_by(step).copied().collect();
    let of_folds: Vec<Vec<Baseline>> = sampled
        .par_iter()
        .map(|fit| folds.iter().zip(&usual).map(|(fold, usual)| fit.baseline(usual, *fold, span)).collect())
        .collect();
    let maxima: Vec<Vec<BTreeMap<i64, Vec<f32>>>> = sampled
        .par_iter()
        .zip(&of_folds)
        .map(|(fit, baselines)| raw_maxima(fit, tests, &folds, baselines, span))
        .collect();
    let levels: Vec<LevelBaseline> = folds
        .iter()
        .zip(&usual)
        .enumerate()
        .map(|(fold, (left_out, usual))| {
            let maxima: Vec<_> = sampled.iter().copied().zip(maxima.iter().map(|folds| &folds[fold])).collect();
            LevelBaseline {
                tails: tails(&maxima, tests.len(), span, *left_out),
                usual_dispersion: usual.tests.clone(),
                entities: known.len(),
            }
        })
        .collect();

    let days: Vec<EntityDay> = sampled
        .par_iter()
        .zip(&of_folds)
        .flat_map_iter(|(fit, baselines)| {
            let learned = judged.iter().filter(|fold| !fit.aside.contains(fold));
            let day =
                |fold: i64| EntityDay { entity: fit.history.entity.clone(), fold, score: 0.0, own: 0.0, what: "" };
            let mut days: BTreeMap<i64, EntityDay> = learned.map(|fold| (*fold, day(*fold))).collect();
            fit.history.replay(|bucket, at| {
                let own = span.fold_of(bucket);
                let Some(fold) = folds.iter().position(|fold| *fold == Some(own)) else { return };
                let by = Expected {
                    baseline: Some(&baselines[fold]),
                    level: &levels[fold],
                    between: what.between,
                    peers: fit.peers,
                    adaptation: None,
                };
                watch(at, by);
                let verdicts = judge(at, by);
                let score = fused(what.level, verdicts.iter().map(|verdict| (verdict.test, verdict.p_value))) as f32;
                let Some(day) = days.get_mut(&own) else { return };
                day.score = day.score.max(score);
                // What a long window still sees of the day before is no sign of this day.
                let passed = bucket - own * span.fold_buckets() + 1;
                let within: Vec<&Verdict> =
                    verdicts.iter().filter(|verdict| verdict.test.buckets() <= passed).collect();
                let of_own = fused(what.level, within.iter().map(|verdict| (verdict.test, verdict.p_value)));
                if of_own > day.own {
                    let counted = within.into_iter().filter(|verdict| verdict.test.weight() > 0.0);
                    let least = counted.min_by(|a, b| a.p_value.total_cmp(&b.p_value));
                    (day.own, day.what) = (of_own, least.map_or("", |verdict| verdict.test.statistic().says));
                }
            });
            days.into_values()
        })
        .collect();

    let learned: Vec<Learned> = fits
        .par_iter()
        .map(|fit| {
            let baseline = fit.baseline(&usual[0], None, span);
            let mut learned = Learned { baseline, leaks: Vec::new(), peaks: Vec::new() };
            if fit.is_known && what.level == Level::Pair {
                (learned.baseline.leaks, learned.leaks) = fit.leaks(&learned.baseline, span);
                let of_folds = fit.peaks(span);
                learned.peaks = peak::times_by_fold(&of_folds);
                learned.baseline.peaks = Some(peak::largest(&of_folds));
            }
            learned
        })
        .collect();
    let leaks = learned.iter().flat_map(|learned| &learned.leaks).copied().collect();
    let peaks = learned.iter().flat_map(|learned| &learned.peaks).copied().collect();
    let level = levels.into_iter().next().unwrap_or_default();
    let silences = known.iter().flat_map(|fit| times_by_fold(&fit.silences)).collect();
    let mut held_out = HeldOut::default();
    fits.iter().for_each(|fit| held_out += fit.held_out);
    let entities = fits.iter().map(|fit| fit.history.entity.clone());
    let baselines = entities.zip(learned.into_iter().map(|learned| learned.baseline)).collect();
    Calibrated { baselines, level, days, silences, peaks, leaks, held_out }
}
