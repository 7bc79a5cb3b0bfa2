//! What several files of `ingest` do together, from bytes to calls.

use std::sync::Arc;

use super::*;
use crate::calls::{CallsBuilder, FingerprintKey};

const ECS: &str =
    r#"{"@timestamp":"2026-09-01T00:00:00Z","service":{"name":"crm"},"url":{"domain":"api.stripe.com"},"http":{}}"#;

fn builder() -> CallsBuilder {
    let home = tempfile::tempdir().unwrap();
    CallsBuilder::new(Arc::new(FingerprintKey::load_or_create(&home.path().join("key")).unwrap()))
}

fn message(offset: i64) -> Place {
    Place::Kafka { topic: "logs".into(), partition: 0, offset }
}

#[test]
fn a_line_in_an_otlp_export_is_a_call_of_the_service_that_logged_it() {
    let line = |user: &str| {
        format!(r#"10.0.0.7 - {user} [01/Sep/2026:00:00:01 +0000] "GET https://x.io/a HTTP/1.1" 200 902 "-" "go""#)
    };
    let log = |service: &str, body: String| {
        serde_json::json!({"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeLogs": [{"logRecords": [{"timeUnixNano": "1788220801000000000", "body": {"stringValue": body}}]}]})
    };
    let logs =
        [log("crm", line("-")), log("billing", line("-")), log("crm", line("ann")), log("crm", "started".to_owned())];
    let export = serde_json::json!({ "resourceLogs": logs }).to_string();
    let mut calls = builder();
    let decoded = Decoder::new(&DecodeSpec::default()).unwrap().decode(export.as_bytes(), &message(1), &mut calls);
    assert_eq!((decoded.calls, decoded.not_calls, decoded.errors), (3, [("no_http", 1)].into(), vec![]));
    let calls = calls.finish();
    let callers: Vec<_> = calls.rows().iter().map(|row| calls.relation(row).caller().as_str()).collect();
    assert_eq!(callers, ["crm", "billing", "ann"]);
}

#[test]
fn a_declared_log_format_reads_its_lines_and_the_user_may_name_its_variables() {
    let spec = |text: &str| toml::from_str::<DecodeSpec>(text).unwrap();
    let nginx = r#"
        format = "nginx"
        log_format = '''log_format egress '$remote_addr [$time_iso8601] $proxy_host "$request" '
                                '$status $body_bytes_sent $request_time $http_x_team';'''
        fields = { caller = "http_x_team" }"#;
    let line = r#"10.0.0.7 [2026-09-01T00:00:01+00:00] api.x.io "GET /a HTTP/1.1" 200 902 0.5 growth"#;
    let apache = r#"
        format = "apache"
        log_format = 'LogFormat "%v %h %u %t %>s %I %O %{ms}T %m %U%q \"%{User-Agent}i\"" own'"#;
    let of_apache = r#"api.x.io 10.0.0.7 growth [01/Sep/2026:00:00:01 +0000] 200 663 902 500 GET /a?b=c "go""#;
    let squid = r#"
        format = "squid"
        log_format = 'logformat own %ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un "%{User-Agent}>h" %>st'"#;
    let of_squid = r#"1788220801.500    500 10.0.0.7 TCP_MISS/200 902 GET http://api.x.io/a growth "go" 663"#;
    let shipped = serde_json::json!({"@timestamp": "2026-09-02T00:00:00Z", "message": line}).to_string();
    for (spec, record) in
        [(spec(nginx), line), (spec(nginx), shipped.as_str()), (spec(apache), of_apache), (spec(squid), of_squid)]
    {
        let mut calls = builder();
        let decoded = Decoder::new(&spec).unwrap().decode(record.as_bytes(), &message(1), &mut calls);
        assert_eq!((decoded.calls, &decoded.errors), (1, &vec![]), "{record}");
        let calls = calls.finish();
        let (row, relation) = (&calls.rows()[0], calls.relation(&calls.rows()[0]));
        assert_eq!((relation.caller().as_str(), relation.host().as_str()), ("growth", "api.x.io"), "{record}");
        assert_eq!(relation.endpoint().as_str(), "GET /a", "{record}");
        assert_eq!((row.bytes_in, row.latency_ms), (Some(902), Some(500.0)), "{record}");
    }
    let mut decoder = Decoder::new(&spec(nginx)).unwrap();
    let decoded = decoder.decode(b"[error] connect() failed", &message(1), &mut builder());
    assert_eq!(decoded.errors[0].reason(), "other_line");
    let problem = Decoder::new(&spec("format = 'ecs'\nlog_format = '$host'")).unwrap_err().to_string();
    assert!(problem.contains("must be one of `nginx`, `apache`, `squid`"), "{problem}");
}

#[test]
fn a_number_that_can_be_none_is_unknown_and_counted_and_what_says_that_there_is_none_is_not() {
    let unreadable = |status: &str, bytes: &str| {
        let record = format!(
            r#"{{"@timestamp":"2026-09-01T00:00:00Z","service":{{"name":"crm"}},"url":{{"domain":"x.io"}},
            "http":{{"response":{{"status_code":{status},"bytes":{bytes}}}}}}}"#
        );
        let mut decoder = Decoder::new(&DecodeSpec::default()).unwrap();
        let decoded = decoder.decode(record.as_bytes(), &message(1), &mut builder());
        assert_eq!(decoded.calls, 1, "{record}");
        decoded.unreadable.into_values().sum::<u64>()
    };
    for status in ["999", "99", "70000", r#""abc""#, "1e300", "-2"] {
        assert_eq!(unreadable(status, "1"), 1, "{status}");
    }
    for bytes in ["-5", r#""-812""#, "18446744073709551616", "1e300", r#""many""#] {
        assert_eq!(unreadable("200", bytes), 1, "{bytes}");
    }
    for none in ["0", r#""000""#, "-1", r#""-1""#, r#""-""#, r#""""#, "null"] {
        assert_eq!(unreadable(none, none), 0, "{none}");
    }
}

#[test]
fn own_hosts_are_no_third_parties_and_a_strict_reader_takes_no_half_record() {
    let decode = |spec: &str, record: &str| {
        let mut decoder = Decoder::new(&toml::from_str(spec).unwrap()).unwrap();
        let decoded = decoder.decode(record.as_bytes(), &message(1), &mut builder());
        (decoded.calls, decoded.not_calls, decoded.errors.first().map(DecodeError::reason))
    };
    let own = "own_domains = ['stripe.com']";
    assert_eq!(decode(own, ECS), (0, [("own_domain", 1)].into(), None));
    assert_eq!(decode(own, &ECS.replace("api.stripe.com", "mystripe.com")).0, 1);
    let odd = ECS.replace(r#""http":{}"#, r#""http":{"request":{"bytes":"many"}}"#);
    assert_eq!(decode("", &odd), (1, [].into(), None));
    assert_eq!(decode("strict = true", &odd), (0, [].into(), Some("unreadable_field")));
}

#[test]
fn what_a_shipper_wrapped_is_no_call_where_the_declared_format_says_so_of_the_inside() {
    let spec = DecodeSpec { format: Some("nginx".to_owned()), ..DecodeSpec::default() };
    let inside =
        r#"{"time_iso8601":"2026-09-01T00:00:00+00:00","host":"","request_method":"","request_uri":"","status":"400"}"#;
    let framed = format!("<190>1 2026-09-01T00:00:00+00:00 vm nginx - - - {inside}");
    for record in [inside, &framed] {
        let decoded = Decoder::new(&spec).unwrap().decode(record.as_bytes(), &message(1), &mut builder());
        assert_eq!((decoded.skipped(), decoded.errors.len()), (1, 0), "{record}");
    }
}

/// The calls of a payload, as the endpoint, host and status of each.
fn calls_of(payload: &[u8], spec: &DecodeSpec) -> Vec<(String, String)> {
    let mut calls = builder();
    Decoder::new(spec).unwrap().decode(payload, &message(1), &mut calls);
    let calls = calls.finish();
    let name = |call: &crate::calls::CallRow| {
        let relation = calls.relation(call);
        (relation.host().to_string(), format!("{:?}", call.outcome))
    };
    calls.rows().iter().map(name).collect()
}

#[test]
fn utf16_without_a_mark_and_a_hole_of_nul_cost_no_record() {
    let spec = DecodeSpec::default();
    let line = format!("{ECS}\n");
    let wide = |unit: fn(u16) -> [u8; 2]| line.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let holed = format!("{line}{}{line}", "\0".repeat(500)).into_bytes();
    for (payload, count) in [(wide(u16::to_le_bytes), 1), (wide(u16::to_be_bytes), 1), (holed, 2)] {
        assert_eq!(calls_of(&payload, &spec).len(), count);
    }
}

#[test]
fn of_tries_at_several_servers_the_last_counts_and_a_line_without_a_request_is_a_call() {
    let spec = |log_format: &str| DecodeSpec {
        format: Some("nginx".to_owned()),
        log_format: Some(log_format.to_owned()),
        ..DecodeSpec::default()
    };
    let tries = br#"10.0.0.7 [15/Sep/2026:10:00:00 +0200] "GET /p HTTP/1.1" 502, 200 api.x.example"#;
    let tried = spec(r#"$remote_addr [$time_local] "$request" $upstream_status $host"#);
    assert_eq!(calls_of(tries, &tried), [("api.x.example".to_owned(), "Ok".to_owned())]);
    let thin = calls_of(
        b"10.0.0.7 15/Sep/2026:10:00:00 +0200 api.x.example 200",
        &spec("$remote_addr $time_local $host $status"),
    );
    assert_eq!(thin.len(), 1);
}

#[test]
fn a_digest_file_is_no_call_and_a_tunnel_to_an_address_is_one() {
    let digest = br#"{"awsAccountId":"1","digestStartTime":"2026-09-01T00:00:00Z","digestS3Bucket":"b","logFiles":[]}"#;
    let decoded = Decoder::new(&DecodeSpec::default()).unwrap().decode(digest, &message(1), &mut builder());
    assert_eq!((decoded.not_calls.get("digest_file"), decoded.errors.len()), (Some(&1), 0));
    let tunnel = ECS.replace(r#""url":{"domain":"api.stripe.com"}"#, r#""url":{"original":"[2001:db8::5]:443"}"#);
    assert_eq!(calls_of(tunnel.as_bytes(), &DecodeSpec::default()).len(), 1);
}
