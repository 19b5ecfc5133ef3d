//! What goes with the segments, and what must not.

use std::sync::Arc;

use jisr_ledger::files::RealDisk;

use super::super::directory::Directory;
use super::*;

fn write(data: &Path, name: &str, text: &str) {
    let path = data.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn what_a_node_needs_is_copied_and_what_may_be_secret_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (data, mirror) = (dir.path().join("data"), dir.path().join("mirror"));
    for name in [
        "node.toml",
        "anchor",
        "backend-ca.pem",
        "snapshots/7",
        "witness/a.state",
        "ledger/index/checkpoint",
    ] {
        write(&data, name, name);
    }
    for name in [
        "keys/tls.pem",
        "permits/key.pem",
        "lock",
        "quarantine",
        "snapshots/8.new",
        "ledger/index/resume",
        "ledger/segments/00000000000000000000.seg",
    ] {
        write(&data, name, name);
    }
    let mut store = Directory::new(mirror.clone(), Arc::new(RealDisk));
    let mut files = SideFiles::new(&data, vec!["backend-ca.pem".to_owned()]);
    files.copy(&mut store).unwrap();
    let names: Vec<String> = store.names("").unwrap().into_keys().collect();
    let wanted = [
        "anchor",
        "backend-ca.pem",
        "ledger/index/checkpoint",
        "node.toml",
        "snapshots/7",
        "witness/a.state",
    ];
    assert_eq!(names, wanted);
    write(&data, "anchor", "another");
    files.copy(&mut store).unwrap();
    assert_eq!(fs::read_to_string(mirror.join("anchor")).unwrap(), "another");
}

#[test]
fn tiles_come_once_and_partial_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let (data, mirror) = (dir.path().join("data"), dir.path().join("mirror"));
    let tile = |name: &str| format!("{TILES}/{name}");
    write(&data, &tile("0/000"), "full");
    write(&data, &tile("0/001.p/3"), "partial");
    let mut store = Directory::new(mirror.clone(), Arc::new(RealDisk));
    let mut files = SideFiles::new(&data, Vec::new());
    files.copy(&mut store).unwrap();
    assert!(mirror.join(tile("0/001.p/3")).exists());
    fs::remove_dir_all(data.join(tile("0/001.p"))).unwrap();
    write(&data, &tile("0/001.p/9"), "larger");
    // Whoever begins anew removes what is out of date too.
    SideFiles::new(&data, Vec::new()).copy(&mut store).unwrap();
    files.copy(&mut store).unwrap();
    let names: Vec<String> = store.names("").unwrap().into_keys().collect();
    assert_eq!(names, [tile("0/000"), tile("0/001.p/9")]);
}
