//! Files that another reader of Parquet opens, and what a crash leaves of them.

use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;

use super::*;
use crate::alerts::{Alert, sample};

/// Every file below a directory, in order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn frame(path: &Path) -> DataFrame {
    ParquetReader::new(std::fs::File::open(path).unwrap()).finish().unwrap()
}

/// The uids of all findings in a lake.
pub fn uids(lake: &Path) -> Vec<String> {
    let of = |path: PathBuf| {
        let metadata = frame(&path).column("metadata").unwrap().struct_().unwrap().field_by_name("uid").unwrap();
        metadata.str().unwrap().iter().map(|uid| uid.unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    files(lake).into_iter().flat_map(of).collect()
}

fn lake(path: &Path) -> SecurityLake {
    SecurityLake { path: path.to_owned(), region: "eu-central-1".to_owned(), account: "123456789012".to_owned() }
}

fn step(id: &str, days: i64) -> Delivery {
    Delivery::of(&Alert { id: id.to_owned(), time: sample().time + days * 86_400_000_000, ..sample() })
}

#[test]
fn steps_lie_by_day_and_come_back_as_they_were() {
    let home = tempfile::tempdir().unwrap();
    lake(home.path()).open().unwrap().deliver(&[step("aw-1", 0), step("aw-2", 1), step("aw-3", 0)]).unwrap();
    let names: Vec<_> =
        files(home.path()).iter().map(|path| path.strip_prefix(home.path()).unwrap().display().to_string()).collect();
    let root = "region=eu-central-1/accountId=123456789012";
    assert_eq!(
        names,
        [format!("{root}/eventDay=20260901/aw-1-1.parquet"), format!("{root}/eventDay=20260902/aw-2-1.parquet")]
    );
    assert_eq!(uids(home.path()), ["aw-1-1", "aw-3-1", "aw-2-1"]);

    let frame = frame(&files(home.path())[0]);
    let expected: Value = serde_json::from_slice(&step("aw-1", 0).body).unwrap();
    for (name, kind) in COLUMNS {
        let series = frame.column(name).unwrap().as_materialized_series();
        let wanted =
            Series::from_any_values_and_dtype((*name).into(), &[kind.value(&expected[*name])], &kind.data_type(), true)
                .unwrap();
        assert_eq!(format!("{}", series.head(Some(1))), format!("{wanted}"), "{name}");
    }
}

/// Fields of a finding that no column has.
fn missing(value: &Value, kind: &Kind, place: &str) -> Vec<String> {
    match (value, kind) {
        (_, Json) => vec![],
        (Value::Object(found), Object(fields)) => {
            let of = |(name, value): (&String, &Value)| match fields.iter().find(|(known, _)| known == name) {
                Some((_, kind)) => missing(value, kind, &format!("{place}.{name}")),
                None => vec![format!("{place}.{name}")],
            };
            found.iter().flat_map(of).collect()
        }
        (Value::Array(items), List(kind)) => items.iter().flat_map(|item| missing(item, kind, place)).collect(),
        (value, kind) if kind.value(value) == AnyValue::Null => vec![place.to_owned()],
        _ => vec![],
    }
}

#[test]
fn no_field_of_a_finding_is_left_out() {
    let triaged = Some(crate::alerts::Triaged { score: 0.9, lowered_from: None });
    let alert = Alert { account: Some("1".to_owned()), triaged, ..sample() };
    let finding = crate::alerts::to_ocsf(&alert);
    let columns = finding.as_object().unwrap().iter().flat_map(|(name, value)| {
        match COLUMNS.iter().find(|(known, _)| known == name) {
            Some((_, kind)) => missing(value, kind, name),
            None => vec![name.clone()],
        }
    });
    assert_eq!(columns.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_batch_that_comes_again_takes_the_place_of_what_was_there_and_half_a_file_is_seen_by_nobody() {
    let home = tempfile::tempdir().unwrap();
    let mut sink = lake(home.path()).open().unwrap();
    sink.deliver(&[step("aw-1", 0), step("aw-2", 1)]).unwrap();
    // Killed while it wrote: what lies there has a name that readers of lakes skip, and goes with the next attempt.
    let file = files(home.path())[0].clone();
    let partial = file.with_file_name(format!(".{}.partial-1", file.file_name().unwrap().to_str().unwrap()));
    std::fs::write(&partial, "PAR1").unwrap();
    sink.deliver(&[step("aw-1", 0), step("aw-2", 1), step("aw-3", 0)]).unwrap();
    assert_eq!(uids(home.path()), ["aw-1-1", "aw-3-1", "aw-2-1"]);
    assert!(!partial.exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    std::fs::write(&path, "").unwrap();
    let problem = lake(&path).open().map(drop).unwrap_err();
    assert!(problem.to_string().contains("file"), "{problem}");
}
