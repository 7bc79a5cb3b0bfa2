//! Endpoint patterns: a method and a path in which some segments vary.
//!
//! `{id}` stands for what is recognised as an identifier by itself; `{version}` for the API's version and `{kind}` for a kind of
//! object, which both stay in the name; any other name in braces for any one segment; a last `{rest}` for all segments that
//! remain. So a word that the pattern does not foresee (`/customers/export`) is never taken for a customer.

use crate::calls::endpoint::{ID, METHODS, REST, is_date, is_version, split};

/// Any method.
const ANY: &str = "*";
const VERSION: &str = "{version}";
const KIND: &str = "{kind}";

/// A method and a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// `None`: any.
    method: Option<String>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Word(String),
    Identifier,
    Version,
    Kind,
    Any,
    Rest,
}

impl Pattern {
    /// Parses `GET /v1/charges/{id}`.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (method, path) = text.split_once(' ').ok_or("write a method and a path, as in \"GET /v1/charges/{id}\"")?;
        if method != ANY && !METHODS.contains(&method) {
            return Err("begins with no HTTP method: write one in capitals, or * for any");
        }
        let path = path.strip_prefix('/').ok_or("the path does not begin with /")?;
        let segments: Vec<Segment> = path.split('/').filter(|segment| !segment.is_empty()).map(Segment::of).collect();
        if segments.iter().rev().skip(1).any(|segment| *segment == Segment::Rest) {
            return Err("{rest} stands for all that remains: nothing can follow it");
        }
        Ok(Self { method: (method != ANY).then(|| method.to_owned()), segments })
    }

    /// An endpoint that it matches.
    #[cfg(test)]
    pub(super) fn example(&self) -> String {
        let segment = |segment: &Segment| match segment {
            Segment::Word(word) => word.clone(),
            Segment::Identifier => ID.to_owned(),
            Segment::Version => "v1".to_owned(),
            Segment::Kind => "some-kind".to_owned(),
            Segment::Any => "some-name".to_owned(),
            Segment::Rest => "some-name/another-name".to_owned(),
        };
        let path: Vec<String> = self.segments.iter().map(segment).collect();
        format!("{} /{}", self.method.as_deref().unwrap_or("GET"), path.join("/"))
    }

    /// The name of an endpoint by this pattern; `None` where it does not match.
    pub(super) fn name_of(&self, endpoint: &str) -> Option<String> {
        let (method, path) = split(endpoint)?;
        if self.method.as_deref().is_some_and(|known| known != method) {
            return None;
        }
        let mut name = format!("{method} ");
        let mut given = path.split('/').filter(|segment| !segment.is_empty());
        for segment in &self.segments {
            name.push('/');
            name.push_str(segment.name_of(given.next()?)?);
            if *segment == Segment::Rest {
                return Some(name);
            }
        }
        if self.segments.is_empty() {
            name.push('/');
        }
        given.next().is_none().then_some(name)
    }
}

impl Segment {
    fn of(text: &str) -> Self {
        match text {
            ID => Self::Identifier,
            REST => Self::Rest,
            VERSION => Self::Version,
            KIND => Self::Kind,
            _ if text.starts_with('{') && text.ends_with('}') => Self::Any,
            _ => Self::Word(text.to_owned()),
        }
    }

    fn name_of<'a>(&self, given: &'a str) -> Option<&'a str> {
        match self {
            Self::Word(word) => (word == given).then_some(given),
            Self::Identifier => (given == ID).then_some(ID),
            Self::Version => (is_version(given) || is_date(given)).then_some(given),
            Self::Kind => (given != ID && given != REST).then_some(given),
            Self::Any => (given != REST).then_some(ID),
            Self::Rest => Some(REST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, endpoint: &str, name: Option<&str>) {
        assert_eq!(Pattern::parse(pattern).unwrap().name_of(endpoint).as_deref(), name, "{pattern}: {endpoint}");
    }

    #[test]
    fn a_pattern_names_what_varies_and_takes_no_unforeseen_word_for_an_identifier() {
        check("GET /v1/charges/{id}", "GET /v1/charges/{id}", Some("GET /v1/charges/{id}"));
        check("GET /v1/charges/{id}", "GET /v1/charges/export", None);
        check("GET /v1/charges/{id}", "POST /v1/charges/{id}", None);
        check(
            "GET /repos/{owner}/{repo}/zipball",
            "GET /repos/acme/site/zipball",
            Some("GET /repos/{id}/{id}/zipball"),
        );
        check("GET /repos/{owner}", "GET /repos/acme/site", None);
        check(
            "* /services/data/{version}/query",
            "GET /services/data/v59.0/query",
            Some("GET /services/data/v59.0/query"),
        );
        check("* /services/data/{version}/query", "GET /services/data/x/query", None);
        check("GET /objects/{kind}/{id}", "GET /objects/contacts/{id}", Some("GET /objects/contacts/{id}"));
        check("PUT /{bucket}/{rest}", "PUT /acme/a/b/c", Some("PUT /{id}/{rest}"));
        check("GET /", "GET /", Some("GET /"));
        check("GET /", "s3:GetObject", None);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["/v1/charges", "get /v1", "GET v1/charges", "GET /{rest}/x"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
