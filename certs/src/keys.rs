//! The key store: one directory that only its owner may enter, files that only its owner may read.
//!
//! A file is written under another name, synced, renamed, and the directory synced: after a crash there is the old file or the
//! new one. Modes and owner are checked each time on the opened file itself, never following a symbolic link.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::OFlags;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::CertError;
use crate::pem;

/// Largest file that is read from a key store, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A link is not followed, and a pipe does not make us wait.
const OPEN_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);
/// Longest name of a file.
const NAME_BYTES_MAX: usize = 128;

/// A directory of keys, mode 0700, with files of mode 0600.
pub struct KeyStore {
    dir: PathBuf,
}

/// 32 random bytes. `Debug` shows nothing of them.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret32([u8; 32]);

impl KeyStore {
    /// Makes the directory (mode 0700) where it does not exist yet, and opens it.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] as for [`KeyStore::open`].
    pub fn create(dir: impl Into<PathBuf>) -> Result<KeyStore, CertError> {
        let dir = dir.into();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(io("create", &dir))?;
        KeyStore::open(dir)
    }

    /// Opens an existing directory.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] where it is no directory, is owned by somebody else, or others may enter it.
    pub fn open(dir: impl Into<PathBuf>) -> Result<KeyStore, CertError> {
        let dir = dir.into();
        let meta = std::fs::symlink_metadata(&dir).map_err(io("open", &dir))?;
        if !meta.is_dir() {
            return Err(refuse(
                &dir,
                "it is no directory",
                "name the directory itself, not a link to it".to_owned(),
            ));
        }
        check_access(&dir, meta.uid(), meta.mode(), 0o700)?;
        Ok(KeyStore { dir })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Content of a file; `None` where there is none.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] where the name is not one of `[A-Za-z0-9._-]{1,128}`, or the file is no plain
    /// file of ours with mode 0600 or narrower, or is larger than 1 MiB.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, CertError> {
        let path = self.file(name)?;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(OPEN_FLAGS.bits().cast_signed())
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("open", &path)(error)),
        };
        let meta = file.metadata().map_err(io("look at", &path))?;
        if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
            return Err(refuse(
                &path,
                "it is no plain file of at most 1 MiB",
                "restore it from the backup".to_owned(),
            ));
        }
        check_access(&path, meta.uid(), meta.mode(), 0o600)?;
        // One byte more than the file has, so that reading its end does not make the buffer grow and leave a copy.
        let capacity = usize::try_from(meta.len()).unwrap_or(0).saturating_add(64);
        let mut content = Zeroizing::new(Vec::with_capacity(capacity));
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut content)
            .map_err(io("read", &path))?;
        Ok(Some(content))
    }

    /// Writes a file, whole or not at all, in place of the one that may be there.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] for a name that [`KeyStore::read`] would refuse.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), CertError> {
        let path = self.file(name)?;
        let mut suffix = [0; 8];
        random(&mut suffix)?;
        let temporary = self.dir.join(format!(".{name}.{:016x}", u64::from_be_bytes(suffix)));
        let written = write_synced(&temporary, content)
            .and_then(|()| std::fs::rename(&temporary, &path).map_err(io("rename", &path)));
        if written.is_err() {
            // The first error is the one to report; what is left behind is unreadable to others and never read.
            let _ = std::fs::remove_file(&temporary);
        }
        written?;
        self.sync()
    }

    /// Destroys a file: overwritten with zeros, synced, removed. False where there was none.
    ///
    /// # Errors
    /// [`CertError::Io`]; [`CertError::KeyStore`] as for [`KeyStore::read`].
    pub fn destroy(&self, name: &str) -> Result<bool, CertError> {
        let Some(content) = self.read(name)? else {
            return Ok(false);
        };
        let path = self.file(name)?;
        let mut file = OpenOptions::new()
            .write(true)
            .custom_flags(OPEN_FLAGS.bits().cast_signed())
            .open(&path)
            .map_err(io("open", &path))?;
        file.write_all(&vec![0; content.len()])
            .map_err(io("overwrite", &path))?;
        file.sync_all().map_err(io("sync", &path))?;
        std::fs::remove_file(&path).map_err(io("remove", &path))?;
        self.sync()?;
        Ok(true)
    }

    /// Names of the files, ascending.
    ///
    /// # Errors
    /// [`CertError::Io`].
    pub fn names(&self) -> Result<Vec<String>, CertError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(io("list", &self.dir))? {
            let name = entry.map_err(io("list", &self.dir))?.file_name();
            names.extend(name.to_str().filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
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
            "use letters, digits, `.`, `-` and `_`, not starting with `.`".to_owned(),
        ))
    }

    fn sync(&self) -> Result<(), CertError> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(io("sync", &self.dir))
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
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

fn write_synced(path: &Path, content: &[u8]) -> Result<(), CertError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io("create", path))?;
    file.write_all(content).map_err(io("write", path))?;
    file.sync_all().map_err(io("sync", path))
}

/// Refuses what somebody else owns or what is wider than `mode_max` (0700 or 0600).
fn check_access(path: &Path, owner: u32, mode: u32, mode_max: u32) -> Result<(), CertError> {
    let own = rustix::process::geteuid().as_raw();
    if owner != own {
        let rule = format!("it belongs to user {owner}, not to user {own} who runs this");
        return Err(refuse(
            path,
            &rule,
            format!("run: chown {own} {}", shell_quoted(path.as_os_str())),
        ));
    }
    if mode & 0o7777 & !mode_max != 0 {
        let rule = format!("its mode {:04o} is wider than {mode_max:04o}", mode & 0o7777);
        return Err(refuse(
            path,
            &rule,
            format!("run: chmod {mode_max:o} {}", shell_quoted(path.as_os_str())),
        ));
    }
    Ok(())
}

fn shell_quoted(path: &OsStr) -> String {
    let path = path.to_string_lossy();
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
    if path.chars().all(plain) {
        path.into_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

fn refuse(path: &Path, rule: &str, remedy: String) -> CertError {
    CertError::KeyStore {
        path: path.to_owned(),
        rule: rule.to_owned(),
        remedy,
    }
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CertError {
    let path = path.to_owned();
    move |source| CertError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
