//! How signatures are checked: computed each time, or remembered by whoever meets the same ones again.

use super::VerifierKey;

/// Says whether an Ed25519 signature holds.
pub(crate) trait Verifies {
    /// Whether `signature` is that of `key` over `message`.
    fn holds(&self, key: &VerifierKey, message: &[u8], signature: &[u8]) -> bool;
}

/// Computes each time.
pub(crate) struct Computed;

impl Verifies for Computed {
    fn holds(&self, key: &VerifierKey, message: &[u8], signature: &[u8]) -> bool {
        key.verifies(message, signature)
    }
}
