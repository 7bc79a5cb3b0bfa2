//! Harmless change: what a notice most likely is, where it looks like something that happens every week.
//!
//! A deploy, a rotated key or a campaign shows new things and odd numbers too. Each kind has marks that a theft does not need to
//! have; where nothing else is new, the notice says so. It is never said of what pages.
//!
//! Not here: whether something pages (`alerts::budget`).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A harmless change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Benign {
    /// A release: a client that others use, endpoints read for the first time, maybe a new key and new pods beside known ones.
    Deploy,
    /// A new credential, and nothing else that is new.
    KeyRotation,
    /// A private network beside known ones, and nothing else that is new.
    NewPods,
    /// A service that goes live with vendors that others use.
    NewService,
    /// More calls of the usual kind.
    Campaign,
    /// A vendor that is down, and calls tried again.
    VendorOutage,
}

impl Benign {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Deploy, Self::KeyRotation, Self::NewPods, Self::NewService, Self::Campaign, Self::VendorOutage];

    /// The name in alerts, and in their sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::KeyRotation => "key rotation",
            Self::NewPods => "new pods",
            Self::NewService => "a service going live",
            Self::Campaign => "campaign",
            Self::VendorOutage => "the vendor's outage and our retries",
        }
    }

    /// What the first-seen events of one caller within an hour look like, by their classes; `None` where one of them fits no
    /// harmless change.
    pub fn of_novelties(classes: &BTreeSet<&str>, is_new_caller: bool) -> Option<Self> {
        let fits = |class: &&str| {
            let release = ["client_known", "endpoint_read", "method_new"];
            release.contains(class) || ["network_private_near", "credential_new", "pair_new"].contains(class)
        };
        if classes.is_empty() || !classes.iter().all(fits) {
            return None;
        }
        let only = |class: &str| classes.len() == 1 && classes.contains(class);
        Some(match () {
            () if is_new_caller || classes.contains("pair_new") => Self::NewService,
            () if only("credential_new") => Self::KeyRotation,
            () if only("network_private_near") => Self::NewPods,
            () => Self::Deploy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likely(classes: &[&str]) -> Option<Benign> {
        Benign::of_novelties(&classes.iter().copied().collect(), false)
    }

    #[test]
    fn each_harmless_change_is_known_by_its_marks() {
        assert_eq!(likely(&["client_known", "network_private_near"]), Some(Benign::Deploy));
        assert_eq!(likely(&["credential_new", "client_known"]), Some(Benign::Deploy));
        assert_eq!(likely(&["credential_new"]), Some(Benign::KeyRotation));
        assert_eq!(likely(&["network_private_near"]), Some(Benign::NewPods));
        assert_eq!(likely(&["pair_new", "credential_new", "endpoint_read"]), Some(Benign::NewService));
        assert_eq!(Benign::of_novelties(&["network_private_near"].into(), true), Some(Benign::NewService));
    }

    #[test]
    fn a_theft_among_the_marks_of_a_deploy_is_no_deploy() {
        for theft in ["network_public_new", "client_tool", "credential_of_another", "endpoint_sensitive", "vendor_new"]
        {
            assert_eq!(likely(&["client_known", "credential_new", theft]), None, "{theft}");
        }
    }
}
