//! What lies where below the demo's directory. Commands run there, so they get relative paths, which also stay short enough for
//! the sockets of the admin doors.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::agency::{self, Agency};
use crate::contracts;

use super::DemoError;

const MB: u64 = 1_000_000;

/// Bytes that the demo needs, with some to spare.
const ROOM: u64 = 400 * MB;

/// The directory of one demo.
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the directory, or takes an empty one, and lays out what does not depend on the network.
    pub(super) fn prepare(dir: Option<&Path>) -> Result<Self, DemoError> {
        let root = match dir {
            Some(dir) => taken(dir)?,
            None => fresh()?,
        };
        let root = root.canonicalize().map_err(failed(&root))?;
        room(&root, ROOM)?;
        let layout = Self { root };
        for name in [
            "backends", "clients", "evidence", "logs", "nodes", "officers", "staged", "tampered",
        ] {
            layout.make(name)?;
        }
        for (path, text) in contracts::SOURCES {
            layout.write(&format!("protos/{path}"), text.as_bytes())?;
        }
        for contract in agency::ALL.iter().flat_map(|agency| agency.services()) {
            layout.write(&schema(contract.service), contract.schema)?;
        }
        Ok(layout)
    }

    /// Absolute path of the directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Absolute form of a path in the directory.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    fn make(&self, relative: &str) -> Result<(), DemoError> {
        let path = self.path(relative);
        fs::create_dir_all(&path).map_err(failed(&path))
    }

    /// Writes a file, making the directories above it.
    pub(super) fn write(&self, relative: &str, bytes: &[u8]) -> Result<(), DemoError> {
        let path = self.path(relative);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(failed(above))?;
        }
        fs::write(&path, bytes).map_err(failed(&path))
    }

    /// Reads a whole file.
    pub(super) fn read(&self, relative: &str) -> Result<Vec<u8>, DemoError> {
        let path = self.path(relative);
        fs::read(&path).map_err(failed(&path))
    }

    /// Moves a file within the directory.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), DemoError> {
        let path = self.path(to);
        fs::rename(self.path(from), &path).map_err(failed(&path))
    }
}

/// Data directory of the registry.
pub(super) const REGISTRY: &str = "registry";

/// Credential of an administrator of the registry.
pub(super) fn administrator(name: &str) -> String {
    format!("administrators/{name}")
}

/// Data directory of a node.
pub(super) fn node(agency: Agency) -> String {
    format!("nodes/{agency}")
}

/// An application's credential.
pub(super) fn client(agency: Agency) -> String {
    format!("clients/{agency}")
}

/// An officer's credential.
pub(super) fn officer(agency: Agency) -> String {
    format!("officers/{agency}")
}

/// A service's FileDescriptorSet.
pub(super) fn schema(service: &str) -> String {
    format!("schemas/{service}.fds")
}

/// Where a process writes what it has to say.
pub(super) fn log(name: &str) -> String {
    format!("logs/{name}.log")
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DemoError {
    let path = path.to_owned();
    move |source| DemoError::File { path, source }
}

/// Refuses a directory on a disk with fewer free bytes than `needed`: the nodes set space aside for their ledgers at once.
fn room(dir: &Path, needed: u64) -> Result<(), DemoError> {
    let disk = rustix::fs::statvfs(dir).map_err(|error| failed(dir)(error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < needed {
        return Err(DemoError::NoRoom {
            dir: dir.to_owned(),
            free_mb: free / MB,
            needed_mb: needed / MB,
        });
    }
    Ok(())
}

/// The directory that was asked for, if nothing is in it.
fn taken(dir: &Path) -> Result<PathBuf, DemoError> {
    fs::create_dir_all(dir).map_err(failed(dir))?;
    if fs::read_dir(dir).map_err(failed(dir))?.next().is_some() {
        return Err(DemoError::DirectoryInUse(dir.to_owned()));
    }
    Ok(dir.to_owned())
}

/// A directory that nobody has yet.
fn fresh() -> Result<PathBuf, DemoError> {
    let process = std::process::id();
    for attempt in 0_u32.. {
        let dir = std::env::temp_dir().join(format!("jisr-demo-{process}-{attempt}"));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&dir)(error)),
        }
    }
    Err(DemoError::DirectoryInUse(std::env::temp_dir()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_something_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter"), "dear").unwrap();
        assert!(matches!(
            Layout::prepare(Some(dir.path())),
            Err(DemoError::DirectoryInUse(_))
        ));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
    }

    #[test]
    fn a_disk_without_room_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        room(dir.path(), 0).unwrap();
        let refused = room(dir.path(), u64::MAX).unwrap_err().to_string();
        assert!(
            refused.contains("MB are free") && refused.contains("--dir"),
            "{refused}"
        );
    }

    #[test]
    fn the_contracts_are_laid_out_for_integrators() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(Some(&dir.path().join("new"))).unwrap();
        assert!(layout.path("protos/jo/residency/v1/residency.proto").is_file());
        assert!(layout.path("protos/jisr/v1/annotations.proto").is_file());
    }
}
