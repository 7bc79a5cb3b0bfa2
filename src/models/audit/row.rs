//! Rolled-up rows of the audit view, with the outcomes that the generic relation does not carry.

use polars::prelude::{Column, Int64Chunked, PolarsResult, StringChunked};

use super::{Principal, Role};
use crate::calls::{Direction, StepClass};
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

/// The rows of the audit view, by bucket, each bucket's in the order of their first calls.
///
/// # Errors
/// Where the rollup lacks a column.
pub fn rows(rollup: &Rollup) -> PolarsResult<Vec<Row<'_>>> {
    let frame = rollup.frame();
    let text = |name: &str| -> PolarsResult<&StringChunked> { frame.column(name).and_then(Column::str) };
    let number = |name: &str| -> PolarsResult<&Int64Chunked> { frame.column(name).and_then(Column::i64) };
    let (directions, vendors, principals) = (text("direction")?, text("vendor")?, text("caller")?);
    let (operations, credentials, networks) = (text("endpoint")?, text("credential")?, text("network")?);
    let (clients, regions, buckets) = (text("client")?, text("region")?, number("bucket")?);
    let (firsts, lasts, calls, denied) =
        (number("first_seen")?, number("last_seen")?, number("calls")?, number("denied")?);
    let (errors, server_errors, bytes) = (number("client_error")?, number("server_error")?, number("bytes_in_sum")?);
    let is_audit = |row: &usize| Direction::named(directions.get(*row)) == Direction::Audit;
    let mut rows: Vec<Row<'_>> = (0..rollup.len())
        .filter(is_audit)
        .map(|row| Row {
            bucket: buckets.get(row).unwrap_or_default(),
            time: firsts.get(row).unwrap_or_default(),
            last: lasts.get(row).unwrap_or_default(),
            vendor: vendors.get(row).unwrap_or_default(),
            principal: principals.get(row).unwrap_or_default(),
            operation: operations.get(row).unwrap_or_default(),
            credential: credentials.get(row).unwrap_or_default(),
            network: networks.get(row).unwrap_or_default(),
            client: clients.get(row).unwrap_or_default(),
            region: regions.get(row).unwrap_or_default(),
            calls: calls.get(row).unwrap_or_default(),
            denied: denied.get(row).unwrap_or_default(),
            errors: errors.get(row).unwrap_or_default(),
            server_errors: server_errors.get(row).unwrap_or_default(),
            bytes: bytes.get(row).unwrap_or_default(),
        })
        .collect();
    // Stable: rows of one bucket and time keep the rollup's order, which is that of their keys.
    rows.sort_by_key(|row| (row.bucket, row.time));
    Ok(rows)
}
