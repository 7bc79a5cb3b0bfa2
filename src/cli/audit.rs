//! `apiwarden audit`: the report on a period, and the check of a chain of reports.
//!
//! Not here: what a report says (`report`), and the reports that `run` writes by itself (`stream`).

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;

use super::output::{print_text, report, stdout};
use super::output_file::{OutputFile, refuse_inputs};
use crate::catalog::annotations::{Annotations, FILE};
use crate::catalog::{Period, Reader, Since};
use crate::pipeline;
use crate::report::{self as reports, Archive, Report, ReportError, Sources, seal_of, verify};

/// Writes a report on a period: inventory, rules, keys, alerts, coverage, owners, and what logs cannot show.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  apiwarden audit --store catalog --alerts alerts.ndjson --pipeline pipeline.toml --output report.html
  apiwarden audit --store catalog --since 2026-09-01 --until 2026-09-30 --format markdown
  apiwarden audit --store catalog --since 7d --output reports/
  apiwarden audit verify reports/"
)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Option<Command>,
    /// Directory of the catalogue.
    #[arg(long, value_name = "DIR", required = true)]
    store: Option<PathBuf>,
    /// Files of alerts, as `scan` and file sinks write them: violations, drift and incidents come from them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    alerts: Vec<PathBuf>,
    /// First day: a span before the end of the last day (30d, 4w), or a date.
    #[arg(long, value_name = "SINCE", default_value = "30d")]
    since: Since,
    /// Last day [default: that of the newest call in the catalogue].
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// Pipeline file: its [governance] has the rules, the policy and the exceptions.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// File of what is declared of vendors [default: annotations.toml in the store].
    #[arg(long, value_name = "FILE")]
    annotations: Option<PathBuf>,
    /// html, markdown or json [default: as the output file is called, else html].
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The report before this one, whose seal this one carries on. In a directory, the newest of an earlier period.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// File to write, or a directory of reports [default: standard output].
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Recomputes the seals of reports, and names the first that does not fit.
    Verify(Verify),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Html,
    Markdown,
    Json,
}

impl Format {
    fn of_file(path: &Path) -> Option<reports::Format> {
        let extension = path.extension()?;
        reports::Format::ALL.into_iter().find(|format| extension == format.extension())
    }
}

impl From<Format> for reports::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Html => Self::Html,
            Format::Markdown => Self::Markdown,
            Format::Json => Self::Json,
        }
    }
}

impl Audit {
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(Command::Verify(verify)) = self.command {
            return verify.run();
        }
        let store = self.store.context("name the directory of the catalogue with --store")?;
        let reader = Reader::open(&store)?;
        let rules = self.pipeline.as_deref().map(pipeline::load_reading).transpose()?.and_then(|plan| plan.rules);
        let declared = Annotations::load(&self.annotations.unwrap_or_else(|| store.join(FILE)))?;
        let last = self.until.map(reports::day_number);
        let newest = reader.newest()?;
        if let (Some(until), Some(newest)) = (self.until, newest)
            && reports::day_number(until) > Period::day_of(newest)
        {
            let newest = Timestamp::from_microsecond(newest)?;
            bail!("--until {until}: the newest call of the catalogue is of {newest}, later days are not known yet");
        }
        if let (Since::At(since), Some(until)) = (self.since, last)
            && Period::day_of(since) > until
        {
            bail!("the period ends before it begins: --since is after --until");
        }
        let period = reader.period(self.since, last)?.ok_or(ReportError::Empty)?;
        let sources = Sources {
            alerts: Some(&self.alerts[..]).filter(|files| !files.is_empty()),
            rules: rules.as_deref(),
            declared: Some(&declared),
        };
        let made = Report::new(&reader, period, &sources)?;
        let format = self.format.map(reports::Format::from);
        let Some(output) = self.output else {
            let (page, _) =
                made.page(format.unwrap_or(reports::Format::Html), previous(self.previous.as_deref())?.as_ref())?;
            return stdout().write_all(page.as_bytes()).context(super::output::STDOUT);
        };
        if output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/") {
            anyhow::ensure!(
                self.previous.is_none(),
                "--previous does not apply to a directory: the newest report in it is the one before"
            );
            let archive = Archive::of(&output);
            let format = format.unwrap_or(reports::Format::Html);
            match archive.write(&made, format)? {
                Some(written) => report(format_args!("wrote {}", written.path.display())),
                None => report(format_args!(
                    "{}: is there already, and stays as it is",
                    archive.path(made.until(), format).display()
                )),
            }
            return Ok(());
        }
        let inputs =
            self.alerts.iter().map(PathBuf::as_path).chain(self.previous.as_deref()).chain(self.pipeline.as_deref());
        refuse_inputs(&output, inputs)?;
        let Some(format) = format.or_else(|| Format::of_file(&output)) else {
            bail!("{}: name it .html, .md or .json, or give --format", output.display());
        };
        let (page, _) = made.page(format, previous(self.previous.as_deref())?.as_ref())?;
        let mut file = OutputFile::create(&output)?;
        file.write_all(page.as_bytes())?;
        file.finish()?;
        report(format_args!("wrote {}", output.display()));
        Ok(())
    }
}

fn previous(path: Option<&Path>) -> Result<Option<reports::Seal>, ReportError> {
    path.map(seal_of).transpose()
}

/// Recomputes the seals of reports.
#[derive(Debug, Args)]
struct Verify {
    /// Reports in the order in which they were written, or a directory of them.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

impl Verify {
    fn run(self) -> anyhow::Result<()> {
        let mut chains = Vec::new();
        let (directories, files): (Vec<_>, Vec<_>) = self.paths.into_iter().partition(|path| path.is_dir());
        for directory in directories {
            let found = reports::Format::ALL.map(|format| Archive::of(&directory).reports(format));
            let found: Vec<_> = found.into_iter().collect::<Result<_, _>>()?;
            anyhow::ensure!(found.iter().any(|chain| !chain.is_empty()), "{}: holds no reports", directory.display());
            chains.extend(found.into_iter().filter(|chain| !chain.is_empty()));
        }
        chains.extend(Some(files).filter(|files| !files.is_empty()));
        for chain in chains {
            match verify(&chain)? {
                Err(broken) => anyhow::bail!("{}: {}", broken.path.display(), broken.problem),
                Ok(newest) => {
                    let seal = newest.as_ref().map_or("", reports::Seal::as_str);
                    let last = chain.last().map(|path| path.display().to_string()).unwrap_or_default();
                    print_text(format_args!("{} reports fit; the newest is {last}, seal {seal}", chain.len()))?;
                }
            }
        }
        Ok(())
    }
}
