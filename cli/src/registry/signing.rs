//! Who does it: an administrator's credential, and the act that is signed with it and handed in.

use std::path::{Path, PathBuf};

use clap::Args;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_proto::registry::{AdministerRequest, AdministerResponse};
use jisr_proto::snapshot::AdministrativeAct;
use jisr_registry::administration::Credential;

use super::{Dir, client};
use crate::failure::Failure;
use crate::output;
use crate::pem::PEM_BYTES_MAX;

/// File of an administrator's private key in its directory.
pub(super) const KEY: &str = "key.pem";
/// File of an administrator's certificate in its directory.
pub(super) const CERTIFICATE: &str = "cert.pem";

/// Who signs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who signs")]
pub(super) struct By {
    /// Directory of the administrator's credential: key.pem and cert.pem
    #[arg(long, value_name = "DIR")]
    administrator: PathBuf,
}

impl By {
    fn credential(&self) -> Result<Credential, Failure> {
        let read = |name: &str| output::read(&self.administrator.join(name), PEM_BYTES_MAX);
        Credential::new(&read(KEY)?, &read(CERTIFICATE)?).map_err(|error| unusable(&self.administrator, error))
    }

    /// Signs an act and has the registry do it, or propose it.
    pub(super) async fn does(&self, registry: &Dir, act: AdministrativeAct) -> Result<AdministerResponse, Failure> {
        let signed = self.credential()?.sign(act, SystemClock.now_us());
        let signed = signed.map_err(|error| Failure::fault(error.to_string(), ""))?;
        let request = AdministerRequest { act: Some(signed) };
        Ok(client(registry).await?.administer(request).await?.into_inner())
    }
}

fn unusable(dir: &Path, error: impl std::fmt::Display) -> Failure {
    let remedy = "name the directory that `jisr registry administrator new` made, with the certificate that came back";
    Failure::unusable(dir, error, remedy)
}
