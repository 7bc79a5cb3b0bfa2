//! JSON as logs have it: read leniently, in one pass, without building a tree.
//!
//! Loggers write what no JSON reader should accept: `NaN`, half a surrogate pair, raw control characters in a text. One such field is no
//! reason to lose the record, so texts and scalars are read for what they are worth, and only a broken structure is an error.
//! What nobody asks for is passed over by counting brackets.
//!
//! Not here: which fields a format wants (`fields`), and records in arrays or one behind the other (`payload`).

use std::borrow::Cow;

use super::place::{JsonFault, Problem, RecordError};

/// A position in a text that holds JSON.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// The text is broken where its cursor stands: every value that is read may be, so this is small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault;

/// What a value begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
    Text,
    /// A number, `true`, `null`, `NaN`: whatever stands there without quotes.
    Word,
}

impl<'a> Cursor<'a> {
    /// The start of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn skip_blanks(&mut self) {
        while self.bytes().get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// The fault at this position, with its place.
    #[cold]
    pub fn error(&self, _: Fault) -> RecordError {
        let before = &self.bytes()[..self.at.min(self.text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Problem::NotJson {
            fault: if self.at >= self.text.len() { JsonFault::Truncated } else { JsonFault::Syntax },
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: before.len() - line_start + 1,
        }
        .into()
    }

    /// What the next value is.
    ///
    /// # Errors
    /// There is none.
    pub fn kind(&mut self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::List),
            Some(b'"') => Ok(Kind::Text),
            Some(b',' | b':' | b'}' | b']') | None => Err(Fault),
            Some(_) => Ok(Kind::Word),
        }
    }

    /// Reads an object: `each` is shown every key and must read or skip its value.
    ///
    /// # Errors
    /// No object begins here, or it is broken.
    pub fn object(&mut self, mut each: impl FnMut(Cow<'a, str>, &mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if !self.take(b'{') {
            return Err(Fault);
        }
        while !self.take(b'}') {
            let key = self.string()?;
            if !self.take(b':') {
                return Err(Fault);
            }
            each(key, self)?;
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err(Fault);
            }
        }
        Ok(())
    }

    /// Reads a list: `each` is shown the index of every element and must read or skip it.
    ///
    /// # Errors
    /// No list begins here, or it is broken.
    pub fn list(&mut self, mut each: impl FnMut(usize, &mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if !self.take(b'[') {
            return Err(Fault);
        }
        let mut index = 0;
        while !self.take(b']') {
            each(index, self)?;
            index += 1;
            if !self.take(b',') && self.peek() != Some(b']') {
                return Err(Fault);
            }
        }
        Ok(())
    }

    /// Reads a text between quotes.
    ///
    /// # Errors
    /// No text begins here, or it does not end.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        if !self.take(b'"') {
            return Err(Fault);
        }
        let begin = self.at;
        match self.find_quote_or_escape() {
            // Quotes are ASCII: the cut splits no character.
            Some(b'"') => {
                let text = &self.text[begin..self.at];
                self.at += 1;
                Ok(Cow::Borrowed(text))
            }
            Some(_) => self.escaped(begin).map(Cow::Owned),
            None => Err(Fault),
        }
    }

    /// Moves to the next quote or backslash, which is returned; to the end where there is none.
    fn find_quote_or_escape(&mut self) -> Option<u8> {
        let rest = &self.bytes()[self.at..];
        let found = in_first_word(rest).or_else(|| memchr::memchr2(b'"', b'\\', rest));
        self.at += found.unwrap_or(rest.len());
        found.map(|at| rest[at])
    }

    /// The rest of a text that begins at `begin` and has an escape here.
    fn escaped(&mut self, begin: usize) -> Result<String, Fault> {
        let mut text = self.text[begin..self.at].to_owned();
        loop {
            match self.bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                _ => return Err(Fault),
            }
            let plain = self.at;
            self.find_quote_or_escape();
            text.push_str(&self.text[plain..self.at]);
        }
    }

    /// The character of an escape, behind its backslash; what no character has is U+FFFD.
    fn escape(&mut self) -> Result<char, Fault> {
        let Some(byte) = self.bytes().get(self.at).copied() else { return Err(Fault) };
        if !byte.is_ascii() {
            // A backslash before a whole character stands for nothing.
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        self.at += 1;
        Ok(match byte {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => self.unicode(),
            other => char::from(other),
        })
    }

    fn unicode(&mut self) -> char {
        let Some(first) = self.hex() else { return char::REPLACEMENT_CHARACTER };
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let lone = self.at;
        if self.bytes()[self.at..].starts_with(b"\\u") {
            self.at += 2;
            if let Some(second) = self.hex().filter(|second| (0xdc00..0xe000).contains(second)) {
                let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
            self.at = lone;
        }
        char::REPLACEMENT_CHARACTER
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let code =
            digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())??;
        self.at += 4;
        Some(code)
    }

    /// Reads a value without quotes: up to the next blank, comma or bracket.
    pub fn word(&mut self) -> &'a str {
        self.skip_blanks();
        let begin = self.at;
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']' | b':' | b'"');
        self.at += self.bytes()[begin..].iter().position(ends).unwrap_or(self.text.len() - begin);
        &self.text[begin..self.at]
    }

    /// Passes over a value, and returns it as it is written.
    ///
    /// # Errors
    /// There is none, or it does not end.
    pub fn skip(&mut self) -> Result<&'a str, Fault> {
        let kind = self.kind()?;
        let begin = self.at;
        match kind {
            Kind::Text => self.skip_string()?,
            Kind::Word => {
                self.word();
            }
            Kind::Object | Kind::List => self.skip_brackets()?,
        }
        Ok(&self.text[begin..self.at])
    }

    fn skip_string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.find_quote_or_escape() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => self.at = (self.at + 2).min(self.text.len()),
                None => return Err(Fault),
            }
        }
    }

    fn skip_brackets(&mut self) -> Result<(), Fault> {
        let mut depth = 0_usize;
        loop {
            let rest = &self.bytes()[self.at..];
            let is_mark = |byte: &u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']');
            let Some(found) = rest.iter().position(is_mark) else {
                self.at = self.text.len();
                return Err(Fault);
            };
            self.at += found;
            match rest[found] {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Nothing but blanks may follow.
    ///
    /// # Errors
    /// Something else does.
    pub fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Fault),
        }
    }
}

/// Where the first quote or backslash stands among the first sixteen bytes: most keys and values are short, and a search that is made for
/// long ones costs them more than they have.
#[inline]
fn in_first_word(bytes: &[u8]) -> Option<usize> {
    const ONES: u128 = u128::from_le_bytes([1; 16]);
    const HIGH: u128 = u128::from_le_bytes([0x80; 16]);
    let word = u128::from_le_bytes(bytes.get(..16)?.try_into().ok()?);
    // Bytes that are zero, below the first of them exactly (Mycroft).
    let zeros = |word: u128| word.wrapping_sub(ONES) & !word & HIGH;
    let found = zeros(word ^ (ONES * b'"' as u128)) | zeros(word ^ (ONES * b'\\' as u128));
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// The entries of an object: each key, and its value as it is written.
///
/// # Errors
/// The text is no object.
pub(super) fn entries(text: &str) -> Result<Vec<(Cow<'_, str>, &str)>, RecordError> {
    let mut entries = Vec::with_capacity(16);
    let mut cursor = Cursor::new(text);
    let read = cursor.object(|key, cursor| {
        entries.push((key, cursor.skip()?));
        Ok(())
    });
    match read.and_then(|()| cursor.end()) {
        Ok(()) => Ok(entries),
        Err(fault) => Err(cursor.error(fault)),
    }
}

/// The elements of a list, each as it is written; none where the text is no list.
pub(super) fn elements(text: &str) -> Vec<&str> {
    let mut elements = Vec::new();
    // What was read before a fault stands.
    let _ = Cursor::new(text).list(|_, cursor| {
        elements.push(cursor.skip()?);
        Ok(())
    });
    elements
}

/// The text that a value is; `None` where it is something else.
pub(super) fn text_of(value: &str) -> Option<Cow<'_, str>> {
    let mut cursor = Cursor::new(value);
    (cursor.kind().ok()? == Kind::Text).then(|| cursor.string().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(text: &str) -> Result<Vec<String>, RecordError> {
        Ok(entries(text)?.into_iter().map(|(key, _)| key.into_owned()).collect())
    }

    #[test]
    fn entries_come_with_their_values_as_they_are_written() {
        let read = entries(r#" {"a": {"b":"}\""}, "c" : [1,"]"], "d":NaN,"e\n":"x"} "#).unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|(key, value)| (&**key, *value)).collect();
        assert_eq!(read, [("a", r#"{"b":"}\""}"#), ("c", r#"[1,"]"]"#), ("d", "NaN"), ("e\n", "\"x\"")]);
        assert_eq!(elements(r#"[{"a":1}, "b", 3"#), [r#"{"a":1}"#, "\"b\"", "3"]);
    }

    #[test]
    fn of_a_broken_text_only_the_character_suffers() {
        for (json, expected) in [
            (r#""a\u00e9b""#, "a\u{e9}b"),
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""\ud800x""#, "\u{fffd}x"),
            (r#""\ud800\u0041""#, "\u{fffd}A"),
            (r#""\u12""#, "\u{fffd}12"),
            ("\"a\0b\nc\"", "a\0b\nc"),
            (r#""\q\/""#, "q/"),
        ] {
            assert_eq!(text_of(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn a_broken_structure_is_an_error_with_its_place() {
        let place = |text: &str| match keys(text).unwrap_err().problem {
            Problem::NotJson { fault, line, column } => (fault, line, column),
            other => panic!("{other}"),
        };
        assert_eq!(place("{\"a\":1,\n\"b\" 2}"), (JsonFault::Syntax, 2, 5));
        assert_eq!(place("{\"a\":"), (JsonFault::Truncated, 1, 6));
        assert_eq!(place("{\"a\":\"x"), (JsonFault::Truncated, 1, 8));
        assert_eq!(place("{} {"), (JsonFault::Syntax, 1, 4));
        assert_eq!(place("7"), (JsonFault::Syntax, 1, 1));
    }

    proptest! {
        #[test]
        fn what_serde_json_reads_is_read_alike(value in arbitrary()) {
            let text = value.to_string();
            let expected: Vec<(String, serde_json::Value)> =
                value.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            let read: Vec<(String, serde_json::Value)> = entries(&text)
                .unwrap()
                .into_iter()
                .map(|(key, raw)| (key.into_owned(), serde_json::from_str(raw).unwrap()))
                .collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", cut in 0..60_usize) {
            let json = format!(r#"{{"a":"{text}","b":[{text}]}}"#);
            let cut = json.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(json.len());
            let _ = (entries(&json), elements(&json), entries(&json[..cut]), text_of(&text));
        }
    }

    fn arbitrary() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
        ];
        let tree = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map(".{0,8}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        });
        proptest::collection::btree_map(".{0,8}", tree, 0..5)
            .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
    }
}
