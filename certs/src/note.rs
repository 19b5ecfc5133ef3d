//! The texts that ledger keys sign, and their signature lines (C2SP signed-note, tlog-checkpoint, tlog-cosignature).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::{Hash, sha256};
use crate::ed25519::PublicKey;

/// Signature type of seal and snapshot keys (C2SP signed-note: Ed25519).
pub(crate) const TYPE_ED25519: u8 = 0x01;
/// Signature type of witnesses (C2SP tlog-cosignature: timestamped Ed25519).
pub(crate) const TYPE_COSIGNATURE: u8 = 0x04;

/// Text of a checkpoint: origin, size, root, each on a line.
pub(crate) fn checkpoint_text(origin: &str, size: u64, root: &Hash) -> String {
    format!("{origin}\n{size}\n{}\n", STANDARD.encode(root))
}

/// Text of a snapshot note (docs/formats.md, Snapshot).
pub(crate) fn snapshot_text(name: &str, version: u64, digest: &Hash, expires_s: u64) -> String {
    format!("{name}\n{version}\n{}\n{expires_s}\n", STANDARD.encode(digest))
}

/// First 4 bytes of `SHA-256(name ‖ 0x0A ‖ type ‖ key)`.
pub(crate) fn key_id(name: &str, kind: u8, key: &PublicKey) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind], key.as_bytes()]);
    [a, b, c, d]
}

/// A key as text: `name+key id+base64(type ‖ key)`.
pub(crate) fn vkey(name: &str, kind: u8, key: &PublicKey) -> String {
    let id = u32::from_be_bytes(key_id(name, kind, key));
    format!(
        "{name}+{id:08x}+{}",
        STANDARD.encode([&[kind], key.as_bytes().as_slice()].concat())
    )
}

/// A signature line, newline included; `signature` is what follows the key id.
pub(crate) fn signature_line(name: &str, id: [u8; 4], signature: &[&[u8]]) -> String {
    let bytes = [id.as_slice(), &signature.concat()].concat();
    format!("\u{2014} {name} {}\n", STANDARD.encode(bytes))
}
