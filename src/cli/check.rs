//! `apiwarden check`: all that would fail at the start of `run`.
//!
//! Not here: the checks (`stream::preflight`).

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::{print_line, print_text};
use crate::stream::preflight::{Check as Checked, preflight};

/// Exit code where a start would fail.
pub(super) const WOULD_FAIL: u8 = 3;

/// Checks all that `run` needs at its start: file, key, bundle, state, brokers, topics and rights, sinks.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden check --pipeline pipelines/egress-ecs.toml && apiwarden run --pipeline pipelines/egress-ecs.toml

Consumes nothing and creates nothing. A line for each thing, whatever became of those before it. Of a service that runs, its state and
its admin address are in use: they are reported as what a second start would fail at.

Exit codes:
  0  a start would succeed
  1  the command itself failed
  2  the arguments are wrong
  3  a start would fail, for the reasons printed")]
pub(super) struct Check {
    /// The pipeline file.
    #[arg(long, value_name = "FILE")]
    pipeline: PathBuf,
    /// Print JSON: an array of {what, ok, problem}.
    #[arg(long)]
    json: bool,
}

/// What a start would fail at, printed already.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} checks failed: `run` would not start")]
pub(super) struct WouldFail {
    failed: usize,
    all: usize,
}

impl Check {
    pub fn run(self) -> anyhow::Result<()> {
        let checks = preflight(&self.pipeline);
        if self.json {
            let list: Vec<_> = checks
                .iter()
                .map(|check| json!({ "what": check.what, "ok": check.problem.is_none(), "problem": check.problem }))
                .collect();
            print_line(serde_json::to_string_pretty(&list)?)?;
        } else {
            checks.iter().try_for_each(|check| print_text(line_of(check)))?;
        }
        let (all, failed) = (checks.len(), checks.iter().filter(|check| check.problem.is_some()).count());
        if failed > 0 { Err(WouldFail { failed, all }.into()) } else { Ok(()) }
    }
}

fn line_of(Checked { what, problem }: &Checked) -> String {
    match problem {
        None => format!("ok      {what}"),
        Some(problem) => format!("failed  {what}: {problem}"),
    }
}
