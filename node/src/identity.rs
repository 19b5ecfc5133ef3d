//! Who this node is to others: its certificates, and the TLS settings of its connections.

use std::sync::{Arc, Mutex, PoisonError};

use jisr_certs::Verified;
use jisr_certs::digest::{self, Hash};
use jisr_certs::profile::Authority;
use jisr_certs::tls::{self, Clock, PeerPolicy};
use jisr_certs::validity::Validity;
use jisr_proto::ident::NodeId;
use jisr_proto::status::Fault;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::directory::Directory;
use crate::ends::End;

/// TLS identity of the node and what it trusts.
pub(crate) struct Identity {
    tls: Mutex<tls::Identity>,
    acceptor: Mutex<TlsAcceptor>,
    root: Verified<Authority>,
    policy: PeerPolicy,
    directory: Arc<Directory>,
    clock: Clock,
}

impl Identity {
    /// Certificates count only while the directory's snapshot lists them.
    ///
    /// # Errors
    /// [`jisr_certs::CertError::Tls`].
    pub(crate) fn new(
        tls: tls::Identity,
        root: Verified<Authority>,
        directory: &Arc<Directory>,
        clock: Arc<dyn jisr_ledger::clock::Clock>,
    ) -> Result<Identity, jisr_certs::CertError> {
        let newest = Arc::clone(directory);
        let policy: PeerPolicy = Arc::new(move |node, certificate| {
            let view = newest
                .newest()
                .ok_or_else(|| "this node holds no snapshot yet".to_owned())?;
            view.lists_certificate(node, certificate)
        });
        let clock: Clock = Arc::new(move || clock.now_us());
        let acceptor = tls::peer_server(&tls, &root, Arc::clone(&policy), &clock)?;
        Ok(Identity {
            tls: Mutex::new(tls),
            acceptor: Mutex::new(TlsAcceptor::from(acceptor)),
            root,
            policy,
            directory: Arc::clone(directory),
            clock,
        })
    }

    /// Shows these certificates on every connection that begins from now on.
    ///
    /// # Errors
    /// [`jisr_certs::CertError::Tls`]; the old ones are then still shown.
    pub(crate) fn replace(&self, tls: tls::Identity) -> Result<(), jisr_certs::CertError> {
        let acceptor = tls::peer_server(&tls, &self.root, Arc::clone(&self.policy), &self.clock)?;
        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = TlsAcceptor::from(acceptor);
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = tls;
        Ok(())
    }

    fn tls(&self) -> tls::Identity {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The certificate that is shown now: its SHA-256, and for when it is made.
    pub(crate) fn certificate(&self) -> Option<(Hash, Validity)> {
        let tls = self.tls();
        let leaf = tls.chain().first()?;
        Some((digest::sha256(&[leaf]), Validity::of(leaf)?))
    }

    /// Checks a chain of this node's as every other node will.
    ///
    /// # Errors
    /// [`jisr_certs::CertError::Refused`].
    pub(crate) fn check(&self, chain: &[CertificateDer<'_>]) -> Result<NodeId, jisr_certs::CertError> {
        let checked = jisr_certs::profile::check_node_tls(chain, &self.root, (self.clock)())?;
        Ok(checked.node.clone())
    }

    /// For a connection to this peer and no other.
    pub(crate) fn connector(&self, expected: &NodeId) -> Result<(TlsConnector, ServerName<'static>), String> {
        let config = tls::peer_client(
            &self.tls(),
            &self.root,
            expected.clone(),
            Arc::clone(&self.policy),
            &self.clock,
        )
        .map_err(|error| error.to_string())?;
        Ok((TlsConnector::from(config), tls::server_name()))
    }

    /// Who showed this chain, by the newest snapshot; `None` where that does not list it.
    pub(crate) fn end(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<End> {
        End::of(chain, &*self.directory.newest()?)
    }

    /// Whether a connection to this end goes on, by the newest snapshot.
    ///
    /// # Errors
    /// CERTIFICATE_REVOKED.
    pub(crate) fn holds(&self, end: &End) -> Result<(), Fault> {
        self.directory.newest().map_or(Ok(()), |view| end.holds(&view))
    }

    /// For the peer door.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For connections to the registry.
    pub(crate) fn registry_connector(
        &self,
        instance: jisr_proto::ident::Instance,
    ) -> Result<(TlsConnector, ServerName<'static>), jisr_certs::CertError> {
        let config = tls::registry_client(Some(&self.tls()), &self.root, instance, &self.clock)?;
        Ok((TlsConnector::from(config), tls::server_name()))
    }

    /// When the node's own TLS certificate runs out, microseconds; 0 if it cannot be read.
    pub(crate) fn expires_us(&self) -> u64 {
        let now = (self.clock)();
        jisr_certs::profile::check_node_tls(self.tls().chain(), &self.root, now)
            .map_or(0, |checked| checked.not_after_us)
    }
}
