//! The alerts of one, two and eight threads are the same to the byte: egress, audit and both mixed.

mod common;

use std::path::Path;

use common::{later, logs, program, write_lines};

/// Nine days of one account's audit log, small: seven to learn from, two to judge.
const AUDIT: &str = r#"
seed = 7
format = "cloudtrail"
start = "2026-09-08"
days = 9
callers = 12
calls_a_day = 1_500
weekend_level = 0.5
"#;
/// First day of the audit log that is not history.
const LATER: &str = "2026-09-15";

/// The records of the audit log: history, and what is judged, in which a service switches the log off.
fn audit(home: &Path) -> (Vec<String>, Vec<String>) {
    let (spec, out) = (home.join("audit.toml"), home.join("audit.ndjson"));
    std::fs::write(&spec, AUDIT).expect("the specification is written");
    program().arg("simulate").arg(&spec).arg("--out").arg(&out).assert().success();
    let text = std::fs::read_to_string(&out).expect("the audit log");
    let is_early = |line: &&str| line.split(r#""eventTime":""#).nth(1).is_some_and(|time| time < LATER);
    let (history, later): (Vec<&str>, Vec<&str>) = text.lines().partition(is_early);
    let owned = |lines: Vec<&str>| lines.into_iter().map(str::to_owned).collect::<Vec<String>>();
    let mut later = owned(later);
    let grave = later.iter().find(|line| line.contains(r#""type":"AssumedRole""#)).expect("a role's call").clone();
    let name = grave.split(r#""eventName":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("its operation");
    let source = grave.split(r#""eventSource":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("its service");
    let stopped = grave.replace(name, "StopLogging").replace(source, "cloudtrail.amazonaws.com");
    later.push(stopped.replace(r#""eventID":""#, r#""eventID":"0"#));
    (owned(history), later)
}

/// The alerts that a scan with so many threads writes.
fn scan(threads: usize, model: &Path, input: &Path) -> String {
    let mut command = program();
    command.env("RAYON_NUM_THREADS", threads.to_string()).arg("scan").arg("--model").arg(model);
    let run = command.arg("--input").arg(input).assert().success();
    String::from_utf8(run.get_output().stdout.clone()).expect("alerts are UTF-8")
}

fn check(home: &Path, name: &str, history: &[String], judged: &[String]) {
    let [past, input, model] =
        ["history.ndjson", "judged.ndjson", "model"].map(|end| home.join(format!("{name}-{end}")));
    write_lines(&past, history);
    write_lines(&input, judged);
    program().arg("train").arg("--input").arg(&past).arg("--out").arg(&model).assert().success();
    let alone = scan(1, &model, &input);
    assert!(alone.lines().count() > 0, "{name}: nothing is found, so nothing is compared");
    for threads in [2, 8] {
        assert!(scan(threads, &model, &input) == alone, "{name}: {threads} threads tell otherwise than one");
    }
}

#[test]
fn the_alerts_do_not_depend_on_the_number_of_threads() {
    let home = tempfile::tempdir().expect("a directory");
    let egress = later("2026-09-15T00", "2026-09-17T05");
    let (past, now) = audit(home.path());
    check(home.path(), "egress", &logs().history, &egress);
    check(home.path(), "audit", &past, &now);
    let mixed = |a: &[String], b: &[String]| [a, b].concat();
    check(home.path(), "mixed", &mixed(&logs().history, &past), &mixed(&egress, &now));
}
