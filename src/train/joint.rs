//! Fitting the joint models: on the earlier days' rows, calibrated on the later ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::calls::Direction;
use crate::features::{Account, Entity, Level};
use crate::models::baseline::Verdict;
use crate::models::bundle::CalibratedJoint;
use crate::models::calibration::Tail;
use crate::models::clock::Span;
use crate::models::joint::Joint;
use crate::models::joint_row;
use crate::rollup::day_of;

/// Share of the days that models are fitted on; the rest calibrates them.
const FIT_SHARE: f64 = 0.7;
/// Fewest days: less than this leaves nothing to calibrate with.
const FEWEST_DAYS: usize = 4;
/// Fewest and most rows to fit on.
const FEWEST_ROWS: usize = 200;
const MOST_ROWS: usize = 20_000;

/// Rows of a view's pairs, gathered while they are calibrated.
pub(super) struct Rows {
    direction: Direction,
    span: Span,
    rows: Mutex<BTreeMap<(i64, Entity), Vec<f64>>>,
}

impl Rows {
    pub fn new(direction: Direction, span: Span) -> Self {
        Self { direction, span, rows: Mutex::default() }
    }

    pub fn take(&self, entity: &Entity, bucket: i64, account: &Account, verdicts: &[Verdict]) {
        if entity.level == Level::Pair && joint_row::is_due(bucket) {
            let row = joint_row::row(account, bucket, verdicts);
            if let Ok(mut rows) = self.rows.lock() {
                rows.insert((bucket, entity.clone()), row);
            }
        }
    }

    /// Fits and calibrates; `None` where the history is too short or too thin.
    pub fn fit(self, seed: u64) -> Option<CalibratedJoint> {
        let columns = joint_row::columns(self.direction);
        let rows = self.rows.into_inner().ok()?;
        let days: Vec<i64> = self.span.days().collect();
        if days.len() < FEWEST_DAYS {
            return None;
        }
        let first_held_out = days[(days.len() as f64 * FIT_SHARE) as usize];
        let (mut fitted, held_out): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|((bucket, _), _)| day_of(*bucket) < first_held_out);
        if fitted.len() < FEWEST_ROWS || held_out.is_empty() {
            return None;
        }
        fitted.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        fitted.truncate(MOST_ROWS);
        let joint = Joint::fit(matrix(&fitted, columns.len())?.view(), &columns, seed).ok()?;

        let oddness = joint.oddness(matrix(&held_out, columns.len())?.view());
        let mut oddest: BTreeMap<(i64, &Entity), f32> = BTreeMap::new();
        for (((bucket, entity), _), oddness) in held_out.iter().zip(oddness) {
            let most = oddest.entry((day_of(*bucket), entity)).or_insert(0.0);
            *most = most.max(oddness as f32);
        }
        let entities = oddest.keys().map(|(_, entity)| *entity).collect::<BTreeSet<_>>().len();
        let calibration_days = days.len() - (days.len() as f64 * FIT_SHARE) as usize;
        let tail = Tail::fit(oddest.into_values().collect(), calibration_days);
        Some(CalibratedJoint { joint, tail, entities })
    }
}

fn matrix(rows: &[((i64, Entity), Vec<f64>)], columns: usize) -> Option<Array2<f64>> {
    Array2::from_shape_vec((rows.len(), columns), rows.iter().flat_map(|(_, row)| row.iter().copied()).collect()).ok()
}
