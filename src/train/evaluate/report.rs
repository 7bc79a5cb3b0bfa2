//! The evaluation report: JSON by serde, a table by `Display`.
//!
//! Not here: counting (`evaluate`).

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::Table;
use serde::Serialize;

use super::budget::Spending;
use super::calibration::{Calibration, NOMINAL};
use super::labels::Case;
use super::ranking::Ranking;
use super::table::{plain_table, write_table};

/// How many were found of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Found.
    pub found: usize,
    /// In all.
    pub of: usize,
}

impl Tally {
    /// The share that was found, from 0 to 1; `None` where there was nothing to find.
    pub fn recall(self) -> Option<f64> {
        (self.of > 0).then(|| self.found as f64 / self.of as f64)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} of {}", self.found, self.of)
    }
}

/// The outcome of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The case's id.
    pub id: String,
    /// What happened.
    pub kind: String,
    /// Its category.
    pub category: String,
    /// False for a hard negative.
    pub malicious: bool,
    /// From its start to the first alert that pages for it; `None` if it was missed, or harmless.
    pub minutes_to_detect: Option<f64>,
    /// Paging alerts that fell on it, without updates.
    pub alerts: usize,
}

impl Outcome {
    /// The outcome of a case that no alert has found.
    pub(super) fn missed(case: &Case) -> Self {
        Self {
            id: case.id.clone(),
            kind: case.kind.clone(),
            category: case.category.clone(),
            malicious: case.malicious,
            minutes_to_detect: None,
            alerts: 0,
        }
    }
}

/// One day of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Day {
    /// Days since the epoch, UTC.
    pub day: i64,
    /// Incidents that paged for the first time.
    pub pages: usize,
    /// Of them, those that find no malicious case.
    pub false_alarms: usize,
}

/// How well alerts and scores agree with the labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Malicious cases found.
    pub total: Tally,
    /// The same by category.
    pub by_category: BTreeMap<String, Tally>,
    /// Paging alerts that find no malicious case, without updates.
    pub false_alarms: usize,
    /// The same a day; `None` over no time.
    pub false_alarms_per_day: Option<f64>,
    /// Paging alerts that fall on a hard negative, without updates.
    pub alarms_on_hard_negatives: usize,
    /// Paging alerts on malicious cases for each that was found; `None` where none was.
    pub alerts_per_found: Option<f64>,
    /// Median over the malicious cases that were found, of an even number the upper of the two in the middle.
    pub median_minutes_to_detect: Option<f64>,
    /// Each case, in the order of the labels.
    pub cases: Vec<Outcome>,
    /// How scores rank records, where records are labelled and have scores.
    pub ranking: Option<Ranking>,
    /// How simple rules rank the same records, by name.
    pub baselines: Vec<(&'static str, Ranking)>,
    /// Pages and false alarms of each day.
    pub by_day: Vec<Day>,
    /// The budget that was asked for, alerts a day, where it is known.
    pub alerts_per_day_asked: Option<f64>,
    /// How the budget was kept, by family and day, where it is known.
    pub spending: Option<Spending>,
    /// How often entity-days are as rare as the model says, by age of the entity, where that was asked for.
    pub calibration: Vec<Calibration>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if !self.cases.is_empty() {
            write_table(f, &self.outcomes())?;
            writeln!(f)?;
        }
        write_table(f, &self.totals())?;
        if let Some(asked) = self.alerts_per_day_asked {
            writeln!(f)?;
            write_table(f, &self.days(asked))?;
        }
        if let Some(spending) = &self.spending {
            write!(f, "\n{spending}")?;
        }
        if !self.calibration.is_empty() {
            writeln!(f, "\nShare of entity-days on which nothing is known to have happened")?;
            write_table(f, &calibration_table(&self.calibration))?;
        }
        Ok(())
    }
}

impl Report {
    fn outcomes(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["case", "category", "found", "after", "alerts", "what"]);
        for case in &self.cases {
            let found = match (case.malicious, case.minutes_to_detect) {
                (false, _) => "-",
                (true, Some(_)) => "yes",
                (true, None) => "NO",
            };
            let after = case.minutes_to_detect.map(|minutes| format!("{minutes:.0} min")).unwrap_or_default();
            table.add_row([&case.id, &case.category, found, &after, &case.alerts.to_string(), &case.kind]);
        }
        table
    }

    /// Pages and false alarms by day, against the budget.
    fn days(&self, asked: f64) -> Table {
        let mut table = plain_table();
        table.set_header(["day", "pages", "false alarms"]);
        let (mut pages, mut false_alarms) = (0, 0);
        for day in &self.by_day {
            pages += day.pages;
            false_alarms += day.false_alarms;
            let date = jiff::Timestamp::from_second(day.day.saturating_mul(86_400)).unwrap_or_default();
            let date = date.strftime("%Y-%m-%d").to_string();
            table.add_row([date, day.pages.to_string(), day.false_alarms.to_string()]);
        }
        let days = self.by_day.len().max(1) as f64;
        let means = [pages, false_alarms].map(|sum| sum as f64 / days);
        let row = |name: &str, values: [f64; 2]| {
            [name.to_owned()].into_iter().chain(values.map(|value| format!("{value:.2}")))
        };
        table.add_row(row("mean", means));
        table.add_row(row("asked", [asked; 2]));
        table.add_row(row("ratio", means.map(|mean| mean / asked)));
        table
    }

    fn totals(&self) -> Table {
        let mut table = plain_table();
        let mut row = |label: &str, value: String| {
            table.add_row([label.to_string(), value]);
        };
        if !self.cases.is_empty() {
            row("found", self.total.to_string());
            for (category, tally) in &self.by_category {
                row(&format!("  {category}"), tally.to_string());
            }
            row("median time to detect", or_none(self.median_minutes_to_detect, |minutes| format!("{minutes:.1} min")));
            row("alerts for each found", or_none(self.alerts_per_found, |alerts| format!("{alerts:.2}")));
            row("alerts on hard negatives", self.alarms_on_hard_negatives.to_string());
            row("false alarms a day", or_none(self.false_alarms_per_day, |alarms| format!("{alarms:.2}")));
        }
        if let Some(ranking) = &self.ranking {
            let Ranking { attacks, benign, unscored, .. } = ranking;
            row("records", format!("{attacks} attack, {benign} benign, {unscored} without a score"));
            row("AUROC", or_none(ranking.auroc, |area| format!("{area:.4}")));
            row("average precision", or_none(ranking.average_precision, |precision| format!("{precision:.4}")));
        }
        for (name, Ranking { auroc, average_precision, .. }) in &self.baselines {
            let figures = [auroc, average_precision].map(|figure| or_none(*figure, |figure| format!("{figure:.4}")));
            row(&format!("  {name}"), figures.join(", "));
        }
        table
    }
}

/// Shares beside nominal, by age.
fn calibration_table(ages: &[Calibration]) -> Table {
    let mut table = plain_table();
    let nominal = NOMINAL.map(|nominal| format!("p ≤ {nominal:.0e}"));
    let header = ["days of history", "entity-days"].map(str::to_owned);
    table.set_header(header.into_iter().chain(nominal));
    for Calibration { age, entity_days, shares } in ages {
        let measured = shares.map(|shares| shares.map(|share| format!("{share:.1e}"))).unwrap_or_default();
        table.add_row([(*age).to_owned(), entity_days.to_string()].into_iter().chain(measured));
    }
    table
}

fn or_none(value: Option<f64>, words: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_string(), words)
}

#[cfg(test)]
mod tests {
    use super::super::{Labels, evaluate, matching::tests::*, rank};
    use crate::alerts::Severity;

    #[test]
    fn a_report_reads_as_a_table() {
        let cases = vec![
            scenario("P1", true, ["payroll", "", ""]),
            scenario("P2", true, ["billing", "", ""]),
            scenario("N1", false, ["mailer", "", ""]),
        ];
        let alerts =
            [alert("a", 12, Severity::High, "payroll", "x.com"), alert("b", 3, Severity::High, "mailer", "y.com")];
        let mut report = evaluate(&alerts, &Labels { cases, records: vec![] }, 0, 48 * 60 * MINUTE);
        report.ranking = Some(rank(&[], |_| None));
        let expected = " case  category  found  after   alerts  what
 P1    abuse     yes    12 min  1       an odd thing
 P2    abuse     NO             0       an odd thing
 N1    abuse     -              1       an odd thing

 found                     1 of 2
   abuse                   1 of 2
 median time to detect     12.0 min
 alerts for each found     1.00
 alerts on hard negatives  1
 false alarms a day        0.50
 records                   0 attack, 0 benign, 0 without a score
 AUROC                     -
 average precision         -
";
        assert_eq!(report.to_string(), expected, "\n{report}");
    }
}
