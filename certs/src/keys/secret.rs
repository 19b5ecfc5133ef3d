//! The secret under which a key store lies on disk, and where it comes from: a credential of systemd, a file that the
//! configuration names, or a file beside the data directory.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyFiles;
use super::access::{FILE_BYTES_MAX, io, refuse};
use super::header::{from_hex, to_hex};
use super::random;
use crate::error::CertError;

/// Name of the credential of systemd.
const CREDENTIAL: &str = "jisr-secret";
/// Shortest passphrase, bytes.
const PASSPHRASE_BYTES_MIN: usize = 16;

/// 32 random bytes as 64 lower-case hexadecimal digits, or a passphrase of at least 16 bytes. `Debug` shows where it came from.
pub struct KeySecret {
    text: Zeroizing<Vec<u8>>,
    source: SecretSource,
    /// What is to take its place, where a change of secret was cut short.
    next: Option<Box<KeySecret>>,
}

/// Where a process looks for the secret: what the configuration says and what systemd gave.
#[derive(Clone, Debug, Default)]
pub struct SecretPlaces {
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// `[keys] secret_file`.
    pub file: Option<PathBuf>,
}

/// Where the secret of one key store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The systemd credential `jisr-secret`, in this file.
    Credential(PathBuf),
    /// The file that `[keys] secret_file` names.
    File(PathBuf),
    /// `DATA.secret`, made at random with the keys.
    Beside(PathBuf),
}

impl SecretPlaces {
    /// As the configuration has it, with the directory of credentials that systemd names in the environment.
    #[must_use]
    pub fn with_environment(file: Option<PathBuf>) -> SecretPlaces {
        SecretPlaces {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            file,
        }
    }

    /// The same for a data directory that moves: a secret file in it moves along.
    #[must_use]
    pub fn moved(mut self, from: &Path, to: &Path) -> SecretPlaces {
        let inside = self.file.as_deref().and_then(|file| file.strip_prefix(from).ok());
        if let Some(moved) = inside.map(|inside| to.join(inside)) {
            self.file = Some(moved);
        }
        self
    }

    /// The source for the key store of the data directory `data`: the credential where systemd gave one, else the file, else the
    /// one beside the directory.
    #[must_use]
    pub fn source(&self, data: &Path) -> SecretSource {
        let credential = self.credentials.as_ref().map(|dir| dir.join(CREDENTIAL));
        match (credential.filter(|path| path.exists()), &self.file) {
            (Some(credential), _) => SecretSource::Credential(credential),
            (None, Some(file)) => SecretSource::File(file.clone()),
            (None, None) => SecretSource::Beside(beside(data)),
        }
    }
}

impl SecretSource {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            SecretSource::Credential(path) | SecretSource::File(path) | SecretSource::Beside(path) => path,
        }
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// [`CertError::KeyStore`] where it is not there, others may read it, or it is too short; [`CertError::Io`].
    pub fn read(&self) -> Result<KeySecret, CertError> {
        let next = match self {
            SecretSource::Beside(path) if next_to(path).exists() => Some(Box::new(self.read_file(&next_to(path))?)),
            _ => None,
        };
        Ok(KeySecret {
            next,
            ..self.read_file(self.path())?
        })
    }

    /// Makes the secret where it is to lie beside the data directory and does not yet. Whether it did.
    ///
    /// # Errors
    /// [`CertError::Io`].
    pub(super) fn make(&self, files: &dyn KeyFiles) -> Result<bool, CertError> {
        match self {
            SecretSource::Beside(path) if !path.exists() => make(path, files).map(|()| true),
            _ => Ok(false),
        }
    }

    fn read_file(&self, path: &Path) -> Result<KeySecret, CertError> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let rule = format!("there is no such file: the secret of the key store ({self}) is not here");
                return Err(refuse(path, &rule, REMEDY.to_owned()));
            }
            Err(error) => return Err(io("open", path)(error)),
        };
        self.check_access(path, &file)?;
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(io("read", path))?;
        while text.last().is_some_and(u8::is_ascii_whitespace) {
            text.pop();
        }
        if text.len() < PASSPHRASE_BYTES_MIN {
            let remedy = format!(
                "write 64 random hexadecimal digits to it: openssl rand -hex 32 > {}",
                path.display()
            );
            return Err(refuse(
                path,
                "it is shorter than the 16 bytes a passphrase must have",
                remedy,
            ));
        }
        Ok(KeySecret {
            text,
            source: self.clone(),
            next: None,
        })
    }

    fn check_access(&self, path: &Path, file: &File) -> Result<(), CertError> {
        let meta = file.metadata().map_err(io("look at", path))?;
        if !meta.is_file() {
            return Err(refuse(path, "it is no plain file", "name the file itself".to_owned()));
        }
        // systemd keeps its credentials from others by itself, with access lists that modes show as the group's.
        if matches!(self, SecretSource::Credential(_)) {
            return Ok(());
        }
        let own = rustix::process::geteuid().as_raw();
        if ![own, 0].contains(&meta.uid()) {
            let rule = format!(
                "it belongs to user {}, neither to root nor to user {own} who runs this",
                meta.uid()
            );
            return Err(refuse(path, &rule, format!("run: chown {own} {}", path.display())));
        }
        if meta.mode() & 0o037 != 0 {
            let rule = format!(
                "its mode {:04o} lets others read or change this secret",
                meta.mode() & 0o7777
            );
            return Err(refuse(path, &rule, format!("run: chmod 600 {}", path.display())));
        }
        Ok(())
    }
}

/// What helps where a secret lacks or does not open.
pub(super) const REMEDY: &str = "give the secret this key store was made with: as the systemd credential jisr-secret, as the file that \
                                 `[keys] secret_file` names, or as DATA.secret beside the data directory DATA. Without it nobody opens these \
                                 keys: restore them from the mirror with its recovery secret, or enrol anew";

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self {
            SecretSource::Credential(_) => "the systemd credential",
            SecretSource::File(_) => "the secret_file",
            SecretSource::Beside(_) => "the file beside the data directory",
        };
        write!(f, "{what} {}", self.path().display())
    }
}

impl KeySecret {
    /// Of 32 bytes that come from elsewhere; `path` is told in errors.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32], path: impl Into<PathBuf>) -> KeySecret {
        KeySecret {
            text: Zeroizing::new(to_hex(bytes).into_bytes()),
            source: SecretSource::File(path.into()),
            next: None,
        }
    }

    /// A random one that is written nowhere: for a key store that does not outlive the process.
    ///
    /// # Errors
    /// [`CertError::Crypto`].
    pub fn passing() -> Result<KeySecret, CertError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(bytes.as_mut())?;
        Ok(KeySecret::from_bytes(&bytes, "memory of this process"))
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &SecretSource {
        &self.source
    }

    /// The 32 bytes, where it is no passphrase.
    pub(super) fn as_key(&self) -> Option<Zeroizing<[u8; 32]>> {
        let text = std::str::from_utf8(&self.text).ok()?;
        let bytes = Zeroizing::new(from_hex(text)?);
        bytes.as_slice().try_into().ok().map(Zeroizing::new)
    }

    pub(super) fn as_passphrase(&self) -> &[u8] {
        &self.text
    }

    /// The one that is to take its place, where a change of secret was cut short.
    pub(super) fn next(&self) -> Option<&KeySecret> {
        self.next.as_deref()
    }
}

impl std::fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySecret({})", self.source)
    }
}

/// `DATA.secret`.
fn beside(data: &Path) -> PathBuf {
    let data = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    with_suffix(&data, ".secret")
}

/// Where the next secret waits until the key store is wrapped under it.
pub(super) fn next_to(path: &Path) -> PathBuf {
    with_suffix(path, ".next")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(|| OsString::from("data"), OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

/// Writes a random secret to a new file. Durable when it returns: what is wrapped under it comes after.
pub(super) fn make(path: &Path, files: &dyn KeyFiles) -> Result<(), CertError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random(bytes.as_mut())?;
    let text = Zeroizing::new(to_hex(bytes.as_slice()) + "\n");
    // Whole or not at all: half a secret would be no secret, and nobody would dare to remove it.
    files.write_key_once(path, text.as_bytes())
}
