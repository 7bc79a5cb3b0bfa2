//! Path templates and hosts as regular expressions, in the syntax that RE2, PCRE and this program share.
//!
//! A template is made of what the decoder cut and decoded, a gateway sees the path as it was sent: a segment that varies is any segment, a
//! character that may come percent-encoded is looked for both ways, a trailing slash is no difference.
//!
//! Not here: how templates are learned (`calls::template`).

use regex::{Regex, RegexBuilder};

use crate::calls::is_of_buckets;

/// What stands for a segment that varies.
const ID: &str = "{id}";
/// What stands for all further segments.
const REST: &str = "{rest}";
/// Largest expression that is compiled, bytes: a policy may be edited by anyone.
const MAX_COMPILED: usize = 1 << 20;

/// The expression of a template, not anchored.
pub(super) fn of_path(template: &str) -> String {
    let mut expression = String::new();
    for segment in template.split('/').filter(|segment| !segment.is_empty()) {
        expression.push('/');
        match segment {
            ID => expression.push_str("[^/]+"),
            REST => expression.push_str(".+"),
            literal => literal.chars().for_each(|c| push(c, &mut expression)),
        }
    }
    expression.push_str("/?");
    expression
}

/// Adds a character of a path.
fn push(c: char, expression: &mut String) {
    if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~') {
        expression.push(c);
    } else if c == '.' {
        expression.push_str(r"\.");
    } else {
        // Hexadecimal digits come in both cases.
        let [high, low] = [u32::from(c) >> 4, u32::from(c) & 0xf].map(|digit| match char::from_digit(digit, 16) {
            Some(digit) if digit.is_ascii_alphabetic() => format!("[{digit}{}]", digit.to_ascii_uppercase()),
            digit => digit.map(String::from).unwrap_or_default(),
        });
        let escape = if regex::escape(c.encode_utf8(&mut [0; 4])).len() > c.len_utf8() { "\\" } else { "" };
        expression.push_str(&format!("(?:{escape}{c}|%{high}{low})"));
    }
}

/// The domain whose hosts a pattern is of: `*.example.com`, of which one label varies, or `{bucket}.s3.amazonaws.com`.
pub(super) fn domain_of(host: &str) -> Option<&str> {
    let is_pattern = host.starts_with("*.") || is_of_buckets(host);
    host.split_once('.').filter(|_| is_pattern).map(|(_, domain)| domain)
}

/// The expression of a host, or of a pattern of hosts, not anchored.
pub(super) fn of_host(host: &str) -> String {
    let varying = if is_of_buckets(host) { r"[a-z0-9._-]+\." } else { r"[a-z0-9_-]+\." };
    match domain_of(host) {
        Some(domain) => format!("{varying}{}", domain.replace('.', r"\.")),
        None => host.replace('.', r"\."),
    }
}

/// A host of a call, as expressions find it: with a name in the place of the bucket's.
pub(super) fn named_host(host: &str) -> std::borrow::Cow<'_, str> {
    match domain_of(host) {
        Some(domain) => format!("bucket.{domain}").into(),
        None => host.into(),
    }
}

/// Compiles an expression that must match from the beginning to the end; what is wrong with it otherwise.
pub(super) fn whole(expression: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(&format!("^(?:{expression})$")).size_limit(MAX_COMPILED).build();
    built.map_err(|_| "no regular expression that can be judged here (the syntax of RE2 is)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_matches_what_it_was_learned_from_and_nothing_beside_it() {
        let matches = |template: &str, path: &str| whole(&of_path(template)).unwrap().is_match(path);
        for (template, path) in [
            ("/v1/charges/{id}", "/v1/charges/ch_1"),
            ("/v1/charges/{id}", "/v1/charges/{id}"),
            ("/v1/charges", "/v1/charges/"),
            ("/", "/"),
            ("/a/{rest}", "/a/b/c"),
            ("/a/{rest}", "/a/{rest}"),
            ("/orders.json", "/orders.json"),
            ("/a|b(c)[d]", "/a%7Cb%28c%29%5bd%5D"),
            ("/a|b(c)[d]", "/a|b(c)[d]"),
            ("/pkg.v1.Ledger/Post", "/pkg.v1.Ledger/Post"),
            ("/a+b$c^d{e}", "/a+b$c^d{e}"),
        ] {
            assert!(matches(template, path), "{template} {path}");
        }
        for (template, path) in [
            ("/v1/charges/{id}", "/v1/charges"),
            ("/v1/charges/{id}", "/v1/charges/a/b"),
            ("/v1/charges", "/v1/chargesx"),
            ("/v1/charges", "/x/v1/charges"),
            ("/", "/a"),
            ("/orders.json", "/ordersxjson"),
            ("/a/{rest}", "/a"),
        ] {
            assert!(!matches(template, path), "{template} {path}");
        }
    }

    #[test]
    fn a_domain_matches_the_hosts_under_it() {
        let matches = |host: &str, called: &str| whole(&of_host(host)).unwrap().is_match(called);
        assert!(matches("api.x.io", "api.x.io") && !matches("api.x.io", "apixxxio") && !matches("x.io", "api.x.io"));
        assert!(
            matches("*.x.io", "a.x.io")
                && !matches("*.x.io", "a.b.x.io")
                && !matches("*.x.io", "x.io")
                && !matches("*.x.io", "evilx.io")
        );
    }
}
