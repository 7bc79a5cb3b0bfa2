//! The counterfactual: what would have to be left out for a window to be usual.
//!
//! An alarm is the sum of its reasons; the smallest set without which it would not have been raised is what an analyst wants to
//! look at first (Wachter, Mittelstadt & Russell 2017). The reasons come strongest first and each adds its part to one sum, so
//! the smallest set of a size is the first so many.
//!
//! Not here: how a rate follows from what is left (`stream`, where the evidence is at hand).

use serde::{Deserialize, Serialize};

/// Most reasons that are left out together.
const MAX_LEFT_OUT: usize = 3;

/// What would have to be left out of a window for it to be usual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counterfactual {
    /// The fewest reasons without which nothing would page, strongest first; empty where three are not enough.
    pub without: Vec<String>,
    /// Alarms a day expected at the level of what is left; `None` where nothing is left.
    pub alarms_per_day: Option<f64>,
}

impl Counterfactual {
    /// Leaves out one reason after the other, strongest first, until the rate of what is left is above `pages_at`.
    /// `rate_without` tells that rate, in alarms a day, for a number of reasons left out.
    pub fn find(reasons: &[String], rate_without: impl Fn(usize) -> f64, pages_at: f64) -> Self {
        let mut alarms_per_day = None;
        for left_out in 1..=reasons.len().min(MAX_LEFT_OUT) {
            let rate = rate_without(left_out);
            alarms_per_day = Some(rate).filter(|rate| rate.is_finite());
            if rate > pages_at {
                return Self { without: reasons[..left_out].to_vec(), alarms_per_day };
            }
        }
        Self { without: Vec::new(), alarms_per_day }
    }

    /// One sentence.
    pub fn sentence(&self) -> String {
        match self.without.as_slice() {
            [] => "No single reason: without its strongest ones this window would still page.".to_owned(),
            [one] => format!("Without {one} this window is usual."),
            [most @ .., last] => format!("Without {} and {last} this window is usual.", most.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rates: [f64; 3]) -> (usize, String) {
        let reasons = ["the denied calls", "the request size", "the latency", "the answer size"].map(str::to_owned);
        let counterfactual = Counterfactual::find(&reasons, |left_out| rates[left_out - 1], 1.0);
        (counterfactual.without.len(), counterfactual.sentence())
    }

    #[test]
    fn the_fewest_reasons_are_left_out_after_which_nothing_pages() {
        assert_eq!(found([2.0, 9.0, 9.0]), (1, "Without the denied calls this window is usual.".to_owned()));
        assert_eq!(found([0.1, 0.2, 9.0]).0, 3);
        assert_eq!(found([0.1, 2.0, 9.0]).1, "Without the denied calls and the request size this window is usual.");
    }

    #[test]
    fn a_window_that_pages_without_its_three_strongest_reasons_has_no_single_one() {
        let (count, sentence) = found([0.1, 0.2, 0.3]);
        assert_eq!(count, 0);
        assert!(sentence.starts_with("No single reason"), "{sentence}");
    }
}
