//! Relations: the columns in which something can be new, of rolled-up rows and of calls.

use polars::prelude::{Column, DataFrame, Int64Chunked, PolarsResult, StringChunked, polars_err};

use crate::calls::View;
use crate::rollup::{RELATION, Rollup};

/// One rolled-up relation: the columns in which something can be new.
#[derive(Clone, Copy, Debug)]
pub struct Relation<'a> {
    /// First call, microseconds since the epoch.
    pub time: i64,
    /// Last call, microseconds since the epoch.
    pub last: i64,
    /// Number of calls.
    pub calls: i64,
    /// The view.
    pub view: View,
    /// Who called.
    pub caller: &'a str,
    /// Whom.
    pub vendor: &'a str,
    /// Which host of theirs.
    pub host: &'a str,
    /// Endpoint template or audit operation.
    pub endpoint: &'a str,
    /// Credential fingerprint.
    pub credential: &'a str,
    /// Source network.
    pub network: &'a str,
    /// Client family.
    pub client: &'a str,
    /// Cloud region.
    pub region: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// TLS version.
    pub tls_version: &'a str,
    /// Trace id of one of the calls.
    pub trace_id: Option<&'a str>,
}

impl Relation<'_> {
    /// What tells this relation from others, as a hash.
    pub fn key(&self) -> u64 {
        use std::hash::BuildHasher;
        let Self { view, caller, vendor, host, endpoint, credential, network, client, region, .. } = *self;
        let place = (network, client, region, self.scheme, self.tls_version);
        let whom = (vendor, host, endpoint);
        foldhash::fast::FixedState::default().hash_one((view, caller, whom, credential, place))
    }
}

/// The columns of a rollup or of calls that make a relation.
pub(super) struct RelationColumns<'a> {
    /// In the order of [`RELATION`].
    texts: [&'a StringChunked; RELATION.len()],
    trace_id: &'a StringChunked,
    time: &'a Int64Chunked,
    last: &'a Int64Chunked,
    /// Where rows are calls, there is none: each counts for one.
    calls: Option<&'a Int64Chunked>,
}

impl<'a> RelationColumns<'a> {
    /// Of rolled-up rows.
    pub fn of_rollup(frame: &'a DataFrame) -> PolarsResult<Self> {
        let number = |name: &str| frame.column(name).and_then(Column::i64);
        Self::of(frame, number("first_seen")?, number("last_seen")?, Some(number("calls")?))
    }

    /// Of calls.
    pub fn of_calls(frame: &'a DataFrame) -> PolarsResult<Self> {
        let time = frame.column("time")?.i64()?;
        Self::of(frame, time, time, None)
    }

    fn of(
        frame: &'a DataFrame,
        time: &'a Int64Chunked,
        last: &'a Int64Chunked,
        calls: Option<&'a Int64Chunked>,
    ) -> PolarsResult<Self> {
        let texts = RELATION.map(|name| frame.column(name).and_then(Column::str));
        let mut columns = Vec::with_capacity(RELATION.len());
        for text in texts {
            columns.push(text?);
        }
        let texts = columns.try_into().map_err(|_| polars_err!(ShapeMismatch: "columns of a relation"))?;
        Ok(Self { texts, trace_id: frame.column("trace_id")?.str()?, time, last, calls })
    }

    pub fn row(&self, row: usize) -> Relation<'a> {
        let [view, caller, vendor, host, endpoint, credential, network, client, region, scheme, tls_version] =
            self.texts.map(|column| column.get(row));
        Relation {
            time: self.time.get(row).unwrap_or_default(),
            last: self.last.get(row).unwrap_or_default(),
            calls: self.calls.map_or(1, |calls| calls.get(row).unwrap_or_default()),
            view: View::named(view),
            caller: caller.unwrap_or_default(),
            vendor: vendor.unwrap_or_default(),
            host: host.unwrap_or_default(),
            endpoint: endpoint.unwrap_or_default(),
            credential: credential.unwrap_or_default(),
            network: network.unwrap_or_default(),
            client: client.unwrap_or_default(),
            region: region.unwrap_or_default(),
            scheme: scheme.unwrap_or_default(),
            tls_version: tls_version.unwrap_or_default(),
            trace_id: self.trace_id.get(row),
        }
    }
}

/// The relations of a rollup by bucket, each bucket's in the order of their first calls.
///
/// # Errors
/// Where the rollup lacks a column.
pub fn relations(rollup: &Rollup) -> PolarsResult<Vec<(i64, Relation<'_>)>> {
    let columns = RelationColumns::of_rollup(rollup.frame())?;
    let buckets = rollup.frame().column("bucket")?.i64()?;
    let row = |row: usize| (buckets.get(row).unwrap_or_default(), columns.row(row));
    let mut relations: Vec<(i64, Relation<'_>)> = (0..rollup.len()).map(row).collect();
    // Stable: rows of one bucket and time keep the rollup's order, which is that of their keys.
    relations.sort_by_key(|(bucket, relation)| (*bucket, relation.time));
    Ok(relations)
}
