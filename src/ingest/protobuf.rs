//! Protobuf: a message by its descriptor, as JSON, in the mapping that Protobuf itself defines; whole numbers are numbers, and a field
//! without presence that was not written is its default.
//!
//! Descriptors are made of `.proto` text, as a registry stores it. Options that others define are dropped: nothing here reads them.
//!
//! Source: protobuf.dev, "ProtoJSON Format"; Confluent, "Formats, Serializers, and Deserializers", Wire format.
//!
//! Not here: where a schema comes from (`registry`), and OTLP (`otlp_proto`).

use std::io::{self, Write};

use prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, UninterpretedOption};
use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor, MessageDescriptor, SerializeOptions};

use super::payload::MAX_CONTENT_BYTES;

/// Longest message, bytes: decoded, it takes many times as much.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// Messages within messages that the index of a message names.
const MAX_NESTING: usize = 16;
/// Name of the file that a schema is: no import has it.
const MAIN: &str = "registered schema";

/// A schema: a file of messages.
#[derive(Debug)]
pub(super) struct Schema(FileDescriptor);

impl Schema {
    /// Compiles a file and, before it, those that it imports, each under the name by which it is imported. `None` where that fails.
    pub fn compile(text: &str, imports: &[(&str, &str)]) -> Option<Self> {
        let mut pool = DescriptorPool::global();
        for (name, text) in imports.iter().copied().chain([(MAIN, text)]) {
            if pool.get_file_by_name(name).is_none() {
                let mut file = protox_parse::parse(name, text).ok()?;
                // Files of options alone are imported without being registered.
                file.dependency.retain(|import| pool.get_file_by_name(import).is_some());
                file.public_dependency.clear();
                file.weak_dependency.clear();
                drop_options(&mut file);
                pool.add_file_descriptor_proto(file).ok()?;
            }
        }
        pool.get_file_by_name(MAIN).map(Self)
    }

    /// The message that the bytes are, behind the list of indexes that says which of the file's messages it is.
    pub fn json(&self, framed: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = framed;
        let message = self.message(&mut bytes)?;
        let options = SerializeOptions::new().stringify_64_bit_integers(false).skip_default_fields(false);
        json(message, bytes, &options)
    }

    /// Takes the indexes off the bytes: how many, and the place of each message in the one before; none at all is the file's first.
    fn message(&self, bytes: &mut &[u8]) -> Option<MessageDescriptor> {
        let count = usize::try_from(index(bytes)?).ok().filter(|count| *count <= MAX_NESTING)?;
        if count == 0 {
            return self.0.messages().next();
        }
        let mut message = self.0.messages().nth(usize::try_from(index(bytes)?).ok()?)?;
        for _ in 1..count {
            let inner = usize::try_from(index(bytes)?).ok()?;
            // Entries of maps are messages too, but none that was declared.
            let child = message.child_messages().filter(|child| !child.is_map_entry()).nth(inner);
            message = child?;
        }
        Some(message)
    }
}

/// The message that the bytes are, all of them.
pub(super) fn json(message: MessageDescriptor, bytes: &[u8], options: &SerializeOptions) -> Option<Vec<u8>> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let message = DynamicMessage::decode(message, bytes).ok()?;
    let mut json = Bounded(Vec::new());
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut json), options).ok()?;
    Some(json.0)
}

/// A zigzag number of variable length.
fn index(bytes: &mut &[u8]) -> Option<i64> {
    let value = prost_reflect::prost::encoding::decode_varint(bytes).ok()?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// Text that may not become longer than what a message may hold: defaults are written of every message, however short it is.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > MAX_CONTENT_BYTES.saturating_sub(self.0.len()) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn drop_options(file: &mut FileDescriptorProto) {
    file.options = None;
    file.service.clear();
    file.extension.clear();
    file.enum_type.iter_mut().for_each(drop_options_of_enum);
    file.message_type.iter_mut().for_each(drop_options_of_message);
}

fn drop_options_of_message(message: &mut DescriptorProto) {
    message.extension.clear();
    message.options.iter_mut().for_each(|options| options.uninterpreted_option.retain(is_own));
    message.field.iter_mut().for_each(|field| field.options = None);
    message.oneof_decl.iter_mut().for_each(|oneof| oneof.options = None);
    message.extension_range.iter_mut().for_each(|range| range.options = None);
    message.enum_type.iter_mut().for_each(drop_options_of_enum);
    message.nested_type.iter_mut().for_each(drop_options_of_message);
}

fn drop_options_of_enum(of: &mut EnumDescriptorProto) {
    of.options.iter_mut().for_each(|options| options.uninterpreted_option.retain(is_own));
    of.value.iter_mut().for_each(|value| value.options = None);
}

/// Whether an option is one of Protobuf's own, such as `allow_alias`.
fn is_own(option: &UninterpretedOption) -> bool {
    option.name.iter().all(|part| !part.is_extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"syntax = "proto3";
        package calls;
        import "google/protobuf/timestamp.proto";
        import "confluent/meta.proto";
        import "http.proto";
        option java_package = "com.example";
        message Other { string x = 1; }
        message Call {
            option (confluent.message_meta).doc = "a call";
            google.protobuf.Timestamp at = 1 [json_name = "@timestamp"];
            http.Method method = 2;
            int64 bytes_out = 3 [(confluent.field_meta) = { doc: "sent" }];
            map<string, string> labels = 4;
            oneof target { string host = 5; bytes address = 6; }
            message Inner { bool ok = 1; }
            optional string path = 7;
            repeated int32 codes = 8 [packed = true];
        }"#;
    const HTTP: &str = r#"syntax = "proto3"; package http; enum Method { GET = 0; PUT = 1; }"#;

    fn schema() -> Schema {
        Schema::compile(CALL, &[("http.proto", HTTP)]).unwrap()
    }

    fn json_of(framed: &[u8]) -> Option<serde_json::Value> {
        serde_json::from_slice(&schema().json(framed)?).ok()
    }

    #[test]
    fn a_message_comes_out_in_protobufs_own_json_with_defaults_of_what_cannot_be_absent() {
        let call = b"\x02\x02\x0a\x06\x08\x80\x98\xe3\xa5\x06\x10\x01\x18\xac\x02\x2a\x01h\x22\x06\x0a\x01k\x12\x01v";
        let expected = serde_json::json!({"@timestamp": "2023-07-20T05:54:08Z", "method": "PUT", "bytesOut": 300,
            "labels": {"k": "v"}, "host": "h", "codes": []});
        assert_eq!(json_of(call), Some(expected));
    }

    #[test]
    fn the_index_list_names_the_message_and_none_is_the_first() {
        assert_eq!(json_of(b"\x00\x0a\x01y").unwrap(), serde_json::json!({"x": "y"}));
        assert_eq!(json_of(b"\x04\x02\x00\x08\x01").unwrap(), serde_json::json!({"ok": true}));
        for missing in [&b""[..], b"\x02\x08", b"\x04\x02\x02", b"\x03", b"\xff\xff\xff\xff\x0f"] {
            assert_eq!(json_of(missing), None, "{missing:?}");
        }
    }

    #[test]
    fn a_schema_that_cannot_be_compiled_is_none() {
        assert!(Schema::compile("message {", &[]).is_none());
        assert!(Schema::compile(CALL, &[]).is_none(), "its import is not there");
    }
}
