//! Tables as commands print them: for people, JSON, CSV, Parquet.
//!
//! Not here: what is in them.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use comfy_table::presets;
use polars::prelude::{Column, DataFrame, DataType, IntoColumn, NamedFrom, Series, TimeUnit};
use polars_io::parquet::write::ParquetWriter;

use super::output::{STDOUT, print_line, print_text, stdout};
use super::output_file::OutputFile;
use crate::catalog::{Table, Value};

/// Names of a list that people are shown.
const MAX_SHOWN: usize = 3;

/// How a table is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people; long lists are cut.
    Table,
    /// An array of objects.
    Json,
    /// A header and a line a row; lists are separated by blanks.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Arguments: how and where a table is written.
#[derive(Debug, Args)]
pub(super) struct Writing {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// File to write to; `-` for standard output.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

impl Writing {
    /// Writes a table.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn write(&self, table: &Table) -> anyhow::Result<()> {
        let to_stdout = self.output.as_os_str() == "-";
        let bytes = match self.format {
            Format::Table if to_stdout => return print_text(for_people(table)),
            Format::Table => format!("{}\n", for_people(table)).into_bytes(),
            Format::Json if to_stdout => return print_line(serde_json::to_string_pretty(&table.json())?),
            Format::Json => serde_json::to_vec_pretty(&table.json())?,
            Format::Csv => csv(table)?,
            Format::Parquet => parquet(table)?,
        };
        if to_stdout {
            return std::io::Write::write_all(&mut stdout(), &bytes).context(STDOUT);
        }
        let mut file = OutputFile::create(&self.output)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        Ok(file.finish()?)
    }
}

/// A table for people.
pub(super) fn for_people(table: &Table) -> String {
    let mut printed = comfy_table::Table::new();
    printed.load_preset(presets::NOTHING).set_header(&table.columns);
    for row in &table.rows {
        printed.add_row(row.iter().map(short));
    }
    printed.to_string()
}

fn short(value: &Value) -> String {
    match value {
        Value::Texts(texts) if texts.len() > MAX_SHOWN => {
            format!("{} +{}", texts[..MAX_SHOWN].join(" "), texts.len() - MAX_SHOWN)
        }
        // To the second: nobody reads on.
        Value::Time(_) => value.plain().split('.').next().map_or_else(String::new, |time| match time.ends_with('Z') {
            true => time.to_owned(),
            false => format!("{time}Z"),
        }),
        other => other.plain(),
    }
}

fn csv(table: &Table) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&table.columns)?;
    for row in &table.rows {
        writer.write_record(row.iter().map(|value| cell(value.plain())))?;
    }
    Ok(writer.into_inner()?)
}

/// A text as a cell of CSV, which people open in a spreadsheet or print in a terminal: names come from logs, so a control character is written
/// out, and what a spreadsheet would take for a formula is text (CWE-1236).
pub(super) fn cell(text: String) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    if !is_formula && !text.contains(char::is_control) {
        return text;
    }
    let written = text.chars().map(|c| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() });
    is_formula.then(|| "'".to_owned()).into_iter().chain(written).collect()
}

fn parquet(table: &Table) -> anyhow::Result<Vec<u8>> {
    let columns: Vec<Column> =
        table.columns.iter().enumerate().map(|(at, name)| column(table, at, name)).collect::<Result<_, _>>()?;
    let mut frame = DataFrame::new(table.rows.len(), columns)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame)?;
    Ok(bytes)
}

/// A column of the type that its values have.
fn column(table: &Table, at: usize, name: &str) -> polars::prelude::PolarsResult<Column> {
    let values = || table.rows.iter().map(|row| &row[at]);
    let name = name.into();
    let series = match values().find(|value| **value != Value::Null) {
        Some(Value::Count(_)) => {
            let count = |value: &Value| if let Value::Count(count) = value { Some(*count) } else { None };
            Series::new(name, values().map(count).collect::<Vec<_>>())
        }
        Some(Value::Number(_)) => {
            let number = |value: &Value| if let Value::Number(number) = value { Some(*number) } else { None };
            Series::new(name, values().map(number).collect::<Vec<_>>())
        }
        Some(Value::Time(_)) => {
            let time = |value: &Value| if let Value::Time(time) = value { Some(*time) } else { None };
            let utc = Some(polars::prelude::TimeZone::UTC);
            Series::new(name, values().map(time).collect::<Vec<_>>())
                .cast(&DataType::Datetime(TimeUnit::Microseconds, utc))?
        }
        Some(Value::Texts(_)) => {
            let texts = |value: &Value| match value {
                Value::Texts(texts) => Series::new("".into(), texts),
                _ => Series::new("".into(), Vec::<String>::new()),
            };
            Series::new(name, values().map(texts).collect::<Vec<_>>())
        }
        _ => {
            let text = |value: &Value| value.text().map(str::to_owned);
            Series::new(name, values().map(text).collect::<Vec<_>>())
        }
    };
    Ok(series.into_column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let hosts = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let row = vec![
            Value::Text("stripe, \"inc\"".into()),
            Value::Texts(hosts),
            Value::Count(7),
            Value::Number(0.5),
            Value::Time(1_788_220_800_905_000),
        ];
        Table {
            columns: vec!["vendor", "hosts", "calls", "error_share", "first_seen"],
            rows: vec![
                row,
                vec![Value::Text("x".into()), Value::Texts(vec![]), Value::Count(1), Value::Null, Value::Null],
            ],
        }
    }

    #[test]
    fn a_table_says_the_same_in_every_format() {
        let printed = for_people(&table());
        assert!(printed.contains("a b c +1") && printed.contains("2026-09-01T00:00:00Z"), "{printed}");
        let lines = String::from_utf8(csv(&table()).unwrap()).unwrap();
        assert_eq!(lines.lines().nth(1), Some("\"stripe, \"\"inc\"\"\",a b c d,7,0.5,2026-09-01T00:00:00.905Z"));
        assert_eq!(table().json()[0]["hosts"][3], "d");
        for (name, expected) in
            [("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"), ("-0.5", "-0.5"), ("a\u{1b}[2J", "a\\u{1b}[2J")]
        {
            assert_eq!(cell(name.to_owned()), expected);
        }
        let bytes = parquet(&table()).unwrap();
        use polars_io::SerReader;
        let read = polars_io::parquet::read::ParquetReader::new(std::io::Cursor::new(bytes)).finish().unwrap();
        assert_eq!(read.shape(), (2, 5));
        assert_eq!(read.column("calls").unwrap().i64().unwrap().get(0), Some(7));
        assert!(parquet(&Table { columns: vec!["calls"], rows: vec![] }).is_ok());
    }
}
