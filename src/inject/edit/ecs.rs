//! Changing ECS records of HTTP calls.

use serde_json::Value;

use super::{Change, Editor, digits, find, instant, remove, replace, set, uuid};

pub(super) struct Ecs;

const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;
const TIMES: [&str; 3] = ["@timestamp", "event.start", "event.end"];

impl Editor for Ecs {
    fn apply(&self, record: &mut Value, change: Change<'_>) {
        match change {
            Change::Time(time) => set_time(record, time),
            Change::Ids(id) => {
                replace(record, "event.id", uuid(id));
                replace(record, "http.request.id", uuid(id.rotate_left(7)));
                replace(record, "trace.id", format!("{id:032x}"));
            }
            Change::Caller(name) => {
                set(record, "service.name", name);
                replace(record, "kubernetes.deployment.name", name);
                replace(record, "host.name", format!("{name}-1"));
            }
            Change::Host(host) => {
                replace(record, "destination.ip", address_of(host));
                let before = ["destination.domain", "server.domain"].map(|path| replace(record, path, host));
                if find(record, "url.domain").is_some() || before == [false, false] {
                    set(record, "url.domain", host);
                }
                rewrite_url(record, |_, _, path| format!("https://{host}{path}"));
            }
            Change::Scheme(scheme) => {
                set(record, "url.scheme", scheme);
                rewrite_url(record, |_, host, path| format!("{scheme}://{host}{path}"));
                if scheme == "http" {
                    remove(record, "tls");
                    replace(record, "destination.port", 80);
                }
            }
            Change::Method(method) => set(record, "http.request.method", method),
            Change::Path(path) => set_path(record, path),
            Change::Status(status, _) => {
                set(record, "http.response.status_code", status);
                replace(record, "event.outcome", if status < 400 { "success" } else { "failure" });
            }
            Change::BytesOut(bytes) => set_bytes(record, "http.request", bytes),
            Change::BytesIn(bytes) => set_bytes(record, "http.response", bytes),
            Change::Latency(milliseconds) => {
                set(record, "event.duration", (milliseconds * NANOSECONDS_PER_MILLISECOND) as u64);
            }
            Change::Address(address) => {
                set(record, "source.ip", address);
                replace(record, "source.address", address);
                replace(record, "client.ip", address);
            }
            Change::Client(client) => set(record, "user_agent", serde_json::json!({ "original": client })),
            Change::Credential(credential) => set_credential(record, credential),
            Change::Tls(version) => {
                set(record, "tls.version", version);
            }
            Change::Tokens(times) => {
                for path in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
                    if let Some(value) = find(record, path)
                        && let Some(tokens) = value.as_f64()
                    {
                        *value = ((tokens * times).round() as u64).into();
                    }
                }
            }
            Change::Region(region) => {
                replace(record, "cloud.region", region);
            }
            Change::Operation(..) | Change::Parameters(_) => {}
        }
    }
}

/// An address for a host that was never resolved: the same for the same host.
fn address_of(host: &str) -> String {
    let [a, b, c, ..] = *blake3::hash(host.as_bytes()).as_bytes();
    format!("{}.{b}.{c}.{}", 45 + a % 100, 2 + a / 2)
}

/// Moves all of a record's times by what its start moves.
fn set_time(record: &mut Value, time: i64) {
    let read = |record: &mut Value, path: &str| {
        find(record, path).and_then(|value| value.as_str().map(|text| (text.to_owned(), digits(text))))
    };
    let parse = crate::ingest::parse_rfc3339;
    let start = read(record, "event.start").or_else(|| read(record, "@timestamp")).and_then(|(text, _)| parse(&text));
    for path in TIMES {
        if let Some((text, digits)) = read(record, path) {
            let moved = parse(&text).zip(start).map_or(time, |(at, start)| at - start + time);
            replace(record, path, instant(moved, digits));
        }
    }
}

fn set_path(record: &mut Value, target: &str) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    set(record, "url.path", path);
    match query {
        Some(query) => set(record, "url.query", query),
        None => remove(record, "url.query"),
    }
    rewrite_url(record, |scheme, host, _| format!("{scheme}://{host}{target}"));
}

/// Rewrites whole URLs from scheme, host and path.
fn rewrite_url(record: &mut Value, write: impl Fn(&str, &str, &str) -> String) {
    for field in ["url.full", "url.original"] {
        let Some(slot) = find(record, field) else { continue };
        let Some((scheme, rest)) = slot.as_str().and_then(|url| url.split_once("://")) else { continue };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        *slot = write(scheme, host, path).into();
    }
}

/// Sets the bytes where the record has them; the body's follow by as much.
fn set_bytes(record: &mut Value, side: &str, bytes: u64) {
    let (whole, body) = (format!("{side}.bytes"), format!("{side}.body.bytes"));
    let number = |record: &mut Value, path: &str| find(record, path).and_then(|value| value.as_u64());
    match (number(record, &whole), number(record, &body)) {
        (None, Some(_)) => set(record, &body, bytes),
        (Some(before), Some(inner)) => {
            set(record, &body, bytes.saturating_sub(before.saturating_sub(inner)));
            set(record, &whole, bytes);
        }
        _ => set(record, &whole, bytes),
    }
}

fn set_credential(record: &mut Value, credential: Option<&str>) {
    let headers = ["authorization", "Authorization", "x-api-key", "X-Api-Key", "X-API-Key"];
    let headers = headers.map(|name| format!("http.request.headers.{name}"));
    match credential {
        Some(credential) => {
            let is_in_header = find(record, "labels.credential_id").is_none()
                && headers.iter().any(|path| replace(record, path, credential));
            if !is_in_header {
                set(record, "labels.credential_id", credential);
            }
        }
        None => {
            remove(record, "labels.credential_id");
            headers.iter().for_each(|path| remove(record, path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_tell_of_the_same_stay_in_agreement() {
        let mut record: Value = serde_json::from_str(
            r#"{"@timestamp":"2026-09-01T00:00:01.500Z","event":{"start":"2026-09-01T00:00:00Z"},"tls":{"version":"1.3"},
            "url":{"full":"https://a.b/c?d=1","domain":"a.b","path":"/c"},"destination":{"domain":"a.b"},
            "http":{"request":{"bytes":30,"body":{"bytes":10},"headers":{"authorization":"Bearer k"}}}}"#,
        )
        .unwrap();
        let changes = [
            Change::Time(1_788_307_200_000_000),
            Change::Host("x.y"),
            Change::Path("/v2/z?n=1"),
            Change::Scheme("http"),
            Change::BytesOut(100),
            Change::Credential(Some("other")),
        ];
        changes.into_iter().for_each(|change| Ecs.apply(&mut record, change));
        let expected = r#"{"@timestamp":"2026-09-02T00:00:01.500Z","event":{"start":"2026-09-02T00:00:00Z"},
            "url":{"full":"http://x.y/v2/z?n=1","domain":"x.y","path":"/v2/z","query":"n=1","scheme":"http"},
            "destination":{"domain":"x.y"},
            "http":{"request":{"bytes":100,"body":{"bytes":80},"headers":{"authorization":"other"}}}}"#;
        assert_eq!(record, serde_json::from_str::<Value>(expected).unwrap());
    }
}
