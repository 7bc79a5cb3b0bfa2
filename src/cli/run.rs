//! `apiwarden run`: the streaming service.
//!
//! Not here: the loop itself (`stream::run`).

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::models::bundle::Bundle;
use crate::pipeline;
use crate::stream::run::run;
use crate::stream::shutdown::Shutdown;

/// Consumes API call logs from Kafka and writes alerts, until it receives SIGTERM or SIGINT.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  apiwarden run --pipeline pipelines/egress-ecs.toml

On SIGTERM and Ctrl-C it drains: records already read are judged, their alerts delivered, their offsets committed. Metrics
and health checks are on the admin port. Logs go to standard error; APIWARDEN_LOG=debug logs more.
`apiwarden check` tells beforehand all that would fail.

Exit codes:
  0  it was asked to stop, and drained
  1  it could not start or go on, for the reason that the log ends with; the next start goes on from the last checkpoint
  2  the arguments are wrong")]
pub(super) struct Run {
    /// The pipeline file.
    #[arg(long, value_name = "FILE")]
    pipeline: PathBuf,
}

impl Run {
    pub fn run(self) -> anyhow::Result<()> {
        super::log();
        let plan = pipeline::load(&self.pipeline)?;
        let key = Arc::new(plan.fingerprint_key()?);
        let mut bundle = Bundle::load(&plan.bundle, &key.id()).context("[model] bundle")?;
        bundle.known.set_vendors(Arc::clone(&plan.vendors));
        let shutdown = Shutdown::on_signals().context("cannot install signal handlers")?;
        run(&plan, Arc::new(bundle), key, &shutdown)?;
        Ok(())
    }
}
