//! What injection promises, tried on two made-up logs of two weeks: one of egress, one of audit.

use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use super::edit::instant;
use super::survey::{DAY, HOUR, SECOND};
use super::*;
use crate::ingest::parse_rfc3339;

const DAYS: i64 = 14;
/// The first day that counts.
const FROM: i64 = 10;
const MINUTE: i64 = 60 * SECOND;

fn start() -> i64 {
    parse_rfc3339("2026-09-01T00:00:00Z").unwrap()
}

/// When a caller calls.
#[derive(Clone, Copy, PartialEq)]
enum Hours {
    Always,
    Office,
    /// Only in the days that count: many calls over all days would be slow to read.
    Lately,
}
use Hours::{Always, Lately, Office};

/// Times in minutes from each other.
fn times(every: i64, hours: Hours) -> impl Iterator<Item = i64> {
    let is_on = move |time: &i64| match hours {
        Always => true,
        Office => (8..18).contains(&(time.rem_euclid(DAY) / HOUR)),
        Lately => *time >= start() + FROM * DAY,
    };
    (0..DAYS * 24 * 60 / every).map(move |at| start() + at * every * MINUTE).filter(is_on)
}

/// A caller, minutes between its calls, when it calls, its host and the endpoints that it calls in turn.
type Habit = (&'static str, i64, Hours, &'static str, &'static [&'static str]);

const EGRESS: [Habit; 6] = [
    ("busy-svc", 1, Lately, "api.stripe.com", &["POST /v1/charges", "GET /v1/charges/84012345"]),
    ("busy-svc", 5, Lately, "api.openai.com", &["POST /v1/chat/completions"]),
    ("web-svc", 20, Always, "api.stripe.com", &["GET /v1/charges/84017766", "POST /v1/charges"]),
    ("web-svc", 15, Always, "slack.com", &["POST /api/chat.postMessage"]),
    ("reader-svc", 12, Always, "maps.googleapis.com", &["GET /maps/api/geocode/json"]),
    ("office-tool", 10, Office, "api.hubapi.com", &["GET /crm/v3/objects/contacts/265443", "POST /crm/v3/objects"]),
];
const AUDIT: [Habit; 3] = [
    ("deployer", 5, Lately, "ec2", &["DescribeInstances", "RunInstances"]),
    ("benjamin", 10, Office, "s3", &["ListBuckets", "GetBucketPolicy"]),
    ("backup", 30, Always, "s3", &["GetObject", "PutObject"]),
];

fn log(habits: &[Habit], record: impl Fn(&Habit, usize, i64) -> String) -> String {
    let mut records: Vec<(i64, String)> = Vec::new();
    for habit in habits {
        records.extend(times(habit.1, habit.2).enumerate().map(|(at, time)| (time, record(habit, at, time))));
    }
    records.sort();
    records.into_iter().fold(String::new(), |log, (_, record)| log + &record + "\n")
}

fn egress() -> String {
    log(&EGRESS, |(caller, _, _, host, endpoints), at, time| {
        let (method, path) = endpoints[at % endpoints.len()].split_once(' ').unwrap();
        let tokens = if host.contains("openai") { r#","gen_ai":{"usage":{"input_tokens":900}}"# } else { "" };
        format!(
            r#"{{"@timestamp":"{}","ecs":{{"version":"8"}},"event":{{"duration":{}}},"service":{{"name":"{caller}"}},"source":{{"ip":"10.0.{}.{}"}},"url":{{"scheme":"https","domain":"{host}","path":"{path}"}},"http":{{"request":{{"method":"{method}","bytes":{}}},"response":{{"status_code":200,"bytes":{}}}}},"user_agent":{{"original":"node-fetch/3.3.2"}},"labels":{{"credential_id":"sk_{caller}"}},"tls":{{"version":"1.3"}}{tokens}}}"#,
            instant(time, 3),
            80_000_000 + at % 7,
            caller.len(),
            5 + at % 3,
            300 + at % 50,
            2_000 + at % 99,
        )
    })
}

fn audit() -> String {
    log(&AUDIT, |(caller, _, _, service, operations), at, time| {
        format!(
            r#"{{"eventVersion":"1.08","userIdentity":{{"type":"IAMUser","accessKeyId":"AKIA{}","userName":"{caller}"}},"eventTime":"{}","eventSource":"{service}.amazonaws.com","eventName":"{}","awsRegion":"eu-west-1","sourceIPAddress":"10.1.2.{}","userAgent":"Boto3/1.26","eventID":"{caller}-{at}","eventType":"AwsApiCall"}}"#,
            caller.to_uppercase(),
            instant(time, 0),
            operations[at % operations.len()],
            5 + at % 3,
        )
    })
}

struct Bench {
    folder: TempDir,
    inputs: Inputs,
}

impl Bench {
    fn of(log: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, log).unwrap();
        let inputs = Inputs::resolve(&[path.to_str().unwrap().to_owned()]).unwrap();
        Self { folder, inputs }
    }

    fn key(&self) -> FingerprintKey {
        FingerprintKey::load_or_create(&self.folder.path().join("key")).unwrap()
    }

    /// The log and its labels.
    fn inject(&self, wish: &Wish) -> Result<(String, String, Report), InjectError> {
        let (mut log, mut labels) = (Vec::new(), Vec::new());
        let outputs = Outputs { log: &mut log, history: None, labels: &mut labels };
        let report = inject(&self.inputs, wish, &self.key(), outputs)?;
        Ok((String::from_utf8(log).unwrap(), String::from_utf8(labels).unwrap(), report))
    }
}

fn wish(names: &[&str]) -> Wish {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let scenarios = choose(scenarios(None).unwrap(), &names).unwrap();
    Wish { scenarios, strengths: vec![Strength::Medium], copies: 1, seed: 1, from: Some(start() + FROM * DAY) }
}

/// Lines of one text that are not in the other, by number.
fn missing<'a>(from: &'a str, other: &'a str) -> Vec<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in other.lines() {
        *counts.entry(line).or_default() += 1;
    }
    let mut missing = Vec::new();
    for line in from.lines() {
        match counts.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => missing.push(line),
        }
    }
    missing
}

#[test]
fn every_shipped_scenario_finds_a_victim_at_every_strength_and_stays_within_the_log() {
    let surveys = [egress(), audit()].map(|log| take_survey(&Bench::of(&log).inputs).unwrap());
    let (mut reader, mut homeless) = (CallReader::default(), Vec::new());
    for scenario in scenarios(None).unwrap() {
        let survey = surveys.iter().find(|survey| survey.callers.values().any(|facts| facts.view == scenario.view));
        let survey = survey.unwrap();
        let wish = Wish { scenarios: vec![scenario], strengths: Strength::ALL.to_vec(), ..wish(&["deploy"]) };
        for strength in Strength::ALL {
            let wish = Wish { strengths: vec![strength], ..wish.clone() };
            let (mut planted, skipped) = schedule::schedule(&wish, survey);
            homeless.extend(skipped);
            let Some(planting) = planted.first_mut() else { continue };
            assert!(wish.from.unwrap() <= planting.start && planting.end <= survey.last, "{}", planting.label);
            for (_, line) in planting.additions(survey, &mut reader) {
                assert!(reader.read(&line, |_, _| ()).is_some(), "{}: {line}", planting.label);
            }
            let (first, last) = planting.effect.span.unwrap_or((planting.start, planting.end));
            assert!(planting.start <= first && last <= planting.end, "{}", planting.label);
        }
    }
    assert!(homeless.is_empty(), "{homeless:?}");
}

#[test]
fn records_that_no_scenario_means_pass_byte_for_byte_and_all_that_is_written_is_a_call() {
    let log = egress();
    let bench = Bench::of(&log);
    let wish = wish(&["bulk-upload", "larger-calls", "caller-silent", "campaign", "retry-storm"]);
    let (written, labels, report) = bench.inject(&wish).unwrap();
    assert_eq!((report.planted.len(), labels.lines().count()), (5, 6), "{:?}", report.skipped);
    let total = |at: usize| report.planted.iter().map(|planted| planted.records[at] as usize).sum::<usize>();
    let (made, altered, dropped) = (total(0), total(1), total(2));
    assert!(made > 0 && altered > 0 && dropped > 0);
    assert_eq!(missing(&log, &written).len(), altered + dropped);
    assert_eq!(missing(&written, &log).len(), altered + made);
    let mut reader = CallReader::default();
    let times: Vec<i64> = written.lines().map(|line| reader.read(line, |_, call| call.time).expect(line)).collect();
    assert!(times.is_sorted());
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let bench = Bench::of(&egress());
    let one = wish(&["stolen-credential", "slow-leak", "enumeration"]);
    let (first, again) = (bench.inject(&one).unwrap(), bench.inject(&one).unwrap());
    assert!(first.0 == again.0 && first.1 == again.1);
    let other = bench.inject(&Wish { seed: 2, ..one }).unwrap();
    assert!(first.0 != other.0 && first.1 != other.1);
}

#[test]
fn a_scenario_has_the_same_victim_whichever_others_are_planted_later() {
    let bench = Bench::of(&egress());
    let alone = bench.inject(&wish(&["slow-leak"])).unwrap().1;
    let beside = bench.inject(&wish(&["slow-leak", "admin-endpoint"])).unwrap().1;
    let row = |labels: &str| labels.lines().find(|line| line.starts_with("slow-leak")).unwrap().to_owned();
    assert_eq!(row(&alone), row(&beside));
}

#[test]
fn no_label_has_a_credential_and_an_intruder_comes_from_where_nobody_was() {
    let bench = Bench::of(&egress());
    let (written, labels, _) = bench.inject(&wish(&["stolen-credential"])).unwrap();
    assert!(labels.contains(",fp_") && !labels.contains("sk_"), "{labels}");
    let foreign = written.lines().filter(|line| !line.contains(r#""ip":"10.0."#)).count();
    assert_eq!(foreign, 25);
}

#[test]
fn of_a_dormant_credential_the_history_is_planted_and_written_apart() {
    let bench = Bench::of(&egress());
    let (mut log, mut history, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    let outputs = Outputs { log: &mut log, history: Some(&mut history), labels: &mut labels };
    inject(&bench.inputs, &wish(&["dormant-credential"]), &bench.key(), outputs).unwrap();
    let (log, history) = (String::from_utf8(log).unwrap(), String::from_utf8(history).unwrap());
    let own = |line: &&str| EGRESS.iter().any(|(caller, ..)| line.contains(&format!("\"sk_{caller}\"")));
    let strange = |text: &str| text.lines().filter(|line| !own(line)).count();
    assert_eq!((strange(&history), strange(&log)), (144, 20));
}

#[test]
fn what_cannot_be_planted_is_said_with_the_reason() {
    let log = egress();
    let end = log.lines().count();
    let bench = Bench::of(&log.lines().skip(end - 2_000).collect::<Vec<_>>().join("\n"));
    let asked = Wish { from: None, ..wish(&["slow-leak", "dormant-credential", "admin-endpoint"]) };
    let (_, _, report) = bench.inject(&asked).unwrap();
    let reasons: Vec<&str> = report.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
    assert_eq!(reasons, ["needs 10 days of log before what counts (--from)", "lasts 2.0 days, longer than the log"]);
    let error = bench.inject(&Wish { from: None, ..wish(&["slow-leak"]) }).unwrap_err().to_string();
    assert!(error.contains("slow-leak.medium: lasts"), "{error}");
    let empty = Bench::of("{\"a\":1}\nno json\n").inject(&asked).unwrap_err();
    assert!(matches!(empty, InjectError::NoCall));
}

/// A row of the labels, by column.
type Row = BTreeMap<String, String>;

fn rows(labels: &str) -> Vec<Row> {
    csv::Reader::from_reader(labels.as_bytes()).deserialize().map(|row| row.unwrap()).collect()
}

/// What a record shows that a label may name: time, caller, host and the fingerprint of the credential.
fn shown_by(line: &str, reader: &mut CallReader, key: &FingerprintKey) -> (i64, [String; 3]) {
    let shown = reader.read(line, |_, call| {
        let credential = call.credential.as_deref().map(|secret| key.fingerprint(secret));
        (call.time, [call.caller.to_string(), survey::host_of(call), credential.unwrap_or_default()])
    });
    shown.unwrap_or_else(|| panic!("no call: {line}"))
}

/// That a label says what lies in the log: every record that differs lies within its time where it counts, the first and the last exactly at
/// its ends, and whom it names is found among them; and that the report counts them. False where the scenario selected no call, which the
/// report must say, and leave the log as it was.
fn label_fits_the_log(scenario: &Scenario, bench: &Bench, log: &str, seed: u64) -> bool {
    let strength = Strength::ALL[seed as usize % Strength::ALL.len()];
    let wish = Wish { scenarios: vec![scenario.clone()], strengths: vec![strength], seed, ..wish(&["deploy"]) };
    let (written, labels, report) =
        bench.inject(&wish).unwrap_or_else(|problem| panic!("{}: {problem}", scenario.name));
    let (rows, name) = (rows(&labels), format!("{}.{}, seed {seed}", scenario.name, strength.as_str()));
    if report.planted.is_empty() {
        assert!(rows.is_empty() && report.skipped.len() == 1 && written == log, "{name}: {:?}", report.skipped);
        return false;
    }
    let ([row], [planted]) = (&rows[..], &report.planted[..]) else { panic!("{name}: {labels}") };
    let field = |column: &str| row[column].as_str();
    assert_eq!([field("kind"), field("category")], [scenario.kind.as_str(), scenario.category.as_str()], "{name}");
    assert_eq!(field("malicious") == "1", scenario.malicious, "{name}");

    let (new, gone) = (missing(&written, log), missing(log, &written));
    let [made, altered, dropped] = planted.records.map(|count| count as usize);
    assert_eq!(
        (new.len(), gone.len()),
        (made + altered, altered + dropped),
        "{name}: made, altered and dropped records"
    );
    let (mut reader, key) = (CallReader::default(), bench.key());
    let changed = new.iter().chain(&gone).map(|line| shown_by(line, &mut reader, &key));
    // A history that is planted lies before what counts, and what lasts goes on after the label's end.
    let changed: Vec<_> = changed.filter(|(time, _)| *time >= wish.from.unwrap()).collect();
    let [start, end] = ["start", "end"].map(|column| parse_rfc3339(field(column)).unwrap());
    // CloudTrail's times are whole seconds.
    let close = |one: i64, other: i64| (one - other).abs() < SECOND;
    let first = changed.iter().map(|(time, _)| *time).min().unwrap();
    assert!(close(first, start), "{name}: begins at {}, labelled {}", instant(first, 3), field("start"));
    let within: Vec<_> = changed.iter().filter(|(time, _)| *time < end + SECOND).collect();
    let last = within.iter().map(|(time, _)| *time).max().unwrap();
    assert!(close(last, end), "{name}: ends at {}, labelled {}", instant(last, 3), field("end"));
    // Retries and copies may follow the last call by minutes.
    let late = changed.iter().filter(|(time, _)| *time > end + HOUR).count();
    assert!(late == 0 || scenario.lasting, "{name}: {late} records are changed more than an hour after its end");
    for (at, column) in ["caller", "vendor_host", "credential"].into_iter().enumerate() {
        let named = field(column);
        let shows = within.iter().any(|(_, names)| names[at] == named);
        assert!(named.is_empty() || shows, "{name}: no changed record shows the {column} {named}");
    }
    assert!(!field("caller").is_empty() || !field("vendor_host").is_empty(), "{name}: the label names nobody");
    true
}

#[test]
fn what_a_label_says_is_what_lies_in_the_log_for_every_scenario_and_format() {
    let logs = [egress(), audit()];
    let benches = logs.each_ref().map(|log| Bench::of(log));
    let views =
        benches.each_ref().map(|bench| take_survey(&bench.inputs).unwrap().callers.into_values().next().unwrap().view);
    for (seed, scenario) in scenarios(None).unwrap().iter().enumerate() {
        let at = views.iter().position(|view| *view == scenario.view).unwrap();
        let mut seeds = (0..3).map(|again| (seed + 100 * again) as u64);
        assert!(seeds.any(|seed| label_fits_the_log(scenario, &benches[at], &logs[at], seed)), "{}", scenario.name);
    }
}

#[test]
fn every_format_that_has_an_editor_can_be_planted_in() {
    for name in ["ecs", "cloudtrail"] {
        let format = crate::ingest::FormatKind::named(name).unwrap();
        let mut draft = Draft::of(format.sample, &mut CallReader::default()).unwrap();
        draft.apply(edit::Change::Time(start()));
        draft.apply(edit::Change::Caller("intruder"));
        draft.apply(edit::Change::Address("203.0.113.9"));
        draft.apply(edit::Change::Client("curl/8.5.0"));
        draft.apply(edit::Change::Credential(Some("AKIAINTRUDER12345678")));
        let line = draft.into_line();
        let shown = CallReader::default().read(&line, |_, call| {
            let texts =
                [&call.src_ip, &call.user_agent, &call.credential].map(|text| text.as_deref().map(str::to_owned));
            (call.time, call.caller.to_string(), texts)
        });
        let texts = ["203.0.113.9", "curl/8.5.0", "AKIAINTRUDER12345678"].map(|text| Some(text.to_owned()));
        assert_eq!(shown, Some((start(), "intruder".to_owned(), texts)), "{}", format.name);
    }
}
