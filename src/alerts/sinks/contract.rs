//! What every sink promises, tried on all of [`SINKS`]: it delivers in order, doubles nothing after a crash, and refuses bad settings with
//! field and reason. A new sink needs an entry in [`trial`], and no test.

use std::fmt;
use std::path::PathBuf;

use super::double::{Double, MailServer, Receiver};
use super::*;
use crate::alerts::{Activity, sample};
use crate::ingest::connection::Properties;
use crate::ingest::kafka::mock::Mock;

const TOPIC: &str = "alerts";

/// Reads back what has landed.
type Landed = Box<dyn Fn() -> Vec<String>>;

/// What the suite must know of a sink that the sink cannot tell.
struct Trial {
    /// Its section in the pipeline file, without `type`, as the fields of an inline table.
    settings: String,
    surroundings: Surroundings,
    /// `None` where nobody can read back.
    landed: Option<Landed>,
    /// Whether nothing is there twice after a crash.
    is_once: bool,
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
        "syslog" => {
            let receiver = Receiver::start();
            let settings = format!("address = \"{}\"", receiver.address);
            let refused: &[_] = &[
                ("", "address", "missing"),
                (r#"address = "syslog.example""#, "address", "host:port"),
                (r#"address = "h:1", facility = "x""#, "facility", "local0"),
                (r#"address = "h:1", max_bytes = 100"#, "max_bytes", "2048"),
                (r#"address = "h:1", key = "k""#, "certificate", "both"),
            ];
            let landed = move || ids_in(&receiver.came().join(" "));
            return Trial {
                settings,
                surroundings,
                landed: Some(Box::new(landed)),
                is_once: false,
                refused,
                _folder: folder,
            };
        }
        "smtp" => {
            let server = MailServer::start();
            let settings = format!(
                "address = \"{}\", security = \"none\", from = \"a@b.example\", to = [\"c@d.example\"]",
                server.address
            );
            let refused: &[_] = &[
                ("", "address", "missing"),
                (r#"address = "h:25", from = "a b", to = ["c@d.example"]"#, "from", "no address"),
                (r#"address = "h:25", from = "a@b.example", to = []"#, "to", "empty"),
                (r#"address = "h:25", from = "a@b.example", to = ["c@d.example\r\nDATA"]"#, "to", "no address"),
                (r#"address = "h:25", from = "a@b.example", to = ["c@d.example"], username = "u""#, "password", "both"),
                (
                    r#"address = "h:25", from = "a@b.example", to = ["c@d.example"], username = "u", password = "p", security = "none""#,
                    "password",
                    "without TLS",
                ),
            ];
            let landed = move || ids_in(&server.mails().join(" "));
            return Trial {
                settings,
                surroundings,
                landed: Some(Box::new(landed)),
                is_once: false,
                refused,
                _folder: folder,
            };
        }
        "security_lake" => {
            let path: PathBuf = folder.path().join("lake");
            let landed = move || ids_in(&super::security_lake::tests::uids(&path).join(" "));
            let refused: &[_] = &[
                (r#"region = "r", account = "a""#, "path", "missing"),
                (r#"path = "lake", region = "../r", account = "a""#, "region", "is none"),
                (r#"path = "lake", region = "r", account = """#, "account", "is none"),
            ];
            (r#"path = "lake", region = "eu-central-1", account = "1""#, refused, Some(Box::new(landed)))
        }
        other => return of_target(other, surroundings, folder),
    };
    Trial { settings: settings.to_owned(), surroundings, is_once: landed.is_some(), landed, refused, _folder: folder }
}

/// What the suite must know of a target that speaks HTTP: its settings beside the address, whether it takes a step once, and what is refused.
fn of_target(name: &str, surroundings: Surroundings, folder: tempfile::TempDir) -> Trial {
    const KEY: &str = r#"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"#;
    let double = Double::start();
    let no_url: &[_] = &[("", "url", "missing"), (r#"url = "ftp://x""#, "url", "no address")];
    let (settings, is_once, refused): (String, bool, &'static [_]) = match name {
        "opensearch" => (
            String::new(),
            true,
            &[("", "url", "missing"), (r#"url = "http://x", username = "u""#, "password", "first two")],
        ),
        "splunk" => {
            (r#"token = "t""#.to_owned(), false, &[("", "url", "missing"), (r#"url = "http://x""#, "token", "missing")])
        }
        "otlp" | "alertmanager" | "teams" => (String::new(), false, no_url),
        "pagerduty" => (r#"routing_key = "r""#.to_owned(), false, &[("", "routing_key", "missing")]),
        "opsgenie" => (r#"api_key = "k""#.to_owned(), false, &[("", "api_key", "missing")]),
        "slack" => (
            r##"token = "t", channel = "#soc""##.to_owned(),
            false,
            &[("", "url", "missing"), (r#"token = "t""#, "channel", "both")],
        ),
        "webhook" => (
            format!("secret = \"{KEY}\", body = \"cloudevents\""),
            false,
            &[("", "url", "missing"), (r#"url = "http://x", secret = "short""#, "secret", "24 to 64")],
        ),
        "sentinel" => (
            format!(
                "authority = \"{}\", rule = \"dcr-1\", stream = \"Custom-A_CL\", tenant = \"t\", client_id = \"c\", client_secret = \"s\"",
                double.address
            ),
            false,
            &[("", "url", "missing")],
        ),
        other => panic!("a new sink needs an entry here: {other}"),
    };
    let more = if settings.is_empty() { "" } else { ", " };
    let settings = format!("url = \"{}\"{more}{settings}", double.address);
    let landed = move || {
        double.came().iter().flat_map(|came| ids_in(&format!("{} {}", came.path, came.body))).collect::<Vec<String>>()
    };
    Trial { settings, surroundings, landed: Some(Box::new(landed)), is_once, refused, _folder: folder }
}

/// Which of the suite's deliveries a request tells of, in order.
fn ids_in(text: &str) -> Vec<String> {
    let id = |rest: &str| rest.chars().take_while(char::is_ascii_lowercase).collect::<String>();
    let mut ids: Vec<String> = text.split("delivery-of-the-suite-").skip(1).map(id).collect();
    ids.dedup();
    ids
}

impl Trial {
    fn read(&self, kind: &SinkKind, settings: &str) -> Result<Box<dyn SinkPlan>, SectionError> {
        let section = format!("{{ {settings} }}");
        (kind.read)(ValueDeserializer::parse(&section).unwrap(), &self.surroundings)
    }

    fn plan(&self, kind: &SinkKind) -> Box<dyn SinkPlan> {
        self.read(kind, &self.settings).unwrap_or_else(|problem| panic!("{}: {problem}", kind.name))
    }

    #[track_caller]
    fn assert_landed(&self, kind: &SinkKind, uids: &[&str]) {
        if let Some(landed) = &self.landed {
            assert_eq!(landed(), uids, "{}", kind.name);
        }
    }
}

fn deliveries(uids: &[impl fmt::Display]) -> Vec<Delivery> {
    // The id of its incident names a delivery at targets that speak HTTP.
    let alert = |uid: &str| Alert { id: format!("delivery-of-the-suite-{uid}"), ..sample() };
    let one = |uid: String| Delivery {
        body: uid.clone().into_bytes(),
        alert: Some(Arc::new(alert(&uid))),
        uid,
        key: Some(b"aw-1".to_vec()),
        headers: vec![],
    };
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
        if trial.is_once {
            trial.assert_landed(kind, &["a", "b", "c", "d"]);
        } else if let Some(landed) = &trial.landed {
            assert_eq!(landed(), ["a", "b", "c", "b", "c", "d"], "{}: at least once, in order", kind.name);
        }
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

/// The steps of an incident's life.
fn life() -> Vec<Delivery> {
    let step = |(revision, activity)| {
        let alert = Alert { id: "aw-00000000000000aa".to_owned(), revision, activity, ..sample() };
        Delivery::of(&alert)
    };
    [(1, Activity::Create), (2, Activity::Update), (3, Activity::Close)].into_iter().map(step).collect()
}

/// A target that speaks HTTP, with a double behind it.
fn target(kind: &SinkKind) -> Option<(Double, Box<dyn Sink>)> {
    if ["kafka", "file", "stdout", "syslog", "smtp", "security_lake"].contains(&kind.name) {
        return None;
    }
    let (double, trial) = (Double::start(), trial(kind.name));
    let settings = trial.settings.split_once(", ").map_or(String::new(), |(_, rest)| format!(", {rest}"));
    let plan = trial.read(kind, &format!("url = \"{}\"{settings}", double.address)).unwrap();
    Some((double, plan.open().unwrap()))
}

#[test]
fn every_target_is_told_of_an_incident_from_its_beginning_to_its_end_under_one_key() {
    for kind in SINKS {
        let Some((double, mut sink)) = target(kind) else { continue };
        sink.deliver(&life()).unwrap();
        let came = double.came();
        let steps = if matches!(kind.name, "splunk" | "otlp" | "sentinel") { 1 } else { 3 };
        assert_eq!(came.len(), steps, "{}: {came:?}", kind.name);
        let is_signed = came.iter().all(|step| step.headers.contains("webhook-signature: v1,"));
        assert_eq!(is_signed, kind.name == "webhook", "{}", kind.name);
        if kind.name == "slack" {
            assert!(!came[0].body.contains("thread_ts"), "a message opens a thread");
            assert!(came[1..].iter().all(|step| step.body.contains(r#""thread_ts":"1.0""#)), "the rest answers it");
        } else if kind.name != "teams" {
            let names = |step: &double::Came| {
                step.body.contains("aw-00000000000000aa") || step.path.contains("aw-00000000000000aa")
            };
            assert!(came.iter().all(names), "{}: {came:?}", kind.name);
        }
    }
}

#[test]
fn a_target_that_is_overloaded_or_forbids_is_tried_again_and_misses_nothing() {
    for kind in SINKS {
        let Some((double, mut sink)) = target(kind) else { continue };
        for (status, patience) in [(503, Patience::Endless), (429, Patience::Endless), (401, Patience::None)] {
            double.answer_with(status);
            let problem = sink.deliver(&life()).unwrap_err();
            assert_eq!((problem.patience(), problem.refused()), (patience, None), "{}: {status}", kind.name);
            assert!(double.came().is_empty(), "{}", kind.name);
        }
        double.answer_with(400);
        assert!(sink.deliver(&life()).unwrap_err().refused().is_some(), "{}", kind.name);
        double.answer_with(200);
        sink.deliver(&life()).unwrap();
        assert!(!double.came().is_empty(), "{}", kind.name);
    }
}

#[test]
fn no_error_and_no_plan_shows_a_secret() {
    let secret = "canary-secret-9f8e7d";
    for kind in SINKS {
        let trial = trial(kind.name);
        let fields = ["url", "token", "routing_key", "api_key", "secret", "authorization", "password", "client_secret"];
        for field in fields {
            let url =
                if field == "url" { format!("http://127.0.0.1:9/{secret}") } else { "http://127.0.0.1:9".to_owned() };
            let rest = trial.settings.split(", ").filter(|one| !one.starts_with("url") && !one.starts_with(field));
            let rest: String = rest.filter(|one| !one.is_empty()).map(|one| format!(", {one}")).collect();
            let own = if field == "url" { String::new() } else { format!(", {field} = \"{secret}\"") };
            let told = match trial.read(kind, &format!("url = \"{url}\"{own}{rest}")) {
                Ok(plan) => {
                    let failed = plan.open().and_then(|mut sink| sink.deliver(&life()));
                    format!("{plan:?} {} {:?}", plan.name(), failed.map_err(|problem| problem.to_string()))
                }
                // Where a field is unknown the message repeats its line, for the one who wrote it.
                Err(SectionError::Fields(_)) => continue,
                Err(problem) => problem.to_string(),
            };
            assert!(!told.contains(secret), "{} {field}: {told}", kind.name);
        }
    }
}
