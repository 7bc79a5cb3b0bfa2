//! Coverage: which callers log, which went silent, on which days nothing was logged, and which fields logs have.
//!
//! A caller is silent when it has gone without a call for clearly longer than ever in the three months before: more than twice its longest pause,
//! and a whole day more. So a weekend is no silence, and a shipper that stopped is one after two days. Who called on fewer than five days has no
//! habit to break.
//!
//! Not here: pauses of minutes, which the detectors `silence` and `logs_stopped` raise alerts about.

use serde::Serialize;

use super::incident::Incident;
use super::time::{day, moment};
use crate::catalog::{CallerFacts, Facts, Period};

/// Days with a call that make a habit.
const MIN_ACTIVE_DAYS: usize = 5;
/// Callers that the plot of days shows.
const MAX_PLOTTED: usize = 24;
/// Columns that the plot of days has at most: more days share one.
const MAX_COLUMNS: i64 = 62;
/// Fields that rules and detectors ask for, and what lacks without them.
const FIELDS: [(&str, &str); 5] = [
    ("credential", "ages, rotation and sharing of keys; calls without authentication"),
    ("scheme", "calls over plaintext HTTP"),
    ("tls_version", "TLS versions that are out of date"),
    ("content_type", "answers of another kind than before; kinds of data"),
    ("region", "where calls go"),
];
/// Detectors of logs and callers that stop.
const STOPPED: [&str; 2] = ["logs_stopped", "silence"];

/// Which callers log.
#[derive(Debug, Serialize)]
pub(super) struct Coverage {
    /// Callers that were ever seen.
    pub known: usize,
    /// Callers with a call in the period.
    pub active: usize,
    /// Callers that went silent, those with most calls a day first.
    pub silent: Vec<Silent>,
    /// Days of the period on which nothing at all was logged.
    pub blank_days: Vec<String>,
    /// Incidents of logs that stopped.
    pub stopped: Vec<Stopped>,
    /// Fields that logs show.
    pub fields: Vec<Field>,
    /// Calls by day, for the plot.
    pub plot: Plot,
}

/// A caller that went silent.
#[derive(Debug, Serialize)]
pub(super) struct Silent {
    pub caller: String,
    pub last_seen: String,
    /// Whole days without a call, to the newest call of all.
    pub silent_days: i64,
    /// Its longest pause before, whole days.
    pub longest_pause_days: i64,
    /// On a day with calls, in the mean.
    pub calls_per_day: i64,
}

/// An incident of logs that stopped.
#[derive(Debug, Serialize)]
pub(super) struct Stopped {
    pub opened: String,
    pub detector: String,
    pub message: String,
    pub is_closed: bool,
}

/// A field of logs.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub field: &'static str,
    /// Callers whose logs show it.
    pub callers: usize,
    /// What cannot be told without it.
    pub needed_for: &'static str,
}

/// Calls of some callers by day, or by several days.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    /// The first day of each column.
    pub columns: Vec<String>,
    /// Days that a column covers.
    pub days_per_column: i64,
    /// Caller, whether it is silent, and its calls by column.
    pub rows: Vec<PlotRow>,
}

/// A row of the plot.
#[derive(Debug, Serialize)]
pub(super) struct PlotRow {
    pub caller: String,
    pub is_silent: bool,
    pub calls: Vec<i64>,
}

impl Coverage {
    pub fn of(facts: &Facts, incidents: &[Incident]) -> Self {
        let period = facts.period;
        let newest = facts.newest.map_or(period.last, Period::day_of);
        let mut silent: Vec<Silent> =
            facts.callers.iter().filter_map(|(name, caller)| silence(name, caller, newest)).collect();
        silent.sort_by(|a, b| (-a.calls_per_day, &a.caller).cmp(&(-b.calls_per_day, &b.caller)));
        let blank_days =
            (*facts.days_known().start()..=newest).filter(|day| !facts.days.contains_key(day)).map(day).collect();
        let of_stopped = incidents.iter().filter(|incident| STOPPED.contains(&&*incident.detector));
        let mut stopped: Vec<_> = of_stopped.collect();
        stopped.sort_by(|a, b| (a.opened, &a.id).cmp(&(b.opened, &b.id)));
        let stopped = stopped.into_iter().map(|incident| Stopped {
            opened: moment(incident.opened),
            detector: incident.detector.clone(),
            message: incident.message.clone(),
            is_closed: incident.is_closed,
        });
        let field = |(field, needed_for): (&'static str, &'static str)| Field {
            field,
            callers: facts.shown.get(field).copied().unwrap_or_default(),
            needed_for,
        };
        Self {
            known: facts.callers.len(),
            active: facts.callers.values().filter(|caller| caller.span.calls > 0).count(),
            plot: plot(facts, &silent),
            silent,
            blank_days,
            stopped: stopped.collect(),
            fields: FIELDS.map(field).into(),
        }
    }
}

/// Whether a caller went silent by a day.
fn silence(name: &str, caller: &CallerFacts, newest: i64) -> Option<Silent> {
    let days: Vec<i64> = caller.days.keys().copied().filter(|day| *day <= newest).collect();
    let last = *days.last()?;
    let longest = days.windows(2).map(|pair| pair[1] - pair[0] - 1).max()?;
    let silent_days = newest - last;
    let calls: i64 = caller.days.values().sum();
    (days.len() >= MIN_ACTIVE_DAYS && silent_days > 2 * longest + 1).then(|| Silent {
        caller: name.to_owned(),
        last_seen: moment(caller.span.last_seen),
        silent_days,
        longest_pause_days: longest,
        calls_per_day: calls / i64::try_from(days.len()).unwrap_or(i64::MAX),
    })
}

/// Silent callers first, then those with most calls.
fn plot(facts: &Facts, silent: &[Silent]) -> Plot {
    let days = facts.days_known();
    let days_per_column = ((days.end() - days.start()) / MAX_COLUMNS + 1).max(1);
    let columns: Vec<i64> = days.step_by(usize::try_from(days_per_column).unwrap_or(1)).collect();
    let is_silent = |name: &str| silent.iter().any(|silent| silent.caller == name);
    let mut order: Vec<_> = facts.callers.iter().filter(|(_, caller)| !caller.days.is_empty()).collect();
    order.sort_by_key(|(name, caller)| (!is_silent(name), -caller.span.calls, *name));
    let row = |(name, caller): (&String, &CallerFacts)| PlotRow {
        caller: name.clone(),
        is_silent: is_silent(name),
        calls: columns
            .iter()
            .map(|from| caller.days.range(*from..from + days_per_column).map(|day| day.1).sum())
            .collect(),
    };
    Plot {
        rows: order.into_iter().take(MAX_PLOTTED).map(row).collect(),
        columns: columns.iter().map(|at| day(*at)).collect(),
        days_per_column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a caller with calls on these days is silent by a day: its silent days, and its longest pause.
    fn silent(days: &[i64], newest: i64) -> Option<(i64, i64)> {
        let caller = CallerFacts { days: days.iter().map(|day| (*day, 10)).collect(), ..CallerFacts::default() };
        silence("crm", &caller, newest).map(|silent| (silent.silent_days, silent.longest_pause_days))
    }

    #[test]
    fn who_calls_daily_is_silent_after_two_days_and_who_rests_at_weekends_after_six() {
        let daily: Vec<i64> = (0..20).collect();
        assert_eq!(silent(&daily, 20), None);
        assert_eq!(silent(&daily, 21), Some((2, 0)));
        let workdays: Vec<i64> = (0..19).filter(|day| day % 7 < 5).collect();
        assert_eq!(*workdays.last().unwrap(), 18);
        assert_eq!(silent(&workdays, 23), None);
        assert_eq!(silent(&workdays, 24), Some((6, 2)));
    }

    #[test]
    fn who_called_on_a_few_days_has_no_habit_to_break() {
        assert_eq!(silent(&[0, 1, 2, 3], 60), None);
        assert_eq!(silent(&[], 60), None);
    }
}
