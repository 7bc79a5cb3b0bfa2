//! A vendor's fact sheet: what traffic shows of it, what is declared of it, and a risk score whose terms are shown.
//!
//! The score is a sum: each term is a share from 0 to 1 times its weight, and the weights add up to 100. It orders vendors for a review; it is
//! no probability.
//!
//! Not here: the lists that it is made of (`list`).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use super::Reader;
use super::annotations::Annotation;
use super::list::{Filter, List, QueryError};
use super::rotation::RotationLimits;
use super::sql::each;
use super::table::{Table, Value, rounded};
use super::time::{days, rfc3339};
use crate::calls::fixed_to_f64;

/// A share of failed calls that counts in full.
const WORST_ERROR_SHARE: f64 = 0.1;
/// TLS versions that are out of date (RFC 8996).
const OLD_TLS: [&str; 4] = ["ssl2", "ssl3", "1.0", "1.1"];
/// Categories where anything can be left for whoever fetches it.
const OPEN_CATEGORIES: [&str; 4] = ["file_drop", "paste", "webhook", "storage"];

/// A term of the risk score.
#[derive(Clone, Debug)]
pub struct Term {
    /// What it is about.
    pub name: &'static str,
    /// Most that it adds.
    pub weight: f64,
    /// How much of that, from 0 to 1.
    pub share: f64,
    /// In words.
    pub why: String,
}

/// What is known of a vendor.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Its name.
    pub vendor: String,
    /// Facts, in the order in which they are shown.
    pub facts: Vec<(&'static str, Value)>,
    /// Calls, errors and latency by week.
    pub history: Table,
    /// The terms of the risk score.
    pub terms: Vec<Term>,
}

impl Sheet {
    /// The risk score, 0 to 100.
    pub fn risk(&self) -> f64 {
        self.terms.iter().map(|term| term.weight * term.share).sum()
    }

    /// All of it in JSON.
    pub fn json(&self) -> Json {
        let facts = self.facts.iter().map(|(name, value)| ((*name).to_owned(), value.json()));
        let term = |term: &Term| json!({"term": term.name, "weight": term.weight, "share": rounded(term.share).json(), "why": term.why});
        json!({
            "vendor": self.vendor,
            "facts": facts.collect::<serde_json::Map<_, _>>(),
            "history": self.history.json(),
            "risk": rounded(self.risk()).json(),
            "terms": self.terms.iter().map(term).collect::<Vec<_>>(),
        })
    }
}

impl Reader {
    /// A vendor's fact sheet, with what is declared of it.
    ///
    /// # Errors
    /// [`QueryError`]: also where the vendor is not in the catalogue.
    pub fn sheet(&self, vendor: &str, declared: &Annotation, limits: &RotationLimits) -> Result<Sheet, QueryError> {
        let id = self.id("vendor", vendor)?;
        let newest = self.newest()?.unwrap_or_default();
        let filter = Filter { vendor: Some(vendor.to_owned()), ..Filter::default() };
        let list = |name: &str| match List::named(name) {
            Some(list) => list.rows(self, &filter, limits),
            None => Ok(Table::default()),
        };
        let (vendors, credentials, traits) = (list("vendors")?, list("credentials")?, list("traits")?);
        let of = |name: &str| {
            let at = vendors.column(name);
            at.zip(vendors.rows.first()).map_or(Value::Null, |(at, row)| row[at].clone())
        };
        let number = |value: Value| match value {
            Value::Number(number) => number,
            Value::Count(count) => count as f64,
            _ => 0.0,
        };
        let calls = number(of("calls")).max(1.0);
        let (history, unauthenticated) =
            self.ask(|connection| Ok((history(connection, id)?, unauthenticated(connection, id)?)))?;
        let (stability, deprecated) =
            self.ask(|connection| Ok((answer_stability(connection, id)?, deprecated(connection, id)?)))?;
        let redirects = values(&traits, "redirect");
        let redirected = calls_of(&traits, "redirect", &redirects.iter().map(String::as_str).collect::<Vec<_>>());
        let tls = values(&traits, "tls_version");
        let weak = calls_of(&traits, "scheme", &["http"]) + calls_of(&traits, "tls_version", &OLD_TLS);
        let floor = tls.iter().min_by_key(|version| (!version.starts_with("ssl"), (*version).clone())).cloned();
        let ages = credentials.rows.iter().map(|row| number(row[2].clone()) as i64);
        let oldest = ages.max();
        let overdue = count_state(&credentials, "overdue") + count_state(&credentials, "still_used");
        let shared =
            credentials.rows.iter().filter(|row| matches!(&row[4], Value::Texts(callers) if callers.len() > 1));
        let shared = shared.count();
        let keys = credentials.rows.len().max(1) as f64;
        let (write_share, error_share) = (number(of("write_share")), number(of("error_share")));
        let category = of("category").plain();
        let today = Offset::UTC.to_datetime(Timestamp::from_microsecond(newest).unwrap_or_default()).date();
        let is_due = |review: Option<Date>| review.is_none_or(|review| review < today);
        let share = |part: f64| (part / calls).clamp(0.0, 1.0);
        let yes = |holds: bool| if holds { 1.0 } else { 0.0 };
        let term = |name, weight, share, why| Term { name, weight, share, why };
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let terms = vec![
            term(
                "transport",
                20.0,
                yes(weak > 0.0),
                format!("{} of calls by plain HTTP or TLS below 1.2", percent(share(weak))),
            ),
            term(
                "rotation",
                15.0,
                overdue as f64 / keys,
                format!("{overdue} of {} keys overdue, or in use beside their successor", credentials.rows.len()),
            ),
            term(
                "shared keys",
                10.0,
                shared as f64 / keys,
                format!("{shared} of {} keys used by several callers", credentials.rows.len()),
            ),
            term(
                "authentication",
                10.0,
                share(unauthenticated),
                format!("{} of calls show no credential", percent(share(unauthenticated))),
            ),
            term("writes", 10.0, write_share.clamp(0.0, 1.0), format!("{} of calls write", percent(write_share))),
            term(
                "errors",
                10.0,
                (error_share / WORST_ERROR_SHARE).clamp(0.0, 1.0),
                format!("{} of calls fail", percent(error_share)),
            ),
            term(
                "category",
                10.0,
                yes(OPEN_CATEGORIES.contains(&&*category)),
                if category.is_empty() { "unknown".to_owned() } else { category.clone() },
            ),
            term(
                "owner",
                10.0,
                yes(declared.owner.is_none()),
                declared.owner.clone().unwrap_or_else(|| "none declared".to_owned()),
            ),
            term(
                "review",
                5.0,
                yes(is_due(declared.review)),
                declared.review.map_or_else(|| "never".to_owned(), |review| format!("due {review}")),
            ),
        ];
        let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
        let facts = vec![
            ("domain", of("domain")),
            ("category", Value::Text(category)),
            ("hosts", of("hosts")),
            ("callers", of("callers")),
            ("calls", of("calls")),
            ("first_seen", of("first_seen")),
            ("last_seen", of("last_seen")),
            ("bytes_out", of("bytes_out")),
            ("bytes_in", of("bytes_in")),
            ("write_share", of("write_share")),
            ("error_share", of("error_share")),
            ("latency_ms", of("latency_ms")),
            ("tls_floor", text(floor)),
            ("tls_versions", Value::Texts(tls)),
            ("schemes", Value::Texts(values(&traits, "scheme"))),
            ("content_types", Value::Texts(values(&traits, "content_type"))),
            ("answer_stability", stability.map_or(Value::Null, rounded)),
            ("data_sent", Value::Texts(values(&traits, "sent"))),
            ("data_received", Value::Texts(values(&traits, "received"))),
            ("api_versions", Value::Texts(values(&traits, "api_version"))),
            ("deprecated", Value::Texts(deprecated)),
            ("redirects_off_host", Value::Count(redirected as i64)),
            ("redirected_to", Value::Texts(redirects)),
            ("regions", Value::Texts(values(&traits, "region"))),
            ("networks", Value::Texts(values(&traits, "network"))),
            ("credentials", Value::Count(credentials.rows.len() as i64)),
            ("credential_kinds", Value::Texts(values(&traits, "credential_kind"))),
            ("oldest_key_days", oldest.map_or(Value::Null, Value::Count)),
            ("owner", text(declared.owner.clone())),
            ("contract", text(declared.contract.clone())),
            ("purpose", text(declared.purpose.clone())),
            ("review", text(declared.review.map(|review| review.to_string()))),
            ("catalogued_to", Value::Text(rfc3339(newest))),
            (
                "days_since_last_call",
                Value::Count(match of("last_seen") {
                    Value::Time(last) => days(newest - last),
                    _ => 0,
                }),
            ),
        ];
        Ok(Sheet { vendor: vendor.to_owned(), facts, history, terms })
    }
}

/// The values of a kind of trait, sorted.
fn values(traits: &Table, kind: &str) -> Vec<String> {
    let mut values: Vec<_> =
        traits.rows.iter().filter(|row| row[1].text() == Some(kind)).map(|row| row[2].plain()).collect();
    values.sort_unstable();
    values
}

/// Calls whose trait is one of these.
fn calls_of(traits: &Table, kind: &str, values: &[&str]) -> f64 {
    let is_meant =
        |row: &&Vec<Value>| row[1].text() == Some(kind) && row[2].text().is_some_and(|text| values.contains(&text));
    let count = |row: &Vec<Value>| if let Value::Count(calls) = row[4] { calls as f64 } else { 0.0 };
    traits.rows.iter().filter(is_meant).map(count).fold(0.0, |sum, calls| sum + calls)
}

fn count_state(credentials: &Table, state: &str) -> usize {
    credentials.rows.iter().filter(|row| row[1].text() == Some(state)).count()
}

/// Calls without a credential.
fn unauthenticated(connection: &Connection, vendor: i64) -> rusqlite::Result<f64> {
    let sql =
        "SELECT total(u.calls) FROM usage u JOIN name k ON k.id = u.credential WHERE u.vendor = ?1 AND k.text = ''";
    connection.query_row(sql, [vendor], |row| row.get(0))
}

/// The share of calls whose answer had the media type that is usual for their caller and key; `None` where no log has media types.
fn answer_stability(connection: &Connection, vendor: i64) -> rusqlite::Result<Option<f64>> {
    let sql = "SELECT 1.0 * sum(usual) / nullif(sum(calls), 0) FROM (SELECT max(calls) AS usual, sum(calls) AS calls FROM \
               (SELECT t.caller, t.credential, sum(t.calls) AS calls FROM trait t JOIN name k ON k.id = t.kind \
               WHERE t.vendor = ?1 AND k.text = 'content_type' GROUP BY t.caller, t.credential, t.value) GROUP BY caller, credential)";
    connection.query_row(sql, [vendor], |row| row.get(0))
}

/// Endpoints and versions in use that the vendor retires, sorted.
fn deprecated(connection: &Connection, vendor: i64) -> rusqlite::Result<Vec<String>> {
    let sql = format!(
        "SELECT trim(e.method || ' ' || e.template) AS name FROM endpoint e WHERE e.vendor = {vendor} AND e.deprecated <> '' \
         AND EXISTS (SELECT 1 FROM usage u WHERE u.endpoint = e.id) \
         UNION SELECT n.text FROM version v JOIN name n ON n.id = v.value WHERE v.vendor = {vendor} AND v.deprecated <> '' ORDER BY name"
    );
    let mut names = Vec::new();
    each(connection, &sql, |row| {
        names.push(row.get(0)?);
        Ok(())
    })?;
    Ok(names)
}

/// Calls, errors and latency by week (from Monday), the newest last.
fn history(connection: &Connection, vendor: i64) -> rusqlite::Result<Table> {
    let columns = vec!["week", "calls", "error_share", "bytes_out", "bytes_in", "latency_ms"];
    let mut table = Table { columns, rows: Vec::new() };
    // Day 0 was a Thursday.
    let sql = format!(
        "SELECT date(((day + 3) / 7 * 7 - 3) * 86400, 'unixepoch') AS week, sum(calls), \
         1.0 * sum(denied + client_error + throttled + server_error) / sum(calls), sum(bytes_out_sum), sum(bytes_in_sum), \
         1.0 * sum(latency_ln_sum) / nullif(sum(latency_count), 0) FROM day WHERE vendor = {vendor} GROUP BY week ORDER BY week"
    );
    each(connection, &sql, |row| {
        let latency: Option<f64> = row.get(5)?;
        table.rows.push(vec![
            Value::Text(row.get(0)?),
            Value::Count(row.get(1)?),
            rounded(row.get(2)?),
            Value::Count(row.get(3)?),
            Value::Count(row.get(4)?),
            latency.map_or(Value::Null, |mean| rounded(fixed_to_f64(mean as i64).exp_m1())),
        ]);
        Ok(())
    })?;
    Ok(table)
}
