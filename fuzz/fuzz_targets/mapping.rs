//! A mapping of the user's and a record: a `[decode]` section, a line `---`, and what is read by it.
#![no_main]

use apiwarden::ingest::DecodeSpec;
use apiwarden_fuzz::{Reader, SPEC_END};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(end) = bytes.windows(SPEC_END.len()).position(|window| window == SPEC_END) else { return };
    let (spec, record) = (&bytes[..end], &bytes[end + SPEC_END.len()..]);
    let spec = std::str::from_utf8(spec).ok().and_then(|spec| toml::from_str::<DecodeSpec>(spec).ok());
    if let Some(mut reader) = spec.and_then(|spec| Reader::new(&spec)) {
        reader.read(record);
    }
});
