//! Keys on a disk that somebody else has: nothing can be read, moved or changed without its secret.

use super::*;
use crate::keys::secret::{make, next_to};

fn other() -> KeySecret {
    KeySecret::from_bytes(&[8; 32], "another secret")
}

fn file(dir: &Path, name: &str, text: &str) -> SecretSource {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    SecretSource::File(path)
}

/// A store whose secret lies beside its data directory.
fn beside() -> (tempfile::TempDir, PathBuf, SecretSource) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let source = SecretPlaces::default().source(&data);
    let keys = data.join("keys");
    let (store, made) = KeyStore::create_from(&keys, &source, Arc::new(RealFiles)).unwrap();
    assert!(made);
    assert_eq!(mode(source.path()), 0o600);
    store.write("one", b"content").unwrap();
    (dir, keys, source)
}

fn opens(keys: &Path, source: &SecretSource) -> bool {
    let store = KeyStore::open_from(keys, source);
    store.is_ok_and(|store| store.read("one").unwrap().unwrap().as_slice() == b"content")
}

#[test]
fn nothing_of_a_key_lies_on_the_disk_and_every_byte_counts() {
    let (_dir, store) = store();
    let content = b"-----BEGIN PRIVATE KEY-----";
    store.write("one", content).unwrap();
    let path = store.path().join("one");
    let sealed = std::fs::read(&path).unwrap();
    assert!(!sealed.windows(5).any(|window| window == b"BEGIN"));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(store.read("one").is_err(), "byte {at}");
        std::fs::write(&path, &sealed[..at]).unwrap();
        assert!(store.read("one").is_err(), "cut at {at}");
    }
    std::fs::write(&path, [sealed.as_slice(), b"x"].concat()).unwrap();
    assert!(store.read("one").is_err(), "longer");
    std::fs::write(&path, content).unwrap();
    assert!(store.read("one").is_err(), "a key in the clear is none");
    std::fs::write(&path, &sealed).unwrap();
    assert_eq!(store.read("one").unwrap().unwrap().as_slice(), content);
}

#[test]
fn every_byte_of_the_header_counts() {
    let (dir, store) = store();
    let phrase = file(dir.path(), "phrase", "correct horse battery staple\n")
        .read()
        .unwrap();
    for secret in [secret(), phrase] {
        let text = Header::wrap(&store.key, &secret).unwrap().to_text();
        let bytes = text.as_bytes();
        // A passphrase is slow on purpose: of its header the bytes that reach the derivation are tried once each.
        let step = if secret.as_key().is_some() { 1 } else { 37 };
        for at in (0..bytes.len()).step_by(step) {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let opened = std::str::from_utf8(&changed)
                .ok()
                .and_then(Header::parse)
                .and_then(|header| header.unwrap(&secret));
            assert!(opened.is_none(), "byte {at} of {text}");
            assert!(Header::parse(&text[..at]).is_none(), "cut at {at}");
        }
    }
    let greedy = Header::wrap(&store.key, &secret()).unwrap().to_text().replace(
        "kdf = \"hkdf-sha256\"",
        "kdf = \"argon2id\"\nmemory_kib = 4294967295\npasses = 4294967295\nlanes = 1",
    );
    let greedy = Header::parse(&greedy).unwrap();
    assert!(greedy.unwrap(&secret()).is_none(), "it does not even begin");
}

#[test]
fn files_cannot_take_each_others_place() {
    let (dir, store) = store();
    let vault = store.folder("vault").unwrap();
    let stranger = KeyStore::create(dir.path().join("stranger"), &secret()).unwrap();
    for (store, content) in [(&store, b"mine"), (&vault, b"deep"), (&stranger, b"hers")] {
        store.write("one", content).unwrap();
        store.write("two", content).unwrap();
    }
    let path = |store: &KeyStore, name: &str| store.path().join(name);
    for from in [path(&store, "two"), path(&vault, "one"), path(&stranger, "one")] {
        std::fs::copy(from, path(&store, "one")).unwrap();
        assert!(store.read("one").is_err());
    }
    assert_eq!(vault.read("one").unwrap().unwrap().as_slice(), b"deep");
    // Another store's header is not this one's.
    std::fs::copy(path(&stranger, HEADER), path(&store, HEADER)).unwrap();
    let store = KeyStore::open(store.path(), &secret()).unwrap();
    assert!(store.read("two").is_err());
}

#[test]
fn a_wrong_secret_is_told_with_file_source_and_remedy() {
    let (dir, keys, source) = beside();
    let error = KeyStore::open(&keys, &other()).unwrap_err().to_string();
    for part in ["keystore.toml", "another secret", "secret_file", "recovery secret"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    std::fs::rename(source.path(), dir.path().join("away")).unwrap();
    let error = KeyStore::open_from(&keys, &source).unwrap_err().to_string();
    assert!(error.contains("data.secret: there is no such file"), "{error}");
    let error = KeyStore::create_from(&keys, &source, Arc::new(RealFiles))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("there is no such file"),
        "a second secret opens nothing: {error}"
    );
    assert!(!source.path().exists());
    // A store whose header went is none, and does not become another one.
    std::fs::rename(dir.path().join("away"), source.path()).unwrap();
    std::fs::remove_file(keys.join(HEADER)).unwrap();
    let error = KeyStore::create_from(&keys, &source, Arc::new(RealFiles))
        .unwrap_err()
        .to_string();
    assert!(error.contains("restore the backup"), "{error}");
}

#[test]
fn a_secret_is_a_key_or_a_passphrase_that_others_do_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let phrase = file(dir.path(), "phrase", "correct horse battery staple\n")
        .read()
        .unwrap();
    let keys = dir.path().join("keys");
    KeyStore::create(&keys, &phrase)
        .unwrap()
        .write("one", b"content")
        .unwrap();
    assert!(opens(&keys, &file(dir.path(), "same", "correct horse battery staple")));
    assert!(!opens(
        &keys,
        &file(dir.path(), "other", "correct horse battery stable")
    ));
    let short = file(dir.path(), "short", "fifteen letters\n")
        .read()
        .unwrap_err()
        .to_string();
    assert!(short.contains("openssl rand -hex 32"), "{short}");
    for (wide, allowed) in [(0o644, false), (0o660, false), (0o640, true), (0o400, true)] {
        set_mode(&dir.path().join("phrase"), wide);
        let read = SecretSource::File(dir.path().join("phrase")).read();
        assert_eq!(read.is_ok(), allowed, "{wide:o}");
    }
    assert!(!format!("{phrase:?}").contains("horse"));
}

#[test]
fn a_credential_comes_before_a_file_and_a_file_before_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut places = SecretPlaces {
        credentials: Some(dir.path().to_owned()),
        file: Some("/etc/secret".into()),
    };
    assert_eq!(places.source(dir.path()), SecretSource::File("/etc/secret".into()));
    std::fs::write(dir.path().join("jisr-secret"), "0").unwrap();
    assert_eq!(
        places.source(dir.path()),
        SecretSource::Credential(dir.path().join("jisr-secret"))
    );
    places = SecretPlaces::default();
    let beside = places.source(&dir.path().join("."));
    assert!(beside.path().to_str().unwrap().ends_with(".secret"), "{beside}");
    assert_ne!(
        beside.path().parent(),
        Some(dir.path()),
        "not in the directory that it protects"
    );
}

#[test]
fn a_new_secret_opens_what_the_old_one_did_and_the_old_one_nothing() {
    let (dir, keys, source) = beside();
    let old = source.read().unwrap();
    let running = KeyStore::open(&keys, &old).unwrap();
    rekey(&keys, &old, None).unwrap();
    assert!(opens(&keys, &source));
    assert!(KeyStore::open(&keys, &old).is_err());
    running.write("two", b"of a process that goes on").unwrap();
    let named = file(dir.path(), "named", &"5a".repeat(32));
    rekey(&keys, &source.read().unwrap(), Some(&named.read().unwrap())).unwrap();
    assert!(opens(&keys, &named));
    assert!(!opens(&keys, &source));
    let error = rekey(&keys, &named.read().unwrap(), None).unwrap_err().to_string();
    assert!(
        error.contains("--to"),
        "this program cannot change what it does not keep: {error}"
    );
    let store = KeyStore::open_from(&keys, &named).unwrap();
    assert_eq!(store.names().unwrap(), ["one", "two"]);
}

#[test]
fn a_change_of_secret_that_was_cut_short_leaves_a_store_that_opens() {
    // Cut after the new secret was written: the store never heard of it.
    let (_dir, keys, source) = beside();
    let next = next_to(source.path());
    make(&next, &RealFiles).unwrap();
    assert!(opens(&keys, &source));
    rekey(&keys, &source.read().unwrap(), None).unwrap();
    assert!(opens(&keys, &source));
    assert!(!next.exists());
    // Cut after the store was wrapped under it: whoever opens the store finishes.
    make(&next, &RealFiles).unwrap();
    let promised = SecretSource::File(next.clone()).read().unwrap();
    rekey(&keys, &source.read().unwrap(), Some(&promised)).unwrap();
    assert!(opens(&keys, &source));
    assert!(!next.exists());
    assert!(opens(&keys, &source));
    assert!(KeyStore::open(&keys, &promised).is_ok(), "it is the secret now");
}
