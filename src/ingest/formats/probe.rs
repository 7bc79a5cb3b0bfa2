//! A glance at a record: its top-level keys and values, enough to tell the formats apart.

use std::borrow::Cow;

use crate::ingest::json::{entries, text_of};
use crate::ingest::place::RecordError;

/// The top-level keys of a record, with their values as they are written. Keys compare without case.
#[derive(Debug)]
pub struct Probe<'a> {
    entries: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Probe<'a> {
    /// Reads the keys.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub fn of(record: &'a str) -> Result<Self, RecordError> {
        Ok(Self { entries: entries(record)? })
    }

    /// The top-level keys, as written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_ref())
    }

    /// Whether the record has the key.
    pub fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// Whether a key equals the name or is a dotted one below it: `http` is a section of `{"http": …}` and of `{"http.version": …}`.
    pub fn has_section(&self, name: &str) -> bool {
        self.keys().any(|own| {
            let head = own.split_once('.').map_or(own, |(head, _)| head);
            head.eq_ignore_ascii_case(name)
        })
    }

    /// The value under a key, as it is written.
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        self.entries.iter().find(|(own, _)| own.eq_ignore_ascii_case(key)).map(|(_, value)| *value)
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        text_of(self.raw(key)?)
    }

    /// Whether there is an object under a key, and what it holds.
    pub fn inside(&self, key: &str) -> Option<Self> {
        Self::of(self.raw(key)?).ok()
    }
}
