//! Workers: the records of a partition are decoded on every core, and come out in their order.
//!
//! Not here: what happens with calls and dead letters (`run`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rdkafka::message::{BorrowedMessage, Message};

use super::dead_letter::{self, Form};
use super::metrics;
use crate::alerts::sinks::Delivery;
use crate::calls::{Calls, CallsBuilder, FingerprintKey, Owners, VendorPack};
use crate::ingest::kafka::{Batch, Partition};
use crate::ingest::{DecodeSpec, Decoder, Place, SpecError};

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
    key: Arc<FingerprintKey>,
    vendors: Arc<VendorPack>,
    owners: Owners,
    form: Form,
}

/// What a partition's records gave.
#[derive(Default)]
pub(super) struct Read {
    pub calls: Calls,
    /// Records that could not be decoded, with the reason.
    pub letters: Vec<Delivery>,
}

impl Workers {
    /// Workers that read by a specification; there are as many as decode at a time.
    ///
    /// # Errors
    /// Where the specification names what no format has.
    pub fn new(
        spec: &DecodeSpec,
        key: Arc<FingerprintKey>,
        vendors: Arc<VendorPack>,
        owners: Owners,
        form: Form,
    ) -> Result<Self, SpecError> {
        Decoder::new(spec)?;
        Ok(Self { idle: Mutex::default(), spec: spec.clone(), key, vendors, owners, form })
    }

    /// Decodes the records of a batch. Calls after `latest`, microseconds since the epoch, are refused.
    ///
    /// # Errors
    /// None in practice: [`Self::new`] has tried the specification.
    pub fn decode(&self, batch: &Batch<'_>, latest: i64) -> Result<Read, SpecError> {
        let pieces = batch.records.par_chunks(RECORDS_PER_PIECE);
        let read: Vec<Read> =
            pieces.map(|piece| self.decode_piece(&batch.partition, piece, latest)).collect::<Result<_, _>>()?;
        let mut all = Read::default();
        for piece in read {
            all.calls.append(piece.calls);
            all.letters.extend(piece.letters);
        }
        Ok(all)
    }

    fn decode_piece(
        &self,
        partition: &Partition,
        records: &[BorrowedMessage<'_>],
        latest: i64,
    ) -> Result<Read, SpecError> {
        let mut worker = self.take();
        worker.calls.refuse_after(latest);
        let Partition { topic, number } = partition;
        let decoder = match worker.decoders.entry(Arc::clone(topic)) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Decoder::new(&self.spec)?),
        };
        let mut letters = Vec::new();
        for record in records {
            let place = Place::Kafka { topic: Arc::clone(topic), partition: *number, offset: record.offset() };
            let decoded = decoder.decode(record.payload().unwrap_or_default(), &place, &mut worker.calls);
            if let Some(error) = decoded.errors.first() {
                tracing::debug!(%error, "dead letter");
                metrics::dead_letter(error.reason());
                letters.push(dead_letter::letter(record, error, self.form));
            }
        }
        let calls = worker.calls.finish();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        Ok(Read { calls, letters })
    }

    fn take(&self) -> Worker {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| {
            let mut calls = CallsBuilder::with_vendors(Arc::clone(&self.key), Arc::clone(&self.vendors));
            calls.name_owners(self.owners.clone());
            Worker { decoders: BTreeMap::new(), calls }
        })
    }
}
