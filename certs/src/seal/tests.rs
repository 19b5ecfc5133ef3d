use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::digest::sha256;

fn store() -> (tempfile::TempDir, KeyStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::create(dir.path().join("keys"), &crate::fixture::secret()).unwrap();
    (dir, store)
}

fn origin() -> Origin {
    "jisr/JO/GOV/mol/node1/2026".parse().unwrap()
}

/// Takes a signature line apart: what follows the key id, where line, name and key id are right.
fn signature(line: &str, name: &str, kind: u8, key: &PublicKey) -> Vec<u8> {
    let encoded = line
        .strip_prefix(&format!("— {name} "))
        .unwrap()
        .strip_suffix('\n')
        .unwrap();
    let bytes = STANDARD.decode(encoded).unwrap();
    let id = sha256(&[name.as_bytes(), &[0x0a, kind], key.as_bytes()]);
    assert_eq!(bytes[..4], id[..4]);
    bytes[4..].to_vec()
}

#[test]
fn a_checkpoint_is_signed_as_the_note_says() {
    let (_dir, store) = store();
    let key = SealKey::load_or_make(&store, &origin()).unwrap();
    let line = key.sign_checkpoint(5, &[9; 32]);
    let text = format!("jisr/JO/GOV/mol/node1/2026\n5\n{}\n", STANDARD.encode([9; 32]));
    key.public()
        .verify(text.as_bytes(), &signature(&line, origin().as_str(), 1, &key.public()))
        .unwrap();
    assert_eq!(key.checkpoint(5, &[9; 32]), format!("{text}\n{line}"));
    assert_ne!(line, key.sign_checkpoint(6, &[9; 32]));
}

#[test]
fn a_cosignature_covers_time_and_checkpoint() {
    let (_dir, store) = store();
    let node: NodeId = "JO/GOV/psd/node/node1".parse().unwrap();
    let key = WitnessKey::of_node(&store, &node).unwrap();
    let name = "jisr/JO/GOV/psd/node1/witness";
    assert_eq!(key.name(), name);
    let line = key.cosign(1_795_435_200, &origin(), 5, &[9; 32]);
    let bytes = signature(&line, name, 4, &key.public());
    assert_eq!(bytes[..8], 1_795_435_200u64.to_be_bytes());
    let root = STANDARD.encode([9; 32]);
    let message = format!("cosignature/v1\ntime 1795435200\njisr/JO/GOV/mol/node1/2026\n5\n{root}\n");
    key.public().verify(message.as_bytes(), &bytes[8..]).unwrap();
}

#[test]
fn a_snapshot_note_says_version_digest_and_expiry() {
    let (_dir, store) = store();
    let key = SnapshotKey::load_or_make(&store, &"JO".parse().unwrap()).unwrap();
    let note = key.sign_snapshot(3, &[1; 32], 1_795_435_200);
    let (text, line) = note.split_once("\n\n").unwrap();
    let text = format!("{text}\n");
    assert_eq!(
        text,
        format!("jisr/JO/snapshot\n3\n{}\n1795435200\n", STANDARD.encode([1; 32]))
    );
    key.public()
        .verify(text.as_bytes(), &signature(line, "jisr/JO/snapshot", 1, &key.public()))
        .unwrap();
}

#[test]
fn a_key_is_made_once_and_belongs_to_one_name() {
    let (_dir, store) = store();
    let first = SealKey::load_or_make(&store, &origin()).unwrap();
    assert_eq!(
        first.public(),
        SealKey::load_or_make(&store, &origin()).unwrap().public()
    );
    let next: Origin = "jisr/JO/GOV/mol/node1/2026-2".parse().unwrap();
    assert_ne!(first.public(), SealKey::load_or_make(&store, &next).unwrap().public());
    let node = origin().node().unwrap();
    let witness = WitnessKey::of_node(&store, &node).unwrap();
    assert_ne!(first.public(), witness.public());
    assert_eq!(
        store.names().unwrap(),
        [
            "seal-jisr.JO.GOV.mol.node1.2026-2.pem",
            "seal-jisr.JO.GOV.mol.node1.2026.pem",
            "witness-jisr.JO.GOV.mol.node1.witness.pem"
        ]
    );
    let registry = WitnessKey::of_registry(&store, &"JO".parse().unwrap()).unwrap();
    assert_eq!(registry.name(), "jisr/JO/registry/witness");
}

#[test]
fn a_vkey_is_name_key_id_and_typed_key() {
    let (_dir, store) = store();
    let key = SealKey::load_or_make(&store, &origin()).unwrap();
    let vkey = key.vkey();
    let [name, id, encoded] = vkey
        .split('+')
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|parts: Vec<&str>| {
            // base64 may hold `+` itself.
            [parts[0], parts[1], &vkey[parts[0].len() + parts[1].len() + 2..]]
        });
    assert_eq!(name, origin().as_str());
    let raw = STANDARD.decode(encoded).unwrap();
    assert_eq!(raw, [&[1], key.public().as_bytes().as_slice()].concat());
    let digest = sha256(&[name.as_bytes(), b"\n", &raw]);
    assert_eq!(
        id,
        format!("{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
    );
}

#[test]
fn a_wide_or_wrong_key_file_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, store) = store();
    SealKey::load_or_make(&store, &origin()).unwrap();
    let path = store.path().join("seal-jisr.JO.GOV.mol.node1.2026.pem");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = SealKey::load_or_make(&store, &origin()).unwrap_err().to_string();
    assert!(error.contains("0644") && error.contains("chmod 600"), "{error}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let p256 = crate::p256::P256Pair::generate().unwrap();
    let name = "seal-jisr.JO.GOV.mol.node1.2026.pem";
    for content in [
        crate::pem::key_to_pem(&p256).as_bytes(),
        b"",
        b"-----BEGIN PRIVATE KEY-----\n",
    ] {
        store.write(name, content).unwrap();
        assert!(SealKey::load_or_make(&store, &origin()).is_err());
    }
}

#[test]
fn debug_shows_no_secret() {
    let (_dir, store) = store();
    let key = SealKey::load_or_make(&store, &origin()).unwrap();
    assert_eq!(format!("{key:?}"), format!("SealKey({:?})", key.public()));
    let tls = crate::tls_key::TlsKey::load_or_make(&store, "peer").unwrap();
    assert_eq!(format!("{tls:?}"), "TlsKey");
}
