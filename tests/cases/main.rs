//! Inputs that people really have: each is read as its owner expects.
//!
//! The cases are instances of kinds; siblings of each stand in the unit tests of `ingest`.

use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

/// The calls of a case, and its account, as `apiwarden decode` shows them.
fn decode(file: &str, pipeline: Option<&str>) -> (Vec<Value>, Value) {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut command = Command::cargo_bin("apiwarden").unwrap();
    command.env("APIWARDEN_FINGERPRINT_KEY", "k".repeat(64)).args(["decode", "--format", "json"]).arg(cases.join(file));
    if let Some(pipeline) = pipeline {
        command.arg("--pipeline").arg(cases.join(pipeline));
    }
    let Output { stdout, stderr, status } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{stderr}");
    let calls = String::from_utf8(stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut account = Value::Object(Default::default());
    for line in stderr.lines().rev().take(2) {
        let part: Value = serde_json::from_str(line).unwrap();
        account.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
    }
    (calls, account)
}

fn calls(file: &str) -> Vec<Value> {
    decode(file, None).0
}

fn texts(calls: &[Value], field: &str) -> Vec<String> {
    calls.iter().map(|call| call[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_record_of_every_case_is_accounted_for() {
    for case in std::fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases")).unwrap() {
        let case = case.unwrap().path();
        for file in case.read_dir().into_iter().flatten().map(|file| file.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension != "toml") {
                let (calls, account) = decode(file.to_str().unwrap(), None);
                let count = |what: &str| account[what].as_u64().unwrap();
                let sum = count("calls") + count("rejected") + count("not_a_call") + count("repeated");
                assert_eq!((count("records"), count("calls")), (sum, calls.len() as u64), "{}", file.display());
            }
        }
    }
}

#[test]
fn envelopes_are_opened() {
    for file in [
        "kafka-connect-envelope/deploy-minimal.ndjson",
        "cloudwatch-subscription/minimal.json",
        "eventbridge/minimal.ndjson",
        "logstash-cloudtrail/minimal.ndjson",
        "otlp-json/minimal.ndjson",
        "concatenated-objects/minimal.json",
    ] {
        let (calls, account) = decode(file, None);
        assert!(!calls.is_empty(), "{file}: {account}");
        assert_eq!((account["rejected"].as_u64(), account["not_a_call"].as_u64()), (Some(0), Some(0)), "{file}");
    }
}

#[test]
fn declared_fields_are_taken_before_the_format_decides() {
    let folder = "declared-fields-flat-json";
    let (calls, _) = decode(&format!("{folder}/minimal.ndjson"), Some(&format!("{folder}/pipeline.toml")));
    assert_eq!(texts(&calls, "caller"), ["tariff-calc"]);
    assert_eq!(texts(&calls, "host"), ["api.ferrywise.example"]);
    assert_eq!((calls[0]["bytes_in"].as_u64(), calls[0]["latency_ms"].as_f64()), (Some(2_300), Some(48.0)));
    let folder = "declared-time-field";
    let (calls, _) = decode(&format!("{folder}/minimal.ndjson"), Some(&format!("{folder}/pipeline.toml")));
    assert_eq!(texts(&calls, "time"), ["2026-09-15T08:00:00.000000Z"]);
}

#[test]
fn a_pipeline_file_that_only_says_how_to_decode_is_enough_to_read_files() {
    let home = tempfile::tempdir().unwrap();
    let pipeline = home.path().join("pipeline.toml");
    std::fs::write(&pipeline, "[decode]\nformat = \"ecs\"\n[decode.constants]\ncaller = \"crm\"\n").unwrap();
    let (calls, _) = decode("duplicate-keys/minimal.ndjson", pipeline.to_str());
    assert_eq!(texts(&calls, "caller"), ["crm"]);
}

#[test]
fn dotted_and_nested_keys_mix_and_of_a_key_that_stands_twice_the_last_counts() {
    let call = &calls("dotted-and-nested-keys/minimal.ndjson")[0];
    assert_eq!((call["endpoint"].as_str(), call["status"].as_u64()), (Some("POST /v1/parcels"), Some(503)));
    assert_eq!((call["bytes_out"].as_u64(), call["latency_ms"].as_f64()), (Some(900), Some(81.0)));
    assert_eq!(calls("duplicate-keys/minimal.ndjson").len(), 1);
}

#[test]
fn a_host_as_text_is_the_caller_and_a_chain_of_addresses_is_where_the_call_came_from() {
    assert_eq!(texts(&calls("host-as-string/minimal.ndjson"), "caller"), ["quill-node-1", "quill-node-1"]);
    let addresses = texts(&calls("forwarded-for-chain/minimal.ndjson"), "src_ip");
    assert!(!addresses.is_empty() && addresses.iter().all(|address| address == "198.51.100.77"), "{addresses:?}");
}

#[test]
fn a_failed_call_of_grpc_under_200_is_denied_and_its_method_stays() {
    let call = &calls("grpc-status/minimal.ndjson")[0];
    assert_eq!(call["outcome"].as_str(), Some("denied"));
    assert_eq!(call["endpoint"].as_str(), Some("POST /ferrywise.ledger.v1.LedgerService/PostEntry"));
}

#[test]
fn one_host_in_three_spellings_is_one_vendor() {
    let folder = "internationalised-host";
    let mut hosts = texts(&calls(&format!("{folder}/minimal-history.ndjson")), "vendor");
    hosts.extend(texts(&calls(&format!("{folder}/minimal-new.ndjson")), "vendor"));
    hosts.dedup();
    assert_eq!(hosts, ["xn--bcherei-n2a.example"]);
}

#[test]
fn a_tunnel_names_its_host() {
    let call = &calls("connect-through-proxy/minimal.ndjson")[0];
    assert_eq!((call["host"].as_str(), call["endpoint"].as_str()), (Some("api.ferrywise.example"), Some("CONNECT")));
}

#[test]
fn an_odd_number_is_unknown_and_the_call_stays() {
    let (calls, account) = decode("odd-numbers/bytes.ndjson", None);
    assert_eq!((account["rejected"].as_u64(), account["records"].as_u64()), (Some(0), Some(calls.len() as u64)));
    let bytes = |caller: &str| calls.iter().find(|call| call["caller"] == caller).map(|call| call["bytes_in"].clone());
    for (caller, expected) in
        [("num-nan", Value::Null), ("num-inf", Value::Null), ("num-unit", Value::Null), ("num-thousands", Value::Null)]
    {
        assert_eq!(bytes(caller), Some(expected), "{caller}");
    }
    assert!(account["unreadable_fields"]["http.response.bytes"].as_u64() > Some(5), "{account}");
}

#[test]
fn a_time_is_read_however_it_is_spelled_and_not_guessed() {
    let (calls, account) = decode("time-spellings/input.ndjson", None);
    let rejected = &account["rejected_by_reason"];
    assert_eq!(rejected["no_zone"].as_u64(), Some(1), "{account}");
    assert!(calls.len() >= 21, "{account}");
}

#[test]
fn whoever_an_identity_is_has_a_name_and_an_account() {
    let call = &calls("identity-center/minimal.ndjson")[0];
    assert_eq!(call["caller"].as_str(), Some("a1b2c3d4-0000-4000-8000-00000000cafe"));
    let accounts = texts(&calls("multi-account-role/minimal.ndjson"), "account");
    assert!(accounts.iter().all(|account| account.len() == 12), "{accounts:?}");
}
