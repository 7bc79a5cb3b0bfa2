//! The alert budget: how the pages a day that somebody asked for are divided among views and what may page in each.
//!
//! Each share is a limit on the alarms a day that are expected by chance. The shares of a view add up to 1, and so do those of the views that
//! the bundle has: all detectors together page no more than was asked for. That is the calibrated threshold; where the rates behind it are wrong,
//! the pages of the last days move the one in force (`models::pacing`).
//!
//! Most of it goes to the tests and the audit evidence, whose rates are calibrated on the replay of the history; the rest is for what no
//! history can show.
//!
//! Not here: what never pages and so spends nothing (the multivariate models, the audit view's cold start, rules), and severities (`severity`).

use serde::{Deserialize, Serialize};

use crate::calls::View;
use crate::models::pacing::{MAX_TIGHTENING, Pacer};
use crate::models::peak::PEAKS;

/// What has a share of a view's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The fused score of an entity's tests.
    Tests,
    /// Everything first seen.
    Novelties,
    /// Pure volume.
    Volume,
    /// Silences, of pairs and of whole views.
    Silence,
    /// Slow leaks.
    Leak,
    /// All kinds of peaks together.
    Peaks,
    /// All that an audit principal showed within an hour.
    Evidence,
}

impl Family {
    /// The name in alerts and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tests => "tests",
            Self::Novelties => "novelties",
            Self::Volume => "volume",
            Self::Silence => "silence",
            Self::Leak => "leak",
            Self::Peaks => "peaks",
            Self::Evidence => "evidence",
        }
    }

    /// By how much its threshold is divided at most. Rates of first-seen things are few and the same for a whole class: a stricter threshold
    /// would keep all plaintext calls, or all administrative endpoints, away at once. Too many of them join one incident instead.
    pub const fn max_tightening(self) -> f64 {
        match self {
            Self::Novelties => 1.0,
            Self::Tests | Self::Volume | Self::Silence | Self::Leak | Self::Peaks | Self::Evidence => MAX_TIGHTENING,
        }
    }
}

/// Who keeps to a budget of its own: a family in a view.
pub type Share = (View, Family);

/// Alarms a day up to which candidates of a family page.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Whose.
    pub family: Family,
    /// As calibrated on the history, for the pages a day that were asked for.
    pub calibrated: f64,
    /// As moved by the pages of the last days.
    pub in_force: f64,
}

impl Threshold {
    /// Chance of an entity-day above which nothing pages for a threshold that was loosened: usual things stay unsaid on quiet days too.
    const MAX_LOOSENED_P: f64 = 0.05;

    /// Whether a candidate is worth reporting: what pages, or would by the calibrated threshold.
    pub fn admits(self, rate: f64, p_value: f64) -> bool {
        rate <= self.calibrated || self.pages(rate, p_value)
    }

    /// Whether a candidate pages.
    pub fn pages(self, rate: f64, p_value: f64) -> bool {
        rate <= self.in_force && (rate <= self.calibrated || p_value <= Self::MAX_LOOSENED_P)
    }

    /// The same of what is derived from it by a function that never falls.
    #[must_use]
    pub fn map(self, derived: impl Fn(f64) -> f64) -> Self {
        Self { calibrated: derived(self.calibrated), in_force: derived(self.in_force), ..self }
    }
}

/// The views' shares of the budget where both are there; one alone has all of it.
const VIEWS: [(View, f64); 2] = [(View::Egress, 0.7), (View::Audit, 0.3)];
/// Every share, of its view's budget. The audit view's novelties are credentials that come back from dormancy: others are evidence.
const SHARES: [(Share, f64); 9] = [
    ((View::Egress, Family::Tests), 0.55),
    ((View::Egress, Family::Novelties), 0.20),
    ((View::Egress, Family::Volume), 0.05),
    ((View::Egress, Family::Silence), 0.05),
    ((View::Egress, Family::Leak), 0.05),
    ((View::Egress, Family::Peaks), 0.10),
    ((View::Audit, Family::Evidence), 0.80),
    ((View::Audit, Family::Novelties), 0.10),
    ((View::Audit, Family::Silence), 0.10),
];
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
    /// Of each of [`SHARES`], the threshold in force over the calibrated one.
    multipliers: [f64; SHARES.len()],
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
        Self {
            alerts_per_day,
            is_present: if has_none { [true; VIEWS.len()] } else { is_present },
            multipliers: [1.0; SHARES.len()],
        }
    }

    /// The same with the thresholds that the pages so far have put in force.
    #[must_use]
    pub fn paced_by(self, pacer: &Pacer<Share>) -> Self {
        Self { multipliers: SHARES.map(|(share, _)| pacer.multiplier(share)), ..self }
    }

    /// Pages a day that are asked of each share.
    pub fn asked(self) -> impl Iterator<Item = (Share, f64)> {
        let asked = SHARES.into_iter().map(move |(share, part)| (share, part * self.of_view(share.0)));
        asked.filter(|(_, pages)| *pages > 0.0)
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

    /// Up to which the fused score of an entity's tests pages.
    pub fn tests(self, view: View) -> Threshold {
        self.of(view, Family::Tests)
    }

    /// Pages a day of all novelties together.
    pub fn novelties(self, view: View) -> Threshold {
        self.of(view, Family::Novelties)
    }

    /// Times a day up to which a single novelty pages, of the pages a day of all.
    pub fn novelty(novelties: f64) -> f64 {
        ONE_NOVELTY * novelties
    }

    /// Up to which pure volume pages.
    pub fn volume(self, view: View) -> Threshold {
        self.of(view, Family::Volume)
    }

    /// Up to which a silence pages.
    pub fn silence(self, view: View) -> Threshold {
        self.of(view, Family::Silence)
    }

    /// Up to which a slow leak pages.
    pub fn leak(self, view: View) -> Threshold {
        self.of(view, Family::Leak)
    }

    /// Up to which a peak of one kind pages: the kinds divide their share.
    pub fn peak(self, view: View) -> Threshold {
        let paging = PEAKS.iter().filter(|kind| kind.min_excess.is_finite()).count();
        self.of(view, Family::Peaks).map(|share| share / paging.max(1) as f64)
    }

    /// Pages a day of audit evidence.
    pub fn evidence(self) -> Threshold {
        self.of(View::Audit, Family::Evidence)
    }

    /// Alarms a day up to which an odd hour is a notice. It does not page, so it spends nothing.
    pub fn multivariate_notice(self, view: View) -> f64 {
        NOTICE * self.of_view(view)
    }

    fn of(self, view: View, family: Family) -> Threshold {
        let own = SHARES.iter().zip(self.multipliers).find(|((share, _), _)| *share == (view, family));
        let (part, multiplier) = own.map_or((0.0, 1.0), |((_, part), multiplier)| (*part, multiplier));
        let calibrated = part * self.of_view(view);
        Threshold { family, calibrated, in_force: calibrated * multiplier }
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
            budget.tests(view).calibrated
                + budget.novelties(view).calibrated
                + budget.volume(view).calibrated
                + budget.silence(view).calibrated
                + budget.leak(view).calibrated
                + kinds * budget.peak(view).calibrated
        };
        VIEWS.iter().map(|(view, _)| of_view(*view)).sum::<f64>() + budget.evidence().calibrated
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
        let of_view = |view| SHARES.iter().filter(|((of, _), _)| *of == view).map(|(_, part)| part).sum::<f64>();
        let sums = VIEWS.map(|(view, _)| of_view(view));
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
    fn a_threshold_that_was_loosened_pages_for_nothing_usual_and_one_that_was_tightened_still_admits_what_it_was_calibrated_for()
     {
        let loosened = Threshold { family: Family::Tests, calibrated: 0.5, in_force: 5.0 };
        assert!(loosened.pages(4.0, 0.01) && loosened.pages(0.5, 0.5));
        assert!(!loosened.admits(4.0, 0.1) && !loosened.admits(f64::NAN, 0.01));
        let tightened = Threshold { in_force: 0.05, ..loosened };
        assert!(tightened.admits(0.5, 0.5) && !tightened.pages(0.5, 0.001) && tightened.pages(0.05, 0.5));
    }

    #[test]
    fn what_was_paged_of_one_family_leaves_the_thresholds_of_all_others() {
        let budget = Budget::new(1.0, [View::Egress]);
        let mut pacer = Pacer::default();
        pacer.ask(budget.asked());
        pacer.advance(0);
        (0..15).for_each(|_| pacer.page((View::Egress, Family::Leak), true));
        let paced = budget.paced_by(&pacer);
        assert!(paced.leak(View::Egress).in_force < 0.11 * budget.leak(View::Egress).calibrated);
        assert_eq!(paced.tests(View::Egress), budget.tests(View::Egress));
    }
}
