//! What the multivariate models look at: how far each statistic of a pair is from usual over the last hour, one row a pair and half
//! hour.
//!
//! Not here: what was never there before (`novelty`), and the audit view, which has models of its own.

use super::baseline::Verdict;
use super::statistic::STATISTICS;
use crate::features::{HOUR, WINDOWS};

/// Rows are taken at the end of every sixth bucket, twice an hour: an hour's numbers hardly change in less.
const EVERY: i64 = 6;

/// Whether a row is taken at the end of a bucket.
pub fn is_due(bucket: i64) -> bool {
    bucket.rem_euclid(EVERY) == EVERY - 1
}

/// Names of a row's columns.
pub fn columns() -> Vec<String> {
    hourly_statistics().map(|index| STATISTICS[index].name.to_owned()).collect()
}

/// The row of a pair, in the order of [`columns`], from the verdicts of all of its tests. Signed z, in standard deviations.
pub fn row(verdicts: &[Verdict]) -> Vec<f64> {
    hourly_statistics().map(|index| hourly(verdicts, index)).collect()
}

/// Whether each number of a row is so ordinary that no combination of them is worth a model's time: nothing lies two deviations
/// from usual.
pub fn is_ordinary(row: &[f64]) -> bool {
    row.iter().all(|z| z.abs() < 2.0)
}

/// Indices of the statistics that look back over an hour.
fn hourly_statistics() -> impl Iterator<Item = usize> {
    STATISTICS.iter().enumerate().filter(|(_, statistic)| statistic.windows.contains(&HOUR)).map(|(index, _)| index)
}

fn hourly(verdicts: &[Verdict], index: usize) -> f64 {
    let test = verdicts.iter().find(|verdict| verdict.test.statistic == index && verdict.test.window == HOUR);
    // The sign is lost in a mean's z; multivariate columns want it back.
    test.map_or(0.0, |verdict| verdict.z.abs().copysign(verdict.seen.effect(verdict.test.statistic().kind)))
}

/// Name of the window that rows look back over.
pub fn window_name() -> &'static str {
    WINDOWS[HOUR].name
}
