//! The model bundle: all that was learned, and from what, as a directory on disk.
//!
//! `manifest.json` is for people and programs: versions, the history it was learned from, and a checksum of every part. The
//! parts are compressed postcard: plain data, so loading runs no code. A bundle that is damaged, of another format, of
//! another feature catalogue or of another fingerprint key is refused with the reason.
//!
//! Not here: learning (`train`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ndarray::ArrayView2;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::aside::Aside;
use super::audit::Audit;
use super::baseline::{Baselines, ViewBaseline};
use super::calibration::{Tail, p_value};
use super::expectation::Expectations;
use super::multivariate::Multivariate;
use super::novelty::{NoveltyRates, SeenSet};
use super::peers::Peers;
use super::seasonality::Span;
use crate::calls::{Templates, View};
use crate::features::catalogue_hash;

/// Version of the layout on disk.
pub const FORMAT_VERSION: u32 = 5;
const MANIFEST: &str = "manifest.json";
/// A part that unpacks to more is refused: no bundle of ours is that large.
const MAX_BYTES: u64 = 4 << 30;
const COMPRESSION: i32 = 9;

/// Why a bundle cannot be written or read.
#[derive(Debug, Error)]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("{path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest is no manifest.
    #[error("{path}: not a bundle's manifest: {reason}")]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The bundle is of another format version.
    #[error("{path}: bundle format {found}, this program reads {FORMAT_VERSION}: train again")]
    Format {
        /// Which bundle.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The bundle was learned with other features.
    #[error("{path}: made with feature catalogue {found}, this program has {}: train again", catalogue_hash())]
    Catalogue {
        /// Which bundle.
        path: PathBuf,
        /// Its catalogue.
        found: String,
    },
    /// The bundle's fingerprints were made with another key.
    #[error(
        "{path}: trained with fingerprint key {trained}, the key given is {given}: no credential would be recognised"
    )]
    Key {
        /// Which bundle.
        path: PathBuf,
        /// Id of the key that it was trained with.
        trained: String,
        /// Id of the key given.
        given: String,
    },
    /// A part does not have the checksum that the manifest tells, or does not unpack.
    #[error("{path}: damaged: {reason}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What a bundle was made by and from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub format_version: u32,
    /// Name of the bundle, on each alert: last day of the history and a hash of what was learned.
    pub version: String,
    /// Hash of the feature catalogue.
    pub feature_catalogue: String,
    /// Id of the fingerprint key, not the key.
    pub fingerprint_key: String,
    /// First call of the history, RFC 3339.
    pub trained_from: String,
    /// Last call of the history, RFC 3339.
    pub trained_to: String,
    /// Calls learned from.
    pub calls: i64,
    /// Rollup rows learned from.
    pub rollup_rows: usize,
    /// Records that could not be read, or were no calls.
    pub records_left_out: u64,
    /// Calls that were not learned from, by the rule that left them out.
    #[serde(default)]
    pub excluded: BTreeMap<String, u64>,
    /// Hash of the rolled-up history.
    pub data_hash: String,
    /// Entities, vendors and endpoints learned.
    pub learned: BTreeMap<String, usize>,
    /// Budget that the report was made for, alerts a day, and the alarms a day that the history itself would have raised.
    pub calibration: BTreeMap<String, f64>,
    /// Versions of the program and of the libraries whose models are inside.
    pub libraries: BTreeMap<String, String>,
    /// blake3 of each part.
    pub parts: BTreeMap<String, String>,
}

/// A multivariate model of a view, with the tail that turns its score into a p-value.
#[derive(Debug, Serialize, Deserialize)]
pub struct CalibratedMultivariate {
    /// Forest and neighbours.
    pub multivariate: Multivariate,
    /// Tail of an entity's oddest row a day, on days that nothing was fitted on.
    pub tail: Option<Tail>,
    /// Entities that were judged.
    pub entities: usize,
}

impl CalibratedMultivariate {
    /// Chance that an entity has a row as odd as this on a day.
    pub fn p_value(&self, row: &[f64]) -> f64 {
        let oddness = ArrayView2::from_shape((1, row.len()), row).map(|row| self.multivariate.oddness(row));
        oddness.iter().flatten().map(|oddness| p_value(self.tail.as_ref(), *oddness)).next().unwrap_or(1.0)
    }
}

/// All that was learned.
#[derive(Debug)]
pub struct Bundle {
    /// What it was made by and from.
    pub manifest: Manifest,
    /// The history's first and last bucket.
    pub span: Span,
    /// Endpoint templates.
    pub templates: Templates,
    /// What is usual for a call.
    pub expectations: Expectations,
    /// What is usual for each entity.
    pub baselines: Baselines,
    /// What a view's entities have in common.
    pub views: BTreeMap<View, ViewBaseline>,
    /// Groups of pairs that behave alike, by view.
    pub peers: BTreeMap<View, Peers>,
    /// What was ever seen.
    pub known: SeenSet,
    /// How often something new is seen.
    pub novelty_rates: NoveltyRates,
    /// Multivariate models, by view.
    pub multivariate: BTreeMap<View, CalibratedMultivariate>,
    /// Who does what in audit logs.
    pub audit: Audit,
    /// What single detectors learned by themselves, by their names, as bytes that they read.
    pub detectors: BTreeMap<String, Vec<u8>>,
}

/// The parts as they are written: name of the file and its bytes.
fn packed<T: Serialize>(part: &T) -> Result<Vec<u8>, std::io::Error> {
    let plain = postcard::to_stdvec(part).map_err(std::io::Error::other)?;
    zstd::encode_all(plain.as_slice(), COMPRESSION)
}

impl Bundle {
    fn parts(&self) -> Result<BTreeMap<&'static str, Vec<u8>>, std::io::Error> {
        Ok(BTreeMap::from([
            ("templates", packed(&(&self.span, &self.templates))?),
            ("expectations", packed(&self.expectations)?),
            ("baselines", packed(&self.baselines)?),
            ("calibration", packed(&self.views)?),
            ("novelties", packed(&(&self.known, &self.novelty_rates))?),
            ("multivariate", packed(&(&self.multivariate, &self.peers))?),
            ("audit", packed(&self.audit)?),
            ("detectors", packed(&self.detectors)?),
        ]))
    }

    /// Writes the bundle to a directory, as a whole or not at all; a bundle that is there is replaced.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn save(&mut self, directory: &Path) -> Result<(), BundleError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| BundleError::Io { path, source }
        };
        let parts = self.parts().map_err(io(directory))?;
        self.manifest.parts =
            parts.iter().map(|(name, bytes)| ((*name).to_owned(), blake3::hash(bytes).to_hex().to_string())).collect();
        let mut aside = Aside::of(directory);
        let beside = aside.create_directory().map_err(io(directory))?;
        for (name, bytes) in &parts {
            write_durably(&beside.join(format!("{name}.zst")), bytes)?;
        }
        let manifest = serde_json::to_vec_pretty(&self.manifest)
            .map_err(|error| BundleError::Manifest { path: directory.to_owned(), reason: error.to_string() })?;
        write_durably(&beside.join(MANIFEST), &manifest)?;
        if directory.exists() {
            // Only what is a bundle is ever replaced.
            if !directory.join(MANIFEST).is_file() && fs::read_dir(directory).map_err(io(directory))?.next().is_some() {
                let reason = "the directory holds other things than a bundle".to_owned();
                return Err(BundleError::Manifest { path: directory.to_owned(), reason });
            }
            fs::remove_dir_all(directory).map_err(io(directory))?;
        }
        aside.take_place().map_err(io(directory))
    }

    /// Reads a bundle; `key_id` is that of the fingerprint key in use.
    ///
    /// # Errors
    /// Where the bundle is not there, damaged, or does not fit this program or this key.
    pub fn load(directory: &Path, key_id: &str) -> Result<Self, BundleError> {
        let manifest = read_manifest(directory)?;
        let path = || directory.to_owned();
        if manifest.feature_catalogue != catalogue_hash() {
            return Err(BundleError::Catalogue { path: path(), found: manifest.feature_catalogue });
        }
        if manifest.fingerprint_key != key_id {
            let (trained, given) = (manifest.fingerprint_key, key_id.to_owned());
            return Err(BundleError::Key { path: path(), trained, given });
        }
        let (span, templates) = read_part(directory, &manifest, "templates")?;
        let (known, novelty_rates) = read_part(directory, &manifest, "novelties")?;
        let (multivariate, peers) = read_part(directory, &manifest, "multivariate")?;
        // A bundle of before detectors learned by themselves has no such part: those that do are quiet.
        let has_detectors = manifest.parts.contains_key("detectors");
        let detectors = has_detectors.then(|| read_part(directory, &manifest, "detectors")).transpose()?;
        Ok(Self {
            span,
            templates,
            expectations: read_part(directory, &manifest, "expectations")?,
            baselines: read_part(directory, &manifest, "baselines")?,
            views: read_part(directory, &manifest, "calibration")?,
            peers,
            known,
            novelty_rates,
            multivariate,
            audit: read_part(directory, &manifest, "audit")?,
            detectors: detectors.unwrap_or_default(),
            manifest,
        })
    }

    /// Alarms a day of something that each of so many entities shows with chance `p_value` in a fold of the history.
    pub fn alarms_per_day(&self, entities: usize, p_value: f64) -> f64 {
        entities as f64 * p_value * self.span.folds_per_day()
    }

    /// Whether a history of a view was learned. Without one, nothing is known to be unusual or new in it.
    pub fn has_history_of(&self, view: View) -> bool {
        self.views.contains_key(&view)
    }

    /// Number of entities of a view that are judged by tests, at least 1.
    pub fn entities(&self, view: View) -> usize {
        self.views.get(&view).map_or(1, ViewBaseline::entities)
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    let write = || {
        let mut file = fs::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| BundleError::Io { path: path.to_owned(), source })
}

/// The manifest as it stands in a directory, to see whether it is another one; `None` where it cannot be read.
pub fn manifest_bytes(directory: &Path) -> Option<Vec<u8>> {
    fs::read(directory.join(MANIFEST)).ok()
}

/// Reads only the manifest, and refuses one of another format.
///
/// # Errors
/// Where it is not there or no manifest of this format.
pub fn read_manifest(directory: &Path) -> Result<Manifest, BundleError> {
    let path = directory.join(MANIFEST);
    let text = fs::read(&path).map_err(|source| BundleError::Io { path: path.clone(), source })?;
    let malformed = |error: serde_json::Error| BundleError::Manifest { path: path.clone(), reason: error.to_string() };
    let probe: serde_json::Value = serde_json::from_slice(&text).map_err(malformed)?;
    let found = probe.get("format_version").and_then(serde_json::Value::as_u64).unwrap_or_default();
    if found != u64::from(FORMAT_VERSION) {
        return Err(BundleError::Format {
            path: directory.to_owned(),
            found: u32::try_from(found).unwrap_or(u32::MAX),
        });
    }
    serde_json::from_value(probe).map_err(malformed)
}

fn read_part<T: DeserializeOwned>(directory: &Path, manifest: &Manifest, name: &str) -> Result<T, BundleError> {
    let path = directory.join(format!("{name}.zst"));
    let bytes = fs::read(&path).map_err(|source| BundleError::Io { path: path.clone(), source })?;
    let damaged = |reason: String| BundleError::Damaged { path: path.clone(), reason };
    if manifest.parts.get(name).map(String::as_str) != Some(blake3::hash(&bytes).to_hex().as_str()) {
        return Err(damaged("its checksum is not the manifest's".to_owned()));
    }
    let mut plain = Vec::new();
    let decoder = zstd::Decoder::new(bytes.as_slice()).map_err(|error| damaged(error.to_string()))?;
    decoder.take(MAX_BYTES).read_to_end(&mut plain).map_err(|error| damaged(error.to_string()))?;
    postcard::from_bytes(&plain).map_err(|error| damaged(error.to_string()))
}
