//! What leaves the house: who calls which endpoint of which host, since when and with what success. What policies are made of.
//!
//! Not here: which of it a policy allows (`protect`).

use super::sql::{Names, each};
use super::{CatalogError, Reader};
use crate::calls::Dimension;

/// Calls of one caller to one endpoint of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressUse {
    /// Who calls.
    pub caller: String,
    /// Whose API it is.
    pub vendor: String,
    /// The host.
    pub host: String,
    /// The registrable domain of the host.
    pub domain: String,
    /// HTTP method; empty for an operation that is no HTTP request.
    pub method: String,
    /// Path template, or the operation.
    pub template: String,
    /// Calls.
    pub calls: i64,
    /// Calls that were answered with an error.
    pub failed: i64,
    /// First call, microseconds since the epoch.
    pub first_seen: i64,
    /// Last call, microseconds since the epoch.
    pub last_seen: i64,
}

/// A scheme, `http` or `https`, by which a caller calls a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressScheme {
    /// Who calls.
    pub caller: String,
    /// Whose API it is.
    pub vendor: String,
    /// The scheme.
    pub scheme: String,
    /// Calls.
    pub calls: i64,
    /// First call, microseconds since the epoch.
    pub first_seen: i64,
    /// Last call, microseconds since the epoch.
    pub last_seen: i64,
}

/// Names of a caller that the catalogue could not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// Whose.
    pub caller: String,
    /// Of which kind.
    pub kind: String,
    /// About how many.
    pub names: i64,
}

impl Reader {
    /// All uses of the egress view, by caller, host and endpoint.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn egress(&self) -> Result<Vec<EgressUse>, CatalogError> {
        self.ask(|connection| {
            let (mut names, mut uses) = (Names::new(connection)?, Vec::new());
            let sql = "SELECT u.caller, u.vendor, u.host, h.domain, e.method, e.template, sum(u.calls), \
                       sum(u.denied + u.client_error + u.throttled + u.server_error), min(u.first_seen), max(u.last_seen) \
                       FROM usage u JOIN endpoint e ON e.id = u.endpoint LEFT JOIN host h ON h.id = u.host WHERE u.view = 0 \
                       GROUP BY u.caller, u.vendor, u.host, u.endpoint";
            each(connection, sql, |row| {
                uses.push(EgressUse {
                    caller: names.text(row.get(0)?)?,
                    vendor: names.text(row.get(1)?)?,
                    host: names.text(row.get(2)?)?,
                    domain: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
                    method: row.get(4)?,
                    template: row.get(5)?,
                    calls: row.get(6)?,
                    failed: row.get(7)?,
                    first_seen: row.get(8)?,
                    last_seen: row.get(9)?,
                });
                Ok(())
            })?;
            // Ids depend on the order of records, names do not.
            uses.sort_by(|a, b| {
                let key = |one: &EgressUse| [&one.caller, &one.host, &one.template, &one.method, &one.vendor].map(String::clone);
                key(a).cmp(&key(b))
            });
            Ok(uses)
        })
    }

    /// The schemes of each caller at each vendor.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn egress_schemes(&self) -> Result<Vec<EgressScheme>, CatalogError> {
        self.ask(|connection| {
            let (mut names, mut schemes) = (Names::new(connection)?, Vec::new());
            let sql = format!(
                "SELECT t.caller, t.vendor, t.value, sum(t.calls), min(t.first_seen), max(t.last_seen) FROM trait t \
                 JOIN name k ON k.id = t.kind WHERE k.text = '{}' GROUP BY t.caller, t.vendor, t.value",
                Dimension::Scheme.name()
            );
            each(connection, &sql, |row| {
                schemes.push(EgressScheme {
                    caller: names.text(row.get(0)?)?,
                    vendor: names.text(row.get(1)?)?,
                    scheme: names.text(row.get(2)?)?,
                    calls: row.get(3)?,
                    first_seen: row.get(4)?,
                    last_seen: row.get(5)?,
                });
                Ok(())
            })?;
            Ok(schemes)
        })
    }

    /// Callers with more names than the catalogue keeps.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn incomplete(&self) -> Result<Vec<Incomplete>, CatalogError> {
        self.ask(|connection| {
            let (mut names, mut found) = (Names::new(connection)?, Vec::new());
            each(connection, "SELECT caller, kind, names FROM overflow", |row| {
                found.push(Incomplete { caller: names.text(row.get(0)?)?, kind: row.get(1)?, names: row.get(2)? });
                Ok(())
            })?;
            found.sort_by(|a, b| (&a.caller, &a.kind).cmp(&(&b.caller, &b.kind)));
            Ok(found)
        })
    }
}
