//! Sections in chunks: bytes cut where their content says so, each chunk known by its BLAKE3 hash.
//!
//! A section that changed in one place has the chunks of before but for one or two, wherever bytes were added or taken away: so only these
//! are written again.
//!
//! Not here: where chunks are kept (`store`).

use std::io;

use fastcdc::v2020::FastCDC;

/// The address of a chunk.
pub(super) type Hash = [u8; 32];

/// Bytes of the smallest chunk, the usual one and the largest: small, since a change costs a chunk; large, since each is an entry of the
/// manifest.
const MIN_BYTES: usize = 1 << 10;
const USUAL_BYTES: usize = 4 << 10;
const MAX_BYTES: usize = 32 << 10;
/// zstd level: the fastest regular one, since a checkpoint is written every few seconds.
const COMPRESSION_LEVEL: i32 = 1;

/// The chunks of a section, in their order.
pub(super) fn cut(bytes: &[u8]) -> impl Iterator<Item = (Hash, &[u8])> {
    FastCDC::new(bytes, MIN_BYTES, USUAL_BYTES, MAX_BYTES).map(|chunk| {
        let chunk = &bytes[chunk.offset..chunk.offset + chunk.length];
        (*blake3::hash(chunk).as_bytes(), chunk)
    })
}

/// Compresses chunks, one after the other.
pub(super) struct Compressor(zstd::bulk::Compressor<'static>);

impl Compressor {
    pub fn new() -> io::Result<Self> {
        zstd::bulk::Compressor::new(COMPRESSION_LEVEL).map(Self)
    }

    pub fn compress(&mut self, chunk: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(chunk)
    }
}

/// A chunk as it was; `None` where that is not what the hash says.
pub(super) fn restore(hash: &Hash, compressed: &[u8]) -> Option<Vec<u8>> {
    let chunk = zstd::bulk::decompress(compressed, MAX_BYTES).ok()?;
    (blake3::hash(&chunk).as_bytes() == hash).then_some(chunk)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn bytes_that_are_inserted_change_few_chunks_and_all_come_back_as_they_were() {
        let mut random = 1_u64;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        })
        .take(1 << 20)
        .collect();
        let before: BTreeSet<Hash> = cut(&bytes).map(|(hash, _)| hash).collect();
        let mut changed = bytes.clone();
        changed.splice(500_000..500_000, *b"what came later");
        let new = cut(&changed).filter(|(hash, _)| !before.contains(hash)).count();
        assert!(before.len() > 100 && (1..=3).contains(&new), "{new} of {}", before.len());

        let mut compressor = Compressor::new().unwrap();
        let back = cut(&bytes).map(|(hash, chunk)| restore(&hash, &compressor.compress(chunk).unwrap()).unwrap());
        assert_eq!(back.collect::<Vec<_>>().concat(), bytes);
        assert_eq!(cut(&[]).count(), 0);
    }
}
