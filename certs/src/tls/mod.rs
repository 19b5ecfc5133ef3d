//! TLS settings for every door: TLS 1.3 only, ALPN `h2`, X25519 or P-256, no resumption and no early data.
//!
//! Resumption would carry a session past the moment a certificate is revoked or its listing ends, so every connection shows its
//! certificate anew. Connections are few and long.

mod doors;
mod settings;
mod verifier;

use std::sync::Arc;

use jisr_proto::ident::{NodeId, SubsystemId};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, ServerName};

pub use doors::{
    backend_client, local_client, local_server, peer_client, peer_server, registry_client,
    registry_client_by_root_fingerprint, registry_server,
};

use crate::digest::Hash;
use crate::error::CertError;
use crate::profile;
use crate::tls_key::TlsKey;

/// Where the time comes from: microseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Asked during each handshake, after everything else was checked: is the certificate with this SHA-256 listed for this node?
/// The error says what the rule is and what helps.
pub type PeerPolicy = Arc<dyn Fn(&NodeId, &Hash) -> Result<(), String> + Send + Sync>;

/// A certificate chain and its key: who we are on a connection.
#[derive(Debug, Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Takes the key and its chain, leaf first. Nodes send the issuing authority along, the registry also the root (so that a
    /// newcomer who knows its fingerprint finds it).
    ///
    /// # Errors
    /// [`CertError::Tls`] where the leaf is not for this key.
    pub fn new(key: &TlsKey, chain: Vec<CertificateDer<'static>>) -> Result<Identity, CertError> {
        let certified = CertifiedKey::new(chain, key.handshake());
        certified.keys_match()?;
        Ok(Identity(Arc::new(certified)))
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0)
    }
}

/// The node that an accepted connection's certificates name.
///
/// # Errors
/// [`CertError::Refused`] where they name none: not the chain of a connection that one of these settings accepted.
pub fn peer_identity(chain: &[CertificateDer<'_>]) -> Result<NodeId, CertError> {
    profile::node_identity(chain)
}

/// The subsystem that an accepted local connection's certificates name.
///
/// # Errors
/// As [`peer_identity`].
pub fn client_identity(chain: &[CertificateDer<'_>]) -> Result<SubsystemId, CertError> {
    profile::client_identity(chain)
}

/// The name to give to the TLS library for connections to nodes and to the registry. It is never sent and never compared: these
/// parties are recognised by the URI in their certificate.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("jisr.invalid").expect("a valid DNS name")
}

/// What this crate found wrong with the other side's certificate, where that is why a handshake failed.
pub fn refusal(error: &rustls::Error) -> Option<&CertError> {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => other.0.downcast_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
