//! What the machine says of a node's data directory: the certificates that lie there, and the room on its disk. Blocks on disk.

use std::path::Path;

use jisr_certs::pem;
use jisr_certs::validity::Validity;
use jisr_proto::admin::CertificateStatus;

use crate::setup::Layout;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Certificates and their ends: tls, seal, issuing, root, as far as they can be read.
    pub certificates: Vec<CertificateStatus>,
    /// Bytes that this user may still write to the disk.
    pub disk_free_bytes: u64,
    /// Bytes set aside for the next segment.
    pub disk_reserve_bytes: u64,
}

impl Machine {
    /// Looks at the directory.
    pub(crate) fn look(data: &Path) -> Machine {
        Machine {
            certificates: certificates(&Layout::new(data)),
            disk_free_bytes: free_bytes(data).unwrap_or_default(),
            disk_reserve_bytes: reserve_bytes(&data.join("reserve")),
        }
    }
}

/// Bytes that this user may still write to the disk of a directory.
///
/// # Errors
/// The directory cannot be asked.
pub(crate) fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn reserve_bytes(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten();
    files
        .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
        .fold(0, u64::saturating_add)
}

/// The ends of the node's own certificates and of those above them; the chain of the TLS certificate ends at the root.
fn certificates(layout: &Layout) -> Vec<CertificateStatus> {
    let chain = |path: std::path::PathBuf| {
        let read = std::fs::read(path).ok();
        read.and_then(|text| pem::certificates_from_pem(&text).ok())
            .unwrap_or_default()
    };
    let (tls, seal) = (chain(layout.tls_chain()), chain(layout.seal_chain()));
    let named = [
        ("tls", tls.first()),
        ("seal", seal.first()),
        ("issuing", tls.get(1)),
        ("root", tls.get(2)),
    ];
    let end = |(name, der): (&str, Option<&_>)| {
        let der: &rustls_pki_types::CertificateDer<'_> = der?;
        Some(CertificateStatus {
            name: name.to_owned(),
            expires_us: Validity::of(der)?.not_after_us,
        })
    };
    named.into_iter().filter_map(end).collect()
}
