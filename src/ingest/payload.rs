//! One payload, many records: compression inside a message, arrays, `{"Records": […]}`, newline-delimited JSON, documents that span lines.
//!
//! Records are cut out by counting brackets, without reading them, so a broken record harms none of its neighbours.
//!
//! Not here: what a record is (`formats`), and text that holds a record (`envelope`).

use std::io::Read;

use super::place::Problem;

/// The keys under which a file or an event bus lists its records, when such a key comes first.
const LISTS: [&str; 2] = ["Records", "records"];

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How a payload's first bytes say that it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Zstd,
}

impl Codec {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(GZIP) {
            Some(Self::Gzip)
        } else if bytes.starts_with(ZSTD) {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// Fills `inflated` with the content; what exceeds `limit` bytes is refused.
    pub(super) fn inflate(self, bytes: &[u8], limit: usize, inflated: &mut Vec<u8>) -> Result<(), Problem> {
        inflated.clear();
        let one_more = limit as u64 + 1;
        let (codec, read) = match self {
            Self::Gzip => ("gzip", flate2::bufread::MultiGzDecoder::new(bytes).take(one_more).read_to_end(inflated)),
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(bytes);
                ("zstd", decoder.and_then(|decoder| decoder.take(one_more).read_to_end(inflated)))
            }
        };
        match read {
            Err(_) => Err(Problem::BrokenCompression { codec }),
            Ok(bytes) if bytes > limit => Err(Problem::TooLarge { limit }),
            Ok(_) => Ok(()),
        }
    }
}

/// The text without byte order mark and surrounding blanks.
pub(super) fn trim(text: &str) -> &str {
    text.trim_start_matches(BYTE_ORDER_MARK).trim()
}

/// The records of a trimmed text, in order. What is no JSON comes out as it is: its format will report.
pub(super) fn records(text: &str) -> impl Iterator<Item = &str> {
    let values = if !text.contains('\n') {
        Values::One(Some(text))
    } else if is_document(text) {
        Values::Document(Sequence { text })
    } else {
        Values::Lines(text.lines())
    };
    values.flat_map(|value| match list_of(value) {
        Some(list) => Values::Document(Sequence { text: list }),
        None => Values::One(Some(value)),
    })
}

/// Whether the text begins a JSON document that spans lines, and not newline-delimited JSON.
///
/// Its first line ends open, and no line with a whole object is followed by the next object without a comma. `text` may be a prefix.
pub(super) fn is_document(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).peekable();
    let opens = |line: &&str| line.starts_with(['{', '[']) && line.ends_with(['{', '[', ',', ':']);
    if !text.contains('\n') || !lines.peek().is_some_and(opens) {
        return false;
    }
    while let Some(line) = lines.next() {
        let whole = line.len() > 1 && line.starts_with('{') && line.ends_with('}');
        if whole && lines.peek().is_some_and(|next| next.starts_with('{')) {
            return false;
        }
    }
    true
}

/// The values of a text, by the way they are packed.
enum Values<'a> {
    One(Option<&'a str>),
    Lines(std::str::Lines<'a>),
    Document(Sequence<'a>),
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::One(value) => value.take(),
            Self::Lines(lines) => lines.by_ref().map(str::trim).find(|line| !line.is_empty()),
            Self::Document(sequence) => sequence.next(),
        }
    }
}

/// What follows the opening bracket, where the value is a list of records.
fn list_of(value: &str) -> Option<&str> {
    if let Some(list) = value.strip_prefix('[') {
        return Some(list);
    }
    let (key, rest) = value.strip_prefix('{')?.trim_start().strip_prefix('"')?.split_once('"')?;
    if !LISTS.contains(&key) {
        return None;
    }
    rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('[')
}

/// Values one after another, between blanks and commas, up to a closing bracket or the end.
struct Sequence<'a> {
    text: &'a str,
}

impl<'a> Iterator for Sequence<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.text.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if text.is_empty() || text.starts_with([']', '}']) {
            return None;
        }
        // The end lies at an ASCII byte or at the text's end, so it splits no character.
        let (value, rest) = text.split_at(value_end(text.as_bytes()));
        self.text = rest;
        Some(value.trim_end())
    }
}

/// Where the value at the start of `bytes` ends: past its last bracket, before the comma or bracket after a scalar, or nowhere.
fn value_end(bytes: &[u8]) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        records(trim(text)).collect()
    }

    #[test]
    fn records_come_out_of_every_packing() {
        let expected = [r#"{"a":"]},{"}"#, r#"{"b":[1,{}]}"#];
        let [a, b] = expected;
        for packing in [
            format!("{a}\n{b}\n"),
            format!("\u{feff}{a}\r\n\r\n{b}"),
            format!("[{a},{b}]"),
            format!("[\n  {a},\n  {b}\n]\n"),
            format!("{{\"Records\":[{a},{b}]}}"),
            format!("{{\n \"Records\" : [\n{a},\n{b}\n]\n}}"),
            format!("[{a}]\n[{b}]"),
        ] {
            assert_eq!(cut(&packing), expected, "{packing}");
        }
        assert_eq!(cut("{\n \"a\": 1\n}\n{\n \"a\": 2\n}").len(), 2);
        assert_eq!(cut("[]"), [""; 0]);
    }

    #[test]
    fn a_broken_record_harms_no_neighbour() {
        assert_eq!(cut("{broken\n{\"a\":1}"), ["{broken", "{\"a\":1}"]);
        assert_eq!(cut("{broken,\n{\"a\":1}\n{\"a\":2}").len(), 3);
        assert_eq!(cut("[{\"a\":1},{oops},7,{\"a\":"), ["{\"a\":1}", "{oops}", "7", "{\"a\":"]);
    }

    #[test]
    fn an_inflated_bomb_is_refused_and_broken_content_is_told() {
        let bomb = zstd::encode_all(&vec![b' '; 1 << 20][..], 1).unwrap();
        let mut inflated = Vec::new();
        let codec = Codec::of(&bomb).unwrap();
        assert_eq!(codec.inflate(&bomb, 1 << 10, &mut inflated), Err(Problem::TooLarge { limit: 1 << 10 }));
        assert!(codec.inflate(&bomb, 1 << 20, &mut inflated).is_ok());
        assert_eq!(
            Codec::Gzip.inflate(b"\x1f\x8bjunk", 100, &mut inflated),
            Err(Problem::BrokenCompression { codec: "gzip" })
        );
    }
}
