//! Opens a key store under its secret, and changes the secret: the data key is wrapped anew, no key file is touched.
//!
//! A change is one rename of `keystore.toml`. Where the secret lies beside the data directory it changes too, in two phases: the new
//! one becomes durable as `DATA.secret.next`, then the key store is wrapped under it, then it is renamed over the old one. A crash
//! leaves a store that opens under one of the two; whoever opens it under the new one finishes the change. The next change takes back
//! one that had not reached the store.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::RealFiles;
use super::access::{self, io, refuse};
use super::check_directory;
use super::header::{HEADER, Header};
use super::sealed::DataKey;
use super::secret::{KeySecret, REMEDY, SecretSource, make, next_to};
use crate::error::CertError;

/// Wraps the key store in `dir` under another secret: under `to`, or else under a new random one in place of the one that lies
/// beside the data directory. A process that has the store open goes on. Whoever has the old secret and an old copy of the directory
/// can still open that copy.
///
/// # Errors
/// [`CertError::KeyStore`] as for [`super::KeyStore::open`], and where the old secret lies elsewhere and no new one is named;
/// [`CertError::Io`]. The store then opens under the old secret or, where the change was cut short, under the new one beside it.
pub fn rekey(dir: &Path, secret: &KeySecret, to: Option<&KeySecret>) -> Result<(), CertError> {
    check_directory(dir)?;
    let path = dir.join(HEADER);
    // One change at a time: another one would take this one back while it is under way.
    let locked = File::open(dir).map_err(io("open", dir))?;
    flock(&locked, FlockOperation::NonBlockingLockExclusive).map_err(|error| io("lock", dir)(error.into()))?;
    let key = settle(&path, secret)?;
    let rewrap = |to: &KeySecret| access::replace(&path, Header::wrap(&key, to)?.to_text().as_bytes());
    match (to, secret.source()) {
        (Some(to), _) => rewrap(to),
        (None, SecretSource::Beside(current)) => {
            let next = next_to(current);
            remove(&next)?;
            make(&next, &RealFiles)?;
            rewrap(&SecretSource::File(next.clone()).read()?)?;
            put_in_place(&next, current)
        }
        (None, source) => Err(refuse(
            source.path(),
            "it is not this program that keeps this secret",
            "write a new secret to a file (openssl rand -hex 32) and name it with --to; put it in the old one's place afterwards".to_owned(),
        )),
    }
}

/// The data key of the store; finishes a change of secret that was cut short.
pub(super) fn settle(path: &Path, secret: &KeySecret) -> Result<DataKey, CertError> {
    let file = access::read(path)?.ok_or_else(|| {
        refuse(
            path,
            "there is no such file, so this is no key store",
            "name the right directory, or restore the backup of this one".to_owned(),
        )
    })?;
    let header = std::str::from_utf8(&file).ok().and_then(Header::parse);
    let header = header.ok_or_else(|| {
        refuse(
            path,
            "it is not as this program writes it",
            "restore it from the backup of the directory".to_owned(),
        )
    })?;
    if let Some(key) = header.unwrap(secret) {
        return Ok(key);
    }
    if let (SecretSource::Beside(current), Some(next)) = (secret.source(), secret.next())
        && let Some(key) = header.unwrap(next)
    {
        put_in_place(&next_to(current), current)?;
        return Ok(key);
    }
    let rule = format!("it does not open under this secret: {}", secret.source());
    Err(refuse(path, &rule, REMEDY.to_owned()))
}

/// Whoever opened the store at the same time may have done it already.
fn put_in_place(next: &Path, current: &Path) -> Result<(), CertError> {
    match std::fs::rename(next, current) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("rename", next)(error)),
        _ => access::sync_parent(current),
    }
}

fn remove(next: &Path) -> Result<(), CertError> {
    match std::fs::remove_file(next) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", next)(error)),
        _ => access::sync_parent(next),
    }
}
