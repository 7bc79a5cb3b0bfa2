//! A glance at a record: its top-level keys and texts, enough to tell the formats apart.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::values::Text;
use crate::ingest::place::RecordError;

/// The top-level keys of a record, with their values where these are short and plain. Keys compare without case.
#[derive(Debug)]
pub struct Probe<'a> {
    fields: Vec<(Cow<'a, str>, Text<'a>)>,
}

impl<'a> Probe<'a> {
    /// Reads the keys.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub fn of(record: &'a str) -> Result<Self, RecordError> {
        Ok(serde_json::from_str(record)?)
    }

    /// The top-level keys, as written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(key, _)| key.as_ref())
    }

    /// Whether the record has the key.
    pub fn has(&self, key: &str) -> bool {
        self.keys().any(|own| own.eq_ignore_ascii_case(key))
    }

    /// Whether a key equals the name or is a dotted one below it: `http` is a section of `{"http": …}` and of `{"http.version": …}`.
    pub fn has_section(&self, name: &str) -> bool {
        self.keys().any(|own| {
            let head = own.split_once('.').map_or(own, |(head, _)| head);
            head.eq_ignore_ascii_case(name)
        })
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(key))?.1.0.as_deref()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Probe<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Probe<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Probe<'de>, M::Error> {
        let mut fields = Vec::with_capacity(16);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.0 {
                Some(key) => fields.push((key, map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Probe { fields })
    }
}
