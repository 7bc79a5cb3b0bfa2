//! Avro object containers: a header with the schema, and blocks of records, each block perhaps compressed. One block is held at a time.
//!
//! Source: avro.apache.org, "Apache Avro Specification 1.12", Object Container Files.
//!
//! Not here: what a record is by its schema (`avro`), and pieces of a file (`file`).

use std::io::{self, BufRead, Read};

use super::avro::Schema;
use super::payload::MAX_CONTENT_BYTES;
use super::place::Problem;

/// What a container begins with.
pub(super) const MAGIC: &[u8] = b"Obj\x01";
/// Longest entry of the header, bytes, and most entries of it.
const MAX_ENTRY: u64 = 4 << 20;
const MAX_ENTRIES: u64 = 1_000;
/// Bytes of the checksum behind a block of Snappy.
const CHECKSUM: usize = 4;

/// How blocks are compressed.
#[derive(Clone, Copy, Debug)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

/// Reads the records of a container, one after another.
pub(super) struct Container<R> {
    reader: R,
    schema: Schema,
    codec: Codec,
    sync: [u8; 16],
    /// The block that is read, and how far.
    block: Vec<u8>,
    at: usize,
    /// Records of the block that are left.
    left: u64,
    /// Records that were read.
    records: u64,
}

impl<R: BufRead> Container<R> {
    /// Reads the header.
    pub fn open(mut reader: R) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        reader.read_exact(&mut magic)?;
        let (mut schema, mut codec, mut entries) = (None, Codec::Null, 0);
        loop {
            let count = long(&mut reader)?;
            if count == 0 {
                break;
            }
            if count < 0 {
                long(&mut reader)?;
            }
            entries += count.unsigned_abs();
            if entries > MAX_ENTRIES {
                return Err(broken("its header is too long"));
            }
            for _ in 0..count.unsigned_abs() {
                let (key, value) = (entry(&mut reader)?, entry(&mut reader)?);
                match key.as_slice() {
                    b"avro.schema" => {
                        schema = std::str::from_utf8(&value).ok().and_then(|text| Schema::parse(text, &[]))
                    }
                    b"avro.codec" => codec = Codec::named(&value)?,
                    _ => {}
                }
            }
        }
        let mut sync = [0; 16];
        reader.read_exact(&mut sync)?;
        let schema = schema.ok_or_else(|| broken("its schema cannot be read"))?;
        Ok(Self { reader, schema, codec, sync, block: Vec::new(), at: 0, left: 0, records: 0 })
    }

    /// Records that were read.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Appends the next record as JSON; whether there was one.
    pub fn next(&mut self, json: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
        while self.left == 0 {
            if self.at < self.block.len() {
                return Err(broken("a block holds more than its records"));
            }
            if self.reader.fill_buf()?.is_empty() {
                return Ok(false);
            }
            self.next_block()?;
        }
        let bytes = self.block.get(self.at..).unwrap_or_default();
        let rest = self.schema.append(bytes, json, limit).ok_or_else(|| broken("a record is none of its schema"))?;
        if rest == bytes.len() {
            // Any number of them would fit into no bytes at all.
            return Err(broken("a record holds nothing"));
        }
        self.at = self.block.len() - rest;
        self.left -= 1;
        self.records += 1;
        Ok(true)
    }

    fn next_block(&mut self) -> io::Result<()> {
        let (count, size) = (long(&mut self.reader)?, long(&mut self.reader)?);
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_CONTENT_BYTES);
        let (Ok(count), Some(size)) = (u64::try_from(count), size) else {
            return Err(broken("a block is too long"));
        };
        let stored = exactly(&mut self.reader, size)?;
        let mut sync = [0; 16];
        self.reader.read_exact(&mut sync)?;
        if sync != self.sync {
            return Err(broken("a block does not end where it should"));
        }
        self.block = self.codec.inflate(stored)?;
        (self.at, self.left) = (0, count);
        Ok(())
    }
}

impl Codec {
    fn named(name: &[u8]) -> io::Result<Self> {
        Ok(match name {
            b"null" => Self::Null,
            b"deflate" => Self::Deflate,
            b"snappy" => Self::Snappy,
            b"zstandard" => Self::Zstandard,
            _ => return Err(broken("its codec is not known; known are null, deflate, snappy and zstandard")),
        })
    }

    fn inflate(self, stored: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut block = Vec::new();
        let one_more = MAX_CONTENT_BYTES as u64 + 1;
        match self {
            Self::Null => return Ok(stored),
            Self::Deflate => flate2::bufread::DeflateDecoder::new(&stored[..]).take(one_more).read_to_end(&mut block),
            Self::Zstandard => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&stored[..]);
                decoder.and_then(|decoder| decoder.take(one_more).read_to_end(&mut block))
            }
            Self::Snappy => return unsnap(&stored),
        }
        .map_err(|_| broken("a block is not compressed as it says"))?;
        if block.len() > MAX_CONTENT_BYTES { Err(broken("a block is too long")) } else { Ok(block) }
    }
}

fn unsnap(stored: &[u8]) -> io::Result<Vec<u8>> {
    let (packed, checksum) = stored.split_last_chunk::<CHECKSUM>().ok_or_else(|| broken("a block ends too early"))?;
    if snap::raw::decompress_len(packed).is_ok_and(|length| length > MAX_CONTENT_BYTES) {
        return Err(broken("a block is too long"));
    }
    let block = snap::raw::Decoder::new().decompress_vec(packed);
    block
        .ok()
        .filter(|block| crc32fast::hash(block) == u32::from_be_bytes(*checksum))
        .ok_or_else(|| broken("a block is not compressed as it says"))
}

/// All records of a container that is one message, as JSON, one a line; and what ended them too early.
pub(super) fn all_records(bytes: &[u8]) -> (Vec<u8>, Option<Problem>) {
    let mut text = Vec::new();
    let mut read = || {
        let mut container = Container::open(bytes)?;
        loop {
            let begin = text.len();
            match container.next(&mut text, MAX_CONTENT_BYTES) {
                Ok(true) => text.push(b'\n'),
                Ok(false) => return Ok(()),
                Err(problem) => {
                    text.truncate(begin);
                    return Err(problem);
                }
            }
        }
    };
    let problem = read().err().map(|_: io::Error| Problem::BrokenContainer);
    (text, problem)
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("broken Avro container: {what}"))
}

/// A whole number, as Avro writes it.
fn long(reader: &mut impl Read) -> io::Result<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(broken("a number is too long"))
}

/// A key or a value of the header.
fn entry(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = u64::try_from(long(reader)?).ok().filter(|length| *length <= MAX_ENTRY);
    exactly(reader, length.ok_or_else(|| broken("its header is too long"))? as usize)
}

/// So many bytes. Room is made for what is there, not for what is claimed.
fn exactly(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if reader.take(length as u64).read_to_end(&mut bytes)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}
