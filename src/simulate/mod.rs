//! Simulated logs: a company's calls on days without attacks.
//!
//! A specification goes in, records and labels come out, one day at a time, so memory holds one day. The same specification gives the
//! same bytes, and a longer run begins with the days of a shorter one. What makes real days differ (releases, campaigns, month ends,
//! outages, rotations) is simulated, and each such change is labelled, so that alerts on harmless changes can be counted.
//!
//! Not here: attacks. `inject` adds them to these records.

mod audit;
mod callers;
mod changes;
mod cloudtrail;
mod ecs;
mod operations;
mod principals;
mod random;
mod spec;
mod time;
mod traffic;
mod vendors;

use std::io::{self, Write};

use jiff::Timestamp;

use audit::Account;
use changes::Company;
pub use spec::{Format, Spec, Variability, Vendors};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// Size of the write buffer, bytes.
const CHUNK: usize = 1 << 20;

/// A harmless change, and the entities it affects. An empty string matches any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Kind of change.
    pub kind: String,
    /// First instant, microseconds since the epoch.
    pub start: i64,
    /// Last instant, microseconds since the epoch.
    pub end: i64,
    /// Affected caller.
    pub caller: String,
    /// Affected vendor, by host.
    pub vendor_host: String,
    /// Id of the API key.
    pub credential: String,
}

impl Label {
    /// Whether a call of the day (time, caller, host) shows the change, or a call of a later day may (`end` is the end of the day).
    /// If nobody called a vendor while it was slow, the log does not show it, and the label is dropped.
    fn is_seen<'a>(&self, end: i64, mut calls: impl Iterator<Item = (i64, &'a str, &'a str)>) -> bool {
        let is = |wanted: &str, name: &str| wanted.is_empty() || wanted == name;
        let is_here = |time| (self.start..=self.end).contains(&time);
        self.end > end
            || calls
                .any(|(time, caller, host)| is_here(time) && is(&self.caller, caller) && is(&self.vendor_host, host))
    }
}

/// The result of a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulated {
    /// Records written, one a line.
    pub records: u64,
    /// The harmless changes, by day.
    pub labels: Vec<Label>,
}

/// Writes the records of all days, by time, and returns the labels of their changes. `progress` is called with the number of days
/// done.
///
/// # Errors
/// If `out` cannot be written to.
pub fn simulate(spec: &Spec, out: &mut impl Write, progress: &mut dyn FnMut(usize)) -> io::Result<Simulated> {
    let mut lines = Lines { out, bytes: Vec::with_capacity(CHUNK + CHUNK / 8) };
    let simulated = match spec.format {
        Format::Ecs => egress(spec, &mut lines, progress)?,
        Format::Cloudtrail => audit(spec, &mut lines, progress)?,
    };
    lines.flush()?;
    Ok(simulated)
}

fn egress(spec: &Spec, lines: &mut Lines<'_, impl Write>, progress: &mut dyn FnMut(usize)) -> io::Result<Simulated> {
    let mut simulated = Simulated::default();
    let mut company = Company::new(spec);
    for day in 0..spec.days {
        let mut today = company.begin(day);
        let calls = traffic::calls(&company, &today);
        let names = calls.iter().filter_map(|call| call.names(&company));
        today.labels.retain(|label| label.is_seen(today.start + DAY, names.clone()));
        let writer = ecs::Writer::new(&company, &today);
        for call in &calls {
            lines.add(|bytes| writer.write(call, bytes))?;
        }
        simulated.records += calls.len() as u64;
        simulated.labels.append(&mut today.labels);
        progress(day + 1);
    }
    Ok(simulated)
}

fn audit(spec: &Spec, lines: &mut Lines<'_, impl Write>, progress: &mut dyn FnMut(usize)) -> io::Result<Simulated> {
    let mut simulated = Simulated::default();
    let mut account = Account::new(spec);
    for day in 0..spec.days {
        let mut today = account.simulate_day(day);
        let names = today.events.iter().filter_map(|event| account.names(event));
        today.labels.retain(|label| label.is_seen(today.start + DAY, names.clone()));
        let writer = cloudtrail::Writer::new(&account, today.start);
        for event in &today.events {
            lines.add(|bytes| writer.write(event, bytes))?;
        }
        simulated.records += today.events.len() as u64;
        simulated.labels.append(&mut today.labels);
        progress(day + 1);
    }
    Ok(simulated)
}

/// A buffer of lines, written in chunks.
struct Lines<'a, W> {
    out: &'a mut W,
    bytes: Vec<u8>,
}

impl<W: Write> Lines<'_, W> {
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        write(&mut self.bytes)?;
        if self.bytes.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.bytes)?;
        self.bytes.clear();
        Ok(())
    }
}

/// Writes labels in the CSV format that `evaluate` reads. None is malicious.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_labels(labels: &[Label], out: impl Write) -> csv::Result<()> {
    let mut rows = csv::Writer::from_writer(out);
    rows.write_record([
        "scenario",
        "kind",
        "category",
        "malicious",
        "start",
        "end",
        "caller",
        "vendor_host",
        "credential",
    ])?;
    for (number, label) in (1..).zip(labels) {
        let id = format!("B{number:04}");
        let time = |instant: i64| Timestamp::from_microsecond(instant).unwrap_or_default().to_string();
        let (start, end) = (time(label.start), time(label.end));
        rows.write_record([
            &*id,
            &*label.kind,
            "benign",
            "0",
            &*start,
            &*end,
            &*label.caller,
            &*label.vendor_host,
            &*label.credential,
        ])?;
    }
    rows.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::*;
    use crate::calls::{CallsBuilder, FingerprintKey};
    use crate::ingest::{DecodeSpec, Decoder, Place};

    const FORMATS: [Format; 2] = [Format::Ecs, Format::Cloudtrail];

    fn spec(format: Format, days: usize) -> Spec {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/simulations/egress.toml");
        Spec { format, days, calls_a_day: 3_000.0, ..Spec::load(&file).unwrap() }
    }

    fn log(spec: &Spec) -> (String, Simulated) {
        let mut bytes = Vec::new();
        let simulated = simulate(spec, &mut bytes, &mut |_| {}).unwrap();
        (String::from_utf8(bytes).unwrap(), simulated)
    }

    #[test]
    fn a_seed_gives_the_same_bytes_and_another_seed_gives_others() {
        for format in FORMATS {
            let spec = spec(format, 2);
            assert_eq!(log(&spec), log(&spec));
            assert_ne!(log(&spec).0, log(&Spec { seed: 2, ..spec }).0);
        }
    }

    #[test]
    fn a_longer_run_begins_with_the_shorter_one() {
        for format in FORMATS {
            let ((short, few), (long, more)) = (log(&spec(format, 3)), log(&spec(format, 5)));
            assert!(long.len() > short.len() && long.starts_with(&short));
            assert!(more.labels.starts_with(&few.labels));
        }
    }

    #[test]
    fn every_record_decodes_to_a_call() {
        for format in FORMATS {
            let (text, simulated) = log(&spec(format, 2));
            let folder = tempfile::tempdir().unwrap();
            let key = FingerprintKey::load_or_create(&folder.path().join("key")).unwrap();
            let mut calls = CallsBuilder::new(Arc::new(key));
            let mut decoder = Decoder::new(&DecodeSpec::default()).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let place = Place::File { path: Arc::from(Path::new("simulated")), line: number };
                let decoded = decoder.decode(line.as_bytes(), &place, &mut calls);
                assert!(decoded.errors.is_empty(), "{:?}", decoded.errors);
            }
            assert_eq!(calls.len() as u64, simulated.records);
        }
    }

    #[test]
    fn records_are_sorted_by_time() {
        for (format, before) in FORMATS.into_iter().zip(["\"@timestamp\":\"", "\"eventTime\":\""]) {
            let (text, _) = log(&spec(format, 2));
            let times: Vec<&str> = text.lines().map(|line| &line.split_once(before).unwrap().1[..19]).collect();
            assert!(times.is_sorted());
        }
    }

    #[test]
    fn a_working_day_has_about_as_many_calls_as_specified() {
        for format in FORMATS {
            // 2026-09-02 is an ordinary Wednesday.
            let (text, _) = log(&spec(format, 2));
            let calls = text.lines().filter(|line| line.contains("\":\"2026-09-02T")).count();
            assert!((2_100..3_900).contains(&calls), "{calls}");
        }
    }

    #[test]
    fn every_labelled_change_is_in_the_log() {
        for format in FORMATS {
            let spec = Spec { calls_a_day: 4_000.0, ..spec(format, 10) };
            let (text, simulated) = log(&spec);
            let mut kinds = BTreeSet::new();
            // The log would show a nightly job's change on the last day only on the day after.
            let last_instant = spec.first_instant() + 10 * DAY;
            for label in simulated.labels.iter().filter(|label| label.end <= last_instant) {
                let time = |instant: i64| Timestamp::from_microsecond(instant).unwrap().to_string();
                let (start, end) = (time(label.start), time(label.end));
                // To the minute: CloudTrail writes no fractions.
                let is_in = |line: &&str| {
                    let at = line.find("\":\"2026-").unwrap() + 3;
                    (&start[..16]..=&end[..16]).contains(&&line[at..at + 16])
                };
                let names =
                    |line: &str| [&label.caller, &label.vendor_host].iter().all(|name| line.contains(name.as_str()));
                let seen = text.lines().filter(is_in).filter(|line| names(line));
                assert!(seen.clone().any(|line| line.contains(&label.credential)), "{label:?}");
                kinds.insert(&label.kind);
            }
            assert!(kinds.len() >= 5, "{kinds:?}");
        }
    }

    #[test]
    fn every_shipped_specification_is_valid() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/simulations");
        let files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4);
        for file in files {
            Spec::load(&file).unwrap();
        }
    }
}
