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
pub(super) mod tests;
