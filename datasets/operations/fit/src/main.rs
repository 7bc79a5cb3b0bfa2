//! Fits the classifier that tells an operation's access level by the words of its name: a multinomial logistic regression
//! (linfa-logistic, L-BFGS, L2 penalty 1) over AWS's actions.
//!
//! ```sh
//! cargo run --release                 # fits word-weights.tsv.gz anew
//! cargo run --release -- --check      # leaves whole services out, five times, and reports what is right
//! ```
//!
//! Deterministic: the same table gives the same file.
//!
//! Not here: how the program uses the weights (`src/calls/operation/level.rs`).

#[path = "../../../../src/calls/operation/words.rs"]
mod words;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::MultiLogisticRegression;
use ndarray::{Array1, Array2};
use words::{features_of, words_of};

const LEVELS: [&str; 5] = ["list", "read", "write", "tagging", "permissions"];
/// Levels up to this one change nothing.
const READ: usize = 1;
/// Actions that a feature must be seen in.
const MIN_ACTIONS: usize = 3;
const ITERATIONS: u64 = 100;
const FOLDS: u64 = 5;
/// Weights are stored as hundredths: the program's `SCALE`.
const HUNDREDTHS: f64 = 100.0;

struct Action {
    service: String,
    features: Vec<String>,
    level: usize,
}

struct Classifier {
    features: BTreeMap<String, usize>,
    weights: Array2<f64>,
    intercept: Array1<f64>,
}

impl Classifier {
    fn fit(actions: &[&Action]) -> Result<Self, Box<dyn Error>> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for feature in actions.iter().flat_map(|action| &action.features) {
            *counts.entry(feature).or_default() += 1;
        }
        let common = counts.into_iter().filter(|(_, count)| *count >= MIN_ACTIONS);
        let features: BTreeMap<String, usize> =
            common.enumerate().map(|(column, (feature, _))| (feature.to_owned(), column)).collect();
        let mut rows = Array2::zeros((actions.len(), features.len()));
        for (row, action) in actions.iter().enumerate() {
            for column in action.features.iter().filter_map(|feature| features.get(feature)) {
                rows[(row, *column)] = 1.0;
            }
        }
        let levels: Array1<usize> = actions.iter().map(|action| action.level).collect();
        let regression =
            MultiLogisticRegression::default().alpha(1.0).max_iterations(ITERATIONS).gradient_tolerance(1e-2);
        let fitted = regression.fit(&DatasetBase::new(rows, levels))?;
        Ok(Self { features, weights: fitted.params().to_owned(), intercept: fitted.intercept().to_owned() })
    }

    fn level(&self, action: &Action) -> usize {
        let columns = action.features.iter().filter_map(|feature| self.features.get(feature));
        let scores = columns.fold(self.intercept.clone(), |sums, column| sums + self.weights.row(*column));
        (0..LEVELS.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or_default()
    }

    /// A line a feature, with its weight for each level; first the intercept.
    fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let mut file = GzBuilder::new().write(File::create(path)?, Compression::best());
        let mut line = |feature: &str, weights: Vec<f64>| {
            let weights: Vec<String> =
                weights.iter().map(|weight| format!("{}", (weight * HUNDREDTHS).round() as i32)).collect();
            writeln!(file, "{feature}\t{}", weights.join("\t"))
        };
        line("", self.intercept.to_vec())?;
        for (feature, column) in &self.features {
            line(feature, self.weights.row(*column).to_vec())?;
        }
        file.finish()?;
        Ok(())
    }
}

fn actions(path: &Path) -> Result<Vec<Action>, Box<dyn Error>> {
    let mut text = String::new();
    GzDecoder::new(File::open(path)?).read_to_string(&mut text)?;
    let action = |line: &str| {
        let mut fields = line.split('\t');
        let (service, name, level) = (fields.next()?, fields.next()?, fields.next()?);
        let level = LEVELS.iter().position(|known| *known == level)?;
        Some(Action { service: service.to_owned(), features: features_of(&words_of(name)), level })
    };
    text.lines().skip(1).map(|line| action(line).ok_or_else(|| format!("not an action: {line}").into())).collect()
}

/// FNV-1a: which fold a service is of.
fn fold_of(service: &str) -> u64 {
    service.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        % FOLDS
}

/// The share of actions of services left out whose level is right, and whose reading or writing is.
fn check(actions: &[Action]) -> Result<[f64; 2], Box<dyn Error>> {
    let mut right = [0, 0];
    for fold in 0..FOLDS {
        let (left_out, kept): (Vec<&Action>, Vec<&Action>) =
            actions.iter().partition(|action| fold_of(&action.service) == fold);
        let classifier = Classifier::fit(&kept)?;
        for action in left_out {
            let level = classifier.level(action);
            right[0] += usize::from(level == action.level);
            right[1] += usize::from((level <= READ) == (action.level <= READ));
        }
    }
    Ok(right.map(|right| right as f64 / actions.len() as f64))
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let actions = actions(&directory.join("aws-access-levels.tsv.gz"))?;
    if std::env::args().any(|argument| argument == "--check") {
        let [level, write] = check(&actions)?;
        println!("services left out: {level:.4} of levels right, {write:.4} of write against read");
        return Ok(());
    }
    Classifier::fit(&actions.iter().collect::<Vec<_>>())?.write(&directory.join("word-weights.tsv.gz"))
}
