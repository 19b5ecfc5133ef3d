//! Ledgers and what lies beside them as arguments: a directory as it lies, or an `s3://` address, which is fetched first.

use std::path::{Path, PathBuf};

use jisr_certs::keys::KeyStore;
use jisr_ledger::vault::Vault;
use jisr_node::Layout;
use jisr_node::mirroring::{self, Location, MirrorError};

use crate::failure::Failure;

/// A ledger directory on this machine, for as long as the value lives.
pub(crate) struct Archive {
    dir: PathBuf,
    /// Removed, with what was fetched, when the value is dropped.
    _fetched: Option<Fetched>,
}

impl Archive {
    /// The ledger directory that `place` means: a path, `file:///DIR`, or
    /// `s3://BUCKET/PREFIX/ledger?endpoint=URL&region=NAME&credentials=FILE&ca=FILE`. Blocks while it is fetched.
    ///
    /// # Errors
    /// Usage where the address is wrong; unreadable where nothing can be had from there.
    pub(crate) fn open(place: &str) -> Result<Archive, Failure> {
        let location = Location::parse(place).map_err(failure)?;
        match location {
            Location::Directory(dir) => {
                not_around(&dir)?;
                Ok(Archive { dir, _fetched: None })
            }
            Location::Bucket(_) => {
                let fetched = Fetched::make()?;
                mirroring::fetch_ledger(&location, &fetched.0).map_err(failure)?;
                Ok(Archive {
                    dir: fetched.0.clone(),
                    _fetched: Some(fetched),
                })
            }
        }
    }

    /// The directory that holds `segments/`.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// What a node kept beside its ledger, for as long as the value lives.
pub(crate) struct Data {
    dir: PathBuf,
    /// The keys that were opened with a recovery secret.
    keys: Option<KeyStore>,
    _fetched: Option<Fetched>,
}

impl Data {
    /// The data directory that `place` means: of a node, a copy of it, or a mirror, whose keys are opened where the file of its
    /// recovery secret is named; a path or an `s3://` address. What is fetched or opened lies in a directory that only this user may
    /// enter, and goes with the value. Blocks.
    ///
    /// # Errors
    /// As [`Archive::open`]; unreadable where the keys do not open under this secret.
    pub(crate) fn open(place: &str, secret: Option<&Path>) -> Result<Data, Failure> {
        let location = Location::parse(place).map_err(failure)?;
        match (&location, secret) {
            (Location::Directory(dir), None) => Ok(Data {
                keys: None,
                dir: dir.clone(),
                _fetched: None,
            }),
            _ => {
                let fetched = Fetched::make()?;
                let keys = mirroring::fetch_data(&location, &fetched.0, secret).map_err(failure)?;
                Ok(Data {
                    keys,
                    dir: fetched.0.clone(),
                    _fetched: Some(fetched),
                })
            }
        }
    }

    /// The directory that holds `anchor`, `snapshots/` and the rest.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The keys that open personal parts, if they are there.
    ///
    /// # Errors
    /// Unreadable where they are there and cannot be used.
    pub(crate) fn vault(&self) -> Result<Option<Vault>, Failure> {
        let keys = Layout::new(&self.dir).keys();
        // Opening a vault makes one where there is none: a wrong path must not become a key store.
        if !keys.join("vault").is_dir() {
            return Ok(None);
        }
        if let Some(store) = &self.keys {
            let vault = Vault::open(store).map_err(|error| Failure::unreadable(&self.dir, error))?;
            return Ok(Some(vault));
        }
        let store = KeyStore::open_from(keys, &Layout::new(&self.dir).secret_source())
            .map_err(|error| Failure::unreadable(&self.dir, error))?;
        let vault = Vault::open(&store).map_err(|error| Failure::unreadable(&self.dir, error))?;
        Ok(Some(vault))
    }
}

/// Refuses the data directory around a ledger: it would be judged as a ledger with foreign things in it.
fn not_around(dir: &Path) -> Result<(), Failure> {
    let ledger = dir.join("ledger");
    if dir.join("segments").exists() || !ledger.join("segments").is_dir() {
        return Ok(());
    }
    Err(Failure::unusable(
        dir,
        "it is a data directory, or a mirror, and no ledger directory",
        format!(
            "name the ledger in it, the directory that holds segments/: {}",
            ledger.display()
        ),
    ))
}

/// A directory that only this user may enter, gone when the value is.
struct Fetched(PathBuf);

impl Fetched {
    fn make() -> Result<Fetched, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let base = std::env::temp_dir();
        for number in 0..1000u32 {
            let dir = base.join(format!("jisr-archive-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(Fetched(dir)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::unwritable(&dir, error)),
            }
        }
        Err(Failure::unwritable(
            &base,
            "it is full of archives that were fetched before",
        ))
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "what was fetched could not be removed");
        }
    }
}

/// Errors of mirrors name the remedy themselves.
pub(crate) fn failure(error: MirrorError) -> Failure {
    let what = error.to_string();
    match error {
        MirrorError::Location(_) | MirrorError::Target(_) => Failure::usage(what, ""),
        MirrorError::Storage { .. } => Failure::refused(what, "the object storage", "", ""),
        MirrorError::Unusable(_) | MirrorError::Ahead(_) | MirrorError::Differs(_) => Failure::Unreadable {
            what,
            remedy: String::new(),
        },
        MirrorError::Io { .. } | MirrorError::Ledger(_) | MirrorError::Certs(_) => Failure::fault(what, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is() {
        assert_eq!(Archive::open("/var/lib/x").unwrap().dir(), Path::new("/var/lib/x"));
        assert_eq!(Archive::open("./copy").unwrap().dir(), Path::new("./copy"));
        assert_eq!(
            Archive::open("s3://bucket/prefix").err().unwrap().code(),
            crate::failure::USAGE,
            "no credentials are named"
        );
    }

    #[test]
    fn a_data_directory_is_no_ledger_but_leads_to_one() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = dir.path().join("ledger");
        std::fs::create_dir_all(ledger.join("segments")).unwrap();
        let open = |path: &Path| Archive::open(path.to_str().unwrap());
        let failure = open(dir.path()).err().unwrap();
        assert_eq!(failure.code(), crate::failure::UNREADABLE);
        assert!(failure.explain().contains(ledger.to_str().unwrap()));
        assert!(open(&ledger).is_ok());
        std::fs::create_dir(dir.path().join("segments")).unwrap();
        assert!(open(dir.path()).is_ok(), "the verifier says what does not belong there");
    }

    #[test]
    fn what_was_fetched_goes_with_the_value() {
        let fetched = Fetched::make().unwrap();
        let dir = fetched.0.clone();
        std::fs::write(dir.join("x"), "x").unwrap();
        drop(fetched);
        assert!(!dir.exists());
    }
}
