//! What a proxy was asked for: request lines and targets; who asked; and when, of logs that say when the call ended.

use std::borrow::Cow;

use super::url::{Url, part, without_port};

/// The parts of a request line, or of the target alone.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Request<'a> {
    pub method: Option<Cow<'a, str>>,
    /// Set where a proxy was asked: `GET http://host/…`, `CONNECT host:443`.
    pub host: Option<Cow<'a, str>>,
    pub scheme: Option<Cow<'a, str>>,
    pub path: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> {
    /// Cuts `POST /v1/charges HTTP/1.1`, or a target whose method is logged beside it.
    pub fn cut(method: Option<Cow<'a, str>>, text: Option<Cow<'a, str>>) -> Self {
        let Some(text) = text else { return Self { method, ..Self::default() } };
        let method = method.or_else(|| part(&text, |line| Some(words(line)?.0)));
        let target = part(&text, |line| Some(words(line).map_or(line, |(_, target)| target))).unwrap_or_default();
        if method.as_deref() == Some("CONNECT") && !target.contains('/') {
            return Self { method, host: Some(target).filter(|host| !host.is_empty()), ..Self::default() };
        }
        let of = |cut: for<'t> fn(Url<'t>) -> Option<&'t str>| part(&target, |target| cut(Url::cut(target)));
        Self { method, host: of(|url| url.host), scheme: of(|url| url.scheme), path: of(|url| url.path) }
    }
}

/// Method and target of a request line; `None` where the text is none. A target may hold blanks.
fn words(line: &str) -> Option<(&str, &str)> {
    let (method, rest) = line.trim().split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let target = rest.rsplit_once(' ').filter(|(_, version)| version.starts_with("HTTP/"));
    is_method.then_some((method, target.map_or(rest, |(target, _)| target).trim()))
}

/// When a call began that ended at `end`, microseconds since the epoch; 0 where that is not known.
pub(super) fn begin_of(end: i64, latency_ms: Option<f64>) -> i64 {
    let micros = (latency_ms.unwrap_or_default() * 1e3).round() as i64;
    if end == 0 { 0 } else { end.saturating_sub(micros) }
}

/// The address of whoever asked, as a name for it: the first of a chain, without its port, which changes with every call.
pub(super) fn client_of<'a>(address: &Cow<'a, str>) -> Cow<'a, str> {
    part(address, |chain| Some(without_port(chain.split(',').next()?.trim()))).unwrap_or_default()
}

/// Whether a host, perhaps with a port, is a domain name: neither an address, nor a name that means something in one configuration only.
pub(super) fn is_domain(host: &str) -> bool {
    let host = without_port(host);
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    let name = host.trim_end_matches('.');
    let has_suffix = name.rsplit_once('.').is_some_and(|(_, suffix)| suffix.chars().any(char::is_alphabetic));
    has_suffix && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_cut_whatever_is_asked_for_and_how() {
        let cut = |line: &'static str| {
            let Request { method, host, scheme, path } = Request::cut(None, Some(line.into()));
            [method, host, scheme, path].map(|part| part.unwrap_or_default().into_owned())
        };
        assert_eq!(cut("POST /v1/a?b=c HTTP/1.1"), ["POST", "", "", "/v1/a?b=c"]);
        assert_eq!(cut("GET /a b  HTTP/2"), ["GET", "", "", "/a b"]);
        assert_eq!(cut("GET http://me:pw@x.io:8080/p HTTP/1.1"), ["GET", "x.io:8080", "http", "/p"]);
        assert_eq!(cut("CONNECT api.x.io:443 HTTP/1.1"), ["CONNECT", "api.x.io:443", "", ""]);
        assert_eq!(cut("GET /"), ["GET", "", "", "/"]);
        for line in ["- - -", r"\x16\x03\x01", "", "get a"] {
            assert_eq!(cut(line), ["", "", "", ""], "{line}");
        }
        let beside = Request::cut(Some("PUT".into()), Some("https://x.io/p".into()));
        assert_eq!((beside.method.as_deref(), beside.host.as_deref()), (Some("PUT"), Some("x.io")));
    }

    #[test]
    fn a_client_is_named_without_its_port_and_a_call_begins_before_it_ends() {
        for (address, name) in [
            ("10.44.1.23:46520", "10.44.1.23"),
            ("[2001:db8::5]:443", "2001:db8::5"),
            ("2001:db8::5", "2001:db8::5"),
            ("10.0.0.7, 10.0.0.8", "10.0.0.7"),
            ("", ""),
        ] {
            assert_eq!(client_of(&address.into()), name);
        }
        assert_eq!((begin_of(5_000, Some(1.5)), begin_of(0, Some(1.0)), begin_of(7, None)), (3_500, 0, 7));
    }

    #[test]
    fn a_domain_is_told_from_an_address_and_from_a_name_in_a_configuration() {
        for host in ["api.x.io", "api.x.io:443", "a-b.x_y.io."] {
            assert!(is_domain(host), "{host}");
        }
        for host in ["10.0.0.1:80", "backend", "", "a..b", "application/json.x", "[::1]:80", "curl/8.1", "2.0"] {
            assert!(!is_domain(host), "{host}");
        }
    }
}
