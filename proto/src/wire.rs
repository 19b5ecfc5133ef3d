//! Reading protobuf's wire format.

/// Wire type of varints.
pub(crate) const VARINT: u8 = 0;
/// Wire type of eight bytes.
pub(crate) const FIXED64: u8 = 1;
/// Wire type of everything with a length in front. Groups, 3 and 4, are not read.
pub(crate) const DELIMITED: u8 = 2;
/// Wire type of four bytes.
pub(crate) const FIXED32: u8 = 5;

/// Why bytes cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireError {
    Truncated,
    Varint,
    Number,
    WireType,
}

/// What is left to read.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A varint of at most 64 bits in its shortest form: its last byte is zero only if it is the only one.
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (position, byte) in self.bytes.iter().copied().enumerate().take(10) {
            // Of the tenth byte only the lowest bit fits.
            if position == 9 && byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.take(position + 1)?;
                return if byte == 0 && position > 0 {
                    Err(WireError::Varint)
                } else {
                    Ok(value)
                };
            }
        }
        Err(WireError::Truncated)
    }

    /// Field number and wire type.
    pub(crate) fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::Number)?;
        match tag >> 3 {
            0 => Err(WireError::Number),
            number => Ok((number, (tag & 7) as u8)),
        }
    }

    pub(crate) fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        self.take(length)
    }

    /// Passes over the value of a field.
    pub(crate) fn skip(&mut self, wire: u8) -> Result<(), WireError> {
        match wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.take(8).map(drop),
            DELIMITED => self.delimited().map(drop),
            FIXED32 => self.take(4).map(drop),
            _ => Err(WireError::WireType),
        }
    }
}
