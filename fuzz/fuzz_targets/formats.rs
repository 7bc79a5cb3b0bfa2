//! A record of a declared format: the first byte chooses which.
#![no_main]

use std::cell::RefCell;

use apiwarden::ingest::{DecodeSpec, FORMATS};
use apiwarden_fuzz::Reader;
use libfuzzer_sys::fuzz_target;

thread_local!(static READERS: RefCell<Vec<Reader>> = RefCell::new(FORMATS.iter().map(|format| of(format.name)).collect()));

fn of(format: &str) -> Reader {
    Reader::new(&DecodeSpec { format: Some(format.to_owned()), ..DecodeSpec::default() }).expect("a known format")
}

fuzz_target!(|bytes: &[u8]| {
    let Some((format, record)) = bytes.split_first() else { return };
    READERS.with_borrow_mut(|readers| {
        let format = usize::from(*format) % readers.len();
        readers[format].read(record);
    });
});
