//! `apiwarden model inspect`: the contents of a bundle.
//!
//! Not here: what is shown, and in which words (`train::Inspection`).

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cli::output::{print_line, print_text};
use crate::models::bundle::{Bundle, read_manifest};
use crate::train::Inspection;

/// Shows what a bundle learned, and whether each entity is judged by its own history or by its peers'.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden model inspect models/egress
  apiwarden model inspect models/egress --entity billing-worker@stripe

Needs no fingerprint key, since no call is read.")]
pub(super) struct Inspect {
    /// The model bundle.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Show only this entity: a caller, CALLER@VENDOR, a vendor, or the fingerprint of a credential.
    #[arg(long, value_name = "ENTITY")]
    entity: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn run(self) -> anyhow::Result<()> {
        let key_id = read_manifest(&self.bundle)?.fingerprint_key;
        let bundle = Bundle::load(&self.bundle, &key_id)?;
        let inspection = Inspection::of(&bundle, self.entity.as_deref())
            .context("--entity: no caller, pair, vendor or credential of that name in the bundle")?;
        if self.json {
            print_line(serde_json::to_string_pretty(&inspection)?)?;
        } else {
            print_text(inspection.to_string().trim_end_matches('\n'))?;
        }
        Ok(())
    }
}
