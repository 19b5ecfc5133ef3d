//! Stored statements: parts in the clear, encrypted, or erased to their hash.

use super::{Fields, FrameError, record::sized};
use crate::{
    statement::{Opened, PARTS_MAX, Part, Tag, part_hash},
    tree::Hash,
};
use bytes::Bytes;

/// A part as it rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPart<'a> {
    /// What it is.
    pub tag: Tag,
    /// How it rests.
    pub form: Form<'a>,
}

/// How a part rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form<'a> {
    /// 0: in the clear.
    Clear {
        /// Its salt.
        salt: &'a [u8; 32],
        /// Its content.
        content: &'a [u8],
    },
    /// 1: encrypted.
    Encrypted {
        /// Hash of the part.
        hash: &'a Hash,
        /// Months since January 1970: with the class, names the key.
        month: u16,
        /// Data class.
        class: u8,
        /// Nonce of AES-256-GCM.
        nonce: &'a [u8; 12],
        /// AES-256-GCM of salt ‖ content, the 16-byte tag last.
        sealed: &'a [u8],
    },
    /// 2: erased; where it was erased in its place, zero bytes keep the length that it had.
    Erased {
        /// Hash of the part.
        hash: &'a Hash,
    },
}

impl StoredPart<'_> {
    /// Hash of the part: computed where it is in the clear, else as it is stored.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match self.form {
            Form::Clear { salt, content } => part_hash(self.tag, salt, content),
            Form::Encrypted { hash, .. } | Form::Erased { hash } => *hash,
        }
    }

    /// As a part of a statement: shown where it is in the clear, and then borrowing from `backing`, in which it lies.
    #[must_use]
    pub fn part(&self, backing: &Bytes) -> Part {
        let opened = match self.form {
            Form::Clear { salt, content } => Some(Opened {
                salt: *salt,
                content: backing.slice_ref(content),
            }),
            Form::Encrypted { .. } | Form::Erased { .. } => None,
        };
        Part {
            tag: self.tag,
            hash: self.hash(),
            opened,
            erased: matches!(self.form, Form::Erased { .. }),
        }
    }
}

/// The parts of a stored statement, in order. After an error there are no more.
#[derive(Clone, Debug)]
pub struct StoredParts<'a> {
    fields: &'a [u8],
    left: usize,
}

impl<'a> StoredParts<'a> {
    /// Begins to read a stored statement.
    ///
    /// # Errors
    /// It is empty or announces no parts or too many.
    pub fn new(stored: &'a [u8]) -> Result<Self, FrameError> {
        let mut fields = Fields(stored);
        let left = fields
            .u8()
            .map(usize::from)
            .filter(|left| (1..=PARTS_MAX).contains(left));
        let left = left.ok_or(FrameError::Record("a statement has no parts or too many"))?;
        Ok(Self { fields: fields.0, left })
    }

    /// Parts that are still to come.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for StoredParts<'a> {
    type Item = Result<StoredPart<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            // What follows the last part belongs to nothing.
            let rest = std::mem::take(&mut self.fields);
            return (!rest.is_empty()).then_some(Err(FrameError::Record("bytes follow the last part")));
        }
        self.left -= 1;
        let mut fields = Fields(self.fields);
        match stored_part(&mut fields) {
            Ok(part) => {
                self.fields = fields.0;
                Some(Ok(part))
            }
            Err(error) => {
                (self.fields, self.left) = (&[], 0);
                Some(Err(error))
            }
        }
    }
}

fn stored_part<'a>(fields: &mut Fields<'a>) -> Result<StoredPart<'a>, FrameError> {
    let (Some(tag), Some(form), Some(data)) = (fields.u8(), fields.u8(), fields.sized()) else {
        return Err(FrameError::Record("a part ends before its data does"));
    };
    let tag = Tag::from_number(tag).ok_or(FrameError::Record("a part's tag is unknown"))?;
    let (salt_or_hash, rest) = data
        .split_first_chunk::<32>()
        .ok_or(FrameError::Record("a part is too short"))?;
    let form = match form {
        0 if tag.data_class().is_some() => return Err(FrameError::Record("a personal part rests in the clear")),
        0 => Form::Clear {
            salt: salt_or_hash,
            content: rest,
        },
        1 => encrypted(tag, salt_or_hash, rest).ok_or(FrameError::Record("an encrypted part is out of form"))?,
        2 if !tag.can_be_erased() => return Err(FrameError::Record("a part is erased that never may be")),
        2 if is_zero(rest) => Form::Erased { hash: salt_or_hash },
        2 => return Err(FrameError::Record("an erased part still holds something")),
        _ => return Err(FrameError::Record("a part's form is unknown")),
    };
    Ok(StoredPart { tag, form })
}

/// Compared in blocks: a stored message may be long.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 1024] = [0; 1024];
    bytes
        .chunks(ZEROS.len())
        .all(|block| ZEROS.get(..block.len()) == Some(block))
}

fn encrypted<'a>(tag: Tag, hash: &'a Hash, rest: &'a [u8]) -> Option<Form<'a>> {
    let mut fields = Fields(rest);
    let (month, class, zero) = (fields.u16()?, fields.u8()?, fields.u8()?);
    let (nonce, sealed) = fields.0.split_first_chunk::<12>()?;
    // The ciphertext holds at least the salt and the 16-byte tag.
    (zero == 0 && tag.data_class() == Some(class) && sealed.len() >= 32 + 16).then_some(Form::Encrypted {
        hash,
        month,
        class,
        nonce,
        sealed,
    })
}

/// Appends a part in the clear. The number of parts (`u8`) comes before the first.
pub fn put_clear(body: &mut Vec<u8>, tag: Tag, salt: &[u8; 32], content: &[u8]) {
    body.extend_from_slice(&[tag.number(), 0]);
    sized(body, |body| {
        body.extend_from_slice(salt);
        body.extend_from_slice(content);
    });
}

/// Appends an encrypted part; `sealed` is AES-256-GCM of salt ‖ content under the key of month and class, with the additional
/// data hash ‖ month ‖ class ‖ 0.
pub fn put_encrypted(
    body: &mut Vec<u8>,
    tag: Tag,
    hash: &Hash,
    (month, class): (u16, u8),
    nonce: &[u8; 12],
    sealed_part: &[u8],
) {
    body.extend_from_slice(&[tag.number(), 1]);
    sized(body, |body| {
        body.extend_from_slice(hash);
        body.extend_from_slice(&month.to_be_bytes());
        body.extend_from_slice(&[class, 0]);
        body.extend_from_slice(nonce);
        body.extend_from_slice(sealed_part);
    });
}

/// Appends an erased part that never stood here otherwise, hence without zero bytes.
pub fn put_erased(body: &mut Vec<u8>, tag: Tag, hash: &Hash) {
    body.extend_from_slice(&[tag.number(), 2]);
    sized(body, |body| body.extend_from_slice(hash));
}

/// Months since January 1970 (UTC) of an instant in microseconds; the last countable month for instants beyond the year 7431.
#[must_use]
pub fn month_of(time_us: u64) -> u16 {
    // Days to year and month by the well known shift: years that begin in March make the leap day their last day.
    let days = time_us / 86_400_000_000 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let months = (era * 400 + year_of_era) * 12 + month_from_march + 2;
    u16::try_from(months - 1970 * 12).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read() {
        let mut stored = vec![3];
        put_clear(&mut stored, Tag::Core, &[1; 32], b"core");
        put_encrypted(&mut stored, Tag::Case, &[2; 32], (683, 1), &[3; 12], &[4; 60]);
        stored.extend_from_slice(&[&[7, 2, 0, 0, 8, 32][..], &[5; 32], &[0; 2048]].concat());
        let parts: Vec<_> = StoredParts::new(&stored)
            .expect("three parts")
            .collect::<Result<_, _>>()
            .expect("well formed");
        assert_eq!(
            parts[0].form,
            Form::Clear {
                salt: &[1; 32],
                content: b"core"
            }
        );
        assert_eq!(parts[0].hash(), part_hash(Tag::Core, &[1; 32], b"core"));
        assert!(matches!(
            parts[1].form,
            Form::Encrypted {
                month: 683,
                class: 1,
                ..
            }
        ));
        assert_eq!((parts[1].hash(), parts[2].hash()), ([2; 32], [5; 32]));
    }

    #[test]
    fn out_of_form_is_refused() {
        let bad: [fn(&mut Vec<u8>); 11] = [
            |stored| put_clear(stored, Tag::Case, &[1; 32], b"personal in the clear"),
            |stored| put_encrypted(stored, Tag::Case, &[2; 32], (683, 2), &[3; 12], &[4; 60]),
            |stored| put_encrypted(stored, Tag::Core, &[2; 32], (683, 1), &[3; 12], &[4; 60]),
            |stored| put_encrypted(stored, Tag::Case, &[2; 32], (683, 1), &[3; 12], &[4; 40]),
            |stored| stored.extend_from_slice(&[1, 3, 0, 0, 0, 0]),
            |stored| {
                put_erased(stored, Tag::Case, &[5; 32]);
                stored.push(0);
            },
            |stored| put_erased(stored, Tag::Core, &[5; 32]),
            |stored| put_erased(stored, Tag::Peer, &[5; 32]),
            |stored| put_erased(stored, Tag::Act, &[5; 32]),
            |stored| stored.extend_from_slice(&[&[3, 2, 0, 0, 0, 34][..], &[5; 32], &[0, 1]].concat()),
            |_| {},
        ];
        for (at, put) in bad.iter().enumerate() {
            let mut stored = vec![1];
            put(&mut stored);
            assert!(
                StoredParts::new(&stored).expect("one part").any(|part| part.is_err()),
                "{at}"
            );
        }
        assert!(StoredParts::new(&[]).is_err());
        assert!(StoredParts::new(&[0]).is_err());
        assert!(StoredParts::new(&[11]).is_err());
    }

    #[test]
    fn months_are_calendar_months() {
        let day = 86_400_000_000u64;
        for (days, month) in [
            (0, 0),
            (30, 0),
            (31, 1),
            (58, 1),
            (59, 2),
            (364, 11),
            (365, 12),
            (789, 25),
            (790, 26),
        ] {
            assert_eq!(month_of(days * day), month, "day {days}");
        }
        // 2026-11-30T23:59:59.999999Z and the next microsecond.
        assert_eq!(month_of(1_796_083_200_000_000 - 1), 56 * 12 + 10);
        assert_eq!(month_of(1_796_083_200_000_000), 56 * 12 + 11);
        assert_eq!(month_of(u64::MAX), u16::MAX);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(stored: Vec<u8>) {
            if let Ok(parts) = StoredParts::new(&stored) {
                for part in parts { let _ = part; }
            }
        }
    }
}
