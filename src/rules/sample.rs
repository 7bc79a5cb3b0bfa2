//! Samples of rules: rows as short text, and whether a rule finds something in them.
//!
//! `vendor=stripe, scheme=http, calls=3; vendor=stripe, day=100` is two rows, the second a hundred days later. What a rule claims is so
//! tried where it is written, by `apiwarden rules test` as by our own tests.
//!
//! Not here: the rules (`pack`, `sigma`), and the trial of the pack's (`trial`).

use std::sync::Arc;

use crate::calls::{DIMENSIONS, Dimension, MEASURES, Measure, Measures, Name};
use crate::rollup::{BUCKETS_PER_DAY, Row, bucket_start};

/// The first bucket of the day on which samples begin: 2026-01-01.
const FIRST_BUCKET: i64 = 20_454 * BUCKETS_PER_DAY;

/// Rows in which a rule must find something, or nothing.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub text: String,
    pub is_positive: bool,
    pub rows: Vec<Row>,
}

/// A sample that does not show what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSample {
    /// The rule.
    pub rule: String,
    /// The sample.
    pub sample: String,
    /// Whether the rule must find something in it.
    pub is_positive: bool,
}

impl Sample {
    /// Reads a sample.
    ///
    /// # Errors
    /// What is no field or no number, in words.
    pub fn parse(text: &str, is_positive: bool) -> Result<Self, String> {
        let rows = text.split(';').map(row).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), is_positive, rows })
    }

    /// The sample, if `shows` does not say of its rows what it should.
    pub fn failed(&self, rule: &str, shows: &impl Fn(&[Row]) -> bool) -> Option<FailedSample> {
        let Self { text, is_positive, rows } = self;
        let failed = || FailedSample { rule: rule.to_owned(), sample: text.clone(), is_positive: *is_positive };
        (shows(rows) != *is_positive).then(failed)
    }
}

fn row(text: &str) -> Result<Row, String> {
    let mut names: [Name; DIMENSIONS] = std::array::from_fn(|_| Name::default());
    names[Dimension::View as usize] = Name::new("egress");
    let mut measures = Measures([0; MEASURES.len()]);
    let mut bucket = FIRST_BUCKET;
    let is_counted = |measure: &str| text.split(',').any(|part| part.trim().starts_with(measure));
    if !is_counted("calls=") {
        measures.0[Measure::Calls as usize] = 1;
        measures.0[Measure::Ok as usize] = i64::from(!["ok=", "denied=", "client_error="].into_iter().any(is_counted));
    }
    for part in text.split(',').map(str::trim) {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}`: write field=value"))?;
        let number = || value.parse::<i64>().map_err(|_| format!("`{part}`: write a number"));
        if let Some(dimension) = Dimension::ALL.iter().find(|dimension| dimension.name() == name) {
            names[*dimension as usize] = Name::new(value);
        } else if let Some(index) = MEASURES.iter().position(|measure| measure.name == name) {
            measures.0[index] = number()?;
        } else if name == "day" {
            bucket += number()? * BUCKETS_PER_DAY;
        } else {
            let dimensions = Dimension::ALL.iter().map(|dimension| dimension.name());
            let known: Vec<&str> =
                dimensions.chain(MEASURES.iter().map(|measure| measure.name)).chain(["day"]).collect();
            return Err(format!("`{name}` is no field: there are {}", known.join(", ")));
        }
    }
    measures.0[Measure::FirstSeen as usize] = bucket_start(bucket);
    measures.0[Measure::LastSeen as usize] = bucket_start(bucket);
    Ok(Row { bucket, relation: Arc::new(names.into()), measures, trace_id: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_cannot_be_read_is_told_in_words() {
        let error = |text: &str| Sample::parse(text, true).unwrap_err();
        assert!(error("vendr=stripe").contains("`vendr` is no field: there are view"));
        assert!(error("calls=many").contains("write a number") && error("stripe").contains("field=value"));
    }
}
