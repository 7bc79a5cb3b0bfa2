//! The policy file: what Sigma cannot say, typed. Approved vendors, transport, credentials, regions, deprecated endpoints, budgets, and
//! exceptions, each with a scope, a reason and the day on which it ends.
//!
//! Not here: the rules that read it (`pack`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use glob::Pattern;
use jiff::civil::Date;
use jiff::tz::Offset;
use toml::Spanned;
use toml::value::Datetime;

use super::error::RuleError;
use super::level::Level;
use super::policy_spec::{
    Answers, ApprovalSpec, BudgetSpec, CompromisedSpec, Credentials, DeprecatedSpec, EnvironmentSpec, ExceptionSpec,
    GatewaySpec, Spec,
};
use crate::calls::{Cidr, DataClass, VendorPack, Version};

/// TLS versions from oldest to newest, as rows name them.
pub(super) const TLS_VERSIONS: [&str; 6] = ["ssl2", "ssl3", "1.0", "1.1", "1.2", "1.3"];

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Micro-dollars in a dollar.
pub(super) const MICROS_PER_DOLLAR: f64 = 1e6;

/// A policy, checked. The default allows what the shipped pack calls usual.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Levels of rules that are not their own; `None` is off.
    levels: BTreeMap<String, Option<Level>>,
    /// Index of the oldest TLS version that is allowed.
    pub(super) min_tls: usize,
    pub(super) credentials: Credentials,
    pub(super) answers: Answers,
    /// Hosts that redirects may lead to, beside the vendor's own; none where it was not written.
    pub(super) redirects: Scope,
    environments: Vec<Environment>,
    pub(super) approvals: Vec<Approval>,
    pub(super) gateways: Vec<Gateway>,
    pub(super) deprecated: Vec<Deprecated>,
    /// What vendors themselves retire.
    pub(super) pack: Arc<VendorPack>,
    pub(super) compromised: Vec<Compromised>,
    pub(super) budgets: Vec<Budget>,
    exceptions: Vec<Exception>,
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
    /// Classes of data that may be sent; `None` allows all.
    pub data_classes: Option<Vec<DataClass>>,
    pub authentication: bool,
}

/// `[[gateways]]`: through what calls must go.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    pub vendors: Scope,
    pub callers: Scope,
    /// Callers that are gateways themselves.
    pub gateways: Scope,
    pub networks: Vec<Network>,
}

/// A network that calls come from.
#[derive(Clone, Debug)]
pub(super) enum Network {
    Range(Cidr),
    /// The owner of a public network, as rows name it.
    Owner(Pattern),
}

impl Network {
    /// Whether a network as rows name it lies in this one.
    pub fn covers(&self, network: &str) -> bool {
        match self {
            Self::Owner(pattern) => pattern.matches(network),
            Self::Range(range) => {
                let address = network.split('/').next().unwrap_or_default().parse::<IpAddr>();
                address.is_ok_and(|address| range.contains(address))
            }
        }
    }
}

/// `[[deprecated]]`: an endpoint, or versions, that nobody should call any more.
#[derive(Clone, Debug)]
pub(super) struct Deprecated {
    pub vendor: Scope,
    pub endpoint: Scope,
    pub below: Option<Version>,
    pub instead: Option<String>,
}

impl Deprecated {
    /// Whether it is about calls to an endpoint of a vendor in a version.
    pub fn covers(&self, vendor: &str, endpoint: &str, version: &str) -> bool {
        let is_below = |below: &Version| Version::parse(version).is_some_and(|own| own.is_before(below));
        self.vendor.covers(vendor) && self.endpoint.covers(endpoint) && self.below.as_ref().is_none_or(is_below)
    }
}

/// `[[compromised]]`: whose credentials must be rotated, those that were in use before a day.
#[derive(Clone, Debug)]
pub(super) struct Compromised {
    vendors: Scope,
    credentials: Scope,
    pub day: Date,
    /// Its beginning, microseconds since the epoch.
    pub since: i64,
}

impl Compromised {
    /// Whether it is about a credential, by its fingerprint, at a vendor.
    pub fn covers(&self, vendor: &str, credential: &str) -> bool {
        self.vendors.covers(vendor) && self.credentials.covers(credential)
    }
}

/// `[[budgets]]`: what a caller, or all callers together, may call a day at a vendor.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub callers: Scope,
    pub vendors: Scope,
    pub calls: Option<i64>,
    pub bytes_out: Option<i64>,
    pub bytes_in: Option<i64>,
    /// Micro-dollars by list price.
    pub cost: Option<i64>,
    /// Whether it is for all callers of the vendor together.
    pub is_of_vendor: bool,
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
            answers: Answers::default(),
            redirects: Scope::default(),
            environments: vec![
                environment("production", &["prod", "production", "prd", "live"]),
                environment(
                    "test",
                    &["dev", "development", "test", "testing", "qa", "uat", "stage", "staging", "sandbox"],
                ),
            ],
            approvals: Vec::new(),
            gateways: Vec::new(),
            pack: VendorPack::embedded(),
            deprecated: Vec::new(),
            compromised: Vec::new(),
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
    pub fn read(file: &Path, vendors: &Arc<VendorPack>, rules: &[&str]) -> Result<Self, RuleError> {
        Self::parse(file, &RuleError::read(file)?, vendors, rules)
    }

    /// The default policy, with what these vendors retire.
    pub(super) fn of_vendors(vendors: &Arc<VendorPack>) -> Self {
        Self { pack: Arc::clone(vendors), ..Self::default() }
    }

    pub(super) fn parse(file: &Path, text: &str, vendors: &Arc<VendorPack>, rules: &[&str]) -> Result<Self, RuleError> {
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

/// A policy file while it is checked.
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
    vendors: &'a Arc<VendorPack>,
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
        let mut policy = Policy::of_vendors(self.vendors);
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
        policy.answers = spec.answers;
        policy.redirects = self.scope(&spec.redirects.hosts, "redirects.hosts")?;
        if !spec.environments.is_empty() {
            let environment = |one: EnvironmentSpec| {
                Ok(Environment { name: one.name, callers: self.scope(&one.callers, "environments.callers")? })
            };
            policy.environments = spec.environments.into_iter().map(environment).collect::<Result<_, _>>()?;
        }
        policy.approvals = spec.vendors.iter().map(|one| self.approval(one, &policy)).collect::<Result<_, _>>()?;
        policy.gateways = spec.gateways.iter().map(|one| self.gateway(one)).collect::<Result<_, _>>()?;
        policy.deprecated = spec.deprecated.into_iter().map(|one| self.deprecated(one)).collect::<Result<_, _>>()?;
        policy.compromised = spec.compromised.iter().map(|one| self.compromised(one)).collect::<Result<_, _>>()?;
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
            data_classes: one.data_classes.clone(),
            authentication: one.authentication,
        })
    }

    fn gateway(&self, one: &Spanned<GatewaySpec>) -> Result<Gateway, RuleError> {
        let (start, one) = (one.span().start, one.get_ref());
        if one.gateways.is_empty() && one.networks.is_empty() {
            let problem = "names no gateway: write `gateways` (callers that are some), or the `networks` that calls must come from";
            return Err(self.at(start, "gateways", problem));
        }
        let network = |written: &Spanned<String>| match Cidr::parse(written.get_ref()) {
            Some(range) => Ok(Network::Range(range)),
            None if written.get_ref().contains('/') || written.get_ref().parse::<IpAddr>().is_ok() => {
                let problem =
                    format!("`{}` is no network: write 10.0.0.0/8, or the name of an owner", written.get_ref());
                Err(self.at(written.span().start, "gateways.networks", problem))
            }
            None => Pattern::new(written.get_ref())
                .map(Network::Owner)
                .map_err(|error| self.at(written.span().start, "gateways.networks", error.msg)),
        };
        Ok(Gateway {
            vendors: self.vendors(&one.vendors, "gateways.vendors")?,
            callers: self.scope(&one.callers, "gateways.callers")?,
            gateways: self.scope(&one.gateways, "gateways.gateways")?,
            networks: one.networks.iter().map(network).collect::<Result<_, _>>()?,
        })
    }

    fn deprecated(&self, one: Spanned<DeprecatedSpec>) -> Result<Deprecated, RuleError> {
        let (start, one) = (one.span().start, one.into_inner());
        if one.endpoint.is_none() && one.versions_below.is_none() {
            let problem = "names nothing: write `endpoint` or `versions_below`, as in \"v2\"";
            return Err(self.at(start, "deprecated", problem));
        }
        let below = |version: Spanned<String>| {
            let problem = "write a version, as in \"v18.0\" or \"2024-10\"";
            let parsed = Version::parse(version.get_ref());
            parsed.ok_or_else(|| self.at(version.span().start, "deprecated.versions_below", problem))
        };
        let endpoint: Vec<_> = one.endpoint.into_iter().collect();
        Ok(Deprecated {
            vendor: self.vendors(&[one.vendor], "deprecated.vendor")?,
            endpoint: self.scope(&endpoint, "deprecated.endpoint")?,
            below: one.versions_below.map(below).transpose()?,
            instead: one.instead,
        })
    }

    fn compromised(&self, one: &Spanned<CompromisedSpec>) -> Result<Compromised, RuleError> {
        let (start, one) = (one.span().start, one.get_ref());
        if one.vendors.is_empty() && one.credentials.is_empty() {
            return Err(self.at(
                start,
                "compromised",
                "names nothing: write `vendors`, or `credentials` by fingerprint",
            ));
        }
        let Some(since) = &one.since else {
            return Err(self.at(start, "compromised.since", "is missing: write the day, as in since = 2027-03-31"));
        };
        let (day, since) = self.day(since, "compromised.since")?;
        Ok(Compromised {
            vendors: self.vendors(&one.vendors, "compromised.vendors")?,
            credentials: self.scope(&one.credentials, "compromised.credentials")?,
            day,
            since,
        })
    }

    /// A day, and its beginning in microseconds since the epoch.
    fn day(&self, written: &Spanned<Datetime>, field: &str) -> Result<(Date, i64), RuleError> {
        let date = written.get_ref().date;
        let day = date.and_then(|day| Date::new(day.year as i16, day.month as i8, day.day as i8).ok());
        let start = day.and_then(|day| Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok());
        let problem = || self.at(written.span().start, field, "write a day, as in 2027-03-31");
        day.zip(start).map(|(day, start)| (day, start.as_microsecond())).ok_or_else(problem)
    }

    fn budget(&self, one: &Spanned<BudgetSpec>) -> Result<Budget, RuleError> {
        let (start, one) = (one.span().start, one.get_ref());
        let BudgetSpec { calls_per_day: calls, bytes_out_per_day: bytes_out, bytes_in_per_day: bytes_in, .. } = *one;
        let cost = one.dollars_per_day.map(|dollars| (dollars * MICROS_PER_DOLLAR) as i64);
        if [calls, bytes_out, bytes_in, cost] == [None; 4] {
            let problem = "limits nothing: write calls_per_day, bytes_out_per_day, bytes_in_per_day or dollars_per_day";
            return Err(self.at(start, "budgets", problem));
        }
        if one.callers_together && !one.callers.is_empty() {
            let problem = "is for all callers of a vendor: leave out `callers`";
            return Err(self.at(start, "budgets.callers_together", problem));
        }
        Ok(Budget {
            callers: self.scope(&one.callers, "budgets.callers")?,
            vendors: self.vendors(&one.vendors, "budgets.vendors")?,
            calls,
            bytes_out,
            bytes_in,
            cost,
            is_of_vendor: one.callers_together,
        })
    }

    fn exception(&self, one: &Spanned<ExceptionSpec>) -> Result<Exception, RuleError> {
        let (start, one) = (one.span().start, one.get_ref());
        let Some(expires) = &one.expires else {
            let problem = "is missing: an exception ends, so write its last day, as in expires = 2027-03-31";
            return Err(self.at(start, "exceptions.expires", problem));
        };
        let (day, start_of_day) = self.day(expires, "exceptions.expires")?;
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
            until: start_of_day.saturating_add(DAY),
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
mod tests;
