//! Compiles the `jo.*` contracts without an installed protoc: Rust types, gRPC stubs, and for each service the descriptor
//! set with everything it needs, as a publisher hands it to the registry.

use std::error::Error;
use std::path::{Path, PathBuf};

/// Root of all contracts, relative to this package.
const ROOT: &str = "../../proto/proto";

/// Name under which the descriptor set is embedded, and the file that declares the service.
const SERVICES: [(&str, &str); 8] = [
    ("identity", "jo/identity/v1/identity.proto"),
    ("residency", "jo/residency/v1/residency.proto"),
    ("border", "jo/border/v1/movements.proto"),
    ("health", "jo/health/v1/fitness.proto"),
    ("socialsecurity", "jo/socialsecurity/v1/contributions.proto"),
    ("business", "jo/business/v1/companies.proto"),
    ("clearance", "jo/clearance/v1/clearance.proto"),
    ("labour", "jo/labour/v1/work_permits.proto"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ROOT}/jo");
    println!("cargo::rerun-if-changed={ROOT}/jisr/v1");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    for (name, file) in SERVICES {
        let mut compiler = protox::Compiler::new([Path::new(ROOT)])?;
        // Comments stay in: the catalogue shows them to integrators.
        compiler.include_imports(true).include_source_info(true);
        compiler.open_file(file)?;
        // Encoded by protox rather than by prost-types, which would drop the custom options.
        std::fs::write(out.join(format!("{name}.fds")), compiler.encode_file_descriptor_set())?;
    }

    let mut compiler = protox::Compiler::new([Path::new(ROOT)])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(SERVICES.map(|(_, file)| file))?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
