//! `apiwarden decode`: the calls of log files as the product sees them, field by field, and what could not be read.
//!
//! Not here: how records are read (`ingest`), and what calls mean (`calls`).

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use polars::prelude::{Column, DataFrame};
use polars_io::parquet::write::ParquetWriter;
use serde_json::{Map, Value, json};

use super::output::{print_text, report, stdout};
use super::reading::Setup;
use super::rows::cell;
use crate::calls::{CallRow, Calls, CallsBuilder, Details, Dimension, Owners, Relation, View, operation_of};
use crate::ingest::{FileReader, Inputs, Tally};
use crate::rollup::{Records, bucket_of};

/// Records that are read at once.
const RECORDS_AT_ONCE: usize = 512;
/// Rejected records that are named; the rest is counted.
const MAX_NAMED: usize = 1_000;

/// Shows the calls of log files as the product sees them, secrets fingerprinted, and on standard error what could not be read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apiwarden decode access.log
  apiwarden decode --format json --pipeline pipeline.toml logs/ | jq .endpoint")]
pub(super) struct Decode {
    /// Log files, directories or globs; `-` for standard input.
    #[arg(value_name = "FILE", required = true)]
    inputs: Vec<String>,
    /// How to print the calls.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Pipeline file; uses its [decode], [fingerprint], [vendors] and [enrichment].
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The main fields, for people.
    Table,
    /// One object a call and line.
    Json,
    Csv,
    Parquet,
}

/// A call with all that is known of it.
struct Shown<'a> {
    row: &'a CallRow,
    relation: &'a Relation,
    details: Details,
}

/// A column: its name, whether the table shows it, and its value.
type Show = (&'static str, bool, fn(&Shown<'_>) -> Value);

/// The columns, in their order.
const COLUMNS: &[Show] = &[
    ("time", true, |call| {
        Timestamp::from_microsecond(call.row.time).map_or(Value::Null, |time| json!(format!("{time:.6}")))
    }),
    ("direction", false, |call| json!(call.relation.view().as_str())),
    ("caller", true, |call| text(call.relation.caller().as_str())),
    ("principal", false, |call| match call.relation.view() {
        View::Audit => text(call.relation.caller().as_str()),
        View::Egress => Value::Null,
    }),
    ("principal_kind", false, |call| text(call.relation.principal().as_str())),
    ("account", false, |call| text(call.relation.account().as_str())),
    ("credential", true, |call| text(call.relation.credential().as_str())),
    ("credential_kind", false, |call| text(call.relation.name(Dimension::CredentialKind).as_str())),
    ("host", true, |call| text(call.relation.host().as_str())),
    ("vendor", true, |call| text(call.relation.vendor().as_str())),
    ("endpoint", true, |call| text(call.relation.endpoint().as_str())),
    ("api_version", false, |call| text(call.relation.name(Dimension::ApiVersion).as_str())),
    ("operation", false, |call| json!(operation_of(call.relation.endpoint().as_str()))),
    ("status", true, |call| json!(call.details.status)),
    ("outcome", true, |call| match call.row.outcome.as_str() {
        "unknown" => Value::Null,
        outcome => json!(outcome),
    }),
    ("bytes_out", true, |call| json!(call.row.bytes_out)),
    ("bytes_in", true, |call| json!(call.row.bytes_in)),
    ("latency_ms", true, |call| json!(call.row.latency_ms)),
    ("tokens_in", false, |call| json!(call.row.tokens_in)),
    ("tokens_out", false, |call| json!(call.row.tokens_out)),
    ("src_ip", true, |call| json!(call.details.src_ip.map(|address| address.to_string()))),
    ("network", false, |call| text(call.relation.network().as_str())),
    ("client", true, |call| text(call.relation.client().as_str())),
    ("region", false, |call| text(call.relation.region().as_str())),
    ("scheme", false, |call| text(call.relation.name(Dimension::Scheme).as_str())),
    ("tls_version", false, |call| text(call.relation.name(Dimension::TlsVersion).as_str())),
    ("channel", false, |call| text(call.relation.channel().as_str())),
    ("step", false, |call| json!(call.relation.step().map(|step| step.as_str()))),
    ("content_type", false, |call| text(call.relation.name(Dimension::ContentType).as_str())),
    ("sent", true, |call| text(call.relation.name(Dimension::Sent).as_str())),
    ("received", false, |call| text(call.relation.name(Dimension::Received).as_str())),
    ("redirect", false, |call| text(call.relation.name(Dimension::Redirect).as_str())),
    ("trace_id", false, |call| json!(call.row.trace_id.map(|id| id.as_str().to_owned()))),
    ("format", false, |call| json!(call.details.format)),
];

fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

impl Decode {
    pub fn run(self) -> anyhow::Result<()> {
        let setup = Setup::of(self.pipeline.as_deref())?;
        let mut reader = FileReader::new(&Inputs::resolve(&self.inputs)?);
        let mut decoder = setup.decoder()?;
        let mut calls = CallsBuilder::with_vendors(setup.key.clone(), setup.vendors.clone());
        calls.know_data_by(setup.data_words.clone());
        calls.name_owners(Owners::open(&setup.owners)?);
        calls.keep_details();

        let mut writer = Writer::new(self.format);
        let (mut tally, mut repeated, mut seen) = (Tally::default(), 0_u64, Records::default());
        let (mut rejected, mut is_unreadable) = (Vec::new(), false);
        loop {
            let batch = match reader.next_batch(&mut decoder, &mut calls, RECORDS_AT_ONCE) {
                Ok(batch) => batch,
                Err(error) => {
                    report(&error);
                    is_unreadable = true;
                    continue;
                }
            };
            tally.merge(&batch.tally);
            rejected
                .extend(batch.errors.iter().take(MAX_NAMED.saturating_sub(rejected.len())).map(ToString::to_string));
            let details = calls.take_details();
            let decoded: Calls = calls.finish();
            for (row, details) in decoded.rows().iter().zip(details) {
                if seen.is_repeated(bucket_of(row.time), row) {
                    repeated += 1;
                } else {
                    writer.write(&Shown { row, relation: decoded.relation(row), details })?;
                }
            }
            if batch.finished {
                break;
            }
        }
        writer.finish()?;
        rejected.iter().for_each(report);
        let unnamed = tally.rejects().saturating_sub(rejected.len() as u64);
        if unnamed > 0 {
            report(format_args!("{unnamed} further rejected records are only counted"));
        }
        let details = json!({
            "rejected_by_reason": tally.rejected,
            "not_a_call_by_kind": tally.not_calls,
            "unreadable_fields": tally.unreadable,
        });
        eprintln!("{details}");
        let (records, rejected, others) = (tally.records(), tally.rejects(), tally.other_events());
        let calls = tally.calls - repeated;
        eprintln!(
            r#"{{"records":{records},"calls":{calls},"rejected":{rejected},"not_a_call":{others},"repeated":{repeated}}}"#
        );
        anyhow::ensure!(!is_unreadable || tally.records() > 0, "no input could be read");
        Ok(())
    }
}

/// Prints calls in a format.
enum Writer {
    Table(Table),
    Json,
    Csv(Box<csv::Writer<Vec<u8>>>),
    Parquet(Vec<Vec<Value>>),
}

impl Writer {
    fn new(format: Format) -> Self {
        match format {
            Format::Table => {
                let mut table = Table::new();
                table.load_preset(presets::NOTHING);
                table.set_header(COLUMNS.iter().filter(|(_, is_main, _)| *is_main).map(|(name, ..)| *name));
                Self::Table(table)
            }
            Format::Json => Self::Json,
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(Vec::new());
                // In memory, it cannot fail.
                let _ = csv.write_record(COLUMNS.iter().map(|(name, ..)| *name));
                Self::Csv(Box::new(csv))
            }
            Format::Parquet => Self::Parquet(vec![Vec::new(); COLUMNS.len()]),
        }
    }

    fn write(&mut self, call: &Shown<'_>) -> anyhow::Result<()> {
        match self {
            Self::Table(table) => {
                let main = COLUMNS.iter().filter(|(_, is_main, _)| *is_main);
                table.add_row(main.map(|(_, _, value)| cell(plain(&value(call)))));
            }
            Self::Json => {
                let object: Map<String, Value> =
                    COLUMNS.iter().map(|(name, _, value)| ((*name).to_owned(), value(call))).collect();
                writeln!(stdout(), "{}", Value::Object(object))?;
            }
            Self::Csv(csv) => csv.write_record(COLUMNS.iter().map(|(_, _, value)| cell(plain(&value(call)))))?,
            Self::Parquet(columns) => {
                columns.iter_mut().zip(COLUMNS).for_each(|(column, (_, _, value))| column.push(value(call)));
            }
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Table(table) => print_text(table),
            Self::Json => Ok(stdout().flush()?),
            Self::Csv(csv) => {
                let bytes = csv.into_inner().context("CSV")?;
                Ok(stdout().write_all(&bytes)?)
            }
            Self::Parquet(columns) => {
                let height = columns.first().map_or(0, Vec::len);
                let columns = columns.into_iter().zip(COLUMNS).map(|(values, (name, ..))| column(name, values));
                let mut frame = DataFrame::new(height, columns.collect())?;
                let mut bytes = Vec::new();
                ParquetWriter::new(&mut bytes).finish(&mut frame)?;
                Ok(stdout().write_all(&bytes)?)
            }
        }
    }
}

/// A value without quotes; empty where there is none.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A column of one type: whole numbers, numbers, or text.
fn column(name: &'static str, values: Vec<Value>) -> Column {
    if name == "latency_ms" {
        return Column::new(name.into(), values.iter().map(Value::as_f64).collect::<Vec<_>>());
    }
    if matches!(name, "status" | "bytes_out" | "bytes_in" | "tokens_in" | "tokens_out") {
        return Column::new(name.into(), values.iter().map(Value::as_i64).collect::<Vec<_>>());
    }
    Column::new(name.into(), values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Vec<_>>())
}
