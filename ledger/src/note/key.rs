//! Public keys of notes: what a signature line must match, and keys as text (vkey).

use super::NoteError;
use base64::{Engine, engine::general_purpose::STANDARD};
use jisr_certs::ed25519::PublicKey;
use std::{fmt, str::FromStr, sync::Arc};

/// What a key's signatures are (C2SP signed-note, signature types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// `0x01`: Ed25519 over the text. Seal keys and the snapshot key.
    Ed25519,
    /// `0x04`: a timestamped cosignature. Witness keys.
    Cosignature,
}

impl KeyType {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A key that verifies signatures of notes, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: Arc<str>,
    id: [u8; 4],
    key_type: KeyType,
    key: PublicKey,
}

impl VerifierKey {
    /// A seal or snapshot key (type `0x01`) from its raw 32 bytes.
    ///
    /// # Errors
    /// The name is not one, or the key is not canonical or has small order.
    pub fn new_seal(name: &str, key: [u8; 32]) -> Result<Self, NoteError> {
        Self::new(name, KeyType::Ed25519, key)
    }

    /// A witness key (type `0x04`) from its raw 32 bytes.
    ///
    /// # Errors
    /// As [`VerifierKey::new_seal`].
    pub fn new_witness(name: &str, key: [u8; 32]) -> Result<Self, NoteError> {
        Self::new(name, KeyType::Cosignature, key)
    }

    fn new(name: &str, key_type: KeyType, raw: [u8; 32]) -> Result<Self, NoteError> {
        let key = PublicKey::from_raw(raw)
            .map_err(|_| NoteError::Key("the Ed25519 key is not canonical or has small order"))?;
        Self::named(name, key_type, key)
    }

    /// A key of the origin `name` (type `0x01`), whose bytes were looked at before.
    ///
    /// # Errors
    /// The name is not one.
    pub(crate) fn seal(name: &str, key: PublicKey) -> Result<Self, NoteError> {
        Self::named(name, KeyType::Ed25519, key)
    }

    fn named(name: &str, key_type: KeyType, key: PublicKey) -> Result<Self, NoteError> {
        if !is_key_name(name) {
            return Err(NoteError::Key(
                "the name is empty or holds a space, a control character or a plus sign",
            ));
        }
        Ok(Self {
            name: name.into(),
            id: key_id(name, key_type, key.as_bytes()),
            key_type,
            key,
        })
    }

    /// Name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First 4 bytes of `SHA-256(name ‖ 0x0A ‖ type ‖ key)`.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// What the key's signatures are.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The raw key.
    #[must_use]
    pub fn raw(&self) -> [u8; 32] {
        *self.key.as_bytes()
    }

    /// Whether the 64-byte Ed25519 signature holds.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(message, signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.key_type.byte()];
        key.extend_from_slice(&self.raw());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            u32::from_be_bytes(self.id),
            STANDARD.encode(key)
        )
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // The name and the id hold no plus sign, base64 may.
        let mut fields = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(NoteError::Key(
                "it does not consist of a name, an id and a key with plus signs between",
            ));
        };
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| NoteError::Key("the key is not standard base64"))?;
        let Some((key_type, raw)) = bytes.split_first() else {
            return Err(NoteError::Key("the key is empty"));
        };
        let key_type = match key_type {
            0x01 => KeyType::Ed25519,
            0x04 => KeyType::Cosignature,
            _ => return Err(NoteError::Key("the key's type is neither 0x01 nor 0x04")),
        };
        let raw = raw
            .try_into()
            .map_err(|_| NoteError::Key("the key is not 32 bytes long"))?;
        let key = Self::new(name, key_type, raw)?;
        if format!("{:08x}", u32::from_be_bytes(key.id)) != id {
            return Err(NoteError::Key("the id does not belong to this name and key"));
        }
        Ok(key)
    }
}

fn key_id(name: &str, key_type: KeyType, raw: &[u8; 32]) -> [u8; 4] {
    let digest = jisr_certs::digest::sha256(&[name.as_bytes(), b"\n", &[key_type.byte()], raw]);
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

/// Whether a name may stand in a signature line.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pair, raw};
    use super::*;

    #[test]
    fn keys_survive_being_text() {
        for key in [
            VerifierKey::new_seal("jisr/JO/registry/2026", raw(&pair(1))).expect("good"),
            VerifierKey::new_witness("jisr/JO/registry/witness", raw(&pair(2))).expect("good"),
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn the_key_of_the_specification_parses() {
        // The example key of golang.org/x/mod/sumdb/note, on which C2SP signed-note rests.
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = text.parse().expect("a good key");
        assert_eq!(key.to_string(), text);
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
            \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let note = super::super::SignedNote::parse(note.as_bytes()).expect("a good note");
        assert!(note.text_signed_by(&key, &super::super::Computed).is_ok());
    }

    #[test]
    fn bad_keys_are_refused() {
        let good = VerifierKey::new_seal("name", raw(&pair(1))).expect("good").to_string();
        let small_order = format!("name+00000000+{}", STANDARD.encode([&[1u8][..], &[0u8; 32]].concat()));
        let other_type = format!(
            "name+00000000+{}",
            STANDARD.encode([&[6u8][..], &raw(&pair(1))].concat())
        );
        for bad in [
            "",
            "name",
            "name+x",
            "+00000000+AQ==",
            &good.replace("name", "game"),
            &small_order,
            &other_type,
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
        assert!(good.to_uppercase().parse::<VerifierKey>().is_err());
        assert!(VerifierKey::new_seal("a b", raw(&pair(1))).is_err());
        assert!(VerifierKey::new_seal("a", [0xff; 32]).is_err());
    }
}
