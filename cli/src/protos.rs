//! Schemas: .proto files and descriptor sets.

use std::path::{Path, PathBuf};

use jisr_proto::annotations::SCHEMA_BYTES_MAX;
use jisr_proto::ident::{IdentError, MethodPath};
use prost_reflect::DescriptorPool;
use protox::Compiler;
use protox::file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::failure::Failure;
use crate::output;

/// The largest FileDescriptorSet, bytes.
const SET_BYTES_MAX: u64 = SCHEMA_BYTES_MAX as u64;

/// Compiles .proto files and what they import into one FileDescriptorSet.
///
/// Imports are looked up in `include`, or, without it, beside the files. `jisr/v1/annotations.proto` and Google's
/// well-known types are built in, so that a publisher needs nothing but its own files.
pub(crate) fn compile(protos: &[PathBuf], include: &[PathBuf]) -> Result<Vec<u8>, Failure> {
    let mut resolver = ChainFileResolver::new();
    let beside = || {
        protos
            .iter()
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect()
    };
    let folders: Vec<PathBuf> = if include.is_empty() { beside() } else { include.to_vec() };
    for folder in &folders {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        resolver.add(IncludeFileResolver::new(folder.to_owned()));
    }
    let ours = DescriptorSetFileResolver::decode(jisr_proto::FILE_DESCRIPTOR_SET).map_err(|error| {
        Failure::fault(
            format!("the built-in annotations are damaged: {error}"),
            "install jisr again",
        )
    })?;
    resolver.add(ours);
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    for file in protos {
        compiler.open_file(file).map_err(|error| {
            Failure::unusable(
                file,
                error,
                "correct the file; name the folders of its imports with --include",
            )
        })?;
    }
    Ok(compiler.encode_file_descriptor_set())
}

/// Reads a FileDescriptorSet, as `protoc --include_imports --descriptor_set_out` writes it.
pub(crate) fn read_set(path: &Path) -> Result<Vec<u8>, Failure> {
    let set = output::read(path, SET_BYTES_MAX)?;
    if set.len() as u64 > SET_BYTES_MAX {
        return Err(Failure::unusable(
            path,
            "longer than 2 MiB",
            "publish the service's own files and imports only",
        ));
    }
    Ok(set)
}

/// The types in a FileDescriptorSet.
pub(crate) fn pool(set: &[u8]) -> Result<DescriptorPool, Failure> {
    DescriptorPool::decode(set).map_err(|error| Failure::Unreadable {
        what: format!("the FileDescriptorSet cannot be used: {error}"),
        remedy: "make it with all imports: protoc --include_imports --descriptor_set_out".into(),
    })
}

/// `SERVICE/METHOD`, with or without the slash that gRPC puts in front.
pub(crate) fn method_path(text: &str) -> Result<MethodPath, IdentError> {
    format!("/{}", text.strip_prefix('/').unwrap_or(text)).parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "syntax = \"proto3\"; package x.v1; import \"jisr/v1/annotations.proto\";
        message Note { string person = 1 [(jisr.v1.subject) = PERSONAL_NUMBER]; }
        service Notes { option (jisr.v1.title_en) = \"Notes\"; rpc Put(Note) returns (Note); }";

    #[test]
    fn a_publisher_needs_nothing_but_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("note.proto");
        std::fs::write(&file, NOTE).unwrap();
        let pool = pool(&compile(&[file], &[]).unwrap()).unwrap();
        let service = pool.get_service_by_name("x.v1.Notes").unwrap();
        // The options survive: the node reads evidence classes and subjects from them.
        let option = pool.get_extension_by_name("jisr.v1.title_en").unwrap();
        assert_eq!(service.options().get_extension(&option).as_str(), Some("Notes"));
    }

    #[test]
    fn what_cannot_be_compiled_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("note.proto");
        let missing = compile(std::slice::from_ref(&file), &[]).unwrap_err();
        assert_eq!(missing.code(), crate::failure::UNREADABLE);
        std::fs::write(&file, "syntax = \"proto3\"; import \"nowhere.proto\";").unwrap();
        let broken = compile(&[file], &[]).unwrap_err().explain();
        assert!(
            broken.contains("nowhere.proto") && broken.contains("--include"),
            "{broken}"
        );
    }

    #[test]
    fn garbage_is_no_descriptor_set() {
        assert_eq!(pool(b"\xff\xff").unwrap_err().code(), crate::failure::UNREADABLE);
    }

    #[test]
    fn a_method_may_be_written_as_people_write_it() {
        assert_eq!(method_path("a.B/C").unwrap(), method_path("/a.B/C").unwrap());
        for text in ["", "a.B", "a.B/", "//a.B/C", "a.B/C/D"] {
            assert!(method_path(text).is_err(), "{text}");
        }
    }
}
