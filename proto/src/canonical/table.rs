//! What the scan needs to know of each message, read from the embedded descriptors once.

use std::collections::HashMap;
use std::sync::OnceLock;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// All messages of the contracts.
pub(super) struct Tables {
    messages: Vec<Table>,
    /// Position in `messages` by package, then by name in it: looked up for every message, so without allocating.
    by_name: HashMap<String, HashMap<String, usize>>,
}

/// One message.
pub(super) struct Table {
    /// Name without the package.
    pub(super) name: String,
    /// Ascending by number.
    pub(super) fields: Vec<Field>,
}

/// One field.
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) shape: Shape,
    pub(super) repeated: bool,
    /// The field can be present with its default value.
    pub(super) presence: bool,
}

/// How the value of a field looks on the wire.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A varint up to this value.
    Unsigned { max: u64 },
    /// A varint that holds a sign-extended 32-bit integer; also enums.
    Signed32,
    /// Eight bytes.
    Fixed64,
    /// Four bytes.
    Fixed32,
    /// Any bytes.
    Bytes,
    /// UTF-8.
    Text,
    /// A message, by its position.
    Message(usize),
}

/// The tables of the embedded contracts.
pub(super) fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| build(crate::descriptors().all_messages().collect()))
}

impl Tables {
    pub(super) fn find(&self, package: &str, name: &str) -> Option<&Table> {
        self.by_name
            .get(package)?
            .get(name)
            .and_then(|position| self.messages.get(*position))
    }

    pub(super) fn message(&self, position: usize) -> &Table {
        self.messages
            .get(position)
            .expect("shapes point at messages of the same tables")
    }
}

fn build(descriptors: Vec<MessageDescriptor>) -> Tables {
    let descriptors: Vec<_> = descriptors
        .into_iter()
        .filter(|m| m.package_name().starts_with("jisr."))
        .collect();
    let positions: HashMap<&str, usize> = descriptors
        .iter()
        .enumerate()
        .map(|(i, m)| (m.full_name(), i))
        .collect();
    let mut by_name: HashMap<String, HashMap<String, usize>> = HashMap::new();
    let mut messages = Vec::with_capacity(descriptors.len());
    for (position, message) in descriptors.iter().enumerate() {
        let name = name_in_package(message);
        by_name
            .entry(message.package_name().to_owned())
            .or_default()
            .insert(name.clone(), position);
        let mut fields: Vec<Field> = message.fields().map(|field| read_field(&field, &positions)).collect();
        fields.sort_by_key(|field| field.number);
        messages.push(Table { name, fields });
    }
    Tables { messages, by_name }
}

fn name_in_package(message: &MessageDescriptor) -> String {
    let name = message
        .full_name()
        .strip_prefix(message.package_name())
        .unwrap_or(message.full_name());
    name.trim_start_matches('.').to_owned()
}

fn read_field(field: &FieldDescriptor, positions: &HashMap<&str, usize>) -> Field {
    let choice = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
    assert!(
        !choice && !field.is_map(),
        "{}: canonical form is not defined for maps and oneofs",
        field.full_name()
    );
    let shape = match field.kind() {
        Kind::Uint64 | Kind::Int64 | Kind::Sint64 => Shape::Unsigned { max: u64::MAX },
        Kind::Uint32 | Kind::Sint32 => Shape::Unsigned { max: u32::MAX.into() },
        Kind::Bool => Shape::Unsigned { max: 1 },
        Kind::Int32 | Kind::Enum(_) => Shape::Signed32,
        Kind::Fixed64 | Kind::Sfixed64 => Shape::Fixed64,
        Kind::Fixed32 | Kind::Sfixed32 => Shape::Fixed32,
        Kind::Bytes => Shape::Bytes,
        Kind::String => Shape::Text,
        Kind::Message(message) => {
            let position = positions.get(message.full_name()).copied();
            Shape::Message(position.expect("the contracts use no messages of other packages"))
        }
        Kind::Double | Kind::Float => panic!("{}: canonical form is not defined for floats", field.full_name()),
    };
    Field {
        number: field.number(),
        shape,
        repeated: field.is_list(),
        presence: field.supports_presence(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_the_contracts_has_a_table() {
        let tables = tables();
        assert!(
            tables
                .find("jisr.statement.v1", "Core")
                .is_some_and(|core| core.fields.len() == 23)
        );
        for package in ["snapshot", "peer", "registry", "admin", "evidence"] {
            assert!(tables.by_name.contains_key(&format!("jisr.{package}.v1")), "{package}");
        }
    }
}
