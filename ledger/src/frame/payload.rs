//! Stored messages: what a PAYLOAD part commits to, where the method asks for it to be kept.

use super::{Fields, FrameError, record::put, stored::is_zero};

/// Data class of stored messages: names, with the month, the key.
pub const PAYLOAD_CLASS: u8 = 4;

/// Data of PAYLOAD: the message to which the statement before it in the same frame commits, or, where that commits to none,
/// the one that it cites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredPayload<'a> {
    /// 1: encrypted.
    Encrypted {
        /// Months since January 1970 of the statement: with [`PAYLOAD_CLASS`], names the key.
        month: u16,
        /// Nonce of AES-256-GCM.
        nonce: &'a [u8; 12],
        /// AES-256-GCM of salt ‖ message, the 16-byte tag last; the salt is that of the PAYLOAD part.
        sealed: &'a [u8],
    },
    /// 2: erased; zero bytes keep the length that it had.
    Erased,
}

impl<'a> StoredPayload<'a> {
    /// From the data of a record.
    ///
    /// # Errors
    /// It ends too early, or its form, class or zero bytes are not as documented.
    pub fn parse(data: &'a [u8]) -> Result<Self, FrameError> {
        let mut fields = Fields(data);
        match fields.u8() {
            Some(1) => encrypted(fields).ok_or(FrameError::Record("a stored payload is out of form")),
            Some(2) if is_zero(fields.0) => Ok(Self::Erased),
            Some(2) => Err(FrameError::Record("an erased payload still holds something")),
            _ => Err(FrameError::Record("a stored payload's form is unknown")),
        }
    }
}

fn encrypted(mut fields: Fields<'_>) -> Option<StoredPayload<'_>> {
    let (month, class, zero) = (fields.u16()?, fields.u8()?, fields.u8()?);
    let (nonce, sealed) = fields.0.split_first_chunk::<12>()?;
    // The ciphertext holds at least the salt and the 16-byte tag.
    (class == PAYLOAD_CLASS && zero == 0 && sealed.len() >= 32 + 16).then_some(StoredPayload::Encrypted {
        month,
        nonce,
        sealed,
    })
}

/// Appends a PAYLOAD record; `sealed` is AES-256-GCM of salt ‖ message under the key of month and [`PAYLOAD_CLASS`], with
/// the additional data part hash ‖ month ‖ class ‖ 0.
pub fn put_payload(body: &mut Vec<u8>, month: u16, nonce: &[u8; 12], sealed: &[u8]) {
    put(body, 8, |body| {
        body.push(1);
        body.extend_from_slice(&month.to_be_bytes());
        body.extend_from_slice(&[PAYLOAD_CLASS, 0]);
        body.extend_from_slice(nonce);
        body.extend_from_slice(sealed);
    });
}

#[cfg(test)]
mod tests {
    use super::super::{Record, Records};
    use super::*;

    #[test]
    fn what_is_put_is_read_and_anything_else_refused() {
        let mut body = Vec::new();
        put_payload(&mut body, 683, &[3; 12], &[4; 50]);
        let records: Vec<_> = Records::new(&body).collect::<Result<_, _>>().expect("well formed");
        let [Record::Payload(data)] = records[..] else {
            panic!("one record")
        };
        let (month, nonce, sealed) = (683, &[3; 12], &[4; 50][..]);
        assert_eq!(
            StoredPayload::parse(data),
            Ok(StoredPayload::Encrypted { month, nonce, sealed })
        );
        for (at, value) in [(0, 0), (0, 3), (3, 3), (4, 1)] {
            let mut changed = data.to_vec();
            changed[at] = value;
            assert!(StoredPayload::parse(&changed).is_err(), "byte {at}");
        }
        assert!(StoredPayload::parse(&data[..data.len() - 3]).is_err());
        assert!(StoredPayload::parse(&[]).is_err());
    }

    #[test]
    fn an_erased_message_is_zero_bytes_of_any_length() {
        let erased = |rest: &[u8]| [&[2], rest].concat();
        for length in [0, 1, 66, 1024, 5000] {
            let data = erased(&vec![0; length]);
            assert_eq!(StoredPayload::parse(&data), Ok(StoredPayload::Erased));
        }
        let mut data = erased(&[0; 3000]);
        data.push(1);
        assert!(StoredPayload::parse(&data).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data: Vec<u8>) {
            let _ = StoredPayload::parse(&data);
        }
    }
}
