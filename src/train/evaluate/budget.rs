//! The budget: pages a day as asked, as the calibrated thresholds alone would have paged, and as kept, by family; and what was sent each day.
//!
//! Not here: how thresholds move (`models::pacing`), and which pages were false (`evaluate`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use comfy_table::Table;
use serde::Serialize;

use super::table::{plain_table, write_table};
use crate::alerts::{Activity, Alert, Severity};
use crate::calls::View;
use crate::detect::{Budget, Family, Share, Threshold};

const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// How a family has kept to its share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spent {
    /// The view.
    pub view: View,
    /// The family; `None` for what spends no budget, such as rules.
    pub family: Option<Family>,
    /// Pages a day asked for.
    pub asked: f64,
    /// Pages a day that the calibrated thresholds would have brought, of what was reported.
    pub calibrated: f64,
    /// Pages a day.
    pub kept: f64,
    /// Smallest and largest threshold in force over the calibrated one, of what was reported.
    pub multiplier: Option<[f64; 2]>,
}

/// What was sent on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Days since the epoch, UTC.
    pub day: i64,
    /// Incidents that paged for the first time.
    pub pages: usize,
    /// Those that would have by the calibrated thresholds.
    pub calibrated: usize,
    /// Other incidents.
    pub notices: usize,
    /// Records in all: every step of every incident.
    pub records: usize,
}

/// How a budget was kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spending {
    /// By view and family.
    pub by_family: Vec<Spent>,
    /// Of each day.
    pub by_day: Vec<Sent>,
}

/// One incident, as far as the budget is concerned.
#[derive(Default)]
struct Seen<'a> {
    first: Option<&'a Alert>,
    pages: Option<&'a Alert>,
    /// The first step that is rare enough for the calibrated threshold, and pages or would have.
    by_calibration: Option<&'a Alert>,
}

/// Sums up alerts, in the order in which they were raised, over the time from `from` up to `to` (microseconds since the epoch).
pub fn spending(alerts: &[Alert], budget: Budget, from: i64, to: i64) -> Spending {
    let in_time = |alert: &&Alert| (from..to).contains(&alert.time);
    let mut incidents: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    let mut days: BTreeMap<i64, Sent> = BTreeMap::new();
    let first_day = from.div_euclid(MICROSECONDS_A_DAY);
    let last_day = to.saturating_sub(1).div_euclid(MICROSECONDS_A_DAY).max(first_day);
    days.extend((first_day..=last_day).map(|day| (day, Sent { day, ..Sent::default() })));
    for alert in alerts.iter().filter(in_time) {
        days.entry(alert.time.div_euclid(MICROSECONDS_A_DAY)).or_default().records += 1;
        let seen = incidents.entry(&alert.id).or_default();
        seen.first.get_or_insert(alert);
        if alert.activity != Activity::Close && alert.severity >= Severity::Medium {
            seen.pages.get_or_insert(alert);
        }
        if is_by_calibration(alert) {
            seen.by_calibration.get_or_insert(alert);
        }
    }
    for seen in incidents.values() {
        let mut on = |alert: Option<&Alert>, count: fn(&mut Sent)| {
            if let Some(sent) = alert.and_then(|alert| days.get_mut(&alert.time.div_euclid(MICROSECONDS_A_DAY))) {
                count(sent);
            }
        };
        on(seen.pages, |sent| sent.pages += 1);
        on(seen.by_calibration, |sent| sent.calibrated += 1);
        on(seen.first.filter(|_| seen.pages.is_none()), |sent| sent.notices += 1);
    }
    Spending { by_family: by_family(&incidents, budget, days.len() as f64), by_day: days.into_values().collect() }
}

/// Whether a step pages by the calibrated threshold: a page that no loosened threshold brought, or a notice that a tightened one made of it.
fn is_by_calibration(alert: &Alert) -> bool {
    let pages = alert.severity >= Severity::Medium;
    let rate = alert.alarms_per_day;
    alert.threshold.map_or(pages, |of| rate <= of.calibrated && (pages || rate > of.in_force))
}

/// Whose a page is: a family in a view, or nobody's who has a budget.
type Whose = (View, Option<Family>);

fn by_family(incidents: &BTreeMap<&str, Seen<'_>>, budget: Budget, days: f64) -> Vec<Spent> {
    let asked: BTreeMap<Share, f64> = budget.asked().collect();
    let found = incidents.values().flat_map(|seen| [seen.pages, seen.by_calibration]).flatten().map(share);
    let all: BTreeSet<Whose> = asked.keys().map(|(view, family)| (*view, Some(*family))).chain(found).collect();
    let spent = |(view, family): Whose| {
        let a_day = |step: fn(&Seen<'_>) -> Option<Whose>| {
            incidents.values().filter(|seen| step(seen) == Some((view, family))).count() as f64 / days
        };
        let thresholds = incidents.values().filter_map(|seen| seen.first);
        let multipliers = thresholds.filter(|alert| share(alert) == (view, family)).filter_map(|alert| {
            let Threshold { calibrated, in_force, .. } = alert.threshold?;
            (calibrated > 0.0).then(|| in_force / calibrated)
        });
        let multiplier = multipliers.fold(None, |ends: Option<[f64; 2]>, multiplier| {
            let [least, most] = ends.unwrap_or([multiplier; 2]);
            Some([least.min(multiplier), most.max(multiplier)])
        });
        Spent {
            view,
            family,
            asked: family.and_then(|family| asked.get(&(view, family)).copied()).unwrap_or_default(),
            calibrated: a_day(|seen| seen.by_calibration.map(share)),
            kept: a_day(|seen| seen.pages.map(share)),
            multiplier,
        }
    };
    all.into_iter().map(spent).collect()
}

fn share(alert: &Alert) -> (View, Option<Family>) {
    (alert.view, alert.threshold.map(|threshold| threshold.family))
}

impl fmt::Display for Spending {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "Pages a day")?;
        write_table(f, &self.families())?;
        writeln!(f)?;
        write_table(f, &self.days())
    }
}

impl Spending {
    fn families(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["view", "family", "asked", "calibrated", "kept", "threshold in force"]);
        let sum = |of: fn(&Spent) -> f64| format!("{:.2}", self.by_family.iter().map(of).sum::<f64>());
        for Spent { view, family, asked, calibrated, kept, multiplier } in &self.by_family {
            let family = family.map_or("no budget", Family::as_str);
            let moved =
                multiplier.map_or_else(|| "-".to_owned(), |[least, most]| format!("{least:.2} to {most:.2} times"));
            let [asked, calibrated, kept] = [asked, calibrated, kept].map(|pages| format!("{pages:.2}"));
            table.add_row([view.as_str().to_owned(), family.to_owned(), asked, calibrated, kept, moved]);
        }
        let sums = [sum(|of| of.asked), sum(|of| of.calibrated), sum(|of| of.kept)];
        table.add_row(["all".to_owned(), String::new()].into_iter().chain(sums));
        table
    }

    fn days(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["day", "pages", "calibrated", "notices", "records"]);
        for Sent { day, pages, calibrated, notices, records } in &self.by_day {
            let date = jiff::Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or_default();
            let counts = [pages, calibrated, notices, records].map(|count| count.to_string());
            table.add_row([date.strftime("%Y-%m-%d").to_string()].into_iter().chain(counts));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::{MINUTE, alert};
    use super::*;

    fn with(alert: Alert, rate: f64, in_force: f64) -> Alert {
        let threshold = Some(Threshold { family: Family::Tests, calibrated: 0.5, in_force });
        Alert { alarms_per_day: rate, threshold, ..alert }
    }

    #[test]
    fn pages_are_counted_as_kept_and_as_calibrated_and_what_is_no_page_as_a_notice() {
        let alerts = [
            with(alert("page", 5, Severity::High, "a", "x.com"), 0.1, 0.5),
            with(alert("page", 6, Severity::High, "a", "x.com"), 0.01, 0.5),
            with(alert("loosened", 7, Severity::Medium, "b", "x.com"), 0.9, 1.0),
            with(alert("tightened", 8, Severity::Low, "c", "x.com"), 0.4, 0.05),
            with(alert("explained", 9, Severity::Low, "d", "x.com"), 0.01, 0.5),
        ];
        let spending = spending(&alerts, Budget::new(1.0, [View::Egress]), 0, 24 * 60 * MINUTE);
        let tests = spending.by_family.iter().find(|spent| spent.family == Some(Family::Tests)).unwrap();
        assert_eq!((tests.asked, tests.calibrated, tests.kept), (0.55, 2.0, 2.0));
        assert_eq!(tests.multiplier, Some([0.1, 2.0]));
        assert_eq!(spending.by_day, [Sent { day: 0, pages: 2, calibrated: 2, notices: 2, records: 5 }]);
    }
}
