//! Ingest: log records in, calls out.
//!
//! A record comes with the [`Place`] it was found at, from a Kafka message or a line of a file. A [`Decoder`] unpacks it (compression, arrays,
//! envelopes), finds its format and hands the call to the builder. Reading never fails as a whole: what cannot be read becomes a
//! [`DecodeError`] that says where and why, and never what was in it, since a value may be a secret.
//!
//! A new log format is one file in `formats/` and one line in [`FORMATS`].
//!
//! Not here: what a call means (`calls`), whether its time is plausible beside the others' (`stream`).

mod avro;
pub mod connection;
mod container;
mod cutter;
mod declared;
mod decoder;
mod envelope;
mod fields;
mod file;
mod formats;
mod framing;
mod inputs;
mod json;
pub mod kafka;
mod log_format;
mod otlp;
mod otlp_proto;
mod parquet;
mod paths;
mod payload;
mod piece;
mod place;
mod protobuf;
mod raw;
pub mod registry;
mod roots;
mod rules;
mod spec;
mod survey;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod time;
mod utf16;

pub use decoder::{Decoded, Decoder};
pub use fields::Fields;
pub use file::FileReader;
pub use formats::{FORMATS, FormatKind, Probe, Reading};
pub use inputs::{InputError, Inputs};
pub use paths::Paths;
pub use piece::{Batch, Piece};
pub use place::{DecodeError, JsonFault, Place, Problem, RecordError, Shape};
pub use raw::{CallReader, RawReader, parse_record};
pub use registry::Registry;
pub use roots::roots_in;
pub use spec::{DecodeSpec, FieldDetails, FieldSpec, SpecError};
pub use survey::{Survey, filled};
pub use tally::{Counts, Tally};
pub use time::parse_rfc3339;
