//! Kinds of credentials: what a secret is, by where it stood in the request and by its public beginning. Never a part of it.
//!
//! Not here: its fingerprint (`credential`), and how a URL is searched for one (`content`).

use serde::{Deserialize, Serialize};

use super::View;

/// What a credential is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// The log does not tell.
    #[default]
    Unknown,
    /// A key in a header of its own.
    ApiKey,
    /// A key that says that it is one of production (`sk_live_`).
    LiveKey,
    /// A key that says that it is one of tests (`sk_test_`).
    TestKey,
    /// A token behind `Bearer`.
    Bearer,
    /// A signed token (JWT).
    Jwt,
    /// Name and password behind `Basic`.
    Basic,
    /// An access key of AWS: of a user, or of a session.
    AwsAccessKey,
    /// A key or token in the URL's query.
    QueryKey,
    /// A key or token in the URL's path.
    PathKey,
    /// A URL that was signed to be handed on: it ends by itself.
    SignedUrl,
    /// The id of a key or token, as the vendor logs it.
    KeyId,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Unknown,
        Self::ApiKey,
        Self::LiveKey,
        Self::TestKey,
        Self::Bearer,
        Self::Jwt,
        Self::Basic,
        Self::AwsAccessKey,
        Self::QueryKey,
        Self::PathKey,
        Self::SignedUrl,
        Self::KeyId,
    ];

    /// The name in columns, policies and lists; empty where it is unknown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::ApiKey => "api_key",
            Self::LiveKey => "live_key",
            Self::TestKey => "test_key",
            Self::Bearer => "bearer",
            Self::Jwt => "jwt",
            Self::Basic => "basic",
            Self::AwsAccessKey => "aws_access_key",
            Self::QueryKey => "query_key",
            Self::PathKey => "path_key",
            Self::SignedUrl => "signed_url",
            Self::KeyId => "key_id",
        }
    }

    /// The kind that the scheme of an `Authorization` header tells.
    pub fn of_header(header: &str) -> Self {
        let scheme = header.trim_start().split_once(char::is_whitespace).map_or("", |(scheme, _)| scheme);
        let is = |known: &str| scheme.eq_ignore_ascii_case(known);
        match scheme {
            _ if is("bearer") => Self::Bearer,
            _ if is("basic") => Self::Basic,
            "AWS4-HMAC-SHA256" => Self::AwsAccessKey,
            _ if is("token") || is("apikey") || is("api-key") => Self::ApiKey,
            _ => Self::Unknown,
        }
    }

    /// The kind that the public beginning of a credential tells.
    pub(super) fn of_beginning(credential: &str) -> Option<Self> {
        let is_aws =
            |key: &str| key.len() >= 16 && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let begins_as = |heads: &[&str]| heads.iter().any(|head| credential.starts_with(head));
        match credential {
            key if begins_as(&["AKIA", "ASIA"]) && is_aws(key) => Some(Self::AwsAccessKey),
            _ if begins_as(&["sk_live_", "rk_live_", "pk_live_", "live_"]) => Some(Self::LiveKey),
            _ if begins_as(&["sk_test_", "rk_test_", "pk_test_", "test_"]) => Some(Self::TestKey),
            token if token.starts_with("eyJ") && token.split('.').count() == 3 => Some(Self::Jwt),
            _ => None,
        }
    }

    /// The kind of a credential that stood in no place that tells more.
    pub(super) const fn of_view(view: View) -> Self {
        match view {
            View::Egress => Self::ApiKey,
            View::Audit => Self::KeyId,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_by_the_scheme_and_by_the_public_beginning() {
        for (header, kind) in [
            ("Bearer k", "bearer"),
            ("BASIC dTpw", "basic"),
            ("token ghp_x", "api_key"),
            ("AWS4-HMAC-SHA256 Credential=AKIA/x", "aws_access_key"),
            ("k", ""),
            ("Card k", ""),
        ] {
            assert_eq!(CredentialKind::of_header(header).as_str(), kind, "{header}");
        }
        for (credential, kind) in [
            ("AKIAIOSFODNN7EXAMPLE", Some(CredentialKind::AwsAccessKey)),
            ("AKIAfirm", None),
            ("sk_live_x", Some(CredentialKind::LiveKey)),
            ("sk_test_x", Some(CredentialKind::TestKey)),
            ("eyJh.eyJz.sig", Some(CredentialKind::Jwt)),
            ("k-1", None),
        ] {
            assert_eq!(CredentialKind::of_beginning(credential), kind, "{credential}");
        }
    }
}
