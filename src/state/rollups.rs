//! Kept rollups: what was counted, as Parquet by day, for whoever asks later.
//!
//! ```text
//! rollups/2026-09-15/part-00000017.parquet     rows that were closed between two checkpoints
//! rollups/2026-09-15/until-00000016.parquet    those of all parts up to 16, merged
//! ```
//!
//! A row is a relation in a five-minute bucket: `start` (its time), a column per dimension, one per measure, and a sample trace id; any
//! program that knows Parquet reads them. Parts are numbered by checkpoints, and a part that is written again replaces itself: so each row
//! stands once, whenever the writer was killed. What is merged, of a day that is over, replaces its parts in one rename.
//!
//! Not here: when a part is due (`stream`), and what follows from rows (`train`, `catalog`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::HashMap;
use polars::prelude::{Column, DataFrame, DataType, PolarsError, TimeUnit};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use polars_io::parquet::write::{ParquetCompression, ParquetWriter};
use thiserror::Error;

use super::error::advice;
use crate::calls::{DIMENSIONS, Dimension, MEASURES, Measures, Name, Relation, TraceId};
use crate::models::aside::Aside;
use crate::rollup::{BUCKETS_PER_DAY, Rollup, Row, bucket_of, bucket_start, day_of};

const START: &str = "start";
const TRACE_ID: &str = "trace_id";
/// Columns that came later: rollups of before have none, which reads as nothing seen.
#[rustfmt::skip]
const LATER: [&str; 24] = [
    "credential_kind", "api_version", "sent", "received", "redirect", "latency_ms_max", "resent", "release_min", "release_max",
    "answers_0", "answers_1", "answers_64", "answers_128", "answers_256", "answers_512", "answers_1k", "answers_2k",
    "answers_4k", "answers_8k", "answers_16k", "answers_32k", "answers_64k", "answers_128k", "answers_256k",
];

/// Why rollups cannot be kept or read.
#[derive(Debug, Error)]
pub enum RollupsError {
    /// A file or directory cannot be read or written.
    #[error("{}: kept rollups cannot be read or written: {problem}{}", path.display(), advice(problem.kind()))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: std::io::Error,
    },
    /// A file is no Parquet of this program.
    #[error("{}: not kept rollups of this version, or damaged", path.display())]
    Parquet {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<PolarsError>,
    },
    /// There are rollups where none may be.
    #[error("{}: has rollups of {day} already: give an empty directory", path.display())]
    NotEmpty {
        /// Which directory.
        path: PathBuf,
        /// The first day there.
        day: String,
    },
    /// The state is older: it will count again what is merged there.
    #[error(
        "{}: has rows that the state is yet to count, as it is older; put the whole [state] directory of one backup back, or move this directory \
         away: the catalogue begins anew then",
        path.display()
    )]
    Ahead {
        /// The file.
        path: PathBuf,
    },
}

impl RollupsError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |problem| Self::Io { path: path.to_owned(), problem }
    }

    fn parquet(path: &Path) -> impl FnOnce(PolarsError) -> Self {
        move |source| Self::Parquet { path: path.to_owned(), source: Box::new(source) }
    }
}

/// A directory of kept rollups.
#[derive(Clone, Debug)]
pub struct KeptRollups {
    directory: PathBuf,
}

/// A file of a day: one part, or all up to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Until(u64),
    Part(u64),
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let (kind, number) = path.file_name()?.to_str()?.strip_suffix(".parquet")?.split_once('-')?;
        let number = number.parse().ok()?;
        match kind {
            "until" => Some(Self::Until(number)),
            "part" => Some(Self::Part(number)),
            _ => None,
        }
    }

    fn file(&self) -> String {
        match self {
            Self::Until(number) => format!("until-{number:08}.parquet"),
            Self::Part(number) => format!("part-{number:08}.parquet"),
        }
    }

    const fn number(&self) -> u64 {
        match self {
            Self::Until(number) | Self::Part(number) => *number,
        }
    }
}

impl KeptRollups {
    /// The rollups in a directory, which need not exist yet.
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The days (since the epoch) that there are rollups of, in order.
    ///
    /// # Errors
    /// [`RollupsError::Io`].
    pub fn days(&self) -> Result<Vec<i64>, RollupsError> {
        let names = names_in(&self.directory)?;
        let mut days: Vec<i64> = names.iter().filter_map(|name| day_named(name)).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// Refuses a directory that has rollups.
    ///
    /// # Errors
    /// [`RollupsError::NotEmpty`], [`RollupsError::Io`].
    pub fn ensure_empty(&self) -> Result<(), RollupsError> {
        match self.days()?.first() {
            None => Ok(()),
            Some(day) => Err(RollupsError::NotEmpty { path: self.directory.clone(), day: name_of(*day) }),
        }
    }

    /// Begins anew: rollups that are there are of another state, and are put beside, under the name that is returned.
    ///
    /// # Errors
    /// Where the directory cannot be renamed.
    pub fn begin(&self) -> Result<Option<PathBuf>, RollupsError> {
        if self.days()?.is_empty() {
            return Ok(None);
        }
        let beside = (1_u32..).map(|number| self.directory.with_extension(format!("before-{number}")));
        let Some(beside) = beside.into_iter().find(|path| !path.exists()) else { return Ok(None) };
        fs::rename(&self.directory, &beside).map_err(RollupsError::io(&self.directory))?;
        Ok(Some(beside))
    }

    /// Writes rows as a part, which is whole when this returns; the same part of before is replaced.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(&self, part: u64, rows: &[Row]) -> Result<(), RollupsError> {
        let mut days: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            days.entry(day_of(row.bucket)).or_default().push(row);
        }
        days.into_iter().try_for_each(|(day, rows)| self.write_file(day, &Kind::Part(part), &rows))
    }

    /// Removes the parts from `next` on: what a writer left that was killed before its checkpoint.
    ///
    /// # Errors
    /// Where a file cannot be removed, or such a part was merged with others: [`RollupsError::Ahead`].
    pub fn forget_from(&self, next: u64) -> Result<(), RollupsError> {
        for day in self.days()? {
            for kind in self.files(day)?.into_iter().filter(|kind| kind.number() >= next) {
                match kind {
                    Kind::Part(_) => self.remove(day, &kind)?,
                    Kind::Until(_) => return Err(RollupsError::Ahead { path: self.path(day, &kind) }),
                }
            }
        }
        Ok(())
    }

    /// Merges the parts of each day before `today` (since the epoch), as far as they are before part `next`, and removes the days that
    /// are more than `days` before it. A day with a damaged file is left as it is, and named in the log.
    ///
    /// # Errors
    /// Where a file cannot be read, written or removed.
    pub fn tidy(&self, today: i64, next: u64, days: u64) -> Result<(), RollupsError> {
        for day in self.days()?.into_iter().filter(|day| *day < today) {
            if today.abs_diff(day) > days {
                let path = self.directory.join(name_of(day));
                fs::remove_dir_all(&path).map_err(RollupsError::io(&path))?;
                continue;
            }
            match self.merge_parts(day, next) {
                Err(error @ RollupsError::Parquet { .. }) => tracing::warn!(%error, "kept rollups are not merged"),
                done => done?,
            }
        }
        Ok(())
    }

    fn merge_parts(&self, day: i64, next: u64) -> Result<(), RollupsError> {
        let done: Vec<Kind> = self.files(day)?.into_iter().filter(|kind| kind.number() < next).collect();
        let (Some(last), true) = (done.iter().map(Kind::number).max(), done.len() > 1) else { return Ok(()) };
        let mut all = Rollup::default();
        for kind in &done {
            all.merge(self.read_file(day, kind)?);
        }
        let rows = all.into_rows();
        self.write_file(day, &Kind::Until(last), &rows.iter().collect::<Vec<_>>())?;
        done.iter().filter(|kind| **kind != Kind::Until(last)).try_for_each(|kind| self.remove(day, kind))
    }

    /// The rows of a part; `None` where it has been merged with others, or was never written.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn read_part(&self, part: u64) -> Result<Option<Vec<Row>>, RollupsError> {
        let mut all = None;
        for day in self.days()? {
            if self.files(day)?.contains(&Kind::Part(part)) {
                all.get_or_insert_with(Rollup::default).merge(self.read_file(day, &Kind::Part(part))?);
            }
        }
        Ok(all.map(Rollup::into_rows))
    }

    /// The rows of a day (since the epoch).
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn read(&self, day: i64) -> Result<Rollup, RollupsError> {
        let mut all = Rollup::default();
        for kind in self.files(day)? {
            all.merge(self.read_file(day, &kind)?);
        }
        Ok(all)
    }

    /// The rows of the last day: of the newest bucket that was kept, and those up to a day before it. None where a file of them cannot be read,
    /// which is named in the log: a part of a day would look as if callers had been silent.
    pub fn last_day(&self) -> Rollup {
        self.read_last_day().unwrap_or_else(|error| {
            tracing::warn!(%error, "windows are not made anew for the new bundle: they hold for a day what the one before expected");
            Rollup::default()
        })
    }

    fn read_last_day(&self) -> Result<Rollup, RollupsError> {
        let mut all = Rollup::default();
        for day in self.days()?.into_iter().rev().take(2) {
            all.merge(self.read(day)?);
        }
        if let Some(newest) = all.last_bucket() {
            drop(all.split_before(newest - BUCKETS_PER_DAY));
        }
        Ok(all)
    }

    /// The files of a day that count: what is merged, and the parts behind it.
    fn files(&self, day: i64) -> Result<Vec<Kind>, RollupsError> {
        let names = names_in(&self.directory.join(name_of(day)))?;
        let mut kinds: Vec<Kind> = names.iter().filter_map(|name| Kind::of(Path::new(name))).collect();
        kinds.sort_unstable();
        let merged = kinds.iter().rev().find(|kind| matches!(kind, Kind::Until(_))).cloned();
        if let Some(merged) = merged {
            // A merge that was cut short has left the parts that it replaces.
            kinds.retain(|kind| *kind == merged || kind.number() > merged.number());
        }
        Ok(kinds)
    }

    fn path(&self, day: i64, kind: &Kind) -> PathBuf {
        self.directory.join(name_of(day)).join(kind.file())
    }

    fn remove(&self, day: i64, kind: &Kind) -> Result<(), RollupsError> {
        let path = self.path(day, kind);
        fs::remove_file(&path).map_err(RollupsError::io(&path))
    }

    fn write_file(&self, day: i64, kind: &Kind, rows: &[&Row]) -> Result<(), RollupsError> {
        let path = self.path(day, kind);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(RollupsError::io(parent))?;
        }
        // In memory first: polars drops the errors of a disk that is full, or words them as those of the content.
        let mut bytes = Vec::new();
        let mut frame = frame_of(rows).map_err(RollupsError::parquet(&path))?;
        let writer = ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None));
        writer.finish(&mut frame).map_err(RollupsError::parquet(&path))?;
        Aside::write(&path, &bytes).map_err(RollupsError::io(&path))
    }

    fn read_file(&self, day: i64, kind: &Kind) -> Result<Rollup, RollupsError> {
        let path = self.path(day, kind);
        let file = File::open(&path).map_err(RollupsError::io(&path))?;
        ParquetReader::new(file).finish().and_then(|frame| rows_of(&frame)).map_err(RollupsError::parquet(&path))
    }
}

/// The names in a directory; none where there is no directory.
fn names_in(directory: &Path) -> Result<Vec<String>, RollupsError> {
    let entries = match fs::read_dir(directory) {
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(RollupsError::io(directory))?,
    };
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<Result<_, _>>().map_err(RollupsError::io(directory))
}

/// `2026-09-15` of a day since the epoch.
fn name_of(day: i64) -> String {
    let micros = bucket_start(day * BUCKETS_PER_DAY);
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| day.to_string(), |time| time.strftime("%Y-%m-%d").to_string())
}

fn day_named(name: &str) -> Option<i64> {
    let date: jiff::civil::Date = name.parse().ok()?;
    let start = jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).ok()?;
    Some(day_of(bucket_of(start.as_microsecond())))
}

fn frame_of(rows: &[&Row]) -> Result<DataFrame, PolarsError> {
    let start: Vec<i64> = rows.iter().map(|row| bucket_start(row.bucket)).collect();
    let start = Column::new(START.into(), start).cast(&DataType::Datetime(TimeUnit::Microseconds, None))?;
    let names = Dimension::ALL.iter().map(|dimension| {
        let values: Vec<&str> = rows.iter().map(|row| row.relation.name(*dimension).as_str()).collect();
        Column::new(dimension.name().into(), values)
    });
    let measures = MEASURES.iter().enumerate().map(|(index, measure)| {
        let values: Vec<i64> = rows.iter().map(|row| row.measures.0[index]).collect();
        Column::new(measure.name.into(), values)
    });
    let traces: Vec<Option<&str>> = rows.iter().map(|row| row.trace_id.as_ref().map(TraceId::as_str)).collect();
    let traces = std::iter::once(Column::new(TRACE_ID.into(), traces));
    DataFrame::new(rows.len(), std::iter::once(start).chain(names).chain(measures).chain(traces).collect())
}

fn rows_of(frame: &DataFrame) -> Result<Rollup, PolarsError> {
    let is_later =
        |name: &str| LATER.contains(&name) && !frame.get_column_names().iter().any(|known| known.as_str() == name);
    let start = frame.column(START)?.cast(&DataType::Int64)?;
    let start = start.i64()?;
    let mut names = Vec::with_capacity(DIMENSIONS);
    for dimension in Dimension::ALL {
        if is_later(dimension.name()) {
            names.push(vec![Name::default(); frame.height()]);
            continue;
        }
        let column = frame.column(dimension.name())?.str()?;
        let mut known: HashMap<&str, Name> = HashMap::default();
        let texts = column.iter().map(Option::unwrap_or_default);
        let of_column = texts.map(|text| known.entry(text).or_insert_with_key(|text| Name::new(text)).clone());
        names.push(of_column.collect::<Vec<Name>>());
    }
    let mut measures = Vec::with_capacity(MEASURES.len());
    for measure in &MEASURES {
        measures.push(if is_later(measure.name) { None } else { Some(frame.column(measure.name)?.i64()?) });
    }
    let traces = frame.column(TRACE_ID)?.str()?;
    let mut relations: HashMap<[u64; DIMENSIONS], Arc<Relation>> = HashMap::default();
    let row = |index: usize| {
        let of_row: [Name; DIMENSIONS] = std::array::from_fn(|dimension| names[dimension][index].clone());
        let ids = of_row.each_ref().map(Name::id);
        let relation = relations.entry(ids).or_insert_with(|| Arc::new(of_row.into()));
        Some(Row {
            bucket: bucket_of(start.get(index)?),
            relation: Arc::clone(relation),
            measures: Measures(std::array::from_fn(|measure| {
                measures[measure].and_then(|of| of.get(index)).unwrap_or_default()
            })),
            trace_id: traces.get(index).and_then(TraceId::new),
        })
    };
    Ok((0..frame.height()).filter_map(row).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::calls::Calls;

    fn rows(days: std::ops::Range<i64>) -> Vec<Row> {
        let call =
            |number: i64| (number * 700_000_000, [("billing", "stripe"), ("crm", "adyen")][(number % 2) as usize]);
        let all = Rollup::of(&Calls::of_pairs((0..900).map(call)));
        all.into_rows().into_iter().filter(|row| days.contains(&day_of(row.bucket))).collect()
    }

    /// All that a row is made of.
    fn plain(rows: Vec<Row>) -> Vec<(i64, u64, Measures, Option<TraceId>)> {
        rows.into_iter().map(|row| (row.bucket, row.relation.id(), row.measures, row.trace_id)).collect()
    }

    fn read(kept: &KeptRollups) -> Vec<(i64, u64, Measures, Option<TraceId>)> {
        let days = kept.days().unwrap();
        plain(days.into_iter().flat_map(|day| kept.read(day).unwrap().into_rows()).collect())
    }

    #[test]
    fn a_damaged_file_is_passed_over_where_days_are_merged_and_no_part_of_a_day_is_taken_for_it() {
        let home = tempfile::tempdir().unwrap();
        let (kept, all) = (KeptRollups::of(home.path()), rows(0..1));
        let (first, second) = all.split_at(all.len() / 2);
        kept.write(0, first).unwrap();
        kept.write(1, second).unwrap();
        assert!(!kept.last_day().is_empty());
        let day = kept.days().unwrap()[0];
        fs::write(home.path().join(name_of(day)).join(Kind::Part(1).file()), "no parquet").unwrap();
        assert!(kept.last_day().is_empty());
        kept.tidy(day + 2, 2, 400).unwrap();
        assert_eq!(kept.files(day).unwrap(), [Kind::Part(0), Kind::Part(1)]);
    }

    #[test]
    fn rows_come_back_as_they_were_by_day_and_again_when_days_are_merged() {
        let home = tempfile::tempdir().unwrap();
        let kept = KeptRollups::of(home.path());
        assert_eq!(kept.days().unwrap(), Vec::<i64>::new());
        let all = rows(0..7);
        for (part, rows) in (1..).zip(all.chunks(100)) {
            kept.write(part, rows).unwrap();
        }
        assert_eq!(kept.days().unwrap(), (0..=day_of(all.last().unwrap().bucket)).collect::<Vec<_>>());
        assert_eq!(read(&kept), plain(all.clone()));
        assert_eq!(plain(kept.read_part(3).unwrap().unwrap()), plain(all[200..300].to_vec()));
        kept.tidy(5, 100, 400).unwrap();
        assert!(kept.read_part(1).unwrap().is_none() && kept.read_part(100).unwrap().is_none());
        assert_eq!(read(&kept), plain(all.clone()));
        let files = |day: &str| std::fs::read_dir(home.path().join(day)).unwrap().count();
        assert_eq!((files("1970-01-02"), all.len() > 200), (1, true));
        kept.tidy(5, 100, 2).unwrap();
        assert_eq!(kept.days().unwrap().first(), Some(&3), "older days are gone");
    }

    #[test]
    fn a_part_that_is_written_again_stands_once_and_a_merge_that_was_cut_short_too() {
        let home = tempfile::tempdir().unwrap();
        let kept = KeptRollups::of(home.path());
        let all = rows(0..1);
        let (early, late) = all.split_at(40);
        kept.write(1, early).unwrap();
        kept.write(2, &late[..5]).unwrap();
        kept.forget_from(2).unwrap();
        kept.write(2, late).unwrap();
        assert_eq!(read(&kept), plain(all.clone()));
        let day = home.path().join("1970-01-01");
        let parts: Vec<Vec<u8>> = [1, 2].map(|part| fs::read(day.join(Kind::Part(part).file())).unwrap()).into();
        kept.tidy(9, 3, 400).unwrap();
        fs::write(day.join(Kind::Part(1).file()), &parts[0]).unwrap();
        assert_eq!(read(&kept), plain(all), "what was merged is not counted again");
        kept.forget_from(3).unwrap();
        let problem = kept.forget_from(2).unwrap_err().to_string();
        assert!(problem.contains("until-00000002.parquet") && problem.contains("of one backup"), "{problem}");
    }

    #[test]
    fn rollups_of_before_a_column_came_are_read_without_it_and_others_are_refused() {
        let rows = rows(0..1);
        let frame = frame_of(&rows.iter().collect::<Vec<_>>()).unwrap();
        let without = |names: &[&str]| names.iter().fold(frame.clone(), |frame, name| frame.drop(name).unwrap());
        let read = rows_of(&without(&LATER)).unwrap().into_rows();
        assert_eq!(plain(read), plain(rows));
        assert!(rows_of(&without(&["caller"])).is_err() && rows_of(&without(&["calls"])).is_err());
    }

    /// On a disk without room, rows are refused with the file and what to do, and nothing is left of them.
    pub fn assert_full(disk: &Path) {
        let filler = disk.join("filler");
        let _ = fs::write(&filler, vec![1; 64 << 20]);
        let kept = KeptRollups::of(&disk.join("rollups"));
        let problem = kept.write(1, &rows(0..7)).unwrap_err();
        assert!(matches!(problem, RollupsError::Io { .. }), "{problem}");
        let problem = problem.to_string();
        assert!(problem.contains("rollups") && problem.contains("make room and start again"), "{problem}");
        assert!(kept.read_part(1).unwrap().is_none());
        fs::remove_file(&filler).unwrap();
        fs::remove_dir_all(disk.join("rollups")).unwrap();
    }

    #[test]
    fn what_cannot_be_read_says_which_file() {
        let home = tempfile::tempdir().unwrap();
        let kept = KeptRollups::of(home.path());
        kept.write(1, &rows(0..1)).unwrap();
        fs::write(home.path().join("1970-01-01/part-00000001.parquet"), "no parquet").unwrap();
        assert!(kept.read(0).unwrap_err().to_string().contains("part-00000001.parquet"));
        assert!(kept.ensure_empty().unwrap_err().to_string().contains("1970-01-01"));
        let other = DataFrame::new(1, vec![Column::new("a".into(), [1])]).unwrap();
        let path = home.path().join("1970-01-01/part-00000001.parquet");
        ParquetWriter::new(File::create(&path).unwrap()).finish(&mut other.clone()).unwrap();
        assert!(matches!(kept.read(0), Err(RollupsError::Parquet { .. })));
    }
}
