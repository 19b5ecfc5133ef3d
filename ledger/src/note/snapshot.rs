//! The note over a snapshot: its version, digest and expiry, signed by the snapshot key.

use super::{Computed, NoteError, SignedNote, VerifierKey, Verifies, checkpoint::decimal};
use crate::{tree::Hash, verified::Verified};
use base64::{Engine, engine::general_purpose::STANDARD};

/// What the snapshot key signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotText {
    /// Name of the key, `jisr/JO/snapshot`.
    pub name: String,
    /// Version of the snapshot.
    pub version: u64,
    /// `D(jisr.snapshot, bytes)`.
    pub digest: Hash,
    /// Valid until, seconds since 1970-01-01T00:00:00Z.
    pub expires_s: u64,
}

impl SnapshotText {
    /// The four lines that are signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n{}\n",
            self.name,
            self.version,
            STANDARD.encode(self.digest),
            self.expires_s
        )
    }

    /// Reads the four lines.
    ///
    /// # Errors
    /// They are not exactly of that form.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let bad = |why| NoteError::Text {
            what: "snapshot note",
            why,
        };
        let mut lines = text.split('\n');
        let (Some(name), Some(version), Some(digest), Some(expires), Some(""), None) = (
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
        ) else {
            return Err(bad("it is not four lines"));
        };
        let version = decimal(version).ok_or_else(|| bad("the second line is no decimal version"))?;
        let digest = STANDARD
            .decode(digest)
            .map_err(|_| bad("the third line is not base64"))?;
        let digest = digest.try_into().map_err(|_| bad("the digest is not 32 bytes long"))?;
        let expires_s = decimal(expires).ok_or_else(|| bad("the fourth line is no decimal time"))?;
        Ok(Self {
            name: name.to_owned(),
            version,
            digest,
            expires_s,
        })
    }
}

/// What a snapshot's note says, once the snapshot key is found to have signed it.
///
/// # Errors
/// The note is malformed or of another form, names another key, or the key's signature lacks, stands twice or does not
/// hold.
pub fn open_snapshot(note: &[u8], key: &VerifierKey) -> Result<Verified<SnapshotText>, NoteError> {
    open_snapshot_with(note, key, &Computed)
}

/// As [`open_snapshot`], the signature checked by `check`.
pub(crate) fn open_snapshot_with(
    note: &[u8],
    key: &VerifierKey,
    check: &impl Verifies,
) -> Result<Verified<SnapshotText>, NoteError> {
    let text = SnapshotText::parse(SignedNote::parse(note)?.text_signed_by(key, check)?)?;
    if text.name != key.name() {
        return Err(NoteError::WrongOrigin {
            key: key.name().to_owned(),
            found: text.name,
        });
    }
    Ok(Verified::new(text))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{seal_key, signed};
    use super::*;

    const NAME: &str = "jisr/JO/snapshot";

    #[test]
    fn a_signed_snapshot_note_opens_and_others_do_not() {
        let text = SnapshotText {
            name: NAME.into(),
            version: 3,
            digest: [9; 32],
            expires_s: 1_800_000_000,
        };
        let opened = open_snapshot(&signed(&text.text(), 1, NAME), &seal_key(1, NAME));
        assert_eq!(opened.map(Verified::into_inner), Ok(text.clone()));
        assert!(open_snapshot(&signed(&text.text(), 2, NAME), &seal_key(1, NAME)).is_err());
        let other = SnapshotText {
            name: "jisr/SY/snapshot".into(),
            ..text.clone()
        };
        assert!(open_snapshot(&signed(&other.text(), 1, NAME), &seal_key(1, NAME)).is_err());
        for bad in [
            "",
            "a\n1\n",
            &text.text().replace("\n3\n", "\n03\n"),
            &format!("{}x\n", text.text()),
        ] {
            assert!(SnapshotText::parse(bad).is_err());
        }
    }
}
