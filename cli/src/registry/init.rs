//! `jisr registry init`: configuration, keys and anchor of a new registry.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_proto::ident::{Code, Epoch, Instance};
use jisr_registry::administration::{RoleError, Roles};
use jisr_registry::{Config, Founder, Founding};

use super::signing::CERTIFICATE;
use crate::failure::Failure;
use crate::{instant, output};

/// Make a new registry: configuration, keys, ledger and anchor
///
/// Writes DIR/registry.toml, commented, the registry's keys in DIR/keys, and DIR/anchor. Starts nothing.
///
/// Give the anchor to every auditor on a way that you trust: whatever is verified rests on it.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Init {
    /// Data directory, new or empty
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The network, `JO`
    #[arg(long, value_name = "INSTANCE")]
    instance: Instance,
    /// Where the registry listens
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7300")]
    listen: SocketAddr,
    /// How nodes reach it; stands in every token
    #[arg(long, value_name = "HOST:PORT")]
    public: String,
    /// DNS name or address for its TLS certificate; repeatable [default: the host of --public]
    #[arg(long, value_name = "DNS")]
    name: Vec<String>,
    /// Epoch of the ledgers [default: this year]
    #[arg(long, value_name = "YEAR")]
    epoch: Option<Epoch>,
    /// A first administrator: roles admit, certify, publish, audit, parted by commas, and the request that `administrator new` made;
    /// repeatable. cert.pem is written beside the request
    #[arg(long = "administrator", value_name = "NAME=ROLES:PEM", required = true)]
    administrators: Vec<First>,
    /// One administrator is enough, who approves what they proposed, until each role is held by two
    #[arg(long)]
    dangerous_single_administrator: bool,
}

/// A first administrator as typed.
#[derive(Debug, Clone)]
struct First {
    name: Code,
    roles: Roles,
    request: PathBuf,
}

impl FromStr for First {
    type Err = String;

    fn from_str(text: &str) -> Result<First, String> {
        let form = || format!("{text:?} is not NAME=ROLES:PEM, such as huda=admit,certify,publish:huda/request.csr");
        let (name, rest) = text.split_once('=').ok_or_else(form)?;
        let (roles, request) = rest.split_once(':').ok_or_else(form)?;
        Ok(First {
            name: name.parse().map_err(|e: jisr_proto::ident::IdentError| e.to_string())?,
            roles: roles.parse().map_err(|e: RoleError| e.to_string())?,
            request: PathBuf::from(request),
        })
    }
}

impl First {
    fn founder(&self) -> Result<Founder, Failure> {
        Ok(Founder {
            name: self.name.clone(),
            roles: self.roles,
            request: super::request(&self.request)?,
        })
    }

    /// Where the certificate goes.
    fn certificate(&self) -> PathBuf {
        self.request.with_file_name(CERTIFICATE)
    }
}

const HELP: &str = "\
Example:
  jisr registry administrator new huda --instance JO --out ./huda
  jisr registry administrator new samir --instance JO --out ./samir
  jisr registry init --dir /var/lib/jisr-registry --instance JO --public registry.jo:7300 \\
      --administrator huda=admit,certify,publish:huda/request.csr \\
      --administrator samir=admit,certify,publish:samir/request.csr
  jisr registry run --dir /var/lib/jisr-registry

Exit codes: 0 made · 64 wrong usage, or there is a registry already · 70 it cannot be written";

impl Init {
    pub(super) fn run(self) -> Result<(), Failure> {
        let founders: Result<_, Failure> = self.administrators.iter().map(First::founder).collect();
        let founding = Founding {
            founders: founders?,
            dangerous_single_administrator: self.dangerous_single_administrator,
        };
        if let Some(taken) = self
            .administrators
            .iter()
            .map(First::certificate)
            .find(|path| path.exists())
        {
            return Err(Failure::usage(
                format!("{} exists already", taken.display()),
                "give each administrator a directory of their own, and make a new key and request",
            ));
        }
        output::private_dir(&self.dir)?;
        let path = self.dir.join("registry.toml");
        output::write_new(&path, self.text()?.as_bytes())?;
        let made =
            Config::load(&path).and_then(|config| jisr_registry::init(&config, &founding, Arc::new(SystemClock)));
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                // A file that no registry was made from must not look as if one had been.
                std::fs::remove_file(&path).map_err(|error| Failure::unwritable(&path, error))?;
                return Err(super::failure(error));
            }
        };
        for (first, chain) in self.administrators.iter().zip(&made.certificates) {
            let text = jisr_certs::pem::certificates_to_pem(chain.iter().map(AsRef::as_ref));
            output::write_new(&first.certificate(), text.as_bytes())?;
            output::say(format!("{}: {}", first.name, first.certificate().display()));
        }
        output::line(self.dir.join("anchor").display());
        let config = Config::load(&path).map_err(super::failure)?;
        output::say(format!(
            "the private keys lie encrypted under a secret: {}. Keep a copy of it apart from every copy of the data directory: without it \
             nobody opens the keys, and whoever has both has them",
            config.secret_source()
        ));
        output::say(format!("next: jisr registry run --dir {}", self.dir.display()));
        Ok(())
    }

    fn text(&self) -> Result<String, Failure> {
        let epoch = match &self.epoch {
            Some(epoch) => epoch.to_string(),
            // RFC 3339 begins with the year.
            None => instant::show(SystemClock.now_us()).chars().take(4).collect(),
        };
        let host = self
            .public
            .rsplit_once(':')
            .map_or(self.public.as_str(), |(host, _port)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let names = if self.name.is_empty() {
            vec![host]
        } else {
            self.name.clone()
        };
        Ok(format!(
            "{HEAD}instance = {}\n\n{EPOCH}epoch = {}\n\n{DATA}data = \".\"\n\n{LISTEN}listen = {}\npublic = {}\n{NAMES}names = {}\n\n{REST}",
            output::toml(self.instance.as_str()),
            output::toml(&epoch),
            output::toml(&self.listen.to_string()),
            output::toml(&self.public),
            output::toml_list(&names),
        ))
    }
}

const HEAD: &str = "\
# A Jisr registry. Paths are relative to the directory of this file.

# The network it governs.
";
const EPOCH: &str = "# Epoch in the origins of the ledgers: the year in which they begin.\n";
const DATA: &str = "# Everything the registry keeps: keys, ledger, schemas, anchor, admin socket.\n";
const LISTEN: &str = "# Where it listens for nodes, and how they reach it; the latter stands in every token.\n";
const NAMES: &str = "# DNS names and addresses that its TLS certificate carries.\n";
const REST: &str = "\
# These are the defaults; remove the # to change one.
# [snapshot]
# lifetime_s = 259200         # nodes refuse to work on an older one
# refresh_s = 60

# The secret under which the private keys lie encrypted: 64 hexadecimal digits (openssl rand -hex 32) or a passphrase. The
# systemd credential jisr-secret comes before it; without either it is the file DIR.secret beside this directory DIR.
# [keys]
# secret_file = \"/etc/jisr/secret\"

# [certificates]
# tls_days = 7
# seal_days = 400

# [limits]
# connections = 4096
# enrolments_per_minute = 60  # without a certificate, by address
# enrolments_per_minute_all = 6000
# requests_per_minute = 6000  # of one node
";
