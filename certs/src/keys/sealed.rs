//! A file of a key store as it lies on disk: AES-256-GCM under a key of its own, bound to its name (docs/formats.md, key store).
//!
//! `"JISRREST" ‖ 0x01 ‖ salt (32) ‖ ciphertext ‖ tag (16)`. Key and nonce come from the store's data key by HKDF-SHA256 with a fresh
//! salt for each writing, so that no nonce serves twice, however often a file is written.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use zeroize::Zeroizing;

use super::random;
use crate::error::CertError;

/// In front of every file.
const MAGIC: &[u8; 9] = b"JISRREST\x01";
/// What HKDF is told, before the name.
const INFO: &[u8] = b"jisr.keystore/file\0";
/// Bytes of salt.
pub(super) const SALT_BYTES: usize = 32;
/// Bytes of a key of AES-256.
pub(super) const KEY_BYTES: usize = 32;

/// The key of a key store, from which those of its files come. No `Debug`.
pub(super) struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    pub(super) fn make() -> Result<DataKey, CertError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random(key.as_mut())?;
        Ok(DataKey(key))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<DataKey> {
        bytes.try_into().ok().map(|bytes| DataKey(Zeroizing::new(bytes)))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The bytes of the file `name` with this content.
    pub(super) fn seal(&self, name: &str, content: &[u8]) -> Result<Vec<u8>, CertError> {
        let mut salt = [0; SALT_BYTES];
        random(&mut salt)?;
        let mut sealed = Vec::with_capacity(content.len() + 16);
        sealed.extend_from_slice(content);
        let (key, nonce) = derive(self.as_bytes(), &salt, &[INFO, name.as_bytes()]);
        key.seal_in_place_append_tag(nonce, Aad::from(bound(&salt, name)), &mut sealed)
            .map_err(|_| CertError::Crypto("encrypting a key"))?;
        Ok([MAGIC.as_slice(), &salt, &sealed].concat())
    }

    /// The content of the file `name`; `None` where these bytes are not what [`DataKey::seal`] made for this name.
    pub(super) fn open(&self, name: &str, file: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, sealed) = file.strip_prefix(MAGIC)?.split_first_chunk::<SALT_BYTES>()?;
        let (key, nonce) = derive(self.as_bytes(), salt, &[INFO, name.as_bytes()]);
        let mut content = Zeroizing::new(sealed.to_vec());
        let opened = key.open_in_place(nonce, Aad::from(bound(salt, name)), &mut content);
        let length = opened.ok()?.len();
        content.truncate(length);
        Some(content)
    }
}

/// Additional data: what stands in front of the ciphertext, and the name.
fn bound(salt: &[u8; SALT_BYTES], name: &str) -> Vec<u8> {
    [MAGIC.as_slice(), salt, name.as_bytes()].concat()
}

/// Key and nonce: 44 bytes of HKDF-SHA256 (RFC 5869) of `secret` with this salt and info.
pub(super) fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> (LessSafeKey, Nonce) {
    struct Length;
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            KEY_BYTES + NONCE_LEN
        }
    }
    let mut made = Zeroizing::new([0; KEY_BYTES + NONCE_LEN]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Length)
        .and_then(|output| output.fill(made.as_mut()))
        .expect("44 bytes are fewer than HKDF can give");
    let (key, nonce) = made.split_at(KEY_BYTES);
    let key = UnboundKey::new(&AES_256_GCM, key).expect("the key is 32 bytes long");
    let nonce = Nonce::try_assume_unique_for_key(nonce).expect("the nonce is 12 bytes long");
    (LessSafeKey::new(key), nonce)
}
