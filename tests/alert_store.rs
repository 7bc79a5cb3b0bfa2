//! The alert store under a service, as an operator uses it: by the command line, beside whoever writes it. What is asked for is found, and what is
//! suppressed is held back.

mod common;

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use apiwarden::alerts::sinks::{Routed, SinkSpec, Stdout, Surroundings};
use apiwarden::alerts::store::AlertStore;
use apiwarden::alerts::{Activity, Alert, Owner, Severity, sample};
use apiwarden::calls::View;
use common::program;
use serde_json::Value;

/// What `apiwarden alerts …` prints about a state directory.
fn alerts(state: &Path, arguments: &[&str]) -> String {
    let ran = program().arg("alerts").args(arguments).arg("--state").arg(state).assert().success();
    String::from_utf8(ran.get_output().stdout.clone()).expect("UTF-8")
}

fn refusal(state: &Path, arguments: &[&str]) -> String {
    let ran = program().arg("alerts").args(arguments).arg("--state").arg(state).assert().failure();
    String::from_utf8(ran.get_output().stderr.clone()).expect("UTF-8")
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn step(revision: u32, activity: Activity) -> Alert {
    Alert { revision, activity, ..sample() }
}

/// Uids of the steps that a sink wants which keeps records, or calls people.
fn wanted(store: &AlertStore, when: &str) -> Vec<String> {
    let plan = Stdout {}.check(&Surroundings::default()).expect("a sink").into();
    let routed = Routed { plan, route: toml::from_str(when).expect("a route") };
    let steps = store.after(0, 100).expect("steps");
    let own = steps.iter().filter(|kept| routed.wants(kept));
    own.map(|kept| format!("{}-{}", kept.alert.id, kept.alert.revision)).collect()
}

/// A command that goes on until it is stopped, and its lines as they come.
struct Following(Child, Lines<BufReader<ChildStdout>>);

impl Following {
    fn start(state: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apiwarden"));
        command.arg("alerts").args(arguments).arg("--state").arg(state).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self(child, lines)
    }

    fn next(&mut self) -> String {
        self.1.next().expect("a line").expect("UTF-8")
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may be over.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_asked_for_is_listed_followed_exported_and_shown() {
    let home = tempfile::tempdir().expect("a directory");
    let state = home.path();
    let mut store = AlertStore::open(state).expect("a store");
    let of = |id: &str, severity: Severity, view: View, revision: u32, activity: Activity| Alert {
        id: id.to_owned(),
        severity,
        view,
        revision,
        activity,
        ..sample()
    };
    let owner = Owner { team: "people-ops".to_owned(), ..Owner::default() };
    let owned = Alert { owners: vec![owner], ..of("aw-1", Severity::High, View::Egress, 1, Activity::Create) };
    let first = [
        owned,
        of("aw-2", Severity::Low, View::Audit, 1, Activity::Create),
        of("aw-3", Severity::High, View::Egress, 1, Activity::Create),
        of("aw-3", Severity::High, View::Egress, 2, Activity::Close),
    ];
    store.append(&first, now()).expect("durable");
    let listed = |arguments: &[&str]| -> Vec<String> {
        let text = alerts(state, &[&["list", "--json"], arguments].concat());
        text.lines().map(uid).collect()
    };
    assert_eq!(listed(&[]), ["aw-1-1", "aw-2-1", "aw-3-2"]);
    assert_eq!(listed(&["--open"]), ["aw-1-1", "aw-2-1"]);
    assert_eq!(listed(&["--view", "audit"]), ["aw-2-1"]);
    assert_eq!(listed(&["--team", "people-*"]), ["aw-1-1"]);
    assert_eq!(
        listed(&["--caller", "payroll-*", "--caller", "nobody", "--severity", "high", "--all"]),
        ["aw-1-1", "aw-3-1", "aw-3-2"]
    );
    assert!(refusal(state, &["list", "--detector", "brust"]).contains("there is no detector `brust`"));

    let mut tail = Following::start(state, &["tail", "--lines", "1", "--severity", "medium", "--json"]);
    assert_eq!(uid(&tail.next()), "aw-3-2");
    let more = [
        of("aw-4", Severity::Low, View::Egress, 1, Activity::Create),
        of("aw-5", Severity::Medium, View::Egress, 1, Activity::Create),
    ];
    store.append(&more, now()).expect("durable");
    assert_eq!(uid(&tail.next()), "aw-5-1");

    let file = state.join("alerts.ndjson");
    std::fs::write(&file, alerts(state, &["export"])).expect("a file");
    let of_file = program().args(["alerts", "show", "--all"]).arg(&file).assert().success();
    let cards = String::from_utf8(of_file.get_output().stdout.clone()).expect("UTF-8");
    assert_eq!(cards.matches("payroll-svc sent").count(), 6, "{cards}");
    for named in ["aw-3", "aw-3-1"] {
        assert_eq!(alerts(state, &["show", named]).matches("payroll-svc sent").count(), 1);
    }
    let none = refusal(&state.join("nowhere"), &["list"]);
    assert!(none.contains("there is no alert store"), "{none}");
    assert!(refusal(state, &["show", "aw-9"]).contains("has no incident aw-9"));
}

/// The uid of a step as OCSF.
fn uid(line: &str) -> String {
    let finding: Value = serde_json::from_str(line).expect("OCSF");
    finding["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

const PEOPLE: &str = "suppressed = false";

#[test]
fn what_is_suppressed_is_listed_marked_and_audited_and_goes_out_when_somebody_ends_it() {
    let home = tempfile::tempdir().expect("a directory");
    let state = home.path();
    // The service's own hold on the store, throughout.
    let mut store = AlertStore::open(state).expect("a store");
    let add = ["suppressions", "add", "--caller", "payroll-*", "--for", "2h", "--reason", "a move", "--author", "ann"];
    assert!(alerts(state, &add).starts_with("suppression 1: caller payroll-*, from "));
    assert_eq!(store.append(&[step(1, Activity::Create), step(2, Activity::Update)], now()).expect("durable").held, 2);
    assert!(wanted(&store, PEOPLE).is_empty());
    assert_eq!(wanted(&store, ""), ["aw-7f3c-1", "aw-7f3c-2"]);
    assert!(alerts(state, &["list"]).contains("[suppressed by 1] payroll-svc sent"));
    let ocsf: Value = serde_json::from_str(&alerts(state, &["list", "--suppression", "1", "--json"])).expect("OCSF");
    assert_eq!((&ocsf["status"], &ocsf["is_alert"]), (&Value::from("Suppressed"), &Value::from(false)));

    let listed = alerts(state, &["suppressions", "list"]);
    assert!(listed.contains("1 in force") && listed.contains("2 alerts held back; \"a move\" (ann, "), "{listed}");
    alerts(state, &["suppressions", "end", "1", "--author", "bob"]);
    assert_eq!(store.settle(now()).expect("settled"), 1);
    assert_eq!(wanted(&store, PEOPLE), ["aw-7f3c-1", "aw-7f3c-2"]);
    assert!(alerts(state, &["list"]).contains("[was suppressed by 1]"));
    assert_eq!(alerts(state, &["suppressions", "list"]), "");
    let kept: Value = serde_json::from_str(&alerts(state, &["suppressions", "list", "--all", "--json"])).expect("JSON");
    assert_eq!((&kept["ended_by"], &kept["held"], &kept["author"]), (&"bob".into(), &2.into(), &"ann".into()));
}

#[test]
fn a_maintenance_window_holds_nothing_back_before_it_begins() {
    let home = tempfile::tempdir().expect("a directory");
    let mut store = AlertStore::open(home.path()).expect("a store");
    let add =
        ["suppressions", "add", "--everything", "--from", "2026-01-01T00:00:00Z", "--until", "2026-12-31T00:00:00Z"];
    let from = jiff::Timestamp::from_microsecond(now() + 3_600_000_000).expect("a time").to_string();
    let planned = [
        "suppressions",
        "add",
        "--vendor",
        "dropbox",
        "--from",
        &from,
        "--for",
        "1h",
        "--reason",
        "x",
        "--author",
        "ann",
    ];
    alerts(home.path(), &planned);
    assert!(alerts(home.path(), &["suppressions", "list"]).contains("1 planned"));
    assert_eq!(store.append(&[step(1, Activity::Create)], now()).expect("durable").held, 0);
    assert_eq!(store.append(&[step(2, Activity::Update)], now() + 2 * 3_599_000_000).expect("durable").held, 1);
    assert!(refusal(home.path(), &add).contains("--reason"));
}

#[test]
fn what_no_suppression_may_be_is_refused_with_what_to_write() {
    let home = tempfile::tempdir().expect("a directory");
    AlertStore::open(home.path()).expect("a store");
    let reason = ["--reason", "x", "--author", "ann"];
    for (arguments, expected) in [
        (vec!["--for", "1h"], "--everything"),
        (vec!["--everything"], "--for"),
        (vec!["--everything", "--for", "500d"], "more than a year"),
        (vec!["--everything", "--for", "0m"], "ends before it begins"),
        (vec!["--everything", "--for", "soon"], "30m, 12h or 7d"),
        (vec!["--caller", "a[", "--for", "1h"], "write names, with *"),
    ] {
        let says = refusal(home.path(), &[&["suppressions", "add"], arguments.as_slice(), &reason].concat());
        assert!(says.contains(expected), "{arguments:?}: {says}");
    }
    let elsewhere = home.path().join("elsewhere");
    refusal(&elsewhere, &["suppressions", "end", "1", "--author", "ann"]);
    assert!(!elsewhere.exists(), "nothing is made where there is no service");
}
