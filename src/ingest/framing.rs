//! Binary payloads: what the first bytes of a payload announce, and its records as JSON text, which goes the way of all text.
//!
//! - `00` and four bytes of id: a record of a schema registry, as Confluent's serializers frame it.
//! - `03`, `00` or `05`, and sixteen bytes of id: a record of the AWS Glue registry. Only its JSON is read.
//! - `Obj` and `01`: an Avro object container.
//! - Field 1 of Protobuf, again and again: an OTLP export.
//!
//! Not here: compression of a whole payload (`payload`), what an encoding means (`avro`, `container`, `protobuf`, `otlp_proto`), and how
//! a schema is found (`registry`).

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::container;
use super::otlp_proto;
use super::place::Problem;
use super::registry::{Registry, Schema};
use super::utf16::unit_of;

/// Bytes of the id of a Glue schema.
const GLUE_ID: usize = 16;

/// The records of a binary payload.
#[derive(Debug, PartialEq)]
pub(super) struct Unframed<'a> {
    /// The records as JSON, one a line.
    pub text: Cow<'a, [u8]>,
    /// What kept the rest from being read.
    pub problem: Option<Problem>,
}

impl<'a> Unframed<'a> {
    fn whole(text: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { text: text.into(), problem: None }
    }
}

impl From<Problem> for Unframed<'_> {
    fn from(problem: Problem) -> Self {
        Self { text: Cow::Borrowed(&[]), problem: Some(problem) }
    }
}

/// The records of a binary payload; `None` where it is text.
pub(super) fn unframe<'a>(bytes: &'a [u8], registry: Option<&Registry>) -> Option<Unframed<'a>> {
    match bytes {
        _ if unit_of(bytes).is_some() => None,
        // No registry gives the id 0: blocks of zeros are what a crash leaves in a file.
        [0, 0, 0, 0, 0, ..] => None,
        [0, a, b, c, d, body @ ..] => {
            let id = u32::from_be_bytes([*a, *b, *c, *d]);
            Some(if is_json(body) {
                Unframed::whole(body)
            } else {
                of_registry(id, body, registry).unwrap_or_else(Unframed::from)
            })
        }
        [3, 0 | 5, rest @ ..] if rest.len() > GLUE_ID => Some(match &rest[GLUE_ID..] {
            body if is_json(body) => Unframed::whole(body),
            _ => Problem::GlueFrame.into(),
        }),
        _ if bytes.starts_with(container::MAGIC) => {
            let (text, problem) = container::all_records(bytes);
            Some(Unframed { text: text.into(), problem })
        }
        _ => otlp_proto::json(bytes).map(Unframed::whole),
    }
}

/// A record of a registry's schema. JSON that is broken gets this far: it says so itself.
fn of_registry<'a>(id: u32, body: &'a [u8], registry: Option<&Registry>) -> Result<Unframed<'a>, Problem> {
    let schema = registry.ok_or(Problem::NoRegistry { id })?.schema(id)?;
    let (encoding, text) = match schema.as_ref() {
        Schema::Json => return Ok(Unframed::whole(body)),
        Schema::Avro(schema) => ("Avro", schema.json(body)),
        Schema::Protobuf(schema) => ("Protobuf", schema.json(body)),
    };
    text.map(Unframed::whole).ok_or(Problem::NotOfSchema { encoding, id })
}

/// Whether a body is JSON. No record of Avro or Protobuf is: they would have to begin with a brace and be text to the end.
fn is_json(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framed_json_needs_no_registry_and_anything_else_says_that_it_does() {
        for frame in [&b"\0\0\0\0\x07"[..], b"\x03\x000123456789abcdef"] {
            let framed = [frame, br#"{"a":1}"#].concat();
            assert_eq!(unframe(&framed, None), Some(Unframed::whole(&br#"{"a":1}"#[..])));
        }
        assert_eq!(unframe(b"\0\0\0\0\x07\x02\x02a", None), Some(Problem::NoRegistry { id: 7 }.into()));
        assert_eq!(unframe(b"\x03\x050123456789abcdef\x78", None), Some(Problem::GlueFrame.into()));
        let problem = Problem::NoRegistry { id: 7 }.to_string();
        assert_eq!(problem, "a record of schema 7 of a registry: configure [source.registry]");
    }

    #[test]
    fn text_is_left_alone() {
        for text in [&b"{}"[..], b"\n{\"a\":1}", b"\0\0\0\0\0\0\0\0{}", b"", b"\0", b"Object", b"\x03"] {
            assert_eq!(unframe(text, None), None, "{text:?}");
        }
    }
}
