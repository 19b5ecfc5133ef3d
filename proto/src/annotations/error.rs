//! What can be wrong with a publication, or with a message of it.

use crate::reason::Reason;
use crate::status::Fault;

/// A schema that cannot be used, or a message that does not fit it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// More bytes than [`super::SCHEMA_BYTES_MAX`].
    #[error("the FileDescriptorSet has {0} bytes, and {max} are allowed", max = super::SCHEMA_BYTES_MAX)]
    TooLarge(usize),
    /// Not a FileDescriptorSet that holds all it needs.
    #[error("the FileDescriptorSet cannot be used: {0}")]
    Unreadable(String),
    /// The set does not hold the service.
    #[error("the FileDescriptorSet holds no service {0}")]
    NoService(String),
    /// The set declares an extension of ours differently.
    #[error("the file set declares {0} in another way than jisr/v1/annotations.proto; use that file as it is")]
    Annotations(String),
    /// A field is marked as naming a person, but cannot.
    #[error("field {0} is marked as naming a person, but only text and integer fields can")]
    SubjectType(String),
    /// A field of a service about persons says nothing of how its content is to be treated.
    #[error("the service is about persons, and field {0} has no (jisr.v1.classification)")]
    Unclassified(String),
    /// A title is missing.
    #[error("the service has no title in {0}")]
    TitleMissing(&'static str),
    /// A title is not a clean line of text.
    #[error("the title in {0} is not accepted: {1}")]
    Title(&'static str, crate::metadata::ValueError),
    /// The service has no such method.
    #[error("the service has no method {0}")]
    UnknownMethod(String),
    /// A message that cannot be read far enough to find the persons it names.
    #[error("the message cannot be read as {0}")]
    Message(String),
    /// A message names more persons, or longer identifiers, than a statement holds.
    #[error(
        "the message names more than {max} persons, or one by more than {bytes} bytes",
        max = super::SUBJECTS_MAX,
        bytes = super::SUBJECT_BYTES_MAX
    )]
    Subjects,
}

impl From<SchemaError> for Fault {
    fn from(error: SchemaError) -> Fault {
        let reason = match &error {
            SchemaError::TooLarge(_)
            | SchemaError::Unreadable(_)
            | SchemaError::NoService(_)
            | SchemaError::Annotations(_)
            | SchemaError::SubjectType(_)
            | SchemaError::Unclassified(_) => Reason::SchemaInvalid,
            SchemaError::TitleMissing(_) | SchemaError::Title(..) => Reason::TitleMissing,
            SchemaError::UnknownMethod(_) => Reason::UnknownMethod,
            SchemaError::Message(_) | SchemaError::Subjects => Reason::RequestInvalid,
        };
        Fault::new(reason, error.to_string())
    }
}
