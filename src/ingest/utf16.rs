//! UTF-16 as UTF-8, while it is read. A broken surrogate costs its character alone.
//!
//! Not here: UTF-16 in one message (`payload`).

use std::io::{self, BufRead, Read};

/// Bytes that are read at once.
const AT_ONCE: usize = 64 << 10;

/// How two bytes are a unit.
type Unit = fn([u8; 2]) -> u16;

/// How the bytes are UTF-16, and the length of their byte order mark; `None` where they are not. Without a mark two characters of ASCII
/// tell: no other text has every second byte zero.
pub(super) fn unit_of(bytes: &[u8]) -> Option<(Unit, usize)> {
    match bytes {
        [0xff, 0xfe, ..] => Some((u16::from_le_bytes, 2)),
        [0xfe, 0xff, ..] => Some((u16::from_be_bytes, 2)),
        [a @ 1..=0x7f, 0, b @ 1..=0x7f, 0, ..] if is_text(*a, *b) => Some((u16::from_le_bytes, 0)),
        [0, a @ 1..=0x7f, 0, b @ 1..=0x7f, ..] if is_text(*a, *b) => Some((u16::from_be_bytes, 0)),
        _ => None,
    }
}

/// Whether a record may begin so.
fn is_text(first: u8, second: u8) -> bool {
    [first, second].iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Reads UTF-16 as UTF-8.
pub(super) struct Utf16<R> {
    inner: R,
    unit: Unit,
    /// Bytes that make no whole character yet.
    rest: Vec<u8>,
    text: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Utf16<R> {
    /// A reader, if the text is UTF-16; else what was given.
    pub fn of(mut inner: R) -> io::Result<Result<Self, R>> {
        let Some((unit, mark)) = unit_of(inner.fill_buf()?) else { return Ok(Err(inner)) };
        inner.consume(mark);
        Ok(Ok(Self { inner, unit, rest: Vec::new(), text: Vec::new(), at: 0 }))
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.at == self.text.len() {
            let before = self.rest.len();
            (&mut self.inner).take(AT_ONCE as u64).read_to_end(&mut self.rest)?;
            let is_end = self.rest.len() == before;
            if is_end && self.rest.is_empty() {
                return Ok(());
            }
            let mut units: Vec<u16> = self.rest.chunks_exact(2).map(|pair| (self.unit)([pair[0], pair[1]])).collect();
            // The first half of a pair waits for the second.
            if !is_end && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
                units.pop();
            }
            self.rest.drain(..if is_end { self.rest.len() } else { units.len() * 2 });
            let characters = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
            self.text = characters.collect::<String>().into_bytes();
            self.at = 0;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let count = buffer.len().min(self.text.len() - self.at);
        buffer[..count].copy_from_slice(&self.text[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn either_order_of_bytes_is_read_and_other_text_is_left_alone() {
        let text = "{\"a\":\"é😀\"}\n".repeat(20_000);
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let units = [0xfeff].into_iter().chain(text.encode_utf16());
            let raw: Vec<u8> = units.flat_map(bytes).collect();
            let Ok(mut reader) = Utf16::of(BufReader::with_capacity(7, raw.as_slice())).unwrap() else { panic!() };
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            assert!(read == text);
        }
        assert!(Utf16::of("{}".as_bytes()).unwrap().is_err());
        let cut: &[u8] = &[0xff, 0xfe, b'a', 0, 0x3d, 0xd8, 0];
        let Ok(mut reader) = Utf16::of(cut).unwrap() else { panic!() };
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "a\u{fffd}");
    }
}
