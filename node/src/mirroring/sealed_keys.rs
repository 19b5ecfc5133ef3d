//! The keys of a node as its mirror holds them: all files of the key store in one, with anchor and `node.toml`, sealed under the operator's recovery secret.
//!
//! `"JISRKEYS" ‖ 0x01 ‖ nonce (12) ‖ AES-256-GCM of the files`, the magic as additional data. Each file is `u16` length ‖ name ‖
//! `u32` length ‖ content, by name.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use jisr_certs::digest;
use jisr_certs::keys::KeyStore;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::MirrorError;
use super::error::io;

const MAGIC: &[u8; 9] = b"JISRKEYS\x01";
/// Directories of a key store, besides its own.
const FOLDERS: [&str; 2] = ["", "vault"];
/// Files of the data directory that stand beside the keys, under this folder: whoever keeps a mirror must not say whom the node
/// trusts, nor what it is told to do.
const TRUSTED: [&str; 2] = ["anchor", "node.toml"];
const TRUSTED_FOLDER: &str = "data";
/// Secrets that go with the folder `vault`.
const OPENING: [&str; 2] = ["vault.secret", "index.secret"];

/// A recovery secret: 32 random bytes, which a file holds as 64 hexadecimal digits. Whoever has it and the mirror has the node's
/// keys: it is kept apart from both. No `Debug`.
pub struct RecoverySecret(Zeroizing<[u8; 32]>);

impl RecoverySecret {
    /// Makes one and writes it to a new file that only its owner may read.
    ///
    /// # Errors
    /// [`MirrorError::Io`], also where the file is there already.
    pub fn make(path: &Path) -> Result<(), MirrorError> {
        let mut bytes = Zeroizing::new([0; 32]);
        let random = SystemRandom::new().fill(bytes.as_mut());
        random.map_err(|_| io("draw random bytes for", path)(std::io::Error::other("the system gives none")))?;
        let text: Zeroizing<String> = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        let write = || {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            writeln!(file, "{}", text.as_str())?;
            file.sync_all()
        };
        write().map_err(io("create", path))
    }

    /// Reads one.
    ///
    /// # Errors
    /// The file cannot be read, others may read it, or it is no secret.
    pub fn read(path: &Path) -> Result<RecoverySecret, MirrorError> {
        let meta = std::fs::metadata(path).map_err(io("read", path))?;
        let wrong = |rule: &str| MirrorError::Location(format!("{}: {rule}", path.display()));
        if meta.mode() & 0o077 != 0 {
            return Err(wrong("others may read this secret; run: chmod 600 on the file"));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(io("read", path))?);
        let digit = |digit: char| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits: Option<Zeroizing<Vec<u8>>> = text
            .trim()
            .chars()
            .map(digit)
            .collect::<Option<_>>()
            .map(Zeroizing::new);
        let mut secret = Zeroizing::new([0; 32]);
        match digits.as_deref().map(|digits| digits.as_chunks::<2>()) {
            Some((pairs, [])) if pairs.len() == secret.len() => {
                for (byte, [high, low]) in secret.iter_mut().zip(pairs) {
                    *byte = high << 4 | low;
                }
                Ok(RecoverySecret(secret))
            }
            _ => Err(wrong(
                "it is not 64 hexadecimal digits, as `jisr node mirror-secret` writes them",
            )),
        }
    }

    fn key(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, self.0.as_slice()).expect("the secret is 32 bytes long"))
    }
}

/// All files of a key store, in the clear. No `Debug`.
pub(super) struct Keys(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl Keys {
    /// Reads a key store.
    pub(super) fn of(store: &KeyStore) -> Result<Keys, MirrorError> {
        let mut files = BTreeMap::new();
        for folder in FOLDERS {
            let path = store.path().join(folder);
            // A store that went away is an error, and not one without keys.
            if !folder.is_empty() && !path.is_dir() {
                continue;
            }
            let store = if folder.is_empty() {
                store.clone()
            } else {
                store.folder(folder)?
            };
            for name in store.names()? {
                if path.join(&name).is_dir() {
                    continue;
                }
                if let Some(content) = store.read(&name)? {
                    let name = if folder.is_empty() {
                        name
                    } else {
                        format!("{folder}/{name}")
                    };
                    files.insert(name, content);
                }
            }
        }
        Ok(Keys(files))
    }

    /// With what of the data directory `data` must come from nobody else.
    pub(super) fn and_trusted(mut self, data: &Path) -> Result<Keys, MirrorError> {
        for name in TRUSTED {
            let path = data.join(name);
            match std::fs::read(&path) {
                Ok(content) => drop(self.0.insert(format!("{TRUSTED_FOLDER}/{name}"), content.into())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io("read", &path)(error)),
            }
        }
        Ok(self)
    }

    /// Files of the data directory that were sealed with them.
    pub(super) fn trusted(&self) -> Result<[(&'static str, &[u8]); 2], MirrorError> {
        let found = TRUSTED.map(|name| {
            let content = self.0.get(&format!("{TRUSTED_FOLDER}/{name}"));
            (name, content.map(|content| content.as_slice()))
        });
        match found {
            [(anchor, Some(first)), (config, Some(second))] => Ok([(anchor, first), (config, second)]),
            _ => Err(MirrorError::Unusable(
                "its keys are sealed without anchor and node.toml, so nobody vouches for these; open the keys elsewhere and name them \
                 with --keys, and compare both files before the start"
                    .to_owned(),
            )),
        }
    }

    /// A value that changes with them, and tells nothing of them.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        digest::sha256(&[&self.encode()])
    }

    /// Seals them.
    pub(super) fn seal(&self, secret: &RecoverySecret) -> Result<Vec<u8>, MirrorError> {
        let failed =
            || MirrorError::Unusable("the keys could not be sealed: the system gives no random bytes".to_owned());
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| failed())?;
        let mut sealed = self.encode().to_vec();
        secret
            .key()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(MAGIC), &mut sealed)
            .map_err(|_| failed())?;
        Ok([MAGIC.as_slice(), &nonce, &sealed].concat())
    }

    /// Opens what [`Keys::seal`] made.
    pub(super) fn open(sealed: &[u8], secret: &RecoverySecret) -> Result<Keys, MirrorError> {
        let wrong = |rule: &str| MirrorError::Unusable(format!("its keys {rule}"));
        let parts = sealed
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_first_chunk::<NONCE_LEN>());
        let (nonce, sealed) = parts.ok_or_else(|| wrong("are not sealed as this program seals them"))?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let opened = secret
            .key()
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(MAGIC), &mut plain)
            .map_err(|_| wrong("do not open under this secret, or were changed; name the secret of this mirror"))?;
        Keys::decode(opened).ok_or_else(|| wrong("are out of form"))
    }

    /// Writes them to a new key store, which is empty.
    pub(super) fn restore(&self, to: &KeyStore) -> Result<(), MirrorError> {
        let trusted = |name: &str| {
            name.rsplit_once('/')
                .is_some_and(|(folder, _)| folder == TRUSTED_FOLDER)
        };
        for (name, content) in self.0.iter().filter(|(name, _)| !trusted(name)) {
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            match folder {
                "" => to.write(file, content)?,
                folder => to.folder(folder)?.write(file, content)?,
            }
        }
        Ok(())
    }

    /// Those that open the ledger's personal parts and find cases and persons: no key that signs or speaks for the node.
    pub(super) fn of_the_vault(mut self) -> Keys {
        self.0
            .retain(|name, _| name.starts_with("vault/") || OPENING.contains(&name.as_str()));
        self
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let bytes = self
            .0
            .iter()
            .map(|(name, content)| 6 + name.len() + content.len())
            .sum();
        // Room for the tag too, so that nothing is copied when it is appended.
        let mut encoded = Zeroizing::new(Vec::with_capacity(bytes));
        for (name, content) in &self.0 {
            let lengths = (u16::try_from(name.len()), u32::try_from(content.len()));
            let (Ok(name_bytes), Ok(content_bytes)) = lengths else {
                continue;
            };
            encoded.extend_from_slice(&name_bytes.to_be_bytes());
            encoded.extend_from_slice(name.as_bytes());
            encoded.extend_from_slice(&content_bytes.to_be_bytes());
            encoded.extend_from_slice(content);
        }
        encoded
    }

    fn decode(mut bytes: &[u8]) -> Option<Keys> {
        let mut files = BTreeMap::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<2>()?;
            let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (content, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            let name = std::str::from_utf8(name).ok()?;
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let is_trusted = name
                .strip_prefix(TRUSTED_FOLDER)
                .and_then(|name| name.strip_prefix('/'))
                .is_some_and(|name| TRUSTED.contains(&name));
            if !FOLDERS.contains(&folder) && !is_trusted {
                return None;
            }
            files.insert(name.to_owned(), Zeroizing::new(content.to_vec()));
            bytes = rest;
        }
        Some(Keys(files))
    }
}

#[cfg(test)]
mod tests {
    use jisr_certs::keys::KeySecret;

    use super::*;

    fn secret(dir: &Path, name: &str) -> RecoverySecret {
        RecoverySecret::make(&dir.join(name)).unwrap();
        RecoverySecret::read(&dir.join(name)).unwrap()
    }

    #[test]
    fn keys_come_back_under_their_secret_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let rest = KeySecret::passing().unwrap();
        let store = KeyStore::create(dir.path().join("keys"), &rest).unwrap();
        store.write("tls.pem", b"one").unwrap();
        store.folder("vault").unwrap().write("681-1.key", b"two").unwrap();
        let (ours, other) = (secret(dir.path(), "ours"), secret(dir.path(), "other"));
        let sealed = Keys::of(&store).unwrap().seal(&ours).unwrap();
        assert!(!sealed.windows(3).any(|window| window == b"one"));
        assert!(Keys::open(&sealed, &other).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(Keys::open(&changed, &ours).is_err(), "byte {at}");
            assert!(Keys::open(&sealed[..at], &ours).is_err(), "cut at {at}");
        }
        let opening = dir.path().join("opening");
        let keys = Keys::open(&sealed, &ours).unwrap().of_the_vault();
        keys.restore(&KeyStore::create(&opening, &rest).unwrap()).unwrap();
        assert!(opening.join("vault/681-1.key").exists());
        assert!(
            !opening.join("tls.pem").exists(),
            "who reads an archive gets no key that speaks for the node"
        );
        let restored = dir.path().join("restored");
        let restored = KeyStore::create(&restored, &rest).unwrap();
        Keys::open(&sealed, &ours).unwrap().restore(&restored).unwrap();
        assert_eq!(
            Keys::of(&restored).unwrap().fingerprint(),
            Keys::of(&store).unwrap().fingerprint()
        );
    }

    #[test]
    fn a_secret_is_the_owners_and_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        RecoverySecret::make(&path).unwrap();
        assert!(RecoverySecret::make(&path).is_err(), "it was replaced");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(RecoverySecret::read(&path).is_err(), "the group may read it");
        for text in ["", "00", &"0".repeat(63), &"g".repeat(64), &"0".repeat(66)] {
            let path = dir.path().join(format!("wrong{}", text.len()));
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(RecoverySecret::read(&path).is_err(), "{text}");
        }
    }
}
