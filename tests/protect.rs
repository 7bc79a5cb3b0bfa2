//! Protection end to end: what a catalogue implies is written for every gateway, usual calls pass, what nobody did before is blocked, and whatever
//! cannot be told right is refused or told.

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::OnceLock;

use apiwarden::calls::VendorPack;
use apiwarden::catalog::{Catalog, Kind, Limit, Limits, Reader};
use apiwarden::protect::{Caller, FORMATS, Format, Identity, Newcomers, Policy, Proposal, Reason, Terms};
use apiwarden::rollup::Rollup;
use common::{decode, logs, program, with, write_lines};
use serde_json::Value;
use tempfile::TempDir;

const SERVICE: &str = r#""service":{"name":""#;

/// A catalogue of the demo's history, made once.
fn home() -> &'static Path {
    static HOME: OnceLock<TempDir> = OnceLock::new();
    let home = HOME.get_or_init(|| {
        let home = tempfile::tempdir().expect("a directory");
        write_lines(&home.path().join("history.ndjson"), &logs().history);
        write_lines(&home.path().join("later.ndjson"), &logs().later);
        build(home.path(), "history.ndjson");
        home
    });
    home.path()
}

fn build(home: &Path, input: &str) {
    let (input, store) = (home.join(input), home.join("catalog"));
    program().args(["catalog", "build", "--input"]).arg(input).arg("--store").arg(store).assert().success();
}

/// What `propose` writes, and what it reports.
fn propose(home: &Path, arguments: &[&str]) -> (String, String) {
    let written = program().args(["protect", "propose", "--store"]).arg(home.join("catalog")).args(arguments).assert();
    let Output { stdout, stderr, .. } = written.success().get_output().clone();
    (String::from_utf8(stdout).expect("UTF-8"), String::from_utf8(stderr).expect("UTF-8"))
}

fn check(policy: &Path, logs: &Path) -> Value {
    let mut checked = program();
    checked.args(["protect", "check"]).arg(policy).arg("--against").arg(logs).args(["--format", "json"]);
    serde_json::from_slice(&checked.assert().success().get_output().stdout).expect("an object")
}

fn refusal(arguments: &[&str]) -> String {
    let refused = program().arg("protect").args(arguments).assert().failure();
    String::from_utf8(refused.get_output().stderr.clone()).expect("UTF-8")
}

#[test]
fn usual_calls_pass_every_policy_and_an_upload_to_a_host_never_seen_is_blocked_by_each() {
    let home = home();
    for format in FORMATS {
        let (text, told) = propose(home, &["--format", format.name]);
        let policy = home.join(format!("policy-{}", format.name));
        fs::write(&policy, &text).expect("a policy");
        let found = check(&policy, &home.join("later.ndjson"));
        assert_eq!(found["format"], format.name);
        assert!(told.contains("entries of 3 callers"), "{told}");
        let calls = found["calls"].as_array().expect("rows");
        assert!(!calls.is_empty(), "{}: nothing is blocked", format.name);
        for call in calls {
            let what = (call["caller"].as_str(), call["not_allowed"].as_str());
            assert_eq!(what, (Some("support-portal"), Some("host")), "{}: {call}", format.name);
        }
        let blocked: u64 = calls.iter().map(|call| call["calls"].as_u64().expect("a count")).sum();
        assert_eq!(found["blocked"].as_u64(), Some(blocked));
        assert_eq!(found["judged"].as_u64(), Some(logs().later.len() as u64));
    }
}

#[test]
fn the_catalogues_own_history_passes_the_policy_that_it_implies() {
    let home = home();
    for format in FORMATS {
        let policy = home.join(format!("own-{}", format.name));
        program()
            .args(["protect", "propose", "--min-days", "0", "--format", format.name, "--output"])
            .arg(&policy)
            .arg("--store")
            .arg(home.join("catalog"))
            .assert()
            .success();
        assert_eq!(check(&policy, &home.join("history.ndjson"))["blocked"], 0, "{}", format.name);
    }
}

#[test]
fn a_newcomer_may_do_what_others_do_unless_it_is_denied() {
    let home = home();
    let later: Vec<String> =
        logs().later.iter().filter(|line| line.contains(r#""name":"billing-worker""#)).take(50).cloned().collect();
    let newcomer: Vec<String> = later.iter().map(|line| with(line, SERVICE, "returns-svc")).collect();
    write_lines(&home.join("newcomer.ndjson"), &newcomer);
    for (newcomers, blocked) in [("known", 0), ("deny", 50)] {
        let (text, _) = propose(home, &["--format", "opa", "--newcomers", newcomers]);
        let policy = home.join(format!("newcomers-{newcomers}"));
        fs::write(&policy, text).expect("a policy");
        let found = check(&policy, &home.join("newcomer.ndjson"));
        assert_eq!(found["blocked"], blocked, "{newcomers}: {found}");
        let strict = program()
            .args(["protect", "check"])
            .arg(&policy)
            .arg("--against")
            .arg(home.join("newcomer.ndjson"))
            .arg("--fail-on-blocked")
            .assert();
        let code = if blocked > 0 { 1 } else { 0 };
        strict.code(code);
    }
}

#[test]
fn an_edited_policy_is_judged_as_it_is_and_what_cannot_be_judged_is_named_with_its_line() {
    let home = home();
    let (text, _) = propose(home, &["--format", "squid"]);
    let policy = home.join("edited.conf");
    let without: Vec<&str> = text.lines().filter(|line| !line.contains("api.stripe.com")).collect();
    fs::write(&policy, without.join("\n")).expect("a policy");
    let policy_path = policy.to_str().expect("UTF-8");
    let later = home.join("later.ndjson");
    let told = refusal(&["check", policy_path, "--against", later.to_str().expect("UTF-8")]);
    assert!(told.contains("edited.conf:") && told.contains("not defined"), "{told}");
    let denied = text.replace("acl tunnel method CONNECT", "acl tunnel method CONNECT\nurl_rewrite_program /bin/x");
    fs::write(&policy, denied).expect("a policy");
    let told = refusal(&["check", policy_path, "--against", later.to_str().expect("UTF-8")]);
    assert!(told.contains("cannot judge"), "{told}");
    fs::write(&policy, "something else").expect("a policy");
    let told = refusal(&["check", policy_path, "--against", later.to_str().expect("UTF-8")]);
    assert!(
        told.contains("no policy that `apiwarden protect propose` writes (envoy, kong, squid, networkpolicy, opa)"),
        "{told}"
    );
}

#[test]
fn what_is_new_today_is_not_allowed_for_good_and_a_short_catalogue_says_so() {
    let home = tempfile::tempdir().expect("a directory");
    let mut lines = logs().history.clone();
    let last = lines.last().expect("a record").clone();
    let host = last.split(r#""domain":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a host").to_owned();
    lines.push(with(&last.replace(&host, "api.shadow.dev"), SERVICE, "billing-worker"));
    write_lines(&home.path().join("history.ndjson"), &lines);
    build(home.path(), "history.ndjson");
    let (text, told) = propose(home.path(), &["--format", "opa"]);
    let listed: Vec<&str> = text.lines().filter(|line| line.contains("shadow.dev")).collect();
    assert!(listed.len() == 1 && listed[0].starts_with("#   \"billing-worker\""), "{listed:?}");
    assert!(told.contains("first seen too short a time ago"), "{told}");
    let store = home.path().join("catalog");
    let store = store.to_str().expect("UTF-8");
    let told = refusal(&["propose", "--store", store, "--format", "opa", "--min-days", "60"]);
    assert!(told.contains("build it from more logs, or write --min-days 0"), "{told}");
    let told = refusal(&["propose", "--store", store, "--format", "envoy", "--principal", "spiffe://x"]);
    assert!(told.contains("--principal: write it with {caller} once"), "{told}");
}

#[test]
fn a_caller_past_the_limits_of_the_catalogue_is_told_to_be_incomplete() {
    let home = tempfile::tempdir().expect("a directory");
    let limits = Limits::default().with(Kind::Host, Limit { per_caller: 1, total: 100 });
    let mut catalog = Catalog::open(home.path(), VendorPack::embedded(), limits).expect("a catalogue");
    let rows = Rollup::of(&decode(&logs().history).0).into_rows();
    catalog.add(None, &rows).expect("rows");
    drop(catalog);
    let reader = Reader::open(home.path()).expect("a catalogue");
    let terms = Terms { since: "30d".parse().expect("a span"), min_days: 1, min_calls: 1, newcomers: Newcomers::Deny };
    let proposal = Proposal::of(&reader, &terms).expect("a proposal");
    assert!(proposal.incomplete.iter().any(|one| one.kind == "host"), "{:?}", proposal.incomplete);
    assert!(proposal.left_out.iter().any(|left| left.reason == Reason::Uncounted));
    assert!(proposal.entries.iter().all(|entry| !entry.host.contains("more") && entry.caller != Caller::Newcomers));
    for format in FORMATS {
        let written = format.write(&proposal, &Identity::default()).expect("a policy");
        assert!(written.text.contains("# INCOMPLETE: "), "{}", format.name);
        let path = home.path().join(format.name);
        fs::write(&path, written.text).expect("a policy");
        let (policy, found) = Policy::load(&path).expect("what was written is read");
        assert!(found.name == format.name && !policy.is_empty());
    }
    assert!(Format::named("nginx").is_none());
}
