//! An incident: one subject or several over time, reported part by part.
//!
//! An incident has a part for each subject that it involves: a caller at a vendor, or a vendor as a whole. Each of its updates describes the
//! part that changed and names all of them. Its title stays as it was opened, its severity never falls, and its id is a hash of who, whom
//! and when it began: a retry, a replay or a restart gives the same one.
//!
//! Not here: which finding belongs to which incident (`incidents`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::digest::Withheld;
use super::{Activity, Alert, Involved, Joined, MAX_INVOLVED, Related, Severity};
use crate::calls::View;
use crate::detect::{Finding, Share, Subject};

/// Hosts and reasons kept of a part.
const MAX_MERGED: usize = 12;
/// Parts kept of an incident; of further subjects only what is graver, or so many times rarer than all parts, takes the place of the most common.
const MAX_PARTS: usize = 64;
const MUCH_RARER: f64 = 10.0;
/// Steps of an incident after which a new cause is no step by itself: what is graver, and one in six hours, still is.
const MAX_STEPS: u32 = 200;

/// One subject's part: its evidence as an alert, without revision and activity.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    subject: Subject,
    evidence: Alert,
    /// Whether it has changed since it was last reported.
    is_unreported: bool,
    /// Names of the classes that were found.
    #[serde(with = "class_names")]
    causes: BTreeSet<&'static str>,
    /// In an audit log, the operations.
    operations: BTreeSet<String>,
}

impl Part {
    fn new(id: &str, subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) -> Self {
        let evidence = evidence(id, subject, finding, severity, bundle);
        let causes = BTreeSet::from([finding.class.name]);
        let operations = operation_of(subject, finding).cloned().into_iter().collect();
        Self { subject: subject.clone(), evidence, is_unreported: true, causes, operations }
    }

    /// Adds what makes a finding worth an update: its cause, and in an audit log each further operation. Returns whether one is new here.
    fn add_causes(&mut self, finding: &Finding) -> bool {
        let operation = operation_of(&self.subject, finding).cloned();
        let is_new_operation = operation.is_some_and(|operation| self.operations.insert(operation));
        self.causes.insert(finding.class.name) || is_new_operation
    }

    /// Keeps what a finding adds until it is reported. Beyond the most that are kept, the last one stands for all that follow.
    fn join(&mut self, finding: &Finding) {
        let joined = &mut self.evidence.joined;
        let is_full = joined.len() >= MAX_MERGED;
        match joined.last_mut().filter(|_| is_full) {
            Some(last) => last.last_seen = last.last_seen.max(finding.last_seen),
            None => joined.push(joined_of(finding)),
        }
    }

    fn involved(&self) -> Involved {
        let Alert { caller, vendor, account, hosts, credential, endpoint, calls, .. } = &self.evidence;
        Involved {
            caller: caller.clone(),
            vendor: vendor.clone(),
            account: account.clone(),
            host: hosts.first().cloned(),
            credential: credential.clone(),
            endpoint: endpoint.clone(),
            calls: *calls,
        }
    }
}

fn joined_of(finding: &Finding) -> Joined {
    let what = finding.endpoint.clone().unwrap_or_else(|| finding.class.name.to_owned());
    Joined { what, first_seen: finding.first_seen, last_seen: finding.last_seen }
}

fn operation_of<'a>(subject: &Subject, finding: &'a Finding) -> Option<&'a String> {
    finding.endpoint.as_ref().filter(|_| subject.view == View::Audit)
}

/// Names of classes in state files: one that this version does not have is an error.
mod class_names {
    use std::collections::BTreeSet;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::detect::classes;

    pub fn serialize<S: Serializer>(names: &BTreeSet<&'static str>, serializer: S) -> Result<S::Ok, S::Error> {
        names.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<&'static str>, D::Error> {
        let known = |name: &String| {
            let class = classes().find(|class| class.name == *name);
            class.map(|class| class.name).ok_or_else(|| D::Error::custom(format!("unknown class of findings {name}")))
        };
        Vec::<String>::deserialize(deserializer)?.iter().map(known).collect()
    }
}

/// Classes of findings that tell of calls that do not come.
const SILENCES: [&str; 2] = ["silence", "silence_on_quiet_day"];

/// An open incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Incident {
    id: String,
    revision: u32,
    severity: Severity,
    pub pages: bool,
    /// Time of its last finding, microseconds since the epoch.
    pub last_seen: i64,
    /// When it was last reported, microseconds since the epoch; `None` before the first time.
    pub reported_at: Option<i64>,
    /// Until when it was held open though it was quiet, microseconds since the epoch.
    pub held_until: Option<i64>,
    /// Findings that joined it because their kind was exhausted.
    pub taken_in: u64,
    parts: Vec<Part>,
    related: Vec<Related>,
}

impl Incident {
    pub fn open(subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) -> Self {
        let pages = severity >= Severity::Medium;
        let id = id_of(subject, finding.time, pages);
        Self {
            parts: vec![Part::new(&id, subject, finding, severity, bundle)],
            id,
            revision: 0,
            severity,
            pages,
            last_seen: finding.time,
            reported_at: None,
            held_until: None,
            taken_in: 0,
            related: Vec::new(),
        }
    }

    /// Adds a finding to its subject's part, which is new where there is none. The part is reported again where its cause or its subject is new
    /// here, where the severity rises, and where nothing was reported for `update_every` microseconds. Returns whether there was room for it.
    pub fn add(
        &mut self,
        subject: &Subject,
        finding: &Finding,
        severity: Severity,
        bundle: &str,
        update_every: i64,
    ) -> bool {
        let is_more_severe = severity > self.severity;
        let is_due = self.reported_at.is_none_or(|at| finding.time - at >= update_every);
        self.last_seen = finding.time;
        self.severity = self.severity.max(severity);
        match self.parts.iter().position(|part| part.subject == *subject) {
            Some(index) => {
                let part = &mut self.parts[index];
                let is_news = part.add_causes(finding) && self.revision < MAX_STEPS;
                part.is_unreported |= is_news || is_more_severe || is_due;
                merge(&mut part.evidence, finding);
                part.join(finding);
            }
            None if self.parts.len() >= MAX_PARTS => {
                let rates = || self.parts.iter().map(|part| part.evidence.alarms_per_day);
                let is_much_rarer = finding.alarms_per_day * MUCH_RARER <= rates().fold(f64::INFINITY, f64::min);
                let most_common = rates().enumerate().skip(1).max_by(|(_, a), (_, b)| a.total_cmp(b));
                let Some((index, _)) = most_common.filter(|_| is_more_severe || is_much_rarer) else { return false };
                self.parts[index] = Part::new(&self.id, subject, finding, severity, bundle);
            }
            None => {
                // What a vendor does to all who call it stands before what one of them showed of it.
                let index = if subject.caller.is_empty() { 0 } else { self.parts.len() };
                self.parts.insert(index, Part::new(&self.id, subject, finding, severity, bundle));
            }
        }
        true
    }

    /// Whether something of it was not reported yet.
    pub fn is_unreported(&self) -> bool {
        self.parts.iter().any(|part| part.is_unreported)
    }

    /// What was not reported yet, and will not be.
    pub fn withhold(&mut self) -> Vec<Withheld> {
        let pages = self.pages;
        let unreported = self.parts.iter_mut().filter(|part| part.is_unreported);
        let withheld = unreported.map(|part| {
            part.is_unreported = false;
            let Alert { view, detector, alarms_per_day, .. } = &part.evidence;
            Withheld { view: *view, detector: detector.clone(), pages, rate: *alarms_per_day, part: part.involved() }
        });
        withheld.collect()
    }

    /// Whether a subject showed nothing since `time`, microseconds since the epoch.
    pub fn is_quiet(&self, subject: &Subject, time: i64) -> bool {
        !self.parts.iter().any(|part| part.subject == *subject && part.evidence.last_seen >= time)
    }

    /// One update for each part that has changed since the last, at `time` (microseconds since the epoch).
    pub fn report(&mut self, time: i64) -> Vec<Alert> {
        let mut steps = Vec::new();
        for index in 0..self.parts.len() {
            if self.parts[index].is_unreported {
                let activity = if self.reported_at.is_none() { Activity::Create } else { Activity::Update };
                steps.push(self.step(index, activity, time));
            }
        }
        steps
    }

    /// The close: describes the part that it began with, over the time of all.
    pub fn close(&mut self, time: i64) -> Alert {
        let mut alert = self.step(0, Activity::Close, time);
        alert.first_seen = self.evidence().map(|evidence| evidence.first_seen).min().unwrap_or(alert.first_seen);
        alert.last_seen = self.evidence().map(|evidence| evidence.last_seen).max().unwrap_or(alert.last_seen);
        alert
    }

    fn evidence(&self) -> impl Iterator<Item = &Alert> {
        self.parts.iter().map(|part| &part.evidence)
    }

    /// The next revision, describing the part at `index`.
    fn step(&mut self, index: usize, activity: Activity, time: i64) -> Alert {
        self.revision += 1;
        self.reported_at = Some(time);
        self.parts[index].is_unreported = false;
        let joined = std::mem::take(&mut self.parts[index].evidence.joined);
        let others = self.parts.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, part)| part);
        let involved = [&self.parts[index]].into_iter().chain(others).take(MAX_INVOLVED).map(Part::involved);
        let evidence = &self.parts[index].evidence;
        let likely = evidence.likely.map_or_else(String::new, |likely| format!(" (likely: {})", likely.as_str()));
        let flood = match self.taken_in {
            0 => String::new(),
            taken_in => format!(" (this incident has taken in {taken_in} more of its kind: the budget is spent)"),
        };
        Alert {
            revision: self.revision,
            activity,
            severity: self.severity,
            time,
            cause_class: self.evidence().map(|evidence| evidence.cause_class).max().unwrap_or_default(),
            involved: involved.collect(),
            related: self.related.clone(),
            joined,
            message: format!("{}{likely}{flood}", evidence.message),
            ..evidence.clone()
        }
    }

    /// Whether one of its causes is among these.
    pub fn has_cause(&self, causes: &[&str]) -> bool {
        self.parts.iter().any(|part| causes.iter().any(|cause| part.causes.contains(*cause)))
    }

    /// Whether all of its causes are calls that do not come.
    pub fn tells_only_silence(&self) -> bool {
        self.parts.iter().all(|part| part.causes.iter().all(|cause| SILENCES.contains(cause)))
    }

    /// The subjects it involves.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.parts.iter().map(|part| &part.subject)
    }

    /// The share of the budget that it has spent from, if it pages and there is one.
    pub fn share(&self) -> Option<Share> {
        let opened_by = &self.parts.first().filter(|_| self.pages)?.evidence;
        opened_by.threshold.map(|threshold| (opened_by.view, threshold.family))
    }

    /// Whether it involves a single subject.
    pub fn has_one_subject(&self) -> bool {
        self.parts.len() == 1
    }

    /// Whether it shares a caller, a vendor or a credential with a finding.
    pub fn is_related(&self, subject: &Subject, finding: &Finding) -> bool {
        self.parts.iter().any(|part| {
            let Subject { view, vendor, caller, .. } = &part.subject;
            let same_caller = !caller.is_empty() && *caller == subject.caller;
            let same_credential = finding.credential.is_some() && part.evidence.credential == finding.credential;
            *view == subject.view && (same_caller || *vendor == subject.vendor || same_credential)
        })
    }

    /// Whether it can be linked to a further incident.
    pub fn has_room_for_links(&self) -> bool {
        self.related.len() < MAX_INVOLVED
    }

    /// Links another incident.
    pub fn link(&mut self, other: Related) {
        if self.has_room_for_links() && other.id != self.id && !self.related.contains(&other) {
            self.related.push(other);
        }
    }

    /// Its id and title, for incidents that link it.
    pub fn reference(&self) -> Related {
        let title = self.parts.first().map_or_else(String::new, |part| part.evidence.title.clone());
        Related { id: self.id.clone(), title }
    }

    /// Takes over the novelties of the notice that it escalated from.
    pub fn adopt_novelties(&mut self, notice: &Self) {
        let of_notice = |part: &&mut Part| notice.parts.iter().any(|old| old.subject == part.subject);
        let Some(part) = self.parts.iter_mut().find(of_notice) else { return };
        let facts = notice.evidence().flat_map(|alert| &alert.contributions);
        for fact in facts.filter(|fact| fact.is_novelty()) {
            let evidence = &mut part.evidence;
            let is_known = evidence.contributions.iter().any(|known| known.observed == fact.observed);
            if !is_known && evidence.contributions.len() < MAX_MERGED {
                evidence.contributions.push(fact.clone());
            }
        }
    }
}

/// The id of an incident: a hash of who, whom, in which account (where that is known), when it began and whether it pages.
fn id_of(subject: &Subject, time: i64, pages: bool) -> String {
    let Subject { view, vendor, account, caller, rule } = subject;
    let account = if account.is_empty() { String::new() } else { format!("\u{1f}{account}") };
    let rule = if rule.is_empty() { String::new() } else { format!("\u{1f}{rule}") };
    let name = format!("{}\u{1f}{vendor}{account}\u{1f}{caller}\u{1f}{time}\u{1f}{pages}{rule}", view.as_str());
    format!("aw-{}", &blake3::hash(name.as_bytes()).to_hex()[..16])
}

fn evidence(id: &str, subject: &Subject, finding: &Finding, severity: Severity, bundle: &str) -> Alert {
    let detector = finding.class.detector;
    Alert {
        id: id.to_owned(),
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
        cause_class: finding.class.cause_class,
        likely: finding.likely,
        technique: finding.technique().map(str::to_owned),
        view: subject.view,
        caller: Some(subject.caller.clone()).filter(|caller| !caller.is_empty()),
        vendor: subject.vendor.clone(),
        account: Some(subject.account.clone()).filter(|account| !account.is_empty()),
        hosts: finding.hosts.clone(),
        credential: finding.credential.clone(),
        endpoint: finding.endpoint.clone(),
        p_value: finding.p_value,
        alarms_per_day: finding.alarms_per_day,
        threshold: finding.threshold,
        joined: vec![joined_of(finding)],
        contributions: finding.contributions.clone(),
        counterfactual: finding.counterfactual.clone(),
        involved: Vec::new(),
        related: Vec::new(),
        calls: finding.calls,
        trace_ids: finding.trace_ids.clone(),
        bundle: bundle.to_owned(),
        triaged: None,
        owners: Vec::new(),
        suppression: None,
    }
}

/// Adds a finding's evidence. Title and subject stay as they were opened; the message is that of the rarest finding among those of the
/// highest cause class.
fn merge(evidence: &mut Alert, finding: &Finding) {
    evidence.first_seen = evidence.first_seen.min(finding.first_seen);
    evidence.last_seen = evidence.last_seen.max(finding.last_seen);
    evidence.likely = evidence.likely.filter(|likely| finding.likely == Some(*likely));
    let class = finding.class.cause_class;
    if finding.alarms_per_day < evidence.alarms_per_day {
        evidence.alarms_per_day = finding.alarms_per_day;
        evidence.p_value = finding.p_value;
        evidence.threshold = finding.threshold;
        if class >= evidence.cause_class {
            evidence.message.clone_from(&finding.message);
            evidence.counterfactual.clone_from(&finding.counterfactual);
            evidence.calls = finding.calls;
        }
    }
    evidence.cause_class = evidence.cause_class.max(class);
    for host in &finding.hosts {
        if evidence.hosts.len() < MAX_MERGED && !evidence.hosts.contains(host) {
            evidence.hosts.push(host.clone());
        }
    }
    for contribution in &finding.contributions {
        let same = |known: &&mut crate::detect::Contribution| {
            known.name == contribution.name && known.window == contribution.window
        };
        match evidence.contributions.iter_mut().find(same) {
            Some(known) if contribution.p_value < known.p_value => *known = contribution.clone(),
            Some(_) => {}
            None => evidence.contributions.push(contribution.clone()),
        }
    }
    evidence.contributions.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
    evidence.contributions.truncate(MAX_MERGED);
    if finding.credential.is_some() {
        evidence.credential.clone_from(&finding.credential);
    }
    if finding.endpoint.is_some() {
        evidence.endpoint.clone_from(&finding.endpoint);
    }
    if !finding.trace_ids.is_empty() {
        evidence.trace_ids.clone_from(&finding.trace_ids);
    }
}
