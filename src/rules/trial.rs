//! The trial of the shipped pack by its own samples.
//!
//! Not here: samples of Sigma rules, which stand beside each of them (`sigma`).

use std::path::Path;

use super::memory::Memory;
use super::pack::{Builtin, RULES, SAMPLE_POLICY};
use super::policy::Policy;
use super::sample::{FailedSample, Sample};
use super::{Rules, Violation};
use crate::calls::VendorPack;
use crate::rollup::Row;

/// Samples of the shipped pack that do not show what they should, under the policy that all of them share.
///
/// # Errors
/// None in practice: a test reads every sample and the policy.
pub fn test_pack() -> Result<Vec<FailedSample>, String> {
    let failed = RULES.iter().map(failed_of).collect::<Result<Vec<_>, _>>()?;
    Ok(failed.into_iter().flatten().collect())
}

fn failed_of(rule: &Builtin) -> Result<Vec<FailedSample>, String> {
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    let vendors = VendorPack::embedded();
    let policy = || Policy::parse(Path::new("policy.toml"), SAMPLE_POLICY, &vendors, &names);
    let shows = |rows: &[Row]| {
        policy().is_ok_and(|policy| found(&Rules::new(policy, Vec::new()), rows).iter().any(|of| of.rule == rule.name))
    };
    policy().map_err(|error| error.to_string())?;
    let samples = rule.breaks.iter().map(|text| (*text, true)).chain(rule.keeps.iter().map(|text| (*text, false)));
    let samples = samples.map(|(text, is_positive)| Sample::parse(text, is_positive)).collect::<Result<Vec<_>, _>>()?;
    Ok(samples.iter().filter_map(|sample| sample.failed(rule.name, &shows)).collect())
}

/// Violations in rows, bucket by bucket.
fn found(rules: &Rules, rows: &[Row]) -> Vec<Violation> {
    let mut memory = Memory::default();
    let buckets = rows.chunk_by(|one, other| one.bucket == other.bucket);
    buckets.flat_map(|rows| rules.judge(rows, rows[0].bucket, &mut memory)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_the_pack_finds_what_its_samples_say_and_nothing_else() {
        assert_eq!(test_pack().unwrap(), []);
        for rule in RULES {
            assert!(!rule.breaks.is_empty() && !rule.keeps.is_empty(), "{} lacks samples", rule.name);
        }
    }
}
