use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fixture::secret;

mod at_rest;

fn store() -> (tempfile::TempDir, KeyStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::create(dir.path().join("a/keys"), &secret()).unwrap();
    (dir, store)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn directory_and_files_are_the_owners_alone() {
    let (_dir, store) = store();
    store.write("one", b"content").unwrap();
    assert_eq!(mode(store.path()), 0o700);
    assert_eq!(mode(&store.path().join("one")), 0o600);
    assert_eq!(store.read("one").unwrap().unwrap().as_slice(), b"content");
    assert!(store.read("two").unwrap().is_none());
    store.write("one", b"other").unwrap();
    assert_eq!(store.read("one").unwrap().unwrap().as_slice(), b"other");
    assert_eq!(store.names().unwrap(), ["one"]);
    assert_eq!(
        std::fs::read_dir(store.path()).unwrap().count(),
        2,
        "no temporary file stays beside keystore.toml"
    );
}

#[test]
fn a_wider_file_is_refused_with_the_command_to_run() {
    let (_dir, store) = store();
    store.write("one", b"content").unwrap();
    let path = store.path().join("one");
    for wide in [0o644, 0o640, 0o604, 0o700, 0o4600] {
        set_mode(&path, wide);
        let error = store.read("one").unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        assert!(error.contains(&format!("{wide:04o}")), "{error}");
    }
    set_mode(&path, 0o400);
    assert!(store.read("one").is_ok());
}

#[test]
fn a_wider_directory_is_refused() {
    let (_dir, store) = store();
    for wide in [0o755, 0o750, 0o701] {
        set_mode(store.path(), wide);
        let error = KeyStore::open(store.path(), &secret()).unwrap_err().to_string();
        assert!(error.contains("chmod 700"), "{error}");
        assert!(KeyStore::create(store.path(), &secret()).is_err());
    }
}

#[test]
fn anothers_file_is_refused() {
    let path = Path::new("/x y");
    let own = rustix::process::geteuid().as_raw();
    let error = check_access(path, own + 1, 0o600, 0o600).unwrap_err().to_string();
    assert!(error.contains(&format!("chown {own} '/x y'")), "{error}");
}

#[test]
fn links_and_devious_names_are_refused() {
    let (dir, store) = store();
    let outside = dir.path().join("outside");
    std::fs::write(&outside, b"content").unwrap();
    set_mode(&outside, 0o600);
    std::os::unix::fs::symlink(&outside, store.path().join("link")).unwrap();
    assert!(store.read("link").is_err());
    for name in [
        "",
        ".",
        "..",
        "../outside",
        "a/b",
        ".hidden",
        "a b",
        "a\0b",
        "keystore.toml",
        &"n".repeat(129),
    ] {
        assert!(store.read(name).is_err(), "{name}");
        assert!(store.write(name, b"x").is_err(), "{name}");
    }
    std::os::unix::fs::symlink(store.path(), dir.path().join("alias")).unwrap();
    assert!(KeyStore::open(dir.path().join("alias"), &secret()).is_err());
    assert!(KeyStore::open(dir.path().join("absent"), &secret()).is_err());
}

#[test]
fn a_secret_is_made_once() {
    let (_dir, store) = store();
    let first = store.secret32("vault").unwrap();
    assert_eq!(first.as_bytes(), store.secret32("vault").unwrap().as_bytes());
    assert_ne!(first.as_bytes(), store.secret32("other").unwrap().as_bytes());
    assert_eq!(format!("{first:?}"), "Secret32");
    store.write("vault.secret", &[0; 31]).unwrap();
    assert!(store.secret32("vault").is_err());
}

#[test]
fn what_is_destroyed_is_gone() {
    let (_dir, store) = store();
    let first = *store.secret32("month").unwrap().as_bytes();
    assert!(store.destroy("month.secret").unwrap());
    assert!(!store.destroy("month.secret").unwrap());
    assert_ne!(&first, store.secret32("month").unwrap().as_bytes());
}
