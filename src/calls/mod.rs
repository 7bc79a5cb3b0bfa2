//! The call: one API call a row, whatever log told of it.
//!
//! A format decodes its record into a [`Call`], borrowed from the record's bytes. The [`CallsBuilder`] enriches it (vendor,
//! endpoint template, credential fingerprint, network, client) and hands on batches of [`Calls`]. Past the builder no secret, no
//! path and no query exists, and texts are numbers ([`Name`]).
//!
//! Not here: how records are read or decoded (`ingest`), and anything that counts (`rollup`).

mod batch;
mod builder;
mod cache;
mod cidr;
mod client;
mod content;
mod credential;
mod credential_kind;
mod data_class;
mod endpoint;
mod enrichment;
mod exclude;
mod name;
mod network;
mod operation;
mod owner;
mod row;
mod sample;
mod schema;
mod secret;
mod template;
mod vendor;
mod vendor_pack;
mod workload;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use batch::Calls;
pub use builder::{CallProblem, CallsBuilder, Details, record_hash};
pub use cidr::Cidr;
pub use client::is_interactive_tool;
pub use credential::{FingerprintKey, KeyError};
pub use credential_kind::CredentialKind;
pub use data_class::{DataClass, DataClasses, DataWords, DataWordsError};
pub use endpoint::{
    is_write, operation as operation_of, sensitive_endpoint, shape, split as split_endpoint, version_in,
};
pub use exclude::{Exclude, ExcludeError, Excluded};
pub use name::{Name, combine};
pub use network::is_private;
pub use operation::{StepClass, WITHOUT_MFA};
pub use owner::{OwnerDatabases, OwnerError, Owners, country_of, is_hosting};
pub use row::{CallRow, TraceId};
pub use schema::{
    ANSWERS_BY_SIZE, DIMENSIONS, Dimension, MEASURES, Measure, MeasureColumn, Measures, Merge, ONE, QUANTITIES,
    Relation, fixed_to_f64, size_class,
};
pub use secret::looks_secret;
pub use template::{MAX_CHILDREN, TemplateLearner, Templates};
pub use vendor::{is_of_buckets, vendor_of};
pub use vendor_pack::{Deprecation, PackError, Price, Vendor, VendorCategory, VendorPack, Verb, Version};
pub use workload::{workload_of_pod, workload_of_replica};

/// Which view of the relation a log gives. The two never share a baseline: the credential fingerprint joins them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// What our services sent (proxies, gateways, client spans).
    #[default]
    Egress,
    /// What the vendor says was done in our tenant with our keys.
    Audit,
}

impl View {
    /// The name in frames, files and alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Audit => "audit",
        }
    }

    /// The view that a frame's text names.
    pub fn named(text: Option<&str>) -> Self {
        if text == Some(Self::Audit.as_str()) { Self::Audit } else { Self::Egress }
    }
}

/// What is no view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write egress or audit")]
pub struct NoView;

impl std::str::FromStr for View {
    type Err = NoView;

    fn from_str(text: &str) -> Result<Self, NoView> {
        [Self::Egress, Self::Audit].into_iter().find(|view| view.as_str() == text).ok_or(NoView)
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered with a status below 400, or an audit record without an error.
    Ok,
    /// Another status from 400 to 499.
    ClientError,
    /// 401, 403, or an audit denial.
    Denied,
    /// 429, or audit throttling.
    Throttled,
    /// 500 to 599.
    ServerError,
    /// No answer came.
    NoResponse,
    /// The log does not say.
    Unknown,
}

impl Outcome {
    /// The name in frames.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::NoResponse => "no_response",
            Self::Unknown => "unknown",
        }
    }

    /// The outcome that an HTTP status tells; without one it is unknown, and values outside 100..=599 mean that no answer came.
    pub const fn of_status(status: Option<u16>) -> Self {
        match status {
            Some(401 | 403) => Self::Denied,
            Some(429) => Self::Throttled,
            Some(100..=399) => Self::Ok,
            Some(400..=499) => Self::ClientError,
            Some(500..=599) => Self::ServerError,
            Some(_) => Self::NoResponse,
            None => Self::Unknown,
        }
    }
}

/// What kind of principal acted, as far as the source says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// The source does not say.
    #[default]
    Unknown,
    /// A person's lasting account.
    User,
    /// A person signed in through single sign-on.
    SingleSignOn,
    /// A role, service account or application, assumed by a program.
    Role,
    /// A role as a virtual machine holds it: whoever breaks into the machine has its keys.
    Instance,
    /// The account's owner (`root`), with every right.
    Root,
    /// The vendor's own service, acting for itself or for the customer.
    VendorService,
}

impl PrincipalKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Unknown, Self::User, Self::SingleSignOn, Self::Role, Self::Instance, Self::Root, Self::VendorService];

    /// The name in frames, files and alerts; empty where it is unknown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::User => "user",
            Self::SingleSignOn => "single_sign_on",
            Self::Role => "role",
            Self::Instance => "instance",
            Self::Root => "root",
            Self::VendorService => "vendor_service",
        }
    }
}

/// Through what a call was made, as far as the source says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The source does not say.
    #[default]
    Unknown,
    /// A program: an SDK, a command-line tool, a job.
    Program,
    /// A person at the vendor's web console.
    Console,
    /// The vendor itself, inside its own network.
    Vendor,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Program, Self::Console, Self::Vendor];

    /// The name in frames, files and alerts; empty where it is unknown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Program => "program",
            Self::Console => "console",
            Self::Vendor => "vendor",
        }
    }
}

/// One API call as its format decoded it, before enrichment: raw, borrowed, and gone once the builder has read it.
#[derive(Debug, Default)]
pub struct Call<'a> {
    /// Start of the call, microseconds since the epoch, UTC; 0 where it is not known yet.
    pub time: i64,
    /// The view that the log gives.
    pub view: View,
    /// The workload that called: service, deployment, function; for audit logs the principal (a role, never its session).
    pub caller: Cow<'a, str>,
    /// The secret or key id that authenticated the call. The builder fingerprints it.
    pub credential: Option<Cow<'a, str>>,
    /// What kind of credential it is, where the place in which it stood tells.
    pub credential_kind: CredentialKind,
    /// The host called, as logged: any case, perhaps with a port.
    pub host: Cow<'a, str>,
    /// `http` or `https`.
    pub scheme: Option<Cow<'a, str>>,
    /// HTTP method, as logged.
    pub method: Option<Cow<'a, str>>,
    /// Path of the URL, perhaps with query and fragment: the builder cuts them.
    pub path: Option<Cow<'a, str>>,
    /// The query, where the log has it apart from the path.
    pub query: Option<Cow<'a, str>>,
    /// Version of the API that a header asked for.
    pub api_version: Option<Cow<'a, str>>,
    /// Operation of a GraphQL request, with its type where that is known (`mutation CreateCharge`): the path is the same for all.
    pub graphql: Option<Cow<'a, str>>,
    /// Audit operation (`s3:GetObject`). Where it is given it is the endpoint.
    pub operation: Option<Cow<'a, str>>,
    /// The vendor, where the format fixes it (`aws`); else the builder derives it from the host.
    pub vendor: Option<&'static str>,
    /// What the operation does, where the format knows better than its name tells.
    pub step: Option<StepClass>,
    /// Whether the operation changes nothing, by the record's own word.
    pub read_only: Option<bool>,
    /// The vendor's account, tenant or organisation that the call was made in.
    pub account: Option<Cow<'a, str>>,
    /// What kind of principal acted.
    pub principal: PrincipalKind,
    /// Through what it acted.
    pub channel: Channel,
    /// Media type of the answer, as logged: any case, perhaps with parameters.
    pub content_type: Option<Cow<'a, str>>,
    /// Media type of the request, as logged.
    pub request_type: Option<Cow<'a, str>>,
    /// Sample of the request's body. The builder sees which classes of data are in it, and keeps nothing.
    pub request_body: Option<Cow<'a, str>>,
    /// The same of the answer's.
    pub response_body: Option<Cow<'a, str>>,
    /// Where a redirect leads: a URL, as logged.
    pub location: Option<Cow<'a, str>>,
    /// HTTP status, 100 to 599.
    pub status: Option<u16>,
    /// How the call ended, where the format knows better than the status tells.
    pub outcome: Option<Outcome>,
    /// Bytes from the caller to the vendor (request).
    pub bytes_out: Option<u64>,
    /// Bytes from the vendor to the caller (response).
    pub bytes_in: Option<u64>,
    /// Tokens from the caller to a language model.
    pub tokens_in: Option<u64>,
    /// Tokens from a language model to the caller.
    pub tokens_out: Option<u64>,
    /// Start to last response byte, milliseconds.
    pub latency_ms: Option<f64>,
    /// TLS version as logged (`1.3`, `TLSv1.2`).
    pub tls_version: Option<Cow<'a, str>>,
    /// Address that the call came from, as logged; what is no address has no network.
    pub src_ip: Option<Cow<'a, str>>,
    /// The user agent as logged.
    pub user_agent: Option<Cow<'a, str>>,
    /// Cloud region.
    pub region: Option<Cow<'a, str>>,
    /// Trace id, for the evidence of an alert.
    pub trace_id: Option<Cow<'a, str>>,
    /// The source's own id of the record: what a repeated delivery is recognised by.
    pub record_id: Option<Cow<'a, str>>,
}
