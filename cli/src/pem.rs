//! Certificates and keys in files.

use std::path::Path;

use rustls_pki_types::CertificateDer;

use crate::failure::Failure;
use crate::output;

/// The largest PEM file, bytes.
pub(crate) const PEM_BYTES_MAX: u64 = 1 << 20;

/// All certificates of a PEM file, in order; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = output::read(path, PEM_BYTES_MAX)?;
    jisr_certs::pem::certificates_from_pem(&pem)
        .map_err(|error| Failure::unusable(path, error, "name a PEM file with a certificate"))
}

/// The first certificate of a PEM file.
pub(crate) fn certificate(path: &Path) -> Result<CertificateDer<'static>, Failure> {
    let first = certificates(path)?.into_iter().next();
    first.ok_or_else(|| Failure::unusable(path, "it holds no certificate", "name a PEM file with a certificate"))
}
