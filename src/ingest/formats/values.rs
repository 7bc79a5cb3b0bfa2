//! Lenient readers of single values: logs write one field as text, number, list or nothing, depending on who shipped them.
//!
//! Absent, null, `""`, `-` and negative numbers all read as "not known", never as zero. Text borrows from the record where it can.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ingest::place::{RecordError, Shape};
use crate::ingest::time::parse_rfc3339;

/// A text. Numbers become text; of a list, the first that is set; an object reads as absent.
#[derive(Debug, Default)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// The text, or an error that the field is missing.
    pub fn required(self, field: &'static str) -> Result<Cow<'a, str>, RecordError> {
        self.0.ok_or_else(|| RecordError::missing(field))
    }

    /// Whether the text is exactly this.
    pub fn is(&self, text: &str) -> bool {
        self.0.as_deref() == Some(text)
    }
}

/// Microseconds since the epoch of a time that every record of its format has.
pub fn time(text: Text<'_>, field: &'static str) -> Result<i64, RecordError> {
    let text = text.required(field)?;
    parse_rfc3339(&text).ok_or_else(|| RecordError::expected("an RFC 3339 time", field, Shape::Text(text.len())))
}

fn is_unset(text: &str) -> bool {
    matches!(text, "" | "-")
}

/// A number, perhaps written as text or as the first of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Number {
    /// Not known.
    #[default]
    Absent,
    /// Written without a fraction.
    Whole(u64),
    /// Written with one; not negative.
    Real(f64),
    /// Something else.
    Not(Shape),
}

impl Number {
    /// The number that a text holds: of `0.1, 0.2` the first.
    pub fn of_text(text: &str) -> Self {
        let first = text.split(',').next().unwrap_or_default().trim();
        if is_unset(first) {
            return Self::Absent;
        }
        match first.parse::<u64>() {
            Ok(whole) => Self::Whole(whole),
            Err(_) => first.parse::<f64>().map_or(Self::Not(Shape::Text(text.len())), |real| Some(real).into()),
        }
    }

    /// The number, rounded to a whole one.
    pub fn whole(self, field: &'static str) -> Result<Option<u64>, RecordError> {
        match self {
            Self::Absent => Ok(None),
            Self::Whole(whole) => Ok(Some(whole)),
            Self::Real(real) => Ok(Some(real.round() as u64)),
            Self::Not(found) => Err(RecordError::expected("a number", field, found)),
        }
    }

    /// The number as it is.
    pub fn real(self, field: &'static str) -> Result<Option<f64>, RecordError> {
        match self {
            Self::Real(real) => Ok(Some(real)),
            other => Ok(other.whole(field)?.map(|whole| whole as f64)),
        }
    }

    /// An HTTP status; outside 100 to 599 none was received.
    pub fn status(self, field: &'static str) -> Result<Option<u16>, RecordError> {
        let status = self.whole(field)?.and_then(|whole| u16::try_from(whole).ok());
        Ok(status.filter(|status| (100..600).contains(status)))
    }

    /// This number, or the other where this is not known.
    pub fn or(self, other: Self) -> Self {
        if self == Self::Absent { other } else { self }
    }
}

impl From<Option<f64>> for Number {
    fn from(real: Option<f64>) -> Self {
        real.filter(|real| real.is_finite() && *real >= 0.0).map_or(Self::Absent, Self::Real)
    }
}

/// An object of known fields. Whatever else lies in its place reads as absent.
#[derive(Debug, Default)]
pub struct Section<T>(pub Option<T>);

impl<T: Default> Section<T> {
    /// The fields; of an absent section all are absent.
    pub fn take(self) -> T {
        self.0.unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        let text = text.trim_ascii();
        Ok(Text((!is_unset(text)).then_some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        let text = text.trim();
        Ok(Text((!is_unset(text)).then(|| text.to_owned().into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
        Ok(Text(Some(number.to_string().into())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
        Ok(Text(Some(number.to_string().into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Text<'de>, E> {
        Ok(Text(Some(number.to_string().into())))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Borrowed(if truth { "true" } else { "false" }))))
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text(None))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Text<'de>, S::Error> {
        let mut first = Text(None);
        while first.0.is_none() {
            match list.next_element()? {
                Some(element) => first = element,
                None => return Ok(first),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Text<'de>, M::Error> {
        skip(map).map(|()| Text(None))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(u64::try_from(number).map_or(Number::Absent, Number::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        Ok(Some(number).into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(Number::of_text(text))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
        Ok(Number::Not(Shape::Boolean))
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number::Absent)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Number, S::Error> {
        let first = list.next_element()?.unwrap_or_default();
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Number, M::Error> {
        skip(map).map(|()| Number::Not(Shape::Object))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SectionVisitor(PhantomData)).map(Section)
    }
}

struct SectionVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SectionVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Option<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Option<T>, S::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }
}

fn skip<'de, M: MapAccess<'de>>(mut map: M) -> Result<(), M::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_however_it_is_written_and_nothing_is_never_zero() {
        for (json, expected) in [
            ("812", Some(812)),
            ("812.0", Some(812)),
            (r#""812""#, Some(812)),
            (r#""812, 5""#, Some(812)),
            ("[812, 5]", Some(812)),
            ("0", Some(0)),
            ("-1", None),
            (r#""-1""#, None),
            (r#""-""#, None),
            (r#""""#, None),
            ("null", None),
        ] {
            let number: Number = serde_json::from_str(json).unwrap();
            assert_eq!(number.whole("field"), Ok(expected), "{json}");
        }
        let text: Number = serde_json::from_str(r#""lots""#).unwrap();
        assert_eq!(text.whole("sent"), Err(RecordError::expected("a number", "sent", Shape::Text(4))));
    }

    #[test]
    fn text_borrows_unless_it_is_escaped_and_a_dash_is_absent() {
        let read = |json| serde_json::from_str::<Text>(json).unwrap().0;
        assert!(matches!(read(r#""plain""#), Some(Cow::Borrowed("plain"))));
        assert_eq!(read(r#""a\/b""#).as_deref(), Some("a/b"));
        assert_eq!(read(r#"[null, "-", "x", {"y": 1}]"#).as_deref(), Some("x"));
        assert_eq!(read("17").as_deref(), Some("17"));
        for json in ["null", r#""-""#, r#"" ""#, r#"{"a": [1]}"#, "[]"] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
