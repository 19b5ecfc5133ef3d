//! What is printed compiles to the same descriptors.

use std::path::Path;

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::*;

struct Sources(Vec<SourceFile>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let found = self.0.iter().find(|file| file.name == name);
        found.map_or_else(
            || Err(protox::Error::file_not_found(name)),
            |file| File::from_source(name, &file.text),
        )
    }
}

fn compile(files: Vec<SourceFile>) -> Vec<u8> {
    let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(files));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    for name in names {
        if let Err(error) = compiler.open_file(&name) {
            panic!("{name}: {error:?}");
        }
    }
    compiler.encode_file_descriptor_set()
}

/// Files by name, so that the order in which they were opened does not count.
fn by_name(pool: &DescriptorPool) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = pool
        .files()
        .map(|file| (file.name().to_owned(), file.encode_to_vec()))
        .collect();
    files.sort();
    files
}

#[track_caller]
fn goes_round(set: &[u8]) {
    let pool = DescriptorPool::decode(set).unwrap();
    let printed = files(&pool).unwrap();
    let again = DescriptorPool::decode(compile(printed.clone()).as_slice()).unwrap();
    for ((name, was), (again, is)) in by_name(&pool).into_iter().zip(by_name(&again)) {
        assert_eq!(name, again);
        let text = printed
            .iter()
            .find(|file| file.name == name)
            .map_or("", |file| &file.text);
        assert!(was == is, "{name} is another file when it is compiled again:\n{text}");
    }
}

fn source(text: &str) -> Vec<u8> {
    let annotations = include_str!("../../proto/jisr/v1/annotations.proto");
    let file = |name: &str, text: &str| SourceFile {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    compile(vec![
        file("jisr/v1/annotations.proto", annotations),
        file("test/v1/test.proto", text),
    ])
}

#[test]
fn the_contracts_of_this_network_go_round() {
    goes_round(crate::FILE_DESCRIPTOR_SET);
}

#[test]
fn the_services_of_the_agencies_go_round() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/proto"));
    let mut compiler = Compiler::new([root]).unwrap();
    compiler.include_imports(true);
    for file in [
        "jo/residency/v1/residency.proto",
        "jo/labour/v1/work_permits.proto",
        "jo/business/v1/companies.proto",
        "jo/border/v1/movements.proto",
    ] {
        compiler.open_file(file).unwrap();
    }
    goes_round(&compiler.encode_file_descriptor_set());
}

#[test]
fn everything_that_a_proto3_file_may_hold_goes_round() {
    goes_round(&source(
        r#"syntax = "proto3"; package test.v1; import public "jisr/v1/annotations.proto"; import "google/protobuf/timestamp.proto";
        option java_package = "jo.test"; option optimize_for = SPEED; option java_multiple_files = true;
        service S { option deprecated = true; option (jisr.v1.title_ar) = "خدمة \"أ\"";
          rpc A(M) returns (stream M.N) { option idempotency_level = IDEMPOTENT; option (jisr.v1.bulk) = true; } rpc B(stream M) returns (M); }
        message M { option deprecated = true; reserved 100 to 200, 500; reserved "old", "older";
          message N { message O { bool deep = 1; } O o = 1; enum E { option allow_alias = true; Z = 0; Y = 0; X = -5 [deprecated = true]; reserved -20 to -10, 7; reserved "W"; } E e = 2; }
          string snake_case_name = 1 [json_name = "other"]; optional int32 maybe = 2; repeated fixed64 many = 3 [packed = false];
          map<string, N> by_name = 4; map<int32, bytes> raw = 5 [deprecated = true];
          oneof one { string left = 6 [(jisr.v1.subject) = PERSONAL_NUMBER]; N right = 7; } google.protobuf.Timestamp at = 8; double d = 9; sint64 s = 10; oneof two { bool yes = 11; } string last_9 = 12; }"#,
    ));
}

#[test]
fn everything_that_a_proto2_file_may_hold_goes_round() {
    goes_round(&source(
        r#"syntax = "proto2"; package test.v1; import "google/protobuf/descriptor.proto";
        message M { required string a = 1 [default = "x\n\"\u202e"]; optional bytes b = 2 [default = "\000\377z"]; optional float f = 3 [default = -1.5e30];
          optional double g = 4 [default = inf]; optional E e = 5 [default = TWO]; repeated group Part = 6 { optional int32 inner = 1; } extensions 100 to 199, 1000 to max;
          optional bool t = 7 [default = true]; extend M { optional M nested = 101; } }
        enum E { ONE = 1; TWO = 2; }
        extend M { repeated int32 more = 100; }
        message Rich { optional string text = 1; repeated Rich inner = 2; optional E e = 3; repeated float numbers = 4; extensions 10 to 20; }
        extend Rich { optional string said = 10; }
        extend google.protobuf.MessageOptions { optional Rich rich = 51000; repeated string tags = 51001; }
        message Marked { option (rich) = { text: "t" inner { text: "deep" [test.v1.said]: "s" } inner { e: TWO numbers: 1.5 numbers: -2 } }; option (tags) = "a"; option (tags) = "b"; }"#,
    ));
}

#[test]
fn what_steers_a_terminal_is_escaped() {
    let set = source(
        "syntax = \"proto3\"; package test.v1; import \"jisr/v1/annotations.proto\"; message M {}
         service S { option (jisr.v1.title_en) = \"a\u{202e}b\u{1b}c\"; rpc A(M) returns (M); }",
    );
    let pool = DescriptorPool::decode(set.as_slice()).unwrap();
    let text = text(&pool.get_file_by_name("test/v1/test.proto").unwrap()).unwrap();
    assert!(text.contains(r#""a\342\200\256b\033c""#), "{text}");
    goes_round(&set);
}

/// A set as an attacker writes it.
fn altered(change: impl FnOnce(&mut FileDescriptorSet)) -> Result<Vec<SourceFile>, PrintError> {
    let mut set = FileDescriptorSet::decode(
        source("syntax = \"proto3\"; package test.v1; message M { string a = 1; }").as_slice(),
    )
    .unwrap();
    change(&mut set);
    let pool = DescriptorPool::decode(set.encode_to_vec().as_slice()).unwrap();
    files(&pool)
}

#[test]
fn a_file_cannot_be_written_outside_of_the_folder() {
    for name in [
        "../x.proto",
        "/etc/x.proto",
        "a//b.proto",
        "a\\b.proto",
        "a/./b.proto",
        "a\n.proto",
        "\u{202e}.proto",
        "",
    ] {
        let printed = altered(|set| set.file.last_mut().unwrap().name = Some(name.to_owned()));
        assert!(matches!(printed, Err(PrintError::Name(_))), "{name:?}: {printed:?}");
    }
}

#[test]
fn a_short_set_cannot_have_an_endless_text() {
    // One long name, written out by each of many fields that name its type.
    let long: String = "l".repeat(60_000);
    let printed = altered(|set| {
        let file = set.file.last_mut().unwrap();
        file.message_type[0].name = Some(long.clone());
        let field = file.message_type[0].field[0].clone();
        for at in 2..2_000 {
            let mut next = field.clone();
            next.name = Some(format!("f{at}"));
            next.json_name = None;
            next.number = Some(at);
            next.r#type = Some(11);
            next.type_name = Some(format!(".test.v1.{long}"));
            file.message_type[0].field.push(next);
        }
    });
    assert_eq!(printed, Err(PrintError::TooLong));
}

#[test]
fn options_that_do_not_fit_their_declaration_are_refused() {
    let set = source(
        r#"syntax = "proto2"; package test.v1; import "google/protobuf/descriptor.proto";
        extend google.protobuf.MessageOptions { optional string said = 51000; } message M { option (said) = "AAAA"; }"#,
    );
    let at = set.windows(4).position(|window| window == b"AAAA").unwrap();
    let mut broken = set.clone();
    broken[at..at + 4].fill(0xff);
    let refused = DescriptorPool::decode(broken.as_slice()).map(|pool| files(&pool));
    assert!(
        matches!(refused, Err(_) | Ok(Err(PrintError::Options(_)))),
        "{refused:?}"
    );
}

#[test]
fn messages_within_messages_go_round_as_deep_as_sets_may_be() {
    let depth = 30;
    let open: String = (0..depth).map(|at| format!("message M{at} {{ ")).collect();
    let source_text = format!(
        "syntax = \"proto3\"; package test.v1; {open} string last = 1; {}",
        "}".repeat(depth)
    );
    goes_round(&source(&source_text));
}
