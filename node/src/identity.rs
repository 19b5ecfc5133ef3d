//! Who this node is to others: its certificates, and the TLS settings of its connections.

use std::sync::Arc;

use jisr_certs::Verified;
use jisr_certs::profile::Authority;
use jisr_certs::tls::{self, Clock, PeerPolicy};
use jisr_proto::ident::NodeId;
use rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::directory::Directory;

/// TLS identity of the node and what it trusts.
pub(crate) struct Identity {
    tls: tls::Identity,
    root: Verified<Authority>,
    policy: PeerPolicy,
    clock: Clock,
}

impl Identity {
    /// Certificates count only while the directory's snapshot lists them.
    pub(crate) fn new(
        tls: tls::Identity,
        root: Verified<Authority>,
        directory: &Arc<Directory>,
        clock: Arc<dyn jisr_ledger::clock::Clock>,
    ) -> Identity {
        let directory = Arc::clone(directory);
        let policy: PeerPolicy = Arc::new(move |node, certificate| {
            let view = directory
                .newest()
                .ok_or_else(|| "this node holds no snapshot yet".to_owned())?;
            view.lists_certificate(node, certificate)
        });
        Identity {
            tls,
            root,
            policy,
            clock: Arc::new(move || clock.now_us()),
        }
    }

    /// For a connection to this peer and no other.
    pub(crate) fn connector(&self, expected: &NodeId) -> Result<(TlsConnector, ServerName<'static>), String> {
        let config = tls::peer_client(
            &self.tls,
            &self.root,
            expected.clone(),
            Arc::clone(&self.policy),
            &self.clock,
        )
        .map_err(|error| error.to_string())?;
        Ok((TlsConnector::from(config), tls::server_name()))
    }

    /// For the peer door.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, jisr_certs::CertError> {
        tls::peer_server(&self.tls, &self.root, Arc::clone(&self.policy), &self.clock).map(TlsAcceptor::from)
    }

    /// For connections to the registry.
    pub(crate) fn registry_connector(
        &self,
        instance: jisr_proto::ident::Instance,
    ) -> Result<(TlsConnector, ServerName<'static>), jisr_certs::CertError> {
        let config = tls::registry_client(Some(&self.tls), &self.root, instance, &self.clock)?;
        Ok((TlsConnector::from(config), tls::server_name()))
    }

    /// When the node's own TLS certificate runs out, microseconds; 0 if it cannot be read.
    pub(crate) fn expires_us(&self) -> u64 {
        let now = (self.clock)();
        jisr_certs::profile::check_node_tls(self.tls.chain(), &self.root, now).map_or(0, |checked| checked.not_after_us)
    }
}
