//! `[ledger]`: how the ledger lies on the disk.

use serde::Deserialize;

use super::Wrong;

/// `[ledger]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LedgerRaw {
    segment_bytes: u64,
}

impl Default for LedgerRaw {
    fn default() -> Self {
        LedgerRaw {
            segment_bytes: 16 << 20,
        }
    }
}

impl LedgerRaw {
    /// Bytes of a segment.
    pub(super) fn check(&self) -> Result<u64, Wrong> {
        let bytes = self.segment_bytes;
        if (1 << 20..=1 << 30).contains(&bytes) && bytes.is_multiple_of(4096) {
            Ok(bytes)
        } else {
            let rule = "lies between 1048576 and 1073741824 and is a multiple of 4096";
            Err(("ledger.segment_bytes", rule.to_owned()))
        }
    }
}
