//! Pieces: records as they lie in a file, read by one thread and decoded by another.
//!
//! Not here: how files are read (`file`, `parquet`), and what is in a record (`decoder`).

use std::path::Path;
use std::sync::Arc;

use super::decoder::{Decoded, Decoder};
use super::payload::MAX_CONTENT_BYTES;
use super::place::{DecodeError, Place, Problem, RecordError};
use super::tally::Tally;
use crate::calls::CallsBuilder;

/// Bytes from which a piece is full, whatever its number of records.
pub(super) const MAX_PIECE_BYTES: usize = 8 << 20;

/// What was read of one file.
#[derive(Debug)]
pub struct Batch {
    /// The file.
    pub source: Arc<Path>,
    /// How many records were what.
    pub tally: Tally,
    /// Records that could not be read, in order.
    pub errors: Vec<DecodeError>,
    /// Nothing is left to read, in this file and after it.
    pub finished: bool,
}

impl Batch {
    fn add(&mut self, decoded: Decoded) {
        self.tally.add(&decoded);
        self.errors.extend(decoded.errors);
    }
}

/// Records as they lie in one file, not decoded yet: what one thread reads and another may decode.
#[derive(Debug)]
pub struct Piece {
    source: Arc<Path>,
    /// Line, row or document of the first record, from 1.
    first: u64,
    pub(super) bytes: Vec<u8>,
    /// Where each record ends in `bytes`; `None` for one that is too large to be held.
    ends: Vec<Option<usize>>,
    /// Nothing is left to read, in this file and after it.
    pub(super) finished: bool,
}

impl Piece {
    pub(super) fn new(source: &Arc<Path>, first: u64) -> Self {
        Self { source: Arc::clone(source), first, bytes: Vec::new(), ends: Vec::new(), finished: false }
    }

    /// Adds a record that was appended to the bytes; a part of one that is too large is dropped.
    pub(super) fn end_record(&mut self, fits: bool, begin: usize) {
        if !fits {
            self.bytes.truncate(begin);
        }
        self.ends.push(fits.then_some(self.bytes.len()));
    }

    /// Its first record is at this line, row or document.
    pub(super) fn start_at(&mut self, first: u64) {
        self.first = first;
    }

    /// Adds a record.
    pub(super) fn add(&mut self, record: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.end_record(true, begin);
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether nothing is left to read, in this file and after it.
    pub fn is_last(&self) -> bool {
        self.finished
    }

    /// Decodes all records into `calls`.
    pub fn decode(&self, decoder: &mut Decoder, calls: &mut CallsBuilder) -> Batch {
        let mut batch = Batch {
            source: Arc::clone(&self.source),
            tally: Tally::default(),
            errors: Vec::new(),
            finished: self.finished,
        };
        let mut begin = 0;
        for (line, end) in (self.first..).zip(&self.ends) {
            let place = Place::File { path: Arc::clone(&self.source), line };
            if let Some(end) = *end {
                // A blank line is no record.
                if !self.bytes[begin..end].trim_ascii().is_empty() {
                    batch.add(decoder.decode(&self.bytes[begin..end], &place, calls));
                }
                begin = end;
            } else {
                let error = RecordError::from(Problem::TooLarge { limit: MAX_CONTENT_BYTES }).at(&place, None);
                batch.add(Decoded { errors: vec![error], ..Decoded::default() });
            }
        }
        batch
    }
}
