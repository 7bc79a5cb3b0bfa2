//! The alert budget: how the pages a day that somebody asked for are divided among views and what may page in each.
//!
//! Each share is a limit on the alarms a day that are expected by chance. The shares of a view add up to 1, and so do those of the views that
//! the bundle has: all detectors together page no more than was asked for.
//!
//! Most of it goes to the tests and the audit evidence, whose rates are calibrated on the replay of the history; the rest is for what no
//! history can show.
//!
//! Not here: what never pages and so spends nothing (the multivariate models, the audit view's cold start), and severities (`severity`).

use crate::calls::View;
use crate::models::peak::PEAKS;

/// What may page in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The fused score of an entity's tests.
    Tests,
    /// Everything first seen.
    Novelties,
    Volume,
    Silence,
    Leak,
    /// All kinds of peaks together.
    Peaks,
    /// All that an audit principal showed within an hour.
    Evidence,
}

/// The views' shares of the budget where both are there; one alone has all of it.
const VIEWS: [(View, f64); 2] = [(View::Egress, 0.7), (View::Audit, 0.3)];
/// Shares of the egress view's budget.
const EGRESS: [(Part, f64); 6] = [
    (Part::Tests, 0.55),
    (Part::Novelties, 0.20),
    (Part::Volume, 0.05),
    (Part::Silence, 0.05),
    (Part::Leak, 0.05),
    (Part::Peaks, 0.10),
];
/// Shares of the audit view's budget. Its novelties are credentials that come back from dormancy: others are evidence.
const AUDIT: [(Part, f64); 3] = [(Part::Evidence, 0.80), (Part::Novelties, 0.10), (Part::Silence, 0.10)];
/// The part of the novelties' share that a single one may take: above it, it is too common to page whatever the replay says.
const ONE_NOVELTY: f64 = 0.36;
/// Up to this share of a view's budget an odd hour is worth a notice.
const NOTICE: f64 = 0.05;

/// Pages a day that somebody is willing to look at, divided among the views of a bundle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    alerts_per_day: f64,
    /// Which of [`VIEWS`] are there.
    is_present: [bool; VIEWS.len()],
}

impl Budget {
    /// Divides `alerts_per_day` among the views that a bundle has; where it has none, as if it had all.
    pub fn new(alerts_per_day: f64, views_present: impl IntoIterator<Item = View>) -> Self {
        let mut is_present = [false; VIEWS.len()];
        for view in views_present {
            VIEWS
                .iter()
                .zip(&mut is_present)
                .filter(|((known, _), _)| *known == view)
                .for_each(|(_, there)| *there = true);
        }
        let has_none = is_present == [false; VIEWS.len()];
        Self { alerts_per_day, is_present: if has_none { [true; VIEWS.len()] } else { is_present } }
    }

    /// Pages a day of all views.
    pub const fn alerts_per_day(self) -> f64 {
        self.alerts_per_day
    }

    /// Pages a day of a view; 0 where the bundle does not have it: what is not calibrated pages nobody.
    pub fn of_view(self, view: View) -> f64 {
        let present =
            || VIEWS.iter().zip(self.is_present).filter(|(_, is_present)| *is_present).map(|(share, _)| share);
        let own: f64 = present().filter(|(known, _)| *known == view).map(|(_, share)| share).sum();
        self.alerts_per_day * own / present().map(|(_, share)| share).sum::<f64>()
    }

    /// Alarms a day up to which the fused score of an entity's tests pages.
    pub fn tests(self, view: View) -> f64 {
        self.of(view, Part::Tests)
    }

    /// Pages a day of all novelties together.
    pub fn novelties(self, view: View) -> f64 {
        self.of(view, Part::Novelties)
    }

    /// Times a day up to which a single novelty pages.
    pub fn novelty(self, view: View) -> f64 {
        ONE_NOVELTY * self.novelties(view)
    }

    /// Alarms a day up to which pure volume pages.
    pub fn volume(self, view: View) -> f64 {
        self.of(view, Part::Volume)
    }

    /// Alarms a day up to which a silence pages.
    pub fn silence(self, view: View) -> f64 {
        self.of(view, Part::Silence)
    }

    /// Alarms a day up to which a slow leak pages.
    pub fn leak(self, view: View) -> f64 {
        self.of(view, Part::Leak)
    }

    /// Alarms a day up to which a peak of one kind pages: the kinds divide their share.
    pub fn peak(self, view: View) -> f64 {
        let paging = PEAKS.iter().filter(|kind| kind.min_excess.is_finite()).count();
        self.of(view, Part::Peaks) / paging.max(1) as f64
    }

    /// Pages a day of audit evidence.
    pub fn evidence(self) -> f64 {
        self.of(View::Audit, Part::Evidence)
    }

    /// Alarms a day up to which an odd hour is a notice. It does not page, so it spends nothing.
    pub fn multivariate_notice(self, view: View) -> f64 {
        NOTICE * self.of_view(view)
    }

    fn of(self, view: View, part: Part) -> f64 {
        let shares: &[(Part, f64)] = match view {
            View::Egress => &EGRESS,
            View::Audit => &AUDIT,
        };
        let share: f64 = shares.iter().filter(|(known, _)| *known == part).map(|(_, share)| share).sum();
        share * self.of_view(view)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;

    /// All that may page by a budget, summed up through the accessors that the stream uses.
    fn spent(budget: Budget) -> f64 {
        let kinds = PEAKS.iter().filter(|kind| kind.min_excess.is_finite()).count() as f64;
        let of_view = |view| {
            budget.tests(view)
                + budget.novelties(view)
                + budget.volume(view)
                + budget.silence(view)
                + budget.leak(view)
                + kinds * budget.peak(view)
        };
        VIEWS.iter().map(|(view, _)| of_view(*view)).sum::<f64>() + budget.evidence()
    }

    proptest! {
        #[test]
        fn all_that_may_page_adds_up_to_what_was_asked(
            asked in 1e-3..1e3, views in subsequence(vec![View::Egress, View::Audit], 0..=2)
        ) {
            let spent = spent(Budget::new(asked, views));
            prop_assert!((spent / asked - 1.0).abs() < 1e-9, "{spent} of {asked}");
        }
    }

    #[test]
    fn the_shares_of_each_table_add_up_to_one() {
        let sums = [&EGRESS[..], &AUDIT[..]].map(|table| table.iter().map(|(_, share)| share).sum::<f64>());
        let views = VIEWS.iter().map(|(_, share)| share).sum::<f64>();
        assert!(sums.iter().chain([&views]).all(|sum| (sum - 1.0).abs() < 1e-12), "{sums:?} {views}");
    }

    #[test]
    fn one_view_alone_has_the_whole_budget_and_two_divide_it() {
        let of = |views: &[View]| {
            let budget = Budget::new(2.0, views.iter().copied());
            [View::Egress, View::Audit].map(|view| budget.of_view(view))
        };
        assert_eq!(of(&[View::Egress]), [2.0, 0.0]);
        assert_eq!(of(&[View::Audit, View::Audit]), [0.0, 2.0]);
        assert_eq!(of(&[View::Egress, View::Audit]), [1.4, 0.6]);
        assert_eq!(of(&[]), [1.4, 0.6]);
    }

    #[test]
    fn a_single_novelty_takes_no_more_than_all_of_them() {
        let budget = Budget::new(1.0, [View::Egress]);
        assert!(budget.novelty(View::Egress) < budget.novelties(View::Egress));
    }
}
