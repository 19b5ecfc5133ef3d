//! When receipts are sent and missed, and when two nodes compare what they hold about each other.

use std::time::Duration;

use serde::Deserialize;

/// `[receipts]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReceiptsRaw {
    send_ms: u64,
    missing_s: u64,
}

impl Default for ReceiptsRaw {
    fn default() -> Self {
        ReceiptsRaw {
            send_ms: 1_000,
            missing_s: 60,
        }
    }
}

/// `[reconcile]` as it is written, seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReconcileRaw {
    window_s: u64,
    grace_s: u64,
}

impl Default for ReconcileRaw {
    fn default() -> Self {
        ReconcileRaw {
            window_s: 600,
            grace_s: 120,
        }
    }
}

/// When receipts are sent, and when they are missed.
#[derive(Debug, Clone)]
pub struct ReceiptTimes {
    /// Between two batches to a provider.
    pub send: Duration,
    /// How long a consumer's node may take.
    pub missing: Duration,
}

/// When two nodes compare what they hold about each other.
#[derive(Debug, Clone)]
pub struct Reconcile {
    /// Length of a window, milliseconds.
    pub window_ms: u64,
    /// How long after its end a window is compared, milliseconds.
    pub grace_ms: u64,
}

/// Key and rule of a value that breaks one.
type Wrong = (&'static str, &'static str);

impl ReceiptsRaw {
    pub(super) fn check(&self) -> Result<ReceiptTimes, Wrong> {
        if !(10..=60_000).contains(&self.send_ms) {
            return Err(("receipts.send_ms", "lies between 10 and 60000 milliseconds"));
        }
        if self.missing_s == 0 || self.missing_s > 3600 {
            return Err(("receipts.missing_s", "lies between 1 and 3600 seconds"));
        }
        Ok(ReceiptTimes {
            send: Duration::from_millis(self.send_ms),
            missing: Duration::from_secs(self.missing_s),
        })
    }
}

impl ReconcileRaw {
    pub(super) fn check(&self) -> Result<Reconcile, Wrong> {
        if self.window_s == 0 || self.window_s > 3600 || self.grace_s > 3600 {
            return Err((
                "reconcile",
                "window_s lies between 1 and 3600 seconds, grace_s is at most 3600",
            ));
        }
        Ok(Reconcile {
            window_ms: self.window_s * 1_000,
            grace_ms: self.grace_s * 1_000,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_has_the_documented_values() {
        let receipts = ReceiptsRaw::default().check().unwrap();
        assert_eq!((receipts.send.as_millis(), receipts.missing.as_secs()), (1_000, 60));
        let reconcile = ReconcileRaw::default().check().unwrap();
        assert_eq!((reconcile.window_ms, reconcile.grace_ms), (600_000, 120_000));
    }

    #[test]
    fn times_that_cannot_be_meant_are_refused() {
        for text in ["send_ms = 9", "send_ms = 60001", "missing_s = 0", "missing_s = 3601"] {
            let raw: ReceiptsRaw = toml::from_str(text).unwrap();
            assert!(raw.check().is_err(), "{text}");
        }
        for text in ["window_s = 0", "window_s = 3601", "grace_s = 3601"] {
            let raw: ReconcileRaw = toml::from_str(text).unwrap();
            assert!(raw.check().is_err(), "{text}");
        }
        assert!(toml::from_str::<ReconcileRaw>("window = 1").is_err());
    }
}
