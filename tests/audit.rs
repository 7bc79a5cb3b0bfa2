//! The audit report end to end: it says what its sources say, the same period gives the same bytes, names from logs are only text, and a changed
//! report is found.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use apiwarden::alerts::{Alert, Severity, sample, to_ocsf};
use common::{decode, program, repository, write_lines};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A call at noon of a day of September 2026.
fn call(day: u32, caller: &str, host: &str, path: &str, key: &str) -> String {
    json!({
        "@timestamp": format!("2026-09-{day:02}T12:00:00.000Z"),
        "event": { "id": format!("{day} {caller} {host} {path}"), "duration": 1_000_000 },
        "service": { "name": caller },
        "url": { "scheme": "https", "domain": host, "path": path },
        "http": { "request": { "method": "POST", "bytes": 100 }, "response": { "status_code": 200, "bytes": 10 } },
        "labels": { "credential_id": key },
    })
    .to_string()
}

/// Two callers until a day; `crm` stops on the 20th, and calls a vendor that is new on the 15th.
fn month(last: u32) -> Vec<String> {
    let mut calls = Vec::new();
    for day in 1..=last {
        calls.push(call(day, "billing", "api.stripe.com", "/v1/charges", "key-1"));
        if day <= 20 {
            calls.push(call(day, "crm", "api.hubapi.com", "/crm/v3/objects/contacts", "key-2"));
        }
    }
    calls.extend((15..=last).map(|day| call(day, "billing", "files.example.net", "/upload", "key-3")));
    calls
}

/// A directory with a catalogue of these calls.
fn home(calls: &[String]) -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    write_lines(&home.path().join("calls.ndjson"), calls);
    let mut build = program();
    build.args(["catalog", "build", "--input"]).arg(home.path().join("calls.ndjson"));
    build.arg("--store").arg(home.path().join("catalog")).assert().success();
    home
}

/// What `audit` prints of the catalogue in a directory.
fn audit(home: &Path, arguments: &[&str]) -> String {
    let mut command = program();
    command.current_dir(home).args(["audit", "--store", "catalog"]).args(arguments);
    String::from_utf8(command.assert().success().get_output().stdout.clone()).expect("UTF-8")
}

fn report(home: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&audit(home, &[&["--format", "json"], arguments].concat())).expect("JSON")
}

fn texts<'a>(rows: &'a Value, field: &str) -> Vec<&'a str> {
    rows.as_array().expect("rows").iter().map(|row| row[field].as_str().expect("a text")).collect()
}

#[test]
fn the_same_period_gives_the_same_bytes_however_far_the_catalogue_has_gone_on() {
    let (then, now) = (home(&month(22)), home(&month(30)));
    for format in ["html", "markdown", "json"] {
        let arguments = ["--format", format, "--since", "2026-09-08", "--until", "2026-09-22"];
        let written = audit(then.path(), &arguments);
        assert_eq!(written, audit(then.path(), &arguments), "{format}");
        assert_eq!(written, audit(now.path(), &arguments), "{format}");
        assert_ne!(written, audit(now.path(), &["--format", format]), "{format}");
    }
}

#[test]
fn a_caller_that_stopped_and_a_vendor_that_is_new_are_found() {
    let home = home(&month(25));
    let report = report(home.path(), &["--since", "20d"]);
    assert_eq!(report["period"]["since"], "2026-09-06");
    assert_eq!(texts(&report["coverage"]["silent"], "caller"), ["crm"]);
    assert_eq!(report["coverage"]["silent"][0]["silent_days"], 5);
    assert_eq!(report["attention"][0]["text"], "1 caller went silent: crm");
    let vendors: Vec<&Value> = report["inventory"]["changes"].as_array().unwrap().iter().collect();
    let new: Vec<_> = vendors.iter().filter(|one| one["kind"] == "vendor").map(|one| &one["name"]).collect();
    assert_eq!(new, ["example.net"]);
    // While it still called it was not silent.
    let before = self::report(home.path(), &["--until", "2026-09-20"]);
    assert_eq!(before["coverage"]["silent"], json!([]));
}

#[test]
fn numbers_are_those_of_the_catalogue_s_own_lists() {
    let home = tempfile::tempdir().expect("a directory");
    let demo = repository("datasets/demo/egress.ndjson.zst");
    let mut build = program();
    build.args(["catalog", "build", "--input"]).arg(demo).arg("--store").arg(home.path().join("catalog"));
    build.assert().success();
    let report = report(home.path(), &[]);
    for kind in ["vendor", "caller", "credential", "host", "endpoint", "pair"] {
        let mut list = program();
        list.current_dir(home.path()).args(["catalog", &format!("{kind}s"), "--store", "catalog", "--format", "json"]);
        let listed: Vec<Value> = serde_json::from_slice(&list.assert().success().get_output().stdout).expect("JSON");
        let totals = report["inventory"]["totals"].as_array().expect("totals");
        let total = totals.iter().find(|total| total["kind"] == kind).expect("the kind");
        assert_eq!(total["known"], listed.len(), "{kind}");
        if kind == "vendor" {
            let name_and_calls = |rows: &[Value]| {
                let of = |row: &Value| (row["vendor"].to_string(), row["calls"].as_i64(), row["bytes_out"].as_i64());
                rows.iter().map(of).collect::<BTreeSet<_>>()
            };
            let vendors = report["inventory"]["vendors"].as_array().expect("vendors");
            assert_eq!(name_and_calls(vendors), name_and_calls(&listed));
        }
    }
    let days = report["inventory"]["days"].as_array().expect("days");
    assert_eq!(days.iter().map(|day| day["calls"].as_i64().unwrap()).sum::<i64>(), 123_321);
}

/// A time of September 2026, microseconds since the epoch.
fn noon(day: i64) -> i64 {
    let first: jiff::Timestamp = "2026-09-01T12:00:00Z".parse().expect("a time");
    first.as_microsecond() + (day - 1) * 86_400_000_000
}

fn write_alerts(path: &Path, alerts: &[Alert]) {
    write_lines(path, &alerts.iter().map(|alert| to_ocsf(alert).to_string()).collect::<Vec<_>>());
}

/// A home with alerts, a policy and what is declared of a vendor.
fn governed() -> TempDir {
    let home = home(&month(25));
    let path = |name: &str| home.path().join(name);
    let mut violation = Alert { id: "aw-2".into(), detector: "governance".into(), severity: Severity::Low, ..sample() };
    violation.time = noon(16);
    violation.last_seen = violation.time;
    violation.contributions.truncate(1);
    violation.contributions[0].name = "vendor_not_approved".into();
    let incident = Alert { time: noon(18), last_seen: noon(18), severity: Severity::High, ..sample() };
    let later = Alert { id: "aw-3".into(), time: noon(28), last_seen: noon(28), ..sample() };
    write_alerts(&path("alerts.ndjson"), &[violation, incident, later]);
    fs::write(path("pipeline.toml"), "[governance]\npolicy = \"policy.toml\"\n").expect("a pipeline");
    let policy = "[credentials]\nmax_age_days = 20\n[[vendors]]\nnames = [\"stripe\", \"hubspot\"]\n\
                  [[exceptions]]\nrules = [\"plaintext\"]\nreason = \"old\"\nexpires = 2026-09-10\n\
                  [[exceptions]]\nrules = [\"plaintext\"]\nreason = \"new\"\nexpires = 2026-10-01\n";
    fs::write(path("policy.toml"), policy).expect("a policy");
    let declared = "[vendors.stripe]\nowner = \"payments\"\nreview = \"2026-09-24\"\n";
    fs::write(path("catalog/annotations.toml"), declared).expect("declarations");
    home
}

const SOURCES: [&str; 4] = ["--alerts", "alerts.ndjson", "--pipeline", "pipeline.toml"];

#[test]
fn violations_exceptions_owners_and_keys_come_from_their_sources() {
    let home = governed();
    let report = report(home.path(), &SOURCES);
    assert_eq!(report["alerts"]["incidents"], 2, "what came after the period is not of it");
    assert_eq!(report["alerts"]["pages"], 1);
    assert_eq!(texts(&report["governance"]["violations"], "rule"), ["vendor_not_approved"]);
    assert_eq!(texts(&report["governance"]["exceptions"], "state"), ["ended", "ends soon"]);
    assert_eq!(texts(&report["governance"]["unapproved"], "vendor"), ["example.net"]);
    assert_eq!(report["ownership"]["vendors"][0]["state"], "overdue");
    assert_eq!(report["ownership"]["without_owner"], json!(["hubspot", "example.net"]));
    let due: Vec<_> = report["credentials"]["due"].as_array().unwrap().iter().map(|due| &due["action"]).collect();
    assert_eq!(due, ["rotate", "rotate", "rotate soon"]);
    let risk =
        |id: &str| report["owasp"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap()["incidents"].clone();
    assert_eq!(risk("API9:2023"), 1);
    assert!(!report["not_shown"].as_array().unwrap().is_empty());
}

#[test]
fn what_was_not_given_is_said_to_be_not_examined() {
    let home = governed();
    let without = audit(home.path(), &["--format", "markdown"]);
    assert!(without.contains("alerts were not examined") && without.contains("rules were not examined"), "{without}");
    let with = audit(home.path(), &[&SOURCES[..], &["--format", "markdown"]].concat());
    assert!(!with.contains("not examined"), "{with}");
}

#[test]
fn a_name_from_a_log_is_text_on_every_page() {
    let names =
        ["</script><script>alert(1)</script>", "a\" onload=\"alert(2)", "x|y`*[z](http://e)", "abc\u{202e}fdp.exe"];
    let mut calls: Vec<String> = Vec::new();
    for day in 1..=9 {
        calls.extend(names.iter().map(|name| call(day, name, "api.stripe.com", "/v1/charges", "k")));
    }
    let home = home(&calls);
    let alert =
        Alert { message: names.join(" "), title: names[0].into(), time: noon(9), last_seen: noon(9), ..sample() };
    write_alerts(&home.path().join("alerts.ndjson"), &[alert]);
    let html = audit(home.path(), &["--alerts", "alerts.ndjson"]);
    assert!(html.contains("&lt;script&gt;alert(1)"), "the name is there");
    assert!(!html.contains("<script") && !html.contains("\" onload") && !html.contains('\u{202e}'));
    // Nothing is fetched.
    assert!(!html.contains("src=") && !html.contains("url(") && !html.contains("<link") && !html.contains("@import"));
    let markdown = audit(home.path(), &["--alerts", "alerts.ndjson", "--format", "markdown"]);
    assert!(!markdown.contains("<script") && markdown.contains(r"x\|y\`\*\[z\]") && !markdown.contains('\u{202e}'));
    assert!(audit(home.path(), &["--format", "json"]).contains(r"</script><script>"), "JSON has names as they are");
}

/// Writes three weekly reports into `reports`.
fn weekly() -> (TempDir, Vec<PathBuf>) {
    let home = home(&month(25));
    let days = ["2026-09-10", "2026-09-17", "2026-09-24"];
    for day in days {
        audit(home.path(), &["--since", "7d", "--until", day, "--output", "reports/"]);
    }
    let paths = days.map(|day| home.path().join(format!("reports/audit-{day}.html"))).to_vec();
    (home, paths)
}

fn verify(home: &Path, paths: &[&str]) -> Result<String, String> {
    let output = program().current_dir(home).args(["audit", "verify"]).args(paths).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn the_first_report_of_a_chain_that_does_not_fit_is_named() {
    let (home, paths) = weekly();
    let whole = verify(home.path(), &["reports"]).expect("as written");
    assert!(whole.starts_with("3 reports fit") && whole.contains("audit-2026-09-24.html"), "{whole}");
    let original = fs::read_to_string(&paths[1]).expect("a report");
    fs::write(&paths[1], original.replacen("Third-party", "Third-Party", 1)).expect("a change");
    let broken = verify(home.path(), &["reports"]).unwrap_err();
    assert!(broken.contains("audit-2026-09-17.html: its content is not what was sealed"), "{broken}");
    // Made again from other sources, with a seal that fits.
    fs::remove_file(&paths[1]).expect("it is gone");
    let missing = verify(home.path(), &["reports"]).unwrap_err();
    assert!(missing.contains("audit-2026-09-24.html: does not continue"), "{missing}");
    audit(home.path(), &["--since", "8d", "--until", "2026-09-17", "--output", "reports/"]);
    let forged = verify(home.path(), &["reports"]).unwrap_err();
    assert!(forged.contains("audit-2026-09-24.html: does not continue"), "{forged}");
    // What is there is not written again.
    fs::write(&paths[1], &original).expect("the original");
    audit(home.path(), &["--since", "7d", "--until", "2026-09-17", "--output", "reports/"]);
    assert_eq!(fs::read_to_string(&paths[1]).expect("a report"), original);
    assert!(verify(home.path(), &["reports"]).is_ok());
}

#[test]
fn a_single_report_continues_the_one_that_is_named() {
    let home = home(&month(25));
    audit(home.path(), &["--until", "2026-09-10", "--output", "first.md"]);
    audit(home.path(), &["--until", "2026-09-20", "--previous", "first.md", "--output", "second.md"]);
    assert!(fs::read_to_string(home.path().join("second.md")).unwrap().starts_with("# Third-party API audit"));
    assert!(verify(home.path(), &["first.md", "second.md"]).is_ok());
    assert!(verify(home.path(), &["second.md", "first.md"]).is_err());
    let refused = verify(home.path(), &["calls.ndjson"]).unwrap_err();
    assert!(refused.contains("calls.ndjson: carries no seal"), "{refused}");
}

#[test]
fn a_period_without_a_call_and_a_wrong_line_are_refused_by_name() {
    let home = home(&month(9));
    let refusal = |arguments: &[&str]| {
        let mut command = program();
        let refused = command.current_dir(home.path()).args(["audit", "--store", "catalog"]).args(arguments).assert();
        String::from_utf8(refused.failure().code(1).get_output().stderr.clone()).expect("UTF-8")
    };
    let early = refusal(&["--until", "2026-08-01"]);
    assert!(early.contains("2026-09-09") && early.contains("--until"), "{early}");
    let wrong = refusal(&["--alerts", "calls.ndjson"]);
    assert!(wrong.contains("calls.ndjson:1: expected an OCSF Detection Finding"), "{wrong}");
    assert!(!wrong.contains("stripe"), "{wrong}");
}

/// Run by hand: `cargo test --test audit -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes: it builds a large catalogue first"]
fn the_report_of_a_large_company_takes_less_than_thirty_seconds() {
    use apiwarden::calls::VendorPack;
    use apiwarden::catalog::{Catalog, Limits};
    use apiwarden::rollup::Rollup;

    let home = tempfile::tempdir().expect("a directory");
    let store = home.path().join("catalog");
    let mut catalog = Catalog::open(&store, VendorPack::embedded(), Limits::default()).expect("a catalogue");
    let mut rebuild = catalog.rebuild().expect("a catalogue");
    let words = ["users", "orders", "items", "events", "files", "teams", "rates", "plans", "notes", "tags"];
    for day in 1..=30 {
        // 5,000 vendors with 20 endpoints each, 50,000 keys of 2,000 callers; a third of it on a day.
        let calls: Vec<String> = (0..100_000_u32)
            .filter(|n| (n + day) % 3 == 0)
            .map(|n| {
                let (vendor, endpoint) = (n % 5_000, n / 5_000);
                let path = format!("/v{}/{}", endpoint / 10, words[endpoint as usize % 10]);
                call(
                    day,
                    &format!("caller-{}", n % 2_000),
                    &format!("api.vendor{vendor}.com"),
                    &path,
                    &format!("key-{}", n % 50_000),
                )
            })
            .collect();
        rebuild.add(&Rollup::of(&decode(&calls).0).into_rows()).expect("rows");
    }
    rebuild.finish(None).expect("a catalogue");
    for format in ["html", "json"] {
        let began = Instant::now();
        let page = audit(home.path(), &["--format", format]);
        let took = began.elapsed().as_secs_f64();
        println!("{format}: {} bytes in {took:.1} s", page.len());
        assert!(took < 30.0, "{took}");
    }
    let totals = report(home.path(), &[])["inventory"]["totals"].to_string();
    println!("{totals}");
    assert!(
        totals.contains("\"known\":5000")
            && totals.contains("100000")
            && totals.contains("50000")
            && totals.contains("2000")
    );
}
