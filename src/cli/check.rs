//! `apiwarden check`: what would fail when the service starts.
//!
//! Nothing is consumed, delivered or created, and no consumer group is joined.
//!
//! Not here: what is wrong with a pipeline file (`pipeline`), and the start itself (`stream::run`).

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::output::{print_line, print_text};
use crate::alerts::sinks::SinkPlan;
use crate::calls::FingerprintKey;
use crate::ingest::kafka::{other_members, sources};
use crate::models::bundle::Bundle;
use crate::pipeline::{self, DeadLetterPlan, KEY_VARIABLE, Plan};

/// Tells what would fail if the service started now.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden check --pipeline pipelines/egress-ecs.toml && systemctl restart apiwarden

Looks at the file, the brokers, topics, the fingerprint key, the model bundle, the state directory and the sinks. Consumes, delivers and creates nothing.
Exit codes: 0 all is well, 1 something would fail, 2 wrong arguments.")]
pub(super) struct Check {
    /// The pipeline file.
    #[arg(long, value_name = "FILE")]
    pipeline: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at, and what is wrong with it.
struct Finding {
    what: String,
    problem: Option<String>,
}

impl Finding {
    fn of(what: impl Into<String>, result: Result<(), String>) -> Self {
        Self { what: what.into(), problem: result.err() }
    }
}

impl Check {
    pub fn run(self) -> anyhow::Result<()> {
        let plan = match pipeline::load(&self.pipeline) {
            Ok(plan) => Some(plan),
            Err(error) => {
                let problem = format!("{:#}", anyhow::Error::from(error));
                self.print(&[Finding::of("pipeline file", Err(problem))])?;
                None
            }
        };
        let Some(plan) = plan else { bail!("the service would not start") };
        let mut findings = vec![Finding::of("pipeline file", Ok(()))];
        findings.extend(of_key_and_bundle(&plan));
        findings
            .push(Finding::of(format!("state {}", plan.state.directory.display()), of_state(&plan.state.directory)));
        findings.extend(of_source(&plan));
        let dead_letters = match &plan.dead_letter {
            DeadLetterPlan::Topic(sink) | DeadLetterPlan::File(sink) => sink,
        };
        let sinks = plan.sinks.iter().map(|sink| sink.plan.as_ref()).chain([dead_letters.as_ref()]);
        findings.extend(sinks.map(|sink| Finding::of(sink.name(), of_sink(sink))));
        self.print(&findings)?;
        let failing = findings.iter().filter(|finding| finding.problem.is_some()).count();
        if failing > 0 {
            bail!("{failing} of {} would fail", findings.len());
        }
        Ok(())
    }

    fn print(&self, findings: &[Finding]) -> anyhow::Result<()> {
        for Finding { what, problem } in findings {
            match (self.json, problem) {
                (true, problem) => print_line(json!({"what": what, "ok": problem.is_none(), "problem": problem}))?,
                (false, None) => print_text(format_args!("ok    {what}"))?,
                (false, Some(problem)) => print_text(format_args!("fails {what}: {problem}"))?,
            }
        }
        Ok(())
    }
}

fn of_key_and_bundle(plan: &Plan) -> Vec<Finding> {
    let key = match FingerprintKey::from_env(KEY_VARIABLE) {
        Ok(Some(key)) => Ok(key),
        Ok(None) if plan.key_file.exists() => {
            FingerprintKey::from_file(&plan.key_file).map_err(|error| error.to_string())
        }
        Ok(None) => {
            Err(format!("neither {KEY_VARIABLE} nor {} has one: use the key of `train`", plan.key_file.display()))
        }
        Err(error) => Err(error.to_string()),
    };
    let bundle = match &key {
        Ok(key) => {
            Bundle::load(&plan.bundle, &key.id()).map(drop).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
        }
        Err(_) => Err("cannot be checked without a fingerprint key".to_owned()),
    };
    vec![
        Finding::of("fingerprint key", key.map(drop)),
        Finding::of(format!("model bundle {}", plan.bundle.display()), bundle),
    ]
}

/// Whether something can be written in a directory, or it can be made. What is written for that is removed at once.
fn of_state(directory: &Path) -> Result<(), String> {
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let probe = there.join(format!(".apiwarden-check-{}", std::process::id()));
    let written = std::fs::write(&probe, b"0");
    // Where it could not be written there is nothing to remove.
    let _ = std::fs::remove_file(&probe);
    written.map_err(|problem| format!("{}: {problem}: make it writable for this user", there.display()))
}

fn of_source(plan: &Plan) -> Vec<Finding> {
    let source = &plan.source;
    let found = match sources(source) {
        Ok(found) => found,
        Err(error) => return vec![Finding::of("brokers", Err(format!("do not answer: {error}")))],
    };
    let mut findings = vec![Finding::of("brokers", Ok(()))];
    let there = found
        .topics
        .iter()
        .map(|(topic, partitions)| Finding::of(format!("topic {topic}, {partitions} partitions"), Ok(())));
    findings.extend(there);
    let missing =
        |topic: &String| Finding::of(format!("topic {topic}"), Err("does not exist, or may not be read".to_owned()));
    findings.extend(found.missing.iter().map(missing));
    if !source.keyed_by_caller {
        let own = std::fs::read_to_string(plan.state.directory.join("instance")).unwrap_or_default();
        let alone = match other_members(source, own.trim()) {
            Ok(members) if members.is_empty() => Ok(()),
            Ok(members) => Err(format!("another process reads in it: {}", members.join(", "))),
            Err(error) => Err(error.to_string()),
        };
        findings.push(Finding::of(format!("group {}", source.group), alone));
    }
    findings
}

fn of_sink(sink: &dyn SinkPlan) -> Result<(), String> {
    if let Some(file) = sink.file() {
        return of_state(file.parent().unwrap_or(Path::new(".")));
    }
    sink.check().map_err(|error| error.to_string())
}
