//! `[ledger]`: how the ledger lies on the disk.

use std::time::Duration;

use serde::Deserialize;

use super::Wrong;

/// `[ledger]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LedgerRaw {
    segment_bytes: u64,
    reread_s: u64,
}

/// How the ledger lies on the disk, and how often it is read again.
pub(super) struct LedgerSettings {
    /// Bytes of a segment.
    pub(super) segment_bytes: u64,
    /// Time in which all of it is read again; `None`: never.
    pub(super) reread: Option<Duration>,
}

impl Default for LedgerRaw {
    fn default() -> Self {
        LedgerRaw {
            segment_bytes: 16 << 20,
            reread_s: 7 * 86_400,
        }
    }
}

impl LedgerRaw {
    pub(super) fn check(&self) -> Result<LedgerSettings, Wrong> {
        let bytes = self.segment_bytes;
        if (1 << 20..=1 << 30).contains(&bytes) && bytes.is_multiple_of(4096) {
            Ok(LedgerSettings {
                segment_bytes: bytes,
                reread: (self.reread_s > 0).then(|| Duration::from_secs(self.reread_s)),
            })
        } else {
            let rule = "lies between 1048576 and 1073741824 and is a multiple of 4096";
            Err(("ledger.segment_bytes", rule.to_owned()))
        }
    }
}
