//! `jisr catalogue download`: the files of a service, as text and as one FileDescriptorSet.

use std::path::{Component, Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Publication, Shown};
use crate::failure::Failure;
use crate::{EXIT_CODES, output, runtime};

/// Name of the set in the folder.
const SET: &str = "service.binpb";

/// Write the .proto files and the FileDescriptorSet of a service into a folder
///
/// The folder is made. It then holds the files under the names that imports use, ready for protoc and buf, and service.binpb, the
/// FileDescriptorSet with all imports as it was published, for `grpcurl -protoset`, `protoc --descriptor_set_in` and `buf`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Download {
    #[command(flatten)]
    publication: Publication,
    /// Folder that is made
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Print one object {version, schema, files}
    #[arg(long)]
    json: bool,
}

impl Download {
    pub(super) fn run(self) -> Result<(), Failure> {
        let found = runtime::block_on(self.publication.fetch())?;
        let shown = Shown::new(found.entry.unwrap_or_default());
        if jisr_certs::digest::domain("jisr.schema", &[&found.schema]) != shown.service.schema.as_ref() {
            return Err(Failure::refused(
                "another schema came than the catalogue names",
                "the server that was asked",
                "a schema is what its digest says",
                "ask again; if it stays so, report it",
            ));
        }
        std::fs::create_dir_all(&self.out).map_err(|error| Failure::unwritable(&self.out, error))?;
        let mut written = vec![SET.to_owned()];
        write(&self.out, SET, &found.schema)?;
        for file in &found.files {
            write(&self.out, &file.name, file.text.as_bytes())?;
            written.push(file.name.clone());
        }
        if self.json {
            return output::json(&json!({
                "service": shown.service.name,
                "provider": shown.service.provider,
                "version": shown.listing.version,
                "schema": output::hex(&shown.service.schema),
                "files": written,
            }));
        }
        for name in &written {
            output::line(self.out.join(name).display());
        }
        if !found.no_text.is_empty() {
            output::say(format!("no .proto files: {}", output::printable(&found.no_text)));
        }
        Ok(())
    }
}

/// Writes a file below the folder; what is there already is not replaced.
fn write(folder: &Path, name: &str, content: &[u8]) -> Result<(), Failure> {
    let relative = Path::new(name);
    // The server checks names too; it is not to be trusted with this machine's files.
    if name.is_empty() || relative.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(Failure::refused(
            format!("a file is called {name:?}"),
            "the server that was asked",
            "a file of a schema lies below the folder",
            "report it",
        ));
    }
    let path = folder.join(relative);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| Failure::unwritable(parent, error))?;
    }
    output::write_new(&path, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_outside_of_the_folder_or_over_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out");
        std::fs::create_dir(&folder).unwrap();
        for name in ["../x", "/tmp/x", "a/../../x", "", ".", "a/./../b"] {
            assert!(write(&folder, name, b"x").is_err(), "{name}");
        }
        write(&folder, "jo/a.proto", b"one").unwrap();
        assert!(write(&folder, "jo/a.proto", b"two").is_err());
        assert_eq!(std::fs::read(folder.join("jo/a.proto")).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
