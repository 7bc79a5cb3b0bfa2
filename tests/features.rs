//! Training and stream see the same numbers: what a history's replay shows of each pair is what the stream's entities hold.

mod common;

use apiwarden::features::{EntityId, EntityStore, FeatureVector, WindowSums, features_of};
use apiwarden::rollup::{Rollup, Row, rename_endpoints};
use common::{bundle, decode, later};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, seq::SliceRandom};

/// Rows and their features, with the templates and expectations of the bundle.
fn features(rollup: Rollup) -> Vec<(Row, FeatureVector)> {
    let templates = &bundle().templates;
    let rows =
        rename_endpoints(rollup.into_rows(), |relation| templates.renamed(relation.vendor(), relation.endpoint()));
    let vectors = features_of(&rows, bundle().expectations.columns(&rows)).expect("a rollup's columns");
    rows.into_iter().zip(vectors).collect()
}

/// The windows of every entity at the end of each bucket in which it called.
fn windows(rows: &[(Row, FeatureVector)]) -> Vec<(i64, EntityId, WindowSums)> {
    let mut store = EntityStore::<()>::default();
    let mut seen = Vec::new();
    for of_bucket in rows.chunk_by(|(a, _), (b, _)| a.bucket == b.bucket) {
        let bucket = of_bucket[0].0.bucket;
        store.advance(bucket);
        let mut touched = std::collections::BTreeSet::new();
        for (row, values) in of_bucket {
            store.add(
                row,
                values,
                |_| true,
                |index| {
                    touched.insert(index);
                },
            );
        }
        let state = |index| store.at(index).expect("a touched entity");
        seen.extend(
            touched.into_iter().map(|index| (bucket, state(index).entity.id(), state(index).windows.sums(bucket))),
        );
    }
    seen.sort_by_key(|(bucket, entity, _)| (*bucket, *entity));
    seen
}

/// Rows bucket by bucket, from small rollups that were merged in an order of chance.
fn streamed(calls: &apiwarden::calls::Calls, seed: u64) -> Vec<(Row, FeatureVector)> {
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut parts = Vec::new();
    let mut from = 0;
    while from < calls.len() {
        let size = random.gen_range(1..400);
        parts.push(Rollup::of(&calls.slice(from..from + size)));
        from += size;
    }
    parts.shuffle(&mut random);
    let mut open = Rollup::default();
    parts.into_iter().for_each(|part| open.merge(part));
    let mut rows = Vec::new();
    while let Some(bucket) = open.first_bucket() {
        rows.extend(features(open.split_before(bucket + 1)));
    }
    rows
}

#[test]
fn windows_of_a_whole_history_equal_those_of_its_parts_in_any_order() {
    let calls = decode(&later("2026-09-16T00", "2026-09-17T05")).0;
    let offline = features(Rollup::of(&calls));
    assert!(offline.len() > 1000, "{} rows are too few to tell", offline.len());
    let offline = windows(&offline);
    proptest!(ProptestConfig { cases: 4, ..ProptestConfig::default() }, |(seed in any::<u64>())| {
        let streamed = windows(&streamed(&calls, seed));
        prop_assert_eq!(offline.len(), streamed.len());
        for (offline, streamed) in offline.iter().zip(&streamed) {
            prop_assert_eq!(offline, streamed);
        }
    });
}
