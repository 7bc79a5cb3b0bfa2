//! Rolled-up rows of the audit view, with the outcomes that the generic relation does not carry.

use polars::prelude::{Column, DataFrame, Int64Chunked, PolarsResult, StringChunked};

use super::{Principal, Role};
use crate::calls::{StepClass, View};
use crate::rollup::Rollup;

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
    pub vendor: &'a str,
    /// Who.
    pub principal: &'a str,
    /// What, as the vendor names it (`iam:CreateUser`).
    pub operation: &'a str,
    /// Fingerprint of a lasting key; empty for a session.
    pub credential: &'a str,
    /// Network.
    pub network: &'a str,
    /// Client family.
    pub client: &'a str,
    /// Region.
    pub region: &'a str,
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

impl Row<'_> {
    /// Whose row it is.
    pub fn whose(&self) -> Principal {
        Principal { vendor: self.vendor.to_owned(), name: self.principal.to_owned() }
    }

    /// Kind of step.
    pub fn step(&self) -> StepClass {
        StepClass::of(self.operation)
    }

    /// Whether the vendor made the call itself, or for somebody: what is new about those is the vendor's.
    pub fn is_by_vendor(&self) -> bool {
        let is_service = |name: &str| name.ends_with(".amazonaws.com");
        is_service(self.principal)
            || is_service(self.client)
            || self.principal.starts_with("AWSServiceRoleFor")
            || self.network == "amazonaws"
            || self.principal.is_empty()
    }

    /// Whether a person sat at a console.
    pub fn is_console(&self) -> bool {
        self.client.contains("console") || self.client == "mozilla"
    }

    /// Whether somebody tried to sign in and was refused: that says nothing of the one who is named.
    pub fn is_failed_sign_in(&self) -> bool {
        self.denied > 0 && self.step() == StepClass::Login
    }

    /// The kind of principal by its name and key: single sign-on, lasting key, session, or the vendor's.
    pub fn kind(&self) -> &'static str {
        if self.is_by_vendor() {
            "internal"
        } else if self.is_single_sign_on() {
            "sso"
        } else if self.credential.is_empty() {
            "session"
        } else {
            "key"
        }
    }

    /// Whether the principal is a person's role of the vendor's single sign-on.
    pub fn is_single_sign_on(&self) -> bool {
        self.principal.starts_with("AWSReservedSSO")
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

/// The columns that say whose a row is, of a rollup or of calls.
pub(super) struct Identities<'a>([&'a StringChunked; 8]);

impl<'a> Identities<'a> {
    pub fn of(frame: &'a DataFrame) -> PolarsResult<Self> {
        let text = |name: &str| frame.column(name).and_then(Column::str);
        Ok(Self([
            text("view")?,
            text("vendor")?,
            text("caller")?,
            text("endpoint")?,
            text("credential")?,
            text("network")?,
            text("client")?,
            text("region")?,
        ]))
    }

    /// Places of the rows of the audit view.
    pub fn audit(&self) -> impl Iterator<Item = usize> {
        let views = self.0[0];
        (0..views.len()).filter(move |row| View::named(views.get(*row)) == View::Audit)
    }

    /// A row of which nothing is counted yet.
    pub fn at(&self, row: usize, bucket: i64, time: i64) -> Row<'a> {
        let [_, vendor, principal, operation, credential, network, client, region] =
            self.0.map(|column| column.get(row).unwrap_or_default());
        Row {
            bucket,
            time,
            last: time,
            vendor,
            principal,
            operation,
            credential,
            network,
            client,
            region,
            calls: 0,
            denied: 0,
            errors: 0,
            server_errors: 0,
            bytes: 0,
        }
    }
}

/// The rows of the audit view, by bucket, each bucket's in the order of their first calls.
///
/// # Errors
/// Where the rollup lacks a column.
pub fn rows(rollup: &Rollup) -> PolarsResult<Vec<Row<'_>>> {
    let identities = Identities::of(rollup.frame())?;
    let number = |name: &str| rollup.frame().column(name).and_then(Column::i64);
    let (buckets, firsts, lasts) = (number("bucket")?, number("first_seen")?, number("last_seen")?);
    let (calls, denied, errors) = (number("calls")?, number("denied")?, number("client_error")?);
    let (server_errors, bytes) = (number("server_error")?, number("bytes_in_sum")?);
    let row = |row: usize| {
        let at = |column: &Int64Chunked| column.get(row).unwrap_or_default();
        Row {
            last: at(lasts),
            calls: at(calls),
            denied: at(denied),
            errors: at(errors),
            server_errors: at(server_errors),
            bytes: at(bytes),
            ..identities.at(row, at(buckets), at(firsts))
        }
    };
    let mut rows: Vec<Row<'_>> = identities.audit().map(row).collect();
    // Stable: rows of one bucket and time keep the rollup's order, which is that of their keys.
    rows.sort_by_key(|row| (row.bucket, row.time));
    Ok(rows)
}
