//! What can be wrong with keys and certificates, by culprit.

use std::path::PathBuf;

use crate::profile::Refused;
use crate::stamp::StampRefused;

/// Errors of this crate. The text names the party, the rule and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The key store of this machine is not as it must be.
    #[error("own key store: {}: {rule}; {remedy}", path.display())]
    KeyStore {
        /// File or directory.
        path: PathBuf,
        /// What is wrong.
        rule: String,
        /// The command to run, or what else helps.
        remedy: String,
    },
    /// The operating system refused an operation on the key store.
    #[error("own key store: cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Key generation or signing failed in the cryptographic library, which only a lack of randomness can cause.
    #[error("own machine: {0} failed; check the operating system's random number generator")]
    Crypto(&'static str),
    /// An Ed25519 public key that must not be verified with.
    #[error("Ed25519 public key: {0}; its owner must make a new key")]
    WeakKey(&'static str),
    /// A signature does not verify.
    #[error("signature: it is not this key's signature over these bytes; ask its maker for the unaltered original")]
    Signature,
    /// A certificate breaks its profile.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A time-stamp that proves nothing, or was not granted.
    #[error(transparent)]
    Stamp(#[from] StampRefused),
    /// A signing request that no certificate is issued for.
    #[error("signing request: {rule}; make a new key and request with `jisr node enrol`")]
    Request {
        /// What is wrong.
        rule: &'static str,
    },
    /// This authority cannot issue what is asked of it.
    #[error("own authority: {rule}; {remedy}")]
    Authority {
        /// What is wrong.
        rule: String,
        /// What helps.
        remedy: &'static str,
    },
    /// PEM text that does not hold what is expected.
    #[error("PEM text: {rule}; it must hold one or more {expected} blocks (RFC 7468)")]
    Pem {
        /// What is wrong.
        rule: String,
        /// Label of the blocks.
        expected: &'static str,
    },
    /// The TLS library refused a key, a chain or a setting of ours.
    #[error("own TLS settings: {0}; check that certificate and key belong together")]
    Tls(#[from] rustls::Error),
}
