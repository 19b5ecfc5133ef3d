//! Fields: names, types, cardinality, oneofs, defaults, annotations.

use prost_reflect::{FieldDescriptor, Kind};

use super::{Comparison, Rule};

impl Comparison<'_> {
    /// Two versions of the field of one number.
    pub(super) fn field(&mut self, old: &FieldDescriptor, new: &FieldDescriptor) {
        let place = old.full_name();
        if old.name() != new.name() {
            let text = format!("field {} is now called `{}`", old.number(), new.name());
            self.note(Rule::FieldSameName, place, text);
        } else if old.json_name() != new.json_name() {
            // Another name is another name in JSON as well, and is said once.
            let text = format!("in JSON it was `{}` and is `{}`", old.json_name(), new.json_name());
            self.note(Rule::FieldSameJsonName, place, text);
        }
        let (was, is) = (cardinality(old), cardinality(new));
        if was == is {
            self.kinds(old, new);
        } else {
            let text = format!("it was {was} and is {is}");
            self.note(Rule::FieldWireJsonCompatibleCardinality, place, text);
        }
        let (was, is) = (oneof(old), oneof(new));
        if was != is {
            let said = |oneof: Option<String>| {
                oneof.map_or_else(|| "in no oneof".to_owned(), |name| format!("in oneof {name}"))
            };
            let text = format!("it was {} and is {}", said(was), said(is));
            self.note(Rule::FieldSameOneof, place, text);
        }
        let default = |field: &FieldDescriptor| field.field_descriptor_proto().default_value().to_owned();
        if default(old) != default(new) {
            let text = format!("its default was `{}` and is `{}`", default(old), default(new));
            self.note(Rule::FieldSameDefault, place, text);
        }
        self.field_annotations(old, new);
    }

    fn kinds(&mut self, old: &FieldDescriptor, new: &FieldDescriptor) {
        let (rule, place) = (Rule::FieldWireJsonCompatibleType, old.full_name());
        match (old.kind(), new.kind()) {
            // The name of an entry is made from the name of its field.
            (Kind::Message(was), Kind::Message(is)) if old.is_map() => {
                let names = (was.full_name().to_owned(), is.full_name().to_owned());
                self.messages.add((&names.0, &names.1), (was, is));
            }
            (Kind::Message(was), Kind::Message(is)) if old.is_group() == new.is_group() => {
                self.types(rule, place, &was, &is);
            }
            (Kind::Enum(was), Kind::Enum(is)) if was.full_name() == is.full_name() => {
                let name = was.full_name().to_owned();
                self.enums.add((&name, &name), (was, is));
            }
            (Kind::Enum(was), Kind::Enum(is)) => {
                let (from, to) = (was.package_name(), is.package_name());
                self.renamed(rule, place, (was.full_name(), from), (is.full_name(), to));
            }
            (was, is) if group(&was).is_some() && group(&was) == group(&is) => {}
            (was, is) => self.note(rule, place, format!("it was {} and is {}", name(&was), name(&is))),
        }
    }

    fn field_annotations(&mut self, old: &FieldDescriptor, new: &FieldDescriptor) {
        let place = old.full_name();
        let (was, is) = (self.old.subject_kind(old), self.new.subject_kind(new));
        if was != 0 && was != is {
            let text = format!("(jisr.v1.subject) was {was} and is {is}");
            self.note(Rule::FieldSameSubject, place, text);
        }
        let (was, is) = (self.old.classification(old), self.new.classification(new));
        if is < was {
            let text = format!("(jisr.v1.classification) was {was} and is {is}");
            self.note(Rule::FieldClassificationNotLowered, place, text);
        }
    }
}

fn cardinality(field: &FieldDescriptor) -> &'static str {
    if field.is_map() {
        "a map"
    } else if field.is_list() {
        "repeated"
    } else {
        "single"
    }
}

/// The oneof of a field, without those that only stand for `optional`.
fn oneof(field: &FieldDescriptor) -> Option<String> {
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    oneof.map(|oneof| oneof.name().to_owned())
}

/// Scalar types of one group are written alike in binary and in JSON.
fn group(kind: &Kind) -> Option<u8> {
    match kind {
        Kind::Int32 | Kind::Uint32 => Some(1),
        Kind::Int64 | Kind::Uint64 => Some(2),
        Kind::Fixed32 | Kind::Sfixed32 => Some(3),
        Kind::Fixed64 | Kind::Sfixed64 => Some(4),
        Kind::Sint32 => Some(5),
        Kind::Sint64 => Some(6),
        Kind::Bool => Some(7),
        Kind::String => Some(8),
        Kind::Bytes => Some(9),
        Kind::Float => Some(10),
        Kind::Double => Some(11),
        Kind::Message(_) | Kind::Enum(_) => None,
    }
}

fn name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(found) => found.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}
