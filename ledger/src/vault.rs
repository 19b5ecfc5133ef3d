//! Keys for what is personal: one AES-256-GCM key per month and data class, so that destroying a key erases all it covers.
//!
//! Each data key is a file of its own, `vault/<month>-<class>.key` in the key store, wrapped by the store's secret
//! `vault`. A key is durable before the first byte is encrypted under it, or a crash could leave statements that nobody
//! can open again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jisr_certs::error::CertError;
use jisr_certs::keys::KeyStore;
use jisr_proto::statement::Subject;
use prost::Message;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::Hash;
use crate::frame::month_of;
use crate::statement::{Part, Tag};

/// `"JISRKEY" ‖ 0x01`, in front of every wrapped data key.
const MAGIC: &[u8; 8] = b"JISRKEY\x01";

/// Bytes of an authentication tag.
const TAG: usize = 16;

/// Why a part could not be encrypted or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key store cannot be read or written, or refuses what it finds.
    #[error(transparent)]
    Store(#[from] CertError),
    /// The file is there but was not made by this key store.
    #[error("own node: data key {0} does not open under this key store; restore the key store it was made with")]
    Unwrap(String),
    /// The ciphertext or what it is bound to was changed.
    #[error("own node: a personal part of class {class}, month {month}, does not decrypt: its bytes were changed")]
    Changed {
        /// Months since January 1970.
        month: u16,
        /// Data class.
        class: u8,
    },
    /// The system's random numbers failed.
    #[error("own node: the system gives no random numbers")]
    Random,
}

/// Which data key: month and class, as they stand in the stored statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyName {
    /// Months since January 1970, UTC.
    pub month: u16,
    /// Data class, 1 to 255.
    pub class: u8,
}

impl KeyName {
    /// The key for something that was made at `created_us` (microseconds since 1970).
    #[must_use]
    pub fn at(created_us: u64, class: u8) -> Self {
        Self {
            month: month_of(created_us),
            class,
        }
    }

    /// `u16` month ‖ `u8` class ‖ `u8` 0.
    fn bytes(self) -> [u8; 4] {
        let [high, low] = self.month.to_be_bytes();
        [high, low, self.class, 0]
    }

    fn file(self) -> String {
        format!("{}-{}.key", self.month, self.class)
    }
}

/// The data keys of one node. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    store: KeyStore,
    wrapping: LessSafeKey,
    keys: RwLock<HashMap<KeyName, Arc<LessSafeKey>>>,
    /// Held while a key is made, so that two threads do not make two keys of one name.
    making: Mutex<()>,
    /// Makes pseudonyms.
    index: hmac::Key,
    random: SystemRandom,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// Opens the data keys of a key store; its directory `vault` and secret `vault` are made where they lack.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn open(store: &KeyStore) -> Result<Self, VaultError> {
        let wrapping = store.secret32("vault")?;
        Ok(Self(Arc::new(Inner {
            store: store.folder("vault")?,
            wrapping: aes(wrapping.as_bytes()),
            keys: RwLock::new(HashMap::new()),
            making: Mutex::new(()),
            index: hmac::Key::new(hmac::HMAC_SHA256, store.secret32("index")?.as_bytes()),
            random: SystemRandom::new(),
        })))
    }

    /// Fills `nonces` with fresh random nonces: one draw for all parts of a statement.
    pub fn nonces(&self, nonces: &mut [u8]) -> Result<(), VaultError> {
        crate::random::fill(nonces).map_err(|_| VaultError::Random)
    }

    /// Encrypts `salt ‖ content` of a part, bound to its part hash and key name; the tag comes last. Makes the key, durably,
    /// where this is the first part of its month and class.
    pub fn seal(
        &self,
        name: KeyName,
        part: &Hash,
        nonce: [u8; NONCE_LEN],
        mut plain: Vec<u8>,
    ) -> Result<Vec<u8>, VaultError> {
        let key = match self.key(name)? {
            Some(key) => key,
            None => self.make(name)?,
        };
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound(name, part)),
            &mut plain,
        )
        .map_err(|_| VaultError::Changed {
            month: name.month,
            class: name.class,
        })?;
        Ok(plain)
    }

    /// Decrypts what [`Vault::seal`] made. `None`: the key is not there (destroyed, or another node's).
    pub fn unseal(
        &self,
        name: KeyName,
        part: &Hash,
        nonce: [u8; NONCE_LEN],
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, VaultError> {
        let Some(key) = self.key(name)? else { return Ok(None) };
        let mut plain = sealed.to_vec();
        let opened = key
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound(name, part)),
                &mut plain,
            )
            .map_err(|_| VaultError::Changed {
                month: name.month,
                class: name.class,
            })?
            .len();
        plain.truncate(opened);
        Ok(Some(plain))
    }

    /// Pseudonym of a person: `HMAC-SHA-256(index key, "subject:" ‖ kind in decimal ‖ 0x00 ‖ normalised value)`.
    #[must_use]
    pub fn subject(&self, kind: u32, value: &str) -> Hash {
        self.pseudonym(&format!("subject:{kind}"), value)
    }

    /// Pseudonym of a case: `HMAC-SHA-256(index key, "case" ‖ 0x00 ‖ normalised text)`.
    #[must_use]
    pub fn case(&self, text: &str) -> Hash {
        self.pseudonym("case", text)
    }

    fn pseudonym(&self, kind: &str, identifier: &str) -> Hash {
        let mut context = hmac::Context::with_key(&self.0.index);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(normalised(identifier).as_bytes());
        let tag = context.sign();
        tag.as_ref().try_into().expect("HMAC-SHA-256 yields 32 bytes")
    }

    /// Pseudonyms of the persons and the case that open parts name.
    pub(crate) fn pseudonyms(&self, parts: &[Part]) -> Vec<Hash> {
        let mut found = Vec::new();
        for part in parts {
            let Some(opened) = &part.opened else { continue };
            match part.tag {
                Tag::Case => found.extend(str::from_utf8(&opened.content).ok().map(|text| self.case(text))),
                Tag::Subject => {
                    let subject = Subject::decode(opened.content.clone()).unwrap_or_default();
                    let named = subject.identifiers.iter();
                    found.extend(named.map(|named| self.subject(named.kind, &named.value)));
                }
                _ => {}
            }
        }
        found
    }

    /// The key of that name if there is one.
    fn key(&self, name: KeyName) -> Result<Option<Arc<LessSafeKey>>, VaultError> {
        if let Some(key) = self.0.keys.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Ok(Some(Arc::clone(key)));
        }
        let file = name.file();
        let Some(wrapped) = self.0.store.read(&file)? else {
            return Ok(None);
        };
        let key = self.unwrap(name, &wrapped).ok_or(VaultError::Unwrap(file))?;
        Ok(Some(self.keep(name, key)))
    }

    fn make(&self, name: KeyName) -> Result<Arc<LessSafeKey>, VaultError> {
        let _making = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have made it while this one waited.
        if let Some(key) = self.key(name)? {
            return Ok(key);
        }
        let mut raw = Zeroizing::new([0u8; 32]);
        self.0.random.fill(raw.as_mut_slice()).map_err(|_| VaultError::Random)?;
        self.0.store.write(&name.file(), &self.wrap(name, &raw)?)?;
        Ok(self.keep(name, aes(raw.as_slice())))
    }

    fn keep(&self, name: KeyName, key: LessSafeKey) -> Arc<LessSafeKey> {
        let mut keys = self.0.keys.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(keys.entry(name).or_insert_with(|| Arc::new(key)))
    }

    /// `MAGIC ‖ nonce ‖ AES-256-GCM of the key`, bound to its name.
    fn wrap(&self, name: KeyName, raw: &Zeroizing<[u8; 32]>) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0u8; NONCE_LEN];
        self.nonces(&mut nonce)?;
        let mut sealed = raw.to_vec();
        self.0
            .wrapping
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.bytes()),
                &mut sealed,
            )
            .map_err(|_| VaultError::Random)?;
        Ok([MAGIC.as_slice(), &nonce, &sealed].concat())
    }

    fn unwrap(&self, name: KeyName, wrapped: &[u8]) -> Option<LessSafeKey> {
        let (nonce, sealed) = wrapped.strip_prefix(MAGIC)?.split_first_chunk::<NONCE_LEN>()?;
        if sealed.len() != 32 + TAG {
            return None;
        }
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let raw = self
            .0
            .wrapping
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(name.bytes()),
                &mut sealed,
            )
            .ok()?;
        Some(aes(raw))
    }
}

/// Additional data of an encrypted part: part hash ‖ month ‖ class ‖ 0.
fn bound(name: KeyName, part: &Hash) -> [u8; 36] {
    let mut data = [0u8; 36];
    let (hash, rest) = data.split_at_mut(32);
    hash.copy_from_slice(part);
    rest.copy_from_slice(&name.bytes());
    data
}

/// One way of writing an identifier, by which persons and cases are found: compatibility forms as one (NFKC), capital letters, digits of any script as those of
/// ASCII, without white space and hyphens.
#[must_use]
pub fn normalised(identifier: &str) -> String {
    let mut normal = String::with_capacity(identifier.len());
    for letter in identifier.nfkc().flat_map(char::to_uppercase) {
        match letter {
            '\u{660}'..='\u{669}' => normal.push(digit(letter, 0x660)),
            '\u{6f0}'..='\u{6f9}' => normal.push(digit(letter, 0x6f0)),
            '-' | '\u{2010}'..='\u{2015}' => {}
            _ if letter.is_whitespace() => {}
            _ => normal.push(letter),
        }
    }
    normal
}

/// The ASCII digit for one of a script whose zero is `zero`.
fn digit(letter: char, zero: u32) -> char {
    char::from_digit(u32::from(letter).saturating_sub(zero), 10).unwrap_or(letter)
}

fn aes(key: &[u8]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key is 32 bytes long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_certs::keys::KeySecret;

    fn store(dir: &tempfile::TempDir, name: &str) -> KeyStore {
        KeyStore::create(
            dir.path().join(name),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap()
    }

    const NAME: KeyName = KeyName { month: 681, class: 1 };

    #[test]
    fn what_is_sealed_opens_after_a_restart_and_not_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let keys = store(&dir, "keys");
        let first = Vault::open(&keys).unwrap();
        let sealed = first
            .seal(NAME, &[7; 32], [9; 12], b"salt and content".to_vec())
            .unwrap();
        assert!(!sealed.windows(4).any(|w| w == b"salt"));

        let again = Vault::open(&keys).unwrap();
        assert_eq!(
            again.unseal(NAME, &[7; 32], [9; 12], &sealed).unwrap().unwrap(),
            b"salt and content"
        );
        assert!(
            again.unseal(NAME, &[8; 32], [9; 12], &sealed).is_err(),
            "another part hash"
        );
        assert!(again.unseal(NAME, &[7; 32], [8; 12], &sealed).is_err(), "another nonce");
        assert!(
            again
                .unseal(KeyName { class: 2, ..NAME }, &[7; 32], [9; 12], &sealed)
                .unwrap()
                .is_none()
        );
        assert!(again.unseal(NAME, &[7; 32], [9; 12], &[]).is_err(), "nothing");

        let others = store(&dir, "others");
        let other = Vault::open(&others).unwrap();
        other
            .0
            .store
            .write(&NAME.file(), &again.0.store.read(&NAME.file()).unwrap().unwrap())
            .unwrap();
        assert!(matches!(
            other.unseal(NAME, &[7; 32], [9; 12], &sealed),
            Err(VaultError::Unwrap(_))
        ));
    }

    #[test]
    fn a_pseudonym_is_of_the_store_the_kind_and_the_identifier_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(&store(&dir, "keys")).unwrap();
        let known = vault.subject(1, "N-987 12a");
        for same in ["n98712A", "Ｎ‐987 12a", "N٩٨٧١٢A", "n۹۸۷۱۲a"] {
            assert_eq!(vault.subject(1, same), known, "{same}");
        }
        let again = Vault::open(&store(&dir, "keys")).unwrap();
        assert_eq!(again.subject(1, "N98712A"), known);
        let others = Vault::open(&store(&dir, "others")).unwrap();
        for different in [
            others.subject(1, "N98712A"),
            vault.subject(2, "N98712A"),
            vault.case("N98712A"),
            vault.subject(1, "N98712B"),
        ] {
            assert_ne!(different, known);
        }
    }

    #[test]
    fn a_destroyed_key_withholds_and_a_renamed_one_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let keys = store(&dir, "keys");
        let first = Vault::open(&keys).unwrap();
        let sealed = first.seal(NAME, &[7; 32], [9; 12], b"x".to_vec()).unwrap();
        let wrapped = first.0.store.read(&NAME.file()).unwrap().unwrap();
        first.0.store.write("681-2.key", &wrapped).unwrap();
        first.0.store.destroy(&NAME.file()).unwrap();

        let after = Vault::open(&keys).unwrap();
        assert!(after.unseal(NAME, &[7; 32], [9; 12], &sealed).unwrap().is_none());
        assert!(
            after
                .unseal(KeyName { class: 2, ..NAME }, &[7; 32], [9; 12], &sealed)
                .is_err()
        );
    }

    #[test]
    fn what_is_said_to_be_of_another_month_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(&store(&dir, "keys")).unwrap();
        let other = KeyName {
            month: NAME.month + 1,
            ..NAME
        };
        let sealed = vault.seal(NAME, &[7; 32], [9; 12], b"x".to_vec()).unwrap();
        assert!(vault.unseal(other, &[7; 32], [9; 12], &sealed).unwrap().is_none());
        // Also once that month has a key.
        vault.seal(other, &[8; 32], [9; 12], b"y".to_vec()).unwrap();
        let opened = vault.unseal(other, &[7; 32], [9; 12], &sealed);
        assert!(matches!(opened, Err(VaultError::Changed { month, .. }) if month == other.month));
        assert_eq!(
            vault.unseal(NAME, &[7; 32], [9; 12], &sealed).unwrap(),
            Some(b"x".to_vec())
        );
    }

    #[test]
    fn a_key_that_cannot_be_stored_encrypts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let keys = store(&dir, "keys");
        let vault = Vault::open(&keys).unwrap();
        std::fs::remove_dir(keys.path().join("vault")).unwrap();
        assert!(matches!(
            vault.seal(NAME, &[7; 32], [9; 12], b"x".to_vec()),
            Err(VaultError::Store(_))
        ));
        assert!(vault.0.keys.read().unwrap().is_empty());
    }

    #[test]
    fn many_threads_make_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(&store(&dir, "keys")).unwrap();
        let sealed: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4u8)
                .map(|n| {
                    scope.spawn({
                        let vault = &vault;
                        move || vault.seal(NAME, &[n; 32], [n; 12], vec![n]).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (n, sealed) in (0u8..).zip(sealed) {
            assert_eq!(vault.unseal(NAME, &[n; 32], [n; 12], &sealed).unwrap(), Some(vec![n]));
        }
    }
}
