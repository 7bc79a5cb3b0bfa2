//! What a rule of one line would rank first: the baselines that a score of audit records must beat.
//!
//! Not here: the score itself (`models::audit`), and how a ranking is rated (`ranking`).

use std::collections::{BTreeMap, BTreeSet};

use crate::calls::{Calls, Name, StepClass};
use crate::models::audit::Row;

/// Names of the baselines, in the order of [`baselines`].
pub const BASELINES: [&str; 3] =
    ["a change (not read-only)", "rarity of the operation", "first change of its kind by the principal"];

/// The scores (record's hash → score, higher is stranger) that each of [`BASELINES`] gives audit records, in batches of any order.
pub fn baselines(batches: &[Calls]) -> [BTreeMap<u64, f64>; BASELINES.len()] {
    let all = batches.iter().flat_map(|calls| {
        let row = |call| Some((Row::of_call(call, calls.relation(call))?, call.record?.get()));
        calls.rows().iter().filter_map(row)
    });
    let mut records: Vec<_> = all.collect();
    records.sort_by_key(|(row, _)| row.time);
    let mut counts: BTreeMap<&Name, u32> = BTreeMap::new();
    for (row, _) in &records {
        *counts.entry(row.operation).or_default() += 1;
    }
    let mut seen = BTreeSet::new();
    let mut scores: [BTreeMap<u64, f64>; BASELINES.len()] = Default::default();
    for (row, record) in &records {
        let changes = changes(row.step);
        let is_first = seen.insert((row.whose(), row.operation.clone()));
        let rarity = -f64::from(counts.get(row.operation).copied().unwrap_or_default());
        let of_record = [f64::from(u8::from(changes)), rarity, f64::from(u8::from(changes && is_first))];
        scores.iter_mut().zip(of_record).for_each(|(scores, score)| {
            scores.insert(*record, score);
        });
    }
    scores
}

/// Whether a step is no look at things. The class follows the record's own word, where it has one.
fn changes(step: StepClass) -> bool {
    !matches!(step, StepClass::Login | StepClass::Identity | StepClass::List | StepClass::Read | StepClass::Secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_is_no_change() {
        let is_change = |operation| changes(StepClass::of(operation));
        assert!(is_change("s3:PutObject") && is_change("iam:CreateUser") && is_change("ec2:CreateSnapshot"));
        assert!(!is_change("s3:GetObject") && !is_change("sts:GetCallerIdentity"));
        assert!(!is_change("secretsmanager:GetSecretValue"));
    }
}
