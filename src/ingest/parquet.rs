//! Parquet logs: rows become the JSON records that they were, and go the way of all records.
//!
//! Either a text column holds the record (`raw`, `message`, `value`, `log`), or the columns are the record, nested or with dotted names.
//! Rows are read a slice at a time.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use polars::prelude::{AnyValue, Column, DataFrame, PolarsError, PolarsResult, TimeUnit};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use serde_json::{Map, Value};

use super::inputs::InputError;
use super::piece::Piece;

/// Rows that are held at once.
const SLICE: usize = 50_000;
/// Columns that may hold the record as text.
const RECORDS: [&str; 4] = ["raw", "message", "value", "log"];

/// The rows of a file.
pub(super) struct Rows {
    path: Arc<Path>,
    file: File,
    total: usize,
    slice: DataFrame,
    /// Rows before the slice.
    before: usize,
    /// Rows of the slice that were read.
    at: usize,
    bytes: u64,
    counter: Arc<AtomicU64>,
}

impl Rows {
    pub(super) fn open(path: &Arc<Path>, file: File, counter: Arc<AtomicU64>) -> Result<Self, InputError> {
        let bytes = file.metadata().map_err(InputError::unreadable(path))?.len();
        let another = file.try_clone().map_err(InputError::unreadable(path))?;
        let total = ParquetReader::new(another).num_rows().map_err(broken(path))?;
        let path = Arc::clone(path);
        Ok(Self { path, file, total, slice: DataFrame::empty(), before: 0, at: 0, bytes, counter })
    }

    /// Whether the file is at its end.
    pub(super) fn read(&mut self, max_records: usize, piece: &mut Piece) -> Result<bool, InputError> {
        piece.start_at((self.before + self.at) as u64 + 1);
        while piece.len() < max_records {
            if self.at == self.slice.height() && !self.next_slice()? {
                return Ok(true);
            }
            let record = record(&self.slice, self.at).map_err(broken(&self.path))?;
            self.at += 1;
            piece.add(record.as_bytes());
        }
        Ok(false)
    }

    /// Reads the next rows, if there are any.
    fn next_slice(&mut self) -> Result<bool, InputError> {
        self.before += self.slice.height();
        self.at = 0;
        self.slice = DataFrame::empty();
        if self.before >= self.total {
            return Ok(false);
        }
        let file = self.file.try_clone().map_err(InputError::unreadable(&self.path))?;
        let slice = ParquetReader::new(file).with_slice(Some((self.before, SLICE))).finish();
        self.slice = slice.map_err(broken(&self.path))?;
        let share = self.slice.height() as f64 / self.total as f64;
        self.counter.fetch_add((self.bytes as f64 * share) as u64, Ordering::Relaxed);
        Ok(self.slice.height() > 0)
    }
}

fn broken(path: &Arc<Path>) -> impl FnOnce(PolarsError) -> InputError {
    |problem| InputError::Parquet { path: Arc::clone(path), problem: problem.into() }
}

/// The row as a JSON record.
fn record(rows: &DataFrame, at: usize) -> PolarsResult<String> {
    for column in RECORDS.iter().filter_map(|name| rows.column(name).ok()) {
        if let Some(text) = column.get(at)?.get_str().filter(|text| text.trim_start().starts_with('{')) {
            return Ok(text.to_owned());
        }
    }
    let field = |column: &Column| Ok((column.name().to_string(), json(column.get(at)?)));
    let record = rows.columns().iter().map(field).collect::<PolarsResult<Map<_, _>>>()?;
    Ok(Value::Object(record).to_string())
}

/// A cell in JSON: times as RFC 3339, and what JSON has no word for as nothing.
fn json(cell: AnyValue<'_>) -> Value {
    match cell.into_static() {
        AnyValue::Boolean(truth) => truth.into(),
        AnyValue::StringOwned(text) => text.as_str().into(),
        AnyValue::BinaryOwned(bytes) => String::from_utf8_lossy(&bytes).into(),
        AnyValue::DatetimeOwned(time, unit, _) => rfc3339(time, unit),
        AnyValue::List(list) => list.iter().map(json).collect(),
        AnyValue::StructOwned(fields) => {
            let (values, fields) = *fields;
            let named = fields.iter().zip(values).map(|(field, value)| (field.name().to_string(), json(value)));
            Value::Object(named.collect())
        }
        AnyValue::Float32(number) => f64::from(number).into(),
        AnyValue::Float64(number) => number.into(),
        AnyValue::UInt64(number) => number.into(),
        number if number.is_integer() => number.extract::<i64>().into(),
        // Categories and enumerations: texts that the writer numbered.
        other => other.get_str().map_or(Value::Null, Value::from),
    }
}

fn rfc3339(time: i64, unit: TimeUnit) -> Value {
    let timestamp = match unit {
        TimeUnit::Nanoseconds => Timestamp::from_nanosecond(time.into()),
        TimeUnit::Microseconds => Timestamp::from_microsecond(time),
        TimeUnit::Milliseconds => Timestamp::from_millisecond(time),
    };
    timestamp.map_or(Value::Null, |timestamp| timestamp.to_string().into())
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Categories, DataType, IntoSeries, df};
    use polars_io::parquet::write::ParquetWriter;

    use super::*;
    use crate::calls::{CallsBuilder, FingerprintKey};
    use crate::ingest::{DecodeSpec, Decoder, FORMATS, FileReader, Inputs};

    /// The calls of a frame that was written as Parquet.
    fn calls_of(mut frame: DataFrame) -> crate::calls::Calls {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("logs");
        ParquetWriter::new(File::create(&path).unwrap()).finish(&mut frame).unwrap();
        let inputs = Inputs::resolve(&[path.to_str().unwrap().to_owned()]).unwrap();
        let key = FingerprintKey::load_or_create(&home.path().join("key")).unwrap();
        let mut calls = CallsBuilder::new(Arc::new(key));
        let mut decoder = Decoder::new(&DecodeSpec::default()).unwrap();
        let mut reader = FileReader::new(&inputs);
        while !reader.next_batch(&mut decoder, &mut calls, 1).unwrap().finished {}
        assert_eq!(reader.bytes_read(), reader.bytes_total());
        calls.finish()
    }

    #[test]
    fn rows_that_hold_records_as_text_and_rows_that_are_records_give_calls() {
        let samples: Vec<_> = FORMATS.iter().map(|format| format.sample).collect();
        let numbers: Vec<_> = (0_i64..).take(samples.len()).collect();
        assert_eq!(calls_of(df!("message" => samples.clone(), "n" => numbers).unwrap()).len(), samples.len());

        let mut columns = df!(
            "@timestamp" => [1_788_220_800_905_000_i64, 1_788_220_801_000_000],
            "service.name" => ["crm", "billing"],
            "url.domain" => ["api.stripe.com", "api.stripe.com"],
            "http.request.bytes" => [Some(663_u32), None],
            "http.response.bytes" => [1.0, 2.0],
        )
        .unwrap();
        let time = columns
            .column("@timestamp")
            .unwrap()
            .cast(&DataType::Datetime(polars::prelude::TimeUnit::Microseconds, None));
        columns.with_column(time.unwrap()).unwrap();
        let calls = calls_of(columns);
        let sent: Vec<_> = calls.rows().iter().map(|call| call.bytes_out).collect();
        assert_eq!(sent, [Some(663), None]);
    }

    #[test]
    fn a_text_column_of_few_values_reads_as_text() {
        let categories = Categories::global();
        let categorical = DataType::Categorical(categories.clone(), categories.mapping());
        let name = Column::new("service.name".into(), ["crm", "crm"]).cast(&categorical).unwrap();
        let frame = DataFrame::new(2, vec![name]).unwrap();
        assert_eq!(record(&frame, 1).unwrap(), r#"{"service.name":"crm"}"#);
    }

    #[test]
    fn nested_columns_become_nested_records() {
        let http = df!("version" => ["2"], "status" => [200_i64]).unwrap().into_struct("http".into());
        let frame = DataFrame::new(1, vec![http.into_series().into()]).unwrap();
        assert_eq!(record(&frame, 0).unwrap(), r#"{"http":{"status":200,"version":"2"}}"#);
    }
}
