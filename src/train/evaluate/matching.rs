//! Which alert finds which case.
//!
//! An alert finds a case if it is raised from the case's start to an hour after its end, and is about it:
//!
//! * Where a case has a [`Subject`], the alert names one of its entities and no caller of another case. If both caller and host
//!   are known, the host alone is not enough: other callers use it too.
//! * Where only the time is known, calls of that time joined the incident, and this alert says so. That the incident was open would
//!   not do: attacks follow one another within minutes, and the last would find the next.
//!
//! Not here: whether the alert pages, and what is counted (`evaluate`).

use std::collections::HashSet;

use super::labels::{Case, Subject};
use crate::alerts::Alert;

/// How long after its end a case may still be found, microseconds.
pub(super) const GRACE: i64 = 60 * 60 * 1_000_000;

/// Knows the callers of all cases.
pub(super) struct Matcher<'a> {
    callers: HashSet<&'a str>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(cases: &'a [Case]) -> Self {
        let callers = cases.iter().filter_map(|case| case.subject.as_ref()?.caller.as_deref()).collect();
        Self { callers }
    }

    pub(super) fn finds(&self, alert: &Alert, case: &Case) -> bool {
        let in_time = (case.start..=case.end.saturating_add(GRACE)).contains(&alert.time);
        in_time
            && match &case.subject {
                Some(subject) => self.is_about(alert, subject),
                None => alert.joined.iter().any(|calls| calls.first_seen <= case.end && case.start <= calls.last_seen),
            }
    }

    fn is_about(&self, alert: &Alert, Subject { caller, vendor_host, credential }: &Subject) -> bool {
        let named = |entity: &Option<String>| names(alert).any(|name| Some(name) == entity.as_deref());
        let others_caller = |name: &str| self.callers.contains(name) && caller.as_deref() != Some(name);
        if caller.is_some() && names(alert).any(others_caller) {
            return false;
        }
        let host_is_enough = caller.is_none() || vendor_host.is_none();
        named(caller) || named(credential) || (host_is_enough && named(vendor_host))
    }
}

/// Every entity that the alert names among its resources.
fn names(alert: &Alert) -> impl Iterator<Item = &str> {
    let options = [&alert.caller, &alert.credential, &alert.endpoint];
    let known = options.into_iter().filter_map(|name| name.as_deref());
    let parts = alert.involved.iter().flat_map(|part| part.host.iter().chain(&part.credential));
    known
        .chain(alert.hosts.iter().chain(parts).map(String::as_str))
        .chain([alert.vendor.as_str()])
        .chain(alert.involved.iter().map(|part| part.vendor.as_str()))
}

#[cfg(test)]
pub(in crate::train) mod tests {
    use super::*;
    use crate::alerts::{Involved, Joined, Severity, sample};
    use crate::detect::Category;

    pub(in super::super) const MINUTE: i64 = 60_000_000;

    /// A case over the first hour. Of caller, host and credential the empty ones are not known.
    pub(in super::super) fn scenario(id: &str, malicious: bool, subject: [&str; 3]) -> Case {
        let [caller, vendor_host, credential] =
            subject.map(|name| Some(name.to_string()).filter(|name| !name.is_empty()));
        Case {
            id: id.to_string(),
            kind: "an odd thing".to_string(),
            category: "abuse".to_string(),
            malicious,
            start: 0,
            end: 60 * MINUTE,
            subject: Some(Subject { caller, vendor_host, credential }),
        }
    }

    /// An alert that is raised after so many minutes, on evidence of the minute before.
    pub(in crate::train) fn alert(id: &str, minute: i64, severity: Severity, caller: &str, host: &str) -> Alert {
        Alert {
            id: id.to_string(),
            severity,
            time: minute * MINUTE,
            first_seen: (minute - 1) * MINUTE,
            last_seen: minute * MINUTE,
            caller: Some(caller.to_string()).filter(|caller| !caller.is_empty()),
            vendor: "vendor".to_string(),
            hosts: vec![host.to_string()],
            credential: None,
            endpoint: None,
            involved: vec![],
            contributions: vec![],
            joined: joined((minute - 1) * MINUTE, minute * MINUTE),
            category: Category::Abuse,
            technique: None,
            alarms_per_day: 0.01,
            calls: 1,
            ..sample()
        }
    }

    fn joined(first_seen: i64, last_seen: i64) -> Vec<Joined> {
        vec![Joined { what: "any".to_string(), first_seen, last_seen }]
    }

    fn finds(alert: &Alert, case: &Case) -> bool {
        let other = scenario("other", true, ["billing", "", ""]);
        Matcher::new(&[case.clone(), other]).finds(alert, case)
    }

    #[test]
    fn a_caller_is_enough_a_host_that_others_use_is_not() {
        let case = scenario("P1", true, ["payroll", "dropbox.com", "key_1"]);
        assert!(finds(&alert("a", 1, Severity::High, "payroll", "elsewhere.com"), &case));
        assert!(!finds(&alert("a", 1, Severity::High, "", "dropbox.com"), &case));
        assert!(!finds(&alert("a", 1, Severity::High, "unheard-of", "dropbox.com"), &case));
        let with_credential =
            Alert { credential: Some("key_1".to_string()), ..alert("a", 1, Severity::High, "", "x.com") };
        assert!(finds(&with_credential, &case));
        assert!(!finds(&Alert { caller: Some("billing".to_string()), ..with_credential }, &case), "another's caller");
    }

    #[test]
    fn a_vendor_is_found_by_its_host_whoever_calls_it() {
        let case = scenario("P5", true, ["", "plaid.com", ""]);
        assert!(finds(&alert("a", 1, Severity::High, "billing", "plaid.com"), &case));
        assert!(!finds(&alert("a", 1, Severity::High, "billing", "stripe.com"), &case));
    }

    #[test]
    fn a_case_is_found_from_its_start_to_an_hour_after_its_end() {
        let case = scenario("P1", true, ["payroll", "", ""]);
        let found =
            [-1, 0, 120, 121].map(|minute| finds(&alert("a", minute, Severity::High, "payroll", "x.com"), &case));
        assert_eq!(found, [false, true, true, false]);
    }

    #[test]
    fn where_only_the_time_is_known_the_evidence_must_lie_in_it() {
        let case = Case { subject: None, ..scenario("W01", true, ["", "", ""]) };
        let late = alert("a", 90, Severity::High, "anyone", "x.com");
        assert!(!finds(&late, &case), "all of its evidence came after");
        let open = Alert { first_seen: 30 * MINUTE, ..late };
        assert!(!finds(&open, &case), "the incident was open, and nothing of that time joined it");
        assert!(finds(&Alert { joined: joined(30 * MINUTE, 31 * MINUTE), ..open }, &case));
    }

    #[test]
    fn every_entity_of_any_part_is_a_name_but_the_callers_of_other_parts_are_not() {
        let part = |caller: &str, host: &str, credential: &str| Involved {
            caller: Some(caller.to_string()),
            vendor: "other-vendor".to_string(),
            host: Some(host.to_string()),
            credential: Some(credential.to_string()),
            ..Involved::default()
        };
        let involved = vec![part("crm", "hubspot.com", "key_9")];
        let alert = Alert { involved, ..alert("a", 1, Severity::High, "payroll", "dropbox.com") };
        for (subject, expected) in [
            (["", "hubspot.com", ""], true),
            (["", "other-vendor", ""], true),
            (["", "", "key_9"], true),
            (["", "dropbox.com", ""], true),
            (["crm", "", ""], false),
            (["", "elsewhere.com", ""], false),
        ] {
            assert_eq!(finds(&alert, &scenario("P", true, subject)), expected, "{subject:?}");
        }
    }

    #[test]
    fn a_case_that_names_nobody_is_found_by_nothing() {
        let case = scenario("P", true, ["", "", ""]);
        assert!(!finds(&alert("a", 1, Severity::High, "payroll", "dropbox.com"), &case));
    }

    #[test]
    fn evidence_that_touches_a_window_at_its_ends_overlaps_it() {
        let case = Case { subject: None, ..scenario("W", true, ["", "", ""]) };
        let alert = |first_seen, last_seen| Alert {
            joined: joined(first_seen, last_seen),
            ..alert("a", 60, Severity::High, "x", "y")
        };
        assert!(finds(&alert(case.end, case.end + MINUTE), &case));
        assert!(finds(&alert(case.start - MINUTE, case.start), &case));
        assert!(!finds(&alert(case.end + 1, case.end + MINUTE), &case));
        assert!(!finds(&alert(case.start - MINUTE, case.start - 1), &case));
    }
}
