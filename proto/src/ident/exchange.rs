//! Exchange ids.

use std::fmt;
use std::str::FromStr;

use uuid::{Uuid, Variant};

use super::{IdentError, quoted};

/// Names one exchange everywhere: a UUID of version 7 (RFC 9562, section 5.7), 16 bytes. Sorts by the millisecond in
/// which it was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId([u8; 16]);

impl ExchangeId {
    /// Makes an id from a time in microseconds since 1970 and 10 random bytes, of which 74 bits are used.
    pub fn new_v7(now_us: u64, random: [u8; 10]) -> ExchangeId {
        ExchangeId(
            uuid::Builder::from_unix_timestamp_millis(now_us / 1000, &random)
                .into_uuid()
                .into_bytes(),
        )
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The time in it, milliseconds since 1970. Whoever made the id chose it.
    pub fn time_ms(&self) -> u64 {
        self.0.iter().take(6).fold(0, |time, byte| time << 8 | u64::from(*byte))
    }

    fn check(uuid: Uuid) -> Option<ExchangeId> {
        (uuid.get_version_num() == 7 && uuid.get_variant() == Variant::RFC4122).then(|| ExchangeId(uuid.into_bytes()))
    }
}

impl TryFrom<&[u8]> for ExchangeId {
    type Error = IdentError;

    /// From 16 bytes as they stand in messages.
    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        Uuid::from_slice(bytes).ok().and_then(ExchangeId::check).ok_or_else(|| {
            IdentError::Exchange(quoted(
                &bytes.iter().take(16).map(|b| format!("{b:02x}")).collect::<String>(),
            ))
        })
    }
}

impl FromStr for ExchangeId {
    type Err = IdentError;

    /// Reads the usual text form, lower case and with hyphens only: each id has exactly one text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text)
            .ok()
            .and_then(ExchangeId::check)
            .filter(|id| id.to_string() == text)
            .ok_or_else(|| IdentError::Exchange(quoted(text)))
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0), f)
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
