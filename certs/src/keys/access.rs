//! Files that only their owner may read: opened without following links, checked as they are opened, written whole and synced.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::random;
use crate::error::CertError;

/// Largest file that is read, bytes.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;
/// A link is not followed, and a pipe does not make us wait.
pub(super) const OPEN_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

/// Content of a file of ours; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, CertError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OPEN_FLAGS.bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("open", path)(error)),
    };
    let meta = file.metadata().map_err(io("look at", path))?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Err(refuse(
            path,
            "it is no plain file of at most 1 MiB",
            "restore it from the backup".to_owned(),
        ));
    }
    check_access(path, meta.uid(), meta.mode(), 0o600)?;
    // One byte more than the file has, so that reading its end does not make the buffer grow and leave a copy.
    let capacity = usize::try_from(meta.len()).unwrap_or(0).saturating_add(64);
    let mut content = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut content)
        .map_err(io("read", path))?;
    Ok(Some(content))
}

/// Writes a file, whole or not at all, in place of the one that may be there.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), CertError> {
    let temporary = write_temporary(path, content)?;
    let renamed = std::fs::rename(&temporary, path).map_err(io("rename", path));
    if renamed.is_err() {
        // The first error is the one to report; what is left behind is unreadable to others and never read.
        let _ = std::fs::remove_file(&temporary);
    }
    renamed?;
    sync_parent(path)
}

/// Writes a file, whole or not at all, unless there is one: then that one stays.
pub(super) fn write_once(path: &Path, content: &[u8]) -> Result<(), CertError> {
    let temporary = write_temporary(path, content)?;
    let linked = std::fs::hard_link(&temporary, path);
    let _ = std::fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io("create", path)(error)),
        _ => {}
    }
    sync_parent(path)
}

fn write_temporary(path: &Path, content: &[u8]) -> Result<std::path::PathBuf, CertError> {
    let mut suffix = [0; 8];
    random(&mut suffix)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{:016x}", u64::from_be_bytes(suffix)));
    let written = write_synced(&temporary, content);
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    Ok(temporary)
}

/// Writes a new file, mode 0600, and syncs it.
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

/// Syncs the directory of a file.
pub(super) fn sync_parent(path: &Path) -> Result<(), CertError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(io("sync", parent))
}

/// Refuses what somebody else owns or what is wider than `mode_max` (0700 or 0600).
pub(super) fn check_access(path: &Path, owner: u32, mode: u32, mode_max: u32) -> Result<(), CertError> {
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

pub(super) fn refuse(path: &Path, rule: &str, remedy: String) -> CertError {
    CertError::KeyStore {
        path: path.to_owned(),
        rule: rule.to_owned(),
        remedy,
    }
}

pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CertError + use<> {
    let path = path.to_owned();
    move |source| CertError::Io { action, path, source }
}
