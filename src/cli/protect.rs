//! `apiwarden protect`: egress allow lists for gateways, and what they would have blocked.
//!
//! Not here: what belongs on a list, how formats write it, and judging (`protect`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::output::{print_line, print_text, report};
use super::output_file::OutputFile;
use super::reading::{Setup, read};
use super::rows::for_people;
use crate::catalog::{Reader, Since, Table, Value};
use crate::protect::{Blocked, FORMATS, Format, Identity, Newcomers, Policy, Proposal, Replay, Terms, Written};

/// Writes least-privilege egress allow lists for gateways, and says what they would have blocked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden protect propose --store catalog --from 30d --format envoy --output egress.yaml
  apiwarden protect check egress.yaml --against logs/2026-10/")]
pub(super) struct Protect {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Propose(Propose),
    Check(Check),
}

impl Protect {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Propose(command) => command.run(),
            Command::Check(command) => command.run(),
        }
    }
}

/// Writes the allow list that the catalogue implies: per caller, each entry with the fact behind it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden protect propose --store catalog --from 30d --format squid --output egress.conf
  apiwarden protect propose --store catalog --format envoy --principal 'spiffe://example.org/ns/prod/sa/{caller}'")]
struct Propose {
    /// Directory of the catalogue.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// What to write.
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    format: &'static Format,
    /// What was seen since: a span before the newest call (12h, 7d, 4w), a date or a time in RFC 3339.
    #[arg(long, value_name = "SINCE", default_value = "30d")]
    from: Since,
    /// Days that something must have been in use: what is newer may be an attack.
    #[arg(long, value_name = "DAYS", default_value_t = 1)]
    min_days: u32,
    /// Calls that something must have had.
    #[arg(long, value_name = "CALLS", default_value_t = 1)]
    min_calls: u32,
    /// What callers without entries of their own may do.
    #[arg(long, value_enum, default_value_t = NewcomersArgument::Known)]
    newcomers: NewcomersArgument,
    /// Request header that names the caller, set by a trusted hop (envoy, squid).
    #[arg(long, value_name = "NAME")]
    caller_header: Option<String>,
    /// Principal of a caller's client certificate, with `{caller}` in it (envoy) [default: {caller}].
    #[arg(long, value_name = "TEMPLATE")]
    principal: Option<String>,
    /// Label of pods that names the caller (networkpolicy) [default: app.kubernetes.io/name].
    #[arg(long, value_name = "KEY")]
    caller_label: Option<String>,
    /// File to write to; `-` for standard output.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// What newcomers may do, as written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum NewcomersArgument {
    /// What some other caller does already, without sensitive endpoints.
    Known,
    /// Nothing.
    Deny,
}

fn format_parser() -> impl TypedValueParser<Value = &'static Format> {
    let names = PossibleValuesParser::new(
        FORMATS.iter().map(|format| clap::builder::PossibleValue::new(format.name).help(format.summary)),
    );
    names.try_map(|name| Format::named(&name).ok_or("no such format"))
}

impl Propose {
    fn run(self) -> anyhow::Result<()> {
        let newcomers = match self.newcomers {
            NewcomersArgument::Known => Newcomers::Known,
            NewcomersArgument::Deny => Newcomers::Deny,
        };
        let label = self.caller_label.as_deref();
        let identity = Identity::new(self.caller_header.as_deref(), self.principal.as_deref(), label)?;
        let terms = Terms { since: self.from, min_days: self.min_days, min_calls: self.min_calls, newcomers };
        let proposal = Proposal::of(&Reader::open(&self.store)?, &terms)?;
        let written = self.format.write(&proposal, &identity)?;
        if self.output.as_os_str() == "-" {
            print_line(written.text.trim_end())?;
        } else {
            let mut file = OutputFile::create(&self.output)?;
            std::io::Write::write_all(&mut file, written.text.as_bytes())?;
            file.finish()?;
        }
        report(summary(&written, &proposal));
        Ok(())
    }
}

/// What was written and what was not.
fn summary(written: &Written, proposal: &Proposal) -> String {
    let mut summary = format!("{} entries of {} callers", written.entries, written.callers);
    for (reason, count) in &written.left_out {
        summary.push_str(&format!("; left out {count}: {reason}"));
    }
    if written.has_buckets {
        summary.push_str("; any bucket is allowed where one is used: their names are not known");
    }
    let incomplete: BTreeMap<_, _> = proposal.incomplete.iter().map(|one| (&one.caller, ())).collect();
    if !incomplete.is_empty() {
        summary.push_str(&format!("; incomplete for {} callers, see the head of the file", incomplete.len()));
    }
    summary
}

/// Replays logs against a policy: what it would have blocked. It judges what the file says, edited or not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden protect check egress.yaml --against logs/2026-10/
  apiwarden protect check egress.yaml --against today.ndjson.zst --format json --fail-on-blocked")]
struct Check {
    /// Policy file, of any format that `propose` writes.
    policy: PathBuf,
    /// Log files, directories or globs; `-` for standard input.
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    against: Vec<String>,
    /// Pipeline file; uses its [source.registry], [decode], [fingerprint], [vendors] and [enrichment]. Without one the format is detected.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = CheckFormat::Table)]
    format: CheckFormat,
    /// End with exit code 1 where a call would have been blocked.
    #[arg(long)]
    fail_on_blocked: bool,
}

/// How a check is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// Columns for people, and a line of totals.
    Table,
    /// An object.
    Json,
}

impl Check {
    fn run(self) -> anyhow::Result<()> {
        let (policy, format) = Policy::load(&self.policy)?;
        let setup = Setup::of(self.pipeline.as_deref())?;
        let mut replay = Replay::new(&policy);
        let intake = read(&self.against, &setup, |calls| {
            replay.add(&calls);
            Ok(())
        })?;
        let counts = [("judged", replay.judged), ("blocked", replay.blocked), ("not_judged", replay.not_judged)];
        let rows = table(&replay.rows());
        if self.format == CheckFormat::Json {
            let [judged, blocked, not_judged] = counts.map(|(_, count)| count);
            let result = json!({
                "policy": self.policy, "format": format.name, "judged": judged, "blocked": blocked, "not_judged": not_judged,
                "calls": rows.json(),
            });
            print_line(serde_json::to_string_pretty(&result)?)?;
            report(intake.account(&[("judged", judged)]));
        } else {
            if !rows.rows.is_empty() {
                print_text(for_people(&rows))?;
            }
            let account = intake.account(&[("judged", replay.judged)]);
            print_text(format_args!(
                "{} of {} calls would have been blocked; {account}",
                replay.blocked, replay.judged
            ))?;
        }
        let tally = &intake.tally;
        anyhow::ensure!(
            tally.records() == 0 || tally.calls > 0,
            "none of {} records is a call: `apiwarden formats detect FILE` says what they are",
            tally.records()
        );
        anyhow::ensure!(
            !self.fail_on_blocked || replay.blocked == 0,
            "{} calls would have been blocked",
            replay.blocked
        );
        Ok(())
    }
}

fn table(rows: &[Blocked]) -> Table {
    let text = |text: &str| Value::Text(text.to_owned());
    let row = |row: &Blocked| {
        vec![
            text(&row.caller),
            text(&row.host),
            text(&row.endpoint),
            text(row.why.as_str()),
            Value::Count(i64::try_from(row.calls).unwrap_or(i64::MAX)),
            Value::Time(row.first_seen),
            Value::Time(row.last_seen),
        ]
    };
    let columns = vec!["caller", "host", "endpoint", "not_allowed", "calls", "first_seen", "last_seen"];
    Table { columns, rows: rows.iter().map(row).collect() }
}
