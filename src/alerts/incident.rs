//! Incidents: findings of one caller and vendor become one story with a life.
//!
//! Findings less than six hours apart are one incident: created, updated when a new cause joins or it grows louder (at most
//! once a bucket) and every six hours while it goes on, closed when it has been quiet. The id follows from who, whom and when
//! it began, so a retry, a replay or a restart gives the same one.
//!
//! A notice that grows into a page becomes an incident of its own: whoever counts pages counts it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Activity, Alert, Severity};
use crate::calls::Direction;
use crate::detect::Finding;
use crate::features::Entity;

/// Quiet time after which an incident is over, microseconds.
const GAP: i64 = 6 * HOUR;
/// Longest time without an update while an incident goes on.
const UPDATE_EVERY: i64 = GAP;
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

impl Subject {
    /// A pair of caller and vendor.
    pub fn of(pair: &Entity) -> Self {
        Self { direction: pair.direction, vendor: pair.vendor.clone(), caller: pair.caller.clone() }
    }
}

/// An incident that goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Incident {
    alert: Alert,
    pages: bool,
    last: i64,
    /// When it was told last; `None` before the first time.
    told: Option<i64>,
    /// Whether there is something new to tell.
    has_news: bool,
    causes: BTreeSet<String>,
}

impl Incident {
    /// The next step of its life.
    fn step(&mut self, activity: Activity, time: i64) -> Alert {
        self.alert.revision += 1;
        self.alert.activity = activity;
        self.alert.time = time;
        self.told = Some(time);
        self.has_news = false;
        self.alert.clone()
    }
}

/// The incidents that go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Book {
    open: BTreeMap<Subject, Incident>,
    /// Notices that were told and have since grown into pages.
    outgrown: Vec<Incident>,
}

impl Book {
    /// Adds a finding to its subject's incident, opening one where none goes on.
    pub fn add(&mut self, subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) {
        let pages = severity >= Severity::Medium;
        if let Some(open) = self.open.get_mut(subject).filter(|open| !pages || open.pages) {
            let is_new_cause = open.causes.insert(finding.cause.name.to_owned());
            let is_louder = severity > open.alert.severity;
            let is_due = open.told.is_none_or(|told| finding.time - told >= UPDATE_EVERY);
            open.last = finding.time;
            open.has_news |= is_new_cause || is_louder || is_due;
            open.alert.severity = open.alert.severity.max(severity);
            gather(&mut open.alert, finding);
            return;
        }
        let incident = Incident {
            alert: opened(subject, finding, severity, bundle, pages),
            pages,
            last: finding.time,
            told: None,
            has_news: true,
            causes: BTreeSet::from([finding.cause.name.to_owned()]),
        };
        if let Some(notice) = self.open.insert(subject.clone(), incident).filter(|notice| notice.told.is_some()) {
            self.outgrown.push(notice);
        }
    }

    /// What is new at `time`, one step an incident.
    pub fn tell(&mut self, time: i64) -> Vec<Alert> {
        let outgrown = self.outgrown.drain(..).map(|mut notice| notice.step(Activity::Close, time));
        let mut told: Vec<Alert> = outgrown.collect();
        for incident in self.open.values_mut().filter(|incident| incident.has_news) {
            let activity = if incident.told.is_none() { Activity::Create } else { Activity::Update };
            told.push(incident.step(activity, time));
        }
        told
    }

    /// Closes what has been quiet for long enough at `time`, in the order in which it fell quiet.
    pub fn close(&mut self, time: i64) -> Vec<Alert> {
        let mut closed = Vec::new();
        self.open.retain(|_, incident| {
            let goes_on = time - incident.last <= GAP;
            if !goes_on {
                let since = incident.last + GAP;
                closed.push(incident.step(Activity::Close, since));
            }
            goes_on
        });
        closed.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        closed
    }

    /// Whether an incident of this subject goes on.
    pub fn is_open(&self, subject: &Subject) -> bool {
        self.open.contains_key(subject)
    }

    /// Whether an incident that pages goes on.
    pub fn is_paging(&self, subject: &Subject) -> bool {
        self.open.get(subject).is_some_and(|incident| incident.pages)
    }

    /// Makes a caller's incident the vendor's, if one of its causes is among these.
    pub fn widen(&mut self, subject: &Subject, caller: &str, causes: &[&str]) -> bool {
        let own = Subject { caller: caller.to_owned(), ..subject.clone() };
        let fits = |incident: &Incident| causes.iter().any(|cause| incident.causes.contains(*cause));
        if !self.open.get(&own).is_some_and(fits) {
            return false;
        }
        let Some(mut incident) = self.open.remove(&own) else { return false };
        incident.alert.caller = None;
        self.open.insert(subject.clone(), incident);
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
        revision: 0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Cause, detector_of};

    fn subject() -> Subject {
        Subject { direction: Direction::Egress, vendor: "stripe".to_owned(), caller: "billing".to_owned() }
    }

    fn finding(name: &'static str, time: i64) -> Finding {
        let cause = Cause { name, is_rise: true, is_of_vendor: false, direction: Direction::Egress };
        Finding {
            detector: detector_of(&cause),
            cause,
            time,
            first_seen: time - HOUR,
            last_seen: time,
            alarms_per_day: 0.1,
            p_value: 0.01,
            message: name.to_owned(),
            contributions: Vec::new(),
            hosts: Vec::new(),
            credential: None,
            endpoint: None,
            calls: 1,
            trace_ids: Vec::new(),
        }
    }

    fn told(book: &mut Book, time: i64) -> Vec<(Activity, u32)> {
        book.tell(time).into_iter().map(|alert| (alert.activity, alert.revision)).collect()
    }

    #[test]
    fn an_incident_is_created_updated_for_news_and_closed_when_quiet() {
        let mut book = Book::default();
        book.add(&subject(), &finding("bytes_out", HOUR), Severity::Medium, "b");
        book.add(&subject(), &finding("denied", HOUR), Severity::Medium, "b");
        assert_eq!(told(&mut book, HOUR), [(Activity::Create, 1)], "one step a bucket");
        book.add(&subject(), &finding("denied", HOUR + 5), Severity::Medium, "b");
        assert_eq!(told(&mut book, HOUR + 5), [], "nothing new");
        book.add(&subject(), &finding("latency", HOUR + 9), Severity::Medium, "b");
        assert_eq!(told(&mut book, HOUR + 9), [(Activity::Update, 2)]);
        assert!(book.close(7 * HOUR + 9).is_empty());
        let closed = book.close(7 * HOUR + 10);
        assert_eq!((closed[0].activity, closed[0].revision, closed[0].time), (Activity::Close, 3, 7 * HOUR + 9));
    }

    #[test]
    fn the_same_findings_have_the_same_id_and_a_later_episode_another() {
        let id = |time: i64| {
            let mut book = Book::default();
            book.add(&subject(), &finding("bytes_out", time), Severity::Medium, "b");
            book.tell(time)[0].id.clone()
        };
        assert_eq!(id(HOUR), id(HOUR));
        assert_ne!(id(HOUR), id(20 * HOUR));
    }

    #[test]
    fn a_notice_that_grows_into_a_page_is_closed_and_the_page_is_an_incident_of_its_own() {
        let mut book = Book::default();
        book.add(&subject(), &finding("pair_new", HOUR), Severity::Low, "b");
        let notice = book.tell(HOUR)[0].id.clone();
        book.add(&subject(), &finding("bytes_out", HOUR + 1), Severity::High, "b");
        let told = book.tell(HOUR + 1);
        assert_eq!(told.iter().map(|alert| alert.activity).collect::<Vec<_>>(), [Activity::Close, Activity::Create]);
        assert_eq!(told[0].id, notice);
        assert_ne!(told[1].id, notice);
    }
}
