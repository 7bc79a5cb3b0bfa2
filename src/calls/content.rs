//! Content: what the query and the samples of bodies of a call show, each looked at only where there is one.
//!
//! Out come classes of data, the key that stood in the URL (for its fingerprint) and the API version that was asked for. The meaning of each
//! name is worked out once. Nothing else of a query or a body is kept.
//!
//! Not here: the tables (`data_class`), the forms of values (`sample`), what becomes of a key (`enrichment`).

use std::borrow::Cow;
use std::sync::Arc;

use super::cache::Cache;
use super::credential::is_masked;
use super::credential_kind::CredentialKind;
use super::data_class::{DataClasses, DataWords};
use super::endpoint::{is_date, is_version};
use super::sample::{classes_in, decoded, of_value, pairs};
use super::secret::{holds_real_key, looks_secret};
use super::{Call, DataClass};

/// Names that are cached.
const MAX_NAMES: usize = 16_384;
/// Parameters of one query that are looked at.
const MAX_PARAMETERS: usize = 100;
/// Shortest key, bytes, where the parameter's name says that it is one.
const MIN_KEY: usize = 8;
/// Shortest key, bytes, where the name may mean something else too.
const MIN_UNCERTAIN_KEY: usize = 16;
/// Shortest path that may hold a key, bytes.
const MIN_KEY_PATH: usize = 20;
/// Shortest secret part of a bot's token and of a hook's path, bytes.
const MIN_PATH_SECRET: usize = 20;
/// Longest API version, bytes.
const MAX_VERSION: usize = 24;

/// Parameters that hold a key, in lower case.
const KEYS: [&str; 22] = [
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "app_key",
    "appkey",
    "hapikey",
    "access_key",
    "access_token",
    "auth_token",
    "authtoken",
    "oauth_token",
    "session_token",
    "private_token",
    "refresh_token",
    "id_token",
    "jwt",
    "client_secret",
    "password",
    "passwd",
    "pwd",
    "subscription-key",
];
/// Parameters that hold a key or something else.
const PERHAPS_KEYS: [&str; 5] = ["key", "token", "auth", "secret", "appid"];
/// Parameters of URLs that are signed to be handed on.
const SIGNATURES: [&str; 5] = ["x-amz-signature", "x-goog-signature", "sig", "signature", "awsaccesskeyid"];
/// Parameters of them that name the key.
const SIGNERS: [&str; 3] = ["x-amz-credential", "x-goog-credential", "awsaccesskeyid"];
/// Parameters that name the API's version.
const VERSIONS: [&str; 5] = ["api-version", "api_version", "apiversion", "x-api-version", "version"];

/// What the name of a parameter means.
#[derive(Clone, Copy, Debug, Default)]
struct Parameter {
    classes: DataClasses,
    is_key: bool,
    is_perhaps_key: bool,
    is_signature: bool,
    is_signer: bool,
    is_version: bool,
}

/// What a call shows beside its method and path.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub sent: DataClasses,
    pub received: DataClasses,
    /// The key in the URL, and what kind that makes it.
    pub key: Option<(Cow<'a, str>, CredentialKind)>,
    /// Version of the API that was asked for, outside of the path.
    pub version: Option<Cow<'a, str>>,
}

/// Looks at calls, and knows names.
pub(super) struct ContentReader {
    words: Arc<DataWords>,
    names: Cache<DataClasses>,
    parameters: Cache<Parameter>,
}

impl ContentReader {
    pub fn new(words: Arc<DataWords>) -> Self {
        Self { words, names: Cache::new(MAX_NAMES), parameters: Cache::new(MAX_NAMES) }
    }

    /// What a call shows.
    pub fn read<'a>(&mut self, call: &'a Call<'_>) -> Content<'a> {
        let mut content = Content {
            version: call.api_version.as_deref().filter(|version| is_api_version(version)).map(Cow::Borrowed),
            ..Content::default()
        };
        let (path, query) = split_query(call.path.as_deref().unwrap_or_default());
        for query in [query, call.query.as_deref()].into_iter().flatten() {
            self.read_query(query.trim_start_matches('?'), &mut content);
        }
        if content.key.is_none() {
            content.key = key_in_path(path).map(|key| (Cow::Borrowed(key), CredentialKind::PathKey));
        }
        for (body, classes) in [(&call.request_body, &mut content.sent), (&call.response_body, &mut content.received)] {
            if let Some(body) = body {
                let (words, names) = (&self.words, &mut self.names);
                classes.add(classes_in(body, |name| names.with(name, |name| words.classes(name), |known| *known)));
            }
        }
        content
    }

    fn read_query<'a>(&mut self, query: &'a str, content: &mut Content<'a>) {
        let (mut signer, mut is_signed) = (None, false);
        for (name, value) in pairs(query).take(MAX_PARAMETERS) {
            let words = &self.words;
            let parameter = self.parameters.with(name, |name| Parameter::of(name, words), |known| *known);
            content.sent.add(parameter.classes);
            if value.is_empty() {
                continue;
            }
            let value = decoded(value);
            content.sent.add(of_value(&value));
            is_signed |= parameter.is_signature;
            if parameter.is_signer {
                let end = value.find('/').unwrap_or(value.len());
                signer = Some(value[..end].to_owned());
            } else if content.key.is_none() && parameter.holds_key(&value) {
                content.sent.add(DataClasses::of(DataClass::Secrets));
                content.key = Some((value, CredentialKind::QueryKey));
            } else if parameter.is_version && content.version.is_none() && is_api_version(&value) {
                content.version = Some(value);
            }
        }
        if is_signed && content.key.is_none() {
            content.key = signer.map(|signer| (signer.into(), CredentialKind::SignedUrl));
        }
    }
}

impl Parameter {
    fn of(name: &str, words: &DataWords) -> Self {
        let name = decoded(name);
        let lower = name.to_ascii_lowercase();
        let is = |known: &[&str]| known.contains(&lower.as_str());
        Self {
            classes: words.classes(&name),
            is_key: is(&KEYS),
            is_perhaps_key: is(&PERHAPS_KEYS),
            is_signature: is(&SIGNATURES),
            is_signer: is(&SIGNERS),
            is_version: is(&VERSIONS),
        }
    }

    fn holds_key(&self, value: &str) -> bool {
        if is_masked(value) {
            return false;
        }
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_mixed = || {
            value.bytes().all(is_word)
                && value.bytes().any(|byte| byte.is_ascii_digit())
                && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        };
        let may_be = || looks_secret(value) || (value.len() >= MIN_UNCERTAIN_KEY && is_mixed());
        (self.is_key && value.len() >= MIN_KEY) || (self.is_perhaps_key && may_be()) || holds_real_key(value)
    }
}

/// A path, and its query.
fn split_query(path: &str) -> (&str, Option<&str>) {
    match path.find(['?', '#']) {
        Some(at) if path.as_bytes()[at] == b'?' => {
            let query = &path[at + 1..];
            (&path[..at], Some(query.split('#').next().unwrap_or_default()))
        }
        Some(at) => (&path[..at], None),
        None => (path, None),
    }
}

/// The key that a path holds: one of a known beginning, that of a bot, that of a hook.
fn key_in_path(path: &str) -> Option<&str> {
    if path.len() < MIN_KEY_PATH {
        return None;
    }
    if let Some(hook) = path.strip_prefix("/services/T").and_then(|rest| rest.split_once("/B")) {
        return hook.1.split_once('/').map(|(_, secret)| secret).filter(|secret| secret.len() >= MIN_PATH_SECRET);
    }
    path.split('/').find(|segment| {
        let bot = segment.strip_prefix("bot").and_then(|bot| bot.split_once(':'));
        let is_bot = bot.is_some_and(|(number, secret)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && secret.len() >= MIN_PATH_SECRET
        });
        segment.len() >= MIN_KEY && (is_bot || holds_real_key(segment))
    })
}

/// Whether a text can be the version of an API: `v2`, `2024-10`, `2023-05-15-preview`, `2.1`.
fn is_api_version(text: &str) -> bool {
    let is_number = text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let date = text.get(..10).filter(|date| is_date(date)).map(|_| &text[10..]);
    let is_dated = date.is_some_and(|rest| {
        rest.is_empty()
            || rest.strip_prefix(['-', '.']).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_lowercase()))
    });
    text.len() <= MAX_VERSION && (is_version(text) || is_date(text) || is_dated || (is_number && text.len() <= 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(call: &'a Call<'_>) -> Content<'a> {
        ContentReader::new(Arc::new(DataWords::default())).read(call)
    }

    fn of_path(path: &str) -> (String, Option<(String, &'static str)>, Option<String>) {
        let call = Call { path: Some(path.into()), ..Call::default() };
        let content = read(&call);
        let key = content.key.map(|(key, kind)| (key.into_owned(), kind.as_str()));
        (content.sent.text(), key, content.version.map(Cow::into_owned))
    }

    #[test]
    fn names_and_values_of_a_query_tell_classes() {
        for (path, classes) in [
            ("/v1/users?email=x&page=2", "personal"),
            ("/v1/users?q=jo%40example.com", "personal"),
            ("/v1/cards?customer%5Bcard%5D%5Bnumber%5D=4242", "card"),
            ("/v1/users?limit=3&cursor=eyJwYWdlIjoyfQ==", ""),
            ("/v1/email/x", ""),
            ("/v1/users#email=x", ""),
            ("?", ""),
        ] {
            assert_eq!(of_path(path).0, classes, "{path}");
        }
    }

    #[test]
    fn a_key_in_the_url_is_found_and_what_only_looks_like_one_is_not() {
        for (path, key, kind) in [
            (
                "/maps?key=AIzaSyC7vXq2KtLm9sRw4NbPdFgHjUeTa8YoZ3c",
                "AIzaSyC7vXq2KtLm9sRw4NbPdFgHjUeTa8YoZ3c",
                "query_key",
            ),
            ("/a?api_key=hunter2hunter2", "hunter2hunter2", "query_key"),
            ("/a?x=ghp_R8sKq2VtXw5LnZb7YcMd3FgHj9TpEu4A6iQo", "ghp_R8sKq2VtXw5LnZb7YcMd3FgHj9TpEu4A6iQo", "query_key"),
            (
                "/bot123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/send",
                "bot123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
                "path_key",
            ),
            ("/services/T04KQ7XBZ/B05MRW2YVN/hT9sXqLvK3mZ8wRbNcPd", "hT9sXqLvK3mZ8wRbNcPd", "path_key"),
            ("/b/o?X-Amz-Credential=AKIAX%2F20260901%2Fs3&X-Amz-Signature=ab", "AKIAX", "signed_url"),
        ] {
            assert_eq!(of_path(path).1, Some((key.to_owned(), kind)), "{path}");
        }
        for path in [
            "/a?key=name",
            "/a?key=reports/2026/a.csv",
            "/a?token=2",
            "/a?api_key=****",
            "/a?page_token=x1y2z3x1y2z3x1y2z3",
        ] {
            assert_eq!(of_path(path).1, None, "{path}");
        }
    }

    #[test]
    fn the_version_of_the_header_goes_before_that_of_the_query() {
        assert_eq!(of_path("/a?api-version=2023-05-15-preview").2.as_deref(), Some("2023-05-15-preview"));
        assert_eq!(of_path("/a?api-version=latest").2, None);
        let call = Call { path: Some("/a?api-version=2.1".into()), api_version: Some("v3".into()), ..Call::default() };
        assert_eq!(read(&call).version.as_deref(), Some("v3"));
    }

    #[test]
    fn bodies_tell_classes_by_direction() {
        let call = Call {
            request_body: Some(r#"{"prompt":"x"}"#.into()),
            response_body: Some(r#"{"ssn":"x"}"#.into()),
            ..Call::default()
        };
        let content = read(&call);
        assert_eq!((content.sent.text(), content.received.text()), ("prompts".into(), "personal".into()));
    }
}
