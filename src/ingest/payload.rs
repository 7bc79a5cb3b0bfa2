//! One payload, many records: compression inside a message, arrays, `{"Records": […]}`, newline-delimited JSON, documents that span lines.
//!
//! Records are cut out by counting brackets, without reading them, so a broken record harms none of its neighbours.
//!
//! Not here: what a record is (`formats`), and text that holds a record (`envelope`).

use std::borrow::Cow;
use std::io::Read;

use super::place::Problem;
use super::utf16;

/// Longest payload of a file, and longest content of a compressed or binary message, bytes.
pub(super) const MAX_CONTENT_BYTES: usize = 64 << 20;

/// The keys under which a file or an event bus lists its records, when such a key comes first.
const LISTS: [&str; 2] = ["Records", "records"];

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Stands before each text of a JSON text sequence (RFC 7464).
pub(super) const RECORD_SEPARATOR: char = '\u{1e}';

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

/// The text of a payload: UTF-8, or UTF-16 by its byte order mark or its first characters. Where it is broken, the broken character alone suffers.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let decoded = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    match utf16::unit_of(bytes) {
        Some((unit, mark)) => Cow::Owned(decoded(&bytes[mark..], unit)),
        // Whole text is checked much faster at once than searched for its first flaw.
        None => std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed),
    }
}

/// The text without byte order mark and surrounding blanks.
pub(super) fn trim(text: &str) -> &str {
    text.trim_start_matches(BYTE_ORDER_MARK).trim_matches(is_blank)
}

/// Whether a character stands between records and is of none.
fn is_blank(character: char) -> bool {
    // NUL is the hole that a log leaves that was cut while it was written.
    character.is_whitespace() || character == RECORD_SEPARATOR || character == '\0'
}

/// Whether lines end with a carriage return alone. `text` may be a prefix.
pub(super) fn ends_with_returns(text: &str) -> bool {
    if text.contains('\n') || !text.contains('\r') {
        return false;
    }
    // Returns within an object are no ends of lines.
    let first = text.split('\r').map(trim).find(|line| !line.is_empty());
    first.is_some_and(|line| !line.starts_with(['{', '[']) || is_balanced(line))
}

/// The records of a trimmed text, in order. What is no JSON comes out as it is: its format will report. Objects one behind the other in
/// one line come out as one, for [`joined`] to part.
pub(super) fn records(text: &str) -> impl Iterator<Item = &str> {
    let values = if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_none() {
        Values::One((!text.is_empty()).then_some(text))
    } else if ends_with_returns(text) {
        Values::Returns(text.split('\r'))
    } else if !text.contains('\n') || (is_document(text) && list_of(text).is_some()) {
        Values::One(Some(text))
    } else if is_document(text) {
        Values::Sequence(Sequence { text, is_list: false, broken: 0 })
    } else {
        Values::Lines(text.lines())
    };
    values.flat_map(|value| match list_of(value) {
        Some(list) => Values::Sequence(Sequence { text: list, is_list: true, broken: 0 }),
        None => Values::One(Some(value)),
    })
}

/// The objects of a line that holds several, one behind the other, as delivery to object stores writes them; `None` for any other.
///
/// Each is shorter than the line.
pub(super) fn joined(line: &str) -> Option<impl Iterator<Item = &str>> {
    let first = line.starts_with('{').then(|| value_end(line.as_bytes()))?;
    let rest = line[first..].trim_start_matches(|c: char| c == ',' || is_blank(c));
    let is_torn =
        (rest.is_empty() || has_other_end(&line[..first])) && !is_balanced(line) && next_object(line) < line.len();
    if !is_torn && !rest.starts_with('{') {
        return None;
    }
    let mut objects = Sequence { text: line, is_list: false, broken: 0 }.peekable();
    // What is too broken to be parted is one broken record.
    objects.peek().is_some_and(|first| first.len() < line.len()).then_some(objects)
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
    Returns(std::str::Split<'a, char>),
    Sequence(Sequence<'a>),
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::One(value) => value.take(),
            Self::Lines(lines) => lines.map(trim).find(|line| !line.is_empty()),
            Self::Returns(lines) => lines.map(trim).find(|line| !line.is_empty()),
            Self::Sequence(sequence) => sequence.next(),
        }
    }
}

/// What follows the opening bracket, where the value is a list of records.
pub(super) fn list_of(value: &str) -> Option<&str> {
    if let Some(list) = value.strip_prefix('[') {
        // Lines of text begin with a bracket too: `[2026-09-01T00:00:00Z] "GET …`.
        let first = list.trim_start();
        return (first.is_empty() || first.starts_with(['{', '[', ']'])).then_some(list);
    }
    let key = value.strip_prefix('{')?.trim_start().strip_prefix('"')?;
    let rest = LISTS.iter().find_map(|list| key.strip_prefix(list)?.strip_prefix('"'))?;
    rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('[')
}

/// Broken values of a sequence behind which a next one is looked for; behind one more all is one.
const MAX_BROKEN: u32 = 32;
/// Stands for a list that has no end.
const UNCLOSED: &str = "[";

/// Values one after another, between blanks and commas: up to the bracket that closes their list, or to the end.
struct Sequence<'a> {
    text: &'a str,
    is_list: bool,
    /// Broken values so far: each costs a look at all that follows.
    broken: u32,
}

impl<'a> Iterator for Sequence<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.text.trim_start_matches(|c: char| c == ',' || is_blank(c));
        if self.is_list && text.starts_with(']') {
            // Behind the list only its object may end, and further values may begin.
            self.is_list = false;
            let rest = text[1..].trim_start();
            self.text = rest.strip_prefix('}').unwrap_or(rest);
            return self.next();
        }
        if text.is_empty() {
            self.text = text;
            // A list that does not end is broken, unless it broke off within a value, which says so itself.
            return std::mem::take(&mut self.is_list).then_some(UNCLOSED);
        }
        // The end lies at an ASCII byte or at the text's end, so it splits no character.
        let end = if text.starts_with([']', '}']) { 0 } else { value_end(text.as_bytes()) };
        // What never ends, or ends what never began, is broken up to where the next object seems to begin.
        let is_broken = end == 0 || has_other_end(&text[..end]) || (end == text.len() && !is_closed(text));
        self.broken += u32::from(is_broken);
        let end = match is_broken {
            false => end,
            true if self.broken <= MAX_BROKEN => next_object(text),
            true => text.len(),
        };
        let (value, rest) = text.split_at(end);
        let value = value.trim_end_matches(is_blank);
        self.text = rest;
        self.is_list &= !(is_broken && rest.is_empty());
        Some(value)
    }
}

/// Whether a value ends with what its kind ends with.
fn is_closed(value: &str) -> bool {
    let value = value.trim_end();
    match value.as_bytes().first() {
        Some(b'{' | b'[') => is_balanced(value),
        _ => true,
    }
}

/// Whether an object ends with a list's bracket, or a list with an object's: the bracket closes something around it.
fn has_other_end(value: &str) -> bool {
    matches!((value.as_bytes().first(), value.as_bytes().last()), (Some(b'{'), Some(b']')) | (Some(b'['), Some(b'}')))
}

/// Whether every bracket outside of texts is closed by its own kind.
fn is_balanced(value: &str) -> bool {
    let (mut open, mut in_text, mut is_escaped) = (Vec::new(), false, false);
    for byte in value.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'}' | b']' if open.pop() != Some(byte) => return false,
            _ => {}
        }
    }
    open.is_empty() && !in_text
}

/// Where the next object of a sequence seems to begin: behind a bracket and a comma, or a line break. The end, if nowhere.
fn next_object(text: &str) -> usize {
    let begins = |at: &usize| {
        let before = text[..*at].trim_end();
        let is_next_line = text[before.len()..*at].contains('\n');
        match before.strip_suffix(',') {
            Some(before) => before.trim_end().ends_with('}') || is_next_line,
            None => before.ends_with('}') || is_next_line,
        }
    };
    text.match_indices('{').map(|(at, _)| at).skip(1).find(begins).unwrap_or(text.len())
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
            format!("{a}\r{b}\r"),
            format!("\u{1e}{a}\n\u{1e}{b}\n"),
        ] {
            assert_eq!(cut(&packing), expected, "{packing}");
        }
        assert_eq!(cut("{\n \"a\": 1\n}\n{\n \"a\": 2\n}").len(), 2);
        assert_eq!(cut("\u{1e}{\n \"a\": 1\n}\n\u{1e}{\n \"a\": 2\n}").len(), 2);
        assert_eq!(cut("a line\ranother\r\rlast"), ["a line", "another", "last"]);
        assert_eq!(cut("{\r \"a\": 1\r}").len(), 1);
        assert_eq!(cut("[]"), [""; 0]);
    }

    #[test]
    fn objects_one_behind_the_other_are_parted_and_a_single_one_is_left_alone() {
        let parted = |line: &'static str| joined(line).map(|values| values.collect::<Vec<_>>());
        assert_eq!(
            parted(r#"{"a":"}{"}{"b":1} {"c":2},{"d":"#),
            Some(vec![r#"{"a":"}{"}"#, r#"{"b":1}"#, r#"{"c":2}"#, r#"{"d":"#])
        );
        assert_eq!(parted("{\"a\":1}\u{1e}{\"b\":1}"), Some(vec!["{\"a\":1}", "{\"b\":1}"]));
        for single in [r#"{"a":"}{"}"#, r#"{"a":1} garbage"#, "[{}]{}", "{broken", "{]{", "{,] {\"a\":1"] {
            assert_eq!(parted(single), None, "{single}");
        }
    }

    #[test]
    fn an_element_that_never_ends_costs_itself_alone() {
        let [a, b, torn] = [r#"{"a":{"x":1}}"#, r#"{"b":2}"#, r#"{"t":{"y":1"#];
        for text in [format!("[{a},{torn}}},{b},{a}]"), format!("[\n{a},\n{torn},\n{b},\n{a}\n]")] {
            let values = cut(&text);
            assert_eq!((values[0], values.len()), (a, 4), "{text}");
            assert_eq!(values[2..], [b, a], "{text}");
        }
    }

    #[test]
    fn a_line_that_begins_with_a_bracket_is_no_list() {
        for line in ["[2026-09-01T00:00:00Z] \"GET / HTTP/2\" 200", "[2001:db8::1]:443 - -", "[1, \"x"] {
            assert_eq!(cut(line), [line]);
        }
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

    proptest::proptest! {
        #[test]
        fn what_a_line_is_parted_into_is_shorter_than_the_line_and_loses_only_what_stands_between(line in r#"\{[{}\[\]",:a \n\\]{1,24}"#) {
            let line = trim(&line);
            if let Some(objects) = joined(line) {
                let objects: Vec<_> = objects.collect();
                proptest::prop_assert!(objects.iter().all(|object| object.len() < line.len()));
                let is_content = |c: &char| *c != ',' && !is_blank(*c);
                let content: usize = objects.iter().map(|object| object.chars().filter(is_content).count()).sum();
                proptest::prop_assert_eq!(content, line.chars().filter(is_content).count());
            }
        }
    }
}
