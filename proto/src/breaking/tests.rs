//! Each rule is broken by exactly one change, and the change breaks no other rule.

use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use super::*;

const SERVICE: &str = "t.v1.Things";

/// The old version. Two methods; `Free` is rested on by nobody.
const OLD: &str = r#"
syntax = "proto2";
package t.v1;
import "jisr/v1/annotations.proto";
import "other.proto";
service Things {
  rpc Get(Question) returns (Answer) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (jisr.v1.evidence_class) = HIGH;
    option (jisr.v1.one_size_answer) = true;
    option (jisr.v1.keep_payload_days) = 30;
  }
  rpc Free(Loose) returns (Loose);
}
message Question {
  reserved 20 to 29;
  reserved "gone";
  optional string number = 1 [(jisr.v1.subject) = PERSONAL_NUMBER, (jisr.v1.classification) = PERSONAL];
  optional int32 count = 2 [default = 7, (jisr.v1.classification) = PUBLIC];
  repeated string words = 3 [(jisr.v1.classification) = PUBLIC];
  map<string, Kind> kinds = 4 [(jisr.v1.classification) = PUBLIC];
  oneof choice { int64 left = 5 [(jisr.v1.classification) = PUBLIC]; string right = 6 [(jisr.v1.classification) = PUBLIC]; }
  optional fixed32 fixed = 7 [(jisr.v1.classification) = PUBLIC];
  optional Inner inner = 8;
  optional string remark = 9 [(jisr.v1.classification) = SENSITIVE];
  optional bytes last = 10 [(jisr.v1.classification) = PUBLIC];
}
message Inner { optional Inner deeper = 1; required bool sure = 2 [(jisr.v1.classification) = PUBLIC]; }
message Answer { optional Kind kind = 1 [(jisr.v1.classification) = PUBLIC]; optional t.other.Far far = 2; }
message Loose { optional string anything = 1 [(jisr.v1.classification) = PUBLIC]; }
enum Kind { reserved 9; reserved "NEVER"; NONE = 0; ONE = 1; TWO = 2; }
"#;

const OTHER: &str = r#"syntax = "proto3"; package t.other; import "jisr/v1/annotations.proto";
message Far { string x = 1 [(jisr.v1.classification) = PUBLIC]; }"#;

struct Sources([(&'static str, String); 2]);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or_else(
            || Err(protox::Error::file_not_found(name)),
            |(_, text)| File::from_source(name, text),
        )
    }
}

fn schema(main: &str, other: &str) -> ServiceSchema {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources([
        ("main.proto", main.to_owned()),
        ("other.proto", other.to_owned()),
    ]));
    resolver.add(IncludeFileResolver::new(
        concat!(env!("CARGO_MANIFEST_DIR"), "/proto").into(),
    ));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler
        .include_imports(true)
        .open_file("main.proto")
        .expect("the test's file compiles");
    ServiceSchema::parse(&compiler.encode_file_descriptor_set(), SERVICE).expect("it is a schema")
}

/// What breaks where `from` becomes `to` in the old version, for those who call `Get`.
fn found(changes: &[(&str, &str)]) -> Vec<Break> {
    let (mut main, mut other) = (OLD.to_owned(), OTHER.to_owned());
    for (from, to) in changes {
        assert!(main.contains(from) || other.contains(from), "{from}");
        main = main.replacen(from, to, 1);
        other = other.replace(from, to);
    }
    breaks(
        &schema(OLD, OTHER),
        &schema(&main, &other),
        &BTreeSet::from(["Get".to_owned()]),
    )
}

/// One change for each rule.
const CASES: [(Rule, &[(&str, &str)]); 29] = [
    (Rule::RpcNoDelete, &[("rpc Get(", "rpc Fetch(")]),
    (Rule::RpcSameRequestType, &[("Get(Question)", "Get(Loose)")]),
    (Rule::RpcSameResponseType, &[("returns (Answer)", "returns (Loose)")]),
    (
        Rule::RpcSameClientStreaming,
        &[("Get(Question)", "Get(stream Question)")],
    ),
    (
        Rule::RpcSameServerStreaming,
        &[("returns (Answer)", "returns (stream Answer)")],
    ),
    (Rule::RpcSameIdempotencyLevel, &[("= NO_SIDE_EFFECTS", "= IDEMPOTENT")]),
    (Rule::RpcEvidenceClassNotLowered, &[("= HIGH", "= ROUTINE")]),
    (
        Rule::RpcSameBulk,
        &[(
            "(jisr.v1.one_size_answer) = true;",
            "(jisr.v1.one_size_answer) = true; option (jisr.v1.bulk) = true;",
        )],
    ),
    (
        Rule::RpcOneSizeAnswerKept,
        &[("option (jisr.v1.one_size_answer) = true;", "")],
    ),
    (
        Rule::RpcSameKeepPayloadDays,
        &[("keep_payload_days) = 30", "keep_payload_days) = 3")],
    ),
    (Rule::FileSamePackage, &[("t.other", "t.elsewhere")]),
    (
        Rule::FieldNoDeleteUnlessNumberReserved,
        &[(
            "optional fixed32 fixed = 7 [(jisr.v1.classification) = PUBLIC];",
            "reserved \"fixed\";",
        )],
    ),
    (
        Rule::FieldNoDeleteUnlessNameReserved,
        &[(
            "optional fixed32 fixed = 7 [(jisr.v1.classification) = PUBLIC];",
            "reserved 7;",
        )],
    ),
    (Rule::FieldSameName, &[("fixed32 fixed = 7", "fixed32 firm = 7")]),
    (
        Rule::FieldSameJsonName,
        &[("fixed = 7 [", "fixed = 7 [json_name = \"firm\", ")],
    ),
    (Rule::FieldWireJsonCompatibleType, &[("bytes last", "string last")]),
    (
        Rule::FieldWireJsonCompatibleCardinality,
        &[("repeated string words", "optional string words")],
    ),
    (
        Rule::FieldSameOneof,
        &[
            ("optional fixed32 fixed = 7 [(jisr.v1.classification) = PUBLIC];", ""),
            (
                "oneof choice {",
                "oneof choice { fixed32 fixed = 7 [(jisr.v1.classification) = PUBLIC];",
            ),
        ],
    ),
    (Rule::FieldSameDefault, &[("default = 7", "default = 8")]),
    (Rule::FieldSameSubject, &[("= PERSONAL_NUMBER", "= SECTOR_PSEUDONYM")]),
    (Rule::FieldClassificationNotLowered, &[("= SENSITIVE", "= PERSONAL")]),
    (
        Rule::MessageSameRequiredFields,
        &[("required bool sure", "optional bool sure")],
    ),
    (
        Rule::MessageSameMessageSetWireFormat,
        &[(
            "message Answer { optional Kind kind = 1 [(jisr.v1.classification) = PUBLIC]; optional t.other.Far far = 2; }",
            "message Answer { option message_set_wire_format = true; extensions 100 to 200; optional Kind kind = 1 [(jisr.v1.classification) = PUBLIC]; optional t.other.Far far = 2; }",
        )],
    ),
    (
        Rule::ReservedMessageNoDelete,
        &[("reserved 20 to 29;", "reserved 20 to 28;")],
    ),
    (
        Rule::EnumValueNoDeleteUnlessNumberReserved,
        &[("TWO = 2;", "reserved \"TWO\";")],
    ),
    (
        Rule::EnumValueNoDeleteUnlessNameReserved,
        &[("TWO = 2;", "reserved 2;")],
    ),
    (Rule::EnumValueSameName, &[("TWO = 2;", "DEUX = 2;")]),
    (Rule::EnumValueSameNumber, &[("TWO = 2;", "TWO = 3;")]),
    (Rule::ReservedEnumNoDelete, &[("reserved \"NEVER\";", "")]),
];

#[test]
fn each_rule_is_broken_by_a_change_that_breaks_no_other() {
    let mut tried: Vec<Rule> = CASES.iter().map(|(rule, _)| *rule).collect();
    tried.dedup();
    assert_eq!(tried, Rule::ALL);
    for (rule, changes) in CASES {
        let found = found(changes);
        let rules: Vec<Rule> = found.iter().map(|broken| broken.rule).collect();
        assert_eq!(rules, [rule], "{changes:?}: {found:?}");
    }
}

#[test]
fn what_reads_the_same_is_no_break() {
    let harmless: [&[(&str, &str)]; 10] = [
        &[],
        &[("optional int32 count", "optional uint32 count")],
        &[("int64 left", "uint64 left")],
        &[("fixed32 fixed", "sfixed32 fixed")],
        &[("= PERSONAL]", "= SENSITIVE]")],
        &[(
            "bytes last = 10 [(jisr.v1.classification) = PUBLIC];",
            "bytes last = 10 [(jisr.v1.classification) = PUBLIC]; optional string more = 11 [(jisr.v1.classification) = PUBLIC];",
        )],
        &[("TWO = 2;", "TWO = 2; THREE = 3;")],
        &[(
            "optional fixed32 fixed = 7 [(jisr.v1.classification) = PUBLIC];",
            "reserved 7; reserved \"fixed\";",
        )],
        &[("reserved 20 to 29;", "reserved 20 to 24, 25 to 40;")],
        &[(
            "rpc Free(Loose) returns (Loose);",
            "rpc Free(Question) returns (stream Loose); rpc More(Loose) returns (Loose);",
        )],
    ];
    for changes in harmless {
        assert_eq!(found(changes), [], "{changes:?}");
    }
}

#[test]
fn what_nobody_rests_on_may_change() {
    assert_eq!(
        found(&[("optional string anything = 1", "repeated int64 nothing = 1")]),
        []
    );
    assert_eq!(found(&[("rpc Free(Loose) returns (Loose);", "")]), []);
}

#[test]
fn maps_are_compared_by_what_they_hold() {
    let broken = found(&[("map<string, Kind>", "map<int32, Kind>")]);
    assert_eq!(
        broken.iter().map(|found| found.rule).collect::<Vec<_>>(),
        [Rule::FieldWireJsonCompatibleType]
    );
    let broken = found(&[("map<string, Kind> kinds", "repeated string kinds")]);
    assert_eq!(
        broken.iter().map(|found| found.rule).collect::<Vec<_>>(),
        [Rule::FieldWireJsonCompatibleCardinality]
    );
}

#[test]
fn a_field_that_named_a_person_cannot_leave_even_reserved() {
    let gone = "optional string number = 1 [(jisr.v1.subject) = PERSONAL_NUMBER, (jisr.v1.classification) = PERSONAL];";
    let broken = found(&[(gone, "reserved 1; reserved \"number\";")]);
    assert_eq!(
        broken.iter().map(|found| found.rule).collect::<Vec<_>>(),
        [Rule::FieldSameSubject]
    );
}

#[test]
fn another_schema_under_the_same_name_is_named_no_further_than_it_helps() {
    let fields = |kind: &str| {
        (1..500)
            .map(|at| format!("optional {kind} f{at} = {at};"))
            .collect::<String>()
    };
    let file = |kind: &str| {
        format!(
            "syntax = \"proto2\"; package t.v1; service Things {{ rpc Get(Q) returns (Q); }} message Q {{ {} }}",
            fields(kind)
        )
    };
    let (old, new) = (schema(&file("string"), OTHER), schema(&file("bool"), OTHER));
    assert_eq!(
        breaks(&old, &new, &BTreeSet::from(["Get".to_owned()])).len(),
        BREAKS_MAX
    );
}
