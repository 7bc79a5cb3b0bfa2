//! The values of a long JSON text, cut out while it is read: a list of any length needs the room of one element.
//!
//! Not here: texts that are held as a whole (`payload`), and what is in a value (`decoder`).

use std::io::{self, BufRead};

use super::payload::{RECORD_SEPARATOR, list_of, trim};

/// Bytes in which an object that only wraps a list shows it.
const HEAD_BYTES: usize = 64;

/// Stands for a list that has no end: it is no JSON, and is rejected as such.
const UNCLOSED: u8 = b'[';
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Cuts values out of a list, of an object that wraps a list, or of values one behind the other.
#[derive(Debug, Default)]
pub(super) struct Cutter {
    in_list: bool,
    /// A bracket may close the object around the list that has ended.
    after_list: bool,
}

impl Cutter {
    /// Appends the next value; nothing at the end. Whether it fits: of one of more than `limit` bytes, the rest is passed over.
    ///
    /// # Errors
    /// The text cannot be read.
    pub fn next(&mut self, reader: &mut impl BufRead, limit: usize, out: &mut Vec<u8>) -> io::Result<bool> {
        let begin = out.len();
        loop {
            let buffer = reader.fill_buf()?;
            let Some(byte) = buffer.first().copied() else {
                if std::mem::take(&mut self.in_list) {
                    out.push(UNCLOSED);
                }
                return Ok(true);
            };
            let is_closing = (byte == b']' && self.in_list) || (byte == b'}' && self.after_list);
            if buffer.starts_with(BYTE_ORDER_MARK) {
                reader.consume(BYTE_ORDER_MARK.len());
            } else if byte.is_ascii_whitespace() || byte == b',' || char::from(byte) == RECORD_SEPARATOR {
                reader.consume(1);
            } else if is_closing {
                (self.in_list, self.after_list) = (false, byte == b']');
                reader.consume(1);
            } else if let Some(head) = (!self.in_list).then(|| head(buffer)).flatten() {
                (self.in_list, self.after_list) = (true, false);
                reader.consume(head);
            } else {
                break;
            }
        }
        let mut value = Value::default();
        loop {
            let buffer = reader.fill_buf()?;
            let (used, is_whole) = value.take(buffer);
            if out.len() - begin <= limit {
                out.extend_from_slice(&buffer[..used]);
            }
            let is_end = buffer.is_empty();
            reader.consume(used);
            // What broke off within a value says so itself.
            self.in_list &= !is_end;
            if is_whole || is_end {
                return Ok(out.len() - begin <= limit);
            }
        }
    }
}

/// Length of what stands before the first element, where a list begins here.
fn head(buffer: &[u8]) -> Option<usize> {
    let begin = &buffer[..buffer.len().min(HEAD_BYTES)];
    let text = std::str::from_utf8(begin)
        .unwrap_or_else(|error| std::str::from_utf8(&begin[..error.valid_up_to()]).unwrap_or_default());
    let list = list_of(text)?;
    Some(text.len() - list.len())
}

/// Whether a text that begins like this is cut while it is read: it holds more than lines, and may be long.
pub(super) fn is_cut(beginning: &str) -> bool {
    let text = trim(beginning);
    let has_next = || ["}{", "}\u{1e}{"].iter().any(|joint| text.contains(joint));
    !text.contains('\n') && (list_of(text).is_some() || (text.starts_with('{') && has_next()))
}

/// How far a value was read.
#[derive(Default)]
struct Value {
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    has_begun: bool,
}

impl Value {
    /// How many of these bytes are the value's, and whether it ends with them.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            let ends_before = self.depth == 0 && self.has_begun && !self.in_text;
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_text => self.is_escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b',' | b']' | b'}' | b'{' | b'[' if ends_before => return (at, true),
                byte if ends_before && (byte.is_ascii_whitespace() || char::from(*byte) == RECORD_SEPARATOR) => {
                    return (at, true);
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                _ => {}
            }
            self.has_begun = true;
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// The values of a text that is read so many bytes at a time; `!` for one that does not fit.
    fn cut(text: &str, at_once: usize, limit: usize) -> Vec<String> {
        let mut reader = BufReader::with_capacity(at_once, text.as_bytes());
        let mut cutter = Cutter::default();
        let mut values = Vec::new();
        loop {
            let mut out = Vec::new();
            let fits = cutter.next(&mut reader, limit, &mut out).unwrap();
            if out.is_empty() {
                return values;
            }
            values.push(if fits { String::from_utf8(out).unwrap() } else { "!".to_owned() });
        }
    }

    #[test]
    fn values_come_out_of_every_packing_however_little_is_read_at_once() {
        let [a, b] = [r#"{"a":"]},{\"é"}"#, r#"{"b":[1,{}]}"#];
        for text in [
            format!("[{a},{b}]"),
            format!("[\n {a} ,\n{b}\n]\n"),
            format!("{a}{b}"),
            format!("\u{1e}{a}\u{1e}{b}"),
            format!("[{a}][{b}]"),
            format!("[{a}]\n{b}"),
        ] {
            for at_once in [1, 3, 64, 1_000] {
                assert_eq!(cut(&text, at_once, 100), [a, b], "{text}");
            }
        }
        let wrapped = format!("{{\"Records\":[{a},{b}]}}{{ \"Records\" : [{a}]}}");
        assert_eq!(cut(&wrapped, 1_000, 100), [a, b, a]);
        assert_eq!(cut(r#"[{},7,"x,y",null]"#, 20, 100), ["{}", "7", r#""x,y""#, "null"]);
        assert_eq!(cut("[]", 8, 100), [""; 0]);
    }

    #[test]
    fn a_value_too_long_is_passed_over_and_a_broken_one_comes_out_as_it_is() {
        assert_eq!(cut(r#"[{"a":"xxxxxxxxxxxxxxxx"},{"b":1}]"#, 4, 10), ["!", r#"{"b":1}"#]);
        assert_eq!(cut(r#"[{"a":1},{"b":"#, 4, 100), [r#"{"a":1}"#, r#"{"b":"#]);
        assert_eq!(cut(r#"[{"a":1},"#, 4, 100), [r#"{"a":1}"#, "["]);
        assert_eq!(cut("{\"Records\": [", 20, 100), ["["]);
        assert_eq!(cut("}{", 4, 100), ["}", "{"]);
    }
}
