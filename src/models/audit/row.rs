//! Rolled-up rows of the audit view, as its models read them.

use super::{Principal, Role};
use crate::calls::{CallRow, Channel, Measure, Measures, Name, PrincipalKind, Relation, StepClass, View};
use crate::rollup::{self, bucket_of};

/// What one principal did in one bucket with one operation, credential, network, client and region.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Bucket.
    pub bucket: i64,
    /// First call, microseconds since the epoch.
    pub time: i64,
    /// Last call, microseconds since the epoch.
    pub last: i64,
    /// The vendor whose log it is.
    pub vendor: &'a Name,
    /// The vendor's account that it happened in; empty where the log does not say.
    pub account: &'a Name,
    /// Who.
    pub principal: &'a Name,
    /// What, as the vendor names it (`iam:CreateUser`).
    pub operation: &'a Name,
    /// Kind of step.
    pub step: StepClass,
    /// What kind of principal.
    pub kind: PrincipalKind,
    /// Through what it acted.
    pub channel: Channel,
    /// Fingerprint of a lasting key; empty for a session.
    pub credential: &'a Name,
    /// Network.
    pub network: &'a Name,
    /// Client family.
    pub client: &'a Name,
    /// Region.
    pub region: &'a Name,
    /// Calls.
    pub calls: i64,
    /// Of them, denied.
    pub denied: i64,
    /// Of them, refused for the caller's mistake.
    pub errors: i64,
    /// Of them, failed for the vendor's.
    pub server_errors: i64,
    /// Bytes from the vendor.
    pub bytes: i64,
}

impl<'a> Row<'a> {
    /// A rolled-up row; `None` where it is not of the audit view.
    pub fn of(row: &'a rollup::Row) -> Option<Self> {
        Self::new(row.bucket, &row.relation, &row.measures)
    }

    /// A call as a row of its own; `None` where it is not of the audit view.
    pub fn of_call(call: &CallRow, relation: &'a Relation) -> Option<Self> {
        Self::new(bucket_of(call.time), relation, &Measures::of(call))
    }

    fn new(bucket: i64, relation: &'a Relation, measures: &Measures) -> Option<Self> {
        if relation.view() != View::Audit {
            return None;
        }
        let at = |measure: Measure| measures.get(measure);
        Some(Self {
            bucket,
            time: at(Measure::FirstSeen),
            last: at(Measure::LastSeen),
            vendor: relation.vendor(),
            account: relation.account(),
            principal: relation.caller(),
            operation: relation.endpoint(),
            step: relation.step().unwrap_or(StepClass::Write),
            kind: relation.principal(),
            channel: relation.channel(),
            credential: relation.credential(),
            network: relation.network(),
            client: relation.client(),
            region: relation.region(),
            calls: at(Measure::Calls),
            denied: at(Measure::Denied),
            errors: at(Measure::ClientError),
            server_errors: at(Measure::ServerError),
            bytes: at(Measure::BytesInSum),
        })
    }

    /// Whose row it is.
    pub fn whose(&self) -> Principal {
        let [vendor, account, name] = [self.vendor, self.account, self.principal].map(Name::clone);
        Principal { vendor, account, name }
    }

    /// Whether the vendor made the call itself, or for somebody: what is new about those is the vendor's.
    pub fn is_by_vendor(&self) -> bool {
        self.kind == PrincipalKind::VendorService || self.channel == Channel::Vendor || self.principal.is_empty()
    }

    /// Whether a person sat at a console.
    pub fn is_console(&self) -> bool {
        self.channel == Channel::Console
    }

    /// Whether somebody tried to sign in and was refused: that says nothing of the one who is named.
    pub fn is_failed_sign_in(&self) -> bool {
        self.denied > 0 && self.step == StepClass::Login
    }

    /// The type of principal whose operations are compared: the vendor's, single sign-on, lasting key, or session.
    pub(super) fn principal_type(&self) -> u64 {
        if self.is_by_vendor() {
            0
        } else if self.is_single_sign_on() {
            1
        } else if self.credential.is_empty() {
            2
        } else {
            3
        }
    }

    /// Whether the principal is a person of a single sign-on.
    pub fn is_single_sign_on(&self) -> bool {
        self.kind == PrincipalKind::SingleSignOn
    }

    /// What the principal is, as far as one row tells.
    pub fn apparent_role(&self) -> Role {
        if self.is_by_vendor() {
            Role::Internal
        } else if self.is_single_sign_on() || self.is_console() {
            Role::Human
        } else {
            Role::Service
        }
    }
}

/// The rows of the audit view, in their order.
pub fn rows(rows: &[rollup::Row]) -> Vec<Row<'_>> {
    rows.iter().filter_map(Row::of).collect()
}
