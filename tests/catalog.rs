//! The catalogue: what the program builds from logs is what an independent count of the raw records says, however they were split, and a
//! hostile caller or a damaged file does it no harm.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use apiwarden::calls::VendorPack;
use apiwarden::catalog::{Catalog, Filter, LISTS, Limits, Reader, RotationLimits, Table};
use apiwarden::rollup::{Rollup, Row};
use common::{PASSPHRASE, decode, key, logs, program, repository, write_lines};
use serde_json::Value;
use tempfile::TempDir;

const DEMO: &str = "datasets/demo/egress.ndjson.zst";

fn build(input: &Path, store: &Path) {
    program().args(["catalog", "build", "--input"]).arg(input).arg("--store").arg(store).assert().success();
}

fn list(store: &Path, arguments: &[&str]) -> Vec<Value> {
    let listed = program().arg("catalog").args(arguments).args(["--format", "json", "--store"]).arg(store).assert();
    serde_json::from_slice(&listed.success().get_output().stdout).expect("an array of objects")
}

/// What a refused command says.
fn refusal(arguments: &[&str], store: &Path) -> String {
    let refused = program().args(arguments).arg("--store").arg(store).assert().failure().code(1);
    String::from_utf8(refused.get_output().stderr.clone()).expect("UTF-8")
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} in {row}"))
}

fn texts(row: &Value, field: &str) -> Vec<String> {
    row[field].as_array().expect("an array").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// Counts and times of a thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fact {
    calls: u64,
    first: String,
    last: String,
}

impl Fact {
    fn add(&mut self, time: &str) {
        self.calls += 1;
        if self.first.is_empty() || *time < *self.first {
            time.clone_into(&mut self.first);
        }
        if *time > *self.last {
            time.clone_into(&mut self.last);
        }
    }

    /// As a list says it; times with milliseconds, as the demo's records have them.
    fn of(row: &Value) -> Self {
        let time = |field: &str| {
            let time: jiff::Timestamp = text(row, field).parse().expect("RFC 3339");
            format!("{time:.3}")
        };
        let calls = row["calls"].as_u64().expect("a count");
        Self { calls, first: time("first_seen"), last: time("last_seen") }
    }
}

/// The demo's records, counted by rules of this test's own.
#[derive(Default)]
struct Truth {
    domains: BTreeMap<String, Fact>,
    hosts: BTreeMap<String, Fact>,
    callers: BTreeMap<String, Fact>,
    /// By fingerprint.
    credentials: BTreeMap<String, (Fact, BTreeSet<String>)>,
    /// By host, method and path.
    endpoints: BTreeMap<(String, String, Vec<String>), Fact>,
}

fn truth() -> Truth {
    let packed = fs::read(repository(DEMO)).expect("the demo's logs");
    let lines = String::from_utf8(zstd::decode_all(packed.as_slice()).expect("zstd")).expect("UTF-8");
    let (mut truth, key) = (Truth::default(), key());
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let time = text(&record, "@timestamp");
        let host = text(&record["url"], "domain").to_owned();
        let caller = text(&record["service"], "name").to_owned();
        let labels: Vec<_> = host.rsplit('.').take(2).collect();
        truth.domains.entry(format!("{}.{}", labels[1], labels[0])).or_default().add(time);
        truth.hosts.entry(host.clone()).or_default().add(time);
        truth.callers.entry(caller.clone()).or_default().add(time);
        if let Some(credential) = record["labels"]["credential_id"].as_str() {
            let known = truth.credentials.entry(key.fingerprint(credential)).or_default();
            known.0.add(time);
            known.1.insert(caller);
        }
        let method = text(&record["http"]["request"], "method").to_owned();
        let path = text(&record["url"], "path").split('/').filter(|segment| !segment.is_empty()).map(str::to_owned);
        truth.endpoints.entry((host, method, path.collect())).or_default().add(time);
    }
    truth.endpoints = templated(truth.endpoints);
    truth
}

type Endpoints = BTreeMap<(String, String, Vec<String>), Fact>;

/// Positions that hold numbers and keys, or more than a dozen different words after the same beginning, are ids.
fn templated(mut endpoints: Endpoints) -> Endpoints {
    let is_key = |segment: &str| {
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        digits == segment.len() || (digits > 0 && segment.len() >= 6)
    };
    let longest = endpoints.keys().map(|key| key.2.len()).max().unwrap_or_default();
    for at in 0..longest {
        let mut children: BTreeMap<(String, String, Vec<String>), BTreeSet<String>> = BTreeMap::new();
        for (host, method, path) in endpoints.keys().filter(|key| key.2.len() > at) {
            let child = if is_key(&path[at]) { "{id}" } else { &path[at] };
            let prefix = (host.clone(), method.clone(), path[..at].to_vec());
            children.entry(prefix).or_default().insert(child.to_owned());
        }
        let mut named = Endpoints::new();
        for ((host, method, mut path), fact) in endpoints {
            if path.len() > at {
                let varies = children[&(host.clone(), method.clone(), path[..at].to_vec())].len() > 12;
                if varies || is_key(&path[at]) {
                    path[at] = "{id}".to_owned();
                }
            }
            let known = named.entry((host, method, path)).or_default();
            let (calls, first) = (known.calls + fact.calls, known.first.clone());
            known.first = if first.is_empty() { fact.first } else { first.min(fact.first) };
            known.last = std::mem::take(&mut known.last).max(fact.last);
            known.calls = calls;
        }
        endpoints = named;
    }
    endpoints
}

#[test]
fn the_catalogue_of_the_demo_is_what_the_raw_records_say() {
    let home = tempfile::tempdir().expect("a directory");
    let store = home.path();
    build(&repository(DEMO), store);
    let truth = truth();
    let by = |arguments: &[&str], field: &str| -> BTreeMap<String, Fact> {
        list(store, arguments).iter().map(|row| (text(row, field).to_owned(), Fact::of(row))).collect()
    };
    assert_eq!(by(&["vendors"], "domain"), truth.domains);
    assert_eq!(by(&["hosts"], "host"), truth.hosts);
    assert_eq!(by(&["callers"], "caller"), truth.callers);
    let credentials: BTreeMap<_, _> = list(store, &["credentials"])
        .iter()
        .map(|row| (text(row, "credential").to_owned(), (Fact::of(row), texts(row, "callers").into_iter().collect())))
        .collect();
    assert_eq!(credentials, truth.credentials);
    let host_of: BTreeMap<String, String> = list(store, &["vendors"])
        .iter()
        .map(|row| (text(row, "vendor").to_owned(), texts(row, "hosts").join(" ")))
        .collect();
    let endpoints: BTreeMap<_, _> = list(store, &["endpoints"])
        .iter()
        .map(|row| {
            let key = (
                host_of[text(row, "vendor")].clone(),
                text(row, "method").to_owned(),
                text(row, "template").to_owned(),
            );
            (key, Fact::of(row))
        })
        .collect();
    let expected: BTreeMap<_, _> = truth
        .endpoints
        .into_iter()
        .map(|((host, method, path), fact)| ((host, method, format!("/{}", path.join("/"))), fact))
        .collect();
    assert_eq!(endpoints, expected);
    let of_one = list(store, &["endpoints", "--vendor", "stripe", "--caller", "billing-worker"]);
    assert!(!of_one.is_empty() && of_one.iter().all(|row| text(row, "vendor") == "stripe"));
    let new = list(store, &["diff", "--since", "2026-09-15"]);
    assert!(new.iter().any(|row| text(row, "change") == "new" && text(row, "name") == "transfer.sh"), "{new:?}");
}

/// All lists of a catalogue.
fn lists(store: &Path) -> Vec<Table> {
    let reader = Reader::open(store).expect("a catalogue");
    let rows = LISTS.iter().map(|list| list.rows(&reader, &Filter::default(), &RotationLimits::default()));
    rows.collect::<Result<_, _>>().expect("lists")
}

fn open(store: &Path) -> Catalog {
    Catalog::open(store, VendorPack::embedded(), Limits::default()).expect("a catalogue")
}

fn rows(lines: &[String]) -> Vec<Row> {
    Rollup::of(&decode(lines).0).into_rows()
}

#[test]
fn however_rows_were_split_and_whatever_was_added_twice_the_catalogue_is_the_same() {
    let lines = &logs().history[..12_000];
    let whole = tempfile::tempdir().expect("a directory");
    open(whole.path()).add(None, &rows(lines)).expect("rows are added");
    let expected = lists(whole.path());
    assert!(expected.iter().filter(|table| !table.rows.is_empty()).count() >= 7);
    for size in [700, 5_000] {
        let home = tempfile::tempdir().expect("a directory");
        for (part, piece) in (1..).zip(lines.chunks(size)) {
            // Opened anew each time, as after a crash; and the last part comes again.
            let mut catalog = open(home.path());
            assert!(catalog.add(Some(part), &rows(piece)).expect("rows are added"));
            assert!(!catalog.add(Some(part), &rows(piece)).expect("a part that is there"));
            assert_eq!(catalog.part().expect("a part"), Some(part));
        }
        assert_eq!(lists(home.path()), expected, "in pieces of {size}");
    }
}

#[test]
fn a_build_that_was_killed_leaves_the_old_content_and_can_be_repeated() {
    let home = tempfile::tempdir().expect("a directory");
    let (store, log) = (home.path().join("store"), home.path().join("log"));
    write_lines(&log, &logs().history[..3_000]);
    build(&log, &store);
    let before = lists(&store);
    let mut building = Command::new(env!("CARGO_BIN_EXE_apiwarden"))
        .args(["catalog", "build", "--input", "-", "--store"])
        .arg(&store)
        .env("APIWARDEN_FINGERPRINT_KEY", PASSPHRASE)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut input = building.stdin.take().expect("a pipe");
    for line in &logs().history[3_000..9_000] {
        writeln!(input, "{line}").expect("a reader");
    }
    // It reads and holds the lock: nobody else may write.
    assert!(
        refusal(&["catalog", "build", "--input", log.to_str().expect("UTF-8")], &store).contains("another process")
    );
    building.kill().expect("a running process");
    building.wait().expect("an end");
    assert_eq!(lists(&store), before);
    build(&log, &store);
    assert_eq!(lists(&store), before);
}

#[test]
fn a_caller_that_makes_up_paths_hosts_and_keys_stays_within_limits_and_is_told_of() {
    let home = tempfile::tempdir().expect("a directory");
    let (store, log) = (home.path().join("store"), home.path().join("log"));
    let sample = &logs().history[0];
    let word = |mut n: u32| {
        let mut word = String::new();
        while word.is_empty() || n > 0 {
            word.push(char::from(b'a' + (n % 26) as u8));
            n /= 26;
        }
        word
    };
    let mut lines: Vec<String> = logs().history[..500].to_vec();
    lines.extend((0..100_000_u32).map(|n| {
        let mut record: Value = serde_json::from_str(sample).expect("JSON");
        record["service"]["name"] = "hostile".into();
        record["url"]["domain"] = format!("{}.made-up-{}.example", word(n), word(n / 3)).into();
        record["url"]["path"] = format!("/{}/{}/{}", word(n), word(n / 7), word(n / 11)).into();
        record["labels"]["credential_id"] = format!("made-up-{n}").into();
        record.to_string()
    }));
    write_lines(&log, &lines);
    build(&log, &store);
    let of_hostile = |name: &str| list(&store, &[name, "--caller", "hostile"]);
    assert!(of_hostile("vendors").len() <= 1_001 && of_hostile("hosts").len() <= 2_002);
    assert!(of_hostile("credentials").len() <= 1_001 && of_hostile("endpoints").len() <= 6_001);
    let findings = list(&store, &["findings"]);
    for kind in ["vendor", "host", "credential"] {
        let finding =
            findings.iter().find(|row| text(row, "kind") == kind).unwrap_or_else(|| panic!("{kind}: {findings:?}"));
        assert_eq!(text(finding, "caller"), "hostile");
        assert!(finding["names"].as_u64().expect("a count") > 20_000, "{finding}");
    }
    // No call is lost, and no other caller pays.
    let calls: u64 = list(&store, &["callers"]).iter().map(|row| row["calls"].as_u64().expect("a count")).sum();
    assert_eq!(calls, 100_500);
    let others = home.path().join("others");
    write_lines(&log, &lines[..500]);
    build(&log, &others);
    let caller = text(&list(&others, &["callers"])[0], "caller").to_owned();
    let of = |store: &Path, name: &str| list(store, &[name, "--caller", &caller]);
    for name in ["vendors", "endpoints", "credentials", "hosts"] {
        let names = |store: &Path| of(store, name).iter().map(|row| row["calls"].clone()).collect::<Vec<_>>();
        assert_eq!(names(&store), names(&others), "{name}");
    }
    assert!(fs::metadata(store.join("catalog.sqlite")).expect("a file").len() < 40 << 20);
}

#[test]
fn no_secret_is_in_the_bytes_of_the_store() {
    let home = tempfile::tempdir().expect("a directory");
    let (store, log) = (home.path().join("store"), home.path().join("log"));
    let canary = "sk_live_4eC39HqLyjWDarjtT1zdp7dcCANARY";
    let lines: Vec<String> = logs().history[..200]
        .iter()
        .map(|line| {
            let mut record: Value = serde_json::from_str(line).expect("JSON");
            record["labels"]["credential_id"] = canary.into();
            record["url"]["path"] = format!("/v1/{canary}?key={canary}").into();
            record["url"]["query"] = format!("api-version={canary}&email={canary}").into();
            record["http"]["request"]["body"]["content"] = format!("{{\"password\":\"{canary}\"}}").into();
            record["http"]["request"]["headers"]["stripe-version"] = canary.into();
            record["http"]["response"] = serde_json::json!({
                "status_code": 302, "headers": {"location": format!("https://{canary}.example.org/{canary}")}
            });
            record["url"]["domain"] = format!("{canary}.example.com").into();
            record["user_agent"]["original"] = canary.into();
            record["service"]["name"] = canary.into();
            record.to_string()
        })
        .collect();
    write_lines(&log, &lines);
    build(&log, &store);
    assert_eq!(list(&store, &["callers"])[0]["calls"], 200);
    let classes: Vec<_> = list(&store, &["classes"]).iter().map(|row| text(row, "class").to_owned()).collect();
    assert_eq!(classes, ["personal", "secrets"]);
    for entry in fs::read_dir(&store).expect("the store") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a file");
        for secret in [canary, "4eC39HqLyjWDarjtT1zdp7dc", "4ec39hqlyjwdarjtt1zdp7dc"] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{}", path.display());
        }
    }
}

/// Records of one caller: each with a host, a path and a body.
fn calls_of(parts: &[(&str, &str, &str)]) -> Vec<String> {
    let call = |(at, (host, path, body)): (usize, &(&str, &str, &str))| {
        let mut record: Value = serde_json::from_str(&logs().history[at]).expect("JSON");
        record["service"]["name"] = "shop".into();
        record["url"]["domain"] = (*host).into();
        record["url"]["path"] = (*path).into();
        record["http"]["request"]["method"] = "POST".into();
        record["http"]["request"]["body"]["content"] = (*body).into();
        record["labels"] = Value::Null;
        record.to_string()
    };
    parts.iter().enumerate().map(call).collect()
}

#[test]
fn classes_of_data_versions_and_kinds_of_credentials_are_counted_exactly() {
    let home = tempfile::tempdir().expect("a directory");
    let (store, log) = (home.path().join("store"), home.path().join("log"));
    let lines = calls_of(&[
        ("api.stripe.com", "/v1/customers?email=a", "{\"card\":{\"number\":1}}"),
        ("api.stripe.com", "/v1/customers?limit=1", "{\"billing\":{\"email\":null}}"),
        ("api.stripe.com", "/v1/customers?api_key=abcdefgh1", ""),
        ("api.openai.com", "/v1/threads", ""),
        ("graph.facebook.com", "/v12.0/me", ""),
        ("api.openai.com", "/v1/responses", ""),
    ]);
    write_lines(&log, &lines);
    build(&log, &store);
    let counts = |rows: Vec<Value>, fields: &[&str]| -> BTreeSet<String> {
        let of = |row: &Value| {
            let named: Vec<_> = fields.iter().map(|field| text(row, field)).collect();
            format!("{} {}", named.join(" "), row["calls"])
        };
        rows.iter().map(of).collect()
    };
    let set = |texts: &[&str]| -> BTreeSet<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
    assert_eq!(
        counts(list(&store, &["classes", "--vendor", "stripe"]), &["direction", "class"]),
        set(&["sent card 1", "sent personal 2", "sent secrets 1"])
    );
    let versions = counts(list(&store, &["versions"]), &["vendor", "version", "deprecated"]);
    assert!(
        versions.contains("meta v12.0 a version from v18.0 on 1") && versions.contains("stripe v1  3"),
        "{versions:?}"
    );
    let endpoints = counts(list(&store, &["endpoints", "--vendor", "openai"]), &["template", "deprecated"]);
    assert_eq!(endpoints, set(&["/v1/threads POST /v1/responses 1", "/v1/responses  1"]));
    let credentials = list(&store, &["credentials"]);
    assert_eq!((credentials.len(), texts(&credentials[0], "kinds")), (1, vec!["query_key".to_owned()]));
    let impact = program().args(["impact", "stripe", "--json", "--store"]).arg(&store).assert().success();
    let impact: Value = serde_json::from_slice(&impact.get_output().stdout).expect("JSON");
    assert_eq!(impact["classes"].as_array().map(Vec::len), Some(3), "{impact}");
    let sheet = program().args(["catalog", "sheet", "meta", "--json", "--store"]).arg(&store).assert().success();
    let sheet: Value = serde_json::from_slice(&sheet.get_output().stdout).expect("JSON");
    assert_eq!(sheet["facts"]["deprecated"], serde_json::json!(["POST /v12.0/me", "v12.0"]));
    let new = list(&store, &["diff", "--since", "2020-01-01"]);
    assert!(new.iter().any(|row| text(row, "kind") == "class" && text(row, "name") == "sent card"), "{new:?}");
}

#[test]
fn a_catalogue_of_an_earlier_version_says_so_and_is_brought_up_with_what_is_in_it() {
    let home = small();
    let before = lists(home.path());
    let connection = rusqlite::Connection::open(home.path().join("catalog.sqlite")).expect("SQLite");
    let back = "DROP VIEW classes; DROP TABLE version; ALTER TABLE endpoint DROP COLUMN version; \
                ALTER TABLE endpoint DROP COLUMN deprecated; PRAGMA user_version = 1;";
    connection.execute_batch(back).expect("SQL");
    drop(connection);
    assert!(refusal(&["catalog", "vendors"], home.path()).contains("earlier version of apiwarden (schema 1"));
    drop(open(home.path()));
    let after = lists(home.path());
    let calls = |lists: &[Table]| lists.iter().map(|table| table.rows.len()).collect::<Vec<_>>();
    assert_eq!(calls(&after), calls(&before));
    assert_eq!(after[0], before[0]);
}

/// A small catalogue.
fn small() -> TempDir {
    let home = tempfile::tempdir().expect("a directory");
    open(home.path()).add(None, &rows(&logs().history[..2_000])).expect("rows are added");
    home
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
    let home = small();
    let file = home.path().join("catalog.sqlite");
    let torn = tempfile::tempdir().expect("a directory");
    let mut bytes = fs::read(&file).expect("a file");
    let middle = bytes.len() / 8192 * 4096;
    bytes[middle..middle + 4096].fill(0);
    fs::write(torn.path().join("catalog.sqlite"), &bytes).expect("a file");
    for list in LISTS {
        assert!(refusal(&["catalog", list.name], torn.path()).contains("damaged"), "{}", list.name);
    }
    let empty = tempfile::tempdir().expect("a directory");
    assert!(refusal(&["catalog", "vendors"], empty.path()).contains("catalog build"));
    assert!(refusal(&["catalog", "vendors", "--vendor", "strpie"], home.path()).contains("no vendor `strpie`"));
    assert!(refusal(&["impact", "nobody"], home.path()).contains("nobody"));
    let execute = |sql: &str| {
        let connection = rusqlite::Connection::open(&file).expect("SQLite");
        connection.execute_batch(sql).expect("SQL");
    };
    execute("PRAGMA user_version = 99");
    assert!(refusal(&["catalog", "vendors"], home.path()).contains("later version"));
    let log = home.path().join("log");
    write_lines(&log, &logs().history[..100]);
    let log = log.to_str().expect("UTF-8");
    assert!(refusal(&["catalog", "build", "--input", log], home.path()).contains("later version"));
    execute("PRAGMA user_version = 1; PRAGMA application_id = 7");
    assert!(refusal(&["catalog", "vendors"], home.path()).contains("no catalogue"));
    let mut bytes = fs::read(&file).expect("a file");
    let (head, rest) = bytes.split_at_mut(100);
    head[68..72].copy_from_slice(&0x6170_7763_u32.to_be_bytes());
    rest.fill(0x5a);
    fs::write(&file, &bytes).expect("a file");
    for side in ["catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let _ = fs::remove_file(home.path().join(side));
    }
    let says = refusal(&["catalog", "vendors"], home.path());
    assert!(says.contains("damaged") && says.contains("build it again"), "{says}");
    fs::write(&file, "no database at all, but a text of some length").expect("a file");
    assert!(refusal(&["catalog", "vendors"], home.path()).contains("damaged"));
}

/// Calls of a caller to Stripe with a key, one each twelve hours from a day of September 2026 until the end of another.
fn calls_with(caller: &str, key: &str, days: std::ops::RangeInclusive<u32>) -> Vec<String> {
    let call = |day: u32, hour: u32| {
        format!(
            r#"{{"@timestamp":"2026-09-{day:02}T{hour:02}:00:00Z","ecs":{{"version":"8.17.0"}},"service":{{"name":"{caller}"}},"url":{{"domain":"api.stripe.com","path":"/v1/charges"}},"http":{{"request":{{"method":"POST"}},"response":{{"status_code":200}}}},"labels":{{"credential_id":"{key}"}}}}"#
        )
    };
    days.flat_map(|day| [call(day, 6), call(day, 18)]).collect()
}

#[test]
fn what_is_not_rotated_after_a_compromise_is_told_until_it_is() {
    let home = tempfile::tempdir().expect("a directory");
    let (log, store, alerts) = (home.path().join("log"), home.path().join("store"), home.path().join("alerts"));
    let mut lines = calls_with("crm", "key-old", 1..=9);
    lines.extend(calls_with("crm", "key-new", 9..=14));
    lines.extend(calls_with("web", "key-old", 1..=14));
    lines.extend(calls_with("web", "key-gone", 1..=3));
    write_lines(&log, &lines);
    build(&log, &store);
    let watch = ["impact", "watch", "stripe", "--since", "2026-09-08", "--json"];
    let told = program().args(watch).arg("--store").arg(&store).assert().failure().code(1);
    let rows: Value = serde_json::from_slice(&told.get_output().stdout).expect("JSON");
    let states: Vec<_> = rows.as_array().expect("rows").iter().map(|row| text(row, "state")).collect();
    assert_eq!(states, ["in use", "not used since"]);
    assert_eq!(texts(&rows[0], "callers_since"), ["crm", "web"]);
    let says = String::from_utf8(told.get_output().stderr.clone()).expect("UTF-8");
    assert!(says.contains("1 of 2 credentials"), "{says}");

    lines.extend(calls_with("web", "key-new", 15..=18));
    lines.extend(calls_with("crm", "key-new", 15..=18));
    write_lines(&log, &lines);
    build(&log, &store);
    let told = program().args(watch).arg("--store").arg(&store).assert().success();
    let rows: Value = serde_json::from_slice(&told.get_output().stdout).expect("JSON");
    assert_eq!((text(&rows[0], "state"), text(&rows[1], "state")), ("replaced", "not used since"));

    let finding = |uid: &str, vendor: &str, first: i64| {
        format!(
            r#"{{"time":{first},"activity_id":1,"severity_id":4,"metadata":{{"uid":"{uid}-1"}},"finding_info":{{"uid":"{uid}","title":"New destination","first_seen_time":{first}}},"resources":[{{"type":"vendor","name":"{vendor}"}}]}}"#
        )
    };
    write_lines(&alerts, &[finding("a", "stripe", 1_789_000_000_000), finding("b", "adyen", 1_788_000_000_000)]);
    let mut impact = program();
    impact.args(["impact", "stripe", "--json", "--alerts"]).arg(&alerts).arg("--store").arg(&store);
    let impact: Value = serde_json::from_slice(&impact.assert().success().get_output().stdout).expect("JSON");
    assert_eq!((impact["alerts"].as_array().map(Vec::len), text(&impact["alerts"][0], "id")), (Some(1), "a"));
    assert!(text(&impact, "first_odd_call").starts_with("2026-09-1"), "{impact}");
}

#[test]
fn impact_sheet_and_exports_say_who_calls_what() {
    let home = small();
    let json = |arguments: &[&str]| -> Value {
        let done = program().args(arguments).arg("--store").arg(home.path()).assert().success();
        serde_json::from_slice(&done.get_output().stdout).expect("JSON")
    };
    let vendors = list(home.path(), &["vendors"]);
    let vendor = text(&vendors[0], "vendor");
    let impact = json(&["impact", vendor, "--json", "--since", "2026-09-01"]);
    let names = |rows: &Value, field: &str| -> BTreeSet<String> {
        rows.as_array().expect("rows").iter().map(|row| text(row, field).to_owned()).collect()
    };
    assert_eq!(names(&impact["callers"], "caller"), texts(&vendors[0], "callers").into_iter().collect());
    assert_eq!(impact["callers"][0]["calls_since"], impact["callers"][0]["calls"]);
    let credential = text(&impact["credentials"][0], "credential");
    assert_eq!(json(&["impact", credential, "--json"])["target"], "credential");
    assert_eq!(json(&["impact", &texts(&vendors[0], "hosts")[0], "--json"])["target"], "host");

    let annotate = ["catalog", "annotate", vendor, "--owner", "payments", "--review", "2030-01-01"];
    program().args(annotate).arg("--store").arg(home.path()).assert().success();
    assert!(refusal(&["catalog", "annotate", "strpie", "--owner", "x"], home.path()).contains("strpie"));
    let sheet = json(&["catalog", "sheet", vendor, "--json"]);
    assert_eq!(sheet["facts"]["owner"], "payments");
    let terms = sheet["terms"].as_array().expect("terms");
    let weights: f64 = terms.iter().map(|term| term["weight"].as_f64().expect("a weight")).sum();
    let risk: f64 = terms.iter().map(|term| term["weight"].as_f64().unwrap() * term["share"].as_f64().unwrap()).sum();
    assert!(weights == 100.0 && (risk - sheet["risk"].as_f64().expect("a score")).abs() < 0.1);

    let openapi = json(&["catalog", "export", "openapi", vendor]);
    assert_eq!(openapi["openapi"], "3.1.0");
    let endpoints = list(home.path(), &["endpoints", "--vendor", vendor]);
    let operations: usize =
        openapi["paths"].as_object().expect("paths").values().map(|path| path.as_object().expect("a path").len()).sum();
    assert_eq!(operations, endpoints.len());
    let sbom = json(&["catalog", "export", "cyclonedx"]);
    assert_eq!(sbom["services"].as_array().expect("services").len(), vendors.len());
}
