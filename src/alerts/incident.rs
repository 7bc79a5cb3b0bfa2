//! Incidents: findings of one caller and vendor become one story with a life.
//!
//! Findings less than six hours apart are one incident: created, updated hourly and whenever a new cause joins, closed when
//! it has been quiet. The id follows from who, whom and when it began, so a retry, a replay or a restart gives the same one.
//!
//! A notice that grows into a page becomes an incident of its own: whoever counts pages counts it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Activity, Alert, Severity};
use crate::calls::Direction;
use crate::detect::Finding;

/// Quiet time after which an incident is over, microseconds.
const GAP: i64 = 6 * HOUR;
/// Time between updates that bring nothing new.
const UPDATE_EVERY: i64 = HOUR;
const HOUR: i64 = 3_600_000_000;
/// Hosts, contributions and trace ids that an incident gathers.
const MOST_GATHERED: usize = 12;

/// Whom an incident is about: a caller at a vendor, or a vendor as a whole (no caller).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The view.
    pub direction: Direction,
    /// The vendor.
    pub vendor: String,
    /// The caller; empty where the incident is about the vendor as a whole.
    pub caller: String,
}

/// An incident that goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Incident {
    alert: Alert,
    pages: bool,
    last: i64,
    emitted: i64,
    causes: BTreeSet<String>,
}

/// The incidents that go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Book(BTreeMap<Subject, Incident>);

impl Book {
    /// Adds a finding to its subject's incident; returns what is to be told, if anything.
    pub fn add(&mut self, subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) -> Option<Alert> {
        let pages = severity >= Severity::Medium;
        let open = self.0.get_mut(subject).filter(|open| !pages || open.pages);
        let Some(open) = open else {
            let alert = opened(subject, finding, severity, bundle, pages);
            let causes = BTreeSet::from([finding.cause.name.to_owned()]);
            let incident = Incident { alert: alert.clone(), pages, last: finding.time, emitted: finding.time, causes };
            self.0.insert(subject.clone(), incident);
            return Some(alert);
        };
        open.last = finding.time;
        let is_new_cause = open.causes.insert(finding.cause.name.to_owned());
        let is_louder = severity > open.alert.severity;
        gather(&mut open.alert, finding);
        if !is_new_cause && !is_louder && finding.time - open.emitted < UPDATE_EVERY {
            return None;
        }
        open.emitted = finding.time;
        open.alert.revision += 1;
        open.alert.activity = Activity::Update;
        open.alert.time = finding.time;
        open.alert.severity = open.alert.severity.max(severity);
        Some(open.alert.clone())
    }

    /// Closes what has been quiet for long enough at `time`, in the order in which it fell quiet.
    pub fn close(&mut self, time: i64) -> Vec<Alert> {
        let mut closed = Vec::new();
        self.0.retain(|_, incident| {
            let goes_on = time - incident.last <= GAP;
            if !goes_on {
                incident.alert.revision += 1;
                incident.alert.activity = Activity::Close;
                incident.alert.time = incident.last + GAP;
                closed.push(incident.alert.clone());
            }
            goes_on
        });
        closed.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        closed
    }

    /// Whether an incident of this subject goes on.
    pub fn is_open(&self, subject: &Subject) -> bool {
        self.0.contains_key(subject)
    }

    /// Whether an incident that pages goes on.
    pub fn is_paging(&self, subject: &Subject) -> bool {
        self.0.get(subject).is_some_and(|incident| incident.pages)
    }

    /// Makes a caller's incident the vendor's, if one of its causes is among these.
    pub fn widen(&mut self, subject: &Subject, caller: &str, causes: &[&str]) -> bool {
        let own = Subject { caller: caller.to_owned(), ..subject.clone() };
        let fits = |incident: &Incident| causes.iter().any(|cause| incident.causes.contains(*cause));
        if !self.0.get(&own).is_some_and(fits) {
            return false;
        }
        let Some(mut incident) = self.0.remove(&own) else { return false };
        incident.alert.caller = None;
        self.0.insert(subject.clone(), incident);
        true
    }
}

fn opened(subject: &Subject, finding: &Finding, severity: Severity, bundle: &str, pages: bool) -> Alert {
    let name = format!(
        "{}\u{1f}{}\u{1f}{}\u{1f}{}\u{1f}{pages}",
        subject.direction.as_str(),
        subject.vendor,
        subject.caller,
        finding.time
    );
    let detector = finding.detector;
    Alert {
        id: format!("aw-{}", &blake3::hash(name.as_bytes()).to_hex()[..16]),
        revision: 1,
        activity: Activity::Create,
        severity,
        time: finding.time,
        first_seen: finding.first_seen,
        last_seen: finding.last_seen,
        detector: detector.name.to_owned(),
        title: detector.title.to_owned(),
        message: finding.message.clone(),
        category: detector.category,
        technique: (detector.technique)(&finding.cause).map(str::to_owned),
        direction: subject.direction,
        caller: Some(subject.caller.clone()).filter(|caller| !caller.is_empty()),
        vendor: subject.vendor.clone(),
        hosts: finding.hosts.clone(),
        credential: finding.credential.clone(),
        endpoint: finding.endpoint.clone(),
        p_value: finding.p_value,
        alarms_per_day: finding.alarms_per_day,
        contributions: finding.contributions.clone(),
        calls: finding.calls,
        trace_ids: finding.trace_ids.clone(),
        bundle: bundle.to_owned(),
    }
}

/// Adds a finding's evidence. What it is called, and about whom, stays as it was opened, unless the finding is rarer.
fn gather(alert: &mut Alert, finding: &Finding) {
    alert.first_seen = alert.first_seen.min(finding.first_seen);
    alert.last_seen = alert.last_seen.max(finding.last_seen);
    if finding.alarms_per_day < alert.alarms_per_day {
        alert.alarms_per_day = finding.alarms_per_day;
        alert.p_value = finding.p_value;
        alert.message.clone_from(&finding.message);
        alert.calls = finding.calls;
    }
    for host in &finding.hosts {
        if alert.hosts.len() < MOST_GATHERED && !alert.hosts.contains(host) {
            alert.hosts.push(host.clone());
        }
    }
    for contribution in &finding.contributions {
        let same = |known: &&mut crate::detect::Contribution| {
            known.name == contribution.name && known.window == contribution.window
        };
        match alert.contributions.iter_mut().find(same) {
            Some(known) if contribution.p_value < known.p_value => *known = contribution.clone(),
            Some(_) => {}
            None => alert.contributions.push(contribution.clone()),
        }
    }
    alert.contributions.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
    alert.contributions.truncate(MOST_GATHERED);
    if finding.credential.is_some() {
        alert.credential.clone_from(&finding.credential);
    }
    if finding.endpoint.is_some() {
        alert.endpoint.clone_from(&finding.endpoint);
    }
    if !finding.trace_ids.is_empty() {
        alert.trace_ids.clone_from(&finding.trace_ids);
    }
}
