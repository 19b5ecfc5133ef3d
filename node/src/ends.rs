//! The other end of a connection between nodes, and until when the connection goes on.
//!
//! A connection begins only with a certificate that the newest snapshot lists. It goes on although the node has a further one since
//! and the old one is listed no more; it ends when the certificate is revoked or has ended, or when the node is listed with another
//! ledger, or not at all.

use jisr_certs::digest::{self, Hash};
use jisr_certs::tls;
use jisr_certs::validity::Validity;
use jisr_proto::ident::{NodeId, Origin};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use rustls::pki_types::CertificateDer;

use crate::directory::View;

/// Who is there, as it showed itself when the connection began.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// The node.
    pub node: NodeId,
    /// SHA-256 of its certificate.
    pub certificate: Hash,
    /// Last moment of that, microseconds.
    not_after_us: u64,
    /// Its ledger.
    origin: Origin,
}

impl End {
    /// The end that showed this chain; `None` where it names no node, or the snapshot has just lost it.
    pub(crate) fn of(chain: Option<&[CertificateDer<'_>]>, view: &View) -> Option<End> {
        let chain = chain?;
        let (node, leaf) = (tls::peer_identity(chain).ok()?, chain.first()?);
        Some(End {
            certificate: digest::sha256(&[leaf]),
            not_after_us: Validity::of(leaf)?.not_after_us,
            origin: view.node(&node)?.origin.clone(),
            node,
        })
    }

    /// Whether the connection goes on, by this snapshot.
    ///
    /// # Errors
    /// CERTIFICATE_REVOKED, also where the node is listed no more or with another ledger.
    pub(crate) fn holds(&self, view: &View) -> Result<(), Fault> {
        let revoked = |detail: String| Fault::new(Reason::CertificateRevoked, detail);
        if view.unrevoked(&self.node, &self.certificate).map_err(revoked)?.origin == self.origin {
            return Ok(());
        }
        let version = view.version;
        Err(revoked(format!(
            "snapshot {version} lists another ledger for {}",
            self.node
        )))
    }

    /// Whether its certificate is still in force.
    ///
    /// # Errors
    /// CERTIFICATE_INVALID.
    pub(crate) fn in_time(&self, now_us: u64) -> Result<(), Fault> {
        if now_us <= self.not_after_us {
            return Ok(());
        }
        let ago_s = (now_us - self.not_after_us) / 1_000_000;
        let detail = format!(
            "the certificate with which {} began this connection ended {ago_s} s ago",
            self.node
        );
        Err(Fault::new(Reason::CertificateInvalid, detail))
    }
}
