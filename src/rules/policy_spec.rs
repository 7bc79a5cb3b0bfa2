//! The policy file as written: its sections and fields.
//!
//! Not here: what they mean, and what is wrong with them (`policy`).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::value::Datetime;

use crate::calls::DataClass;

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

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    #[serde(default)]
    pub levels: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub transport: Transport,
    #[serde(default)]
    pub credentials: Credentials,
    #[serde(default)]
    pub answers: Answers,
    #[serde(default)]
    pub redirects: Redirects,
    #[serde(default)]
    pub environments: Vec<EnvironmentSpec>,
    #[serde(default)]
    pub vendors: Vec<ApprovalSpec>,
    #[serde(default)]
    pub gateways: Vec<Spanned<GatewaySpec>>,
    #[serde(default)]
    pub deprecated: Vec<Spanned<DeprecatedSpec>>,
    #[serde(default)]
    pub compromised: Vec<Spanned<CompromisedSpec>>,
    #[serde(default)]
    pub budgets: Vec<Spanned<BudgetSpec>>,
    #[serde(default)]
    pub exceptions: Vec<Spanned<ExceptionSpec>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Transport {
    pub min_tls: Option<Spanned<String>>,
}

/// `[answers]`: what answers may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Answers {
    /// Largest answer, bytes.
    pub max_bytes: Option<i64>,
    /// Longest call, seconds: a client that waits longer has no timeout.
    pub max_seconds: u32,
    /// How many times the largest answer of an endpoint so far the next may be.
    pub max_growth: u32,
}

impl Default for Answers {
    fn default() -> Self {
        Self { max_bytes: None, max_seconds: 300, max_growth: 10 }
    }
}

/// `[redirects]`: where redirects may lead, beside the vendor's own hosts.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Redirects {
    pub hosts: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewaySpec {
    #[serde(default, deserialize_with = "some")]
    pub vendors: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub callers: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub gateways: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub networks: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentSpec {
    pub name: String,
    #[serde(deserialize_with = "some")]
    pub callers: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalSpec {
    #[serde(deserialize_with = "some")]
    pub names: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub callers: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub environments: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub regions: Vec<Spanned<String>>,
    pub data_classes: Option<Vec<DataClass>>,
    #[serde(default)]
    pub authentication: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeprecatedSpec {
    pub vendor: Spanned<String>,
    pub endpoint: Option<Spanned<String>>,
    pub versions_below: Option<Spanned<String>>,
    pub instead: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CompromisedSpec {
    #[serde(default, deserialize_with = "some")]
    pub vendors: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub credentials: Vec<Spanned<String>>,
    pub since: Option<Spanned<Datetime>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetSpec {
    #[serde(default, deserialize_with = "some")]
    pub callers: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub vendors: Vec<Spanned<String>>,
    pub calls_per_day: Option<i64>,
    pub bytes_out_per_day: Option<i64>,
    pub bytes_in_per_day: Option<i64>,
    pub dollars_per_day: Option<f64>,
    #[serde(default)]
    pub callers_together: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExceptionSpec {
    pub rules: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub callers: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "some")]
    pub vendors: Vec<Spanned<String>>,
    pub reason: Option<String>,
    pub expires: Option<Spanned<Datetime>>,
}

/// Names that were written. No name at all would mean all, which nobody means by an empty list.
fn some<'de, D: Deserializer<'de>>(names: D) -> Result<Vec<Spanned<String>>, D::Error> {
    let names = Vec::deserialize(names)?;
    match names.is_empty() {
        true => Err(serde::de::Error::custom("is empty: leave it out for all, or name some")),
        false => Ok(names),
    }
}
