//! Learning from verdicts, and how well: each verdict is predicted from those before it.
//!
//! Prequential evaluation (Dawid, JRSS A 147, 1984): verdicts are in the order in which they were given; a forest fitted on the first
//! 20 predicts the next 20, one fitted on 40 the next 40, and so on. Every verdict after the twentieth is held out once, from a
//! forest that could have existed at the time. It is compared with the order that needs no verdict: by severity, then by rarity.
//!
//! Alerts may be lowered only once there are enough verdicts, the forest orders held-out alerts better than severity does (by a
//! paired bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap, 1993), the newer half of them no worse, and a level
//! exists below which hardly any true alert was held out.
//!
//! Not here: the forest (`models::triage`), and what lowering is (`alerts::triage`).

use std::fmt;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

use super::SEED;
use super::evaluate::{auroc, average_precision};
use crate::alerts::triage::{Learned, Line, RARITY, SEVERITY, Triage, TriageError};
use crate::models::triage::ForestError;

/// Number of verdicts that the first forest is fitted on.
const FIRST_FIT: usize = 20;
/// Most verdicts that are learned from, the newest: bounds the time that the fit takes.
const MAX_VERDICTS: usize = 5_000;
/// Fewest verdicts before anything may be lowered, and fewest of either kind.
const MIN_VERDICTS: usize = 50;
const MIN_OF_A_KIND: usize = 10;
/// Largest share of held-out true alerts, 0 to 1, that may lie below the level.
const MAX_LOST_SHARE: f64 = 0.01;
/// Largest level, a probability: what is as likely true as not is not lowered.
const MAX_LEVEL: f64 = 0.5;
/// Resamples of the bootstrap, and the share of them, 0 to 1, that must show a gain.
const RESAMPLES: usize = 1_000;
const MIN_SURE: f64 = 0.95;

/// How well an order puts true alerts first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Order {
    /// Area under the ROC curve, 0 to 1; none where only one kind was judged.
    pub auroc: Option<f64>,
    /// Average precision, 0 to 1; none where nothing was true.
    pub average_precision: Option<f64>,
}

impl Order {
    fn of(scored: &[(f64, bool)]) -> Self {
        Self { auroc: auroc(scored), average_precision: average_precision(scored) }
    }
}

/// A point of the learning curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Number of verdicts that the forest was fitted on.
    pub learned_from: usize,
    /// Number of later verdicts that it predicted.
    pub judged: usize,
    /// Number of true positives among those.
    pub confirmed: usize,
    /// The forest's order of them.
    pub triage: Order,
    /// The order by severity, then rarity.
    pub severity: Order,
}

/// Why nothing is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There are too few verdicts, or too few of one kind.
    TooFewVerdicts,
    /// Too few true alerts were held out to know a level.
    TooFewHeldOut,
    /// It is not certain that the forest orders held-out alerts better, or the newer half of them is ordered worse.
    NoGain,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewVerdicts => {
                write!(f, "there are not yet {MIN_VERDICTS} verdicts with {MIN_OF_A_KIND} of each kind")
            }
            Self::TooFewHeldOut => write!(f, "fewer than {MIN_OF_A_KIND} true positives could be held out"),
            Self::NoGain => f.write_str("no gain over the order by severity is certain, or none of late"),
        }
    }
}

/// What lowering would have done to the held-out alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lowering {
    /// Score below which an alert may be lowered, a probability.
    pub level: f64,
    /// Number of dismissed alerts that would have been a step lower.
    pub dismissed: usize,
    /// Number of true ones that would have been.
    pub confirmed: usize,
}

/// What was learned from verdicts, and how well.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TriageReport {
    /// Number of verdicts learned from.
    pub verdicts: usize,
    /// Number of true positives among them.
    pub confirmed: usize,
    /// The learning curve (n_forests).
    pub curve: Vec<Point>,
    /// All held-out verdicts together.
    pub held_out: Point,
    /// Share of bootstrap resamples, 0 to 1, in which the forest orders better.
    pub sure_of_gain: f64,
    /// What is lowered, or why nothing is.
    pub lowering: Result<Lowering, Reason>,
}

/// A held-out verdict, with the score of the forest and that of the severity.
struct HeldOut {
    /// A probability.
    score: f64,
    /// Severity, then rarity, as one number to order by.
    by_severity: f64,
    is_true: bool,
    /// Whether a low score may lower it.
    may_be_lowered: bool,
}

/// Learns from the newest verdict of each alert: `verdicts` (n_alerts), in the order in which they were given.
///
/// # Errors
/// [`TriageError::OneKind`], where not both kinds are there.
pub fn learn(verdicts: &[&Line]) -> Result<(Triage, TriageReport), TriageError> {
    let verdicts = &verdicts[verdicts.len().saturating_sub(MAX_VERDICTS)..];
    let confirmed = verdicts.iter().filter(|line| line.verdict.is_true()).count();
    let dismissed = verdicts.len() - confirmed;
    if confirmed == 0 || dismissed == 0 {
        return Err(TriageError::OneKind { confirmed, dismissed });
    }
    let triage = Triage::grow(Learned::gather(verdicts, SEED))?;
    let (mut curve, mut all) = (Vec::new(), Vec::new());
    for size in
        std::iter::successors(Some(FIRST_FIT), |size| size.checked_mul(2)).take_while(|size| *size < verdicts.len())
    {
        let (known, later) = verdicts.split_at(size);
        let block = match Triage::grow(Learned::gather(known, SEED)) {
            Ok(forest) => hold_out(&forest, &later[..later.len().min(size)]),
            // So far all were of one kind: nothing can be learned yet, and nothing is lowered.
            Err(TriageError::Forest(ForestError::Rows)) => continue,
            Err(error) => return Err(error),
        };
        curve.push(point(size, &block));
        all.extend(block);
    }
    let sure_of_gain = sure_of_gain(&all);
    let held_out = point(verdicts.len(), &all);
    let is_enough = verdicts.len() >= MIN_VERDICTS && confirmed.min(dismissed) >= MIN_OF_A_KIND;
    let is_no_less_precise = held_out.triage.average_precision >= held_out.severity.average_precision;
    // What was learned of other callers or another season may gain over all and mislead today.
    let newer = point(verdicts.len(), all.get(all.len() / 2..).unwrap_or_default());
    let gains_still = newer.triage.auroc >= newer.severity.auroc;
    let lowering = match () {
        () if !is_enough => Err(Reason::TooFewVerdicts),
        () if held_out.confirmed < MIN_OF_A_KIND => Err(Reason::TooFewHeldOut),
        () if sure_of_gain < MIN_SURE || !is_no_less_precise || !gains_still => Err(Reason::NoGain),
        () => Ok(lowering(&all)),
    };
    let report = TriageReport { verdicts: verdicts.len(), confirmed, curve, held_out, sure_of_gain, lowering };
    Ok((triage.lowering_below(report.lowering.as_ref().ok().map(|lowering| lowering.level)), report))
}

fn hold_out(triage: &Triage, verdicts: &[&Line]) -> Vec<HeldOut> {
    let judge = |line: &&Line| {
        let feature = |name: &str| line.alert.features.get(name).copied().unwrap_or_default();
        let severity = feature(SEVERITY);
        HeldOut {
            score: triage.score(&line.alert),
            // Severities are a thousand apart, and no rarity comes near that.
            by_severity: severity * 1_000.0 + feature(RARITY),
            is_true: line.verdict.is_true(),
            may_be_lowered: triage.is_familiar(&line.alert) && (2.0..5.0).contains(&severity),
        }
    };
    verdicts.iter().map(judge).collect()
}

fn point(learned_from: usize, judged: &[HeldOut]) -> Point {
    let scored = |score: fn(&HeldOut) -> f64| judged.iter().map(|held| (score(held), held.is_true)).collect::<Vec<_>>();
    Point {
        learned_from,
        judged: judged.len(),
        confirmed: judged.iter().filter(|held| held.is_true).count(),
        triage: Order::of(&scored(|held| held.score)),
        severity: Order::of(&scored(|held| held.by_severity)),
    }
}

/// Share of resamples, 0 to 1, drawn with replacement, in which the forest's AUROC is above that of the order by severity.
fn sure_of_gain(all: &[HeldOut]) -> f64 {
    if all.is_empty() {
        return 0.0;
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut gains = 0;
    for _ in 0..RESAMPLES {
        let drawn = (0..all.len()).filter_map(|_| all.get(random.gen_range(0..all.len())));
        let (forest, severity): (Vec<_>, Vec<_>) =
            drawn.map(|held| ((held.score, held.is_true), (held.by_severity, held.is_true))).unzip();
        gains += usize::from(auroc(&forest) > auroc(&severity));
    }
    gains as f64 / RESAMPLES as f64
}

/// The highest level under which no more than [`MAX_LOST_SHARE`] of the true alerts lie.
fn lowering(all: &[HeldOut]) -> Lowering {
    let mut scores: Vec<f64> = all.iter().filter(|held| held.is_true).map(|held| held.score).collect();
    scores.sort_by(f64::total_cmp);
    let lost = (scores.len() as f64 * MAX_LOST_SHARE) as usize;
    let level = scores.get(lost).copied().unwrap_or_default().min(MAX_LEVEL);
    let lowered =
        |kind| all.iter().filter(|held| held.is_true == kind && held.may_be_lowered && held.score < level).count();
    Lowering { level, dismissed: lowered(false), confirmed: lowered(true) }
}

impl fmt::Display for TriageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let line = |f: &mut fmt::Formatter<'_>, name: &str, point: &Point| {
            let Point { judged, confirmed, triage, severity, .. } = point;
            writeln!(
                f,
                "{name:>12}  {judged:>6}  {confirmed:>4}  {:>6}  {:>8}  {:>6}  {:>8}",
                number(triage.auroc),
                number(severity.auroc),
                number(triage.average_precision),
                number(severity.average_precision)
            )
        };
        let dismissed = self.verdicts - self.confirmed;
        writeln!(f, "{} verdicts: {} true, {dismissed} dismissed\n", self.verdicts, self.confirmed)?;
        writeln!(f, "learned from  judged  true   AUROC  severity      AP  severity")?;
        for point in &self.curve {
            line(f, &point.learned_from.to_string(), point)?;
        }
        line(f, "all held out", &self.held_out)?;
        writeln!(f, "\nsure of the gain in AUROC: {:.0} %", self.sure_of_gain * 100.0)?;
        match &self.lowering {
            Err(reason) => write!(f, "alerts are scored, none is lowered: {reason}"),
            Ok(Lowering { level, dismissed, confirmed }) => {
                let (true_ones, others) = (self.held_out.confirmed, self.held_out.judged - self.held_out.confirmed);
                write!(
                    f,
                    "alerts that score below {level:.3} are lowered by a step: of those held out, {dismissed} of {others} dismissed and \
                     {confirmed} of {true_ones} true"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::triage::{Judged, Said, Verdict};
    use crate::alerts::{Alert, Severity};
    use crate::train::evaluate::tests_alert;

    /// A verdict on an alert a minute. A backup's uploads are loud and dismissed, thefts are quieter and true: severity misleads.
    fn verdict(number: usize, is_theft: bool) -> Line {
        let (caller, detector) = if is_theft { ("thief", "new_destination") } else { ("backup", "burst") };
        let alert = Alert {
            detector: detector.to_owned(),
            severity: if is_theft { Severity::Medium } else { Severity::High },
            alarms_per_day: if is_theft { 0.2 } else { 0.01 },
            calls: number as u64 % 7,
            ..tests_alert("aw-1", number as i64, Severity::High, caller, "files.example.com")
        };
        let verdict = if is_theft { Verdict::TruePositive } else { Verdict::FalsePositive };
        let said = Said { id: format!("aw-{number}"), verdict, analyst: None, note: None };
        Line::new(said, Judged::of(&alert), number as i64)
    }

    fn learned(count: usize, is_theft: impl Fn(usize) -> bool) -> (Triage, TriageReport) {
        let lines: Vec<Line> = (0..count).map(|number| verdict(number, is_theft(number))).collect();
        learn(&lines.iter().collect::<Vec<_>>()).unwrap()
    }

    fn backup() -> Alert {
        let alert = tests_alert("aw-9", 900, Severity::High, "backup", "files.example.com");
        Alert { alarms_per_day: 0.01, ..alert }
    }

    #[test]
    fn verdicts_of_one_kind_are_counted_in_the_refusal() {
        let line = verdict(0, true);
        let refused = learn(&[&line]).unwrap_err().to_string();
        assert!(refused.starts_with("1 of the verdicts are true positives, 0 are false positives"), "{refused}");
    }

    #[test]
    fn what_is_always_dismissed_is_lowered_once_that_has_proved_right() {
        let (triage, report) = learned(80, |number| number % 4 == 0);
        assert!(report.held_out.triage.auroc > report.held_out.severity.auroc, "{report}");
        let lowering = report.lowering.unwrap();
        assert_eq!(lowering.confirmed, 0);
        assert!(lowering.dismissed > 30, "{lowering:?}");
        assert_eq!(triage.apply(backup()).severity, Severity::Medium);
    }

    #[test]
    fn a_theft_by_the_same_caller_still_pages_as_loudly() {
        let (triage, _) = learned(80, |number| number % 4 == 0);
        let theft = Alert { alarms_per_day: 1e-6, severity: Severity::Critical, ..backup() };
        assert_eq!(triage.apply(theft.clone()).severity, Severity::Critical);
        assert_eq!(triage.apply(Alert { severity: Severity::High, ..theft }).severity, Severity::High);
    }

    #[test]
    fn too_few_verdicts_lower_nothing() {
        let (triage, report) = learned(40, |number| number % 4 == 0);
        assert_eq!(report.lowering, Err(Reason::TooFewVerdicts));
        assert_eq!(triage.apply(backup()).severity, Severity::High);
    }

    #[test]
    fn verdicts_without_a_rule_in_them_lower_nothing() {
        // A coin decides: what looks alike is dismissed as often as not.
        let coin = |number: usize| number * 2_654_435_761 % 97 < 48;
        let lines: Vec<Line> =
            (0..160).map(|number| Line { verdict: said(coin(number)), ..verdict(number, false) }).collect();
        let (_, report) = learn(&lines.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(report.lowering, Err(Reason::NoGain), "{report}");
    }

    fn said(is_true: bool) -> Verdict {
        if is_true { Verdict::TruePositive } else { Verdict::BenignChange }
    }
}
