//! Candidates: what a detector found, before it is held against outages and campaigns and joins an incident.
//!
//! Not here: what a finding says of it (`finding`), and what explains it away (`explanation`).

use super::attribution::Sharing;
use super::benign::Benign;
use super::budget::Threshold;
use super::class::Class;
use super::contribution::Contribution;
use super::counterfactual::Counterfactual;
use super::subject::Subject;
use crate::features::Entity;

/// What may become a finding: an entity, what it showed, and how rare that is.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The entity whose calls show it.
    pub entity: Entity,
    /// Whom it is about.
    pub subject: Subject,
    /// What has happened.
    pub class: &'static Class,
    /// Whether there is more of it than usual; `false` where a mean fell.
    pub is_rise: bool,
    /// Buckets that the evidence spans.
    pub window: i64,
    /// Alarms a day expected at this level, over all entities.
    pub rate: f64,
    /// Chance that an entity shows as much on a day.
    pub p_value: f64,
    /// Up to which rate such a candidate pages; `None` for what spends no budget.
    pub threshold: Option<Threshold>,
    /// Whether it pages, if nothing explains it.
    pub pages: bool,
    /// Reasons, strongest first.
    pub contributions: Vec<Contribution>,
    /// The endpoint that the evidence names.
    pub endpoint: Option<String>,
    /// Calls in the strongest reason's window.
    pub calls: u64,
    /// Whether the open incident of one of the vendor's callers is the vendor's from now on.
    pub takes_over: bool,
    /// Whether it takes back what was told of its subject: the incident ends.
    pub takes_back: bool,
    /// What else is said of it.
    pub details: Details,
}

/// What else a finding says of its candidate.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// What would have to be left out for the window to be usual.
    pub counterfactual: Option<Counterfactual>,
    /// The harmless change that it looks like; said of what does not page.
    pub likely: Option<Benign>,
    /// Whether the vendor's other callers see it; `None` where nobody asked.
    pub sharing: Option<Sharing>,
    /// What else the caller showed for the first time within the hour, in words.
    pub also: Vec<String>,
    /// The new thing itself, of a novelty.
    pub novelty: Option<String>,
    /// The first and the last call that show it, microseconds since the epoch, where they are known; else the window's ends.
    pub seen: Option<[i64; 2]>,
    /// The credential that showed it, where that is known; else the state's newest.
    pub credential: Option<String>,
}

impl Candidate {
    /// Whether it pages within its budget.
    pub fn is_within_budget(&self) -> bool {
        self.threshold.is_none_or(|threshold| threshold.pages(self.rate, self.p_value))
    }

    /// A rise that pages, of an entity by itself.
    pub fn new(entity: Entity, class: &'static Class) -> Self {
        Self {
            subject: Subject::of(&entity),
            entity,
            class,
            is_rise: true,
            window: 1,
            rate: 1.0,
            p_value: 1.0,
            threshold: None,
            pages: true,
            contributions: Vec::new(),
            endpoint: None,
            calls: 0,
            takes_over: false,
            takes_back: false,
            details: Details::default(),
        }
    }
}
