//! `apiwarden catalog build`: log files → catalogue.
//!
//! Not here: decoding (`ingest`) and what is kept (`catalog`).

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::Store;
use crate::catalog::{Catalog, Limits};
use crate::cli::output::report;
use crate::cli::reading::{Setup, kept_rollups, read};
use crate::rollup::{Records, Rollup, bucket_of};

/// Rows that are gathered before they are written: more merge in memory, and fewer in the database.
const MAX_ROWS: usize = 100_000;
/// Most records whose ids are remembered, to recognise one that comes again.
const MAX_RECORDS: u64 = 32 << 20;

/// Builds the catalogue from log files; replaces what the directory holds once the new content is whole.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden catalog build --input logs/2026-09/ --store catalog
  apiwarden catalog build --from-rollups state/rollups --store catalog
  zstd -dc old.zst | apiwarden catalog build --pipeline pipelines/egress-ecs.toml --input - --store catalog")]
pub(super) struct Build {
    /// Log files, directories or globs; `-` for standard input.
    #[arg(long, short, value_name = "PATH", num_args = 1.., required_unless_present = "from_rollups")]
    input: Vec<String>,
    /// Pipeline file; uses its [source.registry], [decode], [fingerprint], [vendors] and [enrichment]. Without one the format is detected.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Build from kept rollups instead of logs: what `run` keeps in its state directory, and `scan --keep-rollups` writes.
    #[arg(long, value_name = "DIR", conflicts_with = "input")]
    from_rollups: Option<PathBuf>,
    #[command(flatten)]
    store: Store,
}

impl Build {
    pub fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(self.pipeline.as_deref())?;
        let mut catalog = Catalog::open(&self.store.store, Arc::clone(&setup.vendors), Limits::default())?;
        let mut rebuild = catalog.rebuild()?;
        if let Some(directory) = &self.from_rollups {
            let (kept, days) = kept_rollups(directory)?;
            for day in days {
                rebuild.add(&kept.read(day)?.into_rows())?;
            }
            return Ok(rebuild.finish(None)?);
        }
        let mut gathered = Rollup::default();
        let mut records = Records::default();
        let (mut remembered, mut repeated) = (0, 0);
        let intake = read(&self.input, &setup, |mut calls| {
            calls.retain(|call, _| {
                let is_repeated = records.is_repeated(bucket_of(call.time), call);
                repeated += u64::from(is_repeated);
                remembered += u64::from(!is_repeated && call.record.is_some());
                !is_repeated
            });
            while remembered > MAX_RECORDS {
                remembered -= records.forget_oldest() as u64;
            }
            gathered.add(&calls);
            if gathered.len() >= MAX_ROWS {
                rebuild.add(&std::mem::take(&mut gathered).into_rows())?;
            }
            Ok(())
        })?;
        let tally = &intake.tally;
        anyhow::ensure!(
            tally.records() == 0 || tally.calls > 0,
            "none of {} records is a call, and the catalogue is as it was: `apiwarden formats detect FILE` says what they are",
            tally.records()
        );
        rebuild.add(&gathered.into_rows())?;
        rebuild.finish(None)?;
        report(intake.account(&[("catalogued", tally.calls - repeated), ("repeated", repeated)]));
        Ok(())
    }
}
