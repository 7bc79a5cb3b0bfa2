//! `apiwarden catalog sheet`, `annotate` and `export`: what is known and declared of vendors.
//!
//! Not here: what is in them (`catalog`).

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::Store;
use crate::catalog::annotations::{Annotations, FILE};
use crate::catalog::{Reader, RotationLimits, Sheet as Facts, Table, Value, export};
use crate::cli::output::{print_line, print_text, report};
use crate::cli::rows::for_people;

/// Arguments: where declarations are.
#[derive(Debug, Args)]
struct Declared {
    /// File of what is declared of vendors [default: annotations.toml in the store].
    #[arg(long, value_name = "FILE")]
    annotations: Option<PathBuf>,
}

impl Declared {
    fn path(&self, store: &Path) -> PathBuf {
        self.annotations.clone().unwrap_or_else(|| store.join(FILE))
    }
}

/// Prints what traffic shows and what is declared of a vendor, with a risk score whose terms are shown.
#[derive(Debug, Args)]
pub(super) struct Sheet {
    /// The vendor.
    vendor: String,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    declared: Declared,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Sheet {
    pub fn run(self) -> anyhow::Result<()> {
        let declared = Annotations::load(&self.declared.path(&self.store.store))?;
        let declared = declared.vendors.get(&self.vendor).cloned().unwrap_or_default();
        let reader = Reader::open(&self.store.store)?;
        let sheet = reader.sheet(&self.vendor, &declared, &RotationLimits::default())?;
        if self.json {
            return print_line(serde_json::to_string_pretty(&sheet.json())?);
        }
        print_text(written(&sheet))
    }
}

fn written(sheet: &Facts) -> String {
    let text = |text: &str| Value::Text(text.to_owned());
    let facts = sheet.facts.iter().filter(|(_, value)| *value != Value::Null);
    let facts = facts.map(|(name, value)| vec![text(name), value.clone()]).collect();
    let facts = Table { columns: vec!["fact", "value"], rows: facts };
    let points = |weight: f64, share: f64| format!("{:.1} of {weight:.0}", weight * share);
    let terms =
        sheet.terms.iter().map(|term| vec![text(term.name), text(&points(term.weight, term.share)), text(&term.why)]);
    let terms = Table { columns: vec!["term", "points", "because"], rows: terms.collect() };
    let (vendor, risk) = (&sheet.vendor, sheet.risk());
    let (facts, history, terms) = (for_people(&facts), for_people(&sheet.history), for_people(&terms));
    format!("{vendor}\n\n{facts}\n\nBy week\n{history}\n\nRisk {risk:.0} of 100\n{terms}")
}

/// Declares owner, contract, purpose and review date of a vendor.
#[derive(Debug, Args)]
pub(super) struct Annotate {
    /// The vendor.
    vendor: String,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    declared: Declared,
    /// Team or person who answers for it.
    #[arg(long)]
    owner: Option<String>,
    /// Contract, or where it is kept.
    #[arg(long)]
    contract: Option<String>,
    /// What it is used for.
    #[arg(long)]
    purpose: Option<String>,
    /// When it is due to be reviewed.
    #[arg(long, value_name = "DATE")]
    review: Option<Date>,
}

impl Annotate {
    pub fn run(self) -> anyhow::Result<()> {
        // A name that is not in the catalogue is a slip, not a vendor.
        Reader::open(&self.store.store)?.ensure_vendor(&self.vendor)?;
        let path = self.declared.path(&self.store.store);
        let mut annotations = Annotations::load(&path)?;
        let known = annotations.vendors.entry(self.vendor.clone()).or_default();
        known.owner = self.owner.or(known.owner.take());
        known.contract = self.contract.or(known.contract.take());
        known.purpose = self.purpose.or(known.purpose.take());
        known.review = self.review.or(known.review);
        annotations.save(&path)?;
        report(format_args!("wrote {} to {}", self.vendor, path.display()));
        Ok(())
    }
}

/// Writes the catalogue in a format of others.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(subcommand)]
    format: ExportFormat,
}

#[derive(Debug, Subcommand)]
enum ExportFormat {
    /// OpenAPI 3.1 skeleton of what is really called at a vendor.
    Openapi {
        /// The vendor.
        vendor: String,
        #[command(flatten)]
        store: Store,
    },
    /// CycloneDX 1.6 bill of materials with third parties as services.
    Cyclonedx {
        #[command(flatten)]
        store: Store,
        #[command(flatten)]
        declared: Declared,
    },
}

impl Export {
    pub fn run(self) -> anyhow::Result<()> {
        let json = match self.format {
            ExportFormat::Openapi { vendor, store } => export::openapi(&Reader::open(&store.store)?, &vendor)?,
            ExportFormat::Cyclonedx { store, declared } => {
                let declared = Annotations::load(&declared.path(&store.store))?;
                export::cyclonedx(&Reader::open(&store.store)?, &declared)?
            }
        };
        print_line(serde_json::to_string_pretty(&json).context("JSON")?)
    }
}
