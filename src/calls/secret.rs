//! What looks like a secret, wherever it stands.
//!
//! Logs put keys where none belong: in a user agent, a tenant's name, a path. Each text passes through here before it
//! becomes a column. Two signs: the shapes that vendors gave their keys so that scanners find them, and long runs in
//! which letters of both cases and digits alternate as they do in random tokens and never in names.
//!
//! Not here: what is put in a secret's place (`credential`).

/// Beginnings of known keys, how many key characters must follow, and what follows counts as key character.
const KEY_SHAPES: [(&str, usize); 43] = [
    ("sk_live_", 8),
    ("sk_test_", 8),
    ("rk_live_", 8),
    ("rk_test_", 8),
    ("whsec_", 8),
    ("sk-proj-", 8),
    ("sk-ant-", 8),
    ("sk-svcacct-", 8),
    ("sk-", 20),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghu_", 16),
    ("ghs_", 16),
    ("ghr_", 16),
    ("github_pat_", 16),
    ("xoxb-", 8),
    ("xoxp-", 8),
    ("xoxa-", 8),
    ("xoxr-", 8),
    ("xoxs-", 8),
    ("xoxe-", 8),
    ("xapp-", 8),
    ("AIza", 20),
    ("ya29.", 12),
    ("SG.", 16),
    ("eyJ", 12),
    ("glpat-", 12),
    ("dop_v1_", 16),
    ("shpat_", 16),
    ("shpss_", 16),
    ("shpca_", 16),
    ("npm_", 20),
    ("pypi-", 16),
    ("hf_", 16),
    ("sl.", 24),
    ("pat-na1-", 12),
    ("pat-eu1-", 12),
    ("lin_api_", 12),
    ("dckr_pat_", 12),
    ("hvs.", 16),
    ("-----BEGIN", 0),
];
/// By byte, whether a known key begins with it: most words need no further look.
const MAY_BEGIN_KEY: [bool; 256] = {
    let (mut may, mut shape) = ([false; 256], 0);
    while shape < KEY_SHAPES.len() {
        may[KEY_SHAPES[shape].0.as_bytes()[0] as usize] = true;
        shape += 1;
    }
    may
};
/// Shortest run of token characters that may be a random token.
const TOKEN_LENGTH: usize = 24;
/// Fewest characters of pieces that no name is made of, for a run to be a random token.
const RANDOM_LENGTH: usize = 12;
/// Longest piece of one case and digits that may be a generated part of a name (`x7f3k9q2`, a stack's suffix).
const CODE_LENGTH: usize = 23;

/// Whether a text holds what may be a secret: a key of a known shape, or a long random token.
pub fn looks_secret(text: &str) -> bool {
    holds_known_key(text) || holds_credentials(text) || token_runs(text).any(|(run, rest)| is_random(run, rest))
}

/// Whether a text holds a key by its public beginning. JSON in base 64 (`eyJ…`) is a token where it has the three parts of one, and a
/// cursor else.
pub(super) fn holds_real_key(text: &str) -> bool {
    holds_known_key(text) && (!text.contains("eyJ") || text.bytes().filter(|&byte| byte == b'.').count() >= 2)
}

/// Whether a text is an `Authorization` header, or a URL with a password.
fn holds_credentials(text: &str) -> bool {
    let scheme = text.split_once(' ').filter(|(_, rest)| !rest.trim().is_empty()).map(|(scheme, _)| scheme);
    let is_header = scheme.is_some_and(|scheme| {
        ["bearer", "basic", "digest", "token", "apikey"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    });
    let user = text.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()?.rsplit_once('@'));
    is_header || user.is_some_and(|(user, _)| user.contains(':'))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'/' | b'=' | b'-')
}

fn holds_known_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut in_word = false;
    bytes.iter().enumerate().any(|(at, &byte)| {
        let begins_word = !in_word;
        in_word = byte.is_ascii_alphanumeric();
        begins_word && MAY_BEGIN_KEY[usize::from(byte)] && bytes.get(at..).is_some_and(begins_with_known_key)
    })
}

fn begins_with_known_key(bytes: &[u8]) -> bool {
    // One byte compared in place spares most calls of memcmp.
    KEY_SHAPES.iter().filter(|(start, _)| start.as_bytes().first() == bytes.first()).any(|(start, length)| {
        let rest = bytes.strip_prefix(start.as_bytes());
        rest.is_some_and(|rest| rest.iter().take_while(|&&byte| is_token_byte(byte)).count() >= *length)
    })
}

/// Runs of token characters long enough to matter, each with the text after it.
fn token_runs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.bytes().position(is_token_byte)?;
        let length = rest[start..].bytes().take_while(|&byte| is_token_byte(byte)).count();
        let run = &rest[start..start + length];
        rest = &rest[start + length..];
        Some((run, rest))
    })
    .filter(|(run, _)| run.len() >= TOKEN_LENGTH)
}

/// Pieces between separators: names are made of words, numbers and short codes; random tokens are not.
fn is_random(run: &str, rest: &str) -> bool {
    let mut rest_of_host = rest.bytes();
    let label_of_host =
        rest_of_host.next() == Some(b'.') && rest_of_host.next().is_some_and(|b| b.is_ascii_lowercase());
    let mut random = 0;
    for piece in run.split(|c: char| !c.is_ascii_alphanumeric()) {
        match Piece::of(piece) {
            Piece::Name => {}
            Piece::Code if label_of_host || piece.len() <= CODE_LENGTH => {}
            Piece::Code => return true,
            Piece::Random => random += piece.len(),
        }
    }
    random >= RANDOM_LENGTH
}

/// What a piece of a run, letters and digits only, may be.
enum Piece {
    /// Words, CamelCase or not, or a number.
    Name,
    /// Letters of one case among digits.
    Code,
    /// Neither.
    Random,
}

impl Piece {
    fn of(piece: &str) -> Self {
        let bytes = piece.as_bytes();
        let (upper, lower, digit) = (
            bytes.iter().any(u8::is_ascii_uppercase),
            bytes.iter().any(u8::is_ascii_lowercase),
            bytes.iter().any(u8::is_ascii_digit),
        );
        // A capital letter begins a word, so upper to lower is no change. Random base 62 changes in 45 % of its places.
        let changes = bytes.windows(2).filter(|pair| is_change(pair)).count();
        let dense = changes * 5 >= bytes.len();
        match (upper && lower, digit) {
            _ if !dense => Self::Name,
            (false, true) => Self::Code,
            _ => Self::Random,
        }
    }
}

fn is_change(pair: &[u8]) -> bool {
    let class = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
    match *pair {
        [a, b] => class(a) != class(b) && !(a.is_ascii_uppercase() && b.is_ascii_lowercase()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_real_logs_hold_are_no_secrets() {
        for name in [
            "payments-worker-7d9f8b6c5d-x2k4q",
            "arn:aws:iam::123456789012:role/AWSReservedSSO_AdministratorAccess_4f8a2c1d9e3b7a60",
            "MyStack-LambdaExecutionRole-1K9XQ2L5PZ8TJ",
            "stratus-red-team_ad7e993a-df31-4c47-b824-2dc03aac44a5",
            "lambda:UpdateFunctionConfiguration20150331v2",
            "ec2:ModifyVpcEndpointServicePayerResponsibility",
            "k3j9x8a7b6c5d4e3f2g1h0i9j8k7l6m5.lambda-url.us-east-1.on.aws",
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/114.0",
            "OpenJDK_64-Bit_Server_VM/25.372-b08",
            "task-service.risk-assessment-and-fraud-detection",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn tokens_are_secrets_in_any_company() {
        for token in [
            "Bearer 9fQ2vLx7Tz1Kd83mWqYbR5uP0sHnJc6E",
            "key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "a9f3c2e81b7d4f60a9f3c2e81b7d4f60",
            "curl (AKIAIOSFODNN7EXAMPLE)",
            "-----BEGIN RSA PRIVATE KEY-----",
            "tenant:eyJhbGciOiJIUzI1NiJ9.e30.abc",
        ] {
            assert!(looks_secret(token), "{token}");
        }
    }

    #[test]
    fn a_header_with_a_token_and_a_password_in_a_url_are_secrets_and_plain_words_are_not() {
        for secret in ["Bearer abc123", "basic dXNlcjpw", "postgres://u:Pw9xKq2L@db/x"] {
            assert!(looks_secret(secret), "{secret}");
        }
        for plain in ["token-service", "https://api.stripe.com/v1", "https://jo@git.x.io/a", "bearer"] {
            assert!(!looks_secret(plain), "{plain}");
        }
    }
}
