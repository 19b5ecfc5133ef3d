//! Whom a verifier believes about time.

use rustls_pki_types::CertificateDer;

use crate::digest::Hash;

/// The authorities that are trusted: the built-in one under the network's root, and outside ones by certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    root: Option<Hash>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Trusts nobody.
    #[must_use]
    pub fn none() -> Trust {
        Trust::default()
    }

    /// Trusts besides the built-in authority of the network whose DER root certificate has this SHA-256.
    #[must_use]
    pub fn with_root(mut self, root: Hash) -> Trust {
        self.root = Some(root);
        self
    }

    /// Trusts besides an authority outside, by its own certificate or that of a CA above it (DER).
    #[must_use]
    pub fn with_certificate(mut self, der: &[u8]) -> Trust {
        if !self.certificates.iter().any(|known| known.as_ref() == der) {
            self.certificates.push(CertificateDer::from(der.to_vec()));
        }
        self
    }

    pub(super) fn root(&self) -> Option<&Hash> {
        self.root.as_ref()
    }

    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}
