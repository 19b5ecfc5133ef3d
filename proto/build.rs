//! Compiles the `jisr.*` contracts without an installed protoc: Rust types, gRPC stubs, and the descriptor set that
//! `jisr_proto` embeds.

use std::error::Error;
use std::path::{Path, PathBuf};

/// The contracts, relative to `proto/`.
const FILES: [&str; 9] = [
    "jisr/v1/annotations.proto",
    "jisr/statement/v1/statement.proto",
    "jisr/snapshot/v1/snapshot.proto",
    "jisr/catalogue/v1/catalogue.proto",
    "jisr/snapshot/v1/administration.proto",
    "jisr/peer/v1/peer.proto",
    "jisr/registry/v1/registry.proto",
    "jisr/admin/v1/admin.proto",
    "jisr/evidence/v1/evidence.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new([Path::new("proto")])?;
    compiler.include_imports(true);
    compiler.open_files(FILES)?;
    // Encoded by protox rather than by prost-types, which would drop the custom options.
    std::fs::write(out.join("jisr.fds"), compiler.encode_file_descriptor_set())?;

    let mut files = compiler.include_source_info(true).file_descriptor_set();
    for file in &mut files.file {
        // Nodes speak jisr.peer.v1 over their own corridor, so no stubs are wanted for it.
        if file.package() == "jisr.peer.v1" {
            file.service.clear();
        }
    }
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds_with_config(files, config)?;
    Ok(())
}
