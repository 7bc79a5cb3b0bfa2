//! Training and stream see the same numbers: features of a whole history equal features of its parts, in any order.

mod common;

use apiwarden::features::{FeatureRow, feature_rows};
use apiwarden::rollup::Rollup;
use common::{bundle, decode, later};
use polars::prelude::*;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, seq::SliceRandom};

/// Features of a rollup, with the templates and expectations of the bundle.
fn features(rollup: Rollup) -> Vec<FeatureRow> {
    let endpoints = rollup.endpoints().expect("a rollup's columns");
    let names: Vec<_> = endpoints.map(|(_, vendor, endpoint)| bundle().templates.renamed(vendor, endpoint)).collect();
    let rollup = rollup.with_endpoints(&names).expect("a name a row");
    let expectations = bundle().expectations.columns(&rollup).expect("a rollup's columns");
    feature_rows(&rollup, expectations).expect("a rollup's columns")
}

/// Features bucket by bucket, from small rollups that were merged in an order of chance.
fn streamed(calls: &DataFrame, seed: u64) -> Vec<FeatureRow> {
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut parts = Vec::new();
    let mut from = 0;
    while from < calls.height() {
        let size = random.gen_range(1..400);
        parts.push(Rollup::of(&calls.slice(from as i64, size)).expect("calls"));
        from += size;
    }
    while parts.len() > 1 {
        parts.shuffle(&mut random);
        let group = parts.split_off(parts.len() - random.gen_range(2..=parts.len().min(20)));
        parts.push(Rollup::merge(group).expect("rollups"));
    }
    let mut rest = parts.pop().expect("a part");
    let mut rows = Vec::new();
    while let Some(bucket) = rest.first_bucket() {
        let (closed, open) = rest.split_before(bucket + 1).expect("a rollup's columns");
        rows.extend(features(closed));
        rest = open;
    }
    rows
}

#[test]
fn features_offline_equal_features_streamed() {
    let calls = decode(&later("2026-09-16T00", "2026-09-17T05")).0;
    let offline = features(Rollup::of(&calls).expect("calls"));
    assert!(offline.len() > 1000, "{} rows are too few to tell", offline.len());
    proptest!(ProptestConfig { cases: 4, ..ProptestConfig::default() }, |(seed in any::<u64>())| {
        let streamed = streamed(&calls, seed);
        prop_assert_eq!(offline.len(), streamed.len());
        for (offline, streamed) in offline.iter().zip(&streamed) {
            prop_assert_eq!(offline, streamed);
        }
    });
}
