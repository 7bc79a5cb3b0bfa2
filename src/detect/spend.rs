//! More spent at a metered vendor than the pair ever spent.
//!
//! # Finds
//! A language model's API used far beyond normal, by price: tokens or calls times the list price of the vendor pack, over an
//! hour, six hours and a day, two and a half times the largest of the history and two dollars more.
//!
//! # Why it matters
//! A stolen key for a language model is sold by the token, and the bill comes at the end of the month.
//!
//! # Misses
//! Vendors without a price in the pack, logs without token counts, and the first day of a new integration. Other categories
//! than language models are left out: mail, messages and maps cost most on the days of a campaign or at month end.
//!
//! # Tuning
//! Prices stand in `datasets/vendors`, and in the directory that `[vendors]` names. A busy day in the training history raises
//! the peak, which is how a campaign is learned. The share is fixed (a third of 10 % of the view's budget).
//!
//! # Example alert
//! `ml-gateway spent more at openai than ever, by list price: 61.20 dollars over 6 hours, usually at most 14.10 dollars (4.3 times as much); nobody else calls it`
//!
//! # What to do first
//! 1. Ask the caller's owner what uses the model; if nobody knows, revoke the key and set a limit at the vendor.
//! 2. See whether the calls come from the usual network and client.
//! 3. Compare with the vendor's own bill of the day.
//!
//! # When it is wrong
//! A launch, or a price that is not yours: the comparison is with the pair's own past at the same prices.
//!
//! # Source
//! Sums against the largest of the pair's other days (see `models::peak`).

use super::peaks::above_peak;
use super::sentence::shifted;
use super::tracking::Shifts;
use super::{Analytic, Candidate, Category, CauseClass, Class, Context, Detector, Evaluated, Impact, Meta, Own};
use crate::models::peak::SPENDING;

static META: Meta = Meta {
    name: "spend",
    title: "More spent than ever",
    category: Category::Abuse,
    impact: Impact::High,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("spend.rs"),
};

static SPEND_PEAK: Class = Class::new("spend_peak", &META, CauseClass::CredentialMisused, |of| {
    shifted(of, &format!("{} spent more at {} than ever, by list price", of.who(), of.whom()))
})
.technique("T1496.004")
.explained_by_campaign();

/// More spent than ever.
pub(super) struct Spend;

impl Detector for Spend {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&SPEND_PEAK];
    type Model = ();
    type Memory = ();
    type Part = Shifts;
    const TELLS_BURSTS: bool = true;

    fn evaluate(
        context: &Context<'_>,
        entity: &Evaluated<'_>,
        _own: Own<'_, Self>,
        shifts: &mut Shifts,
    ) -> Vec<Candidate> {
        if !context.is_metered(entity.state.entity.vendor.as_str()) {
            return Vec::new();
        }
        let unit = ("millionths of a dollar", in_dollars as fn(f64) -> String);
        above_peak(context, entity, SPENDING, &SPEND_PEAK, shifts, unit).into_iter().collect()
    }

    fn forget(shifts: &mut Shifts, time: i64) -> bool {
        shifts.forget(time)
    }
}

fn in_dollars(millionths: f64) -> String {
    format!("{:.2} dollars", millionths / 1e6)
}
