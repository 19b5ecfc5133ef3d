//! The services that come with the program are fit to be published as they are.

use std::path::{Path, PathBuf};

use jisr_proto::annotations::ServiceSchema;

fn proto_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of contracts") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            proto_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
}

#[test]
fn every_service_has_titles_and_says_how_each_field_is_treated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut files = Vec::new();
    proto_files(&root.join("jo"), &mut files);
    let mut compiler = protox::Compiler::new([&root]).expect("the folder can be read");
    compiler
        .include_imports(true)
        .open_files(&files)
        .expect("the contracts compile");
    let bytes = compiler.encode_file_descriptor_set();
    let services: Vec<String> = compiler
        .descriptor_pool()
        .services()
        .map(|s| s.full_name().to_owned())
        .collect();
    assert!(services.len() >= 7, "{services:?}");
    for name in services {
        let schema = ServiceSchema::parse(&bytes, &name).unwrap_or_else(|error| panic!("{name}: {error}"));
        schema.titles("", "").unwrap_or_else(|error| panic!("{name}: {error}"));
        schema
            .check_classified()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(schema.methods().count() > 0, "{name}");
    }
}
