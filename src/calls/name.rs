//! Names: texts that are compared, hashed and looked up as integers.
//!
//! A name carries a 64-bit content address of its text (blake3), worked out once, where a record is decoded. From there to the
//! wording of an alert nothing compares, hashes or copies text. The address depends on the text alone, so workers, processes
//! and restarts agree on it without talking to each other, and an order by address is the same everywhere.
//!
//! Not here: what a text means (the builder), and which texts are kept (whoever holds a name keeps its text alive).

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text with its content address. Equal, and hashed, by address; ordered by text.
#[derive(Clone)]
pub struct Name {
    id: u64,
    text: Arc<str>,
}

static EMPTY: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));

impl Name {
    /// Interns a text. Costs a hash: callers remember the names of texts that repeat.
    pub fn new(text: &str) -> Self {
        let shared = if text.is_empty() { Arc::clone(&EMPTY) } else { Arc::from(text) };
        Self { id: Self::id_of(text), text: shared }
    }

    /// The content address of a text that need not be kept; 0 for the empty text.
    pub fn id_of(text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        let hash = blake3::hash(text.as_bytes());
        hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The content address; 0 for the empty text.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.id == 0
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.text == *other
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::new("")
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.id == other.id { Ordering::Equal } else { self.text.cmp(&other.text) }
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Borrowed where the format can: most names repeat, and are dropped again by whoever shares them.
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

/// One address from several, order included: what a key of many columns is looked up by. The parts are addresses or small
/// numbers; the result is stable across versions, for it is stored in bundles.
pub fn combine(parts: impl IntoIterator<Item = u64>) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for part in parts {
        hash = (hash.rotate_left(23) ^ part).wrapping_mul(0xd6e8_feb8_6659_fd93);
        hash ^= hash >> 32;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_number_wherever_it_is_interned() {
        let name = Name::new("api.stripe.com");
        assert_eq!(name, Name::from("api.stripe.com"));
        let stored = postcard::to_stdvec(&name).unwrap();
        assert_eq!(postcard::from_bytes::<Name>(&stored).unwrap(), name);
        assert!(Name::default().is_empty() && !name.is_empty());
    }

    #[test]
    fn names_sort_as_their_texts_do() {
        let mut names = ["stripe", "adyen", "", "plaid"].map(Name::new);
        names.sort();
        assert_eq!(names.each_ref().map(Name::as_str), ["", "adyen", "plaid", "stripe"]);
    }

    #[test]
    fn a_combined_address_depends_on_every_part_and_on_their_order() {
        let of = |parts: &[u64]| combine(parts.iter().copied());
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1, 0]), of(&[1]));
        let distinct: std::collections::BTreeSet<u64> = (0..10_000).map(|part| of(&[part, 7])).collect();
        assert_eq!(distinct.len(), 10_000);
    }
}
