//! Evidence of the audit view in words.
//!
//! Not here: the words of tests and first-seen events of egress (`words`).

use super::{Contribution, class_in_words, in_numbers};
use crate::models::audit::{Evidence, Group};

/// A piece of evidence of the audit view, in words; `share` is its part of the surprise.
pub fn audit_contribution(evidence: &Evidence, p_value: f64, share: f64) -> Contribution {
    match evidence {
        Evidence::Mark(class, detail, operation) => {
            let is_operation = class.group == Group::Operation || detail == operation.as_str();
            let by = if is_operation { String::new() } else { format!(" ({operation})") };
            Contribution {
                name: class.name().to_owned(),
                window: String::new(),
                observed: format!("{}: {detail}{by}", class_in_words(class.name())),
                baseline: format!("a day in {}", in_numbers((1.0 / p_value.max(1e-12)).round())),
                observed_value: None,
                baseline_value: Some(p_value),
                unit: "times a day".to_owned(),
                share,
                p_value,
            }
        }
        Evidence::Over(over) => Contribution {
            name: over.test.name.to_owned(),
            window: if over.test.over_day { "24h" } else { "1h" }.to_owned(),
            observed: format!("{} {}", in_numbers(over.seen), over.test.summary),
            baseline: in_numbers(over.usual),
            observed_value: Some(over.seen),
            baseline_value: Some(over.usual),
            unit: over.test.summary.to_owned(),
            share,
            p_value,
        },
    }
}

/// Calls that are odd without any history, in words.
pub fn cold_start_contribution(name: &str, operation: &str, calls: i64, rate: f64) -> Contribution {
    Contribution {
        name: name.to_owned(),
        window: String::new(),
        observed: format!("{}, or many: {operation}, {calls} calls in five minutes", class_in_words(name)),
        baseline: format!("without history expected {} times a day", in_numbers(rate)),
        observed_value: Some(calls as f64),
        baseline_value: None,
        unit: "calls".to_owned(),
        share: 1.0,
        p_value: -(-rate).exp_m1(),
    }
}
