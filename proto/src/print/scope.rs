//! What stands in a file or a message: messages, enums, extensions, fields.

use std::collections::HashMap;

use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    Syntax, Value,
};

use super::PrintError;
use super::options::literal;
use super::writer::{Writer, full_name, name, quoted};

/// First number beyond the last field number: written `max`.
const FIELDS_END: i32 = 536_870_912;

/// Messages, enums and extensions of a file.
pub(super) fn file(out: &mut Writer, file: &FileDescriptor) -> Result<(), PrintError> {
    let extensions: Vec<ExtensionDescriptor> = file.extensions().collect();
    let groups = groups(&file.file_descriptor_proto().extension);
    for message in file
        .messages()
        .filter(|message| !groups.contains_key(message.full_name()))
    {
        out.blank()?;
        print_message(out, &message)?;
    }
    for found in file.enums() {
        out.blank()?;
        print_enum(out, &found)?;
    }
    extend(out, &extensions)
}

/// The types of groups among these fields: they are written where the field stands.
fn groups(fields: &[FieldDescriptorProto]) -> HashMap<String, ()> {
    let groups = fields.iter().filter(|field| field.r#type() == Type::Group);
    groups
        .map(|field| (field.type_name().trim_start_matches('.').to_owned(), ()))
        .collect()
}

fn print_message(out: &mut Writer, message: &MessageDescriptor) -> Result<(), PrintError> {
    out.open(&["message ", name(message.name())?])?;
    body(out, message)?;
    out.close()
}

fn body(out: &mut Writer, message: &MessageDescriptor) -> Result<(), PrintError> {
    let proto = message.descriptor_proto();
    if proto.options.is_some() {
        out.options(message.full_name(), &message.options())?;
    }
    reserved(out, proto)?;
    let mut groups = groups(&proto.field);
    groups.extend(self::groups(&proto.extension));
    for nested in message.child_messages() {
        if !nested.is_map_entry() && !groups.contains_key(nested.full_name()) {
            print_message(out, &nested)?;
        }
    }
    for found in message.child_enums() {
        print_enum(out, &found)?;
    }
    let extensions: Vec<ExtensionDescriptor> = message.child_extensions().collect();
    extend(out, &extensions)?;
    fields(out, message)
}

/// Fields in the order of the file, those of a oneof together where its first one stands.
fn fields(out: &mut Writer, message: &MessageDescriptor) -> Result<(), PrintError> {
    let numbers = message
        .descriptor_proto()
        .field
        .iter()
        .map(FieldDescriptorProto::number);
    let mut written = Vec::new();
    for field in numbers.filter_map(|number| message.get_field(u32::try_from(number).ok()?)) {
        let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) else {
            print_field(out, &field.clone().into(), true)?;
            continue;
        };
        if written.iter().any(|known| known == oneof.name()) {
            continue;
        }
        written.push(oneof.name().to_owned());
        out.open(&["oneof ", name(oneof.name())?])?;
        if oneof.oneof_descriptor_proto().options.is_some() {
            out.options(oneof.full_name(), &oneof.options())?;
        }
        let own = message.descriptor_proto().field.iter().filter_map(|proto| {
            let field = message.get_field(u32::try_from(proto.number()).ok()?)?;
            (field.containing_oneof().as_ref() == Some(&oneof)).then_some(field)
        });
        for field in own {
            print_field(out, &field.into(), false)?;
        }
        out.close()?;
    }
    Ok(())
}

fn extend(out: &mut Writer, extensions: &[ExtensionDescriptor]) -> Result<(), PrintError> {
    for extension in extensions {
        out.open(&["extend .", full_name(extension.containing_message().full_name())?])?;
        print_field(out, &extension.clone().into(), true)?;
        out.close()?;
    }
    Ok(())
}

/// A field or an extension.
struct Line {
    proto: FieldDescriptorProto,
    name: String,
    kind: Kind,
    is_map: bool,
    syntax: Syntax,
    default: Value,
    options: Option<DynamicMessage>,
}

impl From<FieldDescriptor> for Line {
    fn from(field: FieldDescriptor) -> Line {
        let proto = field.field_descriptor_proto().clone();
        Line {
            name: field.full_name().to_owned(),
            kind: field.kind(),
            is_map: field.is_map(),
            syntax: field.parent_file().syntax(),
            default: field.default_value(),
            options: proto.options.is_some().then(|| field.options()),
            proto,
        }
    }
}

impl From<ExtensionDescriptor> for Line {
    fn from(field: ExtensionDescriptor) -> Line {
        let proto = field.field_descriptor_proto().clone();
        Line {
            name: field.full_name().to_owned(),
            kind: field.kind(),
            is_map: false,
            syntax: field.parent_file().syntax(),
            default: field.default_value(),
            options: proto.options.is_some().then(|| field.options()),
            proto,
        }
    }
}

fn print_field(out: &mut Writer, field: &Line, labelled: bool) -> Result<(), PrintError> {
    let proto = &field.proto;
    let is_group = proto.r#type() == Type::Group;
    out.begin()?;
    out.put(match (labelled && !field.is_map, proto.label()) {
        (false, _) => "",
        (true, Label::Repeated) => "repeated ",
        (true, Label::Required) => "required ",
        (true, Label::Optional) if field.syntax == Syntax::Proto2 || proto.proto3_optional() => "optional ",
        (true, Label::Optional) => "",
    })?;
    match &field.kind {
        Kind::Message(entry) if field.is_map => {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            out.put(&format!(
                "map<{}, {}>",
                type_name(&key.kind())?,
                type_name(&value.kind())?
            ))?;
        }
        _ if is_group => out.put("group")?,
        kind => out.put(&type_name(kind)?)?,
    }
    out.put(" ")?;
    match &field.kind {
        Kind::Message(group) if is_group => out.put(name(group.name())?)?,
        _ => out.put(name(proto.name())?)?,
    }
    out.put(&format!(" = {}", proto.number()))?;
    let mut first = Vec::new();
    if proto.default_value.is_some() {
        let default = literal(&field.name, &field.kind, &field.default)?;
        first.push(format!("default = {default}"));
    }
    if proto.extendee.is_none()
        && proto
            .json_name
            .as_ref()
            .is_some_and(|given| *given != json_name(proto.name()))
    {
        first.push(format!("json_name = {}", quoted(proto.json_name())));
    }
    out.bracketed(&field.name, &first, field.options.as_ref())?;
    match &field.kind {
        Kind::Message(group) if is_group => {
            out.block()?;
            body(out, group)?;
            out.close()
        }
        _ => out.put(";\n"),
    }
}

/// The name in JSON that a compiler makes of a field's name.
fn json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        match letter {
            '_' => raise = true,
            _ if std::mem::take(&mut raise) => json.push(letter.to_ascii_uppercase()),
            _ => json.push(letter),
        }
    }
    json
}

fn type_name(kind: &Kind) -> Result<String, PrintError> {
    Ok(match kind {
        Kind::Message(message) => format!(".{}", full_name(message.full_name())?),
        Kind::Enum(found) => format!(".{}", full_name(found.full_name())?),
        scalar => format!("{scalar:?}").to_lowercase(),
    })
}

fn reserved(out: &mut Writer, proto: &DescriptorProto) -> Result<(), PrintError> {
    let line = |out: &mut Writer, word: &str, start: i32, end: i32| {
        let last = match end {
            FIELDS_END => "max".to_owned(),
            end => end.saturating_sub(1).to_string(),
        };
        out.line(&[word, &start.to_string(), " to ", &last, ";"])
    };
    for range in &proto.reserved_range {
        line(out, "reserved ", range.start(), range.end())?;
    }
    for name in &proto.reserved_name {
        out.line(&["reserved ", &quoted(name), ";"])?;
    }
    for range in &proto.extension_range {
        if range.options.is_some() {
            return Err(PrintError::Options(proto.name().chars().take(200).collect()));
        }
        line(out, "extensions ", range.start(), range.end())?;
    }
    Ok(())
}

fn print_enum(out: &mut Writer, found: &EnumDescriptor) -> Result<(), PrintError> {
    let proto = found.enum_descriptor_proto();
    out.open(&["enum ", name(found.name())?])?;
    if proto.options.is_some() {
        out.options(found.full_name(), &found.options())?;
    }
    for range in &proto.reserved_range {
        let last = match range.end() {
            i32::MAX => "max".to_owned(),
            end => end.to_string(),
        };
        out.line(&["reserved ", &range.start().to_string(), " to ", &last, ";"])?;
    }
    for name in &proto.reserved_name {
        out.line(&["reserved ", &quoted(name), ";"])?;
    }
    for value in &proto.value {
        out.begin()?;
        out.put(&format!("{} = {}", name(value.name())?, value.number()))?;
        let options = value
            .options
            .as_ref()
            .and_then(|_| found.get_value_by_name(value.name()));
        let options = options.map(|value| value.options());
        out.bracketed(found.full_name(), &[], options.as_ref())?;
        out.put(";\n")?;
    }
    out.close()
}
