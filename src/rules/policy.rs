//! The policy file: what Sigma cannot say, typed. Approved vendors, transport, credentials, regions, deprecated endpoints, budgets, and
//! exceptions, each with a scope, a reason and the day on which it ends.
//!
//! Not here: the rules that read it (`pack`).

use std::collections::BTreeMap;
use std::path::Path;

use glob::Pattern;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::error::RuleError;
use super::level::Level;
use crate::calls::VendorPack;

/// TLS versions from oldest to newest, as rows name them.
pub(super) const TLS_VERSIONS: [&str; 6] = ["ssl2", "ssl3", "1.0", "1.1", "1.2", "1.3"];

/// A policy, checked. The default allows what the shipped pack calls usual.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Levels of rules that are not their own; `None` is off.
    levels: BTreeMap<String, Option<Level>>,
    /// Index of the oldest TLS version that is allowed.
    pub(super) min_tls: usize,
    pub(super) credentials: Credentials,
    /// Largest answer, bytes.
    pub(super) max_answer_bytes: Option<i64>,
    environments: Vec<Environment>,
    pub(super) approvals: Vec<Approval>,
    pub(super) deprecated: Vec<Deprecated>,
    pub(super) budgets: Vec<Budget>,
    exceptions: Vec<Exception>,
}

/// `[credentials]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Credentials {
    /// Days after which a credential is due for rotation, counted from the first call with it.
    pub max_age_days: u32,
    /// Days without a call after which it should be revoked.
    pub max_idle_days: u32,
    /// Callers that may share one.
    pub max_callers: u32,
}

impl Default for Credentials {
    fn default() -> Self {
        Self { max_age_days: 90, max_idle_days: 30, max_callers: 1 }
    }
}

/// `[[environments]]`: which callers are of it.
#[derive(Clone, Debug)]
struct Environment {
    name: String,
    callers: Scope,
}

/// `[[vendors]]`: who may call whom, from where, and how.
#[derive(Clone, Debug)]
pub(super) struct Approval {
    pub vendors: Scope,
    pub callers: Scope,
    pub environments: Scope,
    pub regions: Scope,
    pub authentication: bool,
}

/// `[[deprecated]]`: an endpoint that nobody should call any more.
#[derive(Clone, Debug)]
pub(super) struct Deprecated {
    pub vendor: Scope,
    pub endpoint: Scope,
    pub instead: Option<String>,
}

/// `[[budgets]]`: what a caller may call a day at a vendor.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub callers: Scope,
    pub vendors: Scope,
    pub calls: Option<i64>,
    pub bytes_out: Option<i64>,
    pub bytes_in: Option<i64>,
}

/// `[[exceptions]]`: what is tolerated until a day.
#[derive(Clone, Debug)]
pub struct Exception {
    rules: Scope,
    callers: Scope,
    vendors: Scope,
    /// Why.
    pub reason: String,
    /// The last day.
    pub expires: Date,
    /// Its end, microseconds since the epoch.
    until: i64,
}

/// Names by patterns with `*`; without any, all.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope(Vec<Pattern>);

impl Scope {
    /// Whether it covers a name.
    pub fn covers(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether it was written at all.
    pub fn is_limited(&self) -> bool {
        !self.0.is_empty()
    }

    /// Its patterns, for people.
    pub fn names(&self) -> String {
        if self.0.is_empty() {
            "all".to_owned()
        } else {
            self.0.iter().map(Pattern::as_str).collect::<Vec<_>>().join(", ")
        }
    }
}

impl Exception {
    /// Rules, callers and vendors that it covers, for lists.
    pub fn scope(&self) -> String {
        let Self { rules, callers, vendors, .. } = self;
        format!("{}; callers: {}; vendors: {}", rules.names(), callers.names(), vendors.names())
    }

    /// The first moment at which it no longer holds, microseconds since the epoch.
    pub fn until(&self) -> i64 {
        self.until
    }
}

impl Default for Policy {
    fn default() -> Self {
        let environment = |name: &str, words: &[&str]| {
            // A word of a name: `billing-prod`, `prod-billing`, `prod`.
            let patterns =
                words.iter().flat_map(|word| [format!("{word}[-._/]*"), format!("*[-._/]{word}"), (*word).to_owned()]);
            let inner = words.iter().map(|word| format!("*[-._/]{word}[-._/]*"));
            let callers = patterns.chain(inner).filter_map(|pattern| Pattern::new(&pattern).ok());
            Environment { name: name.to_owned(), callers: Scope(callers.collect()) }
        };
        Self {
            levels: BTreeMap::new(),
            min_tls: 4,
            credentials: Credentials::default(),
            max_answer_bytes: None,
            environments: vec![
                environment("production", &["prod", "production", "prd", "live"]),
                environment(
                    "test",
                    &["dev", "development", "test", "testing", "qa", "uat", "stage", "staging", "sandbox"],
                ),
            ],
            approvals: Vec::new(),
            deprecated: Vec::new(),
            budgets: Vec::new(),
            exceptions: Vec::new(),
        }
    }
}

impl Policy {
    /// Reads a policy file; `rules` are the names that levels and exceptions may use.
    ///
    /// # Errors
    /// [`RuleError`], naming file, line and field.
    pub fn read(file: &Path, vendors: &VendorPack, rules: &[&str]) -> Result<Self, RuleError> {
        Self::parse(file, &RuleError::read(file)?, vendors, rules)
    }

    pub(super) fn parse(file: &Path, text: &str, vendors: &VendorPack, rules: &[&str]) -> Result<Self, RuleError> {
        let source = Source { file, text, vendors, rules };
        let spec: Spec = toml::from_str(text).map_err(|error| source.of_toml(&error))?;
        source.check(spec)
    }

    /// The level at which a rule is reported, given its own; `None` where it is off.
    pub fn level(&self, rule: &str, own: Level) -> Option<Level> {
        self.levels.get(rule).copied().unwrap_or(Some(own))
    }

    /// The exceptions.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// The exception that tolerates a violation at a time (microseconds since the epoch), if there is one.
    pub fn exception(&self, rule: &str, caller: &str, vendor: &str, time: i64) -> Option<&Exception> {
        let covers = |one: &&Exception| {
            time < one.until && one.rules.covers(rule) && one.callers.covers(caller) && one.vendors.covers(vendor)
        };
        self.exceptions.iter().find(covers)
    }

    /// Whether a caller may call a vendor; `None` where the policy approves no vendor at all, and so says nothing.
    pub fn approves(&self, caller: &str, vendor: &str) -> Option<bool> {
        let environment = self.environment(caller).unwrap_or_default();
        let covers = |one: &Approval| {
            one.vendors.covers(vendor)
                && one.callers.covers(caller)
                && (!one.environments.is_limited() || one.environments.covers(environment))
        };
        (!self.approvals.is_empty()).then(|| self.approvals.iter().any(covers))
    }

    /// Days after which a credential is due for rotation, and days without a call after which it should be revoked.
    pub fn credential_days(&self) -> (u32, u32) {
        (self.credentials.max_age_days, self.credentials.max_idle_days)
    }

    /// The environment that a caller's name tells.
    pub(super) fn environment(&self, caller: &str) -> Option<&str> {
        self.environments.iter().find(|one| one.callers.covers(caller)).map(|one| one.name.as_str())
    }
}

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    levels: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    transport: Transport,
    #[serde(default)]
    credentials: Credentials,
    #[serde(default)]
    answers: Answers,
    #[serde(default)]
    environments: Vec<EnvironmentSpec>,
    #[serde(default)]
    vendors: Vec<ApprovalSpec>,
    #[serde(default)]
    deprecated: Vec<DeprecatedSpec>,
    #[serde(default)]
    budgets: Vec<Spanned<BudgetSpec>>,
    #[serde(default)]
    exceptions: Vec<Spanned<ExceptionSpec>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Transport {
    min_tls: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Answers {
    max_bytes: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentSpec {
    name: String,
    callers: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovalSpec {
    names: Vec<Spanned<String>>,
    #[serde(default)]
    callers: Vec<Spanned<String>>,
    #[serde(default)]
    environments: Vec<Spanned<String>>,
    #[serde(default)]
    regions: Vec<Spanned<String>>,
    #[serde(default)]
    authentication: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeprecatedSpec {
    vendor: Spanned<String>,
    endpoint: Spanned<String>,
    instead: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetSpec {
    #[serde(default)]
    callers: Vec<Spanned<String>>,
    #[serde(default)]
    vendors: Vec<Spanned<String>>,
    calls_per_day: Option<i64>,
    bytes_out_per_day: Option<i64>,
    bytes_in_per_day: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionSpec {
    rules: Vec<Spanned<String>>,
    #[serde(default)]
    callers: Vec<Spanned<String>>,
    #[serde(default)]
    vendors: Vec<Spanned<String>>,
    reason: Option<String>,
    expires: Option<Spanned<Datetime>>,
}

/// A policy file while it is checked.
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    vendors: &'a VendorPack,
    rules: &'a [&'a str],
}

impl Source<'_> {
    fn at(&self, start: usize, field: &str, problem: impl ToString) -> RuleError {
        let line = 1 + self.text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count();
        RuleError::at(self.file, line, field, problem)
    }

    fn of_toml(&self, error: &toml::de::Error) -> RuleError {
        let start = error.span().map_or(0, |span| span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line = self.text.get(before.rfind('\n').map_or(0, |newline| newline + 1)..).unwrap_or_default();
        let line = line.lines().next().unwrap_or_default();
        let field = line.split_once('=').map_or_else(|| line.trim().trim_matches(['[', ']']), |(key, _)| key.trim());
        self.at(start, field, error.message())
    }

    fn check(&self, spec: Spec) -> Result<Policy, RuleError> {
        let mut policy = Policy::default();
        for (name, level) in spec.levels {
            let start = level.span().start;
            self.ensure_rule(&name, start)?;
            let named = Level::named(level.get_ref());
            if named.is_none() && level.get_ref() != "off" {
                let known = Level::ALL.map(Level::as_str).join(", ");
                return Err(self.at(start, &format!("levels.{name}"), format!("write off, or one of {known}")));
            }
            policy.levels.insert(name, named);
        }
        if let Some(version) = spec.transport.min_tls {
            let known = TLS_VERSIONS.iter().position(|known| known == version.get_ref());
            policy.min_tls = known.ok_or_else(|| {
                self.at(version.span().start, "transport.min_tls", "write one of 1.0, 1.1, 1.2, 1.3, as in \"1.2\"")
            })?;
        }
        policy.credentials = spec.credentials;
        policy.max_answer_bytes = spec.answers.max_bytes;
        if !spec.environments.is_empty() {
            let environment = |one: EnvironmentSpec| {
                Ok(Environment { name: one.name, callers: self.scope(&one.callers, "environments.callers")? })
            };
            policy.environments = spec.environments.into_iter().map(environment).collect::<Result<_, _>>()?;
        }
        policy.approvals = spec.vendors.iter().map(|one| self.approval(one, &policy)).collect::<Result<_, _>>()?;
        policy.deprecated = spec.deprecated.into_iter().map(|one| self.deprecated(one)).collect::<Result<_, _>>()?;
        policy.budgets = spec.budgets.iter().map(|one| self.budget(one)).collect::<Result<_, _>>()?;
        policy.exceptions = spec.exceptions.iter().map(|one| self.exception(one)).collect::<Result<_, _>>()?;
        Ok(policy)
    }

    fn approval(&self, one: &ApprovalSpec, policy: &Policy) -> Result<Approval, RuleError> {
        for environment in &one.environments {
            let known: Vec<&str> = policy.environments.iter().map(|one| one.name.as_str()).collect();
            if !known.contains(&environment.get_ref().as_str()) {
                let problem = format!("`{}` is no environment: there are {}", environment.get_ref(), known.join(", "));
                return Err(self.at(environment.span().start, "vendors.environments", problem));
            }
        }
        Ok(Approval {
            vendors: self.vendors(&one.names, "vendors.names")?,
            callers: self.scope(&one.callers, "vendors.callers")?,
            environments: self.scope(&one.environments, "vendors.environments")?,
            regions: self.scope(&one.regions, "vendors.regions")?,
            authentication: one.authentication,
        })
    }

    fn deprecated(&self, one: DeprecatedSpec) -> Result<Deprecated, RuleError> {
        let (vendor, endpoint) = ([one.vendor], [one.endpoint]);
        Ok(Deprecated {
            vendor: self.vendors(&vendor, "deprecated.vendor")?,
            endpoint: self.scope(&endpoint, "deprecated.endpoint")?,
            instead: one.instead,
        })
    }

    fn budget(&self, one: &Spanned<BudgetSpec>) -> Result<Budget, RuleError> {
        let (start, one) = (one.span().start, one.get_ref());
        let BudgetSpec { calls_per_day: calls, bytes_out_per_day: bytes_out, bytes_in_per_day: bytes_in, .. } = *one;
        if [calls, bytes_out, bytes_in] == [None; 3] {
            let problem = "limits nothing: write calls_per_day, bytes_out_per_day or bytes_in_per_day";
            return Err(self.at(start, "budgets", problem));
        }
        Ok(Budget {
            callers: self.scope(&one.callers, "budgets.callers")?,
            vendors: self.vendors(&one.vendors, "budgets.vendors")?,
            calls,
            bytes_out,
            bytes_in,
        })
    }

    fn exception(&self, one: &Spanned<ExceptionSpec>) -> Result<Exception, RuleError> {
        let (start, one) = (one.span().start, one.get_ref());
        let Some(expires) = &one.expires else {
            let problem = "is missing: an exception ends, so write its last day, as in expires = 2027-03-31";
            return Err(self.at(start, "exceptions.expires", problem));
        };
        let day =
            expires.get_ref().date.and_then(|date| Date::new(date.year as i16, date.month as i8, date.day as i8).ok());
        let next = day.and_then(|day| day.tomorrow().ok()).map(|day| day.at(0, 0, 0, 0));
        let until = next.and_then(|midnight| Offset::UTC.to_timestamp(midnight).ok());
        let (Some(day), Some(until)) = (day, until) else {
            return Err(self.at(expires.span().start, "exceptions.expires", "write a day, as in 2027-03-31"));
        };
        let Some(reason) = one.reason.clone().filter(|reason| !reason.trim().is_empty()) else {
            return Err(self.at(start, "exceptions.reason", "is missing: say why it is tolerated, and by whom"));
        };
        if one.rules.is_empty() {
            return Err(self.at(start, "exceptions.rules", "is empty: name the rules, as in [\"plaintext\"]"));
        }
        for rule in one.rules.iter().filter(|rule| !rule.get_ref().contains('*')) {
            self.ensure_rule(rule.get_ref(), rule.span().start)?;
        }
        Ok(Exception {
            rules: self.scope(&one.rules, "exceptions.rules")?,
            callers: self.scope(&one.callers, "exceptions.callers")?,
            vendors: self.vendors(&one.vendors, "exceptions.vendors")?,
            reason,
            expires: day,
            until: until.as_microsecond(),
        })
    }

    fn ensure_rule(&self, name: &str, start: usize) -> Result<(), RuleError> {
        if self.rules.contains(&name) {
            return Ok(());
        }
        Err(self.at(start, name, format!("is no rule: there are {}", self.rules.join(", "))))
    }

    fn scope(&self, names: &[Spanned<String>], field: &str) -> Result<Scope, RuleError> {
        let pattern = |name: &Spanned<String>| {
            Pattern::new(name.get_ref()).map_err(|error| self.at(name.span().start, field, error.msg))
        };
        names.iter().map(pattern).collect::<Result<_, _>>().map(Scope)
    }

    /// Vendors by their names: those of the pack, or a domain as an unknown vendor is called.
    fn vendors(&self, names: &[Spanned<String>], field: &str) -> Result<Scope, RuleError> {
        for name in names {
            let written = name.get_ref();
            let is_known = written.contains(['*', '.', ':']) || self.vendors.vendor(written).is_some();
            if !is_known {
                let start: String = written.chars().take(2).collect();
                let near = self.vendors.vendors().iter().map(|known| known.name.as_str());
                let near: Vec<&str> = near.filter(|known| known.starts_with(&start)).take(5).collect();
                let near = if near.is_empty() { String::new() } else { format!(" ({}?)", near.join(", ")) };
                let problem = format!(
                    "`{written}` is no vendor that is known{near}: write its name in the vendor pack, or its registrable domain, \
                     as in \"example.com\""
                );
                return Err(self.at(name.span().start, field, problem));
            }
        }
        self.scope(names, field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: [&str; 2] = ["plaintext", "weak_tls"];

    fn read(text: &str) -> Result<Policy, String> {
        let vendors = VendorPack::embedded();
        Policy::parse(Path::new("policy.toml"), text, &vendors, &RULES).map_err(|error| error.to_string())
    }

    fn time(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn an_exception_ends_with_its_last_day_and_covers_its_scope_alone() {
        let policy = read(
            "[[exceptions]]\nrules = [\"plaintext\"]\ncallers = [\"legacy-*\"]\nvendors = [\"google\"]\n\
             reason = \"moves in Q1, agreed with security\"\nexpires = 2027-03-31\n",
        );
        let policy = policy.unwrap();
        let covers = |rule: &str, caller: &str, vendor: &str, at: &str| {
            policy.exception(rule, caller, vendor, time(at)).is_some()
        };
        assert!(covers("plaintext", "legacy-geo", "google", "2027-03-31T23:59:00Z"));
        assert!(!covers("plaintext", "legacy-geo", "google", "2027-04-01T00:00:00Z"));
        assert!(!covers("weak_tls", "legacy-geo", "google", "2027-01-01T00:00:00Z"));
        assert!(!covers("plaintext", "geo", "google", "2027-01-01T00:00:00Z"));
        assert!(!covers("plaintext", "legacy-geo", "stripe", "2027-01-01T00:00:00Z"));
    }

    #[test]
    fn names_tell_the_environment_by_a_word_and_not_by_a_part_of_one() {
        let policy = Policy::default();
        for (caller, environment) in [
            ("billing-prod", Some("production")),
            ("prod", Some("production")),
            ("eu.prod.billing", Some("production")),
            ("staging-billing", Some("test")),
            ("product-search", None),
            ("latest", None),
        ] {
            assert_eq!(policy.environment(caller), environment, "{caller}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_what_to_write() {
        for (text, problem) in [
            (
                "[[vendors]]\nnames = [\"strip\"]\n",
                "policy.toml:2: vendors.names: `strip` is no vendor that is known (stripe?)",
            ),
            (
                "[[exceptions]]\nrules = [\"plaintext\"]\nreason = \"x\"\n",
                "policy.toml:1: exceptions.expires: is missing: an exception ends",
            ),
            (
                "[[exceptions]]\nrules = [\"plain\"]\nreason = \"x\"\nexpires = 2027-01-01\n",
                "policy.toml:2: plain: is no rule: there are plaintext",
            ),
            ("[[exceptions]]\nrules = [\"plaintext\"]\nexpires = 2027-01-01\n", "exceptions.reason: is missing"),
            ("\n[levels]\nplaintext = \"severe\"\n", "policy.toml:3: levels.plaintext: write off, or one of"),
            ("[transport]\nmin_tls = \"1.4\"\n", "policy.toml:2: transport.min_tls: write one of"),
            ("[transport]\ntls = \"1.2\"\n", "policy.toml:2: tls: unknown field `tls`, expected `min_tls`"),
            ("[[budgets]]\ncallers = [\"a\"]\n", "policy.toml:1: budgets: limits nothing"),
            (
                "[[vendors]]\nnames = [\"stripe\"]\nenvironments = [\"moon\"]\n",
                "policy.toml:3: vendors.environments: `moon`",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(problem), "expected {problem}\nfound    {error}");
        }
    }
}
