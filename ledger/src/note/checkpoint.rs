//! Checkpoints: the signed size and root of a tree, and the cosignatures of witnesses on them.

use super::{Computed, KeyType, NoteError, SignedNote, VerifierKey, Verifies};
use crate::{tree::Hash, verified::Verified};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt::Write;

/// Size and root of a ledger's tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Origin of the ledger.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: three lines, no extension lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.origin.len() + 68);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\n{}", self.origin, self.size);
        STANDARD.encode_string(self.root, &mut text);
        text.push('\n');
        text
    }

    /// Reads the text of a checkpoint.
    ///
    /// # Errors
    /// It does not consist of exactly an origin, a decimal size without leading zeros, and the base64 of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let bad = |why| NoteError::Text {
            what: "checkpoint (C2SP tlog-checkpoint)",
            why,
        };
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(bad("it is not three lines"));
        };
        if !super::key::is_key_name(origin) {
            return Err(bad("the first line is no origin"));
        }
        let size = decimal(size).ok_or_else(|| bad("the second line is no decimal size"))?;
        let root = STANDARD.decode(root).map_err(|_| bad("the third line is not base64"))?;
        let root = root.try_into().map_err(|_| bad("the root is not 32 bytes long"))?;
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// A decimal number without sign or leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

/// The checkpoint in a note, once its origin's seal key is found to have signed it.
///
/// # Errors
/// The note is malformed, is not a checkpoint, speaks for another origin than the key's name, or the key's signature
/// lacks, stands twice or does not hold.
pub fn open(note: &[u8], key: &VerifierKey) -> Result<Verified<Checkpoint>, NoteError> {
    open_with(note, key, &Computed)
}

/// As [`open`], the signature checked by `check`.
pub(crate) fn open_with(
    note: &[u8],
    key: &VerifierKey,
    check: &impl Verifies,
) -> Result<Verified<Checkpoint>, NoteError> {
    let checkpoint = Checkpoint::parse(SignedNote::parse(note)?.text_signed_by(key, check)?)?;
    if checkpoint.origin != key.name() {
        return Err(NoteError::WrongOrigin {
            key: key.name().to_owned(),
            found: checkpoint.origin,
        });
    }
    Ok(Verified::new(checkpoint))
}

/// A witness's word that it saw the checkpoint consistent with all it saw before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Name of the witness's key.
    pub name: String,
    /// When, seconds since 1970-01-01T00:00:00Z by the witness's clock.
    pub time_s: u64,
}

/// Who of the known witnesses cosigned the note, in the order of `keys`.
///
/// # Errors
/// The note is malformed, or the cosignature of a known witness stands there twice or does not hold.
pub fn cosignatures(note: &[u8], keys: &[VerifierKey]) -> Result<Vec<Cosignature>, NoteError> {
    let note = SignedNote::parse(note)?;
    let mut found = Vec::new();
    for key in keys.iter().filter(|key| key.key_type() == KeyType::Cosignature) {
        let Some(line) = note.only(key)? else { continue };
        let bad = || NoteError::BadSignature(key.name().to_owned());
        let (time, signature) = line.bytes.split_first_chunk::<8>().ok_or_else(bad)?;
        let time_s = u64::from_be_bytes(*time);
        if !key.verifies(cosigned_message(note.text, time_s).as_bytes(), signature) {
            return Err(bad());
        }
        found.push(Cosignature {
            name: key.name().to_owned(),
            time_s,
        });
    }
    Ok(found)
}

/// What a witness signs: the header of C2SP tlog-cosignature, then the note's text.
#[must_use]
pub fn cosigned_message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pair, raw, seal_key, signed};
    use super::super::{assemble, signature_line};
    use super::*;

    const ORIGIN: &str = "jisr/JO/GOV/mol/node1/2026";

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: ORIGIN.into(),
            size: 42,
            root: [7; 32],
        }
    }

    fn cosigned(note: &[u8], seed: u8, name: &str, time_s: u64) -> Vec<u8> {
        let text = SignedNote::parse(note).expect("good").text.to_owned();
        let key = VerifierKey::new_witness(name, raw(&pair(seed))).expect("good");
        let mut signature = time_s.to_be_bytes().to_vec();
        signature.extend_from_slice(pair(seed).sign(cosigned_message(&text, time_s).as_bytes()).as_ref());
        [note, signature_line(&key, &signature).as_bytes()].concat()
    }

    #[test]
    fn a_signed_checkpoint_opens() {
        let note = signed(&checkpoint().text(), 1, ORIGIN);
        assert_eq!(
            open(&note, &seal_key(1, ORIGIN)).map(Verified::into_inner),
            Ok(checkpoint())
        );
    }

    #[test]
    fn a_key_signs_for_its_own_origin_only() {
        let note = signed(&checkpoint().text(), 1, "jisr/JO/GOV/psd/node1/2026");
        let refused = open(&note, &seal_key(1, "jisr/JO/GOV/psd/node1/2026"));
        assert!(matches!(refused, Err(NoteError::WrongOrigin { .. })));
    }

    #[test]
    fn texts_that_are_not_exactly_a_checkpoint_are_refused() {
        let text = checkpoint().text();
        let root = STANDARD.encode([7; 32]);
        for bad in [
            String::new(),
            format!("{text}extension\n"),
            text.trim_end().to_owned(),
            text.replace("42", "042"),
            text.replace("42", "+42"),
            text.replace("42", ""),
            text.replace("42", "18446744073709551616"),
            text.replace(&root, &STANDARD.encode([7; 31])),
            text.replace(&root, root.trim_end_matches('=')),
            format!("\n42\n{root}\n"),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint()));
    }

    #[test]
    fn cosignatures_of_known_witnesses_count() {
        let note = signed(&checkpoint().text(), 1, ORIGIN);
        let note = cosigned(&cosigned(&note, 2, "w2", 100), 3, "w3", 200);
        let known = |seed, name: &str| VerifierKey::new_witness(name, raw(&pair(seed))).expect("good");
        let keys = [known(2, "w2"), known(4, "w4")];
        let found = cosignatures(&note, &keys).expect("good");
        assert_eq!(
            found,
            [Cosignature {
                name: "w2".into(),
                time_s: 100
            }]
        );
        assert!(open(&note, &seal_key(1, ORIGIN)).is_ok());
    }

    #[test]
    fn a_bad_or_doubled_cosignature_spoils_the_note() {
        let key = VerifierKey::new_witness("w", raw(&pair(2))).expect("good");
        let note = signed(&checkpoint().text(), 1, ORIGIN);
        let twice = cosigned(&cosigned(&note, 2, "w", 1), 2, "w", 2);
        assert_eq!(
            cosignatures(&twice, std::slice::from_ref(&key)),
            Err(NoteError::Duplicate("w".into()))
        );
        for bytes in [&[0u8; 72][..], &[0u8; 5][..]] {
            let bad = assemble(&checkpoint().text(), [signature_line(&key, bytes).as_str()]);
            let refused = cosignatures(&bad, std::slice::from_ref(&key));
            assert_eq!(refused, Err(NoteError::BadSignature("w".into())));
        }
    }

    #[test]
    fn a_plain_signature_of_a_witness_key_is_no_cosignature() {
        let text = checkpoint().text();
        let key = VerifierKey::new_witness("w", raw(&pair(2))).expect("good");
        let note = assemble(
            &text,
            [signature_line(&key, pair(2).sign(text.as_bytes()).as_ref()).as_str()],
        );
        assert!(cosignatures(&note, &[key]).is_err());
    }
}
