//! `apiwarden model inspect`: what a bundle knows.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::models::bundle::{Bundle, read_manifest};
use crate::train::Inspection;

/// Shows what was learned, and by whose history each entity is judged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden model inspect models/egress
  apiwarden model inspect models/egress --entity billing-worker@stripe

Needs no fingerprint key: nothing is judged.")]
pub(super) struct Inspect {
    /// The model bundle.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// Only this: a caller, CALLER@VENDOR, a vendor, or the fingerprint of a credential.
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
            .context("--entity: the bundle knows no caller, pair, vendor or credential of that name")?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&inspection)?);
        } else {
            print!("{inspection}");
        }
        Ok(())
    }
}
