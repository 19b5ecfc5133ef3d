//! Data of STAMP: a time-stamp on a checkpoint of this ledger, or one that renews earlier ones.

use super::record::{put, sized};
use super::{Fields, FrameError};

/// A stored time-stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredStamp<'a> {
    /// Over a checkpoint of this ledger.
    Checkpoint {
        /// The checkpoint, a signed note.
        note: &'a [u8],
        /// RFC 3161 TimeStampToken, DER, over the SHA-256 of the note's text.
        token: &'a [u8],
    },
    /// Over the first STAMP records of this ledger.
    Renewal {
        /// How many.
        size: u64,
        /// RFC 3161 TimeStampToken, DER.
        token: &'a [u8],
    },
}

impl<'a> StoredStamp<'a> {
    /// From the data of a record.
    ///
    /// # Errors
    /// It ends too early, or its form is unknown.
    pub fn parse(data: &'a [u8]) -> Result<Self, FrameError> {
        let mut fields = Fields(data);
        let read = (|| match fields.u8()? {
            1 => Some(Self::Checkpoint {
                note: fields.sized()?,
                token: fields.0,
            }),
            2 => Some(Self::Renewal {
                size: fields.u64()?,
                token: fields.0,
            }),
            _ => None,
        })();
        read.ok_or(FrameError::Record("a STAMP is out of form"))
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &'a [u8] {
        match self {
            Self::Checkpoint { token, .. } | Self::Renewal { token, .. } => token,
        }
    }
}

/// Appends a STAMP record.
pub fn put_stamp(body: &mut Vec<u8>, stamp: StoredStamp<'_>) {
    put(body, 9, |body| match stamp {
        StoredStamp::Checkpoint { note, token } => {
            body.push(1);
            sized(body, |body| body.extend_from_slice(note));
            body.extend_from_slice(token);
        }
        StoredStamp::Renewal { size, token } => {
            body.push(2);
            body.extend_from_slice(&size.to_be_bytes());
            body.extend_from_slice(token);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Record, Records};

    #[test]
    fn what_is_put_is_read() {
        for stamp in [
            StoredStamp::Checkpoint {
                note: b"note",
                token: b"token",
            },
            StoredStamp::Renewal {
                size: 9,
                token: b"token",
            },
        ] {
            let mut body = Vec::new();
            put_stamp(&mut body, stamp);
            let records: Vec<_> = Records::new(&body).collect::<Result<_, _>>().unwrap();
            let [Record::Stamp(data)] = records[..] else {
                panic!("{records:?}")
            };
            assert_eq!(StoredStamp::parse(data), Ok(stamp));
        }
        assert!(StoredStamp::parse(b"").is_err());
        assert!(StoredStamp::parse(&[3]).is_err());
        assert!(StoredStamp::parse(&[1, 0, 0, 0, 2, 1]).is_err());
        assert!(StoredStamp::parse(&[2, 0, 0]).is_err());
    }
}
