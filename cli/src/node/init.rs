//! `jisr node init`: the configuration of a new node, commented.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_node::setup;
use jisr_proto::ident::{NodeId, ServiceName, SubsystemId};

use crate::failure::Failure;
use crate::output;

/// Make a new node: configuration, keys and local CA
///
/// Writes DIR/node.toml, commented, and makes the node's keys and the member's local CA in DIR/keys. Starts nothing and
/// asks nobody; next comes `jisr node enrol`.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Init {
    /// Data directory, new or empty; everything the node keeps will lie in it
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Who this node is, `JO/GOV/mol/node/node1`
    #[arg(long, value_name = "NODE")]
    node: NodeId,
    /// The registry
    #[arg(long, value_name = "HOST:PORT")]
    registry: String,
    /// Where the agency's own applications call
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7401")]
    local: SocketAddr,
    /// Name or address that applications call, for the door's certificate; repeatable
    /// [default: the address of --local and localhost]
    #[arg(long, value_name = "NAME")]
    local_name: Vec<String>,
    /// Where other nodes call
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7400")]
    peer: SocketAddr,
    /// How other nodes reach that
    #[arg(long, value_name = "HOST:PORT")]
    public: String,
    /// A service of this member and the server that runs it, http:// for plain HTTP/2 (h2c); repeatable
    #[arg(long, value_name = "SERVICE=SUBSYSTEM=URL")]
    backend: Vec<Backend>,
    /// Take every local caller for this subsystem, without TLS; only on loopback, only where every local program and
    /// user may speak for it
    #[arg(long, value_name = "SUBSYSTEM")]
    dangerous_plain_loopback: Vec<SubsystemId>,
}

const HELP: &str = "\
Example:
  jisr node init --dir /var/lib/jisr --node JO/GOV/mol/node/node1 --registry registry.jo:7300 \\
      --public jisr.mol.gov.jo:7400 \\
      --backend jo.labour.v1.WorkPermits=JO/GOV/mol/permits=http://127.0.0.1:50051

Exit codes: 0 written · 64 wrong usage, or there is a configuration already · 70 it cannot be written";

/// One `--backend`.
#[derive(Clone, Debug)]
struct Backend {
    service: ServiceName,
    subsystem: SubsystemId,
    url: String,
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Backend, String> {
        let form = || format!("{text:?} is not SERVICE=SUBSYSTEM=URL");
        let (service, rest) = text.split_once('=').ok_or_else(form)?;
        let (subsystem, url) = rest.split_once('=').ok_or_else(form)?;
        Ok(Backend {
            service: service.parse().map_err(|error| format!("{error}"))?,
            subsystem: subsystem.parse().map_err(|error| format!("{error}"))?,
            url: url.to_owned(),
        })
    }
}

impl Init {
    pub(super) fn run(self) -> Result<(), Failure> {
        output::private_dir(&self.dir)?;
        let path = self.dir.join("node.toml");
        output::write_new(&path, self.text().as_bytes())?;
        // Read back by the node's own reader: what it refuses must not be left behind as if it were good.
        if let Err(failure) = super::config(&self.dir) {
            std::fs::remove_file(&path).map_err(|error| Failure::unwritable(&path, error))?;
            return Err(Failure::usage(
                failure.to_string(),
                "correct the value and run the command again",
            ));
        }
        setup::init(&self.dir, SystemClock.now_us()).map_err(super::serve::failure)?;
        output::line(path.display());
        super::say_secret(&super::config(&self.dir)?.secret_source());
        output::say(format!("next: jisr node enrol TOKEN --dir {}", self.dir.display()));
        Ok(())
    }

    fn text(&self) -> String {
        let names = if self.local_name.is_empty() {
            vec![self.local.ip().to_string(), "localhost".to_owned()]
        } else {
            self.local_name.clone()
        };
        let mut text = format!(
            "{HEAD}node = {}\n\n{REGISTRY}registry = {}\n\n{LOCAL}[local_door]\nlisten = {}\n{NAMES}names = {}\n",
            output::toml(self.node.as_str()),
            output::toml(&self.registry),
            output::toml(&self.local.to_string()),
            output::toml_list(&names),
        );
        if !self.dangerous_plain_loopback.is_empty() {
            let names: Vec<String> = self.dangerous_plain_loopback.iter().map(ToString::to_string).collect();
            text.push_str(&format!(
                "{PLAIN}dangerous_plain_loopback = {}\n",
                output::toml_list(&names)
            ));
        }
        text.push_str(&format!(
            "\n{PEER}[peer_door]\nlisten = {}\n{PUBLIC}public = {}\n\n{BACKENDS}",
            output::toml(&self.peer.to_string()),
            output::toml(&self.public),
        ));
        for backend in &self.backend {
            text.push_str(&format!(
                "[[backend]]\nservice = {}\nsubsystem = {}\nurl = {}\n\n",
                output::toml(backend.service.as_str()),
                output::toml(backend.subsystem.as_str()),
                output::toml(&backend.url),
            ));
        }
        if self.backend.is_empty() {
            text.push_str(NO_BACKEND);
        }
        text.push_str(LIMITS);
        text
    }
}

const HEAD: &str = "\
# A Jisr node. Paths are relative to the directory of this file, which is the node's data directory.
# Every start records the digest of this file in the node's ledger.

# Who this node is: the member, then node, then a name of its own.
";
const REGISTRY: &str = "# host:port of the registry.\n";
const LOCAL: &str =
    "# Where the agency's own applications call. They show a certificate made by `jisr node client add`.\n";
const NAMES: &str = "# Names and addresses that applications call; the door's certificate carries them.\n";
const PLAIN: &str = "# DANGEROUS: every program and every user of this machine may speak for these subsystems.\n";
const PEER: &str = "# Where other nodes call.\n";
const PUBLIC: &str = "# host:port under which they reach it; the registry lists it.\n";
const BACKENDS: &str = "\
# The member's own services and the servers that run them. http:// is plain HTTP/2 (h2c); with https:// name the
# trusted certificates: ca = \"backend-ca.pem\". The server gets the exchange id in the metadata jisr-exchange-id.
";
const NO_BACKEND: &str = "\
# [[backend]]
# service = \"jo.example.v1.Service\"
# subsystem = \"JO/GOV/example/system\"
# url = \"http://127.0.0.1:50051\"

";
const LIMITS: &str = "\
# Everything is bounded. These are the defaults; remove the # to change one.
# [limits]
# body_bytes_max = 16777216
# connections_max = 1024
# exchanges_max = 8192
# default_deadline_ms = 60000
# lifetime_max_s = 300
# skew_s = 60
# threads = 0                 # one per core

# How often ledgers are compared with peers, and how long a peer may owe the proof of what it sealed.
# [watch]
# busy_s = 5
# idle_s = 30
# unproven_s = 10

# For how long no quorum of witnesses may have cosigned this ledger: a warning, unwitnessed, the highest class refused.
# [witness]
# warn_s = 900
# unwitnessed_s = 3600
# refuse_high_s = 14400

# The secret under which the private keys lie encrypted: 64 hexadecimal digits (openssl rand -hex 32) or a passphrase. The
# systemd credential jisr-secret comes before it; without either it is the file DIR.secret beside this directory DIR.
# [keys]
# secret_file = \"/etc/jisr/secret\"

# [ledger]
# segment_bytes = 16777216    # of each file, preallocated
# reread_s = 604800           # all of it is read again in this time, and what does not hold is reported; 0: never

# A second copy of everything that this node needs, on another machine or in S3-compatible storage; see docs/operating.md.
# [[mirror]]
# url = \"file:///mnt/mirror/jisr\"
# secret_file = \"/etc/jisr/recovery-secret\"    # made by jisr node mirror-secret
";

#[cfg(test)]
mod tests {
    use super::*;

    fn init(dir: &std::path::Path) -> Init {
        Init {
            dir: dir.to_owned(),
            node: "JO/GOV/mol/node/node1".parse().unwrap(),
            registry: "127.0.0.1:7300".into(),
            local: "127.0.0.1:7401".parse().unwrap(),
            local_name: vec![],
            peer: "127.0.0.1:7400".parse().unwrap(),
            public: "127.0.0.1:7400".into(),
            backend: vec![
                "jo.labour.v1.WorkPermits=JO/GOV/mol/permits=http://127.0.0.1:50051"
                    .parse()
                    .unwrap(),
            ],
            dangerous_plain_loopback: vec![],
        }
    }

    #[test]
    fn what_it_writes_the_node_reads() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).run().unwrap();
        let config = crate::node::config(dir.path()).unwrap();
        assert_eq!(config.backends.len(), 1);
        assert_eq!(crate::node::local_address(&config), "127.0.0.1:7401");
    }

    #[test]
    fn a_configuration_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).run().unwrap();
        assert_eq!(init(dir.path()).run().unwrap_err().code(), crate::failure::USAGE);
    }

    #[test]
    fn what_the_node_would_refuse_is_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = "jo.residency.v1.ResidencePermits=JO/GOV/psd/borders=http://127.0.0.1:1"
            .parse()
            .unwrap();
        let wrong = Init {
            backend: vec![foreign],
            ..init(dir.path())
        };
        assert_eq!(wrong.run().unwrap_err().code(), crate::failure::USAGE);
        assert!(!dir.path().join("node.toml").exists());
    }

    #[test]
    fn a_backend_has_three_parts() {
        for text in [
            "",
            "a.B",
            "a.B=JO/GOV/mol/permits",
            "a=JO/GOV/mol/permits=http://x:1",
            "a.B=mol=http://x:1",
        ] {
            assert!(text.parse::<Backend>().is_err(), "{text}");
        }
    }
}
