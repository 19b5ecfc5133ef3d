//! What a published schema says: methods, titles, which fields name persons (`jisr/v1/annotations.proto`).
//!
//! A schema is the serialized `google.protobuf.FileDescriptorSet` of a service, made by a stranger. A set without our
//! annotations is fine: then the defaults hold.

mod error;
mod options;
mod subjects;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use unicode_normalization::UnicodeNormalization;

use crate::ident::ServiceName;
use crate::metadata::Value;
use crate::v1::{Classification, EvidenceClass};
use options::Options;
use subjects::{Graph, Stop};

pub use error::SchemaError;

/// Largest FileDescriptorSet that is read, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 2 << 20;

/// Most identifiers of persons that are taken from one message.
pub const SUBJECTS_MAX: usize = 1000;

/// Longest identifier of a person, in bytes of UTF-8.
pub const SUBJECT_BYTES_MAX: usize = 256;

/// One service of a schema.
#[derive(Debug)]
pub struct ServiceSchema {
    pool: DescriptorPool,
    service: ServiceDescriptor,
    titles: (String, String),
    methods: BTreeMap<String, MethodSchema>,
    graph: Graph,
    options: Options,
}

/// One method of it.
#[derive(Debug)]
pub struct MethodSchema {
    descriptor: MethodDescriptor,
    /// One message each way.
    pub unary: bool,
    /// `idempotency_level = NO_SIDE_EFFECTS`.
    pub no_side_effects: bool,
    /// How strong its evidence must be; never `EVIDENCE_CLASS_UNSPECIFIED`.
    pub evidence_class: EvidenceClass,
    /// It returns data of many persons.
    pub bulk: bool,
    /// All its answers have the same size.
    pub one_size: bool,
    /// For how many days both nodes keep request and reply; 0: not at all.
    pub keep_payload_days: u32,
    /// Where its request stands in the graph, if it can name persons.
    root: Option<usize>,
}

/// The titles of a service, each a clean line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Titles {
    /// In Arabic.
    pub ar: Value,
    /// In English.
    pub en: Value,
}

/// The descriptors. prost-reflect panics over some of what it refuses, where it would name a file that it has not taken
/// up yet; nothing of its own outlives that, so the panic is a refusal like others.
fn pool(files: &[u8]) -> Result<DescriptorPool, SchemaError> {
    match std::panic::catch_unwind(|| DescriptorPool::decode(files)) {
        Ok(Ok(pool)) => Ok(pool),
        Ok(Err(error)) => Err(SchemaError::Unreadable(error.to_string())),
        Err(_) => Err(SchemaError::Unreadable(
            "a file of it has a syntax, a package or a name that no .proto file can have".to_owned(),
        )),
    }
}

impl ServiceSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// What makes it unfit to be published.
    pub fn parse(files: &[u8], service: &str) -> Result<ServiceSchema, SchemaError> {
        if files.len() > SCHEMA_BYTES_MAX {
            return Err(SchemaError::TooLarge(files.len()));
        }
        let pool = pool(files)?;
        let no_service = || SchemaError::NoService(service.chars().take(200).collect());
        service.parse::<ServiceName>().map_err(|_| no_service())?;
        let service = pool.get_service_by_name(service).ok_or_else(no_service)?;
        let options = options::read(files, &pool)?;

        let descriptors: Vec<MethodDescriptor> = service.methods().collect();
        let inputs: Vec<MessageDescriptor> = descriptors.iter().map(MethodDescriptor::input).collect();
        let (graph, roots) = subjects::graph(&inputs, &options)?;
        let methods = descriptors
            .into_iter()
            .zip(roots)
            .map(|(method, root)| (method.name().to_owned(), MethodSchema::read(method, root, &options)))
            .collect();
        let titles = options.services.get(service.full_name()).cloned().unwrap_or_default();
        let titles = (titles.title_ar, titles.title_en);
        Ok(ServiceSchema {
            pool,
            service,
            titles,
            methods,
            graph,
            options,
        })
    }

    /// The titles: those given here, or where one is empty that of the schema.
    ///
    /// # Errors
    /// A title that is missing or not a clean line of text.
    pub fn titles(&self, ar: &str, en: &str) -> Result<Titles, SchemaError> {
        Ok(Titles {
            ar: title("Arabic", ar, &self.titles.0)?,
            en: title("English", en, &self.titles.1)?,
        })
    }

    /// Checks that a service about persons says of each field how its content is to be treated. A service is about
    /// persons if any field is marked so; without annotations nothing is known and nothing demanded.
    ///
    /// # Errors
    /// The first field that says nothing.
    pub fn check_classified(&self) -> Result<(), SchemaError> {
        unclassified(&self.service, &self.options).map_or(Ok(()), |field| Err(SchemaError::Unclassified(field)))
    }

    /// What kind of identifier of a person a field holds: number of a [`crate::v1::SubjectKind`], 0 where it names nobody.
    pub fn subject_kind(&self, field: &FieldDescriptor) -> i32 {
        self.options
            .fields
            .get(field.full_name())
            .map_or(0, |options| options.subject)
    }

    /// How the content of a field is to be treated: number of a [`Classification`], 0 where nothing is said.
    pub fn classification(&self, field: &FieldDescriptor) -> i32 {
        let options = self.options.fields.get(field.full_name());
        options.map_or(0, |options| options.classification)
    }

    /// The highest classification of a field that its methods lead to; PUBLIC where none is said.
    pub fn highest_classification(&self) -> Classification {
        let mut waiting: Vec<MessageDescriptor> = self.messages();
        let (mut seen, mut highest) = (BTreeSet::new(), Classification::Public);
        while let Some(message) = waiting.pop() {
            if !seen.insert(message.full_name().to_owned()) {
                continue;
            }
            for field in message.fields() {
                // A class of a later version: the strongest we know cannot be too strong.
                let class = Classification::try_from(self.classification(&field)).unwrap_or(Classification::Sensitive);
                highest = highest.max(class);
                if let Kind::Message(inner) = field.kind() {
                    waiting.push(inner);
                }
            }
        }
        highest
    }

    /// Requests and replies of its methods.
    fn messages(&self) -> Vec<MessageDescriptor> {
        let methods = self.service.methods();
        methods.flat_map(|method| [method.input(), method.output()]).collect()
    }

    /// A method by its name.
    pub fn method(&self, name: &str) -> Option<&MethodSchema> {
        self.methods.get(name)
    }

    /// All methods, by name.
    pub fn methods(&self) -> impl Iterator<Item = (&str, &MethodSchema)> {
        self.methods.iter().map(|(name, method)| (name.as_str(), method))
    }

    /// The persons that a request of a method names: number of a [`crate::v1::SubjectKind`] and value in normal form C,
    /// each once, ascending. Empty values name nobody. Extensions and `google.protobuf.Any` are not looked into.
    ///
    /// # Errors
    /// No such method, or a message that cannot be read along the schema: what cannot be read may hide a name.
    pub fn subjects(&self, method: &str, message: &[u8]) -> Result<Vec<(u32, String)>, SchemaError> {
        let method = self
            .method(method)
            .ok_or_else(|| SchemaError::UnknownMethod(method.chars().take(200).collect()))?;
        let Some(root) = method.root else {
            return Ok(Vec::new());
        };
        match self.graph.find(root, message) {
            Ok(found) => Ok(found.into_iter().collect()),
            Err(Stop::Unreadable) => Err(SchemaError::Message(method.descriptor.input().full_name().to_owned())),
            Err(Stop::TooMany) => Err(SchemaError::Subjects),
        }
    }

    /// The descriptor of the service.
    pub fn descriptor(&self) -> &ServiceDescriptor {
        &self.service
    }

    /// All descriptors of the schema. Their `options()` must not be called: it panics where the publisher declared an
    /// option in one way and wrote it in another.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }
}

impl MethodSchema {
    fn read(descriptor: MethodDescriptor, root: Option<usize>, options: &Options) -> MethodSchema {
        let ours = options.methods.get(descriptor.full_name()).cloned().unwrap_or_default();
        let standard = descriptor.method_descriptor_proto().options.as_ref();
        let evidence_class = match EvidenceClass::try_from(ours.evidence_class) {
            Ok(EvidenceClass::Unspecified) => EvidenceClass::Standard,
            Ok(class) => class,
            // A class of a later version: the strongest we know cannot be too weak.
            Err(_) => EvidenceClass::High,
        };
        MethodSchema {
            unary: !descriptor.is_client_streaming() && !descriptor.is_server_streaming(),
            no_side_effects: standard
                .is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects),
            evidence_class,
            bulk: ours.bulk,
            one_size: ours.one_size_answer,
            keep_payload_days: ours.keep_payload_days,
            root,
            descriptor,
        }
    }

    /// Its descriptor, with request and response messages.
    pub fn descriptor(&self) -> &MethodDescriptor {
        &self.descriptor
    }

    /// Whether its requests can name persons.
    pub fn names_persons(&self) -> bool {
        self.root.is_some()
    }
}

fn title(language: &'static str, given: &str, of_schema: &str) -> Result<Value, SchemaError> {
    let text = if given.is_empty() { of_schema } else { given };
    if text.is_empty() {
        return Err(SchemaError::TitleMissing(language));
    }
    text.nfc()
        .collect::<String>()
        .parse()
        .map_err(|error| SchemaError::Title(language, error))
}

/// The first field without classification in the messages of a service that is about persons.
fn unclassified(service: &ServiceDescriptor, options: &Options) -> Option<String> {
    let mut waiting: Vec<MessageDescriptor> = service
        .methods()
        .flat_map(|method| [method.input(), method.output()])
        .collect();
    let mut seen = BTreeSet::new();
    let mut first = None;
    let mut about_persons = false;
    while let Some(message) = waiting.pop() {
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            let ours = options.fields.get(field.full_name()).cloned().unwrap_or_default();
            about_persons |= ours.subject != 0
                || matches!(
                    ours.classification(),
                    Classification::Personal | Classification::Sensitive
                );
            match field.kind() {
                // A message is treated field by field, unless it is treated as a whole.
                Kind::Message(inner) if ours.classification == 0 && inner.package_name() != "google.protobuf" => {
                    waiting.push(inner);
                }
                _ if ours.classification == 0 && !message.is_map_entry() => {
                    first.get_or_insert_with(|| field.full_name().to_owned());
                }
                _ => {}
            }
        }
    }
    first.filter(|_| about_persons)
}
