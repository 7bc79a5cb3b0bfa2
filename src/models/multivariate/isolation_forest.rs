//! Extended isolation forest, our own implementation: how few random cuts isolate a row.
//!
//! A tree cuts a sample of the rows by random hyperplanes until each is isolated; anomalies are isolated early. The score is
//! `2^(-E[h] / c(n))` over the path lengths h (Liu, Ting & Zhou, ICDM 2008). A cut uses one or several columns (Hariri, Carrasco
//! Kind & Brunner, TKDE 2019); how many is drawn for each cut, as single columns find what is unusual in one number and several
//! what is unusual in a combination. Columns are weighted by the inverse of their standard deviation among the node's rows, and
//! the threshold is uniform over the rows' projections, so that no side is empty; with at most one column it is the standard
//! forest. Contributions credit the columns of the cuts along the row's own paths, after DIFFI (Carletti, Terzi & Susto, arXiv
//! 2007.11117).
//!
//! Not here: scaling (`scaling`), and which score is anomalous (`ensemble`).

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::Rng;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::{Checked, FitError, ModelSpec, Random, Score, readable, shares, standard_normal};

/// Most columns of one cut: a node then fits in 24 bytes, a tree of 1,024 rows in the first-level cache.
const MAX_COLUMNS: usize = 3;
/// Most rows per tree: its nodes have indices of 16 bits.
const MAX_ROWS: u32 = 1 << 14;
/// Most trees of a forest.
const MAX_TREES: u32 = 1_000;
/// Standard deviation, in that of the scaled column, below which a column of a node counts as constant.
const CONSTANT: f32 = 1e-9;
/// Rows that descend a tree side by side, so that memory accesses overlap.
const LANES: usize = 8;
/// Rows that are scored by all trees before the next rows: they and one tree stay in the cache.
const BLOCK: usize = 16 * LANES;
const NAME: &str = "isolation_forest";

/// The forest as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// Number of trees.
    pub trees: u32,
    /// Number of rows that each tree is grown on, drawn without replacement.
    pub rows_per_tree: u32,
    /// Most columns of a cut, whose number is drawn from 1 to this; 1 is the standard forest.
    pub columns_per_split: u32,
}

impl Default for Spec {
    fn default() -> Self {
        Self { trees: 200, rows_per_tree: 512, columns_per_split: MAX_COLUMNS as u32 }
    }
}

impl ModelSpec for Spec {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "few random cuts isolate the row";
    type Fitted = Fitted;

    fn validate(&self) -> Result<(), FitError> {
        let wrong = |field, problem| Err(FitError::Field { model: NAME, field, problem });
        if !(1..=MAX_TREES).contains(&self.trees) {
            return wrong("trees", "must be 1 to 1,000");
        }
        if !(2..=MAX_ROWS).contains(&self.rows_per_tree) {
            return wrong("rows_per_tree", "must be 2 to 16,384");
        }
        if !(1..=MAX_COLUMNS as u32).contains(&self.columns_per_split) {
            return wrong("columns_per_split", "must be 1 to 3");
        }
        Ok(())
    }

    fn fit(spec: &Checked<Self>, rows: ArrayView2<'_, f64>, random: &mut Random) -> Result<Fitted, FitError> {
        if rows.ncols() > usize::from(u16::MAX) {
            return Err(FitError::TooFew { rows: rows.nrows(), columns: rows.ncols() });
        }
        let rows = rows.as_standard_layout().mapv(|value| value as f32);
        let rows_per_tree = rows.nrows().min(spec.rows_per_tree as usize);
        let depth_limit = (rows_per_tree as f64).log2().ceil() as u32;
        let mut grower = Grower {
            rows: &rows,
            depth_limit,
            columns_per_split: spec.columns_per_split as usize,
            columns: (0..rows.ncols() as u16).collect(),
            random,
        };
        let trees = (0..spec.trees).map(|_| grower.grow(rows_per_tree)).collect();
        let centre = rows.mean_axis(Axis(0)).map_or_else(Vec::new, |mean| mean.to_vec());
        Ok(Fitted { trees, centre, depth_limit, usual_path: usual_path(rows_per_tree) })
    }
}

/// A grown forest.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fitted {
    trees: Vec<Tree>,
    /// Mean of each column (n_columns), from which contributions are measured.
    centre: Vec<f32>,
    /// Most cuts on a path.
    depth_limit: u32,
    /// `c(n)` of the rows per tree, in cuts.
    usual_path: f64,
}

/// A tree in flat arrays (n_nodes); the root has index 0, and a node's children are adjacent.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tree {
    nodes: Vec<Node>,
    /// Path length of a row that ends here, in cuts.
    paths: Vec<f32>,
    /// Number of training rows that passed the node.
    counts: Vec<u16>,
}

/// A cut: rows whose projection is above the threshold go right. A leaf separates nothing and is its own left child, so that a
/// descent of fixed length needs no branch.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Node {
    weights: [f32; MAX_COLUMNS],
    threshold: f32,
    columns: [u16; MAX_COLUMNS],
    left: u16,
}

impl Node {
    fn leaf(index: usize) -> Self {
        Self { weights: [0.0; MAX_COLUMNS], threshold: f32::INFINITY, columns: [0; MAX_COLUMNS], left: index as u16 }
    }

    #[inline]
    fn project(&self, row: &[f32]) -> f32 {
        let [first, second, third] = self.columns.map(usize::from);
        let [a, b, c] = self.weights;
        a * row[first] + b * row[second] + c * row[third]
    }

    /// The child on the row's side.
    #[inline]
    fn next(&self, row: &[f32]) -> usize {
        usize::from(self.left) + usize::from(self.project(row) > self.threshold)
    }
}

impl Tree {
    fn push_leaf(&mut self, count: usize, depth: u32) {
        self.nodes.push(Node::leaf(self.nodes.len()));
        self.paths.push(depth as f32 + usual_path(count) as f32);
        self.counts.push(count as u16);
    }

    /// Adds the path length, in cuts, of each of `ROWS` rows, which lie one after the other in `rows`, to `sums` (`ROWS`).
    fn add_paths<const ROWS: usize>(&self, rows: &[f32], depth_limit: u32, sums: &mut [f64]) {
        let width = rows.len() / ROWS;
        let mut nodes = [0; ROWS];
        for _ in 0..depth_limit {
            for (node, row) in nodes.iter_mut().zip(rows.chunks_exact(width)) {
                *node = self.nodes[*node].next(row);
            }
        }
        for (sum, node) in sums.iter_mut().zip(nodes) {
            *sum += f64::from(self.paths[node]);
        }
    }

    /// Credits the cuts on the row's path: less with depth, and more the smaller the row's side is; among the columns of a cut by
    /// how far each moved the projection from that of the centre.
    fn credit(&self, row: &[f32], centre: &[f32], credits: &mut Array1<f64>) {
        let (mut index, mut depth) = (0, 1.0);
        loop {
            let node = &self.nodes[index];
            let next = node.next(row);
            if next == index {
                return;
            }
            let bits = (f64::from(self.counts[index]) / f64::from(self.counts[next].max(1))).log2();
            let moves = node.columns.iter().zip(node.weights).map(|(column, weight)| {
                let column = usize::from(*column);
                (column, f64::from((weight * (row[column] - centre[column])).abs()))
            });
            let sum: f64 = moves.clone().map(|(_, moved)| moved).sum();
            if sum > 0.0 {
                moves.for_each(|(column, moved)| credits[column] += bits / depth * moved / sum);
            }
            (index, depth) = (next, depth + 1.0);
        }
    }
}

impl Score for Fitted {
    fn score(&self, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        let rows = readable(rows);
        let width = rows.ncols();
        let mut scores = Array1::zeros(rows.nrows());
        let mut block = vec![0.0_f32; BLOCK * width];
        for (rows, mut scores) in rows.axis_chunks_iter(Axis(0), BLOCK).zip(scores.axis_chunks_iter_mut(Axis(0), BLOCK))
        {
            block.iter_mut().zip(&rows).for_each(|(cell, value)| *cell = *value as f32);
            let (lanes, rest) = block[..rows.len()].split_at(rows.nrows() / LANES * LANES * width);
            let mut sums = [0.0; BLOCK];
            let (lane_sums, rest_sums) = sums.split_at_mut(lanes.len() / width);
            for tree in &self.trees {
                for (lane, sums) in lanes.chunks_exact(LANES * width).zip(lane_sums.chunks_exact_mut(LANES)) {
                    tree.add_paths::<LANES>(lane, self.depth_limit, sums);
                }
                for (row, sum) in rest.chunks_exact(width).zip(rest_sums.chunks_exact_mut(1)) {
                    tree.add_paths::<1>(row, self.depth_limit, sum);
                }
            }
            let usual = self.trees.len() as f64 * self.usual_path;
            scores.iter_mut().zip(sums).for_each(|(score, sum)| *score = (-sum / usual).exp2());
        }
        scores
    }

    fn contributions(&self, row: ArrayView1<'_, f64>) -> Array1<f64> {
        let row: Vec<f32> = readable(row.insert_axis(Axis(0))).iter().map(|value| *value as f32).collect();
        let mut credits = Array1::zeros(row.len());
        self.trees.iter().for_each(|tree| tree.credit(&row, &self.centre, &mut credits));
        shares(credits)
    }
}

/// Grows trees on samples of the rows.
struct Grower<'a> {
    rows: &'a Array2<f32>,
    depth_limit: u32,
    columns_per_split: usize,
    /// The columns (n_columns), in an order that each draw shuffles further.
    columns: Vec<u16>,
    random: &'a mut Random,
}

impl Grower<'_> {
    fn grow(&mut self, rows_per_tree: usize) -> Tree {
        let mut sample = index::sample(self.random, self.rows.nrows(), rows_per_tree).into_vec();
        let mut tree = Tree::default();
        tree.push_leaf(sample.len(), 0);
        let mut open = vec![(0, &mut sample[..], 0)];
        while let Some((index, sample, depth)) = open.pop() {
            if depth == self.depth_limit || sample.len() < 2 {
                continue;
            }
            let Some(mut node) = self.draw(sample) else { continue };
            let (left, right) = partition(sample, |row| node.project(self.row(row)) > node.threshold);
            node.left = tree.nodes.len() as u16;
            tree.nodes[index] = node;
            for side in [left, right] {
                let child = tree.nodes.len();
                tree.push_leaf(side.len(), depth + 1);
                open.push((child, side, depth + 1));
            }
        }
        tree
    }

    fn row(&self, row: usize) -> &[f32] {
        let width = self.columns.len();
        // `fit` laid the rows out one after the other.
        self.rows.as_slice().map_or(&[], |cells| &cells[row * width..(row + 1) * width])
    }

    /// A cut through the sample; none where its rows are all the same.
    fn draw(&mut self, sample: &[usize]) -> Option<Node> {
        let mut node = Node::leaf(0);
        let wanted = self.random.gen_range(1..=self.columns_per_split);
        let mut chosen = 0;
        for index in 0..self.columns.len() {
            let other = self.random.gen_range(index..self.columns.len());
            self.columns.swap(index, other);
            let column = self.columns[index];
            let deviation = self.deviation(sample, usize::from(column));
            if deviation > CONSTANT {
                node.columns[chosen] = column;
                node.weights[chosen] = standard_normal(self.random) as f32 / deviation;
                chosen += 1;
            }
            if chosen == wanted {
                break;
            }
        }
        let (least, most) = sample
            .iter()
            .map(|row| node.project(self.row(*row)))
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), at| (least.min(at), most.max(at)));
        if least < most {
            node.threshold = self.random.gen_range(least..most);
            return Some(node);
        }
        None
    }

    fn deviation(&self, sample: &[usize], column: usize) -> f32 {
        let n = sample.len() as f32;
        let mean = sample.iter().map(|row| self.rows[[*row, column]]).sum::<f32>() / n;
        (sample.iter().map(|row| (self.rows[[*row, column]] - mean).powi(2)).sum::<f32>() / n).sqrt()
    }
}

/// Reorders a sample (indices of rows) so that the rows that go right come last, and splits it there.
fn partition(sample: &mut [usize], goes_right: impl Fn(usize) -> bool) -> (&mut [usize], &mut [usize]) {
    let mut lefts = 0;
    for index in 0..sample.len() {
        if !goes_right(sample[index]) {
            sample.swap(index, lefts);
            lefts += 1;
        }
    }
    sample.split_at_mut(lefts)
}

/// `c(n)`, in cuts: mean path length of an unsuccessful search in a binary tree of n rows, the rest of the path below a leaf of n.
fn usual_path(rows: usize) -> f64 {
    const EULER_MASCHERONI: f64 = 0.577_215_664_901_532_9;
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let n = rows as f64;
            2.0 * ((n - 1.0).ln() + EULER_MASCHERONI) - 2.0 * (n - 1.0) / n
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::tests::rows;
    use super::*;

    fn fitted(spec: Spec) -> Fitted {
        Spec::fit(&spec.check().unwrap(), rows(500, 1).view(), &mut Random::seed_from_u64(3)).unwrap()
    }

    #[test]
    fn with_one_column_a_cut_it_is_the_standard_forest() {
        let seen = rows(500, 1);
        for node in fitted(Spec { columns_per_split: 1, ..Spec::default() }).trees.iter().flat_map(|tree| &tree.nodes) {
            assert_eq!(node.weights[1..], [0.0, 0.0]);
            if node.threshold.is_finite() {
                let cut = f64::from(node.threshold / node.weights[0]);
                let column = seen.column(usize::from(node.columns[0]));
                assert!(
                    column.iter().any(|value| *value <= cut + 1e-5) && column.iter().any(|value| *value >= cut - 1e-5)
                );
            }
        }
    }

    #[test]
    fn no_side_of_a_cut_is_empty_and_no_row_is_lost() {
        for tree in fitted(Spec::default()).trees {
            for (index, node) in tree.nodes.iter().enumerate().filter(|(_, node)| node.threshold.is_finite()) {
                let left = usize::from(node.left);
                assert!(tree.counts[left] > 0 && tree.counts[left + 1] > 0);
                assert_eq!(tree.counts[index], tree.counts[left] + tree.counts[left + 1]);
            }
        }
    }

    #[test]
    fn usual_rows_score_about_a_half_as_published() {
        let scores = fitted(Spec::default()).score(rows(300, 2).view());
        let mean = scores.mean().unwrap();
        assert!((0.4..0.55).contains(&mean), "{mean}");
    }
}
