//! The incident store: which finding belongs to which incident.
//!
//! Findings of one subject less than six hours apart are one incident. It is created, updated when a new cause joins or its severity rises (at
//! most once per bucket) and every six hours while it lasts, and closed after six quiet hours. Findings of other subjects join by a
//! correlation key: the same new network, client or destination, the same misused credential, or the same caller after such a finding. An
//! incident that shares a caller, a vendor or a credential and does not join is linked.
//!
//! A notice that escalates to a page is closed, and the page is an incident of its own that references it: whoever counts pages counts it.
//! Whatever was reported ends with a close.
//!
//! What would open a page when its kind is exhausted joins the incident that takes in such (`floods`). A notice beyond the notices of a
//! day is counted for the digest (`digest`), and stays an incident: it is reported when there is room, closed only if it was, and escalates like any.
//!
//! Not here: the content of an incident (`incident`), and what makes a correlation key (`correlation`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::correlation::CorrelationKey;
use super::digest::{Digest, Withheld};
use super::floods::Floods;
use super::incident::Incident;
use super::{Alert, Severity};
use crate::calls::View;
use crate::detect::{Budget, Finding, OpenIncidents, Share, Subject};
use crate::models::novelty::INCIDENT;
use crate::models::pacing::Pacer;

/// Longest time without an update while an incident lasts, microseconds.
const UPDATE_EVERY: i64 = INCIDENT;

/// Time within which a vendor's change takes over the incident of one of its callers, microseconds.
const RECENT: i64 = 3_600_000_000;

/// The incident that a correlation key leads to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Correlation {
    incident: u64,
    /// When a paging finding last showed the key, microseconds since the epoch.
    at: i64,
}

/// What links incidents that do not join: a name that both have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum LinkKey {
    Caller(View, String),
    Vendor(View, String),
    Credential(View, String),
}

impl LinkKey {
    fn all(subject: &Subject, finding: &Finding) -> impl Iterator<Item = Self> {
        let Subject { view, vendor, caller, .. } = subject.clone();
        let caller = Some(caller).filter(|caller| !caller.is_empty()).map(|caller| Self::Caller(view, caller));
        let credential = finding.credential.clone().map(|credential| Self::Credential(view, credential));
        [caller, Some(Self::Vendor(view, vendor)), credential].into_iter().flatten()
    }
}

/// The open incidents.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct IncidentStore {
    /// By the order of opening.
    incidents: BTreeMap<u64, Incident>,
    opened: u64,
    /// Subject → the incident that its findings belong to.
    open: BTreeMap<Subject, u64>,
    correlations: BTreeMap<CorrelationKey, Correlation>,
    /// Incidents that have room for links, by what would link them: so few that an incident is opened in the same time, however
    /// many others are open.
    linkable: BTreeMap<LinkKey, BTreeSet<u64>>,
    /// Incidents with findings since the last report.
    unreported: BTreeSet<u64>,
    /// Reported incidents that end before they are quiet: notices that have escalated to pages, and what was taken back, with the reason.
    ended: Vec<(Incident, Option<String>)>,
    floods: Floods,
    digest: Digest,
}

impl IncidentStore {
    /// Number of open incidents.
    pub fn len(&self) -> usize {
        self.incidents.len()
    }

    /// Whether no incident is open.
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty()
    }

    /// Keeps to a budget of pages, and to so many steps of notices a day, from now on.
    pub fn keep_to(&mut self, budget: Budget, notices_per_day: u32) {
        self.floods.keep_to(budget);
        self.digest.keep_to(notices_per_day);
    }

    /// How pages keep to the budget.
    pub fn pacer(&self) -> &Pacer<Share> {
        self.floods.pacer()
    }

    /// Lets time go on to `time`, microseconds since the epoch: budgets are earned by it.
    pub fn advance(&mut self, time: i64) {
        self.floods.advance(time);
    }

    /// Adds a finding to an incident: the one that its novelty correlates with, else its subject's, else one that its credential or caller
    /// correlates with, else a new one. `bundle` is the version of the model bundle.
    pub fn add(&mut self, subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) {
        let pages = severity >= Severity::Medium;
        let novelty = CorrelationKey::of_novelty(subject, finding);
        let keys = CorrelationKey::of_subject(subject, finding);
        let number = self
            .correlated(novelty.as_slice(), finding.time)
            .or_else(|| self.open.get(subject).copied().filter(|number| !pages || self.pages(*number)))
            .or_else(|| self.correlated(&keys, finding.time));
        let flood = || self.floods.incident_for(subject, finding).filter(|_| pages);
        let number = match number.map(|own| (own, false)).or_else(|| flood().map(|flood| (flood, true))) {
            Some((number, is_flood)) => {
                if let Some(incident) = self.incidents.get_mut(&number) {
                    incident.taken_in += u64::from(is_flood);
                    if !incident.add(subject, finding, severity, bundle, UPDATE_EVERY) {
                        self.digest.withhold(Withheld::of(subject, finding, pages), finding.time);
                    }
                }
                number
            }
            None => {
                let number = self.open_incident(subject, finding, severity, bundle);
                if pages {
                    self.floods.opened(subject, finding, number);
                }
                number
            }
        };
        self.unreported.insert(number);
        self.make_linkable(number, subject, finding);
        if let Some(before) = self.open.insert(subject.clone(), number).filter(|before| *before != number) {
            self.reassign(before, number);
        }
        if pages {
            let set = novelty.into_iter().chain(keys).filter(|key| key.is_set_by(finding));
            self.correlations.extend(set.map(|key| (key, Correlation { incident: number, at: finding.time })));
        }
    }

    fn pages(&self, number: u64) -> bool {
        self.incidents.get(&number).is_some_and(|incident| incident.pages)
    }

    /// The oldest paging incident that one of these keys leads to.
    fn correlated(&self, keys: &[CorrelationKey], time: i64) -> Option<u64> {
        let recent = |known: &&Correlation| time - known.at <= INCIDENT && self.pages(known.incident);
        let known = keys.iter().filter_map(|key| self.correlations.get(key)).filter(recent);
        known.map(|known| known.incident).min()
    }

    fn open_incident(&mut self, subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) -> u64 {
        let mut incident = Incident::open(subject, finding, severity, bundle);
        let reference = incident.reference();
        let near = LinkKey::all(subject, finding).filter_map(|key| self.linkable.get(&key)).flatten().copied();
        for number in near.collect::<BTreeSet<u64>>() {
            let Some(other) = self.incidents.get_mut(&number) else { continue };
            if finding.time - other.last_seen <= INCIDENT && other.is_related(subject, finding) {
                incident.link(other.reference());
                other.link(reference.clone());
            }
        }
        self.opened += 1;
        self.incidents.insert(self.opened, incident);
        self.opened
    }

    /// Remembers by what a later incident would be linked to this one, and forgets those that are full or closed.
    fn make_linkable(&mut self, number: u64, subject: &Subject, finding: &Finding) {
        for key in LinkKey::all(subject, finding) {
            let numbers = self.linkable.entry(key).or_default();
            numbers.insert(number);
            numbers.retain(|number| self.incidents.get(number).is_some_and(Incident::has_room_for_links));
        }
    }

    /// From now on a subject's findings belong to incident `after`. A notice ends with that; a page ends when it is quiet.
    fn reassign(&mut self, before: u64, after: u64) {
        let Some(mut old) = self.incidents.remove(&before) else { return };
        if let Some(new) = self.incidents.get_mut(&after) {
            if !old.pages {
                new.adopt_novelties(&old);
            }
            if old.reported_at.is_some() {
                new.link(old.reference());
                old.link(new.reference());
            }
        }
        if old.pages {
            self.incidents.insert(before, old);
            return;
        }
        for subject in old.subjects().flat_map(|subject| [subject.clone(), subject.of_vendor()]) {
            if self.open.get(&subject) == Some(&before) {
                self.open.remove(&subject);
            }
        }
        if old.reported_at.is_some() {
            self.ended.push((old, None));
        }
    }

    /// The updates at `time` (microseconds since the epoch): one alert for each part of an incident that has something unreported.
    pub fn report(&mut self, time: i64) -> Vec<Alert> {
        let ended = self.ended.drain(..).map(|(mut incident, why)| {
            let closed = incident.close(time.max(incident.reported_at.unwrap_or(time)));
            let message = why.unwrap_or_else(|| closed.message.clone());
            Alert { message, ..closed }
        });
        let mut alerts: Vec<Alert> = ended.collect();
        for number in std::mem::take(&mut self.unreported) {
            let Some(incident) = self.incidents.get_mut(&number).filter(|incident| incident.is_unreported()) else {
                continue;
            };
            if incident.pages || self.digest.admits(time) {
                alerts.extend(incident.report(time));
            } else {
                incident.withhold().into_iter().for_each(|one| self.digest.withhold(one, time));
            }
        }
        alerts
    }

    /// The digests of an hour that was over before `time`, microseconds since the epoch.
    pub fn digest(&mut self, time: i64, bundle: &str) -> Vec<Alert> {
        self.digest.due(time, bundle)
    }

    /// The digest of what was withheld last, at `time`: nothing follows.
    pub fn last_digest(&mut self, time: i64, bundle: &str) -> Vec<Alert> {
        self.digest.finish(time, bundle)
    }

    /// Ends a subject's incident, for a reason in words. One that other subjects have joined goes on.
    pub fn take_back(&mut self, subject: &Subject, why: &str) {
        let Some(number) = self.open.get(subject).copied() else { return };
        if !self.incidents.get(&number).is_some_and(Incident::has_one_subject) {
            return;
        }
        self.open.retain(|_, open| *open != number);
        self.unreported.remove(&number);
        let Some(incident) = self.incidents.remove(&number) else { return };
        if let Some(share) = incident.share() {
            self.floods.taken_back(share);
        }
        if incident.reported_at.is_some() {
            self.ended.push((incident, Some(why.to_owned())));
        }
    }

    /// Ends the incidents that tell nothing but silence, of a subject that covers a pair and since before its call at `time`, microseconds since the
    /// epoch.
    pub fn explain_silence(&mut self, pair: &Subject, time: i64, why: &str) {
        let is_explained = |one: &&Incident| one.tells_only_silence() && one.last_seen > time;
        let explained: Vec<Subject> = self
            .incidents
            .values()
            .filter(is_explained)
            .flat_map(Incident::subjects)
            .filter(|subject| subject.covers(pair))
            .cloned()
            .collect();
        explained.iter().for_each(|subject| self.take_back(subject, why));
    }

    /// Closes incidents that have been quiet for six hours at `time` (microseconds since the epoch), the longest quiet first.
    pub fn close(&mut self, time: i64) -> Vec<Alert> {
        let mut closed = Vec::new();
        let before = self.incidents.len();
        self.incidents.retain(|number, incident| {
            if time - incident.last_seen <= INCIDENT {
                return true;
            }
            if self.floods.holds(*number) {
                incident.held_until = Some(time);
                return true;
            }
            if incident.reported_at.is_some() {
                let quiet_at = incident.last_seen + INCIDENT;
                closed.push(incident.close(incident.held_until.map_or(quiet_at, |held| held.max(quiet_at))));
            }
            false
        });
        // Who was taken in by a flood is no part of what others do later.
        self.open.retain(|subject, number| {
            let is_over = || self.incidents.get(number).is_none_or(|flood| flood.is_quiet(subject, time - INCIDENT));
            !self.floods.takes_in(*number) || !is_over()
        });
        if self.incidents.len() < before {
            self.floods.forget(|number| self.incidents.contains_key(&number));
            self.open.retain(|_, number| self.incidents.contains_key(number));
            self.linkable.retain(|_, numbers| {
                numbers.retain(|number| self.incidents.get(number).is_some_and(Incident::has_room_for_links));
                !numbers.is_empty()
            });
        }
        self.correlations.retain(|_, correlation| time - correlation.at <= INCIDENT);
        closed.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        closed
    }

    /// Makes a caller's incident the vendor's, if it has one of these causes, no other subject, and a finding within the last hour. Returns whether
    /// it did.
    pub fn promote_to_vendor(&mut self, vendor: &Subject, caller: &str, causes: &[&str], time: i64) -> bool {
        let own = Subject { caller: caller.to_owned(), ..vendor.clone() };
        let Some(number) = self.open.get(&own).copied() else { return false };
        let fits = |one: &Incident| one.has_one_subject() && one.has_cause(causes) && time - one.last_seen <= RECENT;
        let fits = self.incidents.get(&number).is_some_and(fits);
        if fits {
            self.open.insert(vendor.clone(), number);
        }
        fits
    }
}

impl OpenIncidents for IncidentStore {
    fn is_open(&self, subject: &Subject) -> bool {
        self.open.contains_key(subject)
    }

    fn is_paging(&self, subject: &Subject) -> bool {
        self.open.get(subject).is_some_and(|number| self.pages(*number))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::alerts::Activity;
    use crate::calls::View;
    use crate::detect::{Contribution, class_of};

    pub(in crate::alerts) const HOUR: i64 = 3_600_000_000;

    pub(in crate::alerts) fn subject(caller: &str, vendor: &str) -> Subject {
        let vendor = vendor.to_owned();
        Subject { view: View::Egress, vendor, account: String::new(), caller: caller.to_owned(), rule: String::new() }
    }

    pub(in crate::alerts) fn finding(name: &'static str, time: i64) -> Finding {
        Finding {
            class: class_of(View::Egress, name, true, false).unwrap(),
            time,
            first_seen: time - HOUR,
            last_seen: time,
            alarms_per_day: 0.1,
            p_value: 0.01,
            threshold: None,
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

    /// What is reported of paging findings, each at its time: the step, and its incident by order of opening.
    fn steps_of(findings: &[(Subject, Finding)]) -> Vec<(Activity, usize)> {
        let mut incidents = IncidentStore::default();
        let mut ids = Vec::new();
        let mut steps = Vec::new();
        for (subject, finding) in findings {
            steps.extend(incidents.close(finding.time));
            incidents.add(subject, finding, Severity::High, "b");
            steps.extend(incidents.report(finding.time));
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
        let steps = |reported: Vec<Alert>| reported.into_iter().map(|a| (a.activity, a.revision)).collect::<Vec<_>>();
        incidents.add(&billing, &finding("bytes_out", HOUR), Severity::Medium, "b");
        incidents.add(&billing, &finding("denied", HOUR), Severity::Medium, "b");
        assert_eq!(steps(incidents.report(HOUR)), [(CREATE, 1)], "one step a bucket");
        incidents.add(&billing, &finding("denied", HOUR + 5), Severity::Medium, "b");
        assert_eq!(steps(incidents.report(HOUR + 5)), [], "nothing new");
        incidents.add(&billing, &finding("latency", HOUR + 9), Severity::Medium, "b");
        assert_eq!(steps(incidents.report(HOUR + 9)), [(UPDATE, 2)]);
        assert!(incidents.close(7 * HOUR + 9).is_empty());
        let closed = incidents.close(7 * HOUR + 10);
        assert_eq!((closed[0].activity, closed[0].revision, closed[0].time), (CLOSE, 3, 7 * HOUR + 9));
    }

    #[test]
    fn the_same_findings_have_the_same_id_and_a_later_episode_another() {
        let id = |time: i64| {
            let mut incidents = IncidentStore::default();
            incidents.add(&subject("billing", "stripe"), &finding("bytes_out", time), Severity::Medium, "b");
            incidents.report(time)[0].id.clone()
        };
        assert_eq!(id(HOUR), id(HOUR));
        assert_ne!(id(HOUR), id(20 * HOUR));
    }

    #[test]
    fn a_notice_that_grows_into_a_page_is_closed_and_the_page_points_at_it_and_knows_its_facts() {
        let (mut incidents, billing) = (IncidentStore::default(), subject("billing", "stripe"));
        let fact = Contribution {
            name: "client_known".to_owned(),
            window: String::new(),
            observed: "a client".to_owned(),
            baseline: String::new(),
            observed_value: None,
            baseline_value: None,
            unit: String::new(),
            share: 1.0,
            p_value: 0.5,
        };
        let first = Finding { contributions: vec![fact], ..finding("client_known", HOUR) };
        incidents.add(&billing, &first, Severity::Low, "b");
        let notice = incidents.report(HOUR)[0].id.clone();
        incidents.add(&billing, &finding("bytes_out", HOUR + 1), Severity::High, "b");
        let reported = incidents.report(HOUR + 1);
        assert_eq!(reported.iter().map(|alert| alert.activity).collect::<Vec<_>>(), [CLOSE, CREATE]);
        assert_eq!(reported[0].id, notice);
        assert_ne!(reported[1].id, notice);
        assert_eq!(reported[1].related[0].id, notice);
        assert_eq!(reported[1].first_time_facts().count(), 1);
    }

    #[test]
    fn the_same_new_network_at_several_callers_and_vendors_is_one_incident() {
        let steps = steps_of(&[
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
        let steps = steps_of(&[
            (subject("billing", "stripe"), stolen(HOUR)),
            (subject("other", "stripe"), upload(2 * HOUR)),
            (subject("billing", "dropbox"), finding("bytes_out", 3 * HOUR)),
            (subject("other", "dropbox"), finding("bytes_out", 4 * HOUR)),
        ]);
        assert_eq!(steps, [(CREATE, 0), (UPDATE, 0), (UPDATE, 0), (CREATE, 1)]);
        let late = steps_of(&[
            (subject("billing", "stripe"), stolen(HOUR)),
            (subject("billing", "dropbox"), finding("bytes_out", 8 * HOUR)),
        ]);
        assert_eq!(late, [(CREATE, 0), (CLOSE, 0), (CREATE, 1)]);
    }

    #[test]
    fn a_new_thing_leads_to_its_incident_even_where_the_subject_has_one_of_its_own() {
        let new = |time| about("client_tool", "curl", time);
        let steps = steps_of(&[
            (subject("crm", "hubspot"), finding("latency", HOUR)),
            (subject("billing", "stripe"), new(HOUR + 1)),
            (subject("crm", "hubspot"), new(HOUR + 2)),
            (subject("crm", "hubspot"), finding("bytes_out", HOUR + 3)),
            (subject("mail", "sendgrid"), finding("latency", 8 * HOUR)),
        ]);
        let expected = [(CREATE, 0), (CREATE, 1), (UPDATE, 1), (UPDATE, 1), (CLOSE, 0), (CLOSE, 1), (CREATE, 2)];
        assert_eq!(steps, expected);
    }

    #[test]
    fn what_joins_names_all_and_is_never_less_severe() {
        let mut incidents = IncidentStore::default();
        let new = |time| about("network_public_new", "203.0.113.0/24", time);
        incidents.add(&subject("billing", "stripe"), &new(HOUR), Severity::Critical, "b");
        incidents.report(HOUR);
        incidents.add(&subject("crm", "hubspot"), &new(2 * HOUR), Severity::Medium, "b");
        let step = incidents.report(2 * HOUR).remove(0);
        assert_eq!(step.severity, Severity::Critical);
        assert_eq!(step.caller.as_deref(), Some("crm"), "a step reports what is new");
        assert_eq!((step.callers(), step.vendors()), (vec!["crm", "billing"], vec!["hubspot", "stripe"]));
    }

    #[test]
    fn findings_that_share_a_vendor_or_a_caller_and_no_correlation_are_linked() {
        let mut incidents = IncidentStore::default();
        incidents.add(&subject("billing", "stripe"), &finding("bytes_out", HOUR), Severity::High, "b");
        incidents.add(&subject("crm", "stripe"), &finding("bytes_out", 2 * HOUR), Severity::High, "b");
        incidents.add(&subject("mail", "sendgrid"), &finding("bytes_out", 2 * HOUR), Severity::High, "b");
        let reported = incidents.report(2 * HOUR);
        let related: Vec<usize> = reported.iter().map(|alert| alert.related.len()).collect();
        assert_eq!(related, [1, 1, 0]);
        assert_eq!((&reported[0].related[0].id, &reported[1].related[0].id), (&reported[1].id, &reported[0].id));
    }

    #[test]
    fn a_change_that_turns_out_to_be_the_vendor_s_takes_its_first_caller_s_incident() {
        let mut incidents = IncidentStore::default();
        incidents.add(&subject("fraud", "plaid"), &finding("latency", HOUR), Severity::Medium, "b");
        let id = incidents.report(HOUR)[0].id.clone();
        let vendor = subject("", "plaid");
        assert!(!incidents.promote_to_vendor(&vendor, "fraud", &["latency"], 3 * HOUR), "too long ago");
        assert!(!incidents.promote_to_vendor(&vendor, "fraud", &["denied"], HOUR + 1), "another cause");
        assert!(incidents.promote_to_vendor(&vendor, "fraud", &["latency"], HOUR + 1));
        incidents.add(&vendor, &finding("latency", HOUR + 1), Severity::Medium, "b");
        let step = incidents.report(HOUR + 1).remove(0);
        assert_eq!((step.id, step.activity, step.caller), (id, UPDATE, None));
        assert!(incidents.is_open(&vendor));
    }

    /// Any finding that a stream may bring: of a few subjects, causes, novelties and credentials, so that they often meet.
    fn any_step() -> impl Strategy<Value = (Subject, Finding, Severity, i64)> {
        let subjects = (select(vec!["billing", "crm", ""]), select(vec!["stripe", "hubspot"]));
        let causes = select(vec!["bytes_out", "latency", "client_tool", "network_public_new", "vendor_new"]);
        let shown = (option::of(select(vec!["203.0.113.0/24", "curl"])), option::of(select(vec!["fp_1", "fp_2"])));
        let severities = select(vec![Severity::Informational, Severity::Low, Severity::Medium, Severity::Critical]);
        (subjects, causes, shown, severities, 0..3 * HOUR).prop_map(
            |((caller, vendor), cause, (novelty, credential), severity, pause)| {
                let finding = Finding {
                    novelty: novelty.map(str::to_owned),
                    credential: credential.map(str::to_owned),
                    ..finding(cause, 0)
                };
                (subject(caller, vendor), finding, severity, pause)
            },
        )
    }

    /// Runs findings through a store, which is written and read back before each step where `restarts`.
    fn lives(findings: &[(Subject, Finding, Severity, i64)], restarts: bool) -> Vec<Alert> {
        let (mut store, mut time, mut alerts) = (IncidentStore::default(), HOUR, Vec::new());
        for (subject, finding, severity, pause) in findings {
            if restarts {
                store = postcard::from_bytes(&postcard::to_stdvec(&store).unwrap()).unwrap();
            }
            time += pause;
            alerts.extend(store.close(time));
            store.add(
                subject,
                &Finding { time, first_seen: time - HOUR, last_seen: time, ..finding.clone() },
                *severity,
                "b",
            );
            alerts.extend(store.report(time));
        }
        alerts.extend(store.close(time + 2 * INCIDENT));
        assert!(
            store.incidents.is_empty() && store.open.is_empty() && store.correlations.is_empty(),
            "nothing is left"
        );
        alerts
    }

    proptest! {
        #[test]
        fn every_incident_is_created_once_never_falls_in_severity_and_is_closed_once(findings in vec(any_step(), 1..40)) {
            let alerts = lives(&findings, false);
            let mut incidents: BTreeMap<&str, Vec<&Alert>> = BTreeMap::new();
            alerts.iter().for_each(|alert| incidents.entry(&alert.id).or_default().push(alert));
            for (id, steps) in incidents {
                let revisions: Vec<u32> = steps.iter().map(|step| step.revision).collect();
                prop_assert_eq!(revisions, (1..=steps.len() as u32).collect::<Vec<_>>(), "{}", id);
                let last = steps.len() - 1;
                for (at, step) in steps.iter().enumerate() {
                    let expected = if at == 0 { CREATE } else if at == last { CLOSE } else { UPDATE };
                    prop_assert_eq!(step.activity, expected, "{} at {}", id, at);
                    prop_assert!(step.first_seen <= step.last_seen && step.last_seen <= step.time, "{}", id);
                    prop_assert!(!step.involved.is_empty() && step.related.iter().all(|related| related.id != id));
                }
                prop_assert!(steps.is_sorted_by_key(|step| (step.time, step.severity)), "{}", id);
            }
        }

        #[test]
        fn a_store_that_was_restored_goes_on_as_if_it_had_never_stopped(findings in vec(any_step(), 1..20)) {
            prop_assert_eq!(lives(&findings, false), lives(&findings, true));
        }
    }
}
