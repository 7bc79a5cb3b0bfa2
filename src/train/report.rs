//! The report of a training: what was learned, what was left out and why, and which entities still lack a history of their own.
//!
//! Not here: the numbers of one entity (`inspect`), nor how well a bundle detects (`evaluate`).

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::curves::HeldOut;
use super::{OddDay, Settings};
use crate::alerts::printable;
use crate::calls::View;
use crate::detect::Budget;
use crate::features::Level;
use crate::ingest::Tally;
use crate::models::bundle::{Bundle, Manifest};

/// Most entities that are named in a line of the report.
const MAX_NAMED: usize = 10;
/// Dispersion, dimensionless, above which a pair is reported as unlike any model.
const MAX_DISPERSION: f32 = 25.0;
/// Days of history below which the report says that more would help.
const GOOD_DAYS: usize = 7;

/// What a bundle without a history is good for.
pub(super) const WITHOUT_HISTORY: &str = "Audit logs are judged by prior rates alone, egress logs not at all.";

/// Something that was not learned from.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
    /// How many of them.
    pub count: u64,
}

/// What was learned.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the bundle.
    pub bundle: String,
    /// First and last call of the history (2), RFC 3339; `None` without a history.
    pub history: Option<[String; 2]>,
    /// Number of days of the history.
    pub days: usize,
    /// Number of calls learned from.
    pub calls: i64,
    /// Calls that were left out because their times lie apart from all others.
    pub trimmed: u64,
    /// Calls that were left out because their record had been read before.
    pub repeated: u64,
    /// How many entities, vendors, endpoints …, by name.
    pub learned: BTreeMap<String, usize>,
    /// What was calibrated, by name, which holds the unit: alerts a day asked for, alarms a day at the threshold of the tests,
    /// entities, days; deviance of calls on days left out (nats times two) by kind of model, and pairs that use each.
    pub calibration: BTreeMap<String, f64>,
    /// Pairs that are judged by their peers, each with its days of history and calls.
    pub judged_by_peers: Vec<String>,
    /// Pairs whose numbers fit no model, and how.
    pub strange: Vec<String>,
    /// Days that stood out, and were not learned from.
    pub odd_days: Vec<OddDay>,
    /// What was not learned from.
    pub left_out: Vec<LeftOut>,
}

impl Report {
    pub(super) fn of(bundle: &Bundle, held_out: HeldOut, settings: &Settings) -> Self {
        let mut learned = BTreeMap::new();
        let mut vendors = std::collections::BTreeSet::new();
        let mut callers = std::collections::BTreeSet::new();
        let (mut judged_by_peers, mut strange) = (Vec::new(), Vec::new());
        for (entity, baseline) in bundle.baselines.sorted() {
            *learned.entry(format!("{} baselines", entity.level.as_str())).or_default() += 1;
            vendors.insert((entity.view, entity.vendor.as_str()));
            if entity.level == Level::Pair {
                callers.insert((entity.view, entity.caller.as_str()));
                let pair = format!("{} → {}", entity.caller, entity.vendor);
                if !baseline.is_known {
                    judged_by_peers.push(format!("{pair} ({} days, {} calls)", baseline.days, baseline.calls));
                }
                if baseline.dispersion.iter().any(|dispersion| *dispersion > MAX_DISPERSION) {
                    strange.push(format!("{pair}: its counts are more dispersed than any model expects"));
                }
            }
        }
        learned.insert("callers".to_owned(), callers.len());
        learned.insert("vendors".to_owned(), vendors.len());
        learned.insert("endpoints".to_owned(), bundle.expectations.endpoints());
        learned.insert("multivariate models".to_owned(), bundle.multivariate.len());
        let budget = Budget::new(settings.alerts_per_day, bundle.views.keys().copied());
        let calibration = BTreeMap::from([
            ("alerts a day asked for".to_owned(), budget.alerts_per_day()),
            ("alarms a day at the tests' threshold".to_owned(), budget.tests(View::Egress).calibrated),
            (
                "entities judged".to_owned(),
                bundle.views.keys().map(|view| bundle.entities(*view)).sum::<usize>() as f64,
            ),
            ("days of history".to_owned(), bundle.span.day_count() as f64),
            ("deviance of calls on days left out, by tables".to_owned(), held_out.table),
            ("deviance of calls on days left out, by curves".to_owned(), held_out.curve),
            ("deviance of calls on days left out, by the better one of each pair".to_owned(), held_out.chosen),
            ("pairs whose calls follow a curve".to_owned(), held_out.by_curve as f64),
            ("pairs whose calls follow a table".to_owned(), held_out.by_table as f64),
        ]);
        Self {
            bundle: bundle.manifest.version.clone(),
            history: (bundle.manifest.calls > 0)
                .then(|| [bundle.manifest.trained_from.clone(), bundle.manifest.trained_to.clone()]),
            days: bundle.span.day_count(),
            trimmed: 0,
            repeated: 0,
            calls: bundle.manifest.calls,
            learned,
            calibration,
            judged_by_peers,
            strange,
            odd_days: Vec::new(),
            left_out: bundle.manifest.excluded.iter().map(|(rule, count)| excluded(rule, *count)).collect(),
        }
    }

    /// Writes into the manifest what it repeats of the report.
    pub(super) fn complete(&self, manifest: &mut Manifest) {
        manifest.learned.clone_from(&self.learned);
        manifest.calibration.clone_from(&self.calibration);
    }

    /// Adds what reading left out.
    pub fn leave_out(&mut self, tally: &Tally, unreadable: &[String]) {
        let left_out = |what: &str, why: &str, count| LeftOut { what: what.to_owned(), why: why.to_owned(), count };
        let other =
            tally.not_calls.iter().map(|(kind, count)| left_out("records", &format!("no call: {kind}"), *count));
        self.left_out.extend(other);
        self.left_out.extend(tally.rejected.iter().map(|(reason, count)| left_out("records", reason, *count)));
        let fields = tally.unreadable.iter();
        self.left_out
            .extend(fields.map(|(field, count)| left_out("values", &format!("{field} cannot be read"), *count)));
        self.left_out.extend(unreadable.iter().map(|problem| left_out("input", problem, 1)));
        if self.repeated > 0 {
            self.left_out.push(left_out("calls", "their records had been read before", self.repeated));
        }
        if self.trimmed > 0 {
            self.left_out.push(left_out("calls", "their times lie apart from all others", self.trimmed));
        }
    }
}

/// A rule that matched no call may be a misspelling, so it is reported as well.
/// As one word of a POSIX shell, whatever is in it.
fn quoted(rule: &str) -> String {
    format!("'{}'", rule.replace('\'', r"'\''"))
}

fn excluded(rule: &str, count: u64) -> LeftOut {
    LeftOut { what: "calls".to_owned(), why: format!("excluded by {rule}"), count }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some([from, to]) = &self.history else {
            return writeln!(f, "No history. {WITHOUT_HISTORY}");
        };
        writeln!(f, "Learned from {} calls of {} days, {from} to {to}.", self.calls, self.days)?;
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        for (name, count) in &self.learned {
            table.add_row([name.clone(), count.to_string()]);
        }
        writeln!(f, "{table}")?;
        if self.days < GOOD_DAYS {
            writeln!(f, "Few days: tails are wide and little pages. Two weeks are a good start.")?;
        }
        if !self.judged_by_peers.is_empty() {
            let named: Vec<String> = self.judged_by_peers.iter().take(MAX_NAMED).map(|pair| printable(pair)).collect();
            let more = self.judged_by_peers.len().saturating_sub(MAX_NAMED);
            write!(f, "Still judged by their peers: {}", named.join(", "))?;
            if more > 0 {
                write!(f, " and {more} more")?;
            }
            writeln!(f, ".")?;
        }
        for strange in self.strange.iter().take(MAX_NAMED) {
            writeln!(f, "Strange: {}.", printable(strange))?;
        }
        if !self.odd_days.is_empty() {
            writeln!(
                f,
                "Not learned from, because nothing like it was on other days. Exclude what was no ordinary day:"
            )?;
        }
        for OddDay { time: [day, _], caller, vendor, what, exclude, .. } in &self.odd_days {
            let who = if caller.is_empty() { vendor.clone() } else { format!("{caller} → {vendor}") };
            writeln!(f, "  {day} {}: {what}", printable(&who))?;
            match exclude {
                Some(rule) => writeln!(f, "    --exclude {}", quoted(&printable(rule)))?,
                None => {
                    writeln!(f, "    (no rule: a name in it has a comma, a control character or hundreds of letters)")?
                }
            }
        }
        for LeftOut { what, why, count } in &self.left_out {
            writeln!(f, "Left out: {count} {what}: {}.", printable(why))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_one_word_of_a_shell_whatever_its_names_hold() {
        assert_eq!(quoted("caller=billing"), "'caller=billing'");
        assert_eq!(quoted("caller=x';touch y;'"), r"'caller=x'\'';touch y;'\'''");
    }
}
