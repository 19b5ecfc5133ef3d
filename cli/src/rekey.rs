//! `jisr node rekey` and `jisr registry rekey`: another secret for the keys at rest.

use std::path::{Path, PathBuf};

use clap::Args;
use jisr_certs::CertError;
use jisr_certs::keys::{self, SecretSource};

use crate::failure::Failure;
use crate::output;

/// Change the secret under which the private keys lie encrypted
///
/// Only keystore.toml is written anew, no key changes, and the server may run. A secret that lies beside the data directory is
/// replaced by a new random one; for any other name the new one, and put it in the old one's place afterwards. A crash leaves a
/// key store that opens under the old secret or the new one.
///
/// Whoever has the old secret and an old copy of the directory can still open that copy: if both are in the wrong hands, revoke the
/// node and enrol it anew.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Rekey {
    /// Data directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// File with the new secret: 64 hexadecimal digits (openssl rand -hex 32), or a passphrase of at least 16 bytes
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

const HELP: &str = "\
Example:
  openssl rand -hex 32 | install -m 0600 /dev/stdin /etc/jisr/secret.new
  jisr node rekey --dir /var/lib/jisr --to /etc/jisr/secret.new
  mv /etc/jisr/secret.new /etc/jisr/secret

Exit codes: 0 changed · 66 the configuration cannot be used · 70 the secret does not open the keys, or this machine failed";

impl Rekey {
    /// The data directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Changes the secret of the key store in the data directory, which lies at `source`.
    pub(crate) fn run(self, source: &SecretSource) -> Result<(), Failure> {
        let failed = |error: CertError| Failure::fault(error.to_string(), "");
        let secret = source.read().map_err(failed)?;
        let to = self.to.map(SecretSource::File);
        let new = to.as_ref().map(SecretSource::read).transpose().map_err(failed)?;
        keys::rekey(&self.dir.join("keys"), &secret, new.as_ref()).map_err(failed)?;
        match to {
            Some(to) => output::say(format!(
                "the keys open under {to} now; put it in the place of {source}, or name it as `[keys] secret_file`, before the next start"
            )),
            None => output::say(format!(
                "the keys open under a new secret now: {source}; keep a copy of it elsewhere"
            )),
        }
        Ok(())
    }
}
