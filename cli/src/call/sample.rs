//! What a request looks like as JSON: every field once, with the kind of its value in its place.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// How deep messages are shown within messages; types may contain themselves.
const DEPTH_MAX: usize = 4;

/// The form of a message type.
pub(super) fn of(kind: &MessageDescriptor) -> Value {
    message(kind, DEPTH_MAX)
}

fn message(kind: &MessageDescriptor, depth: usize) -> Value {
    // Well-known types have JSON forms of their own.
    match kind.full_name() {
        "google.protobuf.Timestamp" => return json!("2026-11-23T14:00:00Z"),
        "google.protobuf.Duration" => return json!("1.5s"),
        "google.protobuf.FieldMask" => return json!("field,otherField"),
        _ if depth == 0 => return json!({}),
        _ => {}
    }
    let fields = kind
        .fields()
        .map(|field| (field.json_name().to_owned(), value(&field, depth)));
    Value::Object(fields.collect::<Map<String, Value>>())
}

fn value(field: &FieldDescriptor, depth: usize) -> Value {
    if field.is_map() {
        return json!({"key": "…"});
    }
    let one = match field.kind() {
        Kind::Message(kind) => message(&kind, depth - 1),
        Kind::Enum(kind) => json!(
            kind.values()
                .map(|value| value.name().to_owned())
                .collect::<Vec<_>>()
                .join("|")
        ),
        Kind::Bool => json!(false),
        Kind::String => json!("text"),
        Kind::Bytes => json!("base64"),
        _ => json!(0),
    };
    if field.is_list() { json!([one]) } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_contains_itself_is_shown_to_an_end() {
        let file = jisr_proto::descriptors()
            .get_message_by_name("google.protobuf.DescriptorProto")
            .unwrap();
        assert!(of(&file).to_string().contains("nestedType"));
    }

    #[test]
    fn every_field_is_shown_with_its_kind() {
        let core = jisr_proto::descriptors()
            .get_message_by_name("jisr.statement.v1.Core")
            .unwrap();
        let sample = of(&core);
        assert_eq!(sample["exchangeId"], "base64");
        assert_eq!(sample["noSideEffects"], false);
        assert!(sample["kind"].as_str().unwrap().contains("ASKED|RECEIVED"));
    }
}
