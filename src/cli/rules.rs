//! `apiwarden rules`: governance rules checked, listed, tried on their samples, and rehearsed on logs before they go live.
//!
//! Not here: the rules themselves (`rules`), and what becomes of a violation in the stream (`detect::governance`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use jiff::Timestamp;

use super::output::{print_text, report};
use super::reading::{Intake, Setup, kept_rollups, read};
use crate::calls::VendorPack;
use crate::catalog::Since;
use crate::pipeline;
use crate::rollup::{Rollup, Row, bucket_of, bucket_start};
use crate::rules::{self, Memory, Policy, RULES, SigmaFile, Sources, Violation, sigma_files, test_pack};

/// Checks, lists, tries and rehearses governance rules.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden rules check pipelines/rules pipelines/policy.toml
  apiwarden rules rehearse plaintext --input logs/2026-09/
  apiwarden rules rehearse all --from-rollups state/rollups --since 90d
  apiwarden rules rehearse rules/own.yml --input today.ndjson.zst")]
pub(super) struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
    List(List),
    Test(Test),
    Rehearse(Rehearse),
}

impl Rules {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Check(command) => command.run(),
            Command::List(command) => command.run(),
            Command::Test(command) => command.run(),
            Command::Rehearse(command) => command.run(),
        }
    }
}

/// Checks Sigma rules and policy files: what is wrong is named with file and line.
#[derive(Debug, Args)]
struct Check {
    /// Sigma rules (`*.yml`, or directories of them) and policies (`*.toml`).
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

impl Check {
    fn run(self) -> anyhow::Result<()> {
        let (policies, paths): (Vec<_>, Vec<_>) = self.paths.into_iter().partition(|path| is_toml(path));
        let (mut evaluated, mut unevaluable, mut faults) = (Vec::new(), Vec::new(), 0);
        for file in paths.iter().flat_map(|path| sigma_files(path)) {
            match file.and_then(|file| SigmaFile::read(&file)) {
                Ok(file) => {
                    evaluated.extend(file.rules);
                    unevaluable.extend(file.unevaluable);
                }
                Err(error) => {
                    faults += 1;
                    report(error);
                }
            }
        }
        for rule in &unevaluable {
            print_text(format_args!("{}:{}: not evaluable: {}", rule.file.display(), rule.line, rule.reason))?;
        }
        for rule in evaluated.iter().filter(|rule| !rule.approximations().is_empty()) {
            let lost = rule.approximations().join("; ");
            print_text(format_args!("{}:{}: approximate: {lost}", rule.file.display(), rule.line))?;
        }
        let names: Vec<&str> = evaluated.iter().map(|rule| rule.name.as_str()).collect();
        for policy in &policies {
            if let Err(error) = Policy::read(policy, &VendorPack::embedded(), &rules::rule_names(&names)) {
                faults += 1;
                report(error);
            }
        }
        print_text(format_args!(
            "{} rules can be evaluated, {} cannot; {} policies; {faults} refused",
            evaluated.len(),
            unevaluable.len(),
            policies.len()
        ))?;
        anyhow::ensure!(faults == 0, "{faults} files are refused");
        Ok(())
    }
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// Lists the shipped rules, and those, the policy and the exceptions of a pipeline.
#[derive(Debug, Args)]
struct List {
    /// Pipeline file: its [governance] decides levels, Sigma rules and exceptions.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let configured = self.pipeline.as_deref().map(pipeline::load_reading).transpose()?.and_then(|plan| plan.rules);
        let mut table = table(["rule", "level", "source", "finds"]);
        for rule in RULES {
            let level =
                configured.as_ref().map_or(Some(rule.level), |rules| rules.policy().level(rule.name, rule.level));
            table.add_row([rule.name, level.map_or("off", |level| level.as_str()), "shipped", rule.summary]);
        }
        let Some(rules) = configured else { return print_text(table) };
        for rule in rules.sigma() {
            table.add_row([&*rule.name, rule.level.as_str(), &rule.source(), &*rule.title]);
        }
        for rule in rules.unevaluable() {
            table.add_row(["", "off", &rule.file.display().to_string(), &*format!("not evaluable: {}", rule.reason)]);
        }
        print_text(table)?;
        let mut exceptions = self::table(["exception", "until", "reason"]);
        for exception in rules.policy().exceptions() {
            exceptions.add_row([exception.scope(), exception.expires.to_string(), exception.reason.clone()]);
        }
        if rules.policy().exceptions().is_empty() { Ok(()) } else { print_text(format_args!("\n{exceptions}")) }
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    table
}

/// Tries rules on the samples beside them: the shipped pack, and Sigma rules.
#[derive(Debug, Args)]
struct Test {
    /// Sigma rules, or directories of them.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Test {
    fn run(self) -> anyhow::Result<()> {
        let mut failed = test_pack().map_err(anyhow::Error::msg)?;
        let (mut tried, mut without) = (RULES.len(), 0);
        for file in self.paths.iter().flat_map(|path| sigma_files(path)) {
            for rule in SigmaFile::read(&file?)?.rules {
                let [positive, negative] = rule.samples();
                if positive == 0 || negative == 0 {
                    without += 1;
                    report(format_args!("{}: lacks a sample that must match or one that must pass", rule.name));
                }
                tried += 1;
                failed.extend(rule.failed_samples());
            }
        }
        for sample in &failed {
            let should = if sample.is_positive { "must match" } else { "must pass" };
            print_text(format_args!("{}: {should}: {}", sample.rule, sample.sample))?;
        }
        print_text(format_args!("{tried} rules tried, {} samples failed, {without} rules lack samples", failed.len()))?;
        anyhow::ensure!(failed.is_empty(), "{} samples do not show what they should", failed.len());
        Ok(())
    }
}

/// Says what a rule would have found in logs.
#[derive(Debug, Args)]
struct Rehearse {
    /// Name of a shipped rule or of one of the pipeline's, or a Sigma file; `all` for all of them.
    #[arg(value_name = "RULE")]
    rule: String,
    /// Log files, directories or globs; `-` for standard input.
    #[arg(long, short, value_name = "PATH", num_args = 1.., required_unless_present = "from_rollups")]
    input: Vec<String>,
    /// Directory of kept rollups (`state/rollups` of the service, or `scan --keep-rollups`) to read instead of logs.
    #[arg(long, value_name = "DIR", conflicts_with = "input")]
    from_rollups: Option<PathBuf>,
    /// Pipeline file: its rules, its policy, and how it reads logs.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Tell only of calls since: a span before the newest call (12h, 90d, 4w), a day or a time in RFC 3339. What was before is remembered.
    #[arg(long, value_name = "SINCE")]
    since: Option<Since>,
}

impl Rehearse {
    fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(self.pipeline.as_deref())?;
        let rules = self.rules(&setup)?;
        let mut rehearsal = Rehearsal::default();
        let intake = if let Some(directory) = &self.from_rollups {
            let (kept, days) = kept_rollups(directory)?;
            let newest = days.last().map(|day| kept.read(*day)).transpose()?.as_ref().map_or(0, end_of);
            let since = self.since.map(|since| bucket_of(since.time(newest)));
            let mut calls = 0;
            for day in days {
                let rollup = kept.read(day)?;
                calls += rollup.buckets().flat_map(|bucket| rollup.bucket(bucket)).map(Row::calls).sum::<i64>();
                rehearsal.judge(&rules, &rollup, since);
            }
            Intake::of_calls(calls.unsigned_abs())
        } else {
            let mut rollup = Rollup::default();
            let intake = read(&self.input, &setup, |calls| {
                rollup.add(&calls);
                Ok(())
            })?;
            let since = self.since.map(|since| bucket_of(since.time(end_of(&rollup))));
            rehearsal.judge(&rules, &rollup, since);
            intake
        };
        let found = rehearsal.found;
        let mut table = table(["rule", "level", "caller", "vendor", "first", "days", "what"]);
        for ([rule, caller, vendor], Told { first, days, violation }) in &found {
            let first = Timestamp::from_microsecond(bucket_start(*first)).map(|time| time.to_string());
            let what = format!("{} (required: {})", violation.broken.observed, violation.broken.required);
            let level = violation.level.as_str();
            table.add_row([rule, level, caller, vendor, &first.unwrap_or_default(), &days.to_string(), &what]);
        }
        if !found.is_empty() {
            print_text(table)?;
        }
        let days: usize = found.values().map(|told| told.days).sum();
        let account = intake.account(&[("judged", intake.tally.calls)]);
        print_text(format_args!("{} subjects, told {days} times; {account}", found.len()))
    }

    /// The rules to judge by.
    fn rules(&self, setup: &Setup) -> anyhow::Result<Arc<rules::Rules>> {
        let configured = setup.rules.clone().unwrap_or_default();
        if self.rule == "all" {
            return Ok(configured);
        }
        let path = Path::new(&self.rule);
        if !path.exists() {
            let only =
                configured.only(&self.rule).context("no rule of that name, and no file: `apiwarden rules list`")?;
            return Ok(Arc::new(only));
        }
        let sources = Sources { rules: Some(path.to_owned()), policy: None };
        let loaded = rules::Rules::load(&sources, &setup.vendors)?.without_pack();
        for rule in loaded.unevaluable() {
            report(format_args!("{}:{}: not evaluable: {}", rule.file.display(), rule.line, rule.reason));
        }
        Ok(Arc::new(loaded))
    }
}

/// The end of the newest bucket, microseconds since the epoch.
fn end_of(rollup: &Rollup) -> i64 {
    rollup.buckets().last().map_or(0, |bucket| bucket_start(bucket + 1))
}

/// What rules find, in the order of time.
#[derive(Default)]
struct Rehearsal {
    memory: Memory,
    found: BTreeMap<[String; 3], Told>,
}

impl Rehearsal {
    /// Judges a rollup; of buckets before `since` nothing is told.
    fn judge(&mut self, rules: &rules::Rules, rollup: &Rollup, since: Option<i64>) {
        for bucket in rollup.buckets() {
            let violations = rules.judge(rollup.bucket(bucket), bucket, &mut self.memory);
            for violation in violations.into_iter().filter(|_| since.is_none_or(|since| bucket >= since)) {
                let told =
                    self.found.entry(subject_of(&violation)).or_insert(Told { first: bucket, days: 0, violation });
                told.days += 1;
            }
        }
    }
}

/// What was told of a rule and a subject.
struct Told {
    first: i64,
    days: usize,
    violation: Violation,
}

fn subject_of(violation: &Violation) -> [String; 3] {
    [violation.rule.clone(), violation.caller.to_string(), violation.vendor.to_string()]
}
