//! What every sink promises, tried on all of [`SINKS`]: it delivers in order, doubles nothing after a crash, and refuses bad settings with
//! field and reason. A new sink needs an entry in [`trial`], and no test.

use std::fmt;
use std::path::PathBuf;

use super::*;
use crate::ingest::connection::Properties;
use crate::ingest::kafka::mock::Mock;

const TOPIC: &str = "alerts";

/// Reads back what has landed.
type Landed = Box<dyn Fn() -> Vec<String>>;

/// What the suite must know of a sink that the sink cannot tell.
struct Trial {
    /// Its section in the pipeline file, without `type`, as the fields of an inline table.
    settings: &'static str,
    surroundings: Surroundings,
    /// `None` where nobody can read back, and then deliveries may repeat after a crash.
    landed: Option<Landed>,
    /// Sections that must be refused: the settings, the field and the reason that the message names.
    refused: &'static [(&'static str, &'static str, &'static str)],
    _folder: tempfile::TempDir,
}

fn trial(name: &str) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let mut surroundings = Surroundings { directory: folder.path().to_owned(), connection: None };
    let (settings, refused, landed): (_, &'static [_], Option<Landed>) = match name {
        "kafka" => {
            let mock = Mock::with_topics(&[(TOPIC, 1)]);
            surroundings.connection = Some(mock.connection(Properties::new()));
            let landed = move || mock.read(TOPIC, 1).into_iter().map(|record| record.value).collect::<Vec<String>>();
            let refused: &[_] = &[
                ("", "topic", "missing"),
                (r#"topic = """#, "topic", "is empty"),
                (r#"topic = "t", brokers = """#, "brokers", "no broker"),
                (r#"topic = "t", properties = { acks = "0" }"#, "acks", "always `all`"),
                (r#"topic = "t", properties = { no_such = 1 }"#, "no_such", "does not know it"),
            ];
            (r#"topic = "alerts""#, refused, Some(Box::new(landed)))
        }
        "file" => {
            let path: PathBuf = folder.path().join("new/alerts.ndjson");
            let read = move || std::fs::read_to_string(&path).unwrap();
            let landed = move || read().lines().map(str::to_owned).collect::<Vec<String>>();
            let refused: &[_] =
                &[("", "path", "missing"), (r#"path = """#, "path", "is empty"), ("path = 1", "path", "string")];
            (r#"path = "new/alerts.ndjson""#, refused, Some(Box::new(landed)))
        }
        "stdout" => ("", &[], None),
        other => panic!("a new sink needs an entry here: {other}"),
    };
    Trial { settings, surroundings, landed, refused, _folder: folder }
}

impl Trial {
    fn read(&self, kind: &SinkKind, settings: &str) -> Result<Box<dyn SinkPlan>, SectionError> {
        let section = format!("{{ {settings} }}");
        (kind.read)(ValueDeserializer::parse(&section).unwrap(), &self.surroundings)
    }

    fn plan(&self, kind: &SinkKind) -> Box<dyn SinkPlan> {
        self.read(kind, self.settings).unwrap_or_else(|problem| panic!("{}: {problem}", kind.name))
    }

    #[track_caller]
    fn assert_landed(&self, kind: &SinkKind, uids: &[&str]) {
        if let Some(landed) = &self.landed {
            assert_eq!(landed(), uids, "{}", kind.name);
        }
    }
}

fn deliveries(uids: &[impl fmt::Display]) -> Vec<Delivery> {
    let one =
        |uid: String| Delivery { body: uid.clone().into_bytes(), uid, key: Some(b"aw-1".to_vec()), headers: vec![] };
    uids.iter().map(|uid| one(uid.to_string())).collect()
}

#[test]
fn every_sink_has_landed_all_in_order_when_it_returns() {
    for kind in SINKS {
        let trial = trial(kind.name);
        let mut sink = trial.plan(kind).open().unwrap();
        sink.deliver(&deliveries(&["a", "b"])).unwrap();
        trial.assert_landed(kind, &["a", "b"]);
        let before = sink.position();
        sink.deliver(&[]).unwrap();
        assert_eq!(sink.position(), before, "{}: nothing was delivered", kind.name);
        sink.deliver(&deliveries(&["c"])).unwrap();
        trial.assert_landed(kind, &["a", "b", "c"]);
    }
}

#[test]
fn every_sink_resumes_from_a_checkpoint_without_doubles() {
    for kind in SINKS {
        let trial = trial(kind.name);
        let mut sink = trial.plan(kind).open().unwrap();
        sink.deliver(&deliveries(&["a"])).unwrap();
        let stored = postcard::to_stdvec(&sink.position()).unwrap();
        sink.deliver(&deliveries(&["b", "c"])).unwrap();
        drop(sink);

        // What came after the checkpoint is delivered again, and then goes on.
        let mut sink = trial.plan(kind).open().unwrap();
        sink.resume(&postcard::from_bytes(&stored).unwrap()).unwrap();
        sink.deliver(&deliveries(&["b"])).unwrap();
        sink.deliver(&deliveries(&["c", "d"])).unwrap();
        trial.assert_landed(kind, &["a", "b", "c", "d"]);
    }
}

#[test]
fn every_sink_that_can_be_read_back_has_a_position_and_starts_without_one() {
    for kind in SINKS {
        let trial = trial(kind.name);
        let mut sink = trial.plan(kind).open().unwrap();
        sink.resume(&SinkPosition::Nowhere).unwrap();
        sink.deliver(&deliveries(&["a"])).unwrap();
        trial.assert_landed(kind, &["a"]);
        assert_eq!(sink.position() != SinkPosition::Nowhere, trial.landed.is_some(), "{}", kind.name);
    }
}

#[test]
fn every_sink_refuses_bad_settings_with_field_and_reason() {
    for kind in SINKS {
        let trial = trial(kind.name);
        let more = if trial.settings.is_empty() { "" } else { ", " };
        let unknown = format!("{}{more}colour = 1", trial.settings);
        let refused = trial.refused.iter().copied().chain([(unknown.as_str(), "colour", "unknown field")]);
        for (settings, field, reason) in refused {
            let problem = trial.read(kind, settings).map(|plan| plan.name()).unwrap_err().to_string();
            assert!(problem.contains(field) && problem.contains(reason), "{}: {settings}: {problem}", kind.name);
        }
    }
}

#[test]
fn every_sink_is_named_after_its_kind() {
    for kind in SINKS {
        let name = trial(kind.name).plan(kind).name();
        assert_eq!(name.split(':').next(), Some(kind.name));
    }
}
