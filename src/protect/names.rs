//! Names in policies. Callers, hosts and paths come from logs, and whoever writes a log record chooses them: a name must stay a name
//! in the file that it is written to.
//!
//! What is written at all is plain text, and what is quoted is quoted in one way that YAML, JSON and Rego share. A name that cannot stand in a
//! policy is left out, with the reason.
//!
//! Not here: what only one format cannot write (`formats`).

use std::net::IpAddr;

use super::pattern::domain_of;
use crate::calls::is_of_buckets;

/// Longest name of a caller that is written, characters.
const MAX_CALLER: usize = 253;
/// Longest name of a host, characters, by RFC 1035.
const MAX_HOST: usize = 253;
/// Stands for newcomers where a format needs a name for them. No caller of this name is written.
pub(super) const NEWCOMERS: &str = "(newcomers)";

/// Whether a text has neither characters that end a line or control a terminal, nor such that reorder what is read.
fn is_plain(text: &str) -> bool {
    let reorders =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    text.chars().all(|c| !c.is_control() && !reorders(c) && !matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// Whether a caller can be named in a policy.
pub(super) fn is_caller(name: &str) -> bool {
    is_plain(name) && name.trim() == name && !name.is_empty() && name.chars().count() <= MAX_CALLER && name != NEWCOMERS
}

/// Whether a host is the name or the address of one, or that of buckets.
pub(super) fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_word = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        // A host that begins with a dash is an option to whoever reads it as a word.
        is_word && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = if is_of_buckets(host) { domain_of(host).unwrap_or_default() } else { host };
    host.parse::<IpAddr>().is_ok() || (host.len() <= MAX_HOST && name.split('.').all(is_label))
}

/// Whether a path template consists of what a path consists of.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
}

/// A text in double quotes, as JSON, YAML and Rego read it alike: ASCII alone, all else escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ if is_plain(c.encode_utf8(&mut [0; 4])) => quoted.push(c),
            // All of these are one unit of UTF-16, so that YAML reads what JSON does.
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| quoted.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    quoted.push('"');
    quoted
}

/// The name as an address, where the caller is known by its address alone.
pub(super) fn address(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_end_a_line_or_reorder_it_is_no_caller() {
        for name in ["billing-worker", "a \"quoted\" name", "prüfung", "c: d # e", "10.0.0.7", "日本"] {
            assert!(is_caller(name), "{name}");
        }
        for name in ["", " x", "a\nb", "a\u{2028}b", "a\u{85}b", "a\u{1b}[2J", "a\u{202e}b", "a\0", NEWCOMERS] {
            assert!(!is_caller(name), "{name:?}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_path_has_no_query() {
        for host in
            ["api.stripe.com", "10.1.2.3", "2001:db8::1", "_dmarc.x.io", "localhost", "{bucket}.s3.amazonaws.com"]
        {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "",
            "a b",
            "a\"b",
            "a..b",
            ".a",
            "a/b",
            "*.a",
            "a\n",
            "ü.de",
            "{bucket}.",
            "{bucket}.a\"",
            "{x}.a",
            "{bucket}.com",
            "{bucket}.s3.evil.com",
            "-rf.com",
            "a-.com",
        ] {
            assert!(!is_host(host), "{host}");
        }
        assert!(is_path("/v1/{id}") && is_path("/") && !is_path("v1") && !is_path("/a b") && !is_path("/a?b"));
    }

    #[test]
    fn what_is_quoted_is_read_as_what_it_was() {
        for text in ["", "a\"b\\c", "a\nb\t\u{1}\u{7f}\u{85}\u{2028}", "prüfung 日本 😀", "${x} `y` {{z}}"] {
            let quoted = quoted(text);
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
            assert!(!quoted.contains(|c: char| c.is_control() || c == '\u{2028}'), "{quoted}");
        }
    }
}
