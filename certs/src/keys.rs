//! The key store: one directory that only its owner may enter, files that only its owner may read and that lie encrypted under a
//! secret kept elsewhere: who has the disk has no key.
//!
//! A file is written under another name, synced, renamed, and the directory synced: after a crash there is the old file or the
//! new one. Modes and owner are checked each time on the opened file itself, never following a symbolic link. Content is bound to
//! its name and its store. That a file was put back as it once was under the same name, or taken away, no key store can tell.

mod access;
mod files;
mod header;
mod rekey;
mod sealed;
mod secret;

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use access::{check_access, io, refuse};
pub use files::{KeyFiles, RealFiles};
use header::{HEADER, Header};
pub use rekey::rekey;
use sealed::DataKey;
pub use secret::{KeySecret, SecretPlaces, SecretSource};

use crate::error::CertError;
use crate::pem;

/// Longest name of a file.
const NAME_BYTES_MAX: usize = 128;
/// Files that end like this hold no secret: others write, beside a key, that its work has begun. They lie in the clear.
const MARK: &str = ".begun";

/// A directory of keys, mode 0700, with files of mode 0600, encrypted. Cheap to clone.
#[derive(Clone)]
pub struct KeyStore {
    dir: PathBuf,
    /// What stands before the names of files in what they are bound to: `vault/` in the folder `vault`.
    folder: String,
    key: Arc<DataKey>,
    /// Where what is written goes.
    files: Arc<dyn KeyFiles>,
}

/// 32 random bytes. `Debug` shows nothing of them.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl KeyStore {
    /// Makes the directory (mode 0700), and in it the key under which its files lie, where they do not exist yet; opens it.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] as for [`KeyStore::open`].
    pub fn create(dir: impl Into<PathBuf>, secret: &KeySecret) -> Result<KeyStore, CertError> {
        KeyStore::create_on(dir.into(), secret, Arc::new(RealFiles))
    }

    fn create_on(dir: PathBuf, secret: &KeySecret, files: Arc<dyn KeyFiles>) -> Result<KeyStore, CertError> {
        make_directory(&dir)?;
        let path = dir.join(HEADER);
        // Beside files that are there already a new key would be another store's: they are told of by `open`.
        if access::read(&path)?.is_none() && names_in(&dir)?.is_empty() {
            files.write_key_once(&path, Header::wrap(&DataKey::make()?, secret)?.to_text().as_bytes())?;
        }
        Ok(KeyStore::open(dir, secret)?.on(files))
    }

    /// The same store with another place for what is written.
    #[must_use]
    pub fn on(self, files: Arc<dyn KeyFiles>) -> KeyStore {
        KeyStore { files, ..self }
    }

    /// As [`KeyStore::create`], under the secret from `source` and written to `files`; where the secret is to lie beside the data
    /// directory it is made with the store. Whether it was.
    ///
    /// # Errors
    /// As [`KeyStore::create`] and [`SecretSource::read`].
    pub fn create_from(
        dir: impl Into<PathBuf>,
        source: &SecretSource,
        files: Arc<dyn KeyFiles>,
    ) -> Result<(KeyStore, bool), CertError> {
        let dir = dir.into();
        // For a store that is there no other secret can be right than the one it was made with.
        let made = !dir.join(HEADER).exists() && source.make(&*files)?;
        Ok((KeyStore::create_on(dir, &source.read()?, files)?, made))
    }

    /// As [`KeyStore::open`], under the secret from `source`.
    ///
    /// # Errors
    /// As [`KeyStore::open`] and [`SecretSource::read`].
    pub fn open_from(dir: impl Into<PathBuf>, source: &SecretSource) -> Result<KeyStore, CertError> {
        let dir = dir.into();
        check_directory(&dir)?;
        KeyStore::open(dir, &source.read()?)
    }

    /// Opens an existing directory.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] where it is no directory, is owned by somebody else, or others may enter it; where
    /// it is no key store, or does not open under this secret.
    pub fn open(dir: impl Into<PathBuf>, secret: &KeySecret) -> Result<KeyStore, CertError> {
        let dir = dir.into();
        check_directory(&dir)?;
        let key = rekey::settle(&dir.join(HEADER), secret)?;
        Ok(KeyStore {
            dir,
            folder: String::new(),
            key: Arc::new(key),
            files: Arc::new(RealFiles),
        })
    }

    /// A directory in it whose files lie under the same key; made where there is none. `name` has no `/`.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] as for [`KeyStore::open`].
    pub fn folder(&self, name: &str) -> Result<KeyStore, CertError> {
        let dir = self.file(name)?;
        make_directory(&dir)?;
        check_directory(&dir)?;
        Ok(KeyStore {
            dir,
            folder: format!("{}{name}/", self.folder),
            key: Arc::clone(&self.key),
            files: Arc::clone(&self.files),
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Content of a file; `None` where there is none.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] where the name is not one of `[A-Za-z0-9._-]{1,128}`, or the file is no plain
    /// file of ours with mode 0600 or narrower, is larger than 1 MiB, or was not written by this store under this name.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, CertError> {
        let path = self.file(name)?;
        let Some(file) = access::read(&path)? else {
            return Ok(None);
        };
        if name.ends_with(MARK) {
            return Ok(Some(file));
        }
        match self.key.open(&self.bound(name), &file) {
            Some(content) => Ok(Some(content)),
            None => Err(self.broken(
                name,
                "it was not written by this key store under this name, or was changed since",
            )),
        }
    }

    /// Writes a file, whole or not at all, in place of the one that may be there.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] for a name that [`KeyStore::read`] would refuse.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), CertError> {
        let path = self.file(name)?;
        if name.ends_with(MARK) {
            return self.files.write_key(&path, content);
        }
        self.files.write_key(&path, &self.key.seal(&self.bound(name), content)?)
    }

    /// Destroys a file: overwritten with zeros, synced, removed. False where there was none.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] as for [`KeyStore::read`], but its content need not open.
    pub fn destroy(&self, name: &str) -> Result<bool, CertError> {
        let path = self.file(name)?;
        let Some(content) = access::read(&path)? else {
            return Ok(false);
        };
        self.files.destroy_key(&path, content.len())?;
        Ok(true)
    }

    /// Names of the files, ascending, without the store's own `keystore.toml`.
    ///
    /// # Errors
    /// [`CertError::Io`].
    pub fn names(&self) -> Result<Vec<String>, CertError> {
        names_in(&self.dir)
    }

    /// The secret `NAME.secret`; made at random and stored where there is none.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] as for [`KeyStore::read`], and for a file that is not 32 bytes long.
    pub fn secret32(&self, name: &str) -> Result<Secret32, CertError> {
        let file = format!("{name}.secret");
        if self.read(&file)?.is_none() {
            let mut fresh = Zeroizing::new([0; 32]);
            random(fresh.as_mut())?;
            self.write(&file, fresh.as_ref())?;
        }
        let stored = self.read(&file)?.unwrap_or_default();
        match stored.as_slice().try_into() {
            Ok(bytes) => Ok(Secret32(bytes)),
            Err(_) => Err(self.broken(&file, "it is not a secret of 32 bytes")),
        }
    }

    /// PKCS#8 of the key `NAME.pem`; made and stored where there is none.
    pub(crate) fn pkcs8(
        &self,
        name: &str,
        make: fn() -> Result<Zeroizing<Vec<u8>>, CertError>,
    ) -> Result<Zeroizing<Vec<u8>>, CertError> {
        let file = format!("{name}.pem");
        if self.read(&file)?.is_none() {
            self.write(&file, pem::key_to_pem(&make()?).as_bytes())?;
        }
        // What is on disk is what counts, also where two processes made a key at the same time.
        self.existing_pkcs8(name)
    }

    /// PKCS#8 of the key `NAME.pem`.
    pub(crate) fn existing_pkcs8(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, CertError> {
        let file = format!("{name}.pem");
        let Some(text) = self.read(&file)? else {
            return Err(self.broken(&file, "there is no such key"));
        };
        pem::key_from_pem(&text).map_err(|_| self.broken(&file, "it holds no PKCS#8 private key in PEM"))
    }

    /// The error for a file whose content is not what it must be.
    pub(crate) fn broken(&self, file: &str, rule: &str) -> CertError {
        refuse(
            &self.dir.join(file),
            rule,
            "restore it from the backup, or remove it and enrol anew".to_owned(),
        )
    }

    fn file(&self, name: &str) -> Result<PathBuf, CertError> {
        if is_name(name) {
            return Ok(self.dir.join(name));
        }
        let rule = format!("`{}` is no name for a key file", name.escape_debug());
        Err(refuse(
            &self.dir,
            &rule,
            "use letters, digits, `.`, `-` and `_`, not starting with `.`, and not keystore.toml".to_owned(),
        ))
    }

    /// What the content of a file is bound to.
    fn bound(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }
}

impl std::fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyStore({})", self.dir.display())
    }
}

impl Secret32 {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Secret32 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret32")
    }
}

/// Fills the buffer from the operating system's generator.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), CertError> {
    SystemRandom::new()
        .fill(buffer)
        .map_err(|_| CertError::Crypto("reading random bytes"))
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name != HEADER && name.bytes().all(plain)
}

fn names_in(dir: &Path) -> Result<Vec<String>, CertError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io("list", dir))? {
        let name = entry.map_err(io("list", dir))?.file_name();
        names.extend(name.to_str().filter(|name| is_name(name)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn make_directory(dir: &Path) -> Result<(), CertError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io("create", dir))
}

fn check_directory(dir: &Path) -> Result<(), CertError> {
    let meta = std::fs::symlink_metadata(dir).map_err(io("open", dir))?;
    if !meta.is_dir() {
        return Err(refuse(
            dir,
            "it is no directory",
            "name the directory itself, not a link to it".to_owned(),
        ));
    }
    check_access(dir, meta.uid(), meta.mode(), 0o700)
}

#[cfg(test)]
mod tests;
