//! What the multivariate models look at: one row per egress pair and half-hour.
//!
//! A row holds how far each statistic of the pair is from usual over the trailing hour, as signed z. The columns are thus
//! standardised per entity before the models see them, as multivariate control charts do (Hotelling 1947): a model of raw
//! columns learns the differences between callers.
//!
//! Not here: the audit view, which has models of its own (`audit`), and the models (`multivariate`).

use crate::features::WINDOWS;

use super::baseline::Verdict;
use super::statistic::{STATISTICS, Statistic};

/// Buckets between two rows: an hour's numbers hardly change in less.
const STRIDE: i64 = 6;
/// The window that rows look back over, as an index in [`WINDOWS`]: an hour.
const WINDOW: usize = 2;
/// Largest magnitude, in standard deviations, of a number that is usual by itself.
const MAX_USUAL: f64 = 2.0;

/// Whether a row is taken at the end of a bucket: twice an hour.
pub fn is_due(bucket: i64) -> bool {
    bucket.rem_euclid(STRIDE) == STRIDE - 1
}

/// Names of a row's columns (n_columns).
pub fn columns() -> Vec<String> {
    statistics().map(|(_, statistic)| statistic.name.to_owned()).collect()
}

/// A pair's row (n_columns), in standard deviations, in the order of [`columns`]; 0 where a statistic has no verdict.
pub fn row(verdicts: &[Verdict]) -> Vec<f64> {
    statistics().map(|(index, _)| hourly(verdicts, index)).collect()
}

/// Whether each number of a `row` (n_columns, in standard deviations) is so ordinary that no combination of them is worth a
/// model's time.
pub fn is_ordinary(row: &[f64]) -> bool {
    row.iter().all(|z| z.abs() < MAX_USUAL)
}

/// Name of the window that rows look back over.
pub fn window_name() -> &'static str {
    WINDOWS[WINDOW].name
}

/// The statistics that look back over an hour, with their indices in [`STATISTICS`].
fn statistics() -> impl Iterator<Item = (usize, &'static Statistic)> {
    STATISTICS.iter().enumerate().filter(|(_, statistic)| statistic.windows.contains(&WINDOW))
}

/// The z of a statistic (index in [`STATISTICS`]). A mean's z has no sign, so every z takes that of its effect.
fn hourly(verdicts: &[Verdict], statistic: usize) -> f64 {
    let test = verdicts.iter().find(|verdict| verdict.test.statistic == statistic && verdict.test.window == WINDOW);
    test.map_or(0.0, |verdict| verdict.z.abs().copysign(verdict.seen.effect(verdict.test.statistic().kind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::statistic::{Observation, Test};

    fn verdict(name: &str, window: usize, z: f64, observed: f64) -> Verdict {
        let statistic = STATISTICS.iter().position(|statistic| statistic.name == name).unwrap();
        let seen = Observation { observed, against: 100.0, ..Observation::default() };
        Verdict { test: Test { statistic, window }, seen, z, p_value: 1.0, endpoint: None }
    }

    #[test]
    fn a_row_holds_the_hourly_z_with_the_sign_of_the_effect() {
        let columns = columns();
        let index = |name: &str| columns.iter().position(|column| column == name).unwrap();
        // A mean that fell, more failures than expected, and a window that rows do not look at.
        let seen =
            [verdict("latency", 2, 4.0, -30.0), verdict("denied", 2, 3.0, 300.0), verdict("bytes_in", 0, 9.0, 90.0)];
        let row = row(&seen);
        assert_eq!(row.len(), columns.len());
        assert_eq!((row[index("latency")], row[index("denied")], row[index("bytes_in")]), (-4.0, 3.0, 0.0));
        assert!(!is_ordinary(&row) && is_ordinary(&super::row(&[])));
    }

    #[test]
    fn rows_are_due_twice_an_hour() {
        assert_eq!((0..12).filter(|bucket| is_due(*bucket)).collect::<Vec<_>>(), [5, 11]);
    }
}
