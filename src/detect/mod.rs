//! Detection: what, who, since when, how unlikely, on what evidence.
//!
//! A detector is a file: its classes of findings, what it learns and remembers, when it raises a candidate, its words, its page and its
//! tests. What several share has a file of its own: the fused tests (`fused_tests`), novelties (`novelties`), the evidence of the audit
//! view (`audit_evidence`), peaks (`peaks`), who changed (`attribution`), what explains it (`explanation`, `outage`).
//!
//! Not here: statistics and p-values (`models`), incidents, severity and delivery (`alerts`), time and order (`stream`).

mod account_transfer;
mod attribution;
mod audit_evidence;
mod beacon;
mod benign;
mod budget;
mod bulk_transfer;
mod burst;
mod call_volume;
mod candidate;
mod class;
mod company;
mod company_wide;
mod content_type;
mod contribution;
mod counterfactual;
mod credential_misuse;
mod detector;
mod endpoint_mix;
mod explanation;
mod finding;
mod fused_tests;
mod governance;
mod harmless;
mod lasting;
mod lateness;
mod logs_stopped;
mod mass_operation;
mod memory;
mod model_drift;
mod multivariate;
mod new_behaviour;
mod new_destination;
mod novelties;
mod odd_hours;
mod outage;
mod outcome_shift;
mod page;
mod password_spray;
mod peaks;
mod permission_probing;
mod privileged_endpoint;
mod reconnaissance;
mod releases;
mod sentence;
mod silence;
mod slow_leak;
mod spend;
mod subject;
mod techniques;
mod tracking;
mod vendor_drift;
mod weak_transport;
mod words;

use std::collections::BTreeMap;

use crate::calls::View;
use crate::rollup::Row;
use memory::Kinds;

pub use attribution::{Sharing, sharing};
pub use audit_evidence::AuditMemory;
pub use benign::Benign;
pub use budget::{Budget, Family, Share, Threshold};
pub use candidate::{Candidate, Details};
pub use class::{Analytic, Category, CauseClass, Change, Class, Impact, KeyKind, Meta, Sentence};
pub use company::Company;
pub use contribution::Contribution;
pub use counterfactual::Counterfactual;
pub use detector::{Context, Detector, DetectorKind, Evaluated, Own};
pub use explanation::Explanations;
pub use finding::Finding;
pub use fused_tests::{Changes, Shift, leading, unusual};
pub use memory::{EntityPart, Memories, Models, Parts, Remembered, State, Store};
pub use novelties::Novelties;
pub use outage::{Outages, STORM};
pub use page::index;
pub use releases::Releases;
pub use subject::{OpenIncidents, Subject};
pub use techniques::{Technique, technique};
pub use words::{in_bytes, in_numbers, in_window};

/// Every detector. A new one is a file of this module and a line here. In this order they look at an entity: what finds itself in the
/// same bucket as another opens the incident if it stands first.
pub static DETECTORS: &[DetectorKind] = &[
    DetectorKind::of::<vendor_drift::VendorDrift>(),
    DetectorKind::of::<outcome_shift::OutcomeShift>(),
    DetectorKind::of::<endpoint_mix::EndpointMix>(),
    DetectorKind::of::<burst::Burst>(),
    DetectorKind::of::<slow_leak::SlowLeak>(),
    DetectorKind::of::<bulk_transfer::BulkTransfer>(),
    DetectorKind::of::<spend::Spend>(),
    DetectorKind::of::<call_volume::CallVolume>(),
    DetectorKind::of::<new_destination::NewDestination>(),
    DetectorKind::of::<credential_misuse::CredentialMisuse>(),
    DetectorKind::of::<account_transfer::AccountTransfer>(),
    DetectorKind::of::<reconnaissance::Reconnaissance>(),
    DetectorKind::of::<permission_probing::PermissionProbing>(),
    DetectorKind::of::<password_spray::PasswordSpray>(),
    DetectorKind::of::<mass_operation::MassOperation>(),
    DetectorKind::of::<privileged_endpoint::PrivilegedEndpoint>(),
    DetectorKind::of::<weak_transport::WeakTransport>(),
    DetectorKind::of::<governance::Governance>(),
    DetectorKind::of::<logs_stopped::LogsStopped>(),
    DetectorKind::of::<silence::Silence>(),
    DetectorKind::of::<company_wide::CompanyWide>(),
    DetectorKind::of::<content_type::ContentType>(),
    DetectorKind::of::<beacon::Beacon>(),
    DetectorKind::of::<odd_hours::OddHours>(),
    DetectorKind::of::<multivariate::Multivariate>(),
    DetectorKind::of::<model_drift::ModelDrift>(),
    DetectorKind::of::<new_behaviour::NewBehaviour>(),
];

/// The class of a change of a measure (a statistic, a class of novelties, a test of the audit view).
pub fn class_of(view: View, measure: &str, is_rise: bool, is_of_vendor: bool) -> Option<&'static Class> {
    let is_it =
        |class: &&Class| class.view == view && class.name == measure && class.change.covers(is_rise, is_of_vendor);
    classes().find(is_it)
}

/// Every class of findings.
pub fn classes() -> impl Iterator<Item = &'static Class> {
    DETECTORS.iter().flat_map(|detector| detector.classes.iter().copied())
}

/// A detector by its name.
pub fn detector_named(name: &str) -> Option<&'static DetectorKind> {
    DETECTORS.iter().find(|detector| detector.meta.name == name)
}

/// What an entity that called in the bucket shows to all detectors; in one that goes on, to those that tell bursts.
pub fn evaluate(
    context: &Context<'_>,
    entity: &Evaluated<'_>,
    memories: &mut Memories,
    parts: &mut Parts,
) -> Vec<Candidate> {
    let of = |(index, detector): (usize, &DetectorKind)| (detector.evaluate)(index, context, entity, memories, parts);
    let asked = DETECTORS.iter().enumerate().filter(|(_, detector)| detector.tells_bursts || !entity.is_open);
    asked.flat_map(of).collect()
}

/// What the first call of a relation in a bucket shows by itself to all detectors.
pub fn look(context: &Context<'_>, row: &Row, memories: &mut Memories) -> Vec<Candidate> {
    let of = |(index, detector): (usize, &DetectorKind)| (detector.look)(index, context, row, memories);
    DETECTORS.iter().enumerate().filter(|(_, detector)| detector.looks).flat_map(of).collect()
}

/// What the end of a bucket shows to all detectors, before its entities are looked at.
pub fn close(context: &Context<'_>, rows: &[Row], memories: &mut Memories) -> Vec<Candidate> {
    let of = |(index, detector): (usize, &DetectorKind)| (detector.close)(index, context, rows, memories);
    DETECTORS.iter().enumerate().flat_map(of).collect()
}

/// What it shows all detectors that no record comes; `heard` is the newest bucket with a call of each view.
pub fn tick(context: &Context<'_>, heard: &BTreeMap<View, i64>, memories: &mut Memories) -> Vec<Candidate> {
    let of = |(index, detector): (usize, &DetectorKind)| (detector.tick)(index, context, heard, memories);
    DETECTORS.iter().enumerate().flat_map(of).collect()
}

/// Forgets what all detectors remember of an entity and is old news at `time`, microseconds since the epoch; whether anything was.
pub fn forget(parts: &mut Parts, time: i64) -> bool {
    // Most entities have none.
    if parts.is_empty() {
        return false;
    }
    let forget = |(index, detector): (usize, &DetectorKind)| (detector.forget)(index, parts, time);
    DETECTORS.iter().enumerate().map(forget).fold(false, std::ops::BitOr::bitor)
}

/// Lets each detector learn from a rolled-up history; by their names, as the bundle keeps it.
///
/// # Errors
/// None in practice: all that is learned serializes.
pub fn fit(rows: &[Row]) -> Result<BTreeMap<String, Vec<u8>>, postcard::Error> {
    Models::packed(DETECTORS.iter().map(|detector| (detector.fit)(rows)).collect())
}

fn kinds() -> impl Iterator<Item = &'static Kinds> {
    DETECTORS.iter().map(|detector| &detector.kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::audit::{COMPANY_TESTS, TESTS};
    use crate::models::novelty::NOVELTIES;
    use crate::models::statistic::STATISTICS;

    #[test]
    fn every_change_of_a_measure_is_of_one_class_and_its_technique_exists() {
        let counted = classes().filter(|class| class.technique.is_some_and(|uid| technique(uid).is_none()));
        assert_eq!(counted.count(), 0);
        let shapes = [(true, false), (false, false), (true, true), (false, true)];
        for (is_rise, is_of_vendor) in shapes {
            for statistic in STATISTICS {
                let covers = |class: &&Class| {
                    class.view == View::Egress
                        && class.name == statistic.name
                        && class.change.covers(is_rise, is_of_vendor)
                };
                assert_eq!(classes().filter(covers).count(), 1, "{} {is_rise} {is_of_vendor}", statistic.name);
            }
        }
        let tests = TESTS.iter().chain(&COMPANY_TESTS).map(|test| test.name);
        for measure in tests.chain(NOVELTIES.iter().filter(|class| class.prior.is_none()).map(|class| class.name)) {
            assert!(class_of(View::Audit, measure, true, false).is_some(), "{measure}");
        }
        for novelty in NOVELTIES.iter().filter(|class| class.prior.is_some()) {
            assert!(class_of(View::Egress, novelty.name, true, false).is_some(), "{}", novelty.name);
        }
    }

    #[test]
    fn a_class_is_its_detectors_own_and_no_two_are_the_same() {
        let all: Vec<&Class> = classes().collect();
        for (index, class) in all.iter().enumerate() {
            assert!(!all[..index].contains(class), "{class:?}");
        }
        for detector in DETECTORS {
            assert!(detector.classes.iter().all(|class| std::ptr::eq(class.detector, detector.meta)));
        }
    }

    #[test]
    fn no_two_detectors_share_a_name() {
        let mut names: Vec<_> = DETECTORS.iter().map(|detector| detector.meta.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DETECTORS.len());
    }
}
