//! `apiwarden catalog vendors`, `endpoints`, `diff` and all others that print a table.
//!
//! Not here: the queries (`catalog::list`).

use clap::Args;

use super::Store;
use crate::catalog::{self, CatalogError, Filter, List, Reader, RotationLimits, Since, diff};
use crate::cli::rows::Writing;

/// Arguments of a list.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    filter: FilterArguments,
    /// Only what was seen since: a span before the newest call (12h, 7d, 4w), a date or a time in RFC 3339.
    #[arg(long, value_name = "SINCE")]
    since: Option<Since>,
    #[command(flatten)]
    writing: Writing,
}

/// Arguments: which rows.
#[derive(Debug, Args)]
struct FilterArguments {
    /// Only calls to this vendor.
    #[arg(long, value_name = "VENDOR")]
    vendor: Option<String>,
    /// Only calls of this caller.
    #[arg(long, value_name = "CALLER")]
    caller: Option<String>,
    /// Only calls with this credential, by its fingerprint.
    #[arg(long, value_name = "FINGERPRINT")]
    credential: Option<String>,
}

impl FilterArguments {
    fn filter(self, since: Option<Since>) -> Filter {
        Filter { vendor: self.vendor, caller: self.caller, credential: self.credential, since }
    }
}

impl ListArguments {
    pub fn run(self, name: &str) -> anyhow::Result<()> {
        self.list(name, &RotationLimits::default())
    }

    fn list(self, name: &str, limits: &RotationLimits) -> anyhow::Result<()> {
        let reader = Reader::open(&self.store.store)?;
        let list = List::named(name).ok_or_else(|| anyhow::anyhow!("no list {name}"))?;
        self.writing.write(&list.rows(&reader, &self.filter.filter(self.since), limits)?)
    }

    pub fn changes(self) -> anyhow::Result<()> {
        let reader = Reader::open(&self.store.store)?;
        let since = self.since.unwrap_or(Since::At(i64::MIN));
        self.writing.write(&diff(&reader, since, false, &self.filter.filter(None))?)
    }
}

/// Arguments: when a credential is overdue or idle.
#[derive(Clone, Copy, Debug, Args)]
struct LimitArguments {
    /// Oldest that a credential may be, days.
    #[arg(long, value_name = "DAYS", default_value_t = RotationLimits::default().max_age_days)]
    max_age_days: i64,
    /// Days without a call after which a credential is idle.
    #[arg(long, value_name = "DAYS", default_value_t = RotationLimits::default().idle_days)]
    idle_days: i64,
    /// Hours for which a pair must have called without a credential before it counts as replaced.
    #[arg(long, value_name = "HOURS", default_value_t = RotationLimits::default().grace_hours)]
    grace_hours: i64,
}

impl LimitArguments {
    fn limits(self) -> RotationLimits {
        let Self { max_age_days, idle_days, grace_hours } = self;
        RotationLimits { max_age_days, idle_days, grace_hours }
    }
}

/// Arguments of the list of credentials.
#[derive(Debug, Args)]
pub(super) struct CredentialArguments {
    #[command(flatten)]
    list: ListArguments,
    #[command(flatten)]
    limits: LimitArguments,
}

impl CredentialArguments {
    pub fn run(self) -> anyhow::Result<()> {
        self.list.list("credentials", &self.limits.limits())
    }
}

/// Arguments of the list of rotations.
#[derive(Debug, Args)]
pub(super) struct Rotations {
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    writing: Writing,
}

impl Rotations {
    pub fn run(self) -> anyhow::Result<()> {
        let reader = Reader::open(&self.store.store)?;
        let table: Result<_, CatalogError> = catalog::rotations(&reader, &self.limits.limits());
        self.writing.write(&table?)
    }
}

/// Lists what is new since a time, and what was not seen since.
#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    filter: FilterArguments,
    /// A span before the newest call (12h, 7d, 4w), a date or a time in RFC 3339.
    #[arg(long, value_name = "SINCE")]
    since: Since,
    #[command(flatten)]
    writing: Writing,
}

impl Diff {
    pub fn run(self) -> anyhow::Result<()> {
        let reader = Reader::open(&self.store.store)?;
        self.writing.write(&diff(&reader, self.since, true, &self.filter.filter(None))?)
    }
}
