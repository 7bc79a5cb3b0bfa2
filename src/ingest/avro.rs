//! Avro: a record by its schema, as JSON.
//!
//! A union is the value that was chosen, a time the number since the epoch that it is, a decimal its digits, bytes their text or, where
//! they are none, base64. What a record can make of few bytes is bounded in depth and in length.
//!
//! Not here: where a schema comes from (`registry`), and files of records (`container`).

use std::fmt;
use std::io::BufRead;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};

use super::payload::MAX_CONTENT_BYTES;

/// Values in values that are read.
const MAX_DEPTH: usize = 64;

/// A schema.
pub(super) struct Schema(serde_avro_fast::Schema);

impl Schema {
    /// Reads a schema, with those that define the names it refers to; `None` where it is none.
    pub fn parse(schema: &str, references: &[&str]) -> Option<Self> {
        let read = match references {
            [] => schema.parse(),
            _ => serde_avro_fast::Schema::from_schemata(schema, references),
        };
        read.ok().map(Self)
    }

    /// The record that the bytes are, all of them; a text as what it says.
    pub fn json(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut json = Vec::new();
        let rest = self.append(bytes, &mut json, MAX_CONTENT_BYTES)?;
        if rest != 0 {
            return None;
        }
        match json.starts_with(b"\"") {
            true => serde_json::from_slice::<String>(&json).ok().map(String::into_bytes),
            false => Some(json),
        }
    }

    /// Appends the record that the bytes begin with, as long as `json` does not grow beyond `limit`. Returns how many bytes follow.
    pub fn append(&self, bytes: &[u8], json: &mut Vec<u8>, limit: usize) -> Option<usize> {
        let mut config = DeserializerConfig::new(&self.0);
        config.allowed_depth = MAX_DEPTH;
        config.max_seq_size = limit;
        let mut state = DeserializerState::with_config(SliceRead::new(bytes), config);
        Json { out: json, limit }.deserialize(state.deserializer()).ok()?;
        state.into_reader().fill_buf().ok().map(<[u8]>::len)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

/// Writes what it visits as JSON. Every value takes a byte at least, so the limit bounds time too.
struct Json<'o> {
    out: &'o mut Vec<u8>,
    limit: usize,
}

impl Json<'_> {
    fn inner(&mut self) -> Json<'_> {
        Json { out: self.out, limit: self.limit }
    }

    fn put<E: Error>(&mut self, bytes: &[u8]) -> Result<(), E> {
        self.out.extend_from_slice(bytes);
        self.check()
    }

    fn value<E: Error>(&mut self, value: impl Serialize) -> Result<(), E> {
        serde_json::to_writer(&mut *self.out, &value).map_err(E::custom)?;
        self.check()
    }

    fn check<E: Error>(&self) -> Result<(), E> {
        if self.out.len() > self.limit { Err(E::custom("longer than may be")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of Avro")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.put(b"null")
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.value(value)
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.value(value)
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.value(value)
    }

    fn visit_f32<E: Error>(mut self, value: f32) -> Result<(), E> {
        self.value(value)
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.value(value)
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        self.value(value)
    }

    fn visit_bytes<E: Error>(mut self, value: &[u8]) -> Result<(), E> {
        match std::str::from_utf8(value) {
            Ok(text) => self.value(text),
            Err(_) => self.value(STANDARD.encode(value)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        self.put(b"[")?;
        let begin = self.out.len();
        loop {
            let before = self.out.len();
            if before > begin {
                self.put(b",")?;
            }
            if list.next_element_seed(self.inner())?.is_none() {
                self.out.truncate(before);
                return self.put(b"]");
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.put(b"{")?;
        let mut is_first = true;
        while let Some(key) = map.next_key::<String>()? {
            if !std::mem::take(&mut is_first) {
                self.put(b",")?;
            }
            self.value(key)?;
            self.put(b":")?;
            map.next_value_seed(self.inner())?;
        }
        self.put(b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_comes_out_as_json() {
        let schema = Schema::parse(
            r#"{"type":"record","name":"R","fields":[
                {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
                {"name":"cost","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
                {"name":"kind","type":{"type":"enum","name":"K","symbols":["GET","PUT"]}},
                {"name":"none","type":["null","string"]},
                {"name":"some","type":["null","string"]},
                {"name":"tags","type":{"type":"array","items":"string"}},
                {"name":"sizes","type":{"type":"map","values":"int"}},
                {"name":"text","type":"bytes"},
                {"name":"raw","type":{"type":"fixed","name":"F","size":2}},
                {"name":"ratio","type":"double"}]}"#,
            &[],
        )
        .unwrap();
        let mut bytes = vec![0x02, 0x04, 0x04, 0xd2, 0x02, 0x00, 0x02, 0x02, b'x', 0x04, 0x02, b'a', 0x02, b'b', 0x00];
        bytes.extend([0x02, 0x02, b'k', 0x07, 0x00, 0x04, b'h', b'i', 0xff, 0xfe]);
        bytes.extend(0.5_f64.to_le_bytes());
        let json: serde_json::Value = serde_json::from_slice(&schema.json(&bytes).unwrap()).unwrap();
        let expected = serde_json::json!({"at": 1, "cost": "12.34", "kind": "PUT", "none": null, "some": "x", "tags": ["a", "b"],
            "sizes": {"k": -4}, "text": "hi", "raw": "//4=", "ratio": 0.5});
        assert_eq!(json, expected);
        bytes.push(0);
        assert_eq!(schema.json(&bytes), None);
    }

    #[test]
    fn few_bytes_that_claim_much_are_refused() {
        let nulls = Schema::parse(r#"{"type":"array","items":"null"}"#, &[]).unwrap();
        assert_eq!(nulls.json(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00]), None);
        let list = r#"{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]}]}"#;
        let list = Schema::parse(list, &[]).unwrap();
        assert_eq!(list.json(&[2, 0]).unwrap(), br#"{"next":{"next":null}}"#);
        assert_eq!(list.json(&[2; 100_000]), None);
    }
}
