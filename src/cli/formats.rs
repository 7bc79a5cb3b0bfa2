//! `apiwarden formats`: which log formats are read, with which fields; and what the records of a file are.
//!
//! Not here: how formats are recognised and read (`ingest`).

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};

use super::output::print_text;
use super::reading::Setup;
use crate::ingest::{Counts, FORMATS, Inputs, Reading, Survey, filled};

/// Lists the log formats that are read, or says what the records of a file are.
#[derive(Debug, Args)]
pub(super) struct Formats {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the formats, and the fields of a call that each fills.
    List,
    Detect(Detect),
}

/// Says what the records of files are, and what is odd about them.
#[derive(Debug, Args)]
struct Detect {
    /// Log files; `-` for standard input.
    #[arg(value_name = "FILE", required = true)]
    inputs: Vec<String>,
    /// Pipeline file; uses its [decode].
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
}

impl Formats {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List => list(),
            Command::Detect(command) => command.run(),
        }
    }
}

fn list() -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["format", "view", "what", "fields of its sample"]);
    for format in FORMATS {
        let call = format.decode(format.sample).ok().and_then(Reading::call);
        let fields = call.map(|call| filled(&call).join(" ")).unwrap_or_default();
        table.add_row([format.name, format.view.as_str(), format.summary, &fields]);
    }
    print_text(table)
}

impl Detect {
    fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(self.pipeline.as_deref())?;
        for input in &self.inputs {
            let inputs = Inputs::resolve(std::slice::from_ref(input))?;
            let survey = Survey::of(&inputs, setup.decoder()?, setup.key.clone())?;
            let tally = &survey.tally;
            print_text(format_args!("{input}: {} records", tally.records()))?;
            for (name, count) in &survey.formats {
                let summary =
                    crate::ingest::FormatKind::named(name).map_or("as [decode.fields] says", |format| format.summary);
                print_text(format_args!("  {count} calls of format {name}: {summary}"))?;
            }
            for (what, counts) in [
                ("not a call", &tally.not_calls),
                ("rejected", &tally.rejected),
                ("unreadable fields", &tally.unreadable),
            ] {
                if !counts.is_empty() {
                    print_text(format_args!("  {what}: {}", Counts(counts)))?;
                }
            }
            for reason in &survey.reasons {
                print_text(format_args!("    {reason}"))?;
            }
        }
        Ok(())
    }
}
