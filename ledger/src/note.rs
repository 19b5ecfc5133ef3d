//! Signed notes (C2SP signed-note), checkpoints (C2SP tlog-checkpoint) and cosignatures (C2SP tlog-cosignature).
//!
//! A note is text that ends in a newline, an empty line, and signature lines. Signatures by keys that the reader does not
//! know are ignored; one by a key it does know must be there once and must hold.

mod check;
mod checkpoint;
mod key;
mod snapshot;

pub(crate) use check::{Computed, Verifies};
pub(crate) use checkpoint::decimal;
pub(crate) use checkpoint::open_with;
pub use checkpoint::{Checkpoint, Cosignature, cosignatures, cosigned_message, open};
pub use key::{KeyType, VerifierKey};
pub(crate) use snapshot::open_snapshot_with;
pub use snapshot::{SnapshotText, open_snapshot};

use base64::{Engine, engine::general_purpose::STANDARD};

/// Longest note that is read, bytes.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signature lines that are read.
pub const SIGNATURES_MAX: usize = 128;
/// Em dash and space, with which each signature line begins.
const DASH: &str = "\u{2014} ";

/// Why a note or a key was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The bytes are not a signed note.
    #[error("this is no signed note (C2SP signed-note): {0}; ask its sender for the note as it was signed")]
    Malformed(&'static str),
    /// The text is not what the reader expects.
    #[error("the note's text is not a {what}: {why}; ask its signer for a note of the documented form")]
    Text {
        /// Checkpoint or snapshot note.
        what: &'static str,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The key that must have signed did not.
    #[error("the note carries no signature by {0}; only that key can vouch for it")]
    Unsigned(String),
    /// A known key's signature stands there twice.
    #[error("the note carries two signatures by {0}; a note is signed once by each key")]
    Duplicate(String),
    /// A known key's signature does not hold.
    #[error("the signature by {0} does not hold: the note was altered or another key signed it")]
    BadSignature(String),
    /// The signed text speaks for another origin than the key.
    #[error("the note speaks for {found}, but the key is that of {key}; a key signs for its own origin only")]
    WrongOrigin {
        /// Name of the key.
        key: String,
        /// Origin in the text.
        found: String,
    },
    /// A key as text does not parse.
    #[error("this is no verifier key (name+id+base64, C2SP signed-note): {0}; copy it again from where it was issued")]
    Key(&'static str),
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Name of the key.
    pub name: &'a str,
    /// Key id.
    pub id: [u8; 4],
    /// What follows the id.
    pub bytes: Vec<u8>,
}

/// A parsed note; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote<'a> {
    /// Text, with its last newline.
    pub text: &'a str,
    /// Signature lines in their order.
    pub signatures: Vec<Signature<'a>>,
}

impl<'a> SignedNote<'a> {
    /// Takes a note apart.
    ///
    /// # Errors
    /// The bytes are too long, not UTF-8, hold control characters, or a signature line is not exactly of the form.
    pub fn parse(note: &'a [u8]) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("it is longer than 64 KiB"));
        }
        let note = str::from_utf8(note).map_err(|_| NoteError::Malformed("it is not UTF-8"))?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Malformed("it holds control characters"));
        }
        // The last empty line parts text and signatures: signature lines are never empty.
        let gap = note
            .rfind("\n\n")
            .ok_or(NoteError::Malformed("no empty line stands before the signatures"))?;
        let (text, rest) = note.split_at(gap + 1);
        let lines = rest.strip_prefix('\n').unwrap_or_default();
        let lines = lines
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed("it does not end in a newline"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == SIGNATURES_MAX {
                return Err(NoteError::Malformed("it has more than 128 signature lines"));
            }
            signatures.push(signature(line)?);
        }
        Ok(Self { text, signatures })
    }

    /// The one signature by `key`, verified over `message`, which the text or its derivation is.
    pub(crate) fn only(&self, key: &VerifierKey) -> Result<Option<&Signature<'a>>, NoteError> {
        let mut found = self
            .signatures
            .iter()
            .filter(|line| line.id == key.id() && line.name == key.name());
        let first = found.next();
        if found.next().is_some() {
            return Err(NoteError::Duplicate(key.name().to_owned()));
        }
        Ok(first)
    }

    /// The text, once `key` is found to have signed it with type `0x01`; `check` checks the signature.
    ///
    /// # Errors
    /// The key's signature lacks, stands twice or does not hold.
    pub(crate) fn text_signed_by(&self, key: &VerifierKey, check: &impl Verifies) -> Result<&'a str, NoteError> {
        let line = self
            .only(key)?
            .ok_or_else(|| NoteError::Unsigned(key.name().to_owned()))?;
        if key.key_type() != KeyType::Ed25519 || !check.holds(key, self.text.as_bytes(), &line.bytes) {
            return Err(NoteError::BadSignature(key.name().to_owned()));
        }
        Ok(self.text)
    }
}

fn signature(line: &str) -> Result<Signature<'_>, NoteError> {
    let line = line
        .strip_prefix(DASH)
        .ok_or(NoteError::Malformed("a signature line does not begin with an em dash"))?;
    let (name, encoded) = line
        .split_once(' ')
        .ok_or(NoteError::Malformed("a signature line lacks its signature"))?;
    if !key::is_key_name(name) {
        return Err(NoteError::Malformed(
            "a signature line's key name is empty or holds a space or a plus sign",
        ));
    }
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| NoteError::Malformed("a signature is not standard base64"))?;
    let (id, bytes) = bytes
        .split_first_chunk::<4>()
        .ok_or(NoteError::Malformed("a signature is too short"))?;
    if bytes.is_empty() {
        return Err(NoteError::Malformed("a signature is too short"));
    }
    Ok(Signature {
        name,
        id: *id,
        bytes: bytes.to_vec(),
    })
}

/// The line of a note for a signature that `key` verifies, with its newline. For a witness, `signature` is the 8-byte time
/// and the 64-byte Ed25519 signature.
#[must_use]
pub fn signature_line(key: &VerifierKey, signature: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(4 + signature.len());
    bytes.extend_from_slice(&key.id());
    bytes.extend_from_slice(signature);
    format!("{DASH}{} {}\n", key.name(), STANDARD.encode(bytes))
}

/// A note from its text, which ends in a newline, and its signature lines.
#[must_use]
pub fn assemble<'l>(text: &str, lines: impl IntoIterator<Item = &'l str>) -> Vec<u8> {
    let mut note = Vec::with_capacity(text.len() + 160);
    note.extend_from_slice(text.as_bytes());
    note.push(b'\n');
    for line in lines {
        note.extend_from_slice(line.as_bytes());
    }
    note
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    pub(crate) fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any seed makes a key")
    }

    pub(crate) fn raw(pair: &Ed25519KeyPair) -> [u8; 32] {
        pair.public_key().as_ref().try_into().expect("32 bytes")
    }

    pub(crate) fn seal_key(seed: u8, name: &str) -> VerifierKey {
        VerifierKey::new_seal(name, raw(&pair(seed))).expect("a good key")
    }

    pub(crate) fn signed(text: &str, seed: u8, name: &str) -> Vec<u8> {
        let line = signature_line(&seal_key(seed, name), pair(seed).sign(text.as_bytes()).as_ref());
        assemble(text, [line.as_str()])
    }

    #[test]
    fn what_is_assembled_parses() {
        let note = signed("a text\n\nof three lines\n", 1, "example.org/key");
        let parsed = SignedNote::parse(&note).expect("a good note");
        assert_eq!(parsed.text, "a text\n\nof three lines\n");
        assert_eq!(
            parsed.text_signed_by(&seal_key(1, "example.org/key"), &Computed),
            Ok("a text\n\nof three lines\n")
        );
    }

    #[test]
    fn sixteen_unknown_signatures_are_ignored() {
        let mut note = signed("text\n", 1, "key");
        for seed in 2..40 {
            let line = signature_line(&seal_key(seed, "other"), pair(seed).sign(b"something else").as_ref());
            note.extend_from_slice(line.as_bytes());
        }
        let parsed = SignedNote::parse(&note).expect("a good note");
        assert!(parsed.text_signed_by(&seal_key(1, "key"), &Computed).is_ok());
    }

    #[test]
    fn a_known_key_signs_once_and_truly() {
        let mut twice = signed("text\n", 1, "key");
        let line = signature_line(&seal_key(1, "key"), pair(1).sign(b"text\n").as_ref());
        twice.extend_from_slice(line.as_bytes());
        let key = seal_key(1, "key");
        let open = |note: &[u8]| {
            SignedNote::parse(note).and_then(|note| note.text_signed_by(&key, &Computed).map(str::to_owned))
        };
        assert_eq!(open(&twice), Err(NoteError::Duplicate("key".into())));
        assert_eq!(
            open(&signed("text\n", 2, "key")),
            Err(NoteError::Unsigned("key".into()))
        );
        let bad = assemble("text\n", [signature_line(&key, &[0; 64]).as_str()]);
        assert_eq!(open(&bad), Err(NoteError::BadSignature("key".into())));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let good = String::from_utf8(signed("text\n", 1, "key")).expect("UTF-8");
        let bad = [
            String::new(),
            "text\n".to_owned(),
            "text\n\n".to_owned(),
            good.trim_end().to_owned(),
            good.replace('\u{2014}', "-"),
            good.replace("\u{2014} ", "\u{2014}"),
            good.replace("\u{2014} key ", "\u{2014} key  "),
            good.replace("text", "te\tt"),
            good.replace("key", "k+y"),
            good.replace("\n\n", "\n"),
            format!("{good}\n"),
            format!("{good}\u{2014} key\n"),
            format!("{good}\u{2014} key AAAA\n"),
            format!("{good}\u{2014} key !!!!\n"),
            format!("{}{}", "x".repeat(NOTE_BYTES_MAX), good),
            format!("{good}{}", "\u{2014} k AAAAAAA=\n".repeat(SIGNATURES_MAX)),
        ];
        for note in bad {
            assert!(SignedNote::parse(note.as_bytes()).is_err(), "{note:?}");
        }
        assert!(SignedNote::parse(&[0xff, b'\n', b'\n']).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(note: Vec<u8>, text: String) {
            let _ = SignedNote::parse(&note);
            let _ = SignedNote::parse(text.as_bytes());
        }
    }
}
