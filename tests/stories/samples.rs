//! The sample configuration in deploy/samples is what node and registry read.

use std::path::PathBuf;

fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/samples")
}

#[test]
fn the_node_reads_its_sample() {
    let config = jisr_node::Config::load(&samples()).unwrap();
    assert_eq!(config.node.to_string(), "JO/GOV/psd/node/node1");
    assert_eq!(config.backends.len(), 2);
}

#[test]
fn the_registry_reads_its_sample() {
    let config = jisr_registry::Config::load(&samples().join("registry.toml")).unwrap();
    assert_eq!(config.origin().to_string(), "jisr/JO/registry/2026");
}
