//! Trimming: the most anomalous training rows teach only the forest.
//!
//! Anomalies among the training rows teach neighbours that an attack is usual. The forest is least affected by them, so its scores
//! decide which rows the others see: as in two-pass trimmed estimation (Rousseeuw & Van Driessen, Technometrics 41, 1999).
//!
//! Not here: the scores (`isolation_forest`).

use ndarray::ArrayView1;

/// Indices of the rows that are kept, ascending: all but the `share` (0 to 1) of them with the highest `scores` (n_rows).
pub fn kept(scores: ArrayView1<'_, f64>, share: f64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..scores.len()).collect();
    indices.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    indices.truncate(scores.len() - (share * scores.len() as f64) as usize);
    indices.sort_unstable();
    indices
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    #[test]
    fn the_worst_twentieth_goes_and_the_others_keep_their_order() {
        let mut scores = Array1::zeros(40);
        scores[3] = 2.0;
        scores[30] = 1.0;
        let stays = kept(scores.view(), 0.05);
        assert_eq!(stays.len(), 38);
        assert!(stays.is_sorted() && !stays.contains(&3) && !stays.contains(&30));
    }
}
