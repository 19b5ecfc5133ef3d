use std::sync::OnceLock;

use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DynamicMessage, Value as Dynamic};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use super::*;
use crate::reason::Reason;
use crate::status::Fault;
use crate::v1::SubjectKind;

/// One file in memory, `test.proto`.
struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "test.proto" {
            File::from_source(name, &self.0)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// Compiles a file as a publisher would, imports included.
fn compile(source: &str) -> Vec<u8> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Source(source.to_owned()));
    resolver.add(IncludeFileResolver::new(
        concat!(env!("CARGO_MANIFEST_DIR"), "/proto").into(),
    ));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler
        .include_imports(true)
        .open_file("test.proto")
        .expect("the test's file compiles");
    compiler.encode_file_descriptor_set()
}

const ANNOTATED: &str = r#"
    syntax = "proto3";
    package jo.test.v1;
    import "jisr/v1/annotations.proto";
    service Permits {
      option (jisr.v1.title_ar) = "تصاريح العمل";
      option (jisr.v1.title_en) = "Work permits";
      rpc Check(Question) returns (Answer) {
        option idempotency_level = NO_SIDE_EFFECTS;
        option (jisr.v1.evidence_class) = HIGH;
        option (jisr.v1.one_size_answer) = true;
      }
      rpc Watch(Answer) returns (stream Answer) { option (jisr.v1.bulk) = true; }
    }
    message Question {
      string number = 1 [(jisr.v1.subject) = PERSONAL_NUMBER, (jisr.v1.classification) = PERSONAL];
      repeated Person people = 2;
      map<string, Person> by_name = 3;
      string remark = 4 [(jisr.v1.classification) = PUBLIC];
      repeated uint64 numbers = 5 [(jisr.v1.subject) = PERSONAL_NUMBER, (jisr.v1.classification) = PERSONAL];
    }
    message Person {
      Document document = 1;
      Person guardian = 2;
      message Document {
        string number = 1 [(jisr.v1.subject) = TRAVEL_DOCUMENT, (jisr.v1.classification) = SENSITIVE];
        int32 serial = 2 [(jisr.v1.subject) = SECTOR_PSEUDONYM, (jisr.v1.classification) = PERSONAL];
      }
    }
    message Answer { bool valid = 1 [(jisr.v1.classification) = PERSONAL]; }
"#;

const PLAIN: &str = r#"
    syntax = "proto3";
    package strange.v9;
    service Thing { rpc Do(Stuff) returns (Stuff); }
    message Stuff { string anything = 1; Stuff more = 2; }
"#;

fn annotated() -> &'static ServiceSchema {
    static SCHEMA: OnceLock<ServiceSchema> = OnceLock::new();
    SCHEMA.get_or_init(|| ServiceSchema::parse(&compile(ANNOTATED), "jo.test.v1.Permits").expect("a good schema"))
}

fn reason(error: SchemaError) -> Reason {
    Fault::from(error).reason
}

#[test]
fn annotations_are_read() {
    let schema = annotated();
    let check = schema.method("Check").expect("method");
    assert!(check.unary && check.no_side_effects && check.one_size && !check.bulk && check.names_persons());
    assert_eq!(check.evidence_class, EvidenceClass::High);
    let watch = schema.method("Watch").expect("method");
    assert!(!watch.unary && !watch.no_side_effects && watch.bulk && !watch.names_persons());
    assert_eq!(watch.evidence_class, EvidenceClass::Standard);
    assert_eq!(schema.check_classified(), Ok(()));
    assert_eq!(schema.methods().count(), 2);
    assert_eq!(schema.descriptor().full_name(), "jo.test.v1.Permits");
}

#[test]
fn titles_come_from_the_schema_unless_given() {
    let schema = annotated();
    let titles = schema.titles("", "Permits").expect("titles");
    assert_eq!((titles.ar.as_str(), titles.en.as_str()), ("تصاريح العمل", "Permits"));
    assert_eq!(
        reason(schema.titles("a\nb", "").expect_err("refused")),
        Reason::TitleMissing
    );
    let plain = ServiceSchema::parse(&compile(PLAIN), "strange.v9.Thing").expect("a good schema");
    assert_eq!(plain.titles("أشياء", ""), Err(SchemaError::TitleMissing("English")));
    assert!(plain.titles("أشياء", "Things").is_ok());
}

#[test]
fn a_schema_without_annotations_gets_the_defaults() {
    let schema = ServiceSchema::parse(&compile(PLAIN), "strange.v9.Thing").expect("a good schema");
    let method = schema.method("Do").expect("method");
    assert!(method.unary && !method.no_side_effects && !method.one_size && !method.names_persons());
    assert_eq!(method.evidence_class, EvidenceClass::Standard);
    assert_eq!(schema.subjects("Do", b"\xff\xff anything at all"), Ok(Vec::new()));
    assert_eq!(schema.check_classified(), Ok(()));
}

/// A question in the publisher's own types.
fn question(json: &str) -> Vec<u8> {
    let schema = annotated();
    let input = schema.method("Check").expect("method").descriptor().input();
    let mut reader = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(input, &mut reader)
        .expect("fits the type")
        .encode_to_vec()
}

#[test]
fn persons_are_found_at_any_depth_each_once() {
    let message = question(
        r#"{ "number": "2000123456", "remark": "not me", "numbers": ["7", "7", "0"],
             "people": [{ "document": { "number": "SYR/N1", "serial": -5 } },
                        { "guardian": { "guardian": { "document": { "number": "SYR/N1" } } } }],
             "byName": { "Omar": { "document": { "number": "EGY/\u0627\u0654" } } } }"#,
    );
    let found = annotated().subjects("Check", &message).expect("readable");
    let (number, document, pseudonym) = (
        SubjectKind::PersonalNumber as u32,
        SubjectKind::TravelDocument as u32,
        SubjectKind::SectorPseudonym as u32,
    );
    let wanted = [
        (number, "0"),
        (number, "2000123456"),
        (number, "7"),
        (document, "EGY/\u{0623}"),
        (document, "SYR/N1"),
        (pseudonym, "-5"),
    ];
    assert_eq!(found, wanted.map(|(kind, value)| (kind, value.to_owned())));
}

#[test]
fn a_field_written_twice_hides_nobody() {
    let message = [question(r#"{"number": "1"}"#), question(r#"{"number": "2"}"#)].concat();
    assert_eq!(annotated().subjects("Check", &message).map(|found| found.len()), Ok(2));
    // Numbers that are not packed, though proto3 packs them.
    assert_eq!(
        annotated()
            .subjects("Check", &[0x28, 0x07, 0x28, 0x08])
            .map(|found| found.len()),
        Ok(2)
    );
}

#[test]
fn messages_that_cannot_be_read_are_refused() {
    let schema = annotated();
    for bytes in [
        &[0x0a][..],
        &[0x0a, 0x05, b'1'],
        &[0x0a, 0x01, 0xff],
        &[0x0b, 0x0c],
        &[0x00],
    ] {
        assert_eq!(
            schema.subjects("Check", bytes).map_err(reason),
            Err(Reason::RequestInvalid),
            "{bytes:02x?}"
        );
    }
    assert_eq!(
        schema.subjects("Missing", &[]).map_err(reason),
        Err(Reason::UnknownMethod)
    );
}

#[test]
fn nesting_has_a_limit() {
    let schema = annotated();
    let nested = |levels: usize| {
        // Person.guardian within Person.guardian, in Question.people
        let person = (0..levels).fold(Vec::new(), |inner, _| field(2, &inner));
        field(2, &person)
    };
    assert!(schema.subjects("Check", &nested(90)).is_ok());
    assert_eq!(
        schema.subjects("Check", &nested(5000)).map_err(reason),
        Err(Reason::RequestInvalid)
    );
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

#[test]
fn persons_are_limited_in_number_and_length() {
    let schema = annotated();
    let many = |count: usize| {
        (0..count)
            .flat_map(|n| field(1, n.to_string().as_bytes()))
            .collect::<Vec<u8>>()
    };
    assert_eq!(
        schema.subjects("Check", &many(SUBJECTS_MAX)).map(|found| found.len()),
        Ok(SUBJECTS_MAX)
    );
    assert_eq!(
        schema.subjects("Check", &many(SUBJECTS_MAX + 1)),
        Err(SchemaError::Subjects)
    );
    assert!(schema.subjects("Check", &field(1, &[b'1'; SUBJECT_BYTES_MAX])).is_ok());
    assert_eq!(
        schema.subjects("Check", &field(1, &[b'1'; SUBJECT_BYTES_MAX + 1])),
        Err(SchemaError::Subjects)
    );
}

#[test]
fn unfit_schemas_are_refused() {
    let parse = |files: &[u8], service: &str| ServiceSchema::parse(files, service).map(drop);
    let good = compile(ANNOTATED);
    for name in ["jo.test.v1.Missing", "Permits", "", "jo.test.v1.Question"] {
        assert!(matches!(parse(&good, name), Err(SchemaError::NoService(_))), "{name}");
    }
    assert!(matches!(
        parse(&vec![0; SCHEMA_BYTES_MAX + 1], "a.B"),
        Err(SchemaError::TooLarge(_))
    ));
    assert!(matches!(
        parse(&good[..good.len() / 2], "jo.test.v1.Permits"),
        Err(SchemaError::Unreadable(_))
    ));
    let mut newer = FileDescriptorSet::decode(good.as_slice()).expect("decodes");
    newer.file[0].syntax = Some("editions".to_owned());
    assert!(matches!(
        parse(&newer.encode_to_vec(), "jo.test.v1.Permits"),
        Err(SchemaError::Unreadable(_))
    ));
    // Without the imports.
    let mut alone = FileDescriptorSet::decode(good.as_slice()).expect("decodes");
    alone.file.retain(|file| file.name() == "test.proto");
    assert!(matches!(
        parse(&alone.encode_to_vec(), "jo.test.v1.Permits"),
        Err(SchemaError::Unreadable(_))
    ));
    let marked = ANNOTATED.replace(
        "bool valid = 1 [",
        "bool valid = 1 [(jisr.v1.subject) = PERSONAL_NUMBER, ",
    );
    assert!(matches!(
        parse(&compile(&marked), "jo.test.v1.Permits"),
        Err(SchemaError::SubjectType(_))
    ));
}

#[test]
fn a_service_about_persons_classifies_every_field() {
    let bare = ANNOTATED.replace(
        "string remark = 4 [(jisr.v1.classification) = PUBLIC]",
        "string remark = 4",
    );
    let schema = ServiceSchema::parse(&compile(&bare), "jo.test.v1.Permits").expect("a good schema");
    assert_eq!(
        schema.check_classified(),
        Err(SchemaError::Unclassified("jo.test.v1.Question.remark".to_owned()))
    );
}

#[test]
fn other_peoples_options_under_our_numbers_mean_nothing() {
    let other = r#"
        syntax = "proto3";
        package other.v1;
        import "google/protobuf/descriptor.proto";
        extend google.protobuf.FieldOptions { string owner = 50001; bytes subject = 50002; }
        extend google.protobuf.MethodOptions { string evidence_class = 50011; }
        service Thing { rpc Do(Stuff) returns (Stuff) { option (evidence_class) = "three"; } }
        message Stuff { bool anything = 1 [(owner) = "me", (subject) = "ab"]; }
    "#;
    let schema = ServiceSchema::parse(&compile(other), "other.v1.Thing").expect("a good schema");
    assert_eq!(
        schema.method("Do").map(|method| method.evidence_class),
        Some(EvidenceClass::Standard)
    );
}

#[test]
fn our_names_with_other_meanings_are_refused() {
    let forged = r#"
        syntax = "proto3";
        package jisr.v1;
        import "google/protobuf/descriptor.proto";
        extend google.protobuf.FieldOptions { bool subject = 50002; }
        service Thing { rpc Do(Stuff) returns (Stuff); }
        message Stuff { string anything = 1 [(subject) = true]; }
    "#;
    let error = ServiceSchema::parse(&compile(forged), "jisr.v1.Thing")
        .map(drop)
        .expect_err("refused");
    assert!(matches!(error, SchemaError::Annotations(_)), "{error}");
}

#[test]
fn dynamic_messages_can_be_made_from_the_pool() {
    let schema = annotated();
    let mut message = DynamicMessage::new(
        schema
            .pool()
            .get_message_by_name("jo.test.v1.Question")
            .expect("message"),
    );
    message.set_field_by_name("number", Dynamic::String("9".into()));
    assert_eq!(
        schema
            .subjects("Check", &message.encode_to_vec())
            .map(|found| found.len()),
        Ok(1)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn damaged_schemas_do_not_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
        let mut bytes = GOOD.get_or_init(|| compile(ANNOTATED)).clone();
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(schema) = ServiceSchema::parse(&bytes, "jo.test.v1.Permits") {
            let _ = (schema.titles("", ""), schema.check_classified(), schema.subjects("Check", &[0x0a, 1, b'1']));
        }
    }

    #[test]
    fn any_message_is_read_or_refused(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = annotated().subjects("Check", &noise);
    }
}
