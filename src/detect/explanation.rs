//! What explains a candidate without anybody's fault: an outage of the vendor, a campaign that was declared.
//!
//! What is explained does not page, except a storm of retries and an outage that lasts. A rise of server errors waits a little to see
//! whether it is an outage.
//!
//! Not here: when a vendor is down (`outage`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::benign::Benign;
use super::candidate::Candidate;
use super::outage::Outages;
use super::subject::Subject;
use crate::models::novelty::INCIDENT;
use crate::rollup::BUCKET_MICROS;

/// Time that a rise of server errors waits to see whether it is an outage.
const WAIT_FOR_OUTAGE: i64 = 2 * BUCKET_MICROS;

/// What explains candidates.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Explanations {
    /// When vendors were down.
    pub outages: Outages,
    /// Since when a subject's server errors wait, and when they were seen last.
    waiting: BTreeMap<Subject, (i64, i64)>,
}

impl Explanations {
    /// Holds a candidate against outages, and against a campaign if one `is_declared` for its caller and vendor.
    pub fn apply(&mut self, candidate: &mut Candidate, is_declared: bool, bucket: i64, time: i64) {
        let (class, entity, outages) = (candidate.class, &candidate.entity, &self.outages);
        if class.is_explained_by_outage && outages.overlap(entity.view, &entity.vendor, bucket, candidate.window) {
            let storms = !class.is_of_vendor() && outages.stormed(entity.id(), bucket, candidate.window);
            candidate.pages = storms || outages.has_lasted(entity.view, &entity.vendor, bucket);
            if storms {
                candidate.subject.caller = entity.caller.to_string();
            }
            candidate.details.likely = Some(Benign::VendorOutage);
        }
        if class.is_explained_by_campaign && is_declared {
            candidate.pages = false;
            candidate.details.likely = Some(Benign::Campaign);
        }
        if class.awaits_outage {
            let (since, last) = self.waiting.get(&candidate.subject).copied().unwrap_or((time, time));
            let since = if time - last > INCIDENT { time } else { since };
            self.waiting.insert(candidate.subject.clone(), (since, time));
            candidate.pages &= time >= since + WAIT_FOR_OUTAGE;
        }
    }

    /// Forgets who no longer waits.
    pub fn forget(&mut self, time: i64) {
        self.waiting.retain(|_, (_, last)| time - *last <= INCIDENT);
    }
}
