//! Labels: the ground truth, read from CSV.
//!
//! Three shapes, recognised by their header:
//!
//! | shape | columns | becomes |
//! |---|---|---|
//! | scenarios | `scenario,kind,category,malicious,start,end,caller,vendor_host,credential` | [`Case`]s with a [`Subject`] |
//! | windows | `technique,tactic,start,end` | malicious [`Case`]s without one, numbered `W01` on |
//! | records | `event_id,score_use` | [`LabelledRecord`]s |
//!
//! Other columns are ignored. Times are RFC 3339.
//!
//! Not here: whether an alert finds a case (`evaluate`).

use std::path::{Path, PathBuf};

use csv::StringRecord;
use jiff::Timestamp;

/// Something that happened between two instants, which an alert should find (malicious) or ignore (a hard negative).
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Short id (`P01`), unique in its file.
    pub id: String,
    /// What happened, for people; in a file of windows the technique.
    pub kind: String,
    /// Category; in a file of windows the tactic.
    pub category: String,
    /// False for a hard negative: odd, and harmless.
    pub malicious: bool,
    /// First instant, microseconds since the epoch.
    pub start: i64,
    /// Last instant, microseconds since the epoch.
    pub end: i64,
    /// Whom a true alert names; `None` where only the time is known.
    pub subject: Option<Subject>,
}

/// The entities of a case. One that is not known is `None` and matches any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The caller.
    pub caller: Option<String>,
    /// The vendor's host.
    pub vendor_host: Option<String>,
    /// The credential's fingerprint or label.
    pub credential: Option<String>,
}

/// What a record is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// Part of an attack.
    Attack,
    /// Harmless.
    Benign,
    /// Not known, or neither: counts neither way.
    Ignored,
}

/// A record and what it is known to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledRecord {
    /// The source's own id of the record.
    pub id: String,
    /// What it is.
    pub truth: Truth,
}

/// A file of labels: cases or records, never both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// Cases, for judging alerts.
    pub cases: Vec<Case>,
    /// Records, for judging scores.
    pub records: Vec<LabelledRecord>,
}

/// Why a file of labels could not be read: the place, never the value.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The file could not be opened.
    #[error("{}: cannot open", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: csv::Error,
    },
    /// A line is no CSV, or has more or fewer fields than the header.
    #[error("{}:{line}: not a line of CSV with as many fields as the header", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
    },
    /// The header fits no shape of labels.
    #[error(
        "{}:1: the header is none of a file of labels: expected the columns {SCENARIO_COLUMNS}, or {WINDOW_COLUMNS}, or {RECORD_COLUMNS}",
        .path.display()
    )]
    Header {
        /// The file.
        path: PathBuf,
    },
    /// A field does not hold what its column asks for.
    #[error("{}:{line}: column {column}: expected {expected}", .path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column.
        column: &'static str,
        /// What the column holds.
        expected: &'static str,
    },
}

const SCENARIO_COLUMNS: &str = "scenario,kind,category,malicious,start,end,caller,vendor_host,credential";
const WINDOW_COLUMNS: &str = "technique,tactic,start,end";
const RECORD_COLUMNS: &str = "event_id,score_use";

impl Labels {
    /// Reads a file of labels of any of the three shapes.
    ///
    /// # Errors
    /// If the file cannot be read, its header fits no shape, or a field does not hold what its column asks for.
    pub fn read(path: &Path) -> Result<Self, LabelsError> {
        let mut reader =
            csv::Reader::from_path(path).map_err(|source| LabelsError::Open { path: path.into(), source })?;
        let header = reader.headers().map_err(|_| LabelsError::Line { path: path.into(), line: 1 })?.clone();
        let has = |columns: &str| columns.split(',').all(|column| header.iter().any(|name| name == column));
        let add: fn(&mut Self, &Row) -> Result<(), LabelsError> = match () {
            () if has(SCENARIO_COLUMNS) => Self::add_scenario,
            () if has(WINDOW_COLUMNS) => Self::add_window,
            () if has(RECORD_COLUMNS) => Self::add_record,
            () => return Err(LabelsError::Header { path: path.into() }),
        };
        let mut labels = Self::default();
        let mut fields = StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut fields) {
                Ok(true) => add(&mut labels, &Row { path, header: &header, fields: &fields })?,
                Ok(false) => return Ok(labels),
                Err(_) => return Err(LabelsError::Line { path: path.into(), line }),
            }
        }
    }

    fn add_scenario(&mut self, row: &Row) -> Result<(), LabelsError> {
        let [start, end] = row.period()?;
        self.cases.push(Case {
            id: row.text("scenario"),
            kind: row.text("kind"),
            category: row.text("category"),
            malicious: match row.get("malicious") {
                "1" => true,
                "0" => false,
                _ => return Err(row.report("malicious", "1 or 0")),
            },
            start,
            end,
            subject: Some(Subject {
                caller: row.some("caller"),
                vendor_host: row.some("vendor_host"),
                credential: row.some("credential"),
            }),
        });
        Ok(())
    }

    fn add_window(&mut self, row: &Row) -> Result<(), LabelsError> {
        let [start, end] = row.period()?;
        self.cases.push(Case {
            id: format!("W{:02}", self.cases.len() + 1),
            kind: row.text("technique"),
            category: row.text("tactic"),
            malicious: true,
            start,
            end,
            subject: None,
        });
        Ok(())
    }

    fn add_record(&mut self, row: &Row) -> Result<(), LabelsError> {
        let truth = match row.get("score_use") {
            "attack" => Truth::Attack,
            "benign" => Truth::Benign,
            "ignore" | "unlabelled" => Truth::Ignored,
            _ => return Err(row.report("score_use", "attack, benign, ignore or unlabelled")),
        };
        self.records.push(LabelledRecord { id: row.text("event_id"), truth });
        Ok(())
    }
}

/// A line of the file, with what a diagnostic about it needs.
struct Row<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    fields: &'a StringRecord,
}

impl Row<'_> {
    /// The field of a column, without blanks around it.
    fn get(&self, column: &str) -> &str {
        let place = self.header.iter().position(|name| name == column);
        place.and_then(|place| self.fields.get(place)).unwrap_or_default().trim()
    }

    fn text(&self, column: &str) -> String {
        self.get(column).to_string()
    }

    fn some(&self, column: &str) -> Option<String> {
        Some(self.text(column)).filter(|text| !text.is_empty())
    }

    fn instant(&self, column: &'static str) -> Result<i64, LabelsError> {
        let instant = self.get(column).parse::<Timestamp>();
        instant.map(Timestamp::as_microsecond).map_err(|_| self.report(column, "an RFC 3339 time"))
    }

    /// `start` and `end`.
    fn period(&self) -> Result<[i64; 2], LabelsError> {
        let period @ [start, end] = [self.instant("start")?, self.instant("end")?];
        if start <= end { Ok(period) } else { Err(self.report("end", "a time that is not before start")) }
    }

    fn report(&self, column: &'static str, expected: &'static str) -> LabelsError {
        let line = self.fields.position().map_or(0, csv::Position::line);
        LabelsError::Field { path: self.path.into(), line, column, expected }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<Labels, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        fs::write(&path, text).unwrap();
        Labels::read(&path).map_err(|error| error.to_string().replace(&path.display().to_string(), "labels.csv"))
    }

    #[test]
    fn a_file_of_scenarios_names_whom_a_true_alert_names() {
        let labels = read(
            "scenario,kind,category,malicious,start,end,caller,vendor_host,credential,note
             P05,latency shifts,drift,1,2026-09-16T13:00:00.000Z,2026-09-16T18:00:00.000Z,,plaid.com,,x3.2\n",
        )
        .unwrap();
        let subject = Subject { vendor_host: Some("plaid.com".to_string()), ..Subject::default() };
        let [case] = &labels.cases[..] else { panic!("{labels:?}") };
        assert_eq!((case.id.as_str(), case.malicious, case.subject.as_ref()), ("P05", true, Some(&subject)));
        assert_eq!(case.end - case.start, 5 * 3_600_000_000);
    }

    #[test]
    fn a_file_of_windows_knows_only_the_time() {
        let labels = read(
            "technique,tactic,start,end,events
             aws.discovery.x,discovery,2023-07-10T11:54:42Z,2023-07-10T11:54:50Z,34\n",
        )
        .unwrap();
        assert_eq!((labels.cases[0].id.as_str(), &labels.cases[0].subject), ("W01", &None));
    }

    #[test]
    fn a_file_of_records_says_what_each_is() {
        let labels = read("event_id,event_time,score_use\na,,attack\nb,,benign\nc,,ignore\n").unwrap();
        let truths: Vec<Truth> = labels.records.iter().map(|record| record.truth).collect();
        assert_eq!(truths, [Truth::Attack, Truth::Benign, Truth::Ignored]);
    }

    #[test]
    fn a_diagnostic_names_file_line_and_column_and_not_the_value() {
        let header = "technique,tactic,start,end";
        assert_eq!(
            read(&format!(
                "{header}\nx,y,2023-07-10T11:54:42Z,2023-07-10T11:54:50Z\nx,y,s3cret,2023-07-10T11:54:50Z\n"
            )),
            Err("labels.csv:3: column start: expected an RFC 3339 time".to_string())
        );
        assert_eq!(
            read(&format!("{header}\nx,y,2023-07-10T11:54:50Z,2023-07-10T11:54:42Z\n")),
            Err("labels.csv:2: column end: expected a time that is not before start".to_string())
        );
        assert_eq!(
            read(&format!("{header}\nx,y\n")),
            Err("labels.csv:2: not a line of CSV with as many fields as the header".to_string())
        );
        assert!(read("a,b\n").unwrap_err().starts_with("labels.csv:1: the header"));
    }
}
