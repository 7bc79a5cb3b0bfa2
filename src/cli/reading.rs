//! Reading logs from files, with a progress bar: shared by train, scan, evaluate and the demo.
//!
//! Not here: decoding (`ingest`), and the pipeline file (`pipeline`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::output::report;
use crate::alerts::triage::Triage;
use crate::calls::{Calls, CallsBuilder, DataWords, Exclude, FingerprintKey, OwnerDatabases, Owners, VendorPack};
use crate::ingest::{
    Batch, Counts, DecodeError, DecodeSpec, Decoder, FileReader, InputError, Inputs, Piece, Registry, SpecError, Tally,
};
use crate::models::bundle::{Bundle, BundleError};
use crate::pipeline::{self, Detection, Plan, default_key_file};
use crate::rules::Rules;
use crate::state::KeptRollups;

/// Records that are decoded at once.
const RECORDS_PER_PIECE: usize = 512;
/// Pieces that are read, and decoded, ahead of whoever takes them, by each worker.
const PIECES_AHEAD: usize = 4;
/// Complaints that are printed; the rest is counted.
const MAX_DIAGNOSTICS: usize = 5;

/// Arguments: which logs to read, and how.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// Log files, directories or globs; `-` for standard input. NDJSON, gzip, zstd, Parquet, Avro.
    #[arg(long = "input", short, value_name = "PATH", num_args = 1.., required = true)]
    pub inputs: Vec<String>,
    /// Pipeline file; uses its [source.registry], [decode], [fingerprint], [vendors], [enrichment], [detection] and [triage] model. Without one the
    /// format is detected.
    #[arg(long, value_name = "FILE")]
    pub pipeline: Option<PathBuf>,
}

/// How calls are read and judged: the pipeline file's settings, or the defaults.
pub(super) struct Setup {
    pub key: Arc<FingerprintKey>,
    pub decode: DecodeSpec,
    /// Where schemas of framed records are found.
    pub registry: Option<Arc<Registry>>,
    pub detection: Detection,
    pub vendors: Arc<VendorPack>,
    pub data_words: Arc<DataWords>,
    pub exclude: Vec<Exclude>,
    pub owners: OwnerDatabases,
    /// Rules of governance, if any are configured.
    pub rules: Option<Arc<Rules>>,
    /// The triage model, if one is configured.
    pub triage: Option<Triage>,
}

impl Setup {
    /// The setup of a pipeline file, or the defaults without one.
    ///
    /// # Errors
    /// Where the pipeline file, the fingerprint key or the triage model cannot be used.
    pub fn of(file: Option<&Path>) -> anyhow::Result<Self> {
        let plan = file.map(pipeline::load_reading).transpose()?;
        let key_file = plan.as_ref().map_or_else(default_key_file, |plan| plan.key_file.clone());
        let key = Plan::key(&key_file).context("fingerprint key")?;
        let vendors = plan.as_ref().map_or_else(VendorPack::embedded, |plan| Arc::clone(&plan.vendors));
        let data_words = plan.as_ref().map(|plan| Arc::clone(&plan.data_words)).unwrap_or_default();
        let registry = plan.as_ref().and_then(|plan| plan.registry.clone());
        let rules = plan.as_ref().and_then(|plan| plan.rules.clone());
        let plan = plan.map(|plan| (plan.decode, plan.detection, plan.exclude, plan.owners, plan.triage_model));
        let (decode, detection, exclude, owners, triage) = plan.unwrap_or_default();
        let triage = triage.map(|model| Triage::load(&model)).transpose()?;
        Ok(Self {
            key: Arc::new(key),
            decode,
            registry,
            detection,
            vendors,
            data_words,
            exclude,
            owners,
            rules,
            triage,
        })
    }

    /// A decoder that has seen nothing.
    ///
    /// # Errors
    /// Where the specification names what no format has.
    pub fn decoder(&self) -> Result<Decoder, SpecError> {
        Ok(Decoder::new(&self.decode)?.with_registry(self.registry.clone()))
    }

    /// Loads the bundle in a directory, with the vendors of this setup.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn bundle(&self, directory: &Path) -> Result<Arc<Bundle>, BundleError> {
        let mut bundle = Bundle::load(directory, &self.key.id())?;
        bundle.known.set_vendors(Arc::clone(&self.vendors));
        Ok(Arc::new(bundle))
    }

    /// The same setup with another triage model, if one is given.
    ///
    /// # Errors
    /// Where the model cannot be read.
    pub fn triaged_by(self, model: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match model {
            Some(model) => Self { triage: Some(Triage::load(model)?), ..self },
            None => self,
        })
    }
}

/// What was read, and what of it could not be.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// How many records were what.
    pub tally: Tally,
    /// Files that could not be read to their end.
    pub unreadable: Vec<String>,
    printed: usize,
}

/// The kept rollups of a directory, and their days, the oldest first.
///
/// # Errors
/// Where there are none, or the directory cannot be read.
pub(super) fn kept_rollups(directory: &Path) -> anyhow::Result<(KeptRollups, Vec<i64>)> {
    let kept = KeptRollups::of(directory);
    let days = kept.days()?;
    anyhow::ensure!(!days.is_empty(), "{}: no kept rollups there", directory.display());
    Ok((kept, days))
}

impl Intake {
    /// That so many calls were read, of what is no records.
    pub fn of_calls(calls: u64) -> Self {
        Self { tally: Tally { calls, ..Tally::default() }, ..Self::default() }
    }

    fn report(&mut self, progress: &ProgressBar, errors: &[DecodeError]) {
        for error in errors {
            if self.printed < MAX_DIAGNOSTICS {
                progress.suspend(|| report(error));
            } else if self.printed == MAX_DIAGNOSTICS {
                progress.suspend(|| eprintln!("apiwarden: further unreadable records are only counted"));
            }
            self.printed = (self.printed + 1).min(MAX_DIAGNOSTICS + 1);
        }
    }

    /// The account of all records, by what became of the calls among them: `10 records: 7 judged, 1 rejected (1 not_json), …`.
    pub fn account(&self, became: &[(&str, u64)]) -> String {
        let Tally { not_calls, rejected, unreadable, .. } = &self.tally;
        let mut account = format!("{} records:", self.tally.records());
        for (index, (what, count)) in became.iter().enumerate() {
            account.push_str(&format!("{} {count} {what}", if index == 0 { "" } else { "," }));
        }
        for (what, counts) in [("rejected", rejected), ("not a call", not_calls)] {
            account.push_str(&format!(", {} {what}", counts.values().sum::<u64>()));
            if !counts.is_empty() {
                account.push_str(&format!(" ({})", Counts(counts)));
            }
        }
        if !unreadable.is_empty() {
            account.push_str(&format!("; fields that could not be read: {}", Counts(unreadable)));
        }
        account
    }
}

/// A decoder and a builder of calls: what each worker has of its own.
struct Worker {
    decoder: Decoder,
    calls: CallsBuilder,
}

impl Worker {
    fn new(setup: &Setup, owners: &Owners) -> anyhow::Result<Self> {
        let mut calls = CallsBuilder::with_vendors(Arc::clone(&setup.key), Arc::clone(&setup.vendors));
        calls.know_data_by(Arc::clone(&setup.data_words));
        calls.name_owners(owners.clone());
        calls.refuse_ahead_of(jiff::Timestamp::now().as_microsecond());
        Ok(Self { decoder: setup.decoder()?, calls })
    }

    fn decode(&mut self, piece: &Piece) -> (Batch, Calls) {
        let batch = piece.decode(&mut self.decoder, &mut self.calls);
        (batch, self.calls.finish())
    }
}

/// A worker's two ends: the pieces that it is given, and what it makes of them.
type Lane = (SyncSender<Piece>, Receiver<(Batch, Calls)>);

/// Starts a worker in a thread of its own.
fn start<'scope>(scope: &'scope Scope<'scope, '_>, mut worker: Worker) -> Lane {
    let (pieces, work) = sync_channel::<Piece>(PIECES_AHEAD);
    let (done, decoded) = sync_channel(PIECES_AHEAD);
    scope.spawn(move || {
        for piece in work {
            if done.send(worker.decode(&piece)).is_err() {
                return;
            }
        }
    });
    (pieces, decoded)
}

/// Hands the pieces of all inputs to the workers in turn, and says of each how many bytes were read by then.
fn hand_out(mut reader: FileReader, workers: &[SyncSender<Piece>], read_to: &Sender<Result<u64, InputError>>) {
    for worker in workers.iter().cycle() {
        let piece = loop {
            match reader.next_piece(RECORDS_PER_PIECE) {
                Ok(piece) => break piece,
                Err(error) => {
                    if read_to.send(Err(error)).is_err() {
                        return;
                    }
                }
            }
        };
        let is_last = piece.is_last();
        // Whoever takes the calls has given up where nobody listens.
        if worker.send(piece).is_err() || read_to.send(Ok(reader.bytes_read())).is_err() || is_last {
            return;
        }
    }
}

/// Reads all inputs, and passes each batch of calls to `take`, in the order in which they lie there. One thread reads, as many as
/// there are cores decode; what `take` sees does not depend on their number.
///
/// # Errors
/// Where no input can be read, or `take` fails. A record that cannot be decoded is a diagnostic, no error.
pub(super) fn read(
    inputs: &[String],
    setup: &Setup,
    mut take: impl FnMut(Calls) -> anyhow::Result<()>,
) -> anyhow::Result<Intake> {
    let reader = FileReader::new(&Inputs::resolve(inputs)?);
    let owners = Owners::open(&setup.owners)?;
    let progress = bytes_bar(reader.bytes_total());
    let mut intake = Intake::default();
    let threads = 0..rayon::current_num_threads();
    let workers = threads.map(|_| Worker::new(setup, &owners)).collect::<anyhow::Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        // Served in turn, the workers give their pieces back in the order in which they lie in the inputs.
        let lanes = workers.into_iter().map(|worker| start(scope, worker));
        let (pieces, decoded): (Vec<_>, Vec<_>) = lanes.unzip();
        let (read_to, positions) = channel();
        scope.spawn(move || hand_out(reader, &pieces, &read_to));
        let mut turns = decoded.iter().cycle();
        for position in positions {
            match position {
                Ok(position) => progress.set_position(position),
                Err(error) => {
                    progress.suspend(|| report(&error));
                    intake.unreadable.push(error.to_string());
                    continue;
                }
            }
            let Some((batch, calls)) = turns.next().and_then(|worker| worker.recv().ok()) else { break };
            intake.tally.merge(&batch.tally);
            intake.report(&progress, &batch.errors);
            if !calls.is_empty() {
                take(calls)?;
            }
            progress.set_message(format!("{} calls", intake.tally.calls));
        }
        anyhow::Ok(())
    })?;
    progress.finish_and_clear();
    // Each was reported when it failed.
    anyhow::ensure!(intake.tally.records() > 0 || intake.unreadable.is_empty(), "no input could be read");
    Ok(intake)
}

/// A progress bar over `total` bytes; hidden where standard error is no terminal.
pub(super) fn bytes_bar(total: u64) -> ProgressBar {
    let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
    let template = "{spinner} {bytes:>10} of {total_bytes:10} [{wide_bar}] {msg} {eta:>4}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
