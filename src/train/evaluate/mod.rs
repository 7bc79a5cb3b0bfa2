//! Evaluation: alerts against labels.
//!
//! `labels` reads what happened, `matching` decides which alert finds which case, `ranking` rates scores without a threshold, and [`evaluate`]
//! counts: cases found and missed, time to detection, false alarms.
//!
//! Not here: how alerts are raised (`stream`), and where they are read and printed (`cli`).

mod baselines;
mod budget;
mod calibration;
mod labels;
mod matching;
mod ranking;
mod report;
mod table;

use std::collections::{BTreeMap, HashSet};

use crate::alerts::triage::Verdict;
use crate::alerts::{Alert, Severity};
use crate::models::quantile::median;

pub use baselines::{BASELINES, baselines};
pub use budget::{Sent, Spending, Spent, spending};
pub use calibration::{Calibration, EntityDays, NOMINAL};
pub use labels::{Case, LabelledRecord, Labels, LabelsError, Subject, Truth};
pub use ranking::{Ranking, auroc, average_precision, rank};
pub use report::{Day, Outcome, Report, Tally};
pub(in crate::train) use table::{plain_table, write_table};

use matching::Matcher;
#[cfg(test)]
pub(super) use matching::tests::alert as tests_alert;

const MICROSECONDS_A_MINUTE: f64 = 60e6;
const MICROSECONDS_A_DAY: f64 = 86_400e6;

/// Judges alerts, in the order in which they were raised, over the time from `from` up to `to` (microseconds since the epoch).
///
/// Only an alert that pages finds a case or is a false alarm. Further steps of a known incident are no new alerts: one may find a case, and is
/// not counted. An alert that finds no malicious case is a false alarm, even where it matches a hard negative. [`Report::ranking`], the budget
/// and the calibration are left empty: they do not follow from alerts.
pub fn evaluate(alerts: &[Alert], labels: &Labels, from: i64, to: i64) -> Report {
    let matcher = Matcher::new(&labels.cases);
    let mut outcomes: Vec<Outcome> = labels.cases.iter().map(Outcome::missed).collect();
    let (mut seen, mut paged) = (HashSet::new(), HashSet::new());
    let mut days = Days::new(from, to);
    let in_time = |alert: &&Alert| (from..to.saturating_add(matching::GRACE)).contains(&alert.time);
    for alert in alerts.iter().filter(in_time) {
        let is_new = seen.insert(alert.id.as_str());
        if alert.severity < Severity::Medium {
            continue;
        }
        if paged.insert(alert.id.as_str()) {
            days.of(alert.time).pages += 1;
        }
        let mut finds_malice = false;
        for (case, outcome) in labels.cases.iter().zip(&mut outcomes).filter(|(case, _)| matcher.finds(alert, case)) {
            outcome.alerts += usize::from(is_new);
            if case.malicious {
                finds_malice = true;
                let minutes = (alert.time - case.start) as f64 / MICROSECONDS_A_MINUTE;
                outcome.minutes_to_detect = Some(outcome.minutes_to_detect.map_or(minutes, |known| known.min(minutes)));
            }
        }
        days.of(alert.time).false_alarms += usize::from(is_new && !finds_malice);
    }
    summed_up(outcomes, days.0, to.saturating_sub(from) as f64 / MICROSECONDS_A_DAY)
}

/// The verdict of an analyst who knew the labels, for each incident: true if a step of it finds a malicious case, else a benign change
/// if one finds a harmless case, else a false positive.
pub fn verdicts<'a>(alerts: &'a [Alert], labels: &Labels) -> BTreeMap<&'a str, Verdict> {
    let matcher = Matcher::new(&labels.cases);
    let mut verdicts = BTreeMap::new();
    for alert in alerts {
        let found =
            |malicious| labels.cases.iter().any(|case| case.malicious == malicious && matcher.finds(alert, case));
        let known = verdicts.entry(alert.id.as_str()).or_insert(Verdict::FalsePositive);
        *known = match *known {
            Verdict::TruePositive => Verdict::TruePositive,
            _ if found(true) => Verdict::TruePositive,
            _ if found(false) => Verdict::BenignChange,
            before => before,
        };
    }
    verdicts
}

/// Each day of an evaluation.
struct Days(Vec<Day>);

impl Days {
    fn new(from: i64, to: i64) -> Self {
        let day_of = |time: i64| time.div_euclid(MICROSECONDS_A_DAY as i64);
        let days = day_of(from)..=day_of(to.saturating_sub(1)).max(day_of(from));
        Self(days.map(|day| Day { day, ..Day::default() }).collect())
    }

    /// The day of a time; of one after the end, which may still find a case, the last.
    fn of(&mut self, time: i64) -> &mut Day {
        let first = self.0.first().map_or(0, |day| day.day);
        let place = time.div_euclid(MICROSECONDS_A_DAY as i64).saturating_sub(first);
        let last = self.0.len().saturating_sub(1);
        &mut self.0[usize::try_from(place).unwrap_or_default().min(last)]
    }
}

fn summed_up(cases: Vec<Outcome>, by_day: Vec<Day>, days: f64) -> Report {
    let false_alarms = by_day.iter().map(|day| day.false_alarms).sum();
    let mut by_category: BTreeMap<String, Tally> = BTreeMap::new();
    let mut total = Tally::default();
    for case in cases.iter().filter(|case| case.malicious) {
        let found = usize::from(case.minutes_to_detect.is_some());
        for tally in [&mut total, by_category.entry(case.category.clone()).or_default()] {
            tally.found += found;
            tally.of += 1;
        }
    }
    let alerts_on = |malicious| cases.iter().filter(|case| case.malicious == malicious).map(|case| case.alerts).sum();
    let on_malicious: usize = alerts_on(true);
    Report {
        total,
        by_category,
        false_alarms,
        false_alarms_per_day: (days > 0.0).then(|| false_alarms as f64 / days),
        alarms_on_hard_negatives: alerts_on(false),
        alerts_per_found: (total.found > 0).then(|| on_malicious as f64 / total.found as f64),
        median_minutes_to_detect: median(cases.iter().filter_map(|case| case.minutes_to_detect).collect()),
        cases,
        ranking: None,
        baselines: Vec::new(),
        by_day,
        alerts_per_day_asked: None,
        spending: None,
        calibration: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::matching::tests::{MINUTE, alert, scenario};
    use super::*;

    const DAY: i64 = 24 * 60 * MINUTE;

    #[test]
    fn a_small_case_is_counted_as_by_hand() {
        let labels = Labels {
            cases: vec![
                scenario("P1", true, ["payroll", "dropbox.com", "key_1"]),
                scenario("P2", true, ["billing", "stripe.com", ""]),
                scenario("N1", false, ["mailer", "", ""]),
            ],
            records: vec![],
        };
        let alerts = [
            alert("notice", 5, Severity::Low, "payroll", "dropbox.com"),
            alert("found", 20, Severity::High, "payroll", "dropbox.com"),
            alert("found", 10, Severity::High, "payroll", "dropbox.com"),
            alert("again", 115, Severity::Medium, "payroll", "dropbox.com"),
            alert("peak", 30, Severity::Medium, "mailer", "sendgrid.com"),
            alert("too late", 121, Severity::Critical, "payroll", "dropbox.com"),
            alert("before all", -1, Severity::Critical, "payroll", "dropbox.com"),
        ];
        let report = evaluate(&alerts, &labels, 0, 2 * DAY);
        assert_eq!(report.total, Tally { found: 1, of: 2 });
        assert_eq!(report.by_category["abuse"], Tally { found: 1, of: 2 });
        // The update was raised sooner, and is no alert of its own.
        assert_eq!((report.cases[0].minutes_to_detect, report.cases[0].alerts), (Some(10.0), 2));
        assert_eq!(report.cases[1].minutes_to_detect, None);
        // The harmless peak, and what came too late.
        assert_eq!((report.false_alarms, report.false_alarms_per_day), (2, Some(1.0)));
        assert_eq!((report.alarms_on_hard_negatives, report.alerts_per_found), (1, Some(2.0)));
        let by_day: Vec<_> = report.by_day.iter().map(|day| (day.pages, day.false_alarms)).collect();
        assert_eq!(by_day, [(4, 2), (0, 0)]);
    }

    #[test]
    fn a_notice_that_grows_under_the_same_id_is_no_new_false_alarm() {
        let alerts = [
            alert("a", 5, Severity::Low, "payroll", "dropbox.com"),
            alert("a", 6, Severity::High, "payroll", "dropbox.com"),
        ];
        assert_eq!(evaluate(&alerts, &Labels::default(), 0, DAY).false_alarms, 0);
        assert_eq!(evaluate(&alerts[1..], &Labels::default(), 0, DAY).false_alarms, 1);
    }

    #[test]
    fn nothing_at_all_gives_no_numbers_rather_than_wrong_ones() {
        let report = evaluate(&[], &Labels::default(), 0, 0);
        assert_eq!((report.total.recall(), report.false_alarms_per_day, report.alerts_per_found), (None, None, None));
        assert_eq!(report.median_minutes_to_detect, None);
    }

    #[test]
    fn a_verdict_is_true_if_any_step_finds_malice_whatever_its_severity() {
        let cases = vec![scenario("P", true, ["payroll", "", ""]), scenario("N", false, ["mailer", "", ""])];
        let alerts = [
            alert("theft", 5, Severity::Informational, "somebody", "x.com"),
            alert("theft", 6, Severity::Informational, "payroll", "x.com"),
            alert("theft", 7, Severity::Critical, "somebody", "x.com"),
            alert("campaign", 5, Severity::High, "mailer", "x.com"),
            alert("campaign", 400, Severity::High, "mailer", "x.com"),
            alert("noise", 5, Severity::High, "somebody", "x.com"),
        ];
        let verdicts = verdicts(&alerts, &Labels { cases, records: vec![] });
        let expected =
            [("campaign", Verdict::BenignChange), ("noise", Verdict::FalsePositive), ("theft", Verdict::TruePositive)];
        assert_eq!(verdicts.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_alert_may_find_two_cases_and_is_one_page_and_no_false_alarm() {
        let cases = vec![scenario("P1", true, ["payroll", "", ""]), scenario("P2", true, ["", "x.com", ""])];
        let report =
            evaluate(&[alert("a", 5, Severity::High, "payroll", "x.com")], &Labels { cases, records: vec![] }, 0, DAY);
        assert_eq!((report.total.found, report.false_alarms, report.by_day[0].pages), (2, 0, 1));
        assert_eq!(report.alerts_per_found, Some(1.0));
    }

    #[test]
    fn an_alert_in_the_hour_after_the_end_still_finds_and_is_counted_on_the_last_day() {
        let case = Case { start: DAY - 10 * MINUTE, end: DAY - MINUTE, ..scenario("P", true, ["payroll", "", ""]) };
        let labels = Labels { cases: vec![case], records: vec![] };
        let minute = DAY / MINUTE;
        let found = evaluate(&[alert("a", minute + 30, Severity::High, "payroll", "x.com")], &labels, 0, DAY);
        assert_eq!((found.total.found, found.by_day.len(), found.by_day[0].pages), (1, 1, 1));
        let late = evaluate(&[alert("a", minute + 60, Severity::High, "payroll", "x.com")], &labels, 0, DAY);
        assert_eq!((late.total.found, late.false_alarms), (0, 0));
    }
}
