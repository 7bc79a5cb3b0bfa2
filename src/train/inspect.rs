//! Inspection: the contents of a bundle, of one entity or of all, in words with units.
//!
//! [`Inspection`] is for programs (serde) and for people (`Display`). Sizes and latencies are medians: the exponential of the
//! learned means of logarithms. Credentials are fingerprints, as in alerts. Only what was learned is listed: a prior that no
//! history has updated, a model that was not fitted, and what an entity borrows from others are not.
//!
//! Not here: training (the rest of `train`), and what was excluded from the history (`report`).

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::Table;
use serde::Serialize;

use super::evaluate::{plain_table, write_table};
use super::report::WITHOUT_HISTORY;
use crate::alerts::printable;
use crate::calls::{Name, View};
use crate::detect::{in_bytes, in_numbers};
use crate::features::{Entity, Level, WINDOWS};
use crate::models::baseline::Baseline;
use crate::models::bundle::{Bundle, Manifest};
use crate::models::expectation::{Expected, FAILURES};
use crate::models::multivariate::Multivariate;
use crate::models::novelty::{NOVELTIES, NoveltyClass};
use crate::models::statistic::tests_at;

/// Endpoints printed for an entity, those with the largest shares; JSON has all.
const MAX_ENDPOINTS: usize = 12;
/// Width of the longest bar, characters.
const BAR_WIDTH: f64 = 20.0;

/// What is usual for the calls of an entity or of one of its endpoints, as far as its own calls have shown it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Usual {
    /// Typical request, bytes.
    pub bytes_out: Option<f64>,
    /// Typical answer, bytes.
    pub bytes_in: Option<f64>,
    /// Typical latency, milliseconds.
    pub latency_ms: Option<f64>,
    /// Share of calls (0 to 1) that end in each kind of failure, by name; empty where nothing was learned.
    pub failures: BTreeMap<&'static str, f64>,
}

impl From<Expected> for Usual {
    fn from(expected: Expected) -> Self {
        let measured = |index: usize| expected.is_measured[index].then(|| expected.mean[index].exp_m1());
        let [bytes_out, bytes_in, latency_ms] = std::array::from_fn(measured);
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

/// Whose history an entity is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum JudgedBy {
    /// Its own: there is enough of it.
    Itself,
    /// That of its peers, pairs that behave like it.
    Peers {
        /// Number of the group.
        group: usize,
        /// Entities of the level in it, this one included.
        members: usize,
    },
}

/// Overdispersion of one statistic of an entity: its day-to-day variance beyond chance, over one window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dispersion {
    /// Name of the statistic.
    pub statistic: &'static str,
    /// Name of the window.
    pub window: &'static str,
    /// Excess variance: of a count, relative to the squared count; of a mean, in variances of a single call. 0 is chance alone.
    pub dispersion: f64,
}

/// What was learned of one entity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The entity.
    pub entity: Entity,
    /// Days of the history with calls.
    pub days: u32,
    /// Calls in the history.
    pub calls: i64,
    /// Whose history it is judged by.
    pub judged: JudgedBy,
    /// Expected calls by hour (UTC, 24 numbers), on weekdays and at weekends; of a pair.
    pub seasonality: Option<[Vec<f64>; 2]>,
    /// What is usual for a call: of a pair, over its endpoints; of a vendor and its endpoints, over all callers; nothing of a credential.
    pub usual: Usual,
    /// Endpoints with enough calls, the largest share first; of a pair.
    pub endpoints: Vec<Endpoint>,
    /// Overdispersion by statistic and window.
    pub dispersion: Vec<Dispersion>,
    /// Longest silence in the history, in expected calls; of a pair.
    pub longest_silence: Option<f64>,
}

/// The learned rate of a class of novelty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NoveltyRate {
    /// Name of the class.
    pub class: &'static str,
    /// What it is, in words.
    pub summary: &'static str,
    /// Expected times a day, over all callers.
    pub per_day: f64,
}

/// The multivariate models of a view.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MultivariateModels {
    /// Names of the models that were fitted.
    pub models: Vec<&'static str>,
    /// Columns of the rows that they score.
    pub columns: Vec<String>,
    /// Entities that they were calibrated on.
    pub entities: usize,
}

/// What was learned of the audit view.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditModel {
    /// Days of audit logs in the history.
    pub days: usize,
    /// Principals with habits of their own.
    pub principals: usize,
    /// Whether the history is too short for habits, so that prior rates judge alone.
    pub is_cold_start: bool,
}

impl fmt::Display for AuditModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, principals, .. } = self;
        let basis = if self.is_cold_start { "prior rates (cold start)" } else { "their own habits and their role's" };
        write!(f, "Audit view: {principals} principals, {days} days of history; judged by {basis}")
    }
}

/// The contents of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Versions, history and budget.
    pub manifest: Manifest,
    /// Entities, finest level first.
    pub profiles: Vec<Profile>,
    /// Learned rates of novelties, rarest first. Empty without a history of egress logs, where only priors exist.
    pub novelties: Vec<NoveltyRate>,
    /// Multivariate models that were fitted, by view.
    pub multivariate: BTreeMap<&'static str, MultivariateModels>,
    /// What was learned of the audit view; `None` without audit logs in the history.
    pub audit: Option<AuditModel>,
    /// Whether one entity was asked for: then nothing else is printed.
    #[serde(skip)]
    is_of_one: bool,
}

impl Inspection {
    /// Inspects all entities, or those that `asked` names: a caller, `caller@vendor`, a vendor or the fingerprint of a credential.
    /// `None` where `asked` names none.
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
        let multivariate = bundle.multivariate.iter().map(|(view, calibrated)| {
            let models = fitted_models(&calibrated.multivariate);
            let columns = calibrated.multivariate.columns().to_vec();
            (view.as_str(), MultivariateModels { models, columns, entities: calibrated.entities })
        });
        Some(Self {
            manifest: bundle.manifest.clone(),
            profiles,
            novelties: learned_rates(bundle),
            multivariate: multivariate.collect(),
            audit: AuditModel::of(bundle),
            is_of_one: asked.is_some(),
        })
    }
}

/// Names of the models in a fitted ensemble: fewer than `MODELS` lists, since a training spec chooses.
fn fitted_models(multivariate: &Multivariate) -> Vec<&'static str> {
    multivariate.models().collect()
}

/// The rates of novelties that a history has updated, rarest first. The replay that updates them needs two folds of egress logs.
fn learned_rates(bundle: &Bundle) -> Vec<NoveltyRate> {
    if !bundle.views.contains_key(&View::Egress) || bundle.span.fold_count() < 2 {
        return Vec::new();
    }
    let rate = |class: &&'static NoveltyClass| {
        let per_day = bundle.novelty_rates.learned(class)?;
        Some(NoveltyRate { class: class.name, summary: class.summary, per_day })
    };
    let mut rates: Vec<NoveltyRate> = NOVELTIES.iter().filter_map(rate).collect();
    rates.sort_by(|a, b| a.per_day.total_cmp(&b.per_day));
    rates
}

impl AuditModel {
    fn of(bundle: &Bundle) -> Option<Self> {
        let audit = &bundle.audit;
        (audit.days > 0).then(|| Self {
            days: audit.days,
            principals: audit.habits.len(),
            is_cold_start: !audit.is_warm(),
        })
    }
}

/// Whether `asked`, as a user writes it, names this entity. Callers in audit logs may contain an `@`.
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
        let dispersion = tests_at(entity.level).iter().zip(&baseline.dispersion).map(|(test, dispersion)| Dispersion {
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
            seasonality: baseline.seasonality.as_ref().map(|seasonality| seasonality.by_hour().map(Vec::from)),
            usual: match entity.level {
                Level::Vendor | Level::VendorEndpoint => usual_of(&entity.part),
                Level::Pair | Level::Credential => mixed(&of_endpoints).map(Usual::from).unwrap_or_default(),
            },
            endpoints,
            dispersion: dispersion.collect(),
            longest_silence: is_pair.then(|| f64::from(baseline.longest_silence)),
            entity: entity.clone(),
        }
    }

    /// The entity's name, as in alerts, for a terminal.
    fn name(&self) -> String {
        let Entity { level, caller, vendor, part, .. } = &self.entity;
        printable(&match level {
            Level::Pair => format!("{caller} → {vendor}"),
            Level::Vendor => vendor.to_string(),
            Level::VendorEndpoint | Level::Credential => format!("{vendor} {part}"),
        })
    }

    fn judged_in_words(&self) -> String {
        match self.judged {
            JudgedBy::Itself => "its own history".to_owned(),
            JudgedBy::Peers { group, members } => format!("its peers (group {group} of {members})"),
        }
    }

    fn line(&self) -> [String; 9] {
        let per_weekday = self.seasonality.as_ref().map(|[weekday, _]| in_numbers(weekday.iter().sum()));
        let [request, answer, latency, failures] = self.usual.in_words();
        let level = self.entity.level.as_str().to_owned();
        let calls = per_weekday.unwrap_or_else(|| self.calls.to_string());
        [level, self.name(), self.days.to_string(), calls, request, answer, latency, failures, self.judged_in_words()]
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entity, days, calls, .. } = self;
        writeln!(f, "{} {} ({})", entity.level.as_str(), self.name(), entity.view.as_str())?;
        writeln!(f, "  {calls} calls on {days} days; judged by {}", self.judged_in_words())?;
        if let Some(silence) = self.longest_silence {
            writeln!(f, "  longest silence: about {} expected calls", in_numbers(silence))?;
        }
        if !self.endpoints.is_empty() {
            writeln!(f, "\n  What is usual for a call")?;
            write_table(f, &self.endpoint_table())?;
        } else if self.usual != Usual::default() {
            let [request, answer, latency, failures] = self.usual.in_words();
            writeln!(f, "  request {request}, answer {answer}, latency {latency}, failures: {failures}")?;
        }
        if let Some(seasonality) = &self.seasonality {
            writeln!(f, "\n  Expected calls by hour, UTC")?;
            write_table(f, &seasonality_table(seasonality))?;
        }
        if !self.dispersion.is_empty() {
            writeln!(f, "\n  Overdispersion by window (0: chance alone)")?;
            write_table(f, &self.dispersion_table())?;
        }
        writeln!(f)
    }

    fn endpoint_table(&self) -> Table {
        let mut table = plain_table();
        table.set_header(["endpoint", "share", "request", "answer", "latency", "failures"]);
        for Endpoint { name, share, usual } in self.endpoints.iter().take(MAX_ENDPOINTS) {
            let [request, answer, latency, failures] = usual.in_words();
            table.add_row([printable(name), in_per_cent(*share), request, answer, latency, failures]);
        }
        let more: Vec<f64> = self.endpoints.iter().skip(MAX_ENDPOINTS).map(|endpoint| endpoint.share).collect();
        if !more.is_empty() {
            table.add_row([format!("and {} more", more.len()), in_per_cent(more.iter().sum())]);
        }
        table
    }

    fn dispersion_table(&self) -> Table {
        let mut rows: Vec<(&str, BTreeMap<&str, f64>)> = Vec::new();
        for Dispersion { statistic, window, dispersion } in &self.dispersion {
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

/// What is usual for a call over several endpoints, weighted by their shares of the calls; `None` without any.
fn mixed(endpoints: &[(f64, Expected)]) -> Option<Expected> {
    let all: f64 = endpoints.iter().map(|(share, _)| share).sum();
    let (_, first) = endpoints.first().filter(|_| all > 0.0)?;
    let share = |index: usize| endpoints.iter().map(|(share, one)| share * one.share[index]).sum::<f64>() / all;
    let mean = |index: usize| {
        let measured = || endpoints.iter().filter(|(_, one)| one.is_measured[index]);
        let weight: f64 = measured().map(|(share, _)| share).sum();
        measured().map(|(share, one)| share * one.mean[index]).sum::<f64>() / weight.max(f64::MIN_POSITIVE)
    };
    Some(Expected {
        mean: std::array::from_fn(mean),
        share: std::array::from_fn(share),
        is_measured: std::array::from_fn(|index| endpoints.iter().any(|(_, one)| one.is_measured[index])),
        ..*first
    })
}

impl Usual {
    /// Request, answer, latency, failures; `-` where it was never measured.
    fn in_words(&self) -> [String; 4] {
        let or_none = |value: Option<f64>, words: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), words);
        let failures = self.failures.iter().filter(|(_, share)| **share >= 0.001);
        let failures: Vec<String> =
            failures.map(|(name, share)| format!("{} {}", name.replace('_', " "), in_per_cent(*share))).collect();
        let failures = match () {
            () if self.failures.is_empty() => "-".to_owned(),
            () if failures.is_empty() => "under 0.1 %".to_owned(),
            () => failures.join(", "),
        };
        let latency = or_none(self.latency_ms, |latency| format!("{} ms", in_numbers(latency)));
        [or_none(self.bytes_out, in_bytes), or_none(self.bytes_in, in_bytes), latency, failures]
    }
}

fn in_per_cent(share: f64) -> String {
    format!("{} %", in_numbers(100.0 * share))
}

fn seasonality_table([weekday, weekend]: &[Vec<f64>; 2]) -> Table {
    let max = weekday.iter().chain(weekend).copied().fold(1e-9, f64::max);
    let bar = |calls: f64| "█".repeat((BAR_WIDTH * calls / max).round() as usize);
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
        if *calls == 0 {
            return writeln!(f, "Bundle {version}: no history. {WITHOUT_HISTORY}");
        }
        writeln!(
            f,
            "Bundle {version}: {calls} calls, {trained_from} to {trained_to}; {records_left_out} records skipped."
        )?;
        writeln!(f, "\nEntities")?;
        let mut table = plain_table();
        table.set_header([
            "level",
            "entity",
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
        if !self.novelties.is_empty() {
            writeln!(f, "\nNovelty rates (egress), rarest first")?;
            let mut table = plain_table();
            for NoveltyRate { class, summary, per_day } in &self.novelties {
                let rate = format!("once in {} days", in_numbers(1.0 / per_day.max(1e-9)));
                table.add_row([(*class).to_owned(), rate, (*summary).to_owned()]);
            }
            write_table(f, &table)?;
        }
        for (view, MultivariateModels { models, columns, entities }) in &self.multivariate {
            writeln!(f, "\nMultivariate models ({view}, {entities} entities): {}", models.join(", "))?;
            writeln!(f, "  columns: {}", columns.join(", "))?;
        }
        if let Some(audit) = &self.audit {
            writeln!(f, "\n{audit}")?;
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
    use ndarray::Array2;

    use super::super::{History, Settings, train};
    use super::*;
    use crate::calls::VendorPack;

    #[test]
    fn a_user_names_a_caller_a_pair_a_vendor_or_a_credential() {
        let mail = Entity::pair(View::Audit, "ann@example.org", "aws");
        for asked in ["ann@example.org", "ann@example.org@aws", "aws"] {
            assert!(is_named(&mail, asked), "{asked}");
        }
        for asked in ["ann", "example.org", "ann@example.org@gcp", "@aws", ""] {
            assert!(!is_named(&mail, asked), "{asked}");
        }
        let (vendor, part) = ("aws".into(), "fp_1".into());
        let credential = Entity { view: View::Audit, level: Level::Credential, vendor, caller: "".into(), part };
        assert!(is_named(&credential, "fp_1") && !is_named(&credential, "aws"));
    }

    #[test]
    fn the_seasonality_is_drawn_to_its_busiest_hour() {
        let weekday: Vec<f64> = (0..24).map(|hour| if hour == 9 { 120.0 } else { 0.0 }).collect();
        let weekend = vec![30.0; 24];
        let drawn = seasonality_table(&[weekday, weekend]).to_string();
        let nine = drawn.lines().find(|line| line.trim_start().starts_with("09")).unwrap();
        assert_eq!(nine.split_whitespace().collect::<Vec<_>>(), ["09", "120", &"█".repeat(20), "30", &"█".repeat(5)]);
        assert_eq!(drawn.lines().count(), 25);
    }

    #[test]
    fn only_models_that_were_fitted_are_listed() {
        let rows = Array2::from_shape_fn((60, 2), |(row, column)| ((row * 7 + column * 3) % 11) as f64);
        let fitted = Multivariate::fit(rows.view(), &["a".to_owned(), "b".to_owned()], 1).unwrap();
        assert_eq!(fitted_models(&fitted), ["isolation_forest", "neighbours"], "the mixture is off by default");
    }

    #[test]
    fn a_bundle_without_a_history_lists_no_learned_rate_and_is_named_so() {
        let settings = Settings {
            fingerprint_key: "0".repeat(16),
            alerts_per_day: 1.0,
            records_left_out: 0,
            vendors: VendorPack::embedded(),
        };
        let (bundle, _) = train(History::none(), &settings, &|_| {}).unwrap();
        assert!(bundle.manifest.version.starts_with("without-history-"), "{}", bundle.manifest.version);
        let inspection = Inspection::of(&bundle, None).unwrap();
        assert_eq!(inspection.novelties, []);
        assert_eq!(inspection.audit, None);
        let printed = inspection.to_string();
        assert!(printed.contains("no history") && !printed.contains("once in"), "{printed}");
    }
}
