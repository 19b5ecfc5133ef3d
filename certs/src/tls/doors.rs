//! The settings themselves, one function for each end of each door.

use std::sync::Arc;

use jisr_proto::ident::{Instance, NodeId};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;

use super::settings::{client, provider, server};
use super::verifier::Verifier;
use super::{Clock, Identity, PeerPolicy};
use crate::digest::Hash;
use crate::error::CertError;
use crate::pem::certificates_from_pem;
use crate::profile::{
    Authority, NodeTls, Rule, check_client, check_node_tls, check_registry_tls, refuse_node, root_by_fingerprint,
};
use crate::verified::Verified;

/// The peer door: callers are nodes of this network that the policy lists.
///
/// # Errors
/// [`CertError::Tls`].
pub fn peer_server(
    identity: &Identity,
    root: &Verified<Authority>,
    policy: PeerPolicy,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, CertError> {
    let root = root.clone();
    server(
        identity,
        Verifier::mandatory(move |chain, now_us| listed(chain, &root, &policy, now_us)),
        clock,
    )
}

/// A call to the peer door of one node: whoever answers must be that node, and listed.
///
/// # Errors
/// [`CertError::Tls`].
pub fn peer_client(
    identity: &Identity,
    root: &Verified<Authority>,
    expected: NodeId,
    policy: PeerPolicy,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, CertError> {
    let root = root.clone();
    let verifier = Verifier::mandatory(move |chain, now_us| {
        let found = check_node_tls(chain, &root, now_us)?;
        if found.node != expected {
            return Err(refuse_node(
                Rule::Identity,
                format!("it names {}, expected was {expected}", found.node),
            ));
        }
        check_listed(&found, &policy)
    });
    client(Some(identity), verifier, false, clock)
}

/// The registry's door: a caller may come without certificate (to enrol); one with a certificate is a listed node.
///
/// # Errors
/// [`CertError::Tls`].
pub fn registry_server(
    identity: &Identity,
    root: &Verified<Authority>,
    policy: PeerPolicy,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, CertError> {
    let root = root.clone();
    server(
        identity,
        Verifier::optional(move |chain, now_us| listed(chain, &root, &policy, now_us)),
        clock,
    )
}

/// A call to the registry of an instance, as a node or as nobody.
///
/// # Errors
/// [`CertError::Tls`].
pub fn registry_client(
    identity: Option<&Identity>,
    root: &Verified<Authority>,
    instance: Instance,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, CertError> {
    let root = root.clone();
    let verifier =
        Verifier::mandatory(move |chain, now_us| check_registry_tls(chain, &root, &instance, now_us).map(drop));
    client(identity, verifier, false, clock)
}

/// A newcomer's call to the registry of an instance: the root is the one in the presented chain with this SHA-256, which the
/// enrolment token says.
///
/// # Errors
/// [`CertError::Tls`].
pub fn registry_client_by_root_fingerprint(
    fingerprint: Hash,
    instance: Instance,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, CertError> {
    let verifier = Verifier::mandatory(move |chain, now_us| {
        let root = root_by_fingerprint(chain, &fingerprint, now_us)?;
        check_registry_tls(chain, &root, &instance, now_us).map(drop)
    });
    client(None, verifier, false, clock)
}

/// The local door: callers are applications that the local authority named.
///
/// # Errors
/// [`CertError::Tls`].
pub fn local_server(
    identity: &Identity,
    local_ca: &Verified<Authority>,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, CertError> {
    let local_ca = local_ca.clone();
    let verifier = Verifier::mandatory(move |chain, now_us| check_client(chain, &local_ca, now_us).map(drop));
    server(identity, verifier, clock)
}

/// An application's call to the local door, which must have the name or address that is called (RFC 9525).
///
/// # Errors
/// [`CertError::Tls`].
pub fn local_client(
    identity: &Identity,
    local_ca: &Verified<Authority>,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, CertError> {
    let mut roots = RootCertStore::empty();
    roots.add(local_ca.der.clone())?;
    let verifier = by_name(roots, provider())?;
    client(Some(identity), verifier, true, clock)
}

/// A call to an agency's own backend, whose certificate is issued, for the name or address that is called (RFC 9525), by one of the
/// authorities in this PEM text. They are the agency's own: any algorithm that rustls knows, no profile of ours.
///
/// # Errors
/// [`CertError::Pem`] where the text holds no certificate, [`CertError::Tls`] where one cannot be an authority.
pub fn backend_client(authorities_pem: &[u8], clock: &Clock) -> Result<Arc<ClientConfig>, CertError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates_from_pem(authorities_pem)? {
        roots.add(authority)?;
    }
    by_name(roots, rustls::crypto::ring::default_provider()).and_then(|verifier| client(None, verifier, true, clock))
}

/// Verifies a server by its host name.
fn by_name(roots: RootCertStore, provider: CryptoProvider) -> Result<Arc<WebPkiServerVerifier>, CertError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider))
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()).into())
}

fn listed(
    chain: &[CertificateDer<'_>],
    root: &Verified<Authority>,
    policy: &PeerPolicy,
    now_us: u64,
) -> Result<(), CertError> {
    check_listed(&check_node_tls(chain, root, now_us)?, policy)
}

fn check_listed(found: &Verified<NodeTls>, policy: &PeerPolicy) -> Result<(), CertError> {
    policy(&found.node, &found.sha256)
        .map_err(|why| refuse_node(Rule::NotListed, format!("it is not listed for {}: {why}", found.node)))
}
