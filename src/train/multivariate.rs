//! Fitting the multivariate models of the egress view: on the rows of the earlier days, calibrated on the later ones.
//!
//! The split is by time, not at random, as rows of one day are dependent (h-block validation: Burman, Chow & Nolan, Biometrika 81,
//! 1994).
//!
//! Not here: the audit view, which has models of its own (`train::audit`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::calls::View;
use crate::features::{EntityId, Level};
use crate::models::baseline::{Expected, Snapshot, judge_all};
use crate::models::bundle::CalibratedMultivariate;
use crate::models::calibration::Tail;
use crate::models::multivariate::Multivariate;
use crate::models::multivariate_row;
use crate::models::seasonality::Span;
use crate::rollup::day_of;

/// Share of the days, 0 to 1, that models are fitted on; the rest calibrates them.
const FIT_SHARE: f64 = 0.7;
/// Fewest days: fewer leave nothing to calibrate with.
const MIN_DAYS: usize = 4;
/// Fewest and most rows to fit on.
const MIN_ROWS: usize = 200;
const MAX_ROWS: usize = 20_000;

/// Rows of egress pairs, gathered while the pairs are calibrated.
pub(super) struct Rows {
    span: Span,
    rows: Mutex<BTreeMap<(i64, EntityId), Vec<f64>>>,
}

impl Rows {
    pub fn new(span: Span) -> Self {
        Self { span, rows: Mutex::default() }
    }

    pub fn take(&self, at: Snapshot<'_>, by: Expected<'_>) {
        let entity = &at.state.entity;
        if entity.view == View::Egress && entity.level == Level::Pair && multivariate_row::is_due(at.bucket) {
            let row = multivariate_row::row(&judge_all(at, by));
            if let Ok(mut rows) = self.rows.lock() {
                rows.insert((at.bucket, entity.id()), row);
            }
        }
    }

    /// Fits and calibrates; `None` where the history is too short or too thin.
    pub fn fit(self, seed: u64) -> Option<CalibratedMultivariate> {
        let columns = multivariate_row::columns();
        let rows = self.rows.into_inner().ok()?;
        let days: Vec<i64> = self.span.days().collect();
        if days.len() < MIN_DAYS {
            return None;
        }
        let first_held_out = days[(days.len() as f64 * FIT_SHARE) as usize];
        let (mut fitted, held_out): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|((bucket, _), _)| day_of(*bucket) < first_held_out);
        if fitted.len() < MIN_ROWS || held_out.is_empty() {
            return None;
        }
        fitted.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        fitted.truncate(MAX_ROWS);
        let multivariate = Multivariate::fit(matrix(&fitted, columns.len())?.view(), &columns, seed).ok()?;

        let oddness = multivariate.oddness(matrix(&held_out, columns.len())?.view());
        let mut oddest: BTreeMap<(i64, EntityId), f32> = BTreeMap::new();
        for (((bucket, entity), _), oddness) in held_out.iter().zip(oddness) {
            let most = oddest.entry((day_of(*bucket), *entity)).or_insert(0.0);
            *most = most.max(oddness as f32);
        }
        let entities = oddest.keys().map(|(_, entity)| *entity).collect::<BTreeSet<_>>().len();
        let calibration_days = days.len() - (days.len() as f64 * FIT_SHARE) as usize;
        let tail = Tail::fit(oddest.into_values().collect(), calibration_days);
        Some(CalibratedMultivariate { multivariate, tail, entities })
    }
}

fn matrix(rows: &[((i64, EntityId), Vec<f64>)], columns: usize) -> Option<Array2<f64>> {
    Array2::from_shape_vec((rows.len(), columns), rows.iter().flat_map(|(_, row)| row.iter().copied()).collect()).ok()
}
