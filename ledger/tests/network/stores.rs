//! Key stores as they lie on the disk: made once, since their salts are random, and opened by every run of the tests.

use super::network::{hex, unhex};
use jisr_certs::keys::{KeyStore, RealFiles, SecretSource};
use jisr_ledger::vault::{KeyName, Vault};
use serde_json::{Map, Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

/// A key of 32 bytes, and a passphrase.
const SECRETS: [(&str, &str); 2] = [
    (
        "hkdf-sha256",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    ),
    ("argon2id", "a passphrase for vectors alone"),
];
const FILE: &str = "example.pem";
const CONTENT: &[u8] = b"what a key file holds\n";
/// What is encrypted under the key of a month and class, and what it is bound to.
const PLAIN: &[u8] = b"salt and content";
const MONTH: u16 = 680;
const CLASS: u8 = 1;

/// Makes the stores.
pub(crate) fn make() -> Value {
    let stores: Map<String, Value> = SECRETS
        .into_iter()
        .map(|(kdf, secret)| (kdf.to_owned(), made(secret)))
        .collect();
    Value::Object(stores)
}

fn made(secret: &str) -> Value {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = dir.path().join("keys");
    let (store, _) =
        KeyStore::create_from(&keys, &source(dir.path(), secret), Arc::new(RealFiles)).expect("a key store");
    store.write(FILE, CONTENT).expect("it is written");
    let vault = Vault::open(&store).expect("a vault");
    let name = KeyName {
        month: MONTH,
        class: CLASS,
    };
    let sealed = vault
        .seal(name, &[7; 32], [9; 12], PLAIN.to_vec())
        .expect("it is sealed");
    let mut files = Map::new();
    for name in names() {
        let bytes = fs::read(keys.join(&name)).expect("it is there");
        files.insert(name, hex(&bytes).into());
    }
    json!({
        "secret": secret,
        "keystore_toml": fs::read_to_string(keys.join("keystore.toml")).expect("it is there"),
        "files": files,
        "content": {FILE: hex(CONTENT)},
        "part_hash": hex(&[7; 32]),
        "nonce": hex(&[9; 12]),
        "sealed": hex(&sealed),
        "plain": hex(PLAIN),
    })
}

fn names() -> [String; 3] {
    [FILE.into(), "vault.secret".into(), format!("vault/{MONTH}-{CLASS}.key")]
}

fn source(dir: &Path, secret: &str) -> SecretSource {
    let path = dir.join("secret");
    write(&path, secret.as_bytes());
    SecretSource::File(path)
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("it is written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is the owner's");
}

/// Puts a store on the disk and opens it: every file holds what the vector says.
pub(crate) fn opens(store: &Value) {
    let text = |key: &str| store[key].as_str().expect("a text").to_owned();
    let dir = tempfile::tempdir().expect("a directory");
    let keys = dir.path().join("keys");
    for folder in [keys.clone(), keys.join("vault")] {
        fs::create_dir(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("it is the owner's");
    }
    write(&keys.join("keystore.toml"), text("keystore_toml").as_bytes());
    for name in names() {
        let bytes = unhex(store["files"][&name].as_str().expect("a file"));
        write(&keys.join(&name), &bytes);
    }
    let opened = KeyStore::open_from(&keys, &source(dir.path(), &text("secret"))).expect("it opens");
    let content = opened.read(FILE).expect("it opens").expect("it is there");
    assert_eq!(hex(&content), store["content"][FILE]);
    let name = KeyName {
        month: MONTH,
        class: CLASS,
    };
    let vault = Vault::open(&opened).expect("a vault");
    let plain = vault.unseal(name, &[7; 32], [9; 12], &unhex(&text("sealed")));
    assert_eq!(hex(&plain.expect("it opens").expect("its key is there")), text("plain"));
}
