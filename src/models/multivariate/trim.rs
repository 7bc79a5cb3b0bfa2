//! Trimming: training rows that look odd teach no more than the forest.
//!
//! A dirty baseline teaches neighbours that the attack is usual. The forest minds it least, so it judges which rows they see.

use ndarray::ArrayView1;

/// Places of the rows that stay, ascending: all but the `share` of them with the highest scores.
pub fn kept(scores: ArrayView1<'_, f64>, share: f64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    places.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    places.truncate(scores.len() - (share * scores.len() as f64) as usize);
    places.sort_unstable();
    places
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
