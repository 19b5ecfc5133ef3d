//! The rules. Where `buf breaking` has one in its category WIRE_JSON, it has the same name here.

use std::fmt;

/// One rule that a new version of a schema must hold against an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A method is not removed.
    RpcNoDelete,
    /// A method's request is the same message.
    RpcSameRequestType,
    /// A method's reply is the same message.
    RpcSameResponseType,
    /// The client side streams as before.
    RpcSameClientStreaming,
    /// The server side streams as before.
    RpcSameServerStreaming,
    /// What a repeated call does is as before.
    RpcSameIdempotencyLevel,
    /// The evidence class is not lowered.
    RpcEvidenceClassNotLowered,
    /// Data of many persons, or not, as before.
    RpcSameBulk,
    /// All answers go on having one size.
    RpcOneSizeAnswerKept,
    /// Messages are kept as long as before.
    RpcSameKeepPayloadDays,
    /// A type does not move to another package.
    FileSamePackage,
    /// A field's number goes on being used, or is reserved.
    FieldNoDeleteUnlessNumberReserved,
    /// A field's name goes on being used, or is reserved.
    FieldNoDeleteUnlessNameReserved,
    /// A field keeps its name.
    FieldSameName,
    /// A field keeps its name in JSON.
    FieldSameJsonName,
    /// A field is of the same type, or of one of its group.
    FieldWireJsonCompatibleType,
    /// A field stays single, repeated or a map.
    FieldWireJsonCompatibleCardinality,
    /// A field stays in its oneof, or outside of any.
    FieldSameOneof,
    /// A field's value where it is absent is the same.
    FieldSameDefault,
    /// A field that names a person goes on doing so, by the same kind of identifier.
    FieldSameSubject,
    /// A field's content is not classified lower.
    FieldClassificationNotLowered,
    /// Required fields are the same.
    MessageSameRequiredFields,
    /// The wire format of message sets is used as before.
    MessageSameMessageSetWireFormat,
    /// What a message reserves stays reserved.
    ReservedMessageNoDelete,
    /// An enum value's number goes on being used, or is reserved.
    EnumValueNoDeleteUnlessNumberReserved,
    /// An enum value's name goes on being used, or is reserved.
    EnumValueNoDeleteUnlessNameReserved,
    /// A number keeps its names.
    EnumValueSameName,
    /// A name keeps its number.
    EnumValueSameNumber,
    /// What an enum reserves stays reserved.
    ReservedEnumNoDelete,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 29] = [
        Rule::RpcNoDelete,
        Rule::RpcSameRequestType,
        Rule::RpcSameResponseType,
        Rule::RpcSameClientStreaming,
        Rule::RpcSameServerStreaming,
        Rule::RpcSameIdempotencyLevel,
        Rule::RpcEvidenceClassNotLowered,
        Rule::RpcSameBulk,
        Rule::RpcOneSizeAnswerKept,
        Rule::RpcSameKeepPayloadDays,
        Rule::FileSamePackage,
        Rule::FieldNoDeleteUnlessNumberReserved,
        Rule::FieldNoDeleteUnlessNameReserved,
        Rule::FieldSameName,
        Rule::FieldSameJsonName,
        Rule::FieldWireJsonCompatibleType,
        Rule::FieldWireJsonCompatibleCardinality,
        Rule::FieldSameOneof,
        Rule::FieldSameDefault,
        Rule::FieldSameSubject,
        Rule::FieldClassificationNotLowered,
        Rule::MessageSameRequiredFields,
        Rule::MessageSameMessageSetWireFormat,
        Rule::ReservedMessageNoDelete,
        Rule::EnumValueNoDeleteUnlessNumberReserved,
        Rule::EnumValueNoDeleteUnlessNameReserved,
        Rule::EnumValueSameName,
        Rule::EnumValueSameNumber,
        Rule::ReservedEnumNoDelete,
    ];

    /// Its name, as operators read it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::RpcNoDelete => "RPC_NO_DELETE",
            Rule::RpcSameRequestType => "RPC_SAME_REQUEST_TYPE",
            Rule::RpcSameResponseType => "RPC_SAME_RESPONSE_TYPE",
            Rule::RpcSameClientStreaming => "RPC_SAME_CLIENT_STREAMING",
            Rule::RpcSameServerStreaming => "RPC_SAME_SERVER_STREAMING",
            Rule::RpcSameIdempotencyLevel => "RPC_SAME_IDEMPOTENCY_LEVEL",
            Rule::RpcEvidenceClassNotLowered => "RPC_EVIDENCE_CLASS_NOT_LOWERED",
            Rule::RpcSameBulk => "RPC_SAME_BULK",
            Rule::RpcOneSizeAnswerKept => "RPC_ONE_SIZE_ANSWER_KEPT",
            Rule::RpcSameKeepPayloadDays => "RPC_SAME_KEEP_PAYLOAD_DAYS",
            Rule::FileSamePackage => "FILE_SAME_PACKAGE",
            Rule::FieldNoDeleteUnlessNumberReserved => "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED",
            Rule::FieldNoDeleteUnlessNameReserved => "FIELD_NO_DELETE_UNLESS_NAME_RESERVED",
            Rule::FieldSameName => "FIELD_SAME_NAME",
            Rule::FieldSameJsonName => "FIELD_SAME_JSON_NAME",
            Rule::FieldWireJsonCompatibleType => "FIELD_WIRE_JSON_COMPATIBLE_TYPE",
            Rule::FieldWireJsonCompatibleCardinality => "FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY",
            Rule::FieldSameOneof => "FIELD_SAME_ONEOF",
            Rule::FieldSameDefault => "FIELD_SAME_DEFAULT",
            Rule::FieldSameSubject => "FIELD_SAME_SUBJECT",
            Rule::FieldClassificationNotLowered => "FIELD_CLASSIFICATION_NOT_LOWERED",
            Rule::MessageSameRequiredFields => "MESSAGE_SAME_REQUIRED_FIELDS",
            Rule::MessageSameMessageSetWireFormat => "MESSAGE_SAME_MESSAGE_SET_WIRE_FORMAT",
            Rule::ReservedMessageNoDelete => "RESERVED_MESSAGE_NO_DELETE",
            Rule::EnumValueNoDeleteUnlessNumberReserved => "ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED",
            Rule::EnumValueNoDeleteUnlessNameReserved => "ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED",
            Rule::EnumValueSameName => "ENUM_VALUE_SAME_NAME",
            Rule::EnumValueSameNumber => "ENUM_VALUE_SAME_NUMBER",
            Rule::ReservedEnumNoDelete => "RESERVED_ENUM_NO_DELETE",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
