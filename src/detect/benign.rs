//! Harmless change: what a notice most likely is, where it looks like something that happens every week.
//!
//! A deploy, a rotated key or a campaign shows new things and odd numbers too. Each kind has marks that a theft does not need to
//! have; where nothing else is new, the notice says so. It is never said of what pages.
//!
//! Not here: whether something pages (`alerts::budget`).

use serde::{Deserialize, Serialize};

use crate::models::novelty::{NoveltyClass, classes};

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
    /// A day on which most callers call less.
    QuietDay,
    /// Trouble at a vendor that may pass within minutes, as most of it does.
    Passing,
}

impl Benign {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Deploy,
        Self::KeyRotation,
        Self::NewPods,
        Self::NewService,
        Self::Campaign,
        Self::VendorOutage,
        Self::QuietDay,
        Self::Passing,
    ];

    /// The name in alerts, and in their sentences.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::KeyRotation => "key rotation",
            Self::NewPods => "new pods",
            Self::NewService => "a service going live",
            Self::Campaign => "campaign",
            Self::VendorOutage => "the vendor's outage and our retries",
            Self::QuietDay => "a quiet day of the company",
            Self::Passing => "trouble that passes",
        }
    }

    /// What the first-seen events of one caller within an hour look like, by their classes; `None` where one of them fits no
    /// harmless change.
    pub fn of_novelties(shown: &[&'static NoveltyClass], is_new_caller: bool) -> Option<Self> {
        if shown.is_empty() || !shown.iter().all(|class| FITTING.contains(class)) {
            return None;
        }
        let only = |class: &'static NoveltyClass| shown.iter().all(|shown| *shown == class);
        Some(match () {
            () if is_new_caller || shown.contains(&&classes::PAIR_NEW) => Self::NewService,
            () if only(&classes::CREDENTIAL_NEW) => Self::KeyRotation,
            () if only(&classes::NETWORK_PRIVATE_NEAR) => Self::NewPods,
            () => Self::Deploy,
        })
    }
}

/// Classes that a harmless change shows.
static FITTING: [&NoveltyClass; 6] = [
    &classes::CLIENT_KNOWN,
    &classes::ENDPOINT_READ,
    &classes::METHOD_NEW,
    &classes::NETWORK_PRIVATE_NEAR,
    &classes::CREDENTIAL_NEW,
    &classes::PAIR_NEW,
];

#[cfg(test)]
mod tests {
    use super::classes::*;
    use super::*;

    fn likely(shown: &[&'static NoveltyClass]) -> Option<Benign> {
        Benign::of_novelties(shown, false)
    }

    #[test]
    fn each_harmless_change_is_known_by_its_marks() {
        assert_eq!(likely(&[&CLIENT_KNOWN, &NETWORK_PRIVATE_NEAR]), Some(Benign::Deploy));
        assert_eq!(likely(&[&CREDENTIAL_NEW, &CLIENT_KNOWN]), Some(Benign::Deploy));
        assert_eq!(likely(&[&CREDENTIAL_NEW]), Some(Benign::KeyRotation));
        assert_eq!(likely(&[&NETWORK_PRIVATE_NEAR]), Some(Benign::NewPods));
        assert_eq!(likely(&[&PAIR_NEW, &CREDENTIAL_NEW, &ENDPOINT_READ]), Some(Benign::NewService));
        assert_eq!(Benign::of_novelties(&[&NETWORK_PRIVATE_NEAR], true), Some(Benign::NewService));
    }

    #[test]
    fn a_theft_among_the_marks_of_a_deploy_is_no_deploy() {
        for theft in [&NETWORK_PUBLIC_NEW, &CLIENT_TOOL, &CREDENTIAL_OF_ANOTHER, &ENDPOINT_SENSITIVE, &VENDOR_NEW] {
            assert_eq!(likely(&[&CLIENT_KNOWN, &CREDENTIAL_NEW, theft]), None, "{}", theft.name);
        }
    }
}
