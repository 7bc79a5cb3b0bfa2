//! The endpoint: method and path without what varies, `POST /v1/charges/{id}`.
//!
//! What is recognised in a single path: numbers, tokens and names of people are `{id}`, query and fragment are cut.
//! Audit operations (`s3:GetObject`) are endpoints as they stand. A request of GraphQL has its operation behind the path:
//! `POST /graphql mutation CreateCharge`.
//!
//! Not here: what only many paths tell together (`template`).

use super::operation::StepClass;
use super::secret::looks_secret;

/// What stands for a segment that varies.
pub(super) const ID: &str = "{id}";
/// What stands for all segments past the last one that is kept.
pub(super) const REST: &str = "{rest}";
/// Most segments that are kept.
const MAX_SEGMENTS: usize = 10;
/// Longest segment that may be a name, bytes.
const MAX_NAME: usize = 32;
/// Shortest segment with a digit that is taken for an identifier, bytes.
const MIN_IDENTIFIER_BYTES: usize = 6;
/// Shortest segment without a digit that is searched for a secret, bytes.
const MIN_SECRET_BYTES: usize = 12;
/// Longest name of a gRPC service or method, or of a GraphQL operation, bytes.
const MAX_CODE_NAME: usize = 100;
/// Types of a GraphQL operation that change nothing.
const READING_TYPES: [&str; 2] = ["query", "subscription"];
const WRITING_TYPE: &str = "mutation";
/// Longest API version: what is longer counts something else.
const MAX_VERSION: usize = 8;

/// Length of a secret key of AWS.
const AWS_KEY_BYTES: usize = 40;

pub(super) const METHODS: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
const WRITE_METHODS: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
/// The method that opens a tunnel.
const TUNNEL: &str = "CONNECT";
/// The method of what is not in [`METHODS`].
const OTHER_METHOD: &str = "OTHER";
/// The method where none was logged.
const NO_METHOD: &str = "CALL";

/// Words in a path that tell of secrets, rights, people or data leaving.
const SENSITIVE_WORDS: [&str; 30] = [
    "admin",
    "token",
    "secret",
    "key",
    "credential",
    "passw",
    "export",
    "dump",
    "backup",
    "download",
    "user",
    "member",
    "collaborat",
    "invit",
    "permission",
    "role",
    "polic",
    "grant",
    "hook",
    "forward",
    "transfer",
    "payout",
    "impersonat",
    "sso",
    "saml",
    "mfa",
    "session",
    "delegat",
    "share",
    "public",
];

/// Writes the endpoint of a method and path, as logged, to `out`.
pub fn shape(method: Option<&str>, path: &str, out: &mut String) {
    out.clear();
    let method = method_of(method);
    out.push_str(method);
    if method == TUNNEL {
        // It names a host alone.
        return;
    }
    out.push(' ');
    let path = if path == "*" { "" } else { path_of(path) };
    let decoded = path.contains('%').then(|| percent_encoding::percent_decode_str(path).decode_utf8_lossy());
    let path = decoded.as_deref().unwrap_or(path);
    let without_key = key_across_segments(path).map(|key| format!("{}{ID}{}", &path[..key.start], &path[key.end..]));
    let path = without_key.as_deref().unwrap_or(path);
    if is_grpc(path) {
        out.push_str(path);
        return;
    }
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    for segment in segments.by_ref().take(MAX_SEGMENTS) {
        // Path parameters (`;jsessionid=…`) are a query by another name.
        let name = segment.split(';').next().unwrap_or_default();
        out.push('/');
        out.push_str(if is_identifier(name) { ID } else { name });
    }
    if segments.next().is_some() {
        out.push('/');
        out.push_str(REST);
    }
    if path.split('/').all(str::is_empty) {
        out.push('/');
    }
}

/// Adds the operation of a GraphQL request to an endpoint: its type, its name or both. What is no name of code is left out.
pub fn name_operation(operation: &str, endpoint: &mut String) {
    let (kind, name) = operation.split_once(' ').unwrap_or(("", operation));
    let is_kind = |word: &str| word == WRITING_TYPE || READING_TYPES.contains(&word);
    if is_kind(kind) || is_kind(name) {
        endpoint.push(' ');
        endpoint.push_str(if kind.is_empty() { name } else { kind });
    }
    if !is_kind(name) && is_code_name(name) && name.len() <= MAX_CODE_NAME && !looks_secret(name) {
        endpoint.push(' ');
        endpoint.push_str(name);
    }
}

/// Whether a text is a name as code has it.
fn is_code_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn method_of(method: Option<&str>) -> &'static str {
    match method.map(str::trim) {
        None | Some("" | "-") => NO_METHOD,
        Some(method) => METHODS.into_iter().find(|known| known.eq_ignore_ascii_case(method)).unwrap_or(OTHER_METHOD),
    }
}

/// Cuts query and fragment, and of an absolute URL scheme and authority.
fn path_of(url: &str) -> &str {
    let end = url.bytes().position(|byte| byte == b'?' || byte == b'#').unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default().trim();
    if url.starts_with('/') {
        return url;
    }
    match url.split_once("://") {
        Some((_scheme, rest)) => rest.split_once('/').map_or("", |(_authority, path)| path),
        None => url,
    }
}

/// Where a path holds a key whose text has slashes, as the secret keys of AWS do: 40 characters of base64 that are no names.
fn key_across_segments(path: &str) -> Option<std::ops::Range<usize>> {
    let bytes = path.as_bytes();
    let begins = |at: &usize| *at == 0 || bytes[at - 1] == b'/';
    let ends = |at: usize| bytes.get(at).is_none_or(|byte| matches!(byte, b'/' | b';'));
    let last = bytes.len().checked_sub(AWS_KEY_BYTES)?;
    (0..=last)
        .filter(begins)
        .map(|at| at..at + AWS_KEY_BYTES)
        .find(|key| ends(key.end) && path.get(key.clone()).is_some_and(is_aws_key))
}

fn is_aws_key(text: &str) -> bool {
    let is_key_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    text.bytes().all(is_key_byte) && text.contains('/') && looks_secret(text)
}

/// Whether a path is that of a gRPC method, `/package.v1.Service/Method`: names of code, and no ids in them.
fn is_grpc(path: &str) -> bool {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else { return false };
    let is_type = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
    service.len() <= MAX_CODE_NAME
        && method.len() <= MAX_CODE_NAME
        && service.contains('.')
        && service.split('.').all(is_code_name)
        && service.rsplit('.').next().is_some_and(is_type)
        && is_code_name(method)
        && is_type(method)
        && !looks_secret(service)
        && !looks_secret(method)
}

/// Whether a segment names one object and no kind of object.
fn is_identifier(segment: &str) -> bool {
    let (mut digits, mut unusual) = (0, false);
    for byte in segment.bytes() {
        digits += usize::from(byte.is_ascii_digit());
        // Addresses of people (`@`), `key=value`, and what is no plain text.
        unusual |= !byte.is_ascii_graphic() || byte == b'@' || byte == b'=';
    }
    if unusual || segment.len() > MAX_NAME || (digits > 0 && digits == segment.len()) {
        return true;
    }
    let long = segment.len() >= MIN_IDENTIFIER_BYTES;
    match digits {
        0 => segment.len() >= MIN_SECRET_BYTES && looks_secret(segment),
        1 if is_numbered_word(segment) => false,
        _ => long && !is_version(segment) && !is_date(segment),
    }
}

/// `oauth2`: a word and one digit.
fn is_numbered_word(segment: &str) -> bool {
    let word = segment.trim_end_matches(|c: char| c.is_ascii_digit());
    word.len() + 1 == segment.len()
        && word.len() < MIN_SECRET_BYTES
        && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// `v2`, `v59.0`.
pub(super) fn is_version(segment: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    segment.len() <= MAX_VERSION && segment.strip_prefix(['v', 'V']).is_some_and(|rest| rest.split('.').all(number))
}

/// The version of the API in an endpoint's path.
pub fn version_in(endpoint: &str) -> Option<&str> {
    let (_, path) = split(endpoint)?;
    path.split(['/', ' ']).find(|segment| is_version(segment) || is_date(segment))
}

/// `2024-10`, `2010-04-01`: the name of an API's version.
pub(super) fn is_date(segment: &str) -> bool {
    let digits_and_dashes = segment.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    digits_and_dashes && segment.starts_with("20") && matches!(segment.len(), 7 | 10)
}

/// Method and path of an HTTP endpoint, which a tunnel has none of; `None` for an audit operation.
pub fn split(endpoint: &str) -> Option<(&str, &str)> {
    if endpoint == TUNNEL {
        return Some((TUNNEL, ""));
    }
    let (method, path) = endpoint.split_once(' ')?;
    let is_method = METHODS.contains(&method) || method == OTHER_METHOD || method == NO_METHOD;
    (is_method && path.starts_with('/')).then_some((method, path))
}

/// The operation that an endpoint names: of an audit log, of GraphQL (`mutation CreateCharge`), or a gRPC method.
pub fn operation(endpoint: &str) -> Option<&str> {
    let Some((_, path)) = split(endpoint) else { return Some(endpoint).filter(|endpoint| !endpoint.is_empty()) };
    match path.split_once(' ') {
        Some((_, operation)) => Some(operation),
        None => path.strip_prefix('/').filter(|_| is_grpc(path)),
    }
}

/// Whether an endpoint changes something at the vendor: by its method, by the type of a GraphQL operation, or by the class of an audit operation.
pub fn is_write(endpoint: &str) -> bool {
    match split(endpoint) {
        // Only an operation of GraphQL stands behind a blank.
        Some((method, path)) => match path.split(' ').nth(1) {
            Some(kind) if READING_TYPES.contains(&kind) => false,
            _ => WRITE_METHODS.contains(&method),
        },
        None => StepClass::of(endpoint).is_write(),
    }
}

/// Whether an endpoint deals with secrets, rights, people or data leaving, read or written: by words in its path past the
/// first segment (which names the API), or by the class of an audit operation.
pub fn sensitive_endpoint(endpoint: &str) -> bool {
    let Some((_, path)) = split(endpoint) else { return StepClass::of(endpoint).is_sensitive() };
    let path = path.trim_start_matches('/');
    let named = path.split_once('/').map_or(path, |(_api, rest)| rest).to_ascii_lowercase();
    SENSITIVE_WORDS.iter().any(|word| named.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Option<&str>, path: &str, expected: &str) {
        let mut out = "left over".to_owned();
        shape(method, path, &mut out);
        assert_eq!(out, expected, "{path}");
    }

    #[test]
    fn a_grpc_method_stays_as_it_is_and_percent_encoding_changes_no_endpoint() {
        let mut out = String::new();
        for (path, endpoint) in [
            ("/ferrywise.ledger.v1.LedgerService/PostEntry", "POST /ferrywise.ledger.v1.LedgerService/PostEntry"),
            ("/v1/ch%61rges", "POST /v1/charges"),
            ("/v1/charges/me%40example.com", "POST /v1/charges/{id}"),
            ("/a.b/c", "POST /a.b/c"),
        ] {
            shape(Some("POST"), path, &mut out);
            assert_eq!(out, endpoint, "{path}");
        }
        assert_eq!(operation("POST /a.b.v1.Ledger/PostEntry"), Some("a.b.v1.Ledger/PostEntry"));
        assert_eq!(operation("POST /graphql mutation Pay"), Some("mutation Pay"));
        assert_eq!((operation("GET /v1/charges"), operation("s3:GetObject")), (None, Some("s3:GetObject")));
    }

    #[test]
    fn a_key_with_slashes_in_it_is_one_identifier() {
        let mut out = String::new();
        for (path, endpoint) in [
            ("/v1/wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKE/list", "GET /v1/{id}/list"),
            ("/je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY", "GET /{id}"),
            ("/api/v1/GetUsers/ByName/ListOrders/OfYear", "GET /api/v1/GetUsers/ByName/ListOrders/OfYear"),
        ] {
            shape(Some("GET"), path, &mut out);
            assert_eq!(out, endpoint, "{path}");
        }
    }

    #[test]
    fn an_operation_of_graphql_stands_behind_the_path_and_says_whether_it_writes() {
        for (operation, endpoint, writes) in [
            ("query GetUser", "POST /graphql query GetUser", false),
            ("mutation CreateCharge", "POST /graphql mutation CreateCharge", true),
            ("GetUser", "POST /graphql GetUser", true),
            ("query", "POST /graphql query", false),
            ("query sk_live_4eC39HqLyjWDarjtT1zdp7dc", "POST /graphql query", false),
            ("query {user(id: 7)}", "POST /graphql query", false),
            ("", "POST /graphql", true),
        ] {
            let mut out = "POST /graphql".to_owned();
            name_operation(operation, &mut out);
            assert_eq!((out.as_str(), is_write(&out)), (endpoint, writes), "{operation}");
        }
    }

    #[test]
    fn what_names_one_object_is_an_id_and_what_names_a_kind_stays() {
        check(
            Some("get"),
            "/services/data/v59.0/sobjects/Account/0015g00000E6chDy4q",
            "GET /services/data/v59.0/sobjects/Account/{id}",
        );
        check(Some("GET"), "/admin/api/2024-10/orders/723380.json", "GET /admin/api/2024-10/orders/{id}");
        check(
            Some("POST"),
            "/2010-04-01/Accounts/AC5f1/Messages/SMec4ae9b2da2828ad",
            "POST /2010-04-01/Accounts/AC5f1/Messages/{id}",
        );
        check(
            Some("GET"),
            "/v1.0/users/2c86ea66-08c2-f63e-7368-ec9c77db1542/messages",
            "GET /v1.0/users/{id}/messages",
        );
        check(Some("POST"), "/oauth2/token", "POST /oauth2/token");
        check(Some("GET"), "/users/bob@acme.example/9", "GET /users/{id}/{id}");
        check(Some("GET"), "/files/wJalrXUtnFEMIbPxRfiCYEXAMPL", "GET /files/{id}");
    }

    #[test]
    fn query_fragment_user_and_parameters_never_stay() {
        for path in ["/a/b?key=s", "/a/b#s", "https://u:s@h.example/a/b?x", "/a/b;jsessionid=s", "//a//b/", "a/b"] {
            check(Some("GET"), path, "GET /a/b");
        }
        for path in ["", "/", "?s", "https://h.example", "https://h.example?s"] {
            check(Some("GET"), path, "GET /");
        }
        check(Some("CONNECT"), "api.stripe.com:443", "CONNECT");
    }

    #[test]
    fn a_method_is_known_other_or_none() {
        check(Some("patch"), "/a", "PATCH /a");
        check(Some("sk_live_123"), "/a", "OTHER /a");
        check(None, "/a", "CALL /a");
    }

    #[test]
    fn a_deep_path_ends_in_rest() {
        check(None, "/a/b/c/d/e/f/g/h/i/j/k/l", "CALL /a/b/c/d/e/f/g/h/i/j/{rest}");
    }

    #[test]
    fn writes_and_sensitive_endpoints_are_told_in_both_views() {
        assert!(
            is_write("POST /v1/charges")
                && is_write("iam:CreateUser")
                && !is_write("GET /v1/charges")
                && !is_write("s3:GetObject")
        );
        assert!(sensitive_endpoint("GET /v1/api_keys") && sensitive_endpoint("secretsmanager:GetSecretValue"));
        assert!(
            sensitive_endpoint("POST /tokens")
                && !sensitive_endpoint("GET /admin/orders")
                && !sensitive_endpoint("s3:GetObject")
        );
    }
}
