//! What commands print: results on standard output, words for the operator on standard error.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use base64::Engine;
use serde::Serialize;

use crate::failure::Failure;

/// Prints a line on standard output.
///
/// A reader that has gone away (`jisr … | head -1`) is no error: the exit code still says what was found.
pub(crate) fn line(text: impl std::fmt::Display) {
    let _gone = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a result that must not be lost: an exit code without it would say more than the reader was told. One write as far
/// as the system takes it, so that a reader who leaves after the first line has had it; who leaves early has had what he wants.
pub(crate) fn result(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(format!("{text}\n").as_bytes())
        .and_then(|()| stdout.flush())
        .or_else(reader_gone)
        .map_err(|error| {
            Failure::fault(
                format!("cannot write the result to standard output: {error}"),
                "let standard output go where there is room and a reader, and run the command again",
            )
        })
}

/// A reader who left is no fault: nobody is left to be told anything.
fn reader_gone(error: std::io::Error) -> std::io::Result<()> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

/// Prints one object as JSON on standard output: indented for a person at a terminal, else on one line. It must not be lost.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = match std::io::stdout().is_terminal() {
        true => serde_json::to_string_pretty(value),
        false => serde_json::to_string(value),
    }
    .map_err(|error| Failure::fault(format!("cannot write JSON: {error}"), "report this as a defect of jisr"))?;
    result(text)
}

/// Where a long result goes, piece by piece: it must not be lost, and is not held in memory. What comes after its reader left goes
/// nowhere; the exit code still says what was found.
pub(crate) struct Sink {
    name: String,
    out: std::io::BufWriter<Box<dyn Write>>,
    reader_gone: bool,
}

impl Sink {
    /// Standard output.
    pub(crate) fn stdout() -> Sink {
        Sink {
            name: "standard output".into(),
            out: std::io::BufWriter::new(Box::new(std::io::stdout())),
            reader_gone: false,
        }
    }

    /// A new file that others may read. Refuses to replace one.
    pub(crate) fn new_file(path: &Path) -> Result<Sink, Failure> {
        let file = create_new(path, 0o644)?;
        Ok(Sink {
            name: path.display().to_string(),
            out: std::io::BufWriter::new(Box::new(file)),
            reader_gone: false,
        })
    }

    /// Writes a piece.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.reader_gone {
            return Ok(());
        }
        let written = self.out.write_all(text.as_bytes());
        self.settle(written)
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.write(text)?;
        self.write("\n")
    }

    /// Writes what is still held back.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        if self.reader_gone {
            return Ok(());
        }
        let written = self.out.flush();
        self.settle(written)
    }

    fn settle(&mut self, written: std::io::Result<()>) -> Result<(), Failure> {
        let Err(error) = written else { return Ok(()) };
        self.reader_gone = true;
        reader_gone(error).map_err(|error| {
            Failure::fault(
                format!("cannot write the result to {}: {error}", self.name),
                "let it go where there is room and a reader, and run the command again",
            )
        })
    }
}

/// Prints a line for the operator on standard error.
pub(crate) fn say(text: impl std::fmt::Display) {
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}

/// Reads a whole file of at most `limit` bytes and one more, so that a verifier can tell what is too long.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let file = std::fs::File::open(path).map_err(|error| Failure::unreadable(path, error))?;
    read_from(file, path, limit)
}

/// Reads standard input as [`read`] does a file.
pub(crate) fn stdin(limit: u64) -> Result<Vec<u8>, Failure> {
    read_from(std::io::stdin().lock(), Path::new(STDIN), limit)
}

fn read_from(source: impl Read, name: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::unreadable(name, error))?;
    Ok(bytes)
}

/// Reads a text file of at most 1 MiB.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    text(path, read(path, TEXT_BYTES_MAX)?)
}

/// Reads standard input as [`read_text`] does a file.
pub(crate) fn stdin_text() -> Result<String, Failure> {
    text(Path::new(STDIN), stdin(TEXT_BYTES_MAX)?)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Failure> {
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        return Err(Failure::unusable(
            path,
            "longer than 1 MiB",
            "name the file that was meant",
        ));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::unusable(
            path,
            "not UTF-8 text",
            "name the file that was meant, or write it again",
        )
    })
}

const TEXT_BYTES_MAX: u64 = 1 << 20;

/// What error texts call standard input.
const STDIN: &str = "standard input";

/// Writes a new file that others may read. Refuses to replace one.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_mode(path, bytes, 0o644)
}

/// Writes a new file that only this user can read, from its first byte on. Refuses to replace one.
pub(crate) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_mode(path, bytes, 0o600)
}

fn write_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut file = create_new(path, mode)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| Failure::unwritable(path, error))
}

fn create_new(path: &Path, mode: u32) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::usage(
                format!("{} exists already", path.display()),
                "name another place, or move the old file away first",
            ),
            _ => Failure::unwritable(path, error),
        })
}

/// Makes a directory, with parents, that only this user can enter. One that exists is left as it is.
pub(crate) fn private_dir(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Failure::unwritable(path, error))
}

/// A text from elsewhere, without what would steer the operator's terminal: control characters become spaces, and so do
/// the marks that turn the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let steers = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|letter| if steers(letter) { ' ' } else { letter })
        .collect()
}

/// A TOML basic string. JSON's escapes are all TOML's too.
pub(crate) fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A TOML array of strings.
pub(crate) fn toml_list(texts: &[String]) -> String {
    format!(
        "[{}]",
        texts.iter().map(|text| toml(text)).collect::<Vec<_>>().join(", ")
    )
}

/// A Merkle root as checkpoints write it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of lower- or upper-case hex; `None` where it is none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .chars()
        .map(|digit| digit.to_digit(16))
        .collect::<Option<Vec<u32>>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(high * 16 + low).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(hex(&[0, 0xab, 0xff]), "00abff");
        assert_eq!(unhex("00ABff"), Some(vec![0, 0xab, 0xff]));
        for text in ["0", "0g", "é0", "٣٣"] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }

    #[test]
    fn what_comes_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(printable("قضية\u{202e}1\u{1b}[2J"), "قضية 1 [2J");
    }

    #[test]
    fn secrets_are_written_for_the_owner_alone_and_never_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        write_secret(&path, b"one").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(write_secret(&path, b"two").unwrap_err().code(), crate::failure::USAGE);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn a_file_that_is_too_long_is_seen_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, [0; 100]).unwrap();
        assert_eq!(read(&path, 10).unwrap().len(), 11);
        assert_eq!(
            read(&dir.path().join("none"), 10).unwrap_err().code(),
            crate::failure::UNREADABLE
        );
    }
}
