//! The model's own inputs have moved: time to train again.
//!
//! # Finds
//! A day on which three pairs in ten or more behave as one in ten should: after a migration, a large release, or months
//! without training. The notice says which statistics moved, and of how many pairs.
//!
//! # Why it matters
//! A model that no longer fits either pages too much or, worse, calls everything usual.
//!
//! # Misses
//! Companies with fewer than ten pairs of caller and vendor; drift so slow that baselines follow it.
//!
//! # Tuning
//! None. It never pages.
//!
//! # Example alert
//! `model: 16 of 48 pairs had a day unlike their history (request size of 6, denied calls of 3, answer size of 2) over 24h,
//! usual: one in ten; train again`
//!
//! # What to do first
//! 1. Train again with the newest days, and compare the bundles with `apiwarden evaluate`.
//! 2. If half of the vendors really had trouble, leave that day out.
//!
//! # When it is wrong
//! A day on which half of the vendors really had trouble.
//!
//! # Source
//! Inputs against their own history instead of textbook thresholds (see `models::model_drift`).

use super::fused_tests::leading;
use super::sentence::measured;
use super::{
    Analytic, Candidate, Category, CauseClass, Class, Context, Contribution, Detector, Evaluated, Impact, Meta, Own,
};
use crate::calls::View;
use crate::features::{DAY, Entity, EntityId, Level, WINDOWS};
use crate::models::model_drift::{Misfit, PairDay};
use crate::models::statistic::STATISTICS;
use crate::rollup::{Row, day_of};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whom a notice is about that concerns the model itself.
const MODEL: &str = "model";

static META: Meta = Meta {
    name: "model_drift",
    title: "The model no longer fits its inputs",
    category: Category::Drift,
    impact: Impact::Low,
    analytic: Analytic::Statistical,
    correlates: &[],
    page: include_str!("model_drift.rs"),
};

static MODEL_DRIFT: Class = Class::new("model_drift", &META, CauseClass::Unknown, |of| {
    measured(of, "what was learned no longer fits what is logged", "")
});

/// The model no longer fits.
pub(super) struct ModelDrift;

impl Detector for ModelDrift {
    const META: &'static Meta = &META;
    const CLASSES: &'static [&'static Class] = &[&MODEL_DRIFT];
    type Model = ();
    type Memory = Today;
    type Part = ();

    /// How ordinary the day of a known pair is so far.
    fn evaluate(_context: &Context<'_>, entity: &Evaluated<'_>, own: Own<'_, Self>, (): &mut ()) -> Vec<Candidate> {
        let is_known = entity.baseline.is_some_and(|known| known.is_known);
        if is_known && entity.state.entity.level == Level::Pair {
            let statistic = leading(entity.verdicts).map(|verdict| verdict.test.statistic);
            let mut day = own.memory.pairs.get(&entity.state.entity.id()).copied();
            PairDay::note(&mut day, entity.p_value, statistic);
            own.memory.pairs.extend(day.map(|day| (entity.state.entity.id(), day)));
        }
        Vec::new()
    }

    /// At the end of a day, says if the model did not fit it. It never pages.
    fn close(context: &Context<'_>, _rows: &[Row], own: Own<'_, Self>) -> Vec<Candidate> {
        let today = day_of(context.bucket);
        if std::mem::replace(&mut own.memory.day, today) == today {
            return Vec::new();
        }
        let misfit = Misfit::of(std::mem::take(&mut own.memory.pairs).into_values());
        misfit.iter().map(candidate).collect()
    }
}

/// The day that is held against the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Today {
    /// Days since the epoch.
    day: i64,
    /// The known pairs that called.
    pairs: BTreeMap<EntityId, PairDay>,
}

fn candidate(misfit: &Misfit) -> Candidate {
    Candidate {
        window: WINDOWS[DAY].buckets,
        pages: false,
        contributions: vec![reason(misfit)],
        ..Candidate::new(Entity::pair(View::Egress, "", MODEL), &MODEL_DRIFT)
    }
}

/// A day on which the model did not fit, in words.
fn reason(misfit: &Misfit) -> Contribution {
    let says = |index: usize| STATISTICS.get(index).map_or("", |statistic| statistic.says);
    let moved: Vec<String> =
        misfit.moved.iter().take(3).map(|(index, pairs)| format!("{} of {pairs}", says(*index))).collect();
    Contribution {
        name: MODEL_DRIFT.name.to_owned(),
        window: WINDOWS[WINDOWS.len() - 1].name.to_owned(),
        observed: format!(
            "{} of {} pairs had a day unlike their history ({})",
            misfit.odd,
            misfit.pairs,
            moved.join(", ")
        ),
        baseline: "one in ten; train again".to_owned(),
        observed_value: Some(misfit.odd as f64),
        baseline_value: Some(misfit.pairs as f64 / 10.0),
        unit: "pairs".to_owned(),
        share: 1.0,
        p_value: 1.0,
    }
}
