//! The options of a publisher's files, read by number.
//!
//! prost-reflect panics when an option does not fit the descriptor that the same file set gives for it, and the file
//! set comes from a stranger. So the options are read here, and only where the set declares our extensions as
//! `jisr/v1/annotations.proto` does: the numbers from 50000 on belong to everybody.

use std::collections::HashMap;

use prost::Message;
use prost_reflect::{DescriptorPool, Kind};

use super::SchemaError;

/// Our options, as far as a file set sets them.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// By full name of the field.
    pub(super) fields: HashMap<String, FieldOptions>,
    /// By full name of the method.
    pub(super) methods: HashMap<String, MethodOptions>,
    /// By full name of the service.
    pub(super) services: HashMap<String, ServiceOptions>,
}

/// Options of a field, `jisr.v1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldOptions {
    #[prost(enumeration = "crate::v1::Classification", tag = "50001")]
    pub(super) classification: i32,
    #[prost(enumeration = "crate::v1::SubjectKind", tag = "50002")]
    pub(super) subject: i32,
}

/// Options of a method, `jisr.v1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MethodOptions {
    #[prost(enumeration = "crate::v1::EvidenceClass", tag = "50011")]
    pub(super) evidence_class: i32,
    #[prost(bool, tag = "50012")]
    pub(super) bulk: bool,
    #[prost(bool, tag = "50013")]
    pub(super) one_size_answer: bool,
    #[prost(uint32, tag = "50014")]
    pub(super) keep_payload_days: u32,
}

/// Options of a service, `jisr.v1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ServiceOptions {
    #[prost(string, tag = "50021")]
    pub(super) title_ar: String,
    #[prost(string, tag = "50022")]
    pub(super) title_en: String,
}

// What leads to the options: the fields of google/protobuf/descriptor.proto that are needed, by their numbers there.

#[derive(Clone, PartialEq, Message)]
struct FileSet {
    #[prost(message, repeated, tag = "1")]
    file: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "4")]
    message_type: Vec<MessageType>,
    #[prost(message, repeated, tag = "6")]
    service: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
struct MessageType {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    field: Vec<Field>,
    #[prost(message, repeated, tag = "3")]
    nested_type: Vec<MessageType>,
}

#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptions>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    method: Vec<Method>,
    #[prost(message, optional, tag = "3")]
    options: Option<ServiceOptions>,
}

#[derive(Clone, PartialEq, Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "4")]
    options: Option<MethodOptions>,
}

/// Reads the options of a serialized file set of which `pool` has been made.
pub(super) fn read(files: &[u8], pool: &DescriptorPool) -> Result<Options, SchemaError> {
    let mut options = Options::default();
    if !declared(pool)? {
        return Ok(options);
    }
    // Without the declaration the number is another publisher's.
    let knows_later = LATER.iter().all(|name| pool.get_extension_by_name(name).is_some());
    let set = FileSet::decode(files).map_err(|error| SchemaError::Unreadable(error.to_string()))?;
    for file in set.file {
        for message in file.message_type {
            options.take_message(&file.package, message);
        }
        for service in file.service {
            options.take_service(&file.package, service, knows_later);
        }
    }
    Ok(options)
}

impl Options {
    fn take_message(&mut self, scope: &str, message: MessageType) {
        let name = join(scope, &message.name);
        for field in message.field {
            if let Some(options) = field.options {
                self.fields.insert(join(&name, &field.name), options);
            }
        }
        for nested in message.nested_type {
            self.take_message(&name, nested);
        }
    }

    fn take_service(&mut self, scope: &str, service: Service, knows_later: bool) {
        let name = join(scope, &service.name);
        for method in service.method {
            if let Some(mut options) = method.options {
                if !knows_later {
                    options.keep_payload_days = 0;
                }
                self.methods.insert(join(&name, &method.name), options);
            }
        }
        self.services.insert(name, service.options.unwrap_or_default());
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}

/// Extensions that came after the first publications: a set that was made before does not declare them.
const LATER: [&str; 1] = ["jisr.v1.keep_payload_days"];

/// Whether the file set declares our extensions. All but the later ones, and each as we do: a set that says something else
/// under the same names is refused rather than misread.
fn declared(pool: &DescriptorPool) -> Result<bool, SchemaError> {
    let ours = || {
        crate::descriptors()
            .all_extensions()
            .filter(|extension| extension.package_name() == "jisr.v1")
    };
    if !ours().any(|extension| pool.get_extension_by_name(extension.full_name()).is_some()) {
        return Ok(false);
    }
    for extension in ours() {
        let theirs = pool.get_extension_by_name(extension.full_name());
        if theirs.is_none() && LATER.contains(&extension.full_name()) {
            continue;
        }
        let same = theirs.is_some_and(|theirs| {
            theirs.number() == extension.number()
                && theirs.containing_message().full_name() == extension.containing_message().full_name()
                && same_kind(&theirs.kind(), &extension.kind())
                && !theirs.is_list()
        });
        if !same {
            return Err(SchemaError::Annotations(extension.full_name().to_owned()));
        }
    }
    Ok(true)
}

/// Whether two kinds are the same; enums by name.
fn same_kind(theirs: &Kind, ours: &Kind) -> bool {
    match (theirs, ours) {
        (Kind::Enum(theirs), Kind::Enum(ours)) => theirs.full_name() == ours.full_name(),
        (Kind::Bool, Kind::Bool) | (Kind::String, Kind::String) | (Kind::Uint32, Kind::Uint32) => true,
        _ => false,
    }
}
