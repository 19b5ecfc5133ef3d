//! One-time tokens as the ledger knows them (docs/formats.md, Enrolment token).

use jisr_certs::digest;

use crate::state::Hash;

/// The digest by which the ledger knows a secret: `D(jisr.token, secret)` finds the token, does not reveal it.
pub(crate) fn digest_of(secret: &[u8]) -> Hash {
    digest::domain("jisr.token", &[secret])
}
