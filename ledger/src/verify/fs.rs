//! The verifier over a real directory, live, copied or archived; it takes no lock and writes nothing.

use super::{LedgerFiles, Options, ledger};
use crate::{anchor::Anchor, report::Report};
use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

/// How often a place in a live ledger that does not parse is looked at again, and how long is waited before each time.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);
/// Entries of a directory that no ledger exceeds: some 10^6 segments.
const NAMES_MAX: usize = 4_000_000;

/// Verifies the ledger in a directory.
///
/// # Errors
/// The directory or a file in it cannot be read.
pub fn directory(dir: &Path, anchor: &Anchor, options: &Options) -> io::Result<Report> {
    ledger(&mut Directory::new(dir), anchor, options)
}

struct Directory {
    dir: PathBuf,
    looks: u32,
}

impl Directory {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            looks: LOOKS,
        }
    }
}

impl LedgerFiles for Directory {
    type File = File;

    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        list(&self.dir, "", &mut names)?;
        let segments = self.dir.join("segments");
        if names.iter().any(|name| name == "segments/") {
            list(&segments, "segments/", &mut names)?;
        }
        Ok(names)
    }

    fn bytes(&mut self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.dir.join(name))?.len())
    }

    fn open(&mut self, name: &str, offset: u64) -> io::Result<File> {
        let mut file = File::open(self.dir.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(file)
    }

    fn may_have_changed(&mut self) -> bool {
        let again = self.looks > 0;
        if again {
            self.looks -= 1;
            std::thread::sleep(PAUSE);
        }
        again
    }
}

/// Appends the names in one directory. Links and whatever else is no plain file keep a name that no segment has.
fn list(dir: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if prefix.is_empty() && name == "index" && kind.is_dir() {
            continue;
        }
        let suffix = if kind.is_dir() {
            "/"
        } else if kind.is_file() {
            ""
        } else {
            " (no plain file)"
        };
        if names.len() == NAMES_MAX {
            return Err(io::Error::other("the directory holds more files than any ledger"));
        }
        names.push(format!("{prefix}{name}{suffix}"));
    }
    Ok(())
}
