//! A policy as it is read back: rules that judge calls. What the file says counts, whoever has edited it since.
//!
//! Not here: how a format's file becomes rules (`formats`).

use std::collections::BTreeMap;

use regex::Regex;

use super::entry::{Caller, Schemes};
use super::pattern::named_host;
use crate::calls::{Dimension, Relation, split_endpoint};

/// One thing that is allowed.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whom.
    pub(super) caller: Caller,
    /// Which hosts.
    pub(super) host: Regex,
    /// By which schemes; `None` where the format does not look at it.
    pub(super) schemes: Option<Schemes>,
    /// HTTP method; `None` for any.
    pub(super) method: Option<String>,
    /// Which paths; `None` for any.
    pub(super) path: Option<Regex>,
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Callers that the file knows, with or without rules.
    pub callers: Vec<String>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl Fault {
    pub fn new(line: usize, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }
}

/// Why a call is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Nothing is allowed to the caller.
    Caller,
    /// No entry of the caller names the host.
    Host,
    /// The host only by another scheme.
    Scheme,
    /// The host, but no such method and path.
    Endpoint,
}

impl Why {
    /// The word in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Host => "host",
            Self::Scheme => "scheme",
            Self::Endpoint => "endpoint",
        }
    }
}

/// A policy, ready to judge.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    named: BTreeMap<String, Vec<Rule>>,
    newcomers: Vec<Rule>,
}

impl Policy {
    pub(super) fn new(content: Content) -> Self {
        let mut policy = Self::default();
        for caller in content.callers {
            policy.named.entry(caller).or_default();
        }
        for rule in content.rules {
            match &rule.caller {
                Caller::Named(name) => policy.named.entry(name.clone()).or_default().push(rule),
                Caller::Newcomers => policy.newcomers.push(rule),
            }
        }
        policy
    }

    /// Number of its rules.
    pub fn len(&self) -> usize {
        self.named.values().map(Vec::len).sum::<usize>() + self.newcomers.len()
    }

    /// Whether it allows nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Why the calls of a relation are not allowed; `None` where they are.
    pub fn against(&self, relation: &Relation) -> Option<Why> {
        let caller = relation.caller().as_str();
        let rules = match self.named.get(caller) {
            Some(rules) => rules,
            None => &self.newcomers,
        };
        let host = named_host(relation.host().as_str());
        let mut of_host = rules.iter().filter(|rule| rule.host.is_match(&host)).peekable();
        if of_host.peek().is_none() {
            return Some(if rules.is_empty() { Why::Caller } else { Why::Host });
        }
        let is_plain = relation.name(Dimension::Scheme).as_str() == "http";
        let of_scheme: Vec<_> = of_host.filter(|rule| rule.allows_scheme(is_plain)).collect();
        if of_scheme.is_empty() {
            return Some(Why::Scheme);
        }
        let is_allowed = of_scheme.iter().any(|rule| rule.allows_endpoint(relation.endpoint().as_str()));
        (!is_allowed).then_some(Why::Endpoint)
    }
}

impl Rule {
    fn allows_scheme(&self, is_plain: bool) -> bool {
        self.schemes.is_none_or(|schemes| if is_plain { schemes.plain } else { schemes.tls })
    }

    fn allows_endpoint(&self, endpoint: &str) -> bool {
        let is_whole = self.method.is_none() && self.path.is_none();
        // An operation that is no request shows neither method nor path.
        let Some((method, path)) = split_endpoint(endpoint) else { return is_whole };
        let path = path.split(' ').next().unwrap_or_default();
        self.method.as_deref().is_none_or(|own| own == method)
            && self.path.as_ref().is_none_or(|own| own.is_match(path))
    }
}
