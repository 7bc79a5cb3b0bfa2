//! URLs and authentication headers, cut up without copying where they are borrowed.

use std::borrow::Cow;

use crate::calls::CredentialKind;

/// The parts of a URL that a call keeps. User info never survives.
#[derive(Debug, Default, PartialEq)]
pub struct Url<'a> {
    /// `https`, if the URL is absolute.
    pub scheme: Option<&'a str>,
    /// Host, perhaps with port, if the URL is absolute.
    pub host: Option<&'a str>,
    /// From the first slash on, with query and fragment.
    pub path: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// Cuts an absolute URL, or a bare path.
    pub fn cut(url: &'a str) -> Self {
        let absolute = url.split_once("://").filter(|_| !url.starts_with('/'));
        let Some((scheme, rest)) = absolute else {
            return Self { path: url.starts_with('/').then_some(url), ..Self::default() };
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let filled = |text: &'a str| (!text.is_empty()).then_some(text);
        Self { scheme: filled(scheme), host: filled(host), path: filled(path) }
    }
}

/// A part of a text, borrowed where the text is.
pub fn part<'a>(whole: &Cow<'a, str>, cut: impl for<'t> Fn(&'t str) -> Option<&'t str>) -> Option<Cow<'a, str>> {
    match whole {
        Cow::Borrowed(text) => cut(text).map(Cow::Borrowed),
        Cow::Owned(text) => cut(text).map(|part| Cow::Owned(part.to_owned())),
    }
}

/// An address without its port and brackets; an IPv6 address without brackets has no port.
pub fn without_port(address: &str) -> &str {
    if let Some(bracketed) = address.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or(bracketed);
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => address,
    }
}

/// The secret or key id in an `authorization` header, so that a key is the same key in whatever header and log it is found:
/// `Bearer x` is `x`, and of an AWS signature only the key id lasts.
pub fn credential(header: Cow<'_, str>) -> Cow<'_, str> {
    part(&header, |header| Some(secret(header))).unwrap_or_default()
}

/// The kind of credential that a header tells by its scheme.
pub fn kind(header: Option<Cow<'_, str>>) -> CredentialKind {
    header.map(|header| CredentialKind::of_header(&header)).unwrap_or_default()
}

fn secret(header: &str) -> &str {
    match header.split_once(' ') {
        Some(("AWS4-HMAC-SHA256", signature)) => {
            let scope = signature.split_once("Credential=").map_or(signature, |(_, scope)| scope);
            scope.split_once('/').map_or(scope, |(key, _)| key)
        }
        Some((_, secret)) => secret.trim_start(),
        None => header,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_without_its_user_and_a_path_stays_a_path() {
        let cut = Url::cut("https://me:secret@api.stripe.com:443?key=1");
        assert_eq!(cut, Url { scheme: Some("https"), host: Some("api.stripe.com:443"), path: Some("?key=1") });
        assert_eq!(Url::cut("/v1/a?u=http://x"), Url { path: Some("/v1/a?u=http://x"), ..Url::default() });
    }

    #[test]
    fn a_port_is_cut_off_and_an_ipv6_address_is_whole() {
        for (logged, address) in [
            ("10.0.0.1:80", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]:80", "::1"),
            ("[::1", "::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(without_port(logged), address);
        }
    }

    #[test]
    fn a_key_is_the_same_key_in_whatever_header_it_came() {
        let signature = "AWS4-HMAC-SHA256 Credential=AKIAX/20260901/eu-west-1/s3/aws4_request, Signature=ab";
        for (header, key) in [("Bearer k", "k"), ("k", "k"), (signature, "AKIAX")] {
            assert_eq!(credential(header.into()), key);
            assert_eq!(credential(header.to_owned().into()), key);
        }
    }
}
