//! What a registry answers, and what records make of it: by the double of its HTTP API, and messages that other implementations wrote
//! (`tests/wire`).

use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::prelude::ProptestConfig;
use serde_json::json;

use super::double::Double;
use super::*;
use crate::calls::{Calls, CallsBuilder, Dimension, FingerprintKey};
use crate::ingest::{DecodeSpec, Decoder, FileReader, Inputs, Place};

fn wire(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(name)).unwrap()
}

fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], body].concat()
}

fn builder() -> CallsBuilder {
    static KEY: LazyLock<Arc<FingerprintKey>> = LazyLock::new(|| {
        let home = tempfile::tempdir().unwrap();
        Arc::new(FingerprintKey::load_or_create(&home.path().join("key")).unwrap())
    });
    CallsBuilder::new(Arc::clone(&KEY))
}

/// The calls of one message, and what else was found.
fn read(payload: &[u8], registry: Option<Arc<Registry>>) -> (Calls, Vec<&'static str>) {
    let mut calls = builder();
    let place = Place::Kafka { topic: "calls".into(), partition: 0, offset: 1 };
    let decoded =
        Decoder::new(&DecodeSpec::default()).unwrap().with_registry(registry).decode(payload, &place, &mut calls);
    (calls.finish(), decoded.errors.iter().map(|error| error.reason()).collect())
}

fn names(calls: &Calls, dimension: Dimension) -> Vec<&str> {
    calls.rows().iter().map(|row| calls.relation(row).name(dimension).as_str()).collect()
}

#[test]
fn avro_protobuf_and_json_of_a_registry_are_calls_like_any_others() {
    let registry = Double::start().client();
    let (calls, errors) = read(&wire("avro-cloudtrail.bin"), Some(Arc::clone(&registry)));
    assert_eq!((calls.len(), errors), (1, vec![]));
    assert_eq!(names(&calls, Dimension::Endpoint), ["s3:GetObject"]);
    assert_eq!(calls.rows()[0].time, 1_788_249_600_000_000);
    for message in ["protobuf-ecs.bin", "json-ecs.bin"] {
        let (calls, errors) = read(&wire(message), Some(Arc::clone(&registry)));
        assert_eq!((calls.len(), errors), (1, vec![]), "{message}");
        assert_eq!(names(&calls, Dimension::Caller), ["crm"], "{message}");
        assert_eq!(names(&calls, Dimension::Vendor), ["stripe"], "{message}");
        assert_eq!(calls.rows()[0].time, 1_788_249_600_000_000, "{message}");
    }
    assert_eq!(read(&wire("json-ecs.bin"), None).0.len(), 1);
    assert_eq!(read(&wire("avro-cloudtrail.bin"), None).1, ["no_registry"]);
}

/// Calls of a file, and why it was not read to its end.
fn records_of(file: &Path) -> (u64, Option<String>) {
    let mut calls = builder();
    let mut decoder = Decoder::new(&DecodeSpec::default()).unwrap();
    let mut reader = FileReader::new(&Inputs::resolve(&[file.to_str().unwrap().to_owned()]).unwrap());
    let (mut read, mut problem) = (0, None);
    loop {
        match reader.next_batch(&mut decoder, &mut calls, 7) {
            Ok(batch) if batch.finished => return (read + batch.tally.calls, problem),
            Ok(batch) => read += batch.tally.calls,
            Err(error) => problem = Some(error.to_string()),
        }
    }
}

#[test]
fn a_container_that_breaks_off_or_lies_is_read_up_to_there() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("log");
    let whole = wire("cloudtrail-null.avro");
    std::fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let (calls, problem) = records_of(&file);
    assert!((1..40).contains(&calls), "{calls}");
    assert!(problem.unwrap().contains("log: cannot be read: it ends too early"));
    let mut other = whole.clone();
    *other.last_mut().unwrap() = 0xff;
    std::fs::write(&file, &other).unwrap();
    assert!(records_of(&file).1.unwrap().contains("broken Avro container: a block does not end where it should"));
    // Two thousand million records of nothing.
    let head = b"Obj\x01\x02\x16avro.schema\x0c\"null\"\x00";
    let nothing = [&head[..], &[7; 16], b"\xfe\xff\xff\xff\x0f\x00", &[7; 16]].concat();
    std::fs::write(&file, nothing).unwrap();
    let (calls, problem) = records_of(&file);
    assert!(problem.unwrap().contains("a record holds nothing"));
    assert_eq!(calls, 0);
}

#[test]
fn every_value_of_an_avro_record_arrives() {
    let registry = Double::start().client();
    let message = wire("avro-cloudtrail.bin");
    let id = u32::from_be_bytes(*message[1..].first_chunk().unwrap());
    let schema = registry.schema(id).unwrap();
    let Schema::Avro(schema) = schema.as_ref() else { panic!("{schema:?}") };
    let record: serde_json::Value = serde_json::from_slice(&schema.json(&message[5..]).unwrap()).unwrap();
    for (path, value) in [
        ("/eventTime", json!(1_788_249_600_000_i64)),
        ("/userIdentity/type", json!("IAMUser")),
        ("/userIdentity/userName", json!("alice")),
        ("/errorCode", json!(null)),
        ("/eventID", json!("00000000-0000-0000-0000-000000000001")),
        ("/cost", json!("-12.3400")),
        ("/tags", json!({"team": "billing"})),
        ("/resources", json!(["a", "b"])),
        ("/digest", json!("/wA=")),
    ] {
        assert_eq!(record.pointer(path), Some(&value), "{path}");
    }
}

#[test]
fn containers_of_every_codec_are_read_as_messages_and_as_files() {
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        let name = format!("cloudtrail-{codec}.avro");
        let (calls, errors) = read(&wire(&name), None);
        assert_eq!((calls.len(), errors), (40, vec![]), "{name}");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(&name);
        assert_eq!(records_of(&file), (40, None), "{name}");
        let cut = wire(&name);
        let (calls, errors) = read(&cut[..cut.len() - 20], None);
        assert!((1..40).contains(&calls.len()), "{name}: whole blocks before the end are read");
        assert_eq!(errors, ["broken_container"], "{name}");
    }
}

#[test]
fn otlp_in_protobuf_is_read_like_otlp_in_json() {
    let (calls, errors) = read(&wire("otlp-traces.bin"), None);
    assert_eq!((calls.len(), errors), (2, vec![]));
    assert_eq!(names(&calls, Dimension::Caller), ["billing", "billing"]);
    let (calls, errors) = read(&wire("otlp-logs.bin"), None);
    assert_eq!((names(&calls, Dimension::Caller), errors), (vec!["crm"], vec![]));
    let export = crate::ingest::otlp_proto::json(&wire("otlp-traces.bin")).unwrap();
    let export: serde_json::Value = serde_json::from_slice(&export).unwrap();
    let span = &export["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "000102030405060708090a0b0c0d0e0f");
    assert_eq!((&span["kind"], &span["startTimeUnixNano"]), (&json!(3), &json!("1788249600000000000")));
}

#[test]
fn a_schema_is_asked_for_once_and_an_unknown_one_is_a_dead_letter() {
    let double = Double::start();
    let registry = double.client();
    for _ in 0..3 {
        assert_eq!(read(&wire("protobuf-ecs.bin"), Some(Arc::clone(&registry))).1, [""; 0]);
        assert_eq!(read(&framed(999, b"\x02"), Some(Arc::clone(&registry))).1, ["unknown_schema"]);
    }
    assert_eq!(double.asked(), 3, "a schema, its import, and one that is not there");
    let broken = [&wire("protobuf-ecs.bin")[..], b"\xff"].concat();
    assert_eq!(read(&broken, Some(registry)).1, ["not_of_schema"]);
}

#[test]
fn a_registry_that_is_down_leaves_a_problem_that_passes() {
    let double = Double::start();
    let registry = double.client();
    double.set_down(true);
    assert_eq!(registry.schema(1001).unwrap_err(), Problem::NoAnswerOfRegistry);
    let asked = double.asked();
    assert_eq!(registry.schema(1001).unwrap_err(), Problem::NoAnswerOfRegistry);
    assert_eq!(double.asked(), asked, "it is left alone for a while");
    assert!(Problem::NoAnswerOfRegistry.is_transient());
    double.set_down(false);
    std::thread::sleep(PAUSE);
    assert!(registry.schema(1001).is_ok());
}

#[test]
fn a_schema_that_cannot_be_read_is_a_dead_letter() {
    let double = Double::start();
    double.answer("/schemas/ids/1", json!({"schema": "{\"type\":\"rekord\"}"}));
    double.answer(
        "/schemas/ids/2",
        json!({"schema": "\"a.Missing\"", "references": [{"name": "a.Missing", "subject": "no such", "version": 1}]}),
    );
    let itself = json!([{"name": "loop.proto", "subject": "loop", "version": 1}]);
    double.answer(
        "/schemas/ids/3",
        json!({"schemaType": "PROTOBUF", "schema": "message A {}", "references": itself.clone()}),
    );
    double.answer(
        "/subjects/loop/versions/1",
        json!({"schemaType": "PROTOBUF", "schema": "message B {}", "references": itself}),
    );
    double.answer("/schemas/ids/4", json!({"schemaType": "THRIFT", "schema": ""}));
    let registry = double.client();
    for id in 1..=4 {
        assert_eq!(registry.schema(id).unwrap_err(), Problem::UnusableSchema { id });
    }
}

#[test]
fn a_specification_is_refused_by_field_and_no_message_shows_the_password() {
    let spec = |text: &str| toml::from_str::<Spec>(text).unwrap().check(Path::new("/nowhere"));
    for (text, field) in [
        ("url = \"registry:8081\"", "url"),
        ("url = \"https://reader:hunter2@registry\"", "url"),
        ("url = []", "url"),
        ("url = \"http://registry\"\nusername = \"reader\"", "username"),
        ("url = \"http://registry\"\nusername = \"reader\"\npassword = \"file:hunter2\"", "password"),
        ("url = \"https://registry\"\nca_file = \"ca.pem\"", "ca_file"),
    ] {
        let error = spec(text).unwrap_err();
        assert_eq!(error.field(), field, "{error}");
        assert!(!text.contains("@") || !error.to_string().contains("hunter2"), "{error}");
    }
    let registry = spec("url = \"http://registry\"\nusername = \"reader\"\npassword = \"hunter2\"").unwrap();
    assert!(!format!("{registry:?}").contains("hunter2"));
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_behind_a_frame_make_it_panic(body: Vec<u8>, cut in 0_usize..2_000, at in 0_usize..2_000, flip: u8) {
        let registry = shared();
        for id in [avro_id(), 1001] {
            read(&framed(id, &body), Some(Arc::clone(&registry)));
        }
        for name in ["avro-cloudtrail.bin", "protobuf-ecs.bin", "cloudtrail-null.avro", "cloudtrail-snappy.avro", "otlp-traces.bin", "otlp-logs.bin"] {
            let mut message = wire(name);
            let at = at % message.len();
            // The id stays: else every case asks for another schema.
            if at > 4 {
                message[at] = flip;
            }
            read(&message, Some(Arc::clone(&registry)));
            message.truncate(cut.max(5));
            read(&message, Some(Arc::clone(&registry)));
        }
        read(&[&b"Obj\x01"[..], &body].concat(), None);
        read(&[&b"\x0a"[..], &body].concat(), None);
    }
}

fn avro_id() -> u32 {
    u32::from_be_bytes(*wire("avro-cloudtrail.bin")[1..].first_chunk().unwrap())
}

fn shared() -> Arc<Registry> {
    static SHARED: LazyLock<Arc<Registry>> = LazyLock::new(|| Double::start().client());
    Arc::clone(&SHARED)
}
