//! Fields: the values of a record at the paths that somebody asks for.
//!
//! A format names the paths that it reads (`paths!`), the user those that lie elsewhere. One pass over the record fills them, borrowed
//! from its text. A key may hold dots (`"http.request.method"`) or nest, at any depth, in one record alike; keys compare without case; of
//! a key that stands twice the last counts; of a list the first element that is set, unless the path names another (`a.2.b`).
//!
//! A value that cannot be read as what a format wants is unknown, and noted: the call stays.
//!
//! Not here: what a field means (`formats`), and JSON itself (`json`).

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::json::{Cursor, Fault, Kind};
use super::paths::Paths;
use super::place::{Problem, RecordError, Shape};
use super::time::{Layout, Time, parse};
use crate::calls::Outcome;

/// The value at a path.
#[derive(Clone, Debug, Default, PartialEq)]
enum Value<'a> {
    #[default]
    Absent,
    /// A text without the blanks around it, that is more than a placeholder.
    Text(Cow<'a, str>),
    /// A number, `true`, `NaN`, as it is written.
    Word(&'a str),
    /// A list of texts and words.
    List(Vec<Value<'a>>),
    Object,
}

impl<'a> Value<'a> {
    fn of_text(text: Cow<'a, str>) -> Self {
        let is_visible = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
        let bytes = text.as_bytes();
        let text = match text {
            text if is_visible(bytes.first()) && is_visible(bytes.last()) => text,
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
        if is_unset(&text) { Self::Absent } else { Self::Text(text) }
    }

    fn of_word(word: &'a str) -> Self {
        if word == "null" { Self::Absent } else { Self::Word(word) }
    }

    fn is_set(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Text(_) | Self::Word(_) => true,
            Self::List(list) => list.iter().any(Self::is_set),
            Self::Object => true,
        }
    }

    fn into_owned<'b>(self) -> Value<'b> {
        match self {
            Self::Absent => Value::Absent,
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Word(word) => Value::Text(Cow::Owned(word.to_owned())),
            Self::List(list) => Value::List(list.into_iter().map(Self::into_owned).collect()),
            Self::Object => Value::Object,
        }
    }

    /// Of a list, the first element that is set.
    fn first(&self) -> &Self {
        match self {
            Self::List(list) => list.iter().find(|value| value.is_set()).map_or(&Value::Absent, Self::first),
            other => other,
        }
    }

    /// The text; `None` where there is none.
    fn text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text.clone()).filter(|text| *text != "null"),
            Self::Word(word) => Some(Cow::Borrowed(*word)),
            Self::List(_) => self.first().text(),
            Self::Absent | Self::Object => None,
        }
    }

    fn shape(&self) -> Shape {
        match self {
            Self::Text(text) => Shape::Text(text.len()),
            Self::Word("true" | "false") => Shape::Boolean,
            Self::Word(word) if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => Shape::Number,
            Self::Word(word) => Shape::Text(word.len()),
            Self::List(_) => Shape::List,
            Self::Object => Shape::Object,
            Self::Absent => Shape::Text(0),
        }
    }
}

/// Of an object with a `name` and a `value` and nothing else, the name, and where the value lies.
fn named_value<'a>(mut cursor: Cursor<'a>) -> Option<(Cow<'a, str>, Cursor<'a>)> {
    let (mut name, mut value, mut has_more) = (None, None, false);
    let read = cursor.object(|key, cursor| {
        if key.eq_ignore_ascii_case("name") && cursor.kind()? == Kind::Text {
            name = Some(cursor.string()?);
            return Ok(());
        }
        has_more |= !key.eq_ignore_ascii_case("value");
        value = Some(cursor.clone());
        cursor.skip().map(drop)
    });
    read.ok().filter(|()| !has_more)?;
    name.zip(value)
}

/// Whether a text stands for nothing.
pub(super) fn is_unset(text: &str) -> bool {
    matches!(text, "" | "-")
}

/// Values of a record that there is room for at once.
const USUAL_VALUES: usize = 32;

/// The values of one record.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    paths: &'a Paths,
    /// Where the value of a path stands among the values, plus one: of most paths a record has none.
    slots: Vec<u16>,
    values: Vec<Value<'a>>,
    /// The values before this one are those of earlier elements of a list, and stand.
    standing: usize,
    /// Times without an offset are of this zone.
    zone: Option<TimeZone>,
    /// Paths whose value could not be read.
    unreadable: Vec<usize>,
    /// What is wrong with the time.
    time_problem: Option<RecordError>,
}

impl<'a> Fields<'a> {
    /// No value yet.
    pub fn new(paths: &'a Paths, zone: Option<TimeZone>) -> Self {
        let slots = vec![0; paths.names.len()];
        let values = Vec::with_capacity(paths.names.len().min(USUAL_VALUES));
        Self { paths, slots, values, standing: 0, zone, unreadable: Vec::new(), time_problem: None }
    }

    #[inline]
    fn value(&self, path: impl Into<usize>) -> &Value<'a> {
        match usize::from(self.slots[path.into()]) {
            0 => &Value::Absent,
            slot => &self.values[slot - 1],
        }
    }

    fn put(&mut self, path: usize, value: Value<'a>) {
        match usize::from(self.slots[path]) {
            0 => {
                self.values.push(value);
                self.slots[path] = self.values.len() as u16;
            }
            slot if slot <= self.standing && self.values[slot - 1].is_set() => {}
            slot => self.values[slot - 1] = value,
        }
    }

    /// Reads the values of a JSON object.
    ///
    /// # Errors
    /// The text is no JSON object. What was read before the fault stands.
    pub fn read(&mut self, record: &'a str) -> Result<(), RecordError> {
        let mut cursor = Cursor::new(record);
        let read = self.read_object(0, &mut cursor).and_then(|()| cursor.end());
        read.map_err(|fault| cursor.error(fault))
    }

    fn read_object(&mut self, node: usize, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        cursor.object(|key, cursor| match self.paths.descend(node, &key) {
            Some(child) => self.read_value(child, cursor),
            None => cursor.skip().map(drop),
        })
    }

    fn read_value(&mut self, node: usize, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        let at = &self.paths.nodes[node];
        let value = match cursor.kind()? {
            Kind::Text => {
                let text = cursor.string()?;
                if !at.children.is_empty() && text.starts_with('{') {
                    self.read_object_in(node, &text);
                }
                Value::of_text(text)
            }
            Kind::Word => Value::of_word(cursor.word()),
            Kind::Object if at.children.is_empty() => cursor.skip().map(|_| Value::Object)?,
            Kind::Object => {
                self.read_object(node, cursor)?;
                Value::Object
            }
            Kind::List => self.read_list(node, cursor)?,
        };
        if let Some((last, others)) = at.paths.split_last() {
            others.iter().for_each(|path| self.put(*path, value.clone()));
            self.put(*last, value);
        }
        Ok(())
    }

    /// Reads an object that stands as text where an object should, as some buses and tables have it. What only looks like one is left alone.
    fn read_object_in(&mut self, node: usize, text: &str) {
        let mut inside = Fields::new(self.paths, None);
        if inside.read_object(node, &mut Cursor::new(text)).is_ok() {
            for path in (0..inside.slots.len()).filter(|path| inside.has(*path)) {
                self.put(path, inside.value(path).clone().into_owned());
            }
        }
    }

    /// The texts and words of a list. Paths below it are read of the element that they name, else of the first that has them; of a list
    /// of names and values, as headers are often written, a path names the name.
    fn read_list(&mut self, node: usize, cursor: &mut Cursor<'a>) -> Result<Value<'a>, Fault> {
        let mut list = Vec::new();
        let has_children = !self.paths.nodes[node].children.is_empty();
        cursor.list(|index, cursor| {
            let named = has_children.then(|| self.paths.child(node, &index.to_string())).flatten();
            match (cursor.kind()?, named) {
                (_, Some(child)) => self.read_value(child, cursor)?,
                (Kind::Text, None) => list.push(Value::of_text(cursor.string()?)),
                (Kind::Word, None) => list.push(Value::of_word(cursor.word())),
                (Kind::Object, None) if has_children => {
                    if let Some((name, mut value)) = named_value(cursor.clone()) {
                        if let Some(child) = self.paths.child(node, &name) {
                            self.read_value(child, &mut value)?;
                        }
                        return cursor.skip().map(drop);
                    }
                    let before = std::mem::replace(&mut self.standing, self.values.len());
                    let read = self.read_object(node, cursor);
                    self.standing = before;
                    read?;
                }
                (Kind::Object | Kind::List, None) => drop(cursor.skip()?),
            }
            Ok(())
        })?;
        Ok(Value::List(list))
    }

    /// Sets the value at a path, of a record that is no JSON.
    pub fn set(&mut self, path: impl Into<usize>, text: &'a str) {
        self.put(path.into(), Value::of_text(Cow::Borrowed(text)));
    }

    /// Sets the value at a path, of a record that is no JSON, to a text that does not stand in it as it is.
    pub fn set_owned(&mut self, path: impl Into<usize>, text: String) {
        self.put(path.into(), Value::of_text(Cow::Owned(text)));
    }

    /// Whether there is a value that is more than a placeholder.
    pub fn has(&self, path: impl Into<usize>) -> bool {
        self.value(path).is_set()
    }

    /// The text at a path; a number or truth value as it is written.
    pub fn text(&self, path: impl Into<usize>) -> Option<Cow<'a, str>> {
        self.value(path).text()
    }

    /// The first text that is set.
    pub fn first<P: Into<usize>>(&self, paths: impl IntoIterator<Item = P>) -> Option<Cow<'a, str>> {
        paths.into_iter().find_map(|path| self.text(path))
    }

    /// All texts of a list, or the one that is there.
    pub fn texts(&self, path: impl Into<usize>) -> Vec<Cow<'a, str>> {
        match self.value(path) {
            Value::List(list) => list.iter().filter_map(Value::text).collect(),
            other => other.text().into_iter().collect(),
        }
    }

    /// The texts of a list with commas between them, as headers have them: of a chain of addresses every one counts.
    pub fn joined(&self, path: impl Into<usize>) -> Option<Cow<'a, str>> {
        let mut texts = self.texts(path);
        match texts.len() {
            0 | 1 => texts.pop(),
            _ => Some(texts.join(", ").into()),
        }
    }

    /// Whether the text at a path is this, in whatever case.
    pub fn is(&self, path: impl Into<usize>, text: &str) -> bool {
        self.text(path).is_some_and(|own| own.eq_ignore_ascii_case(text))
    }

    /// A number, rounded to a whole one; -1 stands for nothing.
    pub fn whole(&mut self, path: impl Into<usize>) -> Option<u64> {
        self.real(path).map(|real| real.round() as u64)
    }

    /// A number; -1 stands for nothing.
    pub fn real(&mut self, path: impl Into<usize>) -> Option<f64> {
        let path = path.into();
        let value = self.value(path).first();
        let number = match value {
            Value::Absent => return None,
            Value::Object | Value::List(_) => Number::Unreadable,
            Value::Text(text) => Number::of(text),
            Value::Word(word) => Number::of(word),
        };
        if number == Number::Unreadable {
            self.unreadable.push(path);
        }
        number.known()
    }

    /// The first number that is known.
    pub fn first_whole<P: Into<usize>>(&mut self, paths: impl IntoIterator<Item = P>) -> Option<u64> {
        paths.into_iter().find_map(|path| self.whole(path))
    }

    /// The first number that is known.
    pub fn first_real<P: Into<usize>>(&mut self, paths: impl IntoIterator<Item = P>) -> Option<f64> {
        paths.into_iter().find_map(|path| self.real(path))
    }

    /// An HTTP status, 100 to 599.
    pub fn status(&mut self, path: impl Into<usize> + Copy) -> Option<u16> {
        let whole = self.whole(path)?;
        let status = u16::try_from(whole).ok().filter(|status| (100..600).contains(status));
        // A status of 0 says that none was received; other numbers are none that HTTP knows.
        if status.is_none() && whole != 0 {
            self.unreadable.push(path.into());
        }
        status
    }

    /// An HTTP status; and, where a status of 0 says that no answer came, that.
    pub fn answer(&mut self, path: impl Into<usize> + Copy) -> (Option<u16>, Option<Outcome>) {
        let status = self.status(path);
        let is_none = status.is_none() && self.whole(path) == Some(0);
        (status, is_none.then_some(Outcome::NoResponse))
    }

    /// A time, microseconds since the epoch; 0 where it is missing or cannot be read, which is remembered.
    pub fn time(&mut self, path: impl Into<usize>) -> i64 {
        self.time_as(path, &Layout::Any, None)
    }

    /// The first time that is there; as [`Self::time`].
    pub fn first_time<P: Into<usize> + Copy, const N: usize>(&mut self, paths: [P; N]) -> i64 {
        let found = paths.iter().copied().find(|path| self.has(*path));
        found.or(paths.last().copied()).map_or(0, |path| self.time(path))
    }

    /// A time of a format that writes times without an offset and means UTC; as [`Self::time`].
    pub fn utc_time(&mut self, path: impl Into<usize>) -> i64 {
        self.time_as(path, &Layout::Any, Some(TimeZone::UTC))
    }

    /// A time in a layout, and in a zone if it has no offset; as [`Self::time`].
    pub fn time_as(&mut self, path: impl Into<usize>, layout: &Layout, zone: Option<TimeZone>) -> i64 {
        let path = path.into();
        let zone = zone.or_else(|| self.zone.clone());
        let problem = match self.value(path).text() {
            None => Problem::Missing,
            Some(text) => match parse(&text, layout, zone.as_ref()) {
                Time::At(time) => {
                    self.time_problem = None;
                    return time;
                }
                Time::WithoutZone => Problem::NoZone,
                Time::Unreadable => Problem::Expected { what: "a time", found: self.value(path).first().shape() },
            },
        };
        let field = Some(self.paths.names[path].clone());
        self.time_problem = Some(RecordError { field, problem });
        0
    }

    /// What is wrong with the time that was asked for last, if something is.
    pub fn time_problem(&mut self) -> Option<RecordError> {
        self.time_problem.take()
    }

    /// That a field is missing which every record of its format has.
    pub fn missing(&self, path: impl Into<usize>) -> RecordError {
        RecordError { field: Some(self.paths.names[path.into()].clone()), problem: Problem::Missing }
    }

    /// The names of the fields that could not be read, each once.
    pub fn unreadable(&self) -> impl Iterator<Item = &str> {
        let first = |(at, path): &(usize, &usize)| !self.unreadable[..*at].contains(path);
        self.unreadable.iter().enumerate().filter(first).map(|(_, path)| self.paths.name(*path))
    }
}

/// A number as logs write it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Unset,
    Known(f64),
    Unreadable,
}

impl Number {
    /// Reads `812`, `1.2e3`, ` 812 `, `+812`; of `0.1, 0.2` the first. `12,345` could be either, and is neither.
    fn of(text: &str) -> Self {
        if (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let whole = text.bytes().fold(0_u64, |whole, digit| whole * 10 + u64::from(digit - b'0'));
            return Self::Known(whole as f64);
        }
        let text = text.trim();
        if is_unset(text) || text == "null" {
            return Self::Unset;
        }
        let (first, rest) = text.split_once(',').map_or((text, ""), |(first, rest)| (first.trim(), rest));
        if is_unset(first) {
            return Self::Unset;
        }
        let is_grouped = rest.len() >= 3 && rest.as_bytes()[..3].iter().all(u8::is_ascii_digit);
        let is_decimal = first.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        match first.parse::<f64>() {
            // What many logs write where they measured nothing.
            Ok(-1.0) if is_decimal => Self::Unset,
            Ok(number) if is_decimal && !is_grouped && (0.0..u64::MAX as f64).contains(&number) => Self::Known(number),
            _ => Self::Unreadable,
        }
    }

    fn known(self) -> Option<f64> {
        match self {
            Self::Known(number) => Some(number),
            Self::Unset | Self::Unreadable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::paths::paths;

    paths! { Path:
        Method = "http.request.method",
        Bytes = "http.request.bytes",
        Host = "url.domain",
        Key = "headers.x-api-key",
        Third = "tags.2",
        Time = "@timestamp",
    }

    fn read(record: &str) -> Fields<'_> {
        let mut fields = Fields::new(&PATHS, None);
        fields.read(record).unwrap();
        fields
    }

    #[test]
    fn dotted_and_nested_keys_mix_at_any_depth_and_the_last_counts() {
        for record in [
            r#"{"http":{"request":{"method":"GET","bytes":7}},"url":{"domain":"a.b"}}"#,
            r#"{"http.request.method":"GET","http":{"request.bytes":7},"url.domain":"a.b"}"#,
            r#"{"http":{"request":{"method":"PUT"}},"http.request":{"method":"GET","bytes":"7"},"url":{"domain":"a.b"}}"#,
            r#"{"http":{"request.method":"PUT","request":{"bytes":9,"bytes":7}},"HTTP.Request.Method":"GET","url":[{"domain":"a.b"}]}"#,
        ] {
            let mut fields = read(record);
            assert_eq!(fields.text(Path::Method).as_deref(), Some("GET"), "{record}");
            assert_eq!(fields.whole(Path::Bytes), Some(7), "{record}");
            assert_eq!(fields.text(Path::Host).as_deref(), Some("a.b"), "{record}");
        }
    }

    #[test]
    fn of_a_list_the_first_that_is_set_or_the_one_that_is_named() {
        let fields = read(
            r#"{"headers":{"X-Api-Key":[null,"-","k1","k2"]},"tags":["a","b","c"],"url":[{"x":1},{"domain":"a.b"}]}"#,
        );
        assert_eq!(fields.text(Path::Key).as_deref(), Some("k1"));
        assert_eq!(fields.joined(Path::Key).as_deref(), Some("k1, k2"));
        assert_eq!(fields.text(Path::Third).as_deref(), Some("c"));
        assert_eq!(fields.text(Path::Host).as_deref(), Some("a.b"));
    }

    #[test]
    fn of_a_list_of_names_and_values_a_path_names_the_name() {
        let record = r#"{"headers":[{"name":"Host","value":"a.b"},{"value":["k1"],"name":"X-Api-Key"},{"name":"x","value":"y","z":1}],
            "url":[{"name":"domain","value":"c.d"}]}"#;
        let fields = read(record);
        assert_eq!(fields.text(Path::Key).as_deref(), Some("k1"));
        assert_eq!(fields.text(Path::Host).as_deref(), Some("c.d"));
    }

    #[test]
    fn an_object_that_stands_as_text_is_read_and_what_only_looks_like_one_is_not() {
        let mut fields =
            read(r#"{"http":"{\"request\":{\"method\":\"GET\",\"bytes\":7}}","url":"{domain","@timestamp":"{}"}"#);
        assert_eq!((fields.text(Path::Method).as_deref(), fields.whole(Path::Bytes)), (Some("GET"), Some(7)));
        assert_eq!((fields.text(Path::Host), fields.text(Path::Time).as_deref()), (None, Some("{}")));
    }

    #[test]
    fn a_number_is_read_however_it_is_written_and_nothing_is_never_zero() {
        for (json, expected) in [
            ("812", Some(812)),
            ("812.0", Some(812)),
            ("8.12e2", Some(812)),
            (r#""812, 5""#, Some(812)),
            (r#"" +812 ""#, Some(812)),
            ("[812, 5]", Some(812)),
            ("0", Some(0)),
            ("-1", None),
            (r#""-""#, None),
            ("null", None),
            ("[]", None),
        ] {
            let record = format!(r#"{{"http":{{"request":{{"bytes":{json}}}}}}}"#);
            let mut fields = read(&record);
            assert_eq!((fields.whole(Path::Bytes), fields.unreadable().count()), (expected, 0), "{json}");
        }
        for json in ["NaN", "Infinity", "true", r#""12,345""#, r#""1.2KB""#, r#""0x1f""#, r#"{"value":5}"#, r#""inf""#]
        {
            let record = format!(r#"{{"http":{{"request":{{"bytes":{json}}}}},"url":{{"domain":"a.b"}}}}"#);
            let mut fields = read(&record);
            assert_eq!(fields.whole(Path::Bytes), None, "{json}");
            assert_eq!(fields.unreadable().collect::<Vec<_>>(), ["http.request.bytes"], "{json}");
            assert_eq!(fields.text(Path::Host).as_deref(), Some("a.b"), "{json}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_is_remembered_with_its_field() {
        let mut fields = read(r#"{"@timestamp":"yesterday"}"#);
        assert_eq!(fields.time(Path::Time), 0);
        let problem = fields.time_problem().unwrap();
        assert_eq!((problem.field.as_deref(), problem.problem.reason()), (Some("@timestamp"), "unexpected_value"));
        let mut fields = read(r#"{"@timestamp":"2026-09-15T08:00:00"}"#);
        assert_eq!((fields.time(Path::Time), fields.time_problem().unwrap().problem.reason()), (0, "no_zone"));
        assert_eq!(fields.utc_time(Path::Time), 1_789_459_200_000_000);
    }
}
