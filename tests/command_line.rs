//! The command line as people meet it: what works, what is refused, and what a refusal says.

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::assert::Assert;
use common::{later, logs, program, repository, write_lines};
use polars::prelude::df;
use polars_io::parquet::write::ParquetWriter;
use serde_json::Value;
use tempfile::TempDir;

/// Where the history, the later records and the bundle lie that the tests share.
struct Home(TempDir);

impl Home {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A bundle, trained once by the program itself.
fn home() -> &'static Home {
    static HOME: OnceLock<Home> = OnceLock::new();
    HOME.get_or_init(|| {
        let home = Home(tempfile::tempdir().expect("a directory"));
        write_lines(&home.path("history.ndjson"), &logs().history);
        write_lines(&home.path("later.ndjson"), &later("2026-09-15", "2026-09-17T05"));
        let report = train(&home.path("history.ndjson"), &home.path("bundle"));
        assert_eq!(report["calls"], logs().history.len());
        home
    })
}

/// Trains, and returns the report.
fn train(input: &Path, out: &Path) -> Value {
    let trained = program().args(["train", "--json", "--input"]).arg(input).arg("--out").arg(out).assert().success();
    serde_json::from_slice(&trained.get_output().stdout).expect("a report in JSON")
}

fn scan(input: &Path, bundle: &Path) -> assert_cmd::Command {
    let mut command = program();
    command.arg("scan").arg("--input").arg(input).arg("--model").arg(bundle);
    command
}

/// Alerts on standard output.
fn alerts(scanned: &Assert) -> Vec<Value> {
    let lines = String::from_utf8(scanned.get_output().stdout.clone()).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("an alert a line")).collect()
}

/// Runs a command that must be refused, and returns what it says.
fn refusal(command: &mut assert_cmd::Command) -> String {
    let refused = command.assert().failure().code(1);
    let says = String::from_utf8(refused.get_output().stderr.clone()).expect("UTF-8");
    assert!(says.contains("apiwarden: ") && !says.contains("panicked"), "{says}");
    says
}

/// A copy of the bundle to be spoilt.
fn copy_of_bundle(to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(home().path("bundle")).expect("the bundle") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
fn training_scanning_and_evaluating_find_what_was_planted_in_valid_alerts() {
    let home = home();
    let scanned = scan(&home.path("later.ndjson"), &home.path("bundle")).assert().success();
    let alerts = alerts(&scanned);
    assert!(!alerts.is_empty());
    let schema = fs::read(repository("tests/ocsf/detection_finding-1.6.0.schema.json")).expect("the schema");
    let validator = jsonschema::validator_for(&serde_json::from_slice(&schema).expect("JSON")).expect("a JSON Schema");
    for alert in &alerts {
        let diagnostics: Vec<String> = validator.iter_errors(alert).map(|error| error.to_string()).collect();
        assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    }

    let labels = home.path("labels.csv");
    let rows = "scenario,kind,category,malicious,start,end,caller,vendor_host,credential
A,upload to a new host,exfiltration,1,2026-09-15T14:18:00Z,2026-09-15T15:00:00Z,support-portal,transfer.sh,
B,stolen key,abuse,1,2026-09-16T03:30:00Z,2026-09-16T05:00:00Z,billing-worker,api.stripe.com,
C,metered API run up,abuse,1,2026-09-17T01:00:00Z,2026-09-17T03:00:00Z,ml-gateway,api.openai.com,
";
    fs::write(&labels, rows).expect("labels");
    let mut evaluate = program();
    evaluate.args(["evaluate", "--json", "--input"]).arg(home.path("later.ndjson"));
    evaluate.arg("--model").arg(home.path("bundle")).arg("--labels").arg(&labels);
    let evaluated = evaluate.assert().success();
    let report: Value = serde_json::from_slice(&evaluated.get_output().stdout).expect("a report in JSON");
    assert_eq!(report["total"], serde_json::json!({ "found": 3, "of": 3 }), "{report:#}");
}

#[test]
fn a_bundle_that_does_not_fit_is_refused_with_the_reason() {
    let home = home();
    let later = home.path("later.ndjson");
    let spoilt = |name: &str, part: &str, spoil: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let bundle = home.path(name);
        copy_of_bundle(&bundle);
        let bytes = fs::read(bundle.join(part)).expect("a part");
        fs::write(bundle.join(part), spoil(bytes)).expect("a part");
        refusal(&mut scan(&later, &bundle))
    };
    let says = spoilt("flipped", "baselines.zst", &|mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    });
    assert!(says.contains("baselines.zst") && says.contains("damaged"), "{says}");
    let says = spoilt("cut", "multivariate.zst", &|bytes| bytes[..bytes.len() / 2].to_vec());
    assert!(says.contains("multivariate.zst") && says.contains("damaged"), "{says}");
    let says = spoilt("newer", "manifest.json", &|bytes| {
        let text = String::from_utf8(bytes).expect("UTF-8");
        let version = format!("\"format_version\": {}", apiwarden::models::bundle::FORMAT_VERSION);
        assert!(text.contains(&version));
        text.replace(&version, "\"format_version\": 99").into_bytes()
    });
    assert!(says.contains("newer") && says.contains("format 99"), "{says}");
    let says = spoilt("garbled", "manifest.json", &|_| b"{".to_vec());
    assert!(says.contains("manifest.json"), "{says}");

    let another = "another passphrase for tests";
    let says = refusal(scan(&later, &home.path("bundle")).env("APIWARDEN_FINGERPRINT_KEY", another));
    let bundle = home.path("bundle").display().to_string();
    assert!(says.contains(&bundle) && says.contains("fingerprint key") && !says.contains(another), "{says}");
    let says = refusal(&mut scan(&later, &home.path("no-bundle")));
    assert!(says.contains("no-bundle"), "{says}");
}

#[test]
fn missing_and_useless_inputs_are_refused_with_their_names() {
    let home = home();
    let bundle = home.path("bundle");
    let says = refusal(&mut scan(&home.path("nowhere.ndjson"), &bundle));
    assert!(says.contains("nowhere.ndjson"), "{says}");
    let says = refusal(scan(&home.path("later.ndjson"), &bundle).env("APIWARDEN_FINGERPRINT_KEY", "hunter2"));
    assert!(says.contains("APIWARDEN_FINGERPRINT_KEY") && !says.contains("hunter2"), "{says}");

    let empty = home.path("empty.ndjson");
    fs::write(&empty, "").expect("a file");
    let out = home.path("unborn");
    let says = refusal(program().arg("train").arg("--input").arg(&empty).arg("--out").arg(&out));
    assert!(says.contains("no call in the input") && !out.exists(), "{says}");

    let labels = home.path("bad-labels.csv");
    fs::write(&labels, "technique,tactic,start,end\nT1,x,yesterday,today\n").expect("a file");
    let mut evaluate = program();
    evaluate.args(["evaluate", "--input"]).arg(home.path("later.ndjson")).arg("--model").arg(&bundle);
    let says = refusal(evaluate.arg("--labels").arg(&labels));
    assert!(says.contains("bad-labels.csv:2") && says.contains("start"), "{says}");

    let taken = home.path("taken");
    fs::create_dir(&taken).expect("a directory");
    fs::write(taken.join("thesis.txt"), "years of work").expect("a file");
    let sample = repository("datasets/samples/ecs.ndjson");
    let says = refusal(program().arg("train").arg("--input").arg(&sample).arg("--out").arg(&taken));
    assert!(says.contains("taken") && taken.join("thesis.txt").exists(), "{says}");
    let beside = fs::read_dir(home.0.path()).expect("the directory").map(|entry| entry.expect("an entry").file_name());
    let left: Vec<_> = beside.filter(|name| name.to_string_lossy().starts_with(".taken")).collect();
    assert!(left.is_empty(), "a failed training leaves {left:?}");
}

#[test]
fn a_bad_pipeline_file_is_refused_with_file_line_and_field() {
    let home = home();
    let good = "[source.kafka]
brokers = \"localhost:9092\"
topics = [\"api-logs\"]
[decode]
format = \"ecs\"
[model]
bundle = \"bundle\"
[detection]
alerts_per_day = 1.0
[[sinks]]
type = \"stdout\"
";
    let pipeline = home.path("pipeline.toml");
    let sample = repository("datasets/samples/ecs.ndjson");
    let with = |text: &str| {
        fs::write(&pipeline, text).expect("a pipeline file");
        let mut command = scan(&sample, &home.path("bundle"));
        command.arg("--pipeline").arg(&pipeline);
        command
    };
    with(good).assert().success();
    for (wrong, instead, line, field) in [
        ("format = \"ecs\"", "format = \"ecc\"", 5, "decode.format"),
        ("alerts_per_day = 1.0", "alerts_a_day = 1.0", 9, "detection.alerts_a_day"),
        ("alerts_per_day = 1.0", "alerts_per_day = \"one\"", 9, "detection.alerts_per_day"),
        ("alerts_per_day = 1.0", "alerts_per_day = -1.0", 9, "detection.alerts_per_day"),
        ("type = \"stdout\"", "type = \"pigeon\"", 11, "sinks.type"),
        ("[model]", "[model", 6, "expected `]`"),
    ] {
        assert!(good.contains(wrong));
        let says = refusal(&mut with(&good.replace(wrong, instead)));
        assert!(says.contains(&format!("pipeline.toml:{line}")) && says.contains(field), "{instead}: {says}");
    }
    let says = refusal(scan(&sample, &home.path("bundle")).arg("--pipeline").arg(home.path("no.toml")));
    assert!(says.contains("no.toml"), "{says}");
}

#[test]
fn every_packing_and_every_way_to_name_inputs_gives_the_same_calls() {
    let home = tempfile::tempdir().expect("a directory");
    let sample = fs::read(repository("datasets/samples/ecs.ndjson")).expect("the sample");
    let lines: Vec<String> = String::from_utf8(sample.clone()).expect("UTF-8").lines().map(str::to_owned).collect();
    let (first, second) = lines.split_at(lines.len() / 2);
    let path = |name: &str| home.path().join(name);
    fs::write(path("plain.ndjson"), &sample).expect("a file");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&sample).expect("gzip");
    fs::write(path("packed.gz"), gzip.finish().expect("gzip")).expect("a file");
    fs::write(path("packed.zst"), zstd::encode_all(sample.as_slice(), 1).expect("zstd")).expect("a file");
    let mut rows = df!("message" => &lines).expect("a column");
    ParquetWriter::new(fs::File::create(path("rows.parquet")).expect("a file")).finish(&mut rows).expect("Parquet");
    fs::create_dir_all(path("directory/below")).expect("a directory");
    write_lines(&path("directory/a.ndjson"), first);
    write_lines(&path("directory/below/b.ndjson"), second);
    write_lines(&path("part-1.log"), first);
    write_lines(&path("part-2.log"), second);

    let count = |input: &Path, stdin: &[u8]| {
        let mut command = program();
        command.args(["train", "--json", "--input"]).arg(input).arg("--out").arg(path("bundle")).write_stdin(stdin);
        let trained = command.assert().success();
        let report: Value = serde_json::from_slice(&trained.get_output().stdout).expect("a report in JSON");
        report["calls"].clone()
    };
    for name in ["plain.ndjson", "packed.gz", "packed.zst", "rows.parquet", "directory", "part-*.log"] {
        assert_eq!(count(&path(name), b""), lines.len(), "{name}");
    }
    assert_eq!(count(Path::new("-"), &sample), lines.len(), "standard input");
}

/// Records of callers such as no model expects, beginning at 2026-09-06T00:00:00Z, a minute apart.
fn strange_records() -> Vec<String> {
    let record = |minute: i64, caller: &str, numbers: &str| {
        let time = format!("2026-09-{:02}T{:02}:{:02}:00Z", 6 + minute / 1440, minute / 60 % 24, minute % 60);
        format!(
            r#"{{"@timestamp":"{time}","ecs":{{"version":"8.17.0"}},"service":{{"name":"{caller}"}},"url":{{"domain":"api.stripe.com","path":"/v1/x"}},"http":{{"request":{{"method":"POST"{numbers}}},"response":{{"status_code":200}}}}}}"#
        )
    };
    let mut records = Vec::new();
    for minute in 0..1500 {
        records.push(record(minute, "constant", r#","bytes":100"#));
        records.push(record(minute, "without-numbers", ""));
        records.push(record(minute, "huge", r#","bytes":9223372036854775807"#));
    }
    for minute in 0..30 {
        records.push(record(minute, "negative", r#","bytes":-5"#));
        records.push(record(minute, "beyond", r#","bytes":18446744073709551615"#));
        records.push(record(minute, "fraction", r#","bytes":1e300"#));
        records.push(record(minute, "slow", "").replacen(r#""ecs""#, r#""event":{"duration":1e308},"ecs""#, 1));
        records.push(record(minute, "", ""));
        records.push(record(minute, "no-host", "").replace("api.stripe.com", ""));
    }
    records
}

#[test]
fn a_record_that_lies_in_two_files_is_learned_once_and_reported() {
    let home = Home(tempfile::tempdir().expect("a directory"));
    let sample = repository("datasets/samples/cloudtrail.ndjson");
    fs::create_dir(home.path("logs")).expect("a directory");
    for name in ["a.ndjson", "b.ndjson"] {
        fs::copy(&sample, home.path("logs").join(name)).expect("a copy");
    }
    let once = train(&sample, &home.path("once"));
    let twice = train(&home.path("logs"), &home.path("twice"));
    assert_eq!(twice["calls"], once["calls"]);
    assert_eq!(twice["bundle"], once["bundle"], "the same history gives the same bundle");
    let count = |report: &Value, what: &str| report[what].as_u64().expect("a count");
    let read_once = count(&once, "calls") + count(&once, "trimmed");
    assert_eq!(count(&twice, "repeated"), read_once + 2 * count(&once, "repeated"));
}

#[test]
fn strange_entities_never_fail_training_and_are_reported() {
    let home = tempfile::tempdir().expect("a directory");
    let [history, bundle] = ["history", "bundle"].map(|name| home.path().join(name));
    fs::create_dir(&history).expect("a directory");
    write_lines(&history.join("a.ndjson"), &strange_records());
    write_lines(&history.join("b.ndjson"), &logs().history);
    let report = train(&history, &bundle);
    let left_out = report["left_out"].as_array().expect("what was left out");
    let count: u64 = left_out.iter().filter_map(|left_out| left_out["count"].as_u64()).sum();
    assert!(count >= 60, "empty and hostless records are told of: {left_out:#?}");
    let reported = report["judged_by_peers"].to_string() + &report["strange"].to_string();
    for caller in ["slow", "beyond"] {
        assert!(
            reported.contains(&format!("{caller} → ")),
            "{caller} has too few calls to be judged by its own history: {reported}"
        );
    }

    // The strange ones may be alerted on, and do not hide what is found of the others.
    let later = home.path().join("later");
    fs::create_dir(&later).expect("a directory");
    let absurd = strange_records().into_iter().map(|record| record.replace("2026-09-0", "2026-09-1"));
    write_lines(&later.join("a.ndjson"), &absurd.collect::<Vec<_>>());
    write_lines(&later.join("b.ndjson"), &common::later("2026-09-15", "2026-09-17T05"));
    let scanned = scan(&later, &bundle).assert().success();
    let alerts = alerts(&scanned);
    for caller in ["billing-worker", "ml-gateway"] {
        let pages = |alert: &&Value| alert["severity_id"].as_u64() >= Some(3) && alert.to_string().contains(caller);
        assert!(alerts.iter().any(|alert| pages(&alert)), "{caller}");
    }
}

#[test]
fn kept_rollups_teach_what_the_records_teach_and_are_never_mixed() {
    let home = home();
    let (kept, learned) = (home.path("kept"), home.path("from-rollups"));
    let keep = || {
        let mut keep = scan(&home.path("history.ndjson"), &home.path("bundle"));
        keep.arg("--keep-rollups").arg(&kept).arg("--output").arg(home.path("of-history.ndjson"));
        keep
    };
    keep().assert().success();
    let version = |bundle: &Path| {
        let manifest = fs::read(bundle.join("manifest.json")).expect("a manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        [manifest["version"].clone(), manifest["calls"].clone(), manifest["data_hash"].clone()]
    };
    program().args(["train", "--from-rollups"]).arg(&kept).arg("--out").arg(&learned).assert().success();
    assert_eq!(version(&learned), version(&home.path("bundle")));
    assert!(refusal(&mut keep()).contains("give an empty directory"));
    let none =
        refusal(program().args(["train", "--from-rollups"]).arg(home.path("nothing")).arg("--out").arg(&learned));
    assert!(none.contains("no kept rollups there"), "{none}");
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let completed = program().args(["completions", shell]).assert().success();
        let script = String::from_utf8(completed.get_output().stdout.clone()).expect("UTF-8");
        for word in ["apiwarden", "train", "scan", "evaluate", "--model"] {
            // fish names a long option by `-l`, without its dashes.
            let word = if shell == "fish" { word.replace("--", "-l ") } else { word.to_owned() };
            assert!(script.contains(&word), "{shell}: no {word}");
        }
    }
}

#[test]
fn an_output_that_is_read_is_refused_and_nothing_is_lost() {
    let home = tempfile::tempdir().expect("a directory");
    let sample = fs::read(repository("datasets/samples/ecs.ndjson")).expect("the sample");
    let log = home.path().join("today.ndjson");
    fs::write(&log, &sample).expect("a file");
    let bundle = self::home().path("bundle");
    let says = refusal(scan(&log, &bundle).arg("--output").arg(&log));
    assert!(says.contains("today.ndjson: is also an input"), "{says}");
    let stdin = fs::File::open(&log).expect("the log");
    let mut from_stdin = std::process::Command::new(env!("CARGO_BIN_EXE_apiwarden"));
    from_stdin.env("APIWARDEN_FINGERPRINT_KEY", common::PASSPHRASE).args(["scan", "--input", "-", "--model"]);
    let refused = from_stdin.arg(&bundle).arg("--output").arg(&log).stdin(stdin).output().expect("it runs");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("is also an input"));
    let manifest = fs::read(bundle.join("manifest.json")).expect("the manifest");
    let says = refusal(scan(&log, &bundle).arg("--output").arg(bundle.join("manifest.json")));
    assert!(says.contains("lies in the bundle"), "{says}");
    assert_eq!(fs::read(&log).expect("the log"), sample);
    assert_eq!(fs::read(bundle.join("manifest.json")).expect("the manifest"), manifest);

    let output = home.path().join("alerts.ndjson");
    fs::write(&output, "of yesterday").expect("a file");
    refusal(scan(&home.path().join("none"), &bundle).arg("--output").arg(&output));
    assert_eq!(fs::read_to_string(&output).expect("the alerts"), "of yesterday");
    scan(&log, &bundle).arg("--output").arg(&output).assert().success();
    assert_ne!(fs::read_to_string(&output).expect("the alerts"), "of yesterday");
    assert_eq!(fs::read_dir(home.path()).expect("the directory").count(), 2, "nothing is left beside the files");
}

#[test]
fn a_bundle_without_a_history_judges_no_egress() {
    let home = tempfile::tempdir().expect("a directory");
    let bundle = home.path().join("bundle");
    let trained = program().args(["train", "--without-history", "--out"]).arg(&bundle).assert().success();
    let report = String::from_utf8_lossy(&trained.get_output().stdout).into_owned();
    assert!(report.contains("No history") && !report.contains("1970"), "{report}");
    let scanned = scan(&self::home().path("later.ndjson"), &bundle).assert().success();
    assert_eq!(alerts(&scanned), Vec::<Value>::new());
}

#[test]
fn a_name_from_a_log_never_controls_the_terminal() {
    let home = tempfile::tempdir().expect("a directory");
    let [log, bundle] = ["log.ndjson", "bundle"].map(|name| home.path().join(name));
    let hostile = "\\u001b[2J\\u202eevil\\u0000\\u009b\\nBudget";
    let records: Vec<String> =
        strange_records().into_iter().map(|record| record.replace("\"constant\"", &format!("\"{hostile}\""))).collect();
    write_lines(&log, &records);
    let train = program().arg("train").arg("--input").arg(&log).arg("--out").arg(&bundle).assert().success();
    let inspect = program().args(["model", "inspect"]).arg(&bundle).assert().success();
    let scan = refusal(&mut scan(Path::new("no\u{1b}such\u{202e}file"), &bundle));
    let printed = [&train, &inspect].map(|done| String::from_utf8_lossy(&done.get_output().stdout).into_owned());
    assert!(printed[1].contains("evil"), "{}", printed[1]);
    for text in printed.iter().chain([&scan]) {
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\0', '\u{9b}']), "{text:?}");
        assert!(text.lines().filter(|line| line.starts_with("Budget")).count() < 2, "{text}");
    }
}

#[test]
fn only_what_was_measured_is_inspected() {
    let home = tempfile::tempdir().expect("a directory");
    let bundle = home.path().join("bundle");
    train(&repository("datasets/samples/cloudtrail.ndjson"), &bundle);
    let inspected = program().args(["model", "inspect", "--json"]).arg(&bundle).assert().success();
    let inspected: Value = serde_json::from_slice(&inspected.get_output().stdout).expect("JSON");
    let profiles = inspected["profiles"].as_array().expect("profiles");
    assert!(!profiles.is_empty());
    for profile in profiles {
        assert!(profile["usual"]["latency_ms"].is_null(), "{profile:#}");
    }
}

#[test]
fn an_input_that_cannot_be_read_is_reported_once_with_the_cause() {
    let home = tempfile::tempdir().expect("a directory");
    let log = home.path().join("cut.gz");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fs::read(repository("datasets/samples/ecs.ndjson")).expect("the sample")).expect("gzip");
    fs::write(&log, &gzip.finish().expect("gzip")[..20]).expect("a file");
    let says = refusal(&mut scan(&log, &self::home().path("bundle")));
    assert_eq!(says.matches("cut.gz").count(), 1, "{says}");
    assert!(says.contains("cut.gz: cannot be read: it ends too early"), "{says}");
}

#[test]
fn an_evaluation_of_nothing_is_refused_and_one_of_the_training_period_is_reported() {
    let home = home();
    let labels = home.path("early-labels.csv");
    let row = "technique,tactic,start,end\nT1,x,2026-09-10T00:00:00Z,2026-09-10T01:00:00Z\n";
    fs::write(&labels, row).expect("labels");
    let evaluate = || {
        let mut evaluate = program();
        evaluate.arg("evaluate").arg("--model").arg(home.path("bundle")).arg("--labels").arg(&labels);
        evaluate.arg("--input").arg(home.path("later.ndjson"));
        evaluate
    };
    let says = refusal(evaluate().args(["--from", "2026-09-16T00:00:00Z", "--to", "2026-09-15T00:00:00Z"]));
    assert!(says.contains("--from 2026-09-16T00:00:00Z is not before --to 2026-09-15T00:00:00Z"), "{says}");
    let says = refusal(evaluate().args(["--from", "2026-10-16T00:00:00Z"]));
    assert!(says.contains("outside of the logs"), "{says}");
    let evaluated = evaluate().assert().success();
    let says = String::from_utf8_lossy(&evaluated.get_output().stderr).into_owned();
    assert!(says.contains("warning: 1 labels lie in the period that the bundle was trained on"), "{says}");
}

#[test]
fn a_triage_model_is_not_written_over_its_verdicts() {
    let home = tempfile::tempdir().expect("a directory");
    let verdicts = home.path().join("verdicts.ndjson");
    fs::write(&verdicts, "").expect("a file");
    let mut learn = program();
    let says = refusal(learn.args(["alerts", "learn", "--verdicts"]).arg(&verdicts).arg("--out").arg(&verdicts));
    assert!(says.contains("is also an input"), "{says}");
}
