//! `jisr node recover` and `jisr node mirror-secret`: what is needed when a machine is lost.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use jisr_node::mirroring::{self, KeySource, Location, RecoverySecret};
use serde_json::json;

use crate::archive;
use crate::failure::Failure;
use crate::instant::show;
use crate::output;

/// Restore a node's data directory from its mirror
///
/// Copies ledger, configuration, certificates, snapshots and keys to DIR, which must not exist or be empty, verifies the ledger
/// with the anchor in the mirror, and says how far it goes. All is restored or nothing.
///
/// A node that is started on it seals nothing before the registry or a peer has confirmed that nobody saw more of its ledger. If
/// somebody did, it stays in quarantine, and the way out is `jisr node succeed`. The memory of the node's witness is not restored,
/// since it may be older than what the witness signed.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
#[command(group(ArgGroup::new("keys_from").required(true).args(["secret_file", "keys"])))]
pub(crate) struct Recover {
    /// The mirror: a directory, or s3://BUCKET/PREFIX?endpoint=URL&region=NAME&credentials=FILE&ca=FILE
    #[arg(long, value_name = "MIRROR")]
    from: String,
    /// Data directory to make; new or empty
    #[arg(long, alias = "data", value_name = "DIR")]
    dir: PathBuf,
    /// The recovery secret of the mirror, as `jisr node mirror-secret` wrote it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A copy of the directory `keys`, where the mirror has no keys
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Your own copy of the anchor: nothing is restored where the mirror's is another. With --keys the mirror's anchor and node.toml
    /// are otherwise what the mirror's keeper says
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Print one object {origin, size, root, newest_us, dir}
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  jisr node recover --from /mnt/mirror/jisr --dir /var/lib/jisr --secret-file /root/recovery-secret --anchor /root/anchor
  jisr node run --dir /var/lib/jisr

Exit codes: 0 restored · 1 the object storage refused or is not there · 64 wrong usage, or DIR is not empty · 66 the mirror holds \
no ledger that verifies, another anchor, or no keys that open · 70 this program or machine failed";

/// Make the secret under which a mirror holds the node's keys
///
/// Writes 32 random bytes in hexadecimal to a new file that only this user can read. Name it in node.toml as secret_file of the
/// mirror, and keep a copy where neither the node nor the mirror is: whoever has the mirror and the secret has the node's keys,
/// and without the secret the mirror's keys cannot be opened.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_SECRET)]
pub(crate) struct MirrorSecret {
    /// File to write; must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const HELP_SECRET: &str = "\
Example:
  jisr node mirror-secret --out /etc/jisr/recovery-secret

Exit codes: 0 written · 64 wrong usage, or the file exists · 70 this program or machine failed";

impl Recover {
    pub(super) fn run(self) -> Result<(), Failure> {
        let from = Location::parse(&self.from).map_err(archive::failure)?;
        // Sealed with the keys under the recovery secret, configuration and anchor are the node's own.
        let unsealed = self.keys.is_some();
        let keys = match (self.secret_file, self.keys) {
            (Some(file), None) => KeySource::Secret(file),
            (None, Some(dir)) => KeySource::Directory(dir),
            _ => {
                return Err(Failure::usage(
                    "name either --secret-file or --keys",
                    "leave one of them out",
                ));
            }
        };
        let anchor = self.anchor.as_deref().map(crate::anchor::read).transpose()?;
        let restored = mirroring::recover(&from, &self.dir, &keys, anchor.as_ref()).map_err(archive::failure)?;
        if self.json {
            return output::json(&json!({
                "origin": restored.origin,
                "size": restored.size,
                "root": restored.root,
                "newest_us": restored.newest_us,
                "dir": self.dir,
            }));
        }
        output::line(format!(
            "{} size {} root {}, newest statement of {}",
            restored.origin,
            restored.size,
            restored.root,
            show(restored.newest_us)
        ));
        output::say(format!(
            "verified: {}\nnext: jisr node run --dir {}; it waits until the registry or a peer confirms that this is the newest",
            restored.verified,
            self.dir.display()
        ));
        if unsealed {
            output::say(format!(
                "{} came from the mirror as its keeper has it: read it before the node runs",
                self.dir.join("node.toml").display()
            ));
        }
        Ok(())
    }
}

impl MirrorSecret {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(Failure::usage(
                format!("{} exists already", self.out.display()),
                "name another file; a secret that is in use is never replaced",
            ));
        }
        RecoverySecret::make(&self.out).map_err(archive::failure)?;
        output::line(self.out.display());
        Ok(())
    }
}
