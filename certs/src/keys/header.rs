//! `keystore.toml`: the data key of a key store, wrapped under the secret, and how the wrapping key comes from the secret.
//!
//! The text is canonical: it is written in one way only, and what reads back as another text is refused.

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::Aad;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::random;
use super::sealed::{DataKey, KEY_BYTES, SALT_BYTES, derive};
use super::secret::KeySecret;
use crate::error::CertError;

/// Name of the file.
pub(super) const HEADER: &str = "keystore.toml";
/// What HKDF is told.
const INFO: &[u8] = b"jisr.keystore/wrap\0";
/// RFC 9106, 4: the second recommended choice, with one lane as there is one thread.
const PASSPHRASE: Kdf = Kdf::Argon2id {
    memory_kib: 64 << 10,
    passes: 3,
    lanes: 1,
};
/// A file that asks for more is not ours: reading it must not exhaust the machine.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// How the wrapping key comes from the secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kdf {
    /// The secret is 32 random bytes.
    Hkdf,
    /// The secret is a passphrase (RFC 9106).
    Argon2id { memory_kib: u32, passes: u32, lanes: u32 },
}

/// The content of the file.
pub(super) struct Header {
    kdf: Kdf,
    salt: [u8; SALT_BYTES],
    wrapped: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: u32,
    kdf: String,
    memory_kib: Option<u32>,
    passes: Option<u32>,
    lanes: Option<u32>,
    salt: String,
    wrapped: String,
}

impl Header {
    /// Wraps the data key under the secret.
    pub(super) fn wrap(key: &DataKey, secret: &KeySecret) -> Result<Header, CertError> {
        let mut salt = [0; SALT_BYTES];
        random(&mut salt)?;
        let kdf = if secret.as_key().is_some() {
            Kdf::Hkdf
        } else {
            PASSPHRASE
        };
        let mut header = Header {
            kdf,
            salt,
            wrapped: Vec::new(),
        };
        let failed = || CertError::Crypto("wrapping the key store's key");
        let made = header.wrapping_secret(secret).ok_or_else(failed)?;
        let (wrapping, nonce) = derive(made.as_slice(), &header.salt, &[INFO]);
        let mut wrapped = Vec::with_capacity(KEY_BYTES + 16);
        wrapped.extend_from_slice(key.as_bytes());
        wrapping
            .seal_in_place_append_tag(nonce, Aad::from(header.bound()), &mut wrapped)
            .map_err(|_| failed())?;
        header.wrapped = wrapped;
        Ok(header)
    }

    /// The data key; `None` where this secret does not open it, or the file was changed.
    pub(super) fn unwrap(&self, secret: &KeySecret) -> Option<DataKey> {
        let made = self.wrapping_secret(secret)?;
        let (wrapping, nonce) = derive(made.as_slice(), &self.salt, &[INFO]);
        let mut wrapped = Zeroizing::new(self.wrapped.clone());
        let key = wrapping.open_in_place(nonce, Aad::from(self.bound()), &mut wrapped);
        DataKey::from_bytes(key.ok()?)
    }

    /// Reads the file; `None` where it is not as [`Header::to_text`] writes it.
    pub(super) fn parse(text: &str) -> Option<Header> {
        let raw: Raw = toml::from_str(text).ok()?;
        let kdf = match (raw.kdf.as_str(), raw.memory_kib, raw.passes, raw.lanes) {
            ("hkdf-sha256", None, None, None) => Kdf::Hkdf,
            ("argon2id", Some(memory_kib), Some(passes), Some(lanes)) => Kdf::Argon2id {
                memory_kib,
                passes,
                lanes,
            },
            _ => return None,
        };
        let header = Header {
            kdf,
            salt: from_hex(&raw.salt)?.try_into().ok()?,
            wrapped: from_hex(&raw.wrapped)?,
        };
        (raw.format == 1 && header.to_text() == text).then_some(header)
    }

    /// The text of the file.
    pub(super) fn to_text(&self) -> String {
        let kdf = match self.kdf {
            Kdf::Hkdf => "kdf = \"hkdf-sha256\"\n".to_owned(),
            Kdf::Argon2id {
                memory_kib,
                passes,
                lanes,
            } => format!("kdf = \"argon2id\"\nmemory_kib = {memory_kib}\npasses = {passes}\nlanes = {lanes}\n"),
        };
        format!(
            "format = 1\n{kdf}salt = \"{}\"\nwrapped = \"{}\"\n",
            to_hex(&self.salt),
            to_hex(&self.wrapped)
        )
    }

    /// What HKDF extracts from; `None` where the secret is of the other kind, or the parameters are beyond all measure.
    fn wrapping_secret(&self, secret: &KeySecret) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
        match self.kdf {
            Kdf::Hkdf => secret.as_key(),
            Kdf::Argon2id {
                memory_kib,
                passes,
                lanes,
            } => {
                if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
                    return None;
                }
                let params = Params::new(memory_kib, passes, lanes, Some(KEY_BYTES)).ok()?;
                let mut made = Zeroizing::new([0; KEY_BYTES]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(secret.as_passphrase(), &self.salt, made.as_mut())
                    .ok()?;
                Some(made)
            }
        }
    }

    /// Additional data: magic ‖ `u32` memory, passes, lanes (zeros for HKDF) ‖ salt.
    fn bound(&self) -> Vec<u8> {
        let numbers = match self.kdf {
            Kdf::Hkdf => [0; 3],
            Kdf::Argon2id {
                memory_kib,
                passes,
                lanes,
            } => [memory_kib, passes, lanes],
        };
        let mut bound = b"JISRWRAP\x01".to_vec();
        bound.extend(numbers.into_iter().flat_map(u32::to_be_bytes));
        bound.extend_from_slice(&self.salt);
        bound
    }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of lower-case hexadecimal digits.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}
