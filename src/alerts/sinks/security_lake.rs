//! Security Lake: OCSF findings as Parquet files, a directory for each day, as Amazon Security Lake and readers of Hive partitions want them.
//!
//! A batch is a file for each of its days, `region=…/accountId=…/eventDay=YYYYMMDD/<first step>.parquet`. After a crash the batch comes again and
//! begins with the same step, so its file takes the place of the one that was there: each step is there once. A file is written beside its
//! place, under a name that readers skip, and renamed when it is whole and on disk.
//!
//! Columns are those of OCSF 1.6.0's Detection Finding that we fill, nested as there; what is ours alone (`unmapped`, the evidence's `data`) is JSON in a
//! text. A schema that is always the same is what tables over such files need.
//!
//! Not here: upload to an object store, which `aws s3 sync` or `rclone` does: whole files never change their name.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use polars::prelude::{AnyValue, Column, DataFrame, DataType, Field, PlSmallStr, PolarsResult, Series};
use polars_io::parquet::write::ParquetWriter;
use serde::Deserialize;
use serde_json::Value;

use super::{Delivery, Sink, SinkError, SinkPlan, SinkPosition, SinkSpec, Surroundings, may_write};
use crate::alerts::to_ocsf;
use crate::models::aside::Aside;

/// `type = "security_lake"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityLake {
    /// The directory; made if it is not there.
    pub path: PathBuf,
    /// The region in the layout.
    pub region: String,
    /// The account in the layout.
    pub account: String,
}

impl SinkSpec for SecurityLake {
    const NAME: &'static str = "security_lake";
    const SUMMARY: &'static str =
        "Writes OCSF as Parquet files by day, each step once, as Amazon Security Lake lays them out.";

    fn check(self, around: &Surroundings) -> Result<Box<dyn SinkPlan>, SinkError> {
        if self.path.as_os_str().is_empty() {
            return Err(SinkError::Spec("field path: is empty, write the path of a directory"));
        }
        // Each becomes the name of a directory.
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name(&self.region) {
            return Err(SinkError::Spec("field region: is none, write one such as `eu-central-1`"));
        }
        if !is_name(&self.account) {
            return Err(SinkError::Spec("field account: is none, write letters, digits and `-`"));
        }
        let path = around.path(&self.path);
        Ok(Box::new(Self { path, ..self }))
    }
}

impl SinkPlan for SecurityLake {
    fn name(&self) -> String {
        format!("{}:{}", Self::NAME, self.path.display())
    }

    fn takes_suppressed(&self) -> bool {
        true
    }

    fn check(&self) -> Result<(), SinkError> {
        may_write(&self.path).map_err(|problem| self.problem(problem))
    }

    fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        std::fs::create_dir_all(&self.path).map_err(|problem| self.problem(problem))?;
        Ok(Box::new(self.clone()))
    }
}

impl Sink for SecurityLake {
    fn deliver(&mut self, deliveries: &[Delivery]) -> Result<(), SinkError> {
        let mut days: BTreeMap<String, Vec<&Delivery>> = BTreeMap::new();
        for delivery in deliveries {
            if let Some(alert) = &delivery.alert {
                days.entry(day(alert.time)).or_default().push(delivery);
            }
        }
        days.iter().try_for_each(|(day, steps)| self.write(day, steps)).map_err(|problem| self.problem(problem))
    }

    fn position(&self) -> SinkPosition {
        SinkPosition::Own(Vec::new())
    }

    fn resume(&mut self, _position: &SinkPosition) -> Result<(), SinkError> {
        Ok(())
    }
}

impl SecurityLake {
    fn problem(&self, problem: io::Error) -> SinkError {
        SinkError::File { path: self.path.clone(), problem }
    }

    /// Writes the file of a day's steps, and returns when it and its name are on disk.
    fn write(&self, day: &str, steps: &[&Delivery]) -> io::Result<()> {
        let Some(first) = steps.first() else { return Ok(()) };
        let Self { path, region, account } = self;
        let directory = path.join(format!("region={region}/accountId={account}/eventDay={day}"));
        std::fs::create_dir_all(&directory)?;
        let name: String = first.uid.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let bytes = parquet(steps).map_err(|problem| io::Error::new(ErrorKind::InvalidData, problem.to_string()))?;
        Aside::write(&directory.join(format!("{name}.parquet")), &bytes)?;
        sync_up(&directory, path)
    }
}

/// Makes the names in a directory durable, and its own in those above it up to `top`.
fn sync_up(directory: &Path, top: &Path) -> io::Result<()> {
    for directory in directory.ancestors().take_while(|directory| directory.starts_with(top)) {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// The day of a time in microseconds since the epoch, UTC.
fn day(time: i64) -> String {
    super::rfc3339(time).chars().filter(char::is_ascii_digit).take(8).collect()
}

fn parquet(steps: &[&Delivery]) -> PolarsResult<Vec<u8>> {
    // The body is the finding, unless it is none.
    let finding = |step: &&Delivery| {
        serde_json::from_slice(&step.body).ok().or_else(|| step.alert.as_deref().map(to_ocsf)).unwrap_or_default()
    };
    let findings: Vec<Value> = steps.iter().map(finding).collect();
    let columns = COLUMNS.iter().map(|(name, kind)| {
        let values: Vec<AnyValue<'static>> = findings.iter().map(|finding| kind.value(&finding[*name])).collect();
        Series::from_any_values_and_dtype((*name).into(), &values, &kind.data_type(), true).map(Column::from)
    });
    let mut frame = DataFrame::new(findings.len(), columns.collect::<PolarsResult<Vec<Column>>>()?)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame)?;
    Ok(bytes)
}

/// What a column or a field of one holds.
enum Kind {
    Text,
    Int,
    Long,
    Flag,
    /// Whatever JSON there is, as a text.
    Json,
    Object(&'static [(&'static str, Kind)]),
    List(&'static Kind),
}

use Kind::{Flag, Int, Json, List, Long, Object, Text};

impl Kind {
    fn data_type(&self) -> DataType {
        match self {
            Text | Json => DataType::String,
            Int => DataType::Int32,
            Long => DataType::Int64,
            Flag => DataType::Boolean,
            Object(fields) => DataType::Struct(fields_of(fields)),
            List(kind) => DataType::List(Box::new(kind.data_type())),
        }
    }

    /// A value of this kind; null where the finding has another or none.
    fn value(&self, value: &Value) -> AnyValue<'static> {
        let text = |text: &str| AnyValue::StringOwned(PlSmallStr::from_str(text));
        let found = match self {
            _ if value.is_null() => None,
            Text => value.as_str().map(text),
            Json => Some(text(&value.to_string())),
            Int => value.as_i64().and_then(|number| i32::try_from(number).ok()).map(AnyValue::Int32),
            Long => value.as_i64().map(AnyValue::Int64),
            Flag => value.as_bool().map(AnyValue::Boolean),
            Object(fields) => Some(AnyValue::StructOwned(Box::new((
                fields.iter().map(|(name, kind)| kind.value(&value[*name])).collect(),
                fields_of(fields),
            )))),
            List(kind) => value.as_array().and_then(|items| {
                let items: Vec<AnyValue<'static>> = items.iter().map(|item| kind.value(item)).collect();
                Series::from_any_values_and_dtype("".into(), &items, &kind.data_type(), true).ok().map(AnyValue::List)
            }),
        };
        found.unwrap_or(AnyValue::Null)
    }
}

fn fields_of(fields: &[(&str, Kind)]) -> Vec<Field> {
    fields.iter().map(|(name, kind)| Field::new((*name).into(), kind.data_type())).collect()
}

const NAMED: Kind = Object(&[("uid", Text), ("name", Text)]);
const ATTACK: Kind = Object(&[("version", Text), ("tactic", NAMED), ("technique", NAMED), ("sub_technique", NAMED)]);
const RELATED: Kind = Object(&[("uid", Text), ("title", Text)]);
const RESOURCE: Kind = Object(&[("type", Text), ("name", Text), ("uid", Text), ("hostname", Text)]);
const OBSERVABLE: Kind = Object(&[("name", Text), ("type_id", Int), ("type", Text), ("value", Text)]);
const EVIDENCE: Kind = Object(&[
    ("name", Text),
    ("data", Json),
    ("actor", Object(&[("app_name", Text), ("session", Object(&[("credential_uid", Text)]))])),
    ("dst_endpoint", Object(&[("hostname", Text)])),
    ("api", Object(&[("operation", Text), ("service", Object(&[("name", Text)]))])),
]);
const OBSERVED: Kind = Object(&[
    ("observation_parameter", Text),
    ("observation_type", Text),
    ("observed_pattern", Text),
    ("observations", List(&Object(&[("value", Text)]))),
]);
const ANALYSIS: Kind = Object(&[
    ("analysis_targets", List(&Object(&[("name", Text), ("type", Text)]))),
    ("anomalies", List(&OBSERVED)),
    ("baselines", List(&OBSERVED)),
]);
const PRODUCT: Kind = Object(&[("name", Text), ("vendor_name", Text), ("version", Text)]);
const INFO: &[(&str, Kind)] = &[
    ("uid", Text),
    ("title", Text),
    ("desc", Text),
    ("types", List(&Text)),
    ("created_time", Long),
    ("modified_time", Long),
    ("first_seen_time", Long),
    ("last_seen_time", Long),
    ("analytic", Object(&[("uid", Text), ("name", Text), ("type_id", Int)])),
    ("attacks", List(&ATTACK)),
    ("related_events", List(&RELATED)),
];

/// The columns of every file.
const COLUMNS: &[(&str, Kind)] = &[
    ("class_uid", Int),
    ("class_name", Text),
    ("category_uid", Int),
    ("category_name", Text),
    ("activity_id", Int),
    ("activity_name", Text),
    ("type_uid", Long),
    ("time", Long),
    ("start_time", Long),
    ("end_time", Long),
    ("severity_id", Int),
    ("severity", Text),
    ("confidence_score", Int),
    ("risk_score", Int),
    ("risk_level_id", Int),
    ("status_id", Int),
    ("status", Text),
    ("is_alert", Flag),
    ("count", Long),
    ("message", Text),
    ("metadata", Object(&[("version", Text), ("uid", Text), ("product", PRODUCT)])),
    ("finding_info", Object(INFO)),
    ("resources", List(&RESOURCE)),
    ("observables", List(&OBSERVABLE)),
    ("evidences", List(&EVIDENCE)),
    ("anomaly_analyses", List(&ANALYSIS)),
    ("unmapped", Json),
];

#[cfg(test)]
pub(super) mod tests;
