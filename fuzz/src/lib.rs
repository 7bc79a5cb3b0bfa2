//! What the fuzz targets share: a decoder and a builder of calls as the program has them, and what must hold of whatever they read.

use std::sync::Arc;

use apiwarden::calls::{CallsBuilder, FingerprintKey};
use apiwarden::ingest::{DecodeSpec, Decoder, Place};

/// Stands between a specification and the record in inputs of the target `mapping`.
pub const SPEC_END: &[u8] = b"\n---\n";

/// Reads messages one after another, with what it has learned of those before.
pub struct Reader {
    decoder: Decoder,
    calls: CallsBuilder,
    place: Place,
}

impl Reader {
    /// A reader by a specification; `None` where that is refused.
    pub fn new(spec: &DecodeSpec) -> Option<Self> {
        let home = tempfile::tempdir().expect("a directory for the key");
        let key = FingerprintKey::load_or_create(&home.path().join("key")).expect("a new key");
        let place = Place::Kafka { topic: "fuzz".into(), partition: 0, offset: 0 };
        Some(Self { decoder: Decoder::new(spec).ok()?, calls: CallsBuilder::new(Arc::new(key)), place })
    }

    /// Reads a message. Every record of it is a call, another event or an error, and every call is in the batch.
    pub fn read(&mut self, message: &[u8]) {
        let decoded = self.decoder.decode(message, &self.place, &mut self.calls);
        assert!(decoded.calls > 0 || decoded.skipped() > 0 || !decoded.errors.is_empty(), "a record vanished");
        for error in &decoded.errors {
            assert!(!error.to_string().is_empty());
        }
        let calls = self.calls.finish();
        assert_eq!(calls.rows().len(), decoded.calls);
        for row in calls.rows() {
            assert!(!calls.relation(row).caller().as_str().is_empty(), "a call without a caller");
            assert!([row.bytes_out, row.bytes_in].into_iter().flatten().all(|bytes| bytes >= 0));
        }
    }
}

/// A reader that a target keeps between inputs.
pub fn reader() -> Reader {
    Reader::new(&DecodeSpec::default()).expect("the default")
}
