//! `apiwarden check`: what would fail when the service starts.
//!
//! Nothing is consumed, delivered or created, and no consumer group is joined.
//!
//! Not here: what is wrong with a pipeline file (`pipeline`), and the start itself (`stream::run`).

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::output::{print_line, print_row, print_text};
use crate::alerts::printable;
use crate::alerts::sinks::may_write;
use crate::calls::FingerprintKey;
use crate::ingest::kafka::{Cluster, Member, other_members, sources};
use crate::models::bundle::Bundle;
use crate::pipeline::{self, DeadLetterPlan, KEY_VARIABLE, Plan};
use crate::state::Store;
use crate::stream::{Engine, EngineSettings};

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
        let (bundle, of_bundle) = of_key_and_bundle(&plan);
        findings.extend(of_bundle);
        findings.push(Finding::of(
            format!("state {}", plan.state.directory.display()),
            of_directory(&plan.state.directory),
        ));
        findings.extend(of_checkpoint(&plan, bundle));
        findings.push(of_admin(&plan));
        findings.extend(of_source(&plan));
        let dead_letters = match &plan.dead_letter {
            DeadLetterPlan::Topic(sink) | DeadLetterPlan::File(sink) => sink,
        };
        let sinks = plan.sinks.iter().map(|sink| sink.plan.as_ref()).chain([dead_letters.as_ref()]);
        findings.extend(sinks.map(|sink| Finding::of(sink.name(), sink.check().map_err(|error| error.to_string()))));
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
                (false, None) => print_row(format_args!("ok    {what}"))?,
                (false, Some(problem)) => print_text(format_args!("fails {}: {problem}", printable(what)))?,
            }
        }
        Ok(())
    }
}

fn of_key_and_bundle(plan: &Plan) -> (Option<Bundle>, Vec<Finding>) {
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
        Ok(key) => Bundle::load(&plan.bundle, &key.id()).map_err(|error| format!("{:#}", anyhow::Error::from(error))),
        Err(_) => Err("cannot be checked without a fingerprint key".to_owned()),
    };
    let (bundle, problem) = match bundle {
        Ok(bundle) => (Some(bundle), Ok(())),
        Err(problem) => (None, Err(problem)),
    };
    let findings = vec![
        Finding::of("fingerprint key", key.map(drop)),
        Finding::of(format!("model bundle {}", plan.bundle.display()), problem),
    ];
    (bundle, findings)
}

/// Whether a directory can be written, or made.
fn of_directory(directory: &Path) -> Result<(), String> {
    if directory.exists() && !directory.is_dir() {
        return Err("is no directory".to_owned());
    }
    may_write(directory).map_err(|problem| match problem.kind() {
        ErrorKind::StorageFull => format!("{problem}: make room on its disk"),
        _ => format!("{problem}: make it writable for this user"),
    })
}

/// Whether the state that is there is whole, and can be gone on with. Another bundle is no obstacle: a start goes over to it.
fn of_checkpoint(plan: &Plan, bundle: Option<Bundle>) -> Option<Finding> {
    // Opening would make the file.
    if !plan.state.directory.join("checkpoint.redb").is_file() {
        return None;
    }
    let saved = Store::open(&plan.state.directory).and_then(|store| store.load()).map_err(|error| error.to_string());
    let fits = saved.and_then(|saved| match (saved, bundle) {
        (Some(saved), Some(bundle)) if saved.bundle == bundle.manifest.version => {
            let settings = EngineSettings::from(&plan.detection);
            Engine::restore(Arc::new(bundle), settings, &saved.engine).map(drop).map_err(|error| error.to_string())
        }
        _ => Ok(()),
    });
    Some(Finding::of("checkpoint", fits))
}

fn of_admin(plan: &Plan) -> Finding {
    let address = plan.admin.listen;
    let free = TcpListener::bind(address).map(drop);
    let free = free.map_err(|problem| format!("{problem}: stop what listens there, or write another [admin] listen"));
    Finding::of(format!("admin address {address}"), free)
}

fn of_source(plan: &Plan) -> Vec<Finding> {
    let source = &plan.source;
    let found = match sources(source) {
        Ok(found) => found,
        Err(error) => return vec![Finding::of("brokers", Err(format!("do not answer: {error}")))],
    };
    let mut findings = vec![Finding::of("brokers", Ok(()))];
    let there = found.topics.iter().map(|(topic, partitions)| {
        Finding::of(format!("topic {topic}, {partitions} partitions"), may_read(plan, topic))
    });
    findings.extend(there);
    let missing =
        |topic: &String| Finding::of(format!("topic {topic}"), Err("does not exist, or may not be read".to_owned()));
    findings.extend(found.missing.iter().map(missing));
    if !source.keyed_by_caller {
        let own = std::fs::read_to_string(plan.state.directory.join("instance")).unwrap_or_default();
        let alone = match other_members(source, own.trim()) {
            Ok(members) if members.is_empty() => Ok(()),
            Ok(members) => Err(format!("another process reads in it: {}", Member::names(&members))),
            Err(error) => Err(error.to_string()),
        };
        findings.push(Finding::of(format!("group {}", source.group), alone));
    }
    findings
}

fn may_read(plan: &Plan, topic: &str) -> Result<(), String> {
    let rights = Cluster::new(&plan.source.connection).and_then(|cluster| cluster.rights(topic));
    match rights.map_err(|error| error.to_string())? {
        rights if rights.read => Ok(()),
        _ => Err("may not be read: give us the right READ".to_owned()),
    }
}
