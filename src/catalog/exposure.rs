//! Exposure: which credentials were in use when something was compromised, and which of them are in use still.
//!
//! A credential that was used before the day is exposed. It is out once another has taken its place (`rotation`), or once nobody has used it
//! since; that it was revoked, the vendor alone knows.
//!
//! Not here: what else is hit (`impact`), and the daily reminder of the stream (`rules`).

use std::collections::{BTreeMap, BTreeSet};

use super::list::QueryError;
use super::rotation::{self, CredentialState, RotationLimits};
use super::sql::Names;
use super::table::{Table, Value};
use super::time::{Since, rfc3339};
use super::{MORE, Reader};

/// The exposed credentials of a vendor or a host, or one of them.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// All of them, those that are still in use first.
    pub credentials: Table,
    /// How many are still in use.
    pub in_use: usize,
}

/// One credential.
#[derive(Default)]
struct Used {
    calls: i64,
    first: Option<i64>,
    last: i64,
    /// Who used it since.
    callers: BTreeSet<String>,
}

impl Reader {
    /// What was exposed when the vendor, credential or host of this name was compromised.
    ///
    /// # Errors
    /// [`QueryError`]: also where nothing of this name is in the catalogue.
    pub fn exposure(&self, name: &str, since: Since) -> Result<Exposure, QueryError> {
        let (target, id) = self.target(name)?;
        let newest = self.newest()?.unwrap_or_default();
        let since = since.time(newest);
        if since > newest {
            return Err(QueryError::NotYet { newest: rfc3339(newest) });
        }
        let used = self.ask(|connection| {
            let mut names = Names::new(connection)?;
            let sql = format!(
                "SELECT credential, caller, sum(calls), min(first_seen), max(last_seen) FROM usage WHERE {} = ?1 \
                 GROUP BY credential, caller",
                target.as_str()
            );
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([id])?;
            let mut used: BTreeMap<String, Used> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let (first, last): (i64, i64) = (row.get(3)?, row.get(4)?);
                let of_one = used.entry(names.text(row.get(0)?)?).or_default();
                of_one.calls += row.get::<_, i64>(2)?;
                of_one.first = Some(of_one.first.map_or(first, |known| known.min(first)));
                of_one.last = of_one.last.max(last);
                if last >= since {
                    of_one.callers.insert(names.text(row.get(1)?)?);
                }
            }
            Ok(used)
        })?;
        let states = rotation::states(self, &RotationLimits::default())?;
        let mut rows = Vec::new();
        for (credential, used) in used {
            let first = used.first.unwrap_or_default();
            if credential.is_empty() || credential == MORE || first >= since {
                continue;
            }
            let is_replaced = states.get(&credential).is_some_and(|known| known.state == CredentialState::Replaced);
            let state = match used.last >= since {
                _ if is_replaced => "replaced",
                true => "in use",
                false => "not used since",
            };
            let callers = Value::Texts(used.callers.into_iter().collect());
            let (calls, first, last) = (Value::Count(used.calls), Value::Time(first), Value::Time(used.last));
            rows.push((
                state != "in use",
                -used.last,
                vec![Value::Text(credential), Value::Text(state.into()), callers, calls, first, last],
            ));
        }
        rows.sort_by_key(|(is_out, last, _)| (*is_out, *last));
        let in_use = rows.iter().filter(|(is_out, ..)| !is_out).count();
        let columns = vec!["credential", "state", "callers_since", "calls", "first_seen", "last_seen"];
        Ok(Exposure { credentials: Table { columns, rows: rows.into_iter().map(|(.., row)| row).collect() }, in_use })
    }
}
