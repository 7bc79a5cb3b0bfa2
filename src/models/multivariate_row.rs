//! What the multivariate models look at: one row an entity and hour.
//!
//! Egress: how far each statistic of a pair is from usual over the last hour. Audit: what kinds of operation a principal
//! does, how they end, and at what time of day. What it never did before is left to `novelty`: while rows are gathered to
//! learn from, everything is new.

use crate::calls::{StepClass, View};
use crate::features::{Column, EntityState, WINDOWS};
use crate::rollup::BUCKETS_PER_DAY;

use super::baseline::Verdict;
use super::seasonality::cell_of;
use super::statistic::STATISTICS;

/// Rows are taken at the end of every sixth bucket, twice an hour: an hour's numbers hardly change in less.
const EVERY: i64 = 6;
/// The window that rows look back over, as a place in [`WINDOWS`]: an hour.
const WINDOW: usize = 2;
const STEPS: [StepClass; 12] = [
    StepClass::Login,
    StepClass::Identity,
    StepClass::List,
    StepClass::Read,
    StepClass::Use,
    StepClass::Secret,
    StepClass::Bulk,
    StepClass::Write,
    StepClass::Grant,
    StepClass::Share,
    StepClass::Delete,
    StepClass::Defence,
];

/// Whether a row is taken at the end of a bucket.
pub fn is_due(bucket: i64) -> bool {
    bucket.rem_euclid(EVERY) == EVERY - 1
}

/// Names of a row's columns.
pub fn columns(view: View) -> Vec<String> {
    match view {
        View::Egress => egress_statistics().map(|place| STATISTICS[place].name.to_owned()).collect(),
        View::Audit => {
            let steps = STEPS.iter().map(|step| format!("{}_operations", step.as_str()));
            let more = ["failed_share", "time_of_day_sine", "time_of_day_cosine"];
            steps.chain(more.map(str::to_owned)).collect()
        }
    }
}

/// The row of a pair whose newest bucket is `bucket`, in the order of [`columns`].
pub fn row(state: &EntityState, bucket: i64, verdicts: &[Verdict]) -> Vec<f64> {
    match state.entity.view {
        View::Egress => egress_statistics().map(|place| hourly(verdicts, place)).collect(),
        View::Audit => audit_row(state, bucket),
    }
}

/// Whether each number of a row is so ordinary that no combination of them is worth a model's time: nothing of an egress pair
/// lies two deviations from usual.
pub fn is_ordinary(view: View, row: &[f64]) -> bool {
    view == View::Egress && row.iter().all(|z| z.abs() < 2.0)
}

/// Places of the statistics of a pair that look back over an hour.
fn egress_statistics() -> impl Iterator<Item = usize> {
    let hourly = |(_, statistic): &(usize, &super::statistic::Statistic)| statistic.windows.contains(&WINDOW);
    STATISTICS.iter().enumerate().filter(hourly).map(|(place, _)| place)
}

fn hourly(verdicts: &[Verdict], place: usize) -> f64 {
    let test = verdicts.iter().find(|verdict| verdict.test.statistic == place && verdict.test.window == WINDOW);
    // The sign is lost in a mean's z; joined columns want it back.
    test.map_or(0.0, |verdict| verdict.z.abs().copysign(verdict.seen.effect(verdict.test.statistic().kind)))
}

fn audit_row(state: &EntityState, bucket: i64) -> Vec<f64> {
    let mut steps = [0.0; STEPS.len()];
    for (operation, series) in &state.endpoints {
        let calls = series.count(WINDOW) as f64;
        if calls > 0.0 {
            let step = StepClass::of(operation);
            if let Some(place) = STEPS.iter().position(|known| *known == step) {
                steps[place] += calls;
            }
        }
    }
    let calls = state.sum(Column::Calls, WINDOW).max(1) as f64;
    let failed = 1.0 - state.sum(Column::Ok, WINDOW) as f64 / calls;
    let angle = std::f64::consts::TAU * cell_of(bucket) as f64 / BUCKETS_PER_DAY as f64;
    let more = [failed, angle.sin(), angle.cos()];
    steps.iter().map(|calls| calls.ln_1p()).chain(more).collect()
}

/// Name of the window that rows look back over.
pub fn window_name() -> &'static str {
    WINDOWS[WINDOW].name
}
