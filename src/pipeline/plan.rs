//! The pipeline file as checked: the configuration of the stream.
//!
//! Not here: connecting, opening files, loading the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, ValueDeserializer};

use super::audit::AuditPlan;
use super::diagnostic::{PipelineError, Text};
use super::own_files;
use super::{Admin, Alerts, DeadLetter, Detection, Fingerprint, Governance, LATE_CALLS_HOURS, Spec, State, Triage};
use crate::alerts::Route;
use crate::alerts::sinks::{self, Rotation, Routed, SINKS, SectionError, SinkPlan, SinkSpec, Surroundings};
use crate::calls::{DataClass, DataWords, Exclude, FingerprintKey, KeyError, OwnerDatabases, VendorPack};
use crate::ingest::connection::ConnectionError;
use crate::ingest::{DecodeSpec, Decoder, Registry, SpecError, kafka, registry};
use crate::rules::{Rules, Sources};

/// Environment variable that holds the fingerprint key and overrides the key file.
pub const KEY_VARIABLE: &str = "APIWARDEN_FINGERPRINT_KEY";

/// What files of dead letters may take together, unless the pipeline file says otherwise: eleven of 100 MiB.
const DEAD_LETTER_FILES: Rotation = Rotation { max_bytes: 100 << 20, keep: 10 };
/// Smallest file of dead letters that makes way for the next, bytes: one holds at least a batch of letters.
const MIN_DEAD_LETTER_BYTES: u64 = 1 << 20;
/// Most full files of dead letters: all are in one directory.
const MAX_DEAD_LETTER_FILES: u64 = 10_000;

/// Most that a call may be late, seconds: every bucket stays open for as long.
const MAX_LATENESS_SECONDS: u64 = 86_400;

/// A valid pipeline. Nothing is open yet.
#[derive(Debug)]
pub struct Plan {
    /// The pipeline file.
    pub file: PathBuf,
    /// Where records come from.
    pub source: kafka::Source,
    /// Where schemas of framed records are found, if anywhere.
    pub registry: Option<Arc<Registry>>,
    /// How records are decoded.
    pub decode: DecodeSpec,
    /// File of the fingerprint key, unless the environment has the key.
    pub key_file: PathBuf,
    /// Vendors: hosts, categories, endpoints, prices.
    pub vendors: Arc<VendorPack>,
    /// Words of names that tell classes of data.
    pub data_words: Arc<DataWords>,
    /// Databases of network owners, if any.
    pub owners: OwnerDatabases,
    /// Directory of the model bundle.
    pub bundle: PathBuf,
    /// Rules for calls that training skips.
    pub exclude: Vec<Exclude>,
    /// Alert budget, tolerance for late calls, declared campaigns.
    pub detection: Detection,
    /// Rules of governance, if any are configured.
    pub rules: Option<Arc<Rules>>,
    /// Analysts' verdicts, and the model trained on them.
    pub triage: TriagePlan,
    /// Where alerts go.
    pub sinks: Vec<Routed>,
    /// Where unreadable records go.
    pub dead_letter: DeadLetterPlan,
    /// The checkpoint: directory and intervals.
    pub state: State,
    /// The alert store, and what is noticed of its sinks.
    pub alerts: Alerts,
    /// Audit reports, if any are to be written.
    pub audit: Option<AuditPlan>,
    /// Metrics and health.
    pub admin: Admin,
}

/// What a pipeline file says of reading and judging logs, wherever they come from.
#[derive(Debug)]
pub struct ReadingPlan {
    /// How records are decoded.
    pub decode: DecodeSpec,
    /// File of the fingerprint key, unless the environment has the key.
    pub key_file: PathBuf,
    /// Vendors: hosts, categories, endpoints, prices.
    pub vendors: Arc<VendorPack>,
    /// Words of names that tell classes of data.
    pub data_words: Arc<DataWords>,
    /// Databases of network owners, if any.
    pub owners: OwnerDatabases,
    /// Rules for calls that training skips.
    pub exclude: Vec<Exclude>,
    /// Alert budget, tolerance for late calls, declared campaigns.
    pub detection: Detection,
    /// Rules of governance, if any are configured.
    pub rules: Option<Arc<Rules>>,
    /// The triage model, as `alerts learn` wrote it.
    pub triage_model: Option<PathBuf>,
    /// The schema registry, if any.
    pub registry: Option<Arc<Registry>>,
}

/// Analysts' verdicts, and the model trained on them.
#[derive(Clone, Debug, Default)]
pub struct TriagePlan {
    /// The triage model, as `alerts learn` wrote it.
    pub model: Option<PathBuf>,
    /// The topic of verdicts, read by a consumer group of its own, and the file that stores them.
    pub verdicts: Option<(kafka::Source, PathBuf)>,
}

/// Where dead letters go, and in which form.
#[derive(Debug)]
pub enum DeadLetterPlan {
    /// A topic: records unchanged, with the reason in headers.
    Topic(Box<dyn SinkPlan>),
    /// A file: one JSON object a line.
    File(Box<dyn SinkPlan>),
}

impl Plan {
    /// The fingerprint key: from the environment, else from the key file, which is created if missing.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn fingerprint_key(&self) -> Result<FingerprintKey, KeyError> {
        Self::key(&self.key_file)
    }

    /// As [`Plan::fingerprint_key`], for a key file given directly.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn key(key_file: &Path) -> Result<FingerprintKey, KeyError> {
        match FingerprintKey::from_env(KEY_VARIABLE)? {
            Some(key) => Ok(key),
            None => FingerprintKey::load_or_create(key_file),
        }
    }
}

/// Reads and checks a pipeline file.
///
/// # Errors
/// [`PipelineError`], naming file, line and field.
pub fn load(file: &Path) -> Result<Plan, PipelineError> {
    check(&Text { file, text: &read(file)? })
}

/// Reads and checks what a pipeline file says of reading logs from files: it may lack what only a stream needs.
///
/// # Errors
/// [`PipelineError`], naming file, line and field.
pub fn load_reading(file: &Path) -> Result<ReadingPlan, PipelineError> {
    check_reading(&Text { file, text: &read(file)? })
}

fn read(file: &Path) -> Result<String, PipelineError> {
    std::fs::read_to_string(file).map_err(|problem| PipelineError::Unreadable { file: file.to_owned(), problem })
}

/// The file as written, without its sinks, and these.
fn parse<'a>(text: &Text<'a>) -> Result<(Spec, Option<Spanned<DeValue<'a>>>), PipelineError> {
    let mut table = DeTable::parse(text.text).map_err(|error| text.diagnostic("", &error))?;
    let sections = table.get_mut().remove("sinks");
    let spec = Spec::deserialize(Deserializer::from(table)).map_err(|error| text.diagnostic("", &error))?;
    check_fields(text, &spec)?;
    Ok((spec, sections))
}

fn directory_of(text: &Text<'_>) -> PathBuf {
    text.file.parent().unwrap_or(Path::new("")).to_owned()
}

fn check_reading(text: &Text<'_>) -> Result<ReadingPlan, PipelineError> {
    let (spec, _) = parse(text)?;
    // The file of a whole pipeline is refused for whatever is wrong with it, as the stream would.
    if spec.source.is_some() && spec.model.is_some() {
        check(text)?;
    }
    let around = Surroundings { connection: None, directory: directory_of(text) };
    let vendors = read_vendors(text, spec.vendors.directory, &around)?;
    Ok(ReadingPlan {
        rules: read_rules(spec.governance, &vendors, &around)?,
        decode: spec.decode,
        key_file: key_file(spec.fingerprint, &around),
        vendors,
        data_words: read_data_words(text, &spec.data_classes)?,
        owners: owners(spec.enrichment, &around),
        exclude: spec.train.exclude,
        detection: spec.detection,
        triage_model: spec.triage.model.map(|model| around.path(&model)),
        registry: read_registry(text, spec.source.and_then(|source| source.registry), &around.directory)?,
    })
}

fn read_registry(
    text: &Text<'_>,
    written: Option<registry::Spec>,
    directory: &Path,
) -> Result<Option<Arc<Registry>>, PipelineError> {
    let registry = written.map(|registry| registry.check(directory)).transpose();
    let registry = registry.map_err(|problem| text.at(&["source", "registry", problem.field()], problem))?;
    Ok(registry.map(Arc::new))
}

fn key_file(written: Fingerprint, around: &Surroundings) -> PathBuf {
    written.key_file.map_or_else(default_key_file, |path| around.path(&path))
}

fn owners(written: OwnerDatabases, around: &Surroundings) -> OwnerDatabases {
    OwnerDatabases {
        asn_database: written.asn_database.map(|path| around.path(&path)),
        country_database: written.country_database.map(|path| around.path(&path)),
        trusted_proxies: written.trusted_proxies,
    }
}

fn check(text: &Text<'_>) -> Result<Plan, PipelineError> {
    let (spec, sections) = parse(text)?;
    let directory = directory_of(text);
    let missing = |section: &str, example: &str| {
        text.field(&(0..0), section.to_owned(), format!("missing field `{section}`: write a section {example}"))
    };
    let written = spec.source.ok_or_else(|| missing("source", "[source.kafka] with `brokers` and `topics`"))?;
    let model = spec.model.ok_or_else(|| missing("model", "[model] with `bundle`"))?;
    let registry = read_registry(text, written.registry, &directory)?;
    let source = written.kafka.check(&directory);
    let source = source.map_err(|problem| text.at(&["source", "kafka", field_of(&problem)], problem))?;
    let around = Surroundings { connection: Some(source.connection.clone()), directory };
    let state = State { directory: around.path(&spec.state.directory), ..spec.state };
    let triage = plan_triage(spec.triage, &source, &around, &state);
    let dead_letter = read_dead_letter(text, spec.dead_letter, &around, &state)?;
    let sinks = read_sinks(text, sections, &around)?;
    refuse_own_topics(text, &source.topics, &sinks, &dead_letter)?;
    refuse_own_files(text, &sinks, &dead_letter, &state)?;
    let vendors = read_vendors(text, spec.vendors.directory, &around)?;
    let audit = spec.audit.map(|audit| audit.check(&around, &sinks, state.keep_rollups_days)).transpose();
    let audit = audit.map_err(|(field, problem)| text.at(&["audit", field], problem))?;
    Ok(Plan {
        audit,
        rules: read_rules(spec.governance, &vendors, &around)?,
        file: text.file.to_owned(),
        source,
        registry,
        decode: spec.decode,
        key_file: key_file(spec.fingerprint, &around),
        vendors,
        data_words: read_data_words(text, &spec.data_classes)?,
        owners: owners(spec.enrichment, &around),
        bundle: around.path(&model.bundle),
        exclude: spec.train.exclude,
        detection: spec.detection,
        triage,
        sinks,
        dead_letter,
        state,
        alerts: spec.alerts,
        admin: spec.admin,
    })
}

fn field_of(problem: &ConnectionError) -> &'static str {
    match problem {
        ConnectionError::NoBrokers => "brokers",
        _ => "properties",
    }
}

fn check_fields(text: &Text<'_>, spec: &Spec) -> Result<(), PipelineError> {
    let source = spec.source.as_ref().map(|source| &source.kafka);
    let rate = spec.detection.alerts_per_day;
    let (path, problem): (&[&str], _) = if source
        .is_some_and(|kafka| kafka.topics.is_empty() || kafka.topics.iter().any(String::is_empty))
    {
        (&["source", "kafka", "topics"], "name at least one topic, as in [\"api-logs\"]")
    } else if source.is_some_and(|kafka| kafka.group.is_empty()) {
        (&["source", "kafka", "group"], "is empty: name the consumer group, or remove the line for `apiwarden`")
    } else if !(rate.is_finite() && rate > 0.0) {
        (&["detection", "alerts_per_day"], "write a number above 0, as in 1.0 (one alert a day)")
    } else if spec.detection.allowed_lateness_seconds > MAX_LATENESS_SECONDS {
        (&["detection", "allowed_lateness_seconds"], "write 0 to 86400: no bucket waits longer than a day")
    } else if spec.detection.late_calls_hours > LATE_CALLS_HOURS {
        (&["detection", "late_calls_hours"], "write 0 to 24: no window is longer than a day")
    } else if !(1..=3600).contains(&spec.state.checkpoint_seconds) {
        (&["state", "checkpoint_seconds"], "write 1 to 3600")
    } else if !(1..=86_400).contains(&spec.state.idle_seconds) {
        (&["state", "idle_seconds"], "write 1 to 86400")
    } else if spec.triage.topic.as_ref().is_some_and(String::is_empty) {
        (&["triage", "topic"], "is empty: name the topic of verdicts, or remove the line")
    } else if spec.triage.verdicts.is_some() && spec.triage.topic.is_none() {
        (&["triage", "verdicts"], "is the file for verdicts of a topic: name `topic` too")
    } else if spec.dead_letter.topic.is_some() && spec.dead_letter.file.is_some() {
        (&["dead_letter", "file"], "write either `topic` or `file`, not both")
    } else if spec.dead_letter.topic.is_some() && spec.dead_letter.max_bytes.is_some() {
        (&["dead_letter", "max_bytes"], "is for files: the retention of a topic is the topic's own")
    } else if spec.dead_letter.topic.is_some() && spec.dead_letter.keep.is_some() {
        (&["dead_letter", "keep"], "is for files: the retention of a topic is the topic's own")
    } else if spec.dead_letter.max_bytes.is_some_and(|bytes| bytes < MIN_DEAD_LETTER_BYTES) {
        (&["dead_letter", "max_bytes"], "write at least 1048576, a mebibyte")
    } else if spec.dead_letter.keep.is_some_and(|files| files > MAX_DEAD_LETTER_FILES) {
        (&["dead_letter", "keep"], "write 0 to 10000 files")
    } else {
        return Decoder::new(&spec.decode).map(drop).map_err(|problem| match &problem {
            SpecError::UnknownField { field, .. }
            | SpecError::BadPath { field, .. }
            | SpecError::BadDetail { field, .. } => {
                let section = if spec.decode.fields.contains_key(field) { "fields" } else { "constants" };
                text.at(&["decode", section, field], &problem)
            }
            SpecError::UnknownFormat { .. } | SpecError::Incomplete { .. } => text.at(&["decode", "format"], &problem),
            SpecError::BadZone { .. } => text.at(&["decode", "zone"], &problem),
            SpecError::BadPattern { .. } => text.at(&["decode", "pattern"], &problem),
            SpecError::BadLogFormat { .. } => text.at(&["decode", "log_format"], &problem),
        });
    };
    Err(text.at(path, problem))
}

fn read_sinks(
    text: &Text<'_>,
    sections: Option<Spanned<DeValue<'_>>>,
    around: &Surroundings,
) -> Result<Vec<Routed>, PipelineError> {
    let Some(sections) = sections else {
        let stdout = sinks::Stdout {}.check(around).map_err(|problem| text.at(&["sinks"], problem))?;
        return Ok(vec![Routed { plan: stdout.into(), route: Route::default() }]);
    };
    let span = sections.span();
    let DeValue::Array(sections) = sections.into_inner() else {
        return Err(text.field(&span, "sinks".to_owned(), "write each sink as a section [[sinks]]".to_owned()));
    };
    let (mut plans, mut names) = (Vec::new(), BTreeSet::new());
    for section in sections {
        let span = section.span();
        let plan = read_sink(text, section, around)?;
        let name = plan.plan.name();
        if !names.insert(name.clone()) {
            let problem = format!("{name} is defined twice: remove one, or give one a `name`");
            return Err(text.field(&span, "sinks".to_owned(), problem));
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn read_sink(
    text: &Text<'_>,
    mut section: Spanned<DeValue<'_>>,
    around: &Surroundings,
) -> Result<Routed, PipelineError> {
    let span = section.span();
    let (kind, when) = match section.get_mut() {
        DeValue::Table(fields) => (fields.remove("type"), fields.remove("when")),
        _ => (None, None),
    };
    let name = kind.as_ref().and_then(|kind| kind.get_ref().as_str());
    let Some(kind) = SINKS.iter().find(|kind| Some(kind.name) == name) else {
        let known: Vec<_> = SINKS.iter().map(|kind| format!("\"{}\"", kind.name)).collect();
        let problem = format!("is missing or unknown: write one of {}", known.join(", "));
        let span = kind.map_or(span, |kind| kind.span());
        return Err(text.field(&span, "sinks.type".to_owned(), problem));
    };
    let plan = (kind.read)(ValueDeserializer::from(section), around).map_err(|problem| match problem {
        SectionError::Fields(error) => text.diagnostic("sinks", &error),
        SectionError::Sink(error) => text.field(&span, "sinks".to_owned(), error.to_string()),
    })?;
    let route = match when {
        Some(when) => {
            Route::deserialize(ValueDeserializer::from(when)).map_err(|error| text.diagnostic("sinks.when", &error))?
        }
        None => plan.route(),
    };
    Ok(Routed { plan: plan.into(), route })
}

fn refuse_own_files(
    text: &Text<'_>,
    sinks: &[Routed],
    dead_letter: &DeadLetterPlan,
    state: &State,
) -> Result<(), PipelineError> {
    let (DeadLetterPlan::Topic(letters) | DeadLetterPlan::File(letters)) = dead_letter;
    let plans = sinks.iter().map(|sink| sink.plan.as_ref()).chain([letters.as_ref()]);
    let files = plans.filter_map(|plan| Some((plan.name(), plan.file()?)));
    let problem = own_files::problem_of(files, text.file, &state.directory);
    problem.map_or(Ok(()), |problem| Err(text.at(&["sinks"], problem)))
}

/// A topic that is written must not be read: every dead letter would write the next.
fn refuse_own_topics(
    text: &Text<'_>,
    read: &[String],
    sinks: &[Routed],
    dead_letter: &DeadLetterPlan,
) -> Result<(), PipelineError> {
    let dead_letters: Option<&dyn SinkPlan> = match dead_letter {
        DeadLetterPlan::Topic(sink) => Some(sink.as_ref()),
        DeadLetterPlan::File(_) => None,
    };
    let written = sinks.iter().map(|sink| sink.plan.as_ref()).chain(dead_letters).filter_map(|sink| sink.topic());
    for topic in written {
        // Librdkafka takes a name that begins with ^ for a regular expression.
        let reads = |pattern: &String| match pattern.strip_prefix('^') {
            Some(_) => regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(topic)),
            None => pattern == topic,
        };
        if let Some(pattern) = read.iter().find(|pattern| reads(pattern)) {
            let problem = format!(
                "`{pattern}` matches the topic `{topic}`, which this pipeline writes: it would read its own records"
            );
            return Err(text.at(&["source", "kafka", "topics"], problem));
        }
    }
    Ok(())
}

fn read_vendors(
    text: &Text<'_>,
    directory: Option<PathBuf>,
    around: &Surroundings,
) -> Result<Arc<VendorPack>, PipelineError> {
    let Some(directory) = directory.map(|directory| around.path(&directory)) else { return Ok(VendorPack::embedded()) };
    if !directory.is_dir() {
        let problem = "is not a directory: name one with a file per vendor, as in \"vendors\"";
        return Err(text.at(&["vendors", "directory"], problem));
    }
    Ok(Arc::new(VendorPack::with_directory(&directory)?))
}

fn read_data_words(
    text: &Text<'_>,
    written: &BTreeMap<DataClass, Vec<String>>,
) -> Result<Arc<DataWords>, PipelineError> {
    let words = DataWords::with(written);
    words.map(Arc::new).map_err(|problem| text.at(&["data_classes", problem.class.as_str()], problem))
}

fn read_rules(
    written: Option<Governance>,
    vendors: &Arc<VendorPack>,
    around: &Surroundings,
) -> Result<Option<Arc<Rules>>, PipelineError> {
    let Some(Governance { rules, policy }) = written else { return Ok(None) };
    let path = |path: PathBuf| around.path(&path);
    Ok(Some(Arc::new(Rules::load(&Sources { rules: rules.map(path), policy: policy.map(path) }, vendors)?)))
}

fn plan_triage(written: Triage, logs: &kafka::Source, around: &Surroundings, state: &State) -> TriagePlan {
    let file = || match &written.verdicts {
        Some(path) => around.path(path),
        None => state.directory.join("verdicts.ndjson"),
    };
    let verdicts = written.topic.map(|topic| {
        let group = format!("{}-verdicts", logs.group);
        (kafka::Source { topics: vec![topic], group, ..logs.clone() }, file())
    });
    TriagePlan { model: written.model.map(|model| around.path(&model)), verdicts }
}

fn read_dead_letter(
    text: &Text<'_>,
    written: DeadLetter,
    around: &Surroundings,
    state: &State,
) -> Result<DeadLetterPlan, PipelineError> {
    let report = |problem| text.at(&["dead_letter"], problem);
    if let Some(topic) = written.topic {
        let topic = sinks::Kafka { topic, brokers: None, properties: Default::default() };
        return topic.check(around).map(DeadLetterPlan::Topic).map_err(report);
    }
    let path = match written.file {
        Some(path) => around.path(&path),
        None => state.directory.join("dead-letters.ndjson"),
    };
    // The path is resolved already: empty surroundings leave it unchanged.
    let here = Surroundings::default();
    let rotation = Some(Rotation {
        max_bytes: written.max_bytes.unwrap_or(DEAD_LETTER_FILES.max_bytes),
        keep: written.keep.unwrap_or(DEAD_LETTER_FILES.keep),
    });
    sinks::File { path, is_private: true, rotation }.check(&here).map(DeadLetterPlan::File).map_err(report)
}

/// The default key file: `$XDG_STATE_HOME/apiwarden/fingerprint.key`, else under `~/.local/state`.
pub fn default_key_file() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME")
        .or_else(|| Some(variable("HOME")?.join(".local/state")))
        .unwrap_or_else(|| PathBuf::from("."));
    state.join("apiwarden").join("fingerprint.key")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "[source.kafka]\nbrokers = \"localhost:9092\"\ntopics = [\"api-logs\"]\n\
                            [model]\nbundle = \"models/demo\"\n";

    fn read(text: &str) -> Result<Plan, String> {
        check(&Text { file: Path::new("/etc/apiwarden/p.toml"), text }).map_err(|error| error.to_string())
    }

    #[test]
    fn every_shipped_pipeline_file_is_valid() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        let files: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        assert!(files.len() >= 2);
        for file in files {
            load(&file).unwrap();
        }
    }

    #[test]
    fn optional_sections_have_defaults_and_paths_are_relative_to_the_file() {
        let plan = read(MINIMAL).unwrap();
        assert_eq!(plan.sinks.iter().map(|sink| sink.plan.name()).collect::<Vec<_>>(), ["stdout"]);
        assert_eq!(plan.bundle, Path::new("/etc/apiwarden/models/demo"));
        assert_eq!(plan.state.directory, Path::new("/etc/apiwarden/state"));
        let DeadLetterPlan::File(dead_letters) = &plan.dead_letter else { panic!("{:?}", plan.dead_letter) };
        assert_eq!(dead_letters.name(), "file:/etc/apiwarden/state/dead-letters.ndjson");
    }

    #[test]
    fn a_pipeline_that_would_read_what_it_writes_is_refused() {
        let with = |topics: &str, more: &str| {
            read(&MINIMAL.replace("[\"api-logs\"]", topics).replace("[model]", &format!("{more}\n[model]")))
        };
        let dead = "[dead_letter]\ntopic = \"api-logs-dead\"";
        let problem = with("[\"^api-logs-.*\"]", dead).unwrap_err();
        assert!(problem.contains("source.kafka.topics") && problem.contains("api-logs-dead"), "{problem}");
        assert!(with("[\"^api-logs-[0-9]+$\"]", dead).is_ok());
        let sink = "[[sinks]]\ntype = \"kafka\"\ntopic = \"api-logs\"";
        assert!(with("[\"api-logs\"]", sink).is_err());
    }

    #[test]
    fn a_diagnostic_names_file_line_and_field_and_what_to_write() {
        for (more, diagnostic) in [
            ("[state]\ncheckpoint_seconds = 0\n", "p.toml:7: state.checkpoint_seconds: write 1 to 3600"),
            (
                "[detection]\nallowed_lateness_seconds = 9223372036854775807\n",
                "p.toml:7: detection.allowed_lateness_seconds: write 0 to 86400",
            ),
            (
                "[source.registry]\nurl = \"registry:8081\"\n",
                "p.toml:7: source.registry.url: write `http://host:port` or `https://host:port`",
            ),
            ("[dead_letter]\nmax_bytes = 1000\n", "p.toml:7: dead_letter.max_bytes: write at least 1048576"),
            ("[dead_letter]\ntopic = \"dead\"\nkeep = 3\n", "p.toml:8: dead_letter.keep: is for files"),
            ("[state]\ncheckpoint_seconds = \"x\"\n", "p.toml:7: state.checkpoint_seconds: invalid type"),
            ("[state]\ndirektory = \"x\"\n", "p.toml:7: state.direktory: unknown field `direktory`, expected one of"),
            ("[[sinks]]\ntype = \"pager\"\n", "p.toml:7: sinks.type: is missing or unknown: write one of \"kafka\""),
            ("[[sinks]]\ntype = \"file\"\n", "p.toml:6: sinks: missing field `path`"),
            ("[[sinks]]\ntype = \"file\"\npth = \"x\"\n", "p.toml:8: sinks.pth: unknown field `pth`"),
            (
                "[[sinks]]\ntype = \"stdout\"\n[[sinks]]\ntype = \"stdout\"\n",
                "p.toml:8: sinks: stdout is defined twice",
            ),
            ("[data_classes]\npersonal = [\"-\"]\n", "p.toml:7: data_classes.personal: `-` holds no letter or digit"),
            ("[vendors]\ndirectory = \"/no/such\"\n", "p.toml:7: vendors.directory: is not a directory"),
            (
                "[enrichment]\nasn = \"x\"\n",
                "p.toml:7: enrichment.asn: unknown field `asn`, expected one of `asn_database`",
            ),
            ("[audit]\ndirectory = \"x\"\nevery = \"12h\"\n", "p.toml:8: audit.every: write whole days or weeks"),
            (
                "[state]\nkeep_rollups_days = 0\n[audit]\ndirectory = \"x\"\n",
                "p.toml:9: audit.directory: reports are made from the catalogue",
            ),
            ("[audit]\ndirectory = \"x\"\nformats = [\"pdf\"]\n", "p.toml:8: audit.formats: unknown variant `pdf`"),
            ("[train]\nexclude = [\"from=noon\"]\n", "p.toml:7: train.exclude: from: write an RFC 3339 time"),
            ("[detection]\nalerts_per_day = nan\n", "p.toml:7: detection.alerts_per_day: write a number above 0"),
        ] {
            let error = read(&format!("{MINIMAL}{more}")).unwrap_err();
            assert!(error.contains(diagnostic), "expected {diagnostic}\nfound    {error}");
        }
        let error = read(&format!("{MINIMAL}[sink]\n")).unwrap_err();
        assert!(error.contains("unknown field `sink`") && error.contains("`sinks`"), "{error}");
        let error = read("[model]\nbundle = \"x\"\n").unwrap_err();
        assert!(error.contains("missing field `source`"), "{error}");
    }

    #[test]
    fn files_are_read_by_a_pipeline_that_names_neither_source_nor_model() {
        let text = "[decode]\nformat = \"nginx\"\n[fingerprint]\nkey_file = \"key\"\n";
        let file = Path::new("/etc/apiwarden/p.toml");
        let plan = check_reading(&Text { file, text }).unwrap();
        assert_eq!((plan.decode.format.as_deref(), plan.key_file), (Some("nginx"), "/etc/apiwarden/key".into()));
        let problem = check_reading(&Text { file, text: "[decode]\nformat = \"elf\"\n" }).unwrap_err().to_string();
        assert!(problem.contains("p.toml:2: decode.format"), "{problem}");
    }
}
