//! Quantiles of few values: the one definition of the median that every module uses.
//!
//! The median is the middle value; of an even number, the mean of the two in the middle (definition 7 of Hyndman & Fan, The
//! American Statistician 50, 1996, at one half). Values that are not a number sort last.
//!
//! Not here: quantiles of streams (nothing needs one).

/// The median of `values` (n_values, any order), in their unit; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    let lower = if is_even { below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper) } else { upper };
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![4.0]), Some(4.0));
        assert_eq!(median(vec![9.0, 1.0]), Some(5.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![7.0, 1.0, 2.0, 100.0]), Some(4.5));
        assert_eq!(median(vec![0.1; 6]), Some(0.1));
    }

    #[test]
    fn what_is_not_a_number_sorts_last() {
        assert_eq!(median(vec![f64::NAN, 3.0, 1.0]), Some(3.0));
    }
}
