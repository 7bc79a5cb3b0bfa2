//! What all tests share: a stream of call records, and a model bundle learned from other days of the same company.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::service;

/// Records of the dataset that the bundle learns from: its first nine days. The stream begins after them.
const LEARNED: usize = 80_000;
/// Days of the dataset: what comes after its end is its beginning again, so many days later.
const DAYS: i64 = 14;
/// All is moved into the past by whole weeks, so that no clock on which this runs finds it in the future.
const WEEKS_BACK: i64 = 52;
/// Where a record's date stands: `{"@timestamp":"2026-09-05T…`.
const DATE: std::ops::Range<usize> = 15..25;

/// The bundle, and the records to stream.
pub struct Fixture {
    pub bundle: PathBuf,
    records: Vec<String>,
}

impl Fixture {
    /// Made once in a test run.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Fixture> = OnceLock::new();
        SHARED.get_or_init(|| {
            let records = records();
            let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker");
            std::fs::create_dir_all(&directory).unwrap();
            let (history, bundle) = (directory.join("history.ndjson"), directory.join("bundle"));
            std::fs::write(&history, records[..LEARNED].join("\n")).unwrap();
            service::train(&history, &bundle);
            Self { bundle, records }
        })
    }

    /// The first records of the stream.
    pub fn stream(&self, count: usize) -> Vec<&str> {
        self.records[LEARNED..].iter().take(count).map(String::as_str).collect()
    }
}

fn records() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/demo/egress.ndjson.zst");
    let text = zstd::decode_all(std::fs::File::open(file).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let most = LEARNED + number_from_env("APIWARDEN_KILL_RECORDS", 40_000).max(40_000);
    let again_and_again = (0..).flat_map(|round| text.lines().map(move |line| (round, line)));
    again_and_again.take(most).map(|(round, line)| moved(line, DAYS * round - 7 * WEEKS_BACK)).collect()
}

fn moved(record: &str, days: i64) -> String {
    let date: Date = record[DATE].parse().unwrap();
    with_date(record, date + days.days())
}

/// The record on another day.
pub fn at_day(record: &str, day: Timestamp) -> String {
    with_date(record, jiff::tz::TimeZone::UTC.to_datetime(day).date())
}

/// The record at another time.
pub fn at(record: &str, time: Timestamp) -> String {
    let rest = record[DATE.start..].split_once('"').map_or("", |(_, rest)| rest);
    format!("{}{time:.3}\"{rest}", &record[..DATE.start])
}

/// The record as if another caller had made it.
pub fn by(record: &str, caller: &str) -> String {
    record.replace(&format!("\"name\":\"{}\"", caller_of(record)), &format!("\"name\":\"{caller}\""))
}

fn with_date(record: &str, date: Date) -> String {
    format!("{}{date}{}", &record[..DATE.start], &record[DATE.end..])
}

/// When a record's call began, seconds since the epoch.
pub fn time_of(record: &str) -> f64 {
    let time: Timestamp = text_after(record, "\"@timestamp\":\"").parse().unwrap();
    time.as_second() as f64
}

/// Who calls; the empty text where the record does not say.
pub fn caller_of(record: &str) -> &str {
    text_after(record, "\"service\":{\"name\":\"")
}

fn text_after<'a>(record: &'a str, start: &str) -> &'a str {
    record.split_once(start).and_then(|(_, rest)| rest.split_once('"')).map_or("", |(text, _)| text)
}

/// Cuts records near each of `places` where a five-minute bucket begins: what comes then is in time, whatever was closed before.
pub fn cut_at_buckets<'r>(records: &[&'r str], places: &[usize]) -> Vec<Vec<&'r str>> {
    let bucket_of = |record: &&str| (time_of(record) / 300.0).floor();
    let mut parts = Vec::new();
    let mut from = 0;
    for &place in places {
        let closed = records[..place].iter().map(&bucket_of).fold(f64::MIN, f64::max);
        let to = place + records[place..].iter().take_while(|record| bucket_of(record) <= closed).count();
        parts.push(records[from..to].to_vec());
        from = to;
    }
    parts.push(records[from..].to_vec());
    parts
}

/// A number that the environment may replace.
pub fn number_from_env(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}
