//! Governance rules end to end: a rule that is violated becomes an incident, an exception silences it until its day, and what is wrong with a
//! file of rules is told with its line.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use apiwarden::rollup::Rollup;
use apiwarden::state::KeptRollups;
use common::{decode, later, learn, logs, program, repository, with, write_lines};
use serde_json::Value;
use tempfile::TempDir;

const SCHEME: &str = r#""scheme":""#;
const DOMAIN: &str = r#""domain":""#;

/// Vendors that the history calls.
const APPROVED: &str = r#"[[vendors]]
names = ["stripe", "plaid", "sendgrid", "datadog", "openai", "anthropic", "zendesk", "intercom", "slack"]
"#;

/// A bundle, learned once.
fn bundle() -> &'static Path {
    static HOME: OnceLock<TempDir> = OnceLock::new();
    let home = HOME.get_or_init(|| {
        let home = tempfile::tempdir().expect("a directory");
        learn(&logs().history).0.save(&home.path().join("bundle")).expect("the bundle is saved");
        home
    });
    home.path()
}

/// A directory with a pipeline whose policy ends with `policy`.
fn home(policy: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let path = |name: &str| home.path().join(name);
    fs::create_dir(path("rules")).expect("a directory");
    for file in fs::read_dir(repository("pipelines/rules")).expect("the shipped rules").flatten() {
        fs::copy(file.path(), path("rules").join(file.file_name())).expect("a copy");
    }
    fs::write(path("policy.toml"), format!("{APPROVED}{policy}")).expect("a policy");
    fs::write(path("pipeline.toml"), "[governance]\nrules = \"rules\"\npolicy = \"policy.toml\"\n")
        .expect("a pipeline");
    home
}

/// An hour of billing-worker with one call over plaintext HTTP and one to a vendor that nobody approved.
fn records() -> Vec<String> {
    let mut records = later("2026-09-16T09", "2026-09-16T10");
    let places: Vec<usize> =
        (0..records.len()).filter(|at| records[*at].contains(r#""name":"billing-worker""#)).take(2).collect();
    records[places[0]] = with(&records[places[0]], SCHEME, "http");
    let line = &records[places[1]];
    records[places[1]] = line.replace(&domain_of(line), "api.shadow.dev");
    records
}

fn domain_of(line: &str) -> String {
    let start = line.find(DOMAIN).expect("a domain") + DOMAIN.len();
    line[start..].split('"').next().unwrap_or_default().to_owned()
}

/// The messages of governance alerts of a scan, with or without the pipeline.
fn violations(home: &Path, is_governed: bool) -> Vec<String> {
    violations_in(home, is_governed, &records())
}

fn violations_in(home: &Path, is_governed: bool, records: &[String]) -> Vec<String> {
    write_lines(&home.join("logs.ndjson"), records);
    let mut command = program();
    command.arg("scan").arg("--input").arg(home.join("logs.ndjson")).arg("--model").arg(bundle().join("bundle"));
    if is_governed {
        command.arg("--pipeline").arg(home.join("pipeline.toml"));
    }
    let scanned = command.assert().success();
    let output = String::from_utf8(scanned.get_output().stdout.clone()).expect("UTF-8");
    let alerts = output.lines().map(|line| serde_json::from_str::<Value>(line).expect("an alert a line"));
    let messages = alerts.map(|alert| alert["message"].as_str().unwrap_or_default().to_owned());
    messages.filter(|message| message.contains("violates the rule")).collect()
}

#[test]
fn a_plaintext_call_and_a_shadow_vendor_are_an_incident_each() {
    let home = home("");
    let found = violations(home.path(), true);
    let count = |start: &str| found.iter().filter(|message| message.starts_with(start)).count();
    assert_eq!(count("billing-worker violates the rule plaintext at "), 1, "{found:#?}");
    assert_eq!(count("billing-worker violates the rule vendor_not_approved at shadow.dev"), 1, "{found:#?}");
    assert_eq!(violations(home.path(), false), Vec::<String>::new(), "nothing is configured, nothing changes");
}

/// Changes the path and host of a record.
fn calling(line: &str, host: &str, path: &str) -> String {
    let mut record: Value = serde_json::from_str(line).expect("JSON");
    record["url"]["domain"] = host.into();
    record["url"]["path"] = path.into();
    record.to_string()
}

#[test]
fn sensitive_data_a_key_in_the_url_a_retired_endpoint_and_unsafe_answers_are_told_and_hold_no_value() {
    let home = home(
        "[[vendors]]\nnames = [\"shadow.dev\"]\ndata_classes = [\"personal\"]\n[answers]\nmax_seconds = 60\n\
         [[gateways]]\nvendors = [\"shadow.dev\"]\ngateways = [\"egress-gateway\"]\n",
    );
    let mut lines = later("2026-09-16T09", "2026-09-16T10");
    let places: Vec<usize> =
        (0..lines.len()).filter(|at| lines[*at].contains(r#""name":"billing-worker""#)).take(3).collect();
    let secret = "AIzaSyC7vXq2KtLm9sRw4NbPdFgHjUeTa8YoZ3c";
    lines[places[0]] =
        calling(&lines[places[0]], "api.shadow.dev", "/v1/x?card_number=4242424242424242&email=jo%40example.com");
    let line = calling(&lines[places[1]], "api.openai.com", &format!("/v1/threads?key={secret}"));
    lines[places[1]] = line.replace(r#""method":"GET""#, r#""method":"POST""#);
    let mut record: Value = serde_json::from_str(&calling(&lines[places[2]], "api.shadow.dev", "/v1/y")).expect("JSON");
    record["http"]["request"]["method"] = "POST".into();
    record["http"]["response"] =
        serde_json::json!({"status_code": 307, "headers": {"location": "https://evil.example/y"}});
    record["event"]["duration"] = 61_000_000_000_u64.into();
    lines[places[2]] = record.to_string();
    let found = violations_in(home.path(), true, &lines);
    for (rule, vendor) in [
        ("sensitive_data", "shadow.dev: sent data of the class card (required: at most personal)"),
        ("key_in_url", "openai: sent a key in the query of a URL of api.openai.com"),
        (
            "endpoint_deprecated",
            "openai: called POST /v1/threads in version v1, which is deprecated (required: POST /v1/responses)",
        ),
        ("redirect_off_host", "shadow.dev: was redirected from api.shadow.dev to evil.example"),
        ("redirect_with_body", "shadow.dev"),
        ("no_timeout", "shadow.dev: waited 61 s for POST /v1/y"),
        ("gateway_bypassed", "shadow.dev: called"),
    ] {
        let start = format!("billing-worker violates the rule {rule} at {vendor}");
        let is_told = |message: &&String| message.starts_with(&start);
        assert_eq!(found.iter().filter(is_told).count(), 1, "{rule}: {found:#?}");
    }
    let all = found.concat();
    assert!(!all.contains("4242") && !all.contains("example.com") && !all.contains(&secret[4..16]), "{all}");
}

#[test]
fn an_exception_silences_a_rule_until_its_day() {
    let exception = |expires: &str| {
        format!(
            "[[exceptions]]\nrules = [\"plaintext\"]\ncallers = [\"billing-*\"]\nreason = \"moves\"\nexpires = {expires}\n"
        )
    };
    let is_told = |expires: &str| {
        let found = violations(home(&exception(expires)).path(), true);
        found.iter().any(|message| message.contains("the rule plaintext"))
    };
    assert!(!is_told("2026-09-16"));
    assert!(is_told("2026-09-15"));
}

/// Runs a command that must be refused, and returns what it says.
fn refusal(command: &mut assert_cmd::Command) -> String {
    let refused = command.assert().failure().code(1);
    String::from_utf8(refused.get_output().stderr.clone()).expect("UTF-8")
}

#[test]
fn a_broken_rule_is_refused_with_its_line() {
    let home = home("[[exceptions]]\nrules = [\"plaintext\"]\nreason = \"moves\"\n");
    let says = refusal(program().args(["rules", "check"]).arg(home.path().join("policy.toml")));
    assert!(says.contains("policy.toml:3: exceptions.expires: is missing: an exception ends"), "{says}");
    let rule = home.path().join("rules/own.yml");
    fs::write(&rule, "title: t\nlogsource: {product: apiwarden, category: api_call}\ndetection:\n  s:\n    vendr: stripe\n  condition: s\n")
        .expect("a rule");
    let says = refusal(program().args(["rules", "check"]).arg(&rule));
    assert!(says.contains("own.yml:5: detection.s.vendr: is no field: there are view, caller"), "{says}");
    write_lines(&home.path().join("logs.ndjson"), &records());
    let mut scan = program();
    scan.arg("scan").arg("--input").arg(home.path().join("logs.ndjson")).arg("--model").arg(bundle().join("bundle"));
    let says = refusal(scan.arg("--pipeline").arg(home.path().join("pipeline.toml")));
    assert!(says.contains("own.yml:5: detection.s.vendr"), "{says}");
}

#[test]
fn the_shipped_rules_are_valid_and_do_what_their_samples_say() {
    let rules = repository("pipelines/rules");
    program().args(["rules", "check"]).arg(&rules).arg(rules.join("policy.toml")).assert().success();
    let tested = program().args(["rules", "test"]).arg(&rules).assert().success();
    let says = String::from_utf8(tested.get_output().stdout.clone()).expect("UTF-8");
    assert!(says.contains("0 samples failed, 0 rules lack samples"), "{says}");
}

#[test]
fn a_rule_is_rehearsed_on_logs_before_it_goes_live() {
    let home = tempfile::tempdir().expect("a directory");
    let logs = home.path().join("logs.ndjson");
    write_lines(&logs, &records());
    let rehearsed = program().args(["rules", "rehearse", "plaintext", "--input"]).arg(&logs).assert().success();
    let says = String::from_utf8(rehearsed.get_output().stdout.clone()).expect("UTF-8");
    assert!(says.contains("billing-worker") && says.contains("1 subjects, told 1 times"), "{says}");
    let mut later = program();
    later.args(["rules", "rehearse", "plaintext", "--since", "2026-09-17", "--input"]).arg(&logs);
    let says = String::from_utf8(later.assert().success().get_output().stdout.clone()).expect("UTF-8");
    assert!(says.contains("0 subjects"), "{says}");
}

#[test]
fn a_rule_finds_in_kept_rollups_what_it_finds_in_the_logs_and_remembers_what_was_before() {
    let home = tempfile::tempdir().expect("a directory");
    let (logs, kept) = (home.path().join("logs.ndjson"), home.path().join("kept"));
    write_lines(&logs, &records());
    let mut rollup = Rollup::default();
    rollup.add(&decode(&records()).0);
    KeptRollups::of(&kept).write(0, &rollup.into_rows()).expect("the rollups are kept");
    let rehearse = |from: &str, path: &Path, since: &str| -> String {
        let mut program = program();
        program.args(["rules", "rehearse", "all", "--since", since, from]).arg(path);
        String::from_utf8(program.assert().success().get_output().stdout.clone()).expect("UTF-8")
    };
    let table =
        |says: String| says.lines().filter(|line| line.contains("required")).map(str::to_owned).collect::<Vec<_>>();
    let found = table(rehearse("--input", &logs, "90d"));
    assert!(!found.is_empty());
    assert_eq!(table(rehearse("--from-rollups", &kept, "90d")), found);
}

/// Public rules beside this repository, read at run time and never copied.
const PUBLIC_RULES: &str = "../shared/sigma/sigmahq-cloud-proxy-rules.tar.gz";

#[test]
fn public_rules_are_evaluated_or_listed_and_never_in_the_way() {
    let packed: PathBuf = repository(PUBLIC_RULES);
    if !packed.exists() {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let unpacked = Command::new("tar").arg("xzf").arg(&packed).arg("-C").arg(home.path()).status().expect("tar runs");
    assert!(unpacked.success());
    let checked = program().args(["rules", "check"]).arg(home.path()).assert().success();
    let says = String::from_utf8(checked.get_output().stdout.clone()).expect("UTF-8");
    let account = says.lines().last().unwrap_or_default();
    assert!(account.ends_with("0 policies; 0 refused"), "{account}");
    let evaluated: usize = account.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
    assert!(evaluated >= 120, "{account}");
}
