//! Inspection: what a bundle knows, of one entity or of all, in words with units.
//!
//! [`Inspection`] is for programs (serde) and for people (`Display`). Sizes and latencies are typical ones: the medians that
//! the learned means of logarithms stand for. Credentials are fingerprints, as in alerts.
//!
//! Not here: learning (`train`), and what was left out of the history (`report`).

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::Table;
use serde::Serialize;

use super::evaluate::{plain_table, write_table};
use crate::calls::Name;
use crate::detect::{in_bytes, in_numbers};
use crate::features::{Entity, Level, WINDOWS};
use crate::models::baseline::Baseline;
use crate::models::bundle::{Bundle, Manifest};
use crate::models::expectation::{Expected, FAILURES};
use crate::models::multivariate::MODELS;
use crate::models::novelty::NOVELTIES;
use crate::models::statistic::tests_at;

/// Endpoints of an entity that are printed, those with the largest shares; JSON has all.
const MAX_ENDPOINTS: usize = 12;
/// Width of the longest bar, in characters.
const BAR: f64 = 20.0;

/// What is usual for the calls of an entity or of one of its endpoints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usual {
    /// Typical request, bytes.
    pub bytes_out: f64,
    /// Typical answer, bytes.
    pub bytes_in: f64,
    /// Typical latency, milliseconds.
    pub latency_ms: f64,
    /// Share of calls that end so, by name of the failure.
    pub failures: BTreeMap<&'static str, f64>,
}

impl From<Expected> for Usual {
    fn from(expected: Expected) -> Self {
        let [bytes_out, bytes_in, latency_ms] = expected.mean.map(f64::exp_m1);
        let failures = FAILURES.into_iter().zip(expected.share).collect();
        Self { bytes_out, bytes_in, latency_ms, failures }
    }
}

/// One endpoint of a pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// Its template, or the audit operation.
    pub name: String,
    /// Its share of the pair's calls.
    pub share: f64,
    /// What is usual for a call.
    pub usual: Usual,
}

/// By whose history an entity is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum JudgedBy {
    /// By its own: there is enough of it.
    Itself,
    /// By those that behave like it.
    Peers {
        /// Number of the group.
        group: usize,
        /// Entities of the level in it, this one included.
        members: usize,
    },
}

/// How much a statistic of an entity wanders from day to day beyond chance, over one window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wander {
    /// Name of the statistic.
    pub statistic: &'static str,
    /// Name of the window.
    pub window: &'static str,
    /// Squared: of a count, relative to its square; of a mean, in variances of a call. 0 is chance alone.
    pub dispersion: f64,
}

/// What was learned of one entity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// Who.
    pub entity: Entity,
    /// Days of the history with calls.
    pub days: u32,
    /// Calls in the history.
    pub calls: i64,
    /// By whose history it is judged.
    pub judged: JudgedBy,
    /// Expected calls by hour (UTC), on weekdays and at weekends; of a pair.
    pub clock: Option<[Vec<f64>; 2]>,
    /// What is usual for a call, over its endpoints; what is usual at its vendor where it has none.
    pub usual: Usual,
    /// Endpoints with enough calls, the largest share first; of a pair.
    pub endpoints: Vec<Endpoint>,
    /// Wander of each test.
    pub dispersion: Vec<Wander>,
    /// Longest silence of its history, in expected calls; of a pair.
    pub longest_silence: Option<f64>,
}

/// A class of first-seen events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoveltyRate {
    /// Name of the class.
    pub class: &'static str,
    /// What it is, in words.
    pub says: &'static str,
    /// Times a day that it is expected.
    pub a_day: f64,
}

/// The multivariate models of a view.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MultivariateModels {
    /// Which models.
    pub models: Vec<&'static str>,
    /// What they look at.
    pub columns: Vec<String>,
    /// Entities that they judge.
    pub entities: usize,
}

/// What a bundle knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// What it was made by and from, with the budget.
    pub manifest: Manifest,
    /// Entities, finest level first.
    pub profiles: Vec<Profile>,
    /// How often something new is seen, rarest first.
    pub novelties: Vec<NoveltyRate>,
    /// Multivariate models, by view.
    pub multivariate: BTreeMap<&'static str, MultivariateModels>,
    /// Whether one entity was asked for.
    #[serde(skip)]
    is_of_one: bool,
}

impl Inspection {
    /// Of all entities, or of those that `asked` names: a caller, `caller@vendor`, a vendor or a credential's fingerprint.
    /// `None` if it names none.
    pub fn of(bundle: &Bundle, asked: Option<&str>) -> Option<Self> {
        let mut members: BTreeMap<_, usize> = BTreeMap::new();
        for (entity, baseline) in bundle.baselines.sorted() {
            *members.entry((entity.view, entity.level, baseline.peers)).or_default() += 1;
        }
        let is_asked = |entity: &Entity| asked.is_none_or(|asked| is_named(entity, asked));
        let mut profiles: Vec<Profile> = bundle
            .baselines
            .sorted()
            .into_iter()
            .filter(|(entity, _)| is_asked(entity))
            .map(|(entity, baseline)| {
                let members = members.get(&(entity.view, entity.level, baseline.peers)).copied().unwrap_or(1);
                Profile::of(bundle, entity, baseline, members)
            })
            .collect();
        if asked.is_some() && profiles.is_empty() {
            return None;
        }
        profiles.sort_by(|a, b| (a.entity.level, &a.entity).cmp(&(b.entity.level, &b.entity)));
        let rate = |class: &&'static crate::models::novelty::NoveltyClass| {
            let a_day = bundle.novelty_rates.learned(class)?;
            Some(NoveltyRate { class: class.name, says: class.summary, a_day })
        };
        let mut novelties: Vec<NoveltyRate> = NOVELTIES.iter().filter_map(rate).collect();
        novelties.sort_by(|a, b| a.a_day.total_cmp(&b.a_day));
        let multivariate = bundle.multivariate.iter().map(|(view, calibrated)| {
            let models = MODELS.iter().map(|kind| kind.name).collect();
            let columns = calibrated.multivariate.columns().to_vec();
            (view.as_str(), MultivariateModels { models, columns, entities: calibrated.entities })
        });
        Some(Self {
            manifest: bundle.manifest.clone(),
            profiles,
            novelties,
            multivariate: multivariate.collect(),
            is_of_one: asked.is_some(),
        })
    }
}

/// Whether a person who writes `asked` means this entity. Callers of audit logs may have an `@` of their own.
fn is_named(entity: &Entity, asked: &str) -> bool {
    let Entity { caller, vendor, part, .. } = entity;
    match entity.level {
        Level::Pair => {
            let of_pair = asked.strip_prefix(caller.as_str()).and_then(|rest| rest.strip_prefix('@'));
            asked == caller.as_str() || asked == vendor.as_str() || of_pair == Some(vendor.as_str())
        }
        Level::Credential => asked == part.as_str(),
        Level::Vendor => asked == vendor.as_str(),
        Level::VendorEndpoint => false,
    }
}

impl Profile {
    fn of(bundle: &Bundle, entity: &Entity, baseline: &Baseline, members: usize) -> Self {
        let expected = |endpoint: &Name| bundle.expectations.get(entity.view, &entity.caller, &entity.vendor, endpoint);
        let usual_of = |endpoint: &Name| Usual::from(expected(endpoint));
        let of_endpoints: Vec<_> =
            baseline.endpoints.iter().map(|(name, known)| (known.share, expected(name))).collect();
        let is_pair = entity.level == Level::Pair;
        let mut endpoints: Vec<Endpoint> = baseline
            .endpoints
            .iter()
            .map(|(name, known)| Endpoint { name: name.to_string(), share: known.share, usual: usual_of(name) })
            .collect();
        endpoints.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.name.cmp(&b.name)));
        let dispersion = tests_at(entity.level).iter().zip(&baseline.dispersion).map(|(test, dispersion)| Wander {
            statistic: test.statistic().name,
            window: WINDOWS[test.window].name,
            dispersion: f64::from(*dispersion),
        });
        Self {
            days: baseline.days,
            calls: baseline.calls,
            judged: if baseline.is_known {
                JudgedBy::Itself
            } else {
                JudgedBy::Peers { group: baseline.peers, members }
            },
            clock: baseline.seasonality.as_ref().map(|clock| clock.by_hour().map(Vec::from)),
            usual: mixed(&of_endpoints).map_or_else(|| usual_of(&entity.part), Usual::from),
            endpoints,
            dispersion: dispersion.collect(),
            longest_silence: is_pair.then(|| f64::from(baseline.longest_silence)),
            entity: entity.clone(),
        }
    }

    /// Who, as alerts say it.
    fn who(&self) -> String {
        let Entity { level, caller, vendor, part, .. } = &self.entity;
        match level {
            Level::Pair => format!("{caller} → {vendor}"),
            Level::Vendor => vendor.to_string(),
            Level::VendorEndpoint | Level::Credential => format!("{vendor} {part}"),
        }
    }

    fn judged_in_words(&self) -> String {
        match self.judged {
            JudgedBy::Itself => "its own history".to_owned(),
            JudgedBy::Peers { group, members } => format!("its peers (group {group} of {members})"),
        }
    }

    fn line(&self) -> [String; 9] {
        let a_weekday = self.clock.as_ref().map(|[weekday, _]| in_numbers(weekday.iter().sum()));
        let [request, answer, latency, failures] = self.usual.in_words();
        let level = self.entity.level.as_str().to_owned();
        let calls = a_weekday.unwrap_or_else(|| self.calls.to_string());
        [level, self.who(), self.days.to_string(), calls, request, answer, latency, failures, self.judged_in_words()]
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entity, days, calls, .. } = self;
        writeln!(f, "{} {} ({})", entity.level.as_str(), self.who(), entity.view.as_str())?;
        writeln!(f, "  {calls} calls on {days} days; judged by {}", self.judged_in_words())?;
        if let Some(silence) = self.longest_silence {
            writeln!(f, "  longest silence: about {} expected calls", in_numbers(silence))?;
        }
        if !self.endpoints.is_empty() {
            writeln!(f, "\n  What is usual for a call")?;
            write_table(f, &self.endpoint_table())?;
        } else {
            let [request, answer, latency, failures] = self.usual.in_words();
            writeln!(f, "  request {request}, answer {answer}, latency {latency}, failures: {failures}")?;
        }
        if let Some(clock) = &self.clock {
            writeln!(f, "\n  Expected calls by hour, UTC")?;
            write_table(f, &clock_table(clock))?;
        }
        if !self.dispersion.is_empty() {
            writeln!(f, "\n  Wander beyond chance, by window (0: chance alone)")?;
            write_table(f, &self.wander_table())?;
        }
        writeln!(f)
    }

    fn endpoint_table(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["endpoint", "share", "request", "answer", "latency", "failures"]);
        for Endpoint { name, share, usual } in self.endpoints.iter().take(MAX_ENDPOINTS) {
            let [request, answer, latency, failures] = usual.in_words();
            table.add_row([name.clone(), in_per_cent(*share), request, answer, latency, failures]);
        }
        let more: Vec<f64> = self.endpoints.iter().skip(MAX_ENDPOINTS).map(|endpoint| endpoint.share).collect();
        if !more.is_empty() {
            table.add_row([format!("and {} more", more.len()), in_per_cent(more.iter().sum())]);
        }
        table
    }

    fn wander_table(&self) -> Table {
        let mut rows: Vec<(&str, BTreeMap<&str, f64>)> = Vec::new();
        for Wander { statistic, window, dispersion } in &self.dispersion {
            if rows.last().is_none_or(|(last, _)| last != statistic) {
                rows.push((statistic, BTreeMap::new()));
            }
            if let Some((_, by_window)) = rows.last_mut() {
                by_window.insert(window, *dispersion);
            }
        }
        let mut table = plain_table();
        let windows = WINDOWS.iter().map(|window| window.name);
        table.set_header(std::iter::once("statistic").chain(windows.clone()));
        for (statistic, by_window) in rows {
            let cell = |window: &str| by_window.get(window).map(|value| in_numbers(*value)).unwrap_or_default();
            table.add_row(std::iter::once(statistic.to_owned()).chain(windows.clone().map(cell)));
        }
        table
    }
}

/// What is usual for a call of so many endpoints, each with its share of the calls; `None` without any.
fn mixed(endpoints: &[(f64, Expected)]) -> Option<Expected> {
    let all: f64 = endpoints.iter().map(|(share, _)| share).sum();
    let (_, first) = endpoints.first().filter(|_| all > 0.0)?;
    let mean = |of: &dyn Fn(&Expected) -> f64| endpoints.iter().map(|(share, one)| share * of(one)).sum::<f64>() / all;
    Some(Expected {
        mean: std::array::from_fn(|place| mean(&|expected| expected.mean[place])),
        share: std::array::from_fn(|place| mean(&|expected| expected.share[place])),
        ..*first
    })
}

impl Usual {
    /// Request, answer, latency, failures.
    fn in_words(&self) -> [String; 4] {
        let failures = self.failures.iter().filter(|(_, share)| **share >= 0.001);
        let failures: Vec<String> =
            failures.map(|(name, share)| format!("{} {}", name.replace('_', " "), in_per_cent(*share))).collect();
        let failures = if failures.is_empty() { "hardly any".to_owned() } else { failures.join(", ") };
        let latency = format!("{} ms", in_numbers(self.latency_ms));
        [in_bytes(self.bytes_out), in_bytes(self.bytes_in), latency, failures]
    }
}

fn in_per_cent(share: f64) -> String {
    format!("{} %", in_numbers(100.0 * share))
}

fn clock_table([weekday, weekend]: &[Vec<f64>; 2]) -> Table {
    let most = weekday.iter().chain(weekend).copied().fold(1e-9, f64::max);
    let bar = |calls: f64| "█".repeat((BAR * calls / most).round() as usize);
    let mut table = plain_table();
    table.set_header(["hour", "weekday", "", "weekend", ""]);
    for (hour, (weekday, weekend)) in weekday.iter().zip(weekend).enumerate() {
        table.add_row([format!("{hour:02}"), in_numbers(*weekday), bar(*weekday), in_numbers(*weekend), bar(*weekend)]);
    }
    table
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_of_one {
            return self.profiles.iter().try_for_each(|profile| profile.write(f));
        }
        let Manifest { version, trained_from, trained_to, calls, records_left_out, .. } = &self.manifest;
        writeln!(
            f,
            "Bundle {version}: {calls} calls, {trained_from} to {trained_to}; {records_left_out} records left out."
        )?;
        writeln!(f, "\nEntities")?;
        let mut table = plain_table();
        table.set_header([
            "level",
            "who",
            "days",
            "calls a day",
            "request",
            "answer",
            "latency",
            "failures",
            "judged by",
        ]);
        let shown = |profile: &&Profile| profile.entity.level != Level::VendorEndpoint;
        self.profiles.iter().filter(shown).for_each(|profile| {
            table.add_row(profile.line());
        });
        write_table(f, &table)?;
        writeln!(f, "\nFirst novelties, rarest first")?;
        let mut table = plain_table();
        for NoveltyRate { class, says, a_day } in &self.novelties {
            table.add_row([
                (*class).to_owned(),
                format!("once in {} days", in_numbers(1.0 / a_day.max(1e-9))),
                (*says).to_owned(),
            ]);
        }
        write_table(f, &table)?;
        for (view, MultivariateModels { models, columns, entities }) in &self.multivariate {
            writeln!(f, "\nJoint models ({view}, {entities} entities): {}", models.join(", "))?;
            writeln!(f, "  of {}", columns.join(", "))?;
        }
        writeln!(f, "\nBudget")?;
        let mut table = plain_table();
        for (name, value) in &self.manifest.calibration {
            table.add_row([name.clone(), in_numbers(*value)]);
        }
        write_table(f, &table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Name;
    use crate::calls::View;

    #[test]
    fn a_person_names_a_caller_a_pair_a_vendor_or_a_credential() {
        let mail = Entity::pair(View::Audit, "ann@example.org", "aws");
        for asked in ["ann@example.org", "ann@example.org@aws", "aws"] {
            assert!(is_named(&mail, asked), "{asked}");
        }
        for asked in ["ann", "example.org", "ann@example.org@gcp", "@aws", ""] {
            assert!(!is_named(&mail, asked), "{asked}");
        }
        let credential = Entity::group(View::Audit, Level::Credential, "aws", "", "fp_1").unwrap();
        assert!(is_named(&credential, "fp_1") && !is_named(&credential, "aws"));
    }

    #[test]
    fn the_clock_is_drawn_to_its_busiest_hour() {
        let weekday: Vec<f64> = (0..24).map(|hour| if hour == 9 { 120.0 } else { 0.0 }).collect();
        let weekend = vec![30.0; 24];
        let drawn = clock_table(&[weekday, weekend]).to_string();
        let nine = drawn.lines().find(|line| line.trim_start().starts_with("09")).unwrap();
        assert_eq!(nine.split_whitespace().collect::<Vec<_>>(), ["09", "120", &"█".repeat(20), "30", &"█".repeat(5)]);
        assert_eq!(drawn.lines().count(), 25);
    }
}
