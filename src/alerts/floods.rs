//! Floods: what becomes of pages when more of a kind come than anybody can look at.
//!
//! The page that exhausts what its kind may spend takes in all further ones of its kind: they join its incident, part by part, instead of opening
//! one each. A kind is a detector; of what spends no budget, a rule or a class of findings. A detector is exhausted when its family is overdrawn
//! (`models::pacing`), any kind after [`MAX_AN_HOUR`] pages within an hour. Nothing is suppressed by that, and no kind is
//! taken in by another's incident: who floods one kind with decoys buys no silence in any other, and in that one each theft is still a step of
//! a page.
//!
//! Not here: which finding belongs to an incident by itself (`incidents`).

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::calls::View;
use crate::detect::{Budget, Finding, Share, Subject};
use crate::models::pacing::Pacer;

/// Pages of a kind within an hour after which one incident takes in the others.
const MAX_AN_HOUR: usize = 10;
/// Microseconds.
const HOUR: i64 = 3_600_000_000;

/// What floods as one: what a detector finds of one family; of what spends no budget a rule, else a class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Kind {
    view: View,
    name: String,
    /// Whether it spends a budget.
    has_budget: bool,
}

impl Kind {
    fn of(subject: &Subject, finding: &Finding) -> Self {
        let name = match finding.threshold {
            Some(threshold) => format!("{} of {}", finding.class.detector.name, threshold.family.as_str()),
            None if subject.rule.is_empty() => finding.class.name.to_owned(),
            None => subject.rule.clone(),
        };
        Self { view: subject.view, name, has_budget: finding.threshold.is_some() }
    }
}

/// The pages of one kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Pages {
    /// When they were opened, within the last hour, microseconds since the epoch; at most [`MAX_AN_HOUR`].
    opened: VecDeque<i64>,
    share: Option<Share>,
    /// The incident that takes in further ones.
    taking_in: Option<u64>,
}

/// What was paged of every kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Floods {
    pacer: Pacer<Share>,
    pages: BTreeMap<Kind, Pages>,
}

impl Floods {
    /// Keeps to a budget from now on.
    pub fn keep_to(&mut self, budget: Budget) {
        self.pacer.ask(budget.asked());
    }

    /// How pages keep to the budget.
    pub fn pacer(&self) -> &Pacer<Share> {
        &self.pacer
    }

    /// Lets time go on to `time`, microseconds since the epoch.
    pub fn advance(&mut self, time: i64) {
        self.pacer.advance(time);
        self.pages.retain(|_, pages| {
            pages.opened.retain(|at| time - *at <= HOUR);
            !pages.opened.is_empty() || pages.taking_in.is_some()
        });
    }

    /// The incident that a finding joins because its kind is exhausted.
    pub fn incident_for(&self, subject: &Subject, finding: &Finding) -> Option<u64> {
        let pages = self.pages.get(&Kind::of(subject, finding))?;
        pages.taking_in.filter(|_| self.is_exhausted(pages))
    }

    fn is_exhausted(&self, pages: &Pages) -> bool {
        pages.opened.len() >= MAX_AN_HOUR || pages.share.is_some_and(|share| self.pacer.is_overdrawn(share))
    }

    /// Counts the page that a finding has opened.
    pub fn opened(&mut self, subject: &Subject, finding: &Finding, incident: u64) {
        let share = finding.threshold.map(|threshold| (subject.view, threshold.family));
        if let Some((share, threshold)) = share.zip(finding.threshold) {
            let strictest = threshold.calibrated / threshold.family.max_tightening();
            self.pacer.page(share, finding.alarms_per_day > strictest);
        }
        let is_overdrawn = share.is_some_and(|share| self.pacer.is_overdrawn(share));
        let pages = self.pages.entry(Kind::of(subject, finding)).or_default();
        pages.share = share;
        if pages.opened.len() >= MAX_AN_HOUR {
            pages.opened.pop_front();
        }
        pages.opened.push_back(finding.time);
        if is_overdrawn || pages.opened.len() >= MAX_AN_HOUR {
            pages.taking_in = Some(incident);
        }
    }

    /// Takes back a page: it is as if it had not been.
    pub fn taken_back(&mut self, share: Share) {
        self.pacer.refund(share);
    }

    /// Whether an incident must stay open though it is quiet: else each further finding of an exhausted kind would open one.
    pub fn holds(&self, incident: u64) -> bool {
        self.pages.values().any(|pages| pages.taking_in == Some(incident) && self.is_exhausted(pages))
    }

    /// Whether an incident takes in others, or did.
    pub fn takes_in(&self, incident: u64) -> bool {
        self.pages.values().any(|pages| pages.taking_in == Some(incident))
    }

    /// Forgets incidents that were closed.
    pub fn forget(&mut self, is_open: impl Fn(u64) -> bool) {
        for pages in self.pages.values_mut() {
            pages.taking_in = pages.taking_in.filter(|incident| is_open(*incident));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::incidents::tests::{HOUR, finding, subject};
    use super::super::{Activity, Alert, IncidentStore, Severity};
    use super::*;
    use crate::detect::{Family, Threshold};

    const MINUTE: i64 = 60_000_000;

    fn store(alerts_per_day: f64) -> IncidentStore {
        let mut store = IncidentStore::default();
        store.keep_to(Budget::new(alerts_per_day, [View::Egress]), 50);
        store.advance(0);
        store
    }

    fn of(family: Family, rate: f64, time: i64) -> Finding {
        let threshold = Some(Threshold { family, calibrated: 0.5, in_force: 0.5 });
        Finding { threshold, alarms_per_day: rate, ..finding("bytes_out", time) }
    }

    /// Goes on to a time, and gives the steps of a finding that pages.
    fn page(store: &mut IncidentStore, subject: &Subject, finding: &Finding) -> Vec<Alert> {
        let mut steps = store.close(finding.time);
        store.advance(finding.time);
        store.add(subject, finding, Severity::High, "b");
        steps.extend(store.report(finding.time));
        steps.extend(store.digest(finding.time, "b"));
        steps
    }

    /// A finding a minute of one family, each of another caller.
    fn flood(store: &mut IncidentStore, findings: i64) -> Vec<Alert> {
        let decoy = |at: i64| (subject(&format!("decoy-{at}"), "stripe"), of(Family::Novelties, 0.001, at * MINUTE));
        (1..=findings).map(decoy).flat_map(|(subject, finding)| page(store, &subject, &finding)).collect()
    }

    fn opened(steps: &[Alert]) -> usize {
        steps.iter().filter(|step| step.activity == Activity::Create).count()
    }

    #[test]
    fn a_flood_of_one_kind_is_a_few_incidents_whose_steps_name_all_and_then_a_digest_an_hour() {
        let mut store = store(1.0);
        let steps = flood(&mut store, 600);
        // The reserve of a beginning, and the few that the family earns meanwhile.
        assert!(opened(&steps) < 2 * MAX_AN_HOUR, "{} incidents", opened(&steps));
        let named: BTreeSet<_> = steps.iter().filter_map(|step| step.caller.clone()).collect();
        assert!(named.len() > 60, "{} callers", named.len());
        let digests: Vec<&Alert> = steps.iter().filter(|step| step.detector == "digest").collect();
        assert!((7..=9).contains(&digests.len()), "{} digests of ten hours, of which one had room", digests.len());
        assert!(digests[0].message.contains("in floods"), "{}", digests[0].message);
        assert!(steps.len() < 150, "{} records", steps.len());
    }

    #[test]
    fn who_floods_one_family_with_decoys_does_not_hide_a_theft_of_another() {
        let mut store = store(1.0);
        flood(&mut store, 600);
        let theft = of(Family::Tests, 0.05, 601 * MINUTE);
        let steps = page(&mut store, &subject("payroll", "dropbox"), &theft);
        assert_eq!(steps.iter().map(|step| step.activity).collect::<Vec<_>>(), [Activity::Create]);
    }

    #[test]
    fn a_theft_of_the_kind_that_floods_is_a_step_of_its_own_while_there_is_room_and_later_if_it_is_rarer_than_the_decoys()
     {
        for decoys in [10, 600] {
            let mut store = store(1.0);
            flood(&mut store, decoys);
            let theft = of(Family::Novelties, 0.0001, (decoys + 1) * MINUTE);
            let steps = page(&mut store, &subject("payroll", "dropbox"), &theft);
            let told: Vec<_> = steps.iter().filter(|step| step.caller.as_deref() == Some("payroll")).collect();
            assert_eq!(told.len(), 1, "after {decoys} decoys");
            assert!(told[0].severity >= Severity::High && told[0].message.contains("the budget is spent"));
        }
    }

    #[test]
    fn a_rule_that_everybody_violates_becomes_one_incident_and_hides_no_other_rule() {
        let mut store = store(1.0);
        let by = |caller: String, rule: &str| Subject { rule: rule.to_owned(), ..subject(&caller, "stripe") };
        let violation = |at: i64| finding("rule_violated", at * MINUTE);
        let steps: Vec<Alert> =
            (1..60).flat_map(|at| page(&mut store, &by(format!("caller-{at}"), "plaintext"), &violation(at))).collect();
        assert_eq!(opened(&steps), MAX_AN_HOUR);
        let other = page(&mut store, &by("caller-1".to_owned(), "old_key"), &violation(60));
        assert_eq!(opened(&other), 1);
    }

    #[test]
    fn a_flood_stays_open_while_its_family_is_overdrawn_and_holds_nobody_who_was_quiet_for_six_hours() {
        let mut store = store(1.0);
        let decoys = flood(&mut store, 20);
        let id = &decoys.last().expect("steps").id;
        assert!(store.close(20 * HOUR).iter().all(|closed| closed.id != *id));
        use crate::detect::OpenIncidents;
        assert!(!store.is_paging(&subject("decoy-20", "stripe")), "its baseline follows it again");
        store.advance(60 * 24 * HOUR);
        let closed = store.close(60 * 24 * HOUR);
        assert_eq!(closed.iter().filter(|closed| closed.id == *id).count(), 1, "every incident is closed");
    }
}
