//! What explains a candidate without anybody's fault: an outage of the vendor, a campaign that was declared.
//!
//! What is explained does not page, except a storm of retries and an outage that lasts.
//!
//! Not here: when a vendor is down (`outage`).

use serde::{Deserialize, Serialize};

use super::benign::Benign;
use super::candidate::Candidate;
use super::outage::Outages;

/// What explains candidates.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Explanations {
    /// When vendors were down.
    pub outages: Outages,
}

impl Explanations {
    /// Holds a candidate against outages, and against a campaign if one `is_declared` for its caller and vendor.
    pub fn apply(&self, candidate: &mut Candidate, is_declared: bool, bucket: i64) {
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
    }
}
