//! What most callers of the company do alike.
//!
//! # Finds
//! A day on which most callers call less (a holiday, a company outing), and calls that all come an hour before or after their usual
//! time (summer time, a scheduler's new time zone). One notice for the company; what single callers show of it does not page.
//!
//! # Why it matters
//! It is the context in which everything else that day is to be read, and the reason why no hundred alerts came.
//!
//! # Misses
//! Companies of fewer than five pairs of caller and vendor that keep hours, and histories of less than four days.
//!
//! # Tuning
//! There is nothing to tune: it never pages. A new model learns the new hours.
//!
//! # Example alert
//! `most callers call less than usual`, `most callers call 1 hour later than in the history`
//!
//! # What to do first
//! 1. Read it before the other alerts of the day: it may explain them.
//! 2. If calls moved by an hour, train again once the new hours are a week old.
//!
//! # When it is wrong
//! A log source that is lost while others go on looks like a quiet day to the rest; `silence` tells of it.
//!
//! # Source
//! The median of the pairs' calls against those expected; a likelihood ratio of the hours of the day by caller (see
//! `models::clock_shift`), and agreement among callers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sentence::bare;
use super::{
    Analytic, Benign, Candidate, Category, CauseClass, Class, Context, Contribution, Details, Detector, Impact, Meta,
    Own, Sentence,
};
use crate::calls::View;
use crate::features::{Entity, Level};
use crate::rollup::{BUCKETS_PER_HOUR, Row};

/// Whom an incident is about that most callers share.
pub(super) const MOST_CALLERS: &str = "most callers";

static META: Meta = Meta {
    name: "company_wide",
    title: "Most callers change alike",
    category: Category::Drift,
    impact: Impact::Low,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("company_wide.rs"),
};

static QUIET: Class = Class::new("quiet_day", &META, CauseClass::Unknown, sentence);
static SHIFTED: Class = Class::new("clock_shift", &META, CauseClass::Unknown, sentence);
static QUIET_AUDIT: Class = Class::new("quiet_day", &META, CauseClass::Unknown, sentence).in_audit();
static SHIFTED_AUDIT: Class = Class::new("clock_shift", &META, CauseClass::Unknown, sentence).in_audit();

fn sentence(of: &Sentence<'_>) -> String {
    of.leading.map_or_else(|| bare(of), |leading| format!("{MOST_CALLERS} call {}", leading.observed))
}

/// Most callers change alike.
pub(super) struct CompanyWide;

impl Detector for CompanyWide {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&QUIET, &SHIFTED, &QUIET_AUDIT, &SHIFTED_AUDIT];
    type Model = ();
    type Memory = Told;
    type Part = ();

    fn close(context: &Context<'_>, _rows: &[Row], own: Own<'_, Self>) -> Vec<Candidate> {
        // The company is looked at once an hour.
        if (context.bucket + 1).rem_euclid(BUCKETS_PER_HOUR) != 0 {
            return Vec::new();
        }
        [View::Egress, View::Audit].into_iter().flat_map(|view| own.memory.news(context, view)).collect()
    }
}

/// The shift of each view that was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Told(BTreeMap<View, i64>);

impl Told {
    fn news(&mut self, context: &Context<'_>, view: View) -> Vec<Candidate> {
        let is_audit = view == View::Audit;
        let mut news = Vec::new();
        if context.company.is_quiet(view) {
            let of_day = notice(view, if is_audit { &QUIET_AUDIT } else { &QUIET }, "less than usual".to_owned());
            news.push(Candidate {
                is_rise: false,
                details: Details { likely: Some(Benign::QuietDay), ..Details::default() },
                ..of_day
            });
        }
        let shift = context.company.shift(view);
        if self.0.insert(view, shift).unwrap_or_default() != shift {
            let when = match shift {
                0 => "at the hours of the history again".to_owned(),
                hours => {
                    let (count, when) = (hours.abs(), if hours > 0 { "later" } else { "earlier" });
                    format!("{count} hour{} {when} than in the history", if count == 1 { "" } else { "s" })
                }
            };
            news.push(notice(view, if is_audit { &SHIFTED_AUDIT } else { &SHIFTED }, when));
        }
        news
    }
}

/// What never pages, about all callers of a view.
fn notice(view: View, class: &'static Class, observed: String) -> Candidate {
    let most = Entity { level: Level::Vendor, ..Entity::pair(view, "", MOST_CALLERS) };
    let reason = Contribution {
        name: class.name.to_owned(),
        window: String::new(),
        observed,
        baseline: String::new(),
        observed_value: None,
        baseline_value: None,
        unit: String::new(),
        share: 1.0,
        p_value: 1.0,
    };
    Candidate { pages: false, contributions: vec![reason], ..Candidate::new(most, class) }
}
