//! Workers: the records of a partition are decoded on every core, and come out in their order.
//!
//! Not here: what happens with calls and dead letters (`run`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rdkafka::message::{BorrowedMessage, Message};

use super::dead_letter::{self, Form};
use super::self_watch::{Early, window_of};
use crate::alerts::sinks::Delivery;
use crate::calls::{Calls, CallsBuilder, DataWords, FingerprintKey, Owners, VendorPack};
use crate::ingest::kafka::{Batch, Partition};
use crate::ingest::{DecodeError, DecodeSpec, Decoded, Decoder, Place, Registry, SpecError, Tally};
use crate::rollup::{bucket_of, day_of};

/// Records that a worker decodes at once: below, handing out costs more than decoding.
const RECORDS_PER_PIECE: usize = 1_024;

/// What a worker has of its own: what it found out about each topic's format, and about texts.
struct Worker {
    decoders: BTreeMap<Arc<str>, Decoder>,
    calls: CallsBuilder,
}

/// The workers that are not at work.
pub(super) struct Workers {
    idle: Mutex<Vec<Worker>>,
    spec: DecodeSpec,
    registry: Option<Arc<Registry>>,
    key: Arc<FingerprintKey>,
    vendors: Arc<VendorPack>,
    data_words: Arc<DataWords>,
    owners: Owners,
    form: Form,
}

/// What a partition's records gave.
#[derive(Default)]
pub(super) struct Read {
    pub calls: Calls,
    /// Records that could not be decoded, with the reason.
    pub letters: Vec<Delivery>,
    /// How many records were what, in their order, cut where the window of their arrival changes.
    pub tallies: Vec<(i64, Tally)>,
    /// Calls later than their arrival, by day of arrival and caller.
    pub early: BTreeMap<(i64, String), Early>,
    /// When the last record arrived, microseconds since the epoch.
    pub arrived: Option<i64>,
}

impl Read {
    /// Notes what a record gave that arrived at a time, microseconds since the epoch.
    fn note(&mut self, arrived: i64, decoded: &Decoded, ahead: BTreeMap<String, u64>) {
        self.arrived = Some(arrived);
        let window = window_of(arrived);
        if self.tallies.last().is_none_or(|(last, _)| *last != window) {
            self.tallies.push((window, Tally::default()));
        }
        if let Some((_, tally)) = self.tallies.last_mut() {
            tally.add(decoded);
        }
        for (caller, calls) in ahead {
            self.add_early((day_of(bucket_of(arrived)), caller), Early { arrived, calls });
        }
    }

    fn add_early(&mut self, of: (i64, String), more: Early) {
        self.early.entry(of).and_modify(|known| known.calls += more.calls).or_insert(more);
    }
}

/// Why records were not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// The specification is unfit.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// One of them cannot be read now, and may be later: nothing was taken of any.
    #[error(transparent)]
    Later(DecodeError),
}

impl Workers {
    /// Workers that read by a specification; there are as many as decode at a time.
    ///
    /// # Errors
    /// Where the specification names what no format has.
    pub fn new(
        spec: &DecodeSpec,
        registry: Option<Arc<Registry>>,
        key: Arc<FingerprintKey>,
        vendors: Arc<VendorPack>,
        data_words: Arc<DataWords>,
        owners: Owners,
        form: Form,
    ) -> Result<Self, SpecError> {
        Decoder::new(spec)?;
        Ok(Self { idle: Mutex::default(), spec: spec.clone(), registry, key, vendors, data_words, owners, form })
    }

    /// Decodes the records of a batch. `now`, microseconds since the epoch, bounds when a record without a time of its own arrived.
    ///
    /// # Errors
    /// [`Unread::Later`]. The specification was tried by [`Self::new`].
    pub fn decode(&self, batch: &Batch<'_>, now: i64) -> Result<Read, Unread> {
        let pieces = batch.records.par_chunks(RECORDS_PER_PIECE);
        let read: Vec<Read> =
            pieces.map(|piece| self.decode_piece(&batch.partition, piece, now)).collect::<Result<_, _>>()?;
        let mut all = Read::default();
        for piece in read {
            all.calls.append(piece.calls);
            all.letters.extend(piece.letters);
            all.tallies.extend(piece.tallies);
            all.arrived = piece.arrived.or(all.arrived);
            piece.early.into_iter().for_each(|(of, early)| all.add_early(of, early));
        }
        Ok(all)
    }

    fn decode_piece(&self, partition: &Partition, records: &[BorrowedMessage<'_>], now: i64) -> Result<Read, Unread> {
        let mut worker = self.take();
        worker.calls.refuse_ahead_of(now);
        let Partition { topic, number } = partition;
        let decoder = match worker.decoders.entry(Arc::clone(topic)) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(Decoder::new(&self.spec)?.with_registry(self.registry.clone()))
            }
        };
        let mut read = Read::default();
        for record in records {
            let arrived = record.timestamp().to_millis().map_or(now, |millis| millis.saturating_mul(1_000).min(now));
            if dead_letter::is_own(record) {
                let own = Decoded { not_calls: [("own_record", 1)].into(), ..Decoded::default() };
                read.note(arrived, &own, BTreeMap::new());
                continue;
            }
            let place = Place::Kafka { topic: Arc::clone(topic), partition: *number, offset: record.offset() };
            worker.calls.arrive_at(arrived);
            let mut decoded = decoder.decode(record.payload().unwrap_or_default(), &place, &mut worker.calls);
            if let Some(later) = decoded.errors.iter().position(|error| error.problem.is_transient()) {
                // The worker goes with the calls that it has taken in: the records come again.
                return Err(Unread::Later(decoded.errors.swap_remove(later)));
            }
            read.note(arrived, &decoded, worker.calls.take_ahead());
            if let Some(error) = decoded.errors.first() {
                tracing::debug!(%error, "dead letter");
                read.letters.push(dead_letter::letter(record, error, self.form));
            }
        }
        read.calls = worker.calls.finish();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        Ok(read)
    }

    fn take(&self) -> Worker {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| {
            let mut calls = CallsBuilder::with_vendors(Arc::clone(&self.key), Arc::clone(&self.vendors));
            calls.know_data_by(Arc::clone(&self.data_words));
            calls.name_owners(self.owners.clone());
            Worker { decoders: BTreeMap::new(), calls }
        })
    }
}
