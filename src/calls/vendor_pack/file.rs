//! One file of the pack: a vendor as written, and as checked.
//!
//! Not here: which vendor wins where two files name the same (`mod`).

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::deprecated::{Deprecation, Version};
use super::facts::{Price, VendorCategory, Verb};
use super::pattern::Pattern;
use super::{Endpoint, Vendor};

/// Most that a price may be, dollars.
const MAX_DOLLARS: f64 = 1_000.0;

/// Why a pack of vendors cannot be used.
#[derive(Debug, Error)]
pub enum PackError {
    /// A file or the directory cannot be read.
    #[error("{}: {problem}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        problem: std::io::Error,
    },
    /// A field is missing, unknown or wrong.
    #[error("{}:{line}: {field}: {problem}", file.display())]
    Field {
        /// The vendor's file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The field (`domains`), as far as it is known.
        field: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}

/// A file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Left out where each domain is a vendor of its own, named as the domain.
    name: Option<Spanned<String>>,
    category: VendorCategory,
    domains: Vec<Spanned<String>>,
    #[serde(default)]
    endpoints: Vec<WrittenEndpoint>,
    #[serde(default)]
    deprecated: Vec<Spanned<WrittenDeprecation>>,
}

/// What the vendor retires, as written: endpoints, versions, or endpoints of versions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDeprecation {
    pattern: Option<Spanned<String>>,
    versions_below: Option<Spanned<String>>,
    instead: String,
}

/// One endpoint as written; prices in dollars.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEndpoint {
    pattern: Spanned<String>,
    verb: Verb,
    per_call: Option<Spanned<f64>>,
    per_1k_tokens_in: Option<Spanned<f64>>,
    per_1k_tokens_out: Option<Spanned<f64>>,
}

/// A vendor, its domains, and where each of them stands in the text.
pub(super) type Owner = (Vendor, Vec<(String, Range<usize>)>);

/// A file's text, for finding lines in.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub file: &'a Path,
    pub text: &'a str,
}

impl Text<'_> {
    /// The vendors of a file: one, or one a domain.
    pub(super) fn read(self) -> Result<Vec<Owner>, PackError> {
        let written: Written = toml::from_str(self.text).map_err(|error| self.diagnostic(&error))?;
        let domain = |domain: &Spanned<String>| match is_domain(domain.get_ref()) {
            true => Ok((domain.get_ref().clone(), domain.span())),
            false => Err(self.at(&domain.span(), "domains", "write a domain in lower case, as in \"stripe.com\"")),
        };
        let domains: Vec<_> = written.domains.iter().map(domain).collect::<Result<_, _>>()?;
        let vendor = Vendor {
            name: String::new(),
            category: written.category,
            endpoints: written
                .endpoints
                .into_iter()
                .map(|endpoint| self.endpoint(endpoint))
                .collect::<Result<_, _>>()?,
            deprecated: written.deprecated.into_iter().map(|one| self.deprecation(one)).collect::<Result<_, _>>()?,
        };
        let Some(name) = written.name else {
            let of_domain = |domain: (String, Range<usize>)| {
                let name = domain.0.clone();
                (Vendor { name, ..vendor.clone() }, vec![domain])
            };
            return Ok(domains.into_iter().map(of_domain).collect());
        };
        if name.get_ref().is_empty() || !name.get_ref().bytes().all(is_of_a_name) {
            let problem = "write a name of lower-case letters, digits, dots and dashes, as in \"stripe\"";
            return Err(self.at(&name.span(), "name", problem));
        }
        Ok(vec![(Vendor { name: name.into_inner(), ..vendor }, domains)])
    }

    fn endpoint(self, written: WrittenEndpoint) -> Result<Endpoint, PackError> {
        let pattern = Pattern::parse(written.pattern.get_ref())
            .map_err(|problem| self.at(&written.pattern.span(), "endpoints.pattern", problem))?;
        let dollars = |field: &str, price: Option<Spanned<f64>>| {
            let Some(price) = price else { return Ok(0.0) };
            let is_possible = (0.0..=MAX_DOLLARS).contains(price.get_ref());
            is_possible
                .then_some(*price.get_ref())
                .ok_or_else(|| self.at(&price.span(), field, "write dollars from 0 to 1000"))
        };
        let price = Price::of_dollars(
            dollars("endpoints.per_call", written.per_call)?,
            dollars("endpoints.per_1k_tokens_in", written.per_1k_tokens_in)?,
            dollars("endpoints.per_1k_tokens_out", written.per_1k_tokens_out)?,
        );
        Ok(Endpoint { pattern, verb: written.verb, price })
    }

    fn deprecation(self, written: Spanned<WrittenDeprecation>) -> Result<Deprecation, PackError> {
        let (span, written) = (written.span(), written.into_inner());
        let pattern = |pattern: Spanned<String>| {
            let parsed = Pattern::parse(pattern.get_ref());
            parsed.map_err(|problem| self.at(&pattern.span(), "deprecated.pattern", problem))
        };
        let below = |version: Spanned<String>| {
            let problem = "write a version, as in \"v18.0\" or \"2024-10\"";
            let parsed = Version::parse(version.get_ref());
            parsed.ok_or_else(|| self.at(&version.span(), "deprecated.versions_below", problem))
        };
        let one = Deprecation {
            pattern: written.pattern.map(pattern).transpose()?,
            below: written.versions_below.map(below).transpose()?,
            instead: written.instead,
        };
        if one.pattern.is_none() && one.below.is_none() {
            return Err(self.at(&span, "deprecated", "names nothing: write `pattern` or `versions_below`"));
        }
        Ok(one)
    }

    /// A diagnostic of TOML or serde: the error has the position, the line of text has the field.
    fn diagnostic(self, error: &toml::de::Error) -> PackError {
        let span = error.span().unwrap_or_default();
        let is_key =
            |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let key_before = || line.rsplit_once('=').and_then(|(key, _)| key.split(['{', ',', ' ']).rfind(is_key));
        let field = self.text.get(span.clone()).filter(is_key).or_else(key_before).unwrap_or("file");
        self.at(&span, field, error.message())
    }

    pub(super) fn at(self, span: &Range<usize>, field: &str, problem: &str) -> PackError {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        PackError::Field { file: self.file.to_owned(), line, field: field.to_owned(), problem: problem.to_owned() }
    }
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-'
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| is_of_a_name(byte) || byte == b'_');
    text.contains('.') && text.split('.').all(is_label)
}
