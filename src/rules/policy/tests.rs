//! Policies as people write them, right and wrong.

use super::*;

const RULES: [&str; 2] = ["plaintext", "weak_tls"];

fn read(text: &str) -> Result<Policy, String> {
    let vendors = VendorPack::embedded();
    Policy::parse(Path::new("policy.toml"), text, &vendors, &RULES).map_err(|error| error.to_string())
}

fn time(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

#[test]
fn an_exception_ends_with_its_last_day_and_covers_its_scope_alone() {
    let policy = read(
        "[[exceptions]]\nrules = [\"plaintext\"]\ncallers = [\"legacy-*\"]\nvendors = [\"google\"]\n\
         reason = \"moves in Q1, agreed with security\"\nexpires = 2027-03-31\n",
    );
    let policy = policy.unwrap();
    let covers =
        |rule: &str, caller: &str, vendor: &str, at: &str| policy.exception(rule, caller, vendor, time(at)).is_some();
    assert!(covers("plaintext", "legacy-geo", "google", "2027-03-31T23:59:00Z"));
    assert!(!covers("plaintext", "legacy-geo", "google", "2027-04-01T00:00:00Z"));
    assert!(!covers("weak_tls", "legacy-geo", "google", "2027-01-01T00:00:00Z"));
    assert!(!covers("plaintext", "geo", "google", "2027-01-01T00:00:00Z"));
    assert!(!covers("plaintext", "legacy-geo", "stripe", "2027-01-01T00:00:00Z"));
}

#[test]
fn names_tell_the_environment_by_a_word_and_not_by_a_part_of_one() {
    let policy = Policy::default();
    for (caller, environment) in [
        ("billing-prod", Some("production")),
        ("prod", Some("production")),
        ("eu.prod.billing", Some("production")),
        ("staging-billing", Some("test")),
        ("product-search", None),
        ("latest", None),
    ] {
        assert_eq!(policy.environment(caller), environment, "{caller}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_to_write() {
    for (text, problem) in [
        (
            "[[vendors]]\nnames = [\"strip\"]\n",
            "policy.toml:2: vendors.names: `strip` is no vendor that is known (stripe?)",
        ),
        (
            "[[exceptions]]\nrules = [\"plaintext\"]\nreason = \"x\"\n",
            "policy.toml:1: exceptions.expires: is missing: an exception ends",
        ),
        (
            "[[exceptions]]\nrules = [\"plain\"]\nreason = \"x\"\nexpires = 2027-01-01\n",
            "policy.toml:2: plain: is no rule: there are plaintext",
        ),
        ("[[exceptions]]\nrules = [\"plaintext\"]\nexpires = 2027-01-01\n", "exceptions.reason: is missing"),
        ("\n[levels]\nplaintext = \"severe\"\n", "policy.toml:3: levels.plaintext: write off, or one of"),
        ("[transport]\nmin_tls = \"1.4\"\n", "policy.toml:2: transport.min_tls: write one of"),
        ("[transport]\ntls = \"1.2\"\n", "policy.toml:2: tls: unknown field `tls`, expected `min_tls`"),
        (
            "[[budgets]]\ncallers = [\"a\"]\ncalls_per_day = 1\ncallers_together = true\n",
            "policy.toml:1: budgets.callers_together: is for all callers",
        ),
        (
            "[[gateways]]\nvendors = [\"openai\"]\nnetworks = [\"10.20.0.0/99\"]\n",
            "policy.toml:3: gateways.networks: `10.20.0.0/99` is no network",
        ),
        ("[[vendors]]\nnames = [\"stripe\"]\ncallers = []\n", "is empty: leave it out for all"),
        ("[[compromised]]\nvendors = [\"stripe\"]\n", "policy.toml:1: compromised.since: is missing"),
        ("[[gateways]]\nvendors = [\"openai\"]\n", "policy.toml:1: gateways: names no gateway"),
        ("[[deprecated]]\nvendor = \"stripe\"\n", "policy.toml:1: deprecated: names nothing"),
        (
            "[[vendors]]\nnames = [\"stripe\"]\ndata_classes = [\"moods\"]\n",
            "policy.toml:3: data_classes: unknown variant `moods`, expected one of `personal`, `card`",
        ),
        ("[[budgets]]\ncallers = [\"a\"]\n", "policy.toml:1: budgets: limits nothing"),
        (
            "[[vendors]]\nnames = [\"stripe\"]\nenvironments = [\"moon\"]\n",
            "policy.toml:3: vendors.environments: `moon`",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(problem), "expected {problem}\nfound    {error}");
    }
}
