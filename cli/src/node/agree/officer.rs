//! The officer who says yes: certificate and key, and the signature made with them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use jisr_certs::officer::{Document, OfficerKey};
use jisr_certs::profile::{check_local_ca, check_officer};
use jisr_ledger::clock::{Clock as _, SystemClock};
use jisr_proto::admin::AgreeRequest;
use jisr_proto::ident::MemberId;
use jisr_proto::statement::Approval;
use rustls_pki_types::CertificateDer;

use crate::failure::Failure;
use crate::output;
use crate::pem::{self, PEM_BYTES_MAX};

/// Who signs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who signs")]
pub(in crate::node) struct Officer {
    /// The officer's certificate: cert.pem as `jisr node officer add` wrote it, or its directory
    #[arg(long = "officer", value_name = "PEM|DIR")]
    certificate: PathBuf,
    /// The officer's private key [default: key.pem beside the certificate]
    #[arg(long, value_name = "PEM")]
    key: Option<PathBuf>,
}

/// A credential that was read.
pub(in crate::node) struct Credential {
    /// The officer's certificate, then the local CA's.
    chain: [CertificateDer<'static>; 2],
    key: OfficerKey,
}

impl Officer {
    /// Reads certificate, local CA and key.
    pub(in crate::node) fn read(&self) -> Result<Credential, Failure> {
        let file = if self.certificate.is_dir() {
            self.certificate.join("cert.pem")
        } else {
            self.certificate.clone()
        };
        let beside = |name: &str| file.parent().map_or_else(|| PathBuf::from(name), |dir| dir.join(name));
        let path = self.key.clone().unwrap_or_else(|| beside("key.pem"));
        let key = OfficerKey::from_pem(&output::read(&path, PEM_BYTES_MAX)?)
            .map_err(|error| Failure::unusable(&path, error, "name the key.pem that belongs to the certificate"))?;
        Ok(Credential {
            chain: chain(&file, &beside("ca.pem"))?,
            key,
        })
    }
}

/// The officer's certificate and its issuer's: both in one file, or the issuer's beside it.
fn chain(file: &Path, ca: &Path) -> Result<[CertificateDer<'static>; 2], Failure> {
    let mut found = pem::certificates(file)?;
    if found.len() == 1 {
        found.extend(pem::certificates(ca)?);
    }
    <[CertificateDer<'static>; 2]>::try_from(found).map_err(|found| {
        Failure::unusable(
            file,
            format!(
                "{} certificates instead of the officer's and the local CA's",
                found.len()
            ),
            "name cert.pem as `jisr node officer add` wrote it",
        )
    })
}

impl Credential {
    /// Whose officer signs, if the certificate is in force by this machine's clock.
    pub(in crate::node) fn member(&self) -> Result<MemberId, Failure> {
        let [officer, local_ca] = &self.chain;
        let now_us = SystemClock.now_us();
        let checked = check_local_ca(local_ca, now_us).and_then(|local_ca| check_officer(officer, &local_ca, now_us));
        let remedy = "name a certificate that `jisr node officer add` wrote, and that is in force";
        match checked {
            Ok(checked) => Ok(checked.officer.member()),
            Err(error) => Err(Failure::usage(format!("the officer's certificate: {error}"), remedy)),
        }
    }

    /// The officer's yes to what is to be erased, held or released.
    pub(in crate::node) fn approve(&self, what: Document, document: &[u8]) -> Result<Approval, Failure> {
        let signature = self.key.sign(what, document).map_err(|error| {
            Failure::fault(
                error.to_string(),
                "check the operating system's random number generator",
            )
        })?;
        Ok(Approval {
            certificates: self.chain.iter().map(|der| Bytes::copy_from_slice(der)).collect(),
            signature: signature.into(),
        })
    }

    /// The officer's yes to a document.
    pub(in crate::node) fn agree(&self, document: Bytes) -> Result<AgreeRequest, Failure> {
        let signature = self.key.sign_agreement(&document).map_err(|error| {
            Failure::fault(
                error.to_string(),
                "check the operating system's random number generator",
            )
        })?;
        Ok(AgreeRequest {
            document,
            certificates: self.chain.iter().map(|der| Bytes::copy_from_slice(der)).collect(),
            signature: signature.into(),
        })
    }
}
