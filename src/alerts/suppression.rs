//! Suppressions and maintenance windows: which alerts call nobody for a while, why, and who said so.
//!
//! A suppression holds back what its scope covers, from its start to its end by the clock: the alert stays in the store, marked, and goes to sinks
//! that keep records, but to none that calls people. What is graver, or involves anything else, is not covered. A suppression always ends; it is
//! kept after that, with how much it held back. An incident that is then still open goes out; one that had gone out before is closed for whoever saw it open.
//!
//! Not here: what people type (`cli`), and which sinks call people (`sinks`).

use glob::Pattern;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{Activity, Alert, MAX_INVOLVED, NoDetector, Severity, detector_names};
use crate::calls::View;

/// What is kept of a suppression.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS suppressions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, reason TEXT NOT NULL, author TEXT NOT NULL, created INTEGER NOT NULL,
        starts INTEGER NOT NULL, ends INTEGER NOT NULL, ended_by TEXT, held INTEGER NOT NULL DEFAULT 0, settled INTEGER NOT NULL DEFAULT 0);";

/// Longest time that a suppression may be in force, microseconds: a year. What is to last is no suppression, but a rule or a route.
pub const MAX_LENGTH: i64 = 366 * 86_400_000_000;

/// Most characters of a reason, an author or a name.
const MAX_TEXT: usize = 500;

/// Which alerts are held back: all that is named must fit. Names may have `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Detectors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detector: Vec<String>,
    /// Callers: everyone in the incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caller: Vec<String>,
    /// Vendors: everyone in the incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vendor: Vec<String>,
    /// Fingerprints of credentials: every one in the incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credential: Vec<String>,
    /// Vendors' accounts: every one in the incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub account: Vec<String>,
    /// Teams: some owner of the incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub team: Vec<String>,
    /// Incidents, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incident: Vec<String>,
    /// Egress or audit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// Nothing that is graver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_severity: Option<Severity>,
}

impl Scope {
    /// Whether it covers an alert.
    pub fn covers(&self, alert: &Alert) -> bool {
        // What an incident involves beyond those that an alert names is not known.
        let is_known = alert.involved.len() < MAX_INVOLVED;
        let all = |wanted: &[String], names: &[&str]| {
            wanted.is_empty() || is_known && !names.is_empty() && names.iter().all(|name| is_among(wanted, name))
        };
        all(&self.caller, &alert.callers())
            && all(&self.vendor, &alert.vendors())
            && all(&self.credential, &alert.credentials())
            && all(&self.account, &alert.accounts())
            && (self.detector.is_empty() || is_among(&self.detector, &alert.detector))
            && (self.incident.is_empty() || is_among(&self.incident, &alert.id))
            && (self.team.is_empty() || alert.teams().iter().any(|team| is_among(&self.team, team)))
            && self.view.is_none_or(|view| view == alert.view)
            && self.max_severity.is_none_or(|most| alert.severity <= most)
    }

    /// The scope in words: `detector burst, caller batch-*`.
    pub fn in_words(&self) -> String {
        let of_names = [
            ("detector", &self.detector),
            ("caller", &self.caller),
            ("vendor", &self.vendor),
            ("credential", &self.credential),
            ("account", &self.account),
            ("team", &self.team),
            ("incident", &self.incident),
        ];
        let named = of_names.into_iter().filter(|(_, names)| !names.is_empty());
        let mut words: Vec<String> = named.map(|(what, names)| format!("{what} {}", names.join(" or "))).collect();
        words.extend(self.view.map(|view| format!("view {}", view.as_str())));
        words.extend(self.max_severity.map(|most| format!("at most {}", most.as_str())));
        if words.is_empty() { "every alert".to_owned() } else { words.join(", ") }
    }
}

fn is_among(wanted: &[String], name: &str) -> bool {
    wanted.iter().any(|wanted| Pattern::new(wanted).is_ok_and(|pattern| pattern.matches(name)))
}

/// A suppression as it is kept. Times are microseconds since the epoch, by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// Its number.
    pub id: i64,
    /// What it holds back.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub author: String,
    /// When they said so.
    pub created: i64,
    /// From when on.
    pub starts: i64,
    /// Until when.
    pub ends: i64,
    /// Who ended it before its time, if anybody.
    pub ended_by: Option<String>,
    /// Steps that it held back.
    pub held: i64,
}

impl Suppression {
    /// `planned`, `in force` or `over`.
    pub const fn state(&self, now: i64) -> &'static str {
        if now >= self.ends {
            "over"
        } else if now < self.starts {
            "planned"
        } else {
            "in force"
        }
    }
}

/// A suppression as somebody asks for it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it holds back.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub author: String,
    /// From when on.
    pub starts: i64,
    /// Until when.
    pub ends: i64,
}

/// Why a suppression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody could say later why alerts were held back.
    #[error("say why, and who says so: neither may be empty")]
    Unexplained,
    /// It would never be in force.
    #[error("it ends before it begins")]
    NeverInForce,
    /// It would be in force for too long.
    #[error("it lasts for more than a year: renew it when it is over, or change the route of the sink")]
    TooLong,
    /// A text that no list could show.
    #[error("reason, author and names are one line each, of at most {MAX_TEXT} characters, and no name is empty")]
    Text,
    /// A name is no pattern.
    #[error("`{0}` is no pattern: write names, with * for any text")]
    Pattern(String),
    /// A detector that is not there would hold back nothing.
    #[error(transparent)]
    Detector(NoDetector),
}

impl Wanted {
    /// Whether it may be.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self) -> Result<(), Refusal> {
        let Scope { detector, caller, vendor, credential, account, team, incident, .. } = &self.scope;
        let mut names = [detector, caller, vendor, credential, account, team, incident].into_iter().flatten();
        if self.reason.trim().is_empty() || self.author.trim().is_empty() {
            return Err(Refusal::Unexplained);
        }
        if self.ends <= self.starts {
            return Err(Refusal::NeverInForce);
        }
        if self.ends - self.starts > MAX_LENGTH {
            return Err(Refusal::TooLong);
        }
        let is_line = |text: &String| text.chars().count() <= MAX_TEXT && !text.contains(char::is_control);
        let is_name = |name: &String| is_line(name) && !name.trim().is_empty();
        if !(is_line(&self.reason) && is_line(&self.author) && names.clone().all(is_name)) {
            return Err(Refusal::Text);
        }
        if let Some(name) = names.find(|name| Pattern::new(name).is_err()) {
            return Err(Refusal::Pattern(name.clone()));
        }
        let is_known = |wanted: &String| detector_names().any(|name| is_among(std::slice::from_ref(wanted), name));
        let unknown = detector.iter().find(|wanted| !is_known(wanted));
        unknown.map_or(Ok(()), |wanted| Err(Refusal::Detector(NoDetector(wanted.clone()))))
    }
}

/// Keeps a suppression; its number.
pub(super) fn add(connection: &Connection, wanted: &Wanted, now: i64) -> rusqlite::Result<i64> {
    let Wanted { scope, reason, author, starts, ends } = wanted;
    connection.execute(
        "INSERT INTO suppressions (scope, reason, author, created, starts, ends) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![json(scope)?, reason, author, now, starts, ends],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Ends a suppression before its time. Whether it was not over yet.
pub(super) fn end(connection: &Connection, id: i64, by: &str, now: i64) -> rusqlite::Result<bool> {
    let update = "UPDATE suppressions SET ends = ?3, ended_by = ?2 WHERE id = ?1 AND ends > ?3";
    connection.execute(update, params![id, by, now]).map(|changed| changed > 0)
}

/// Those that are not over at a time, or all, in the order in which they were made.
pub(super) fn list(connection: &Connection, not_over_at: Option<i64>) -> rusqlite::Result<Vec<Suppression>> {
    let select = "SELECT id, scope, reason, author, created, starts, ends, ended_by, held FROM suppressions
                  WHERE ?1 IS NULL OR ends > ?1 ORDER BY id";
    connection.prepare_cached(select)?.query_map([not_over_at], read)?.collect()
}

/// Those that are in force at a time.
pub(super) fn in_force(connection: &Connection, now: i64) -> rusqlite::Result<Vec<Suppression>> {
    Ok(list(connection, Some(now))?.into_iter().filter(|one| one.starts <= now).collect())
}

/// Those that are over, and whose open incidents have not gone out yet.
pub(super) fn unsettled(connection: &Connection, now: i64) -> rusqlite::Result<Vec<i64>> {
    let select = "SELECT id FROM suppressions WHERE ends <= ?1 AND NOT settled";
    connection.prepare_cached(select)?.query_map([now], |row| row.get(0))?.collect()
}

/// Notes that the open incidents of one that is over have gone out.
pub(super) fn note_settled(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.execute("UPDATE suppressions SET settled = 1 WHERE id = ?1", [id]).map(drop)
}

/// Notes that one held back a step.
pub(super) fn note_held(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE suppressions SET held = held + 1 WHERE id = ?1")?.execute([id]).map(drop)
}

/// What became of the earlier steps of an incident.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// Whether one has gone out.
    has_gone_out: bool,
    /// The suppression that holds the first one back, if any does.
    held_by: Option<i64>,
}

/// What is to become of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes out.
    Out,
    /// It goes out, and before it the step that opened its incident, which was held back.
    OutWithTheFirst,
    /// It is held back.
    Held(i64),
}

impl Before {
    pub fn of(connection: &Connection, incident: &str) -> rusqlite::Result<Self> {
        let select =
            "SELECT suppression FROM alerts WHERE incident = ?1 AND suppression IS NOT NULL AND released IS NULL
                      ORDER BY revision LIMIT 1";
        let held_by = connection.prepare_cached(select)?.query_row([incident], |row| row.get(0)).optional()?;
        let select = "SELECT EXISTS (SELECT 1 FROM alerts WHERE incident = ?1 AND (suppression IS NULL OR released IS NOT NULL))";
        let has_gone_out = connection.prepare_cached(select)?.query_row([incident], |row| row.get(0))?;
        Ok(Self { has_gone_out, held_by })
    }

    /// What becomes of a step, where one in force covers it or none does. Whoever saw an incident open sees it end, nobody else does.
    pub fn fate(self, activity: Activity, covered_by: Option<i64>) -> Fate {
        match (activity, self.held_by.filter(|_| !self.has_gone_out), covered_by) {
            (Activity::Close, Some(id), _) => Fate::Held(id),
            (Activity::Close, None, _) if self.has_gone_out => Fate::Out,
            (_, _, Some(id)) => Fate::Held(id),
            (_, Some(_), None) => Fate::OutWithTheFirst,
            (_, None, None) => Fate::Out,
        }
    }
}

fn json(scope: &Scope) -> rusqlite::Result<String> {
    serde_json::to_string(scope).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Suppression> {
    let scope: String = row.get(1)?;
    let wrong = |error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error))
    };
    Ok(Suppression {
        id: row.get(0)?,
        scope: serde_json::from_str(&scope).map_err(wrong)?,
        reason: row.get(2)?,
        author: row.get(3)?,
        created: row.get(4)?,
        starts: row.get(5)?,
        ends: row.get(6)?,
        ended_by: row.get(7)?,
        held: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::alerts::{Involved, Owner};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_scope_covers_what_fits_in_all_that_it_names() {
        let alert = Alert { severity: Severity::Medium, ..sample() };
        for (scope, expected) in [
            (Scope::default(), true),
            (Scope { caller: names(&["payroll-*"]), detector: names(&["burst"]), ..Scope::default() }, true),
            (Scope { caller: names(&["payroll-*"]), vendor: names(&["stripe"]), ..Scope::default() }, false),
            (Scope { credential: names(&["fp_9a1c"]), ..Scope::default() }, true),
            (Scope { account: names(&["*"]), ..Scope::default() }, false),
            (Scope { team: names(&["people"]), ..Scope::default() }, false),
            (Scope { max_severity: Some(Severity::Low), ..Scope::default() }, false),
            (Scope { view: Some(View::Audit), ..Scope::default() }, false),
        ] {
            assert_eq!(scope.covers(&alert), expected, "{}", scope.in_words());
        }
        let owner = Owner { team: "people".to_owned(), ..Owner::default() };
        let owned = Alert { owners: vec![owner], ..alert };
        assert!(Scope { team: names(&["people"]), ..Scope::default() }.covers(&owned));
    }

    #[test]
    fn an_incident_that_involves_somebody_else_as_well_is_not_covered() {
        let mut alert = sample();
        let scope = Scope { caller: names(&["payroll-svc"]), ..Scope::default() };
        assert!(scope.covers(&alert));
        alert.involved.push(Involved { caller: Some("billing".to_owned()), ..alert.involved[0].clone() });
        assert!(!scope.covers(&alert));
        alert.involved = vec![alert.involved[0].clone(); MAX_INVOLVED];
        assert!(!scope.covers(&alert), "there may be more than are named");
    }

    #[test]
    fn whoever_saw_an_incident_open_sees_it_end_and_nobody_else() {
        use Activity::{Close, Create, Update};
        let (new, held, out) = (Before::default(), (false, Some(1)), (true, None));
        let before = |(has_gone_out, held_by)| Before { has_gone_out, held_by };
        for (before, activity, covered_by, expected) in [
            (new, Create, None, Fate::Out),
            (new, Create, Some(1), Fate::Held(1)),
            (before(held), Update, Some(2), Fate::Held(2)),
            (before(held), Update, None, Fate::OutWithTheFirst),
            (before(held), Close, None, Fate::Held(1)),
            (before(out), Update, Some(1), Fate::Held(1)),
            (before(out), Close, Some(1), Fate::Out),
            (before((true, Some(1))), Close, Some(1), Fate::Out),
            (before((true, Some(1))), Update, None, Fate::Out),
        ] {
            assert_eq!(before.fate(activity, covered_by), expected, "{before:?} {activity:?} {covered_by:?}");
        }
    }

    #[test]
    fn a_suppression_says_why_and_ends() {
        let wanted = Wanted {
            scope: Scope::default(),
            reason: "load test".to_owned(),
            author: "ann".to_owned(),
            starts: 5,
            ends: 6,
        };
        assert_eq!(wanted.check(), Ok(()));
        assert_eq!(Wanted { reason: " ".to_owned(), ..wanted.clone() }.check(), Err(Refusal::Unexplained));
        assert_eq!(Wanted { ends: 5, ..wanted.clone() }.check(), Err(Refusal::NeverInForce));
        assert_eq!(Wanted { ends: 6 + MAX_LENGTH, ..wanted.clone() }.check(), Err(Refusal::TooLong));
        let of = |scope: Scope| Wanted { scope, ..wanted.clone() }.check();
        let callers = |caller: &str| of(Scope { caller: names(&[caller]), ..Scope::default() });
        assert_eq!(callers("a**b["), Err(Refusal::Pattern("a**b[".to_owned())));
        assert_eq!(callers(""), Err(Refusal::Text));
        for reason in ["load test\n3 in force".to_owned(), "x".repeat(50_000)] {
            assert_eq!(Wanted { reason, ..wanted.clone() }.check(), Err(Refusal::Text));
        }
        let detectors = |detector: &str| of(Scope { detector: names(&[detector]), ..Scope::default() });
        assert_eq!(detectors("brust"), Err(Refusal::Detector(NoDetector("brust".to_owned()))));
        assert_eq!(["burst", "bulk_*", "service.sink_failing"].map(detectors), [Ok(()), Ok(()), Ok(())]);
    }
}
