//! Any bytes as a message of a topic whose format nobody declared.
#![no_main]

use std::cell::RefCell;

use apiwarden_fuzz::{Reader, reader};
use libfuzzer_sys::fuzz_target;

thread_local!(static READER: RefCell<Reader> = RefCell::new(reader()));

fuzz_target!(|bytes: &[u8]| READER.with_borrow_mut(|reader| reader.read(bytes)));
