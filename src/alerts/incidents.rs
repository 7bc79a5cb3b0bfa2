//! The incidents of incidents: which finding belongs to which story.
//!
//! Findings of one subject less than six hours apart are one incident: created, updated when a new cause joins or it grows
//! louder (at most once a bucket) and every six hours while it goes on, closed when it has been quiet. Findings of other
//! subjects join it along a correlation: the same new network, client or destination, the same misused credential, or the same
//! caller after such a finding. What shares a caller, a vendor or a credential and does not join is linked.
//!
//! A notice that grows into a page becomes an incident of its own, which names the notice: whoever counts pages counts it.
//! Nothing that was told is taken back: every incident ends with a close.
//!
//! Not here: what an incident is made of (`incident`), what makes a correlation (`correlation`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::correlation::CorrelationKey;
use super::incident::{Incident, Subject};
use super::{Alert, Severity};
use crate::detect::Finding;

/// Quiet time after which an incident is over, and time within which findings are of one story, microseconds.
const HORIZON: i64 = 6 * 3_600_000_000;
/// Longest time without an update while an incident goes on.
const UPDATE_EVERY: i64 = HORIZON;

/// Time within which a vendor's change takes the incident of one of its callers, microseconds.
const RECENT: i64 = 3_600_000_000;

/// A correlation's incident, and when a finding that pages took it up last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Hold {
    incident: u64,
    at: i64,
}

/// The incidents that go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IncidentStore {
    /// By the order in which they were opened.
    incidents: BTreeMap<u64, Incident>,
    opened: u64,
    /// The incident that a subject's findings belong to.
    open: BTreeMap<Subject, u64>,
    threads: BTreeMap<CorrelationKey, Hold>,
    /// Notices that were told and have since grown into pages.
    outgrown: Vec<Incident>,
}

impl IncidentStore {
    /// Adds a finding to the incident that its new thing leads to, to its subject's, to one that another correlation leads to, or to
    /// a new one.
    pub fn add(&mut self, subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) {
        let pages = severity >= Severity::Medium;
        let novelty = CorrelationKey::of_novelty(subject, finding);
        let threads = CorrelationKey::of_subject(subject, finding);
        let number = self
            .along(novelty.as_slice(), finding.time)
            .or_else(|| self.open.get(subject).copied().filter(|number| !pages || self.pages(*number)))
            .or_else(|| self.along(&threads, finding.time));
        let number = match number {
            Some(number) => {
                if let Some(incident) = self.incidents.get_mut(&number) {
                    incident.add(subject, finding, severity, bundle, UPDATE_EVERY);
                }
                number
            }
            None => self.open_incident(subject, finding, severity, bundle),
        };
        if let Some(before) = self.open.insert(subject.clone(), number).filter(|before| *before != number) {
            self.give_way(before, number);
        }
        if pages {
            let begun = novelty.into_iter().chain(threads).filter(|correlation| correlation.is_begun_by(finding));
            self.threads.extend(begun.map(|correlation| (correlation, Hold { incident: number, at: finding.time })));
        }
    }

    fn pages(&self, number: u64) -> bool {
        self.incidents.get(&number).is_some_and(|incident| incident.pages)
    }

    /// The oldest incident that pages and that one of these threads leads to.
    fn along(&self, threads: &[CorrelationKey], time: i64) -> Option<u64> {
        let holds = threads.iter().filter_map(|correlation| self.threads.get(correlation));
        holds.filter(|hold| time - hold.at <= HORIZON && self.pages(hold.incident)).map(|hold| hold.incident).min()
    }

    fn open_incident(&mut self, subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) -> u64 {
        let mut incident = Incident::open(subject, finding, severity, bundle);
        let pointer = incident.pointer();
        for other in self.incidents.values_mut().filter(|other| finding.time - other.last <= HORIZON) {
            if other.is_related(subject, finding) {
                incident.relate(other.pointer());
                other.relate(pointer.clone());
            }
        }
        self.opened += 1;
        self.incidents.insert(self.opened, incident);
        self.opened
    }

    /// A subject's findings belong to another incident from now on. A notice ends with that, a page when it falls quiet.
    fn give_way(&mut self, before: u64, after: u64) {
        let Some(mut old) = self.incidents.remove(&before) else { return };
        if let Some(new) = self.incidents.get_mut(&after) {
            if !old.pages {
                new.remember(&old);
            }
            if old.told.is_some() {
                new.relate(old.pointer());
                old.relate(new.pointer());
            }
        }
        if old.pages {
            self.incidents.insert(before, old);
            return;
        }
        self.open.retain(|_, number| *number != before);
        if old.told.is_some() {
            self.outgrown.push(old);
        }
    }

    /// What is new at `time`: one step for each part of an incident that has news.
    pub fn tell(&mut self, time: i64) -> Vec<Alert> {
        let outgrown = self.outgrown.drain(..).map(|mut notice| notice.close(time));
        let mut told: Vec<Alert> = outgrown.collect();
        told.extend(self.incidents.values_mut().flat_map(|incident| incident.tell(time)));
        told
    }

    /// Closes what has been quiet for long enough at `time`, in the order in which it fell quiet.
    pub fn close(&mut self, time: i64) -> Vec<Alert> {
        let mut closed = Vec::new();
        self.incidents.retain(|_, incident| {
            let goes_on = time - incident.last <= HORIZON;
            if !goes_on {
                closed.push(incident.close(incident.last + HORIZON));
            }
            goes_on
        });
        if !closed.is_empty() {
            self.open.retain(|_, number| self.incidents.contains_key(number));
        }
        self.threads.retain(|_, hold| time - hold.at <= HORIZON);
        closed.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        closed
    }

    /// Whether an incident of this subject goes on.
    pub fn is_open(&self, subject: &Subject) -> bool {
        self.open.contains_key(subject)
    }

    /// Whether an incident that pages goes on.
    pub fn is_paging(&self, subject: &Subject) -> bool {
        self.open.get(subject).is_some_and(|number| self.pages(*number))
    }

    /// Makes a caller's incident the vendor's, if one of its causes is among these and it was heard of within the hour.
    pub fn widen(&mut self, vendor: &Subject, caller: &str, causes: &[&str], time: i64) -> bool {
        let own = Subject { caller: caller.to_owned(), ..vendor.clone() };
        let Some(number) = self.open.get(&own).copied() else { return false };
        let fits = |one: &Incident| one.is_of_one() && one.has_cause(causes) && time - one.last <= RECENT;
        let fits = self.incidents.get(&number).is_some_and(fits);
        if fits {
            self.open.insert(vendor.clone(), number);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Activity;
    use crate::calls::View;
    use crate::detect::{Cause, detector_of};

    const HOUR: i64 = 3_600_000_000;

    fn subject(caller: &str, vendor: &str) -> Subject {
        Subject { view: View::Egress, vendor: vendor.to_owned(), caller: caller.to_owned() }
    }

    fn finding(name: &'static str, time: i64) -> Finding {
        let cause = Cause { name, is_rise: true, is_of_vendor: false, view: View::Egress };
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
            counterfactual: None,
            likely: None,
            destination: None,
            novelty: None,
            hosts: Vec::new(),
            credential: None,
            endpoint: None,
            calls: 1,
            trace_ids: Vec::new(),
        }
    }

    /// A finding about a new thing.
    fn about(name: &'static str, novelty: &str, time: i64) -> Finding {
        Finding { novelty: Some(novelty.to_owned()), ..finding(name, time) }
    }

    /// What is told of findings that page, each at its time: the step, and which incident it is of by the order of opening.
    fn told(findings: &[(Subject, Finding)]) -> Vec<(Activity, usize)> {
        let mut incidents = IncidentStore::default();
        let mut ids = Vec::new();
        let mut steps = Vec::new();
        for (subject, finding) in findings {
            steps.extend(incidents.close(finding.time));
            incidents.add(subject, finding, Severity::High, "b");
            steps.extend(incidents.tell(finding.time));
        }
        let step = |alert: Alert| {
            let place = ids.iter().position(|id| *id == alert.id).unwrap_or_else(|| {
                ids.push(alert.id.clone());
                ids.len() - 1
            });
            (alert.activity, place)
        };
        steps.into_iter().map(step).collect()
    }

    const CREATE: Activity = Activity::Create;
    const UPDATE: Activity = Activity::Update;
    const CLOSE: Activity = Activity::Close;

    #[test]
    fn an_incident_is_created_updated_for_news_and_closed_when_quiet() {
        let (mut incidents, billing) = (IncidentStore::default(), subject("billing", "stripe"));
        let steps = |told: Vec<Alert>| told.into_iter().map(|a| (a.activity, a.revision)).collect::<Vec<_>>();
        incidents.add(&billing, &finding("bytes_out", HOUR), Severity::Medium, "b");
        incidents.add(&billing, &finding("denied", HOUR), Severity::Medium, "b");
        assert_eq!(steps(incidents.tell(HOUR)), [(CREATE, 1)], "one step a bucket");
        incidents.add(&billing, &finding("denied", HOUR + 5), Severity::Medium, "b");
        assert_eq!(steps(incidents.tell(HOUR + 5)), [], "nothing new");
        incidents.add(&billing, &finding("latency", HOUR + 9), Severity::Medium, "b");
        assert_eq!(steps(incidents.tell(HOUR + 9)), [(UPDATE, 2)]);
        assert!(incidents.close(7 * HOUR + 9).is_empty());
        let closed = incidents.close(7 * HOUR + 10);
        assert_eq!((closed[0].activity, closed[0].revision, closed[0].time), (CLOSE, 3, 7 * HOUR + 9));
    }

    #[test]
    fn the_same_findings_have_the_same_id_and_a_later_episode_another() {
        let id = |time: i64| {
            let mut incidents = IncidentStore::default();
            incidents.add(&subject("billing", "stripe"), &finding("bytes_out", time), Severity::Medium, "b");
            incidents.tell(time)[0].id.clone()
        };
        assert_eq!(id(HOUR), id(HOUR));
        assert_ne!(id(HOUR), id(20 * HOUR));
    }

    #[test]
    fn a_notice_that_grows_into_a_page_is_closed_and_the_page_points_at_it_and_knows_its_facts() {
        let (mut incidents, billing) = (IncidentStore::default(), subject("billing", "stripe"));
        let fact = crate::detect::multivariate_contribution("client_known", 1.0, "", 0.5);
        let first = Finding { contributions: vec![fact], ..finding("client_known", HOUR) };
        incidents.add(&billing, &first, Severity::Low, "b");
        let notice = incidents.tell(HOUR)[0].id.clone();
        incidents.add(&billing, &finding("bytes_out", HOUR + 1), Severity::High, "b");
        let told = incidents.tell(HOUR + 1);
        assert_eq!(told.iter().map(|alert| alert.activity).collect::<Vec<_>>(), [CLOSE, CREATE]);
        assert_eq!(told[0].id, notice);
        assert_ne!(told[1].id, notice);
        assert_eq!(told[1].related[0].id, notice);
        assert_eq!(told[1].first_time_facts().count(), 1);
    }

    #[test]
    fn the_same_new_network_at_several_callers_and_vendors_is_one_incident() {
        let steps = told(&[
            (subject("billing", "stripe"), about("network_public_new", "203.0.113.0/24", HOUR)),
            (subject("crm", "hubspot"), about("network_public_new", "203.0.113.0/24", 2 * HOUR)),
            (subject("crm", "hubspot"), about("network_public_new", "198.51.100.0/24", 2 * HOUR + 1)),
            (subject("mail", "sendgrid"), about("network_public_new", "192.0.2.0/24", 3 * HOUR)),
        ]);
        assert_eq!(steps, [(CREATE, 0), (UPDATE, 0), (CREATE, 1)]);
    }

    #[test]
    fn a_misused_credential_joins_what_it_does_elsewhere_and_what_its_caller_shows_within_six_hours() {
        let stolen = |time| Finding { credential: Some("fp_1".to_owned()), ..finding("client_tool", time) };
        let upload = |time| Finding { credential: Some("fp_1".to_owned()), ..finding("bytes_out", time) };
        let steps = told(&[
            (subject("billing", "stripe"), stolen(HOUR)),
            (subject("other", "stripe"), upload(2 * HOUR)),
            (subject("billing", "dropbox"), finding("bytes_out", 3 * HOUR)),
            (subject("other", "dropbox"), finding("bytes_out", 4 * HOUR)),
        ]);
        assert_eq!(steps, [(CREATE, 0), (UPDATE, 0), (UPDATE, 0), (CREATE, 1)]);
        let late = told(&[
            (subject("billing", "stripe"), stolen(HOUR)),
            (subject("billing", "dropbox"), finding("bytes_out", 8 * HOUR)),
        ]);
        assert_eq!(late, [(CREATE, 0), (CLOSE, 0), (CREATE, 1)]);
    }

    #[test]
    fn a_new_thing_leads_to_its_incident_even_where_the_subject_has_one_of_its_own() {
        let new = |time| about("client_tool", "curl", time);
        let steps = told(&[
            (subject("crm", "hubspot"), finding("latency", HOUR)),
            (subject("billing", "stripe"), new(HOUR + 1)),
            (subject("crm", "hubspot"), new(HOUR + 2)),
            (subject("crm", "hubspot"), finding("bytes_out", HOUR + 3)),
            (subject("mail", "sendgrid"), finding("latency", 8 * HOUR)),
        ]);
        let story = [(CREATE, 0), (CREATE, 1), (UPDATE, 1), (UPDATE, 1), (CLOSE, 0), (CLOSE, 1), (CREATE, 2)];
        assert_eq!(steps, story);
    }

    #[test]
    fn what_joins_names_all_and_is_never_quieter() {
        let mut incidents = IncidentStore::default();
        let new = |time| about("network_public_new", "203.0.113.0/24", time);
        incidents.add(&subject("billing", "stripe"), &new(HOUR), Severity::Critical, "b");
        incidents.tell(HOUR);
        incidents.add(&subject("crm", "hubspot"), &new(2 * HOUR), Severity::Medium, "b");
        let step = incidents.tell(2 * HOUR).remove(0);
        assert_eq!(step.severity, Severity::Critical);
        assert_eq!(step.caller.as_deref(), Some("crm"), "a step tells of what is new");
        assert_eq!((step.callers(), step.vendors()), (vec!["crm", "billing"], vec!["hubspot", "stripe"]));
    }

    #[test]
    fn findings_that_share_a_vendor_or_a_caller_and_no_thread_are_linked() {
        let mut incidents = IncidentStore::default();
        incidents.add(&subject("billing", "stripe"), &finding("bytes_out", HOUR), Severity::High, "b");
        incidents.add(&subject("crm", "stripe"), &finding("bytes_out", 2 * HOUR), Severity::High, "b");
        incidents.add(&subject("mail", "sendgrid"), &finding("bytes_out", 2 * HOUR), Severity::High, "b");
        let told = incidents.tell(2 * HOUR);
        let related: Vec<usize> = told.iter().map(|alert| alert.related.len()).collect();
        assert_eq!(related, [1, 1, 0]);
        assert_eq!((&told[0].related[0].id, &told[1].related[0].id), (&told[1].id, &told[0].id));
    }

    #[test]
    fn a_change_that_turns_out_to_be_the_vendor_s_takes_its_first_caller_s_incident() {
        let mut incidents = IncidentStore::default();
        incidents.add(&subject("fraud", "plaid"), &finding("latency", HOUR), Severity::Medium, "b");
        let id = incidents.tell(HOUR)[0].id.clone();
        let vendor = subject("", "plaid");
        assert!(!incidents.widen(&vendor, "fraud", &["latency"], 3 * HOUR), "too long ago");
        assert!(!incidents.widen(&vendor, "fraud", &["denied"], HOUR + 1), "another cause");
        assert!(incidents.widen(&vendor, "fraud", &["latency"], HOUR + 1));
        incidents.add(&vendor, &finding("latency", HOUR + 1), Severity::Medium, "b");
        let step = incidents.tell(HOUR + 1).remove(0);
        assert_eq!((step.id, step.activity, step.caller), (id, UPDATE, None));
        assert!(incidents.is_open(&vendor));
    }
}
