//! The multivariate models on public tables with labels, beside the figures of the libraries that a user would pick instead.
//!
//! `APIWARDEN_TABLES` is a folder of `NAME.parquet` or `NAME.csv` (numeric columns and `label`, 1 = anomaly): ADBench's tables, or
//! what `public_tables.py` makes of sets that are no tables.
//! `APIWARDEN_REFERENCE` is a CSV of the others' figures on the same rows (dataset, protocol, method, `seed_mean_auroc`,
//! `seed_mean_ap`); optional. Two protocols: *semi* fits on half of the normal rows and scores all others, *unsup* fits on
//! all rows and scores the same. Which rows those are follows from integer arithmetic, so that any language can repeat it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use apiwarden::models::multivariate::{MODELS, ModelKind, Multivariate, Scaling};
use ndarray::{Array2, ArrayView2, Axis};
use polars::prelude::{DataType, SerReader};
use polars_io::parquet::read::ParquetReader;

const SEEDS: [u64; 3] = [0, 1, 2];
/// Larger tables are thinned to so many rows, with at least so many anomalies of those that there are.
const MAX_ROWS: usize = 20_000;
const MIN_ANOMALIES: usize = 100;
const OURS: [&str; 5] = ["forest", "standard", "neighbours", "mixture", "fused"];
/// Others that are shown table by table; of all that the reference holds, the best on the mean is named below.
const OTHERS: [&str; 4] = ["sklearn_iforest", "pyod_knn", "sklearn_gmm_bic", "isotree_fcf"];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let Some(folder) = std::env::var_os("APIWARDEN_TABLES").map(PathBuf::from) else {
        println!(
            "tables: set APIWARDEN_TABLES to a folder of ADBench tables in parquet to measure the multivariate models on them"
        );
        return Ok(());
    };
    let reference =
        std::env::var_os("APIWARDEN_REFERENCE").map_or_else(|| Ok(BTreeMap::new()), |path| reference(path.as_ref()))?;
    speed()?;
    for protocol in [Protocol::Semi, Protocol::Unsup] {
        report(protocol, &folder, &reference)?;
    }
    Ok(())
}

/// AUROC and average precision.
#[derive(Clone, Copy, Default)]
struct Quality {
    auroc: f64,
    precision: f64,
}

impl Quality {
    fn mean(of: &[Self]) -> Self {
        let n = of.len().max(1) as f64;
        Self {
            auroc: of.iter().map(|quality| quality.auroc).sum::<f64>() / n,
            precision: of.iter().map(|quality| quality.precision).sum::<f64>() / n,
        }
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Semi,
    Unsup,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Semi => "semi",
            Self::Unsup => "unsup",
        }
    }

    /// Places of the rows that are fitted on, in the order of their keys, and of those that are scored.
    fn split(self, table: &Table, seed: u64) -> (Vec<usize>, Vec<usize>) {
        let all = 0..table.anomalous.len();
        let mut train: Vec<usize> = match self {
            Self::Semi => all.clone().filter(|row| !table.anomalous[*row]).collect(),
            Self::Unsup => all.clone().collect(),
        };
        train.sort_by_key(|row| key(seed, *row));
        if let Self::Unsup = self {
            return (train, all.collect());
        }
        train.truncate(train.len() / 2);
        let fitted: std::collections::HashSet<usize> = train.iter().copied().collect();
        (train, all.filter(|row| !fitted.contains(row)).collect())
    }
}

type Reference = BTreeMap<(String, String, String), Quality>;

fn reference(path: &Path) -> Outcome<Reference> {
    let mut qualities = Reference::new();
    for record in csv::Reader::from_path(path)?.deserialize::<BTreeMap<String, String>>() {
        let record = record?;
        let field =
            |name: &str| record.get(name).cloned().ok_or_else(|| format!("{}: no column {name}", path.display()));
        let quality = Quality { auroc: field("seed_mean_auroc")?.parse()?, precision: field("seed_mean_ap")?.parse()? };
        qualities.insert((field("dataset")?, field("protocol")?, field("method")?), quality);
    }
    Ok(qualities)
}

fn report(protocol: Protocol, folder: &Path, reference: &Reference) -> Outcome<()> {
    println!("\n{}: average precision / AUROC, mean of {} seeds", protocol.name(), SEEDS.len());
    print!("{:<18}", "table");
    OURS.iter().chain(&OTHERS).for_each(|name| print!("{name:>16}"));
    println!();
    let mut columns = vec![Vec::new(); OURS.len() + OTHERS.len()];
    let mut names = Vec::new();
    for path in tables(folder)? {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let table = Table::read(&path)?;
        let runs = SEEDS.iter().map(|seed| run(protocol, &table, *seed)).collect::<Outcome<Vec<_>>>()?;
        let ours =
            (0..OURS.len()).map(|method| Some(Quality::mean(&runs.iter().map(|run| run[method]).collect::<Vec<_>>())));
        let theirs =
            OTHERS.map(|method| reference.get(&(name.clone(), protocol.name().into(), method.into())).copied());
        print!("{name:<18}");
        for (column, quality) in columns.iter_mut().zip(ours.chain(theirs)) {
            show(quality);
            column.extend(quality);
        }
        println!();
        names.push(name);
    }
    print!("{:<18}", "mean");
    columns.iter().for_each(|column| show((!column.is_empty()).then(|| Quality::mean(column))));
    println!();
    if let Some((method, quality)) = best_other(protocol, &names, reference) {
        println!("best of the others: {method}, {:.3} / {:.3}", quality.precision, quality.auroc);
    }
    Ok(())
}

/// The method of the reference with the best mean average precision over the tables.
fn best_other(protocol: Protocol, tables: &[String], reference: &Reference) -> Option<(String, Quality)> {
    let mut methods: BTreeMap<&str, Vec<Quality>> = BTreeMap::new();
    for ((table, of, method), quality) in reference {
        if of == protocol.name() && tables.contains(table) {
            methods.entry(method).or_default().push(*quality);
        }
    }
    let whole = methods.into_iter().filter(|(_, qualities)| qualities.len() == tables.len());
    whole
        .map(|(method, qualities)| (method.to_owned(), Quality::mean(&qualities)))
        .max_by(|a, b| a.1.precision.total_cmp(&b.1.precision))
}

fn show(quality: Option<Quality>) {
    let text = quality.map_or_else(|| "-".into(), |quality| format!("{:.3} / {:.3}", quality.precision, quality.auroc));
    print!("{text:>16}");
}

/// The quality of each of [`OURS`].
fn run(protocol: Protocol, table: &Table, seed: u64) -> Outcome<Vec<Quality>> {
    let (train, scored) = protocol.split(table, seed);
    let (fitted, seen) = (table.cells.select(Axis(0), &train), table.cells.select(Axis(0), &scored));
    let anomalous: Vec<bool> = scored.iter().map(|row| table.anomalous[*row]).collect();
    let scaling = Scaling::fit(fitted.view());
    let (scaled, scaled_seen) = (scaling.transform(fitted.view()), scaling.transform(seen.view()));
    let alone = |kind: &'static ModelKind, section: &toml::Table| -> Outcome<Vec<f64>> {
        Ok(kind.fit(section, scaled.view(), seed)?.score(scaled_seen.view()).to_vec())
    };
    let standard = toml::toml! {
        columns_per_split = 1
        rows_per_tree = 256
        trees = 100
    };
    let defaults = toml::Table::new();
    let scores = [
        alone(&MODELS[0], &defaults)?,
        alone(&MODELS[0], &standard)?,
        alone(&MODELS[1], &defaults)?,
        alone(&MODELS[2], &defaults)?,
        fused(fitted.view(), seen.view(), seed)?,
    ];
    Ok(scores.iter().map(|scores| quality(scores, &anomalous)).collect())
}

/// The multivariate models as they ship.
fn fused(rows: ArrayView2<'_, f64>, seen: ArrayView2<'_, f64>, seed: u64) -> Outcome<Vec<f64>> {
    let columns: Vec<String> = (0..rows.ncols()).map(|column| format!("f{column}")).collect();
    Ok(Multivariate::fit(rows, &columns, seed)?.oddness(seen))
}

/// Rows a second, of 24 columns, for each model.
fn speed() -> Outcome<()> {
    const ROWS: usize = 20_000;
    let uniform = |cell: usize| key(7, cell) as f64 / u64::MAX as f64;
    // Twelve uniform numbers less six are near enough to a standard normal one.
    let rows = Array2::from_shape_fn((ROWS, 24), |(row, column)| {
        (0..12).map(|part| uniform((row * 24 + column) * 12 + part)).sum::<f64>() - 6.0
    });
    println!("{:<18}{:>12}{:>16}{:>20}{:>12}", "24 columns", "fit s", "scored rows/s", "one row a call, us", "bytes");
    for kind in MODELS {
        let begin = Instant::now();
        let fitted = kind.fit(&toml::Table::new(), rows.view(), 1)?;
        let fit = begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        fitted.score(rows.view());
        let score = begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        rows.axis_chunks_iter(Axis(0), 1).take(1_000).for_each(|row| drop(fitted.score(row)));
        let single = begin.elapsed().as_secs_f64() * 1e3;
        let rate = ROWS as f64 / score;
        println!("{:<18}{fit:>12.2}{rate:>16.0}{single:>20.1}{:>12}", kind.name, fitted.save()?.len());
    }
    Ok(())
}

fn tables(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    let mut tables: Vec<_> = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|kind| kind == "parquet" || kind == "csv"))
        .collect();
    tables.sort_by_key(|path| path.to_string_lossy().to_lowercase());
    Ok(tables)
}

struct Table {
    /// (n_rows, n_columns)
    cells: Array2<f64>,
    anomalous: Vec<bool>,
}

impl Table {
    fn read(path: &Path) -> Outcome<Self> {
        let table =
            if path.extension().is_some_and(|kind| kind == "csv") { Self::csv(path) } else { Self::parquet(path) };
        table.map(Self::thinned)
    }

    fn csv(path: &Path) -> Outcome<Self> {
        let mut reader = csv::Reader::from_path(path)?;
        let label = reader.headers()?.iter().position(|name| name == "label").ok_or("no column `label`")?;
        let (mut cells, mut anomalous, mut width) = (Vec::new(), Vec::new(), 0);
        for record in reader.records() {
            let mut row = record?.iter().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
            anomalous.push(row.remove(label) > 0.5);
            width = row.len();
            cells.extend(row);
        }
        Ok(Self { cells: Array2::from_shape_vec((anomalous.len(), width), cells)?, anomalous })
    }

    fn parquet(path: &Path) -> Outcome<Self> {
        let frame = ParquetReader::new(File::open(path)?).finish()?;
        let mut cells = Vec::new();
        let mut anomalous = Vec::new();
        for column in frame.columns() {
            let column = column.cast(&DataType::Float64)?;
            let values = column.f64()?.iter().map(|value| value.unwrap_or(f64::NAN));
            match column.name().as_str() {
                "label" => anomalous = values.map(|value| value > 0.5).collect(),
                _ => cells.extend(values),
            }
        }
        let cells = Array2::from_shape_vec((frame.width() - 1, frame.height()), cells)?.reversed_axes();
        Ok(Self { cells, anomalous })
    }

    fn thinned(self) -> Self {
        let n = self.anomalous.len();
        if n <= MAX_ROWS {
            return self;
        }
        let places = |anomalous: bool| (0..n).filter(|row| self.anomalous[*row] == anomalous).collect::<Vec<_>>();
        let (normal, strange) = (places(false), places(true));
        let share = (strange.len() as f64 * MAX_ROWS as f64 / n as f64).round_ties_even() as usize;
        let wanted = strange.len().min(MIN_ANOMALIES).max(share);
        let mut kept = every(&normal, MAX_ROWS - wanted);
        kept.extend(every(&strange, wanted));
        kept.sort_unstable();
        let anomalous = kept.iter().map(|row| self.anomalous[*row]).collect();
        Self { cells: self.cells.select(Axis(0), &kept), anomalous }
    }
}

/// `count` of the places, evenly.
fn every(places: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(places.len());
    (0..count).map(|place| places[place * places.len() / count]).collect()
}

/// A row's key: splitmix64 (Steele, Lea & Flood 2014).
fn key(seed: u64, row: usize) -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut z = seed.wrapping_mul(STEP).wrapping_add(row as u64).wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Rows of one score are one step of the threshold.
fn quality(scores: &[f64], anomalous: &[bool]) -> Quality {
    let mut ranked: Vec<(f64, bool)> = scores.iter().copied().zip(anomalous.iter().copied()).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let strange = anomalous.iter().filter(|anomalous| **anomalous).count() as f64;
    let normal = anomalous.len() as f64 - strange;
    let (mut hits, mut alarms, mut quality) = (0.0, 0.0, Quality::default());
    for step in ranked.chunk_by(|a, b| a.0 == b.0) {
        let new = step.iter().filter(|(_, anomalous)| *anomalous).count() as f64;
        let wrong = step.len() as f64 - new;
        quality.auroc += wrong * (hits + new / 2.0) / (strange * normal);
        hits += new;
        alarms += step.len() as f64;
        quality.precision += new / strange * hits / alarms;
    }
    quality
}
