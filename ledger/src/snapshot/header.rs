//! The header: what is signed, and what statements cite by its digest.

use super::{FORMAT, RowsError};
use crate::Hash;
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_proto::{canonical, snapshot::SnapshotHeader};

/// A header whose form was checked; who signed it was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Instance that it says it is of.
    pub instance: String,
    /// Version, from 1.
    pub version: u64,
    /// When it was made, microseconds since 1970-01-01T00:00:00Z.
    pub created_us: u64,
    /// Valid until, the same.
    pub expires_us: u64,
    /// Digest of the header before it; none for version 1.
    pub previous: Option<Hash>,
    /// How many rows there are.
    pub rows: u64,
    /// Root over them.
    pub root: Hash,
    /// `D(jisr.snapshot, bytes)`.
    pub digest: Hash,
}

impl Header {
    /// Reads the canonical bytes of a `SnapshotHeader`.
    ///
    /// # Errors
    /// [`RowsError::Header`]: not canonical, of another format, or a field is out of form.
    pub fn parse(bytes: &Bytes) -> Result<Self, RowsError> {
        let bad = |why: &str| RowsError::Header(why.to_owned());
        let raw: SnapshotHeader = canonical::decode(bytes).map_err(|error| RowsError::Header(error.to_string()))?;
        if raw.format != FORMAT {
            return Err(RowsError::Header(format!(
                "it has format {}, this program reads {FORMAT}",
                raw.format
            )));
        }
        let previous = match (raw.version, raw.previous.as_ref()) {
            (0, _) => return Err(bad("versions begin with 1")),
            (1, []) => None,
            (2.., previous) => Some(
                previous
                    .try_into()
                    .map_err(|_| bad("`previous` is not 32 bytes long"))?,
            ),
            (1, _) => return Err(bad("version 1 has nothing before it")),
        };
        Ok(Self {
            version: raw.version,
            created_us: raw.created_us,
            expires_us: raw.expires_us,
            previous,
            rows: raw.rows,
            root: raw
                .root
                .as_ref()
                .try_into()
                .map_err(|_| bad("the root is not 32 bytes long"))?,
            digest: domain("jisr.snapshot", &[bytes]),
            instance: raw.instance,
        })
    }

    /// The canonical bytes of this header. The digest in it does not count.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let previous = self
            .previous
            .as_ref()
            .map_or_else(Bytes::new, |hash| Bytes::copy_from_slice(hash));
        canonical::encode(&SnapshotHeader {
            format: FORMAT,
            instance: self.instance.clone(),
            version: self.version,
            created_us: self.created_us,
            expires_us: self.expires_us,
            previous,
            rows: self.rows,
            root: Bytes::copy_from_slice(&self.root),
        })
    }
}
