//! For how long certificates are made.

use time::OffsetDateTime;

use crate::error::CertError;

const SECOND_US: u64 = 1_000_000;
const DAY_US: u64 = 24 * 60 * 60 * SECOND_US;
/// How far back a certificate begins, for clocks that are behind ours.
const BACKDATED_US: u64 = 5 * 60 * SECOND_US;
/// The last second of the year 9999, the last that a certificate can say.
const LAST_US: u64 = 253_402_300_799 * SECOND_US;

/// Days of the root certificate: 20 years.
pub const ROOT_DAYS: u64 = 20 * 365 + 5;
/// Days of an issuing authority's certificate: 5 years.
pub const ISSUING_DAYS: u64 = 5 * 365 + 1;
/// Days of a member's local authority's certificate: 10 years.
pub const LOCAL_CA_DAYS: u64 = 10 * 365 + 2;
/// Days of a node's TLS certificate; the node renews it at a third of its life left.
pub const NODE_TLS_DAYS: u64 = 7;
/// Days of the registry's TLS certificate.
pub const REGISTRY_TLS_DAYS: u64 = 90;
/// Days of a seal certificate.
pub const SEAL_DAYS: u64 = 365;
/// Days of the certificate of the built-in time-stamp authority. Its tokens are renewed every year, so this leaves a year to spare.
pub const TIME_STAMP_DAYS: u64 = 2 * 365 + 1;
/// Days of a local client's, an officer's and a local door's certificate.
pub const LOCAL_DAYS: u64 = 365;

/// Days of the certificate of an administrator of the registry: 2 years.
pub const ADMINISTRATOR_DAYS: u64 = 2 * 365;

/// From when until when a certificate is valid, microseconds since 1970, both included; whole seconds in the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before_us: u64,
    /// Last moment.
    pub not_after_us: u64,
}

impl Validity {
    /// From five minutes ago, for so many days from now.
    pub fn days(now_us: u64, days: u64) -> Validity {
        let not_after_us = now_us.saturating_add(days.saturating_mul(DAY_US)).min(LAST_US);
        Validity {
            not_before_us: now_us.saturating_sub(BACKDATED_US),
            not_after_us,
        }
    }

    /// When a certificate was made that is valid as [`Validity::days`] has it, microseconds.
    pub fn made_us(&self) -> u64 {
        self.not_before_us.saturating_add(BACKDATED_US)
    }

    /// What a certificate (DER) says of itself, unchecked; `None` where it is no certificate.
    pub fn of(certificate: &[u8]) -> Option<Validity> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let validity = certificate.validity();
        let us = |seconds: i64| u64::try_from(seconds).ok()?.checked_mul(SECOND_US);
        Some(Validity {
            not_before_us: us(validity.not_before.timestamp())?,
            not_after_us: us(validity.not_after.timestamp())?,
        })
    }

    /// Both ends as X.509 writes them.
    pub(crate) fn dates(&self) -> Result<(OffsetDateTime, OffsetDateTime), CertError> {
        let refuse = || CertError::Authority {
            rule: format!(
                "no certificate can be valid from {} to {} µs",
                self.not_before_us, self.not_after_us
            ),
            remedy: "set the clock of this machine",
        };
        if self.not_before_us >= self.not_after_us || self.not_after_us > LAST_US {
            return Err(refuse());
        }
        let date = |us: u64| {
            i64::try_from(us / SECOND_US)
                .ok()
                .and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok())
        };
        date(self.not_before_us).zip(date(self.not_after_us)).ok_or_else(refuse)
    }
}
