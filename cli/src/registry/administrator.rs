//! `jisr registry administrator`: who may act for the registry.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Subcommand};
use jisr_certs::administrator::AdministratorKey;
use jisr_certs::pem;
use jisr_proto::ident::{Code, Instance};
use jisr_proto::registry::AdministratorsRequest;
use jisr_proto::snapshot::{AdministrativeAct, Administrator, Appointment};
use jisr_registry::administration::Roles;
use serde_json::json;

use super::signing::{By, KEY};
use super::{Dir, EXIT_CODES, client, tell_pending};
use crate::failure::Failure;
use crate::{output, runtime};

/// File of the request for a certificate in an administrator's directory.
const REQUEST: &str = "request.csr";

/// Administrators of the registry
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    New(New),
    Set(Set),
    Dismiss(Dismiss),
    List(List),
    Certificate(Certificate),
}

/// Make an administrator's key and the request for a certificate, on the administrator's own machine
///
/// Writes key.pem, which never leaves the machine, and request.csr. The certificate that comes back for it belongs beside them as
/// cert.pem: `jisr registry init` writes it there, `jisr registry administrator certificate` later.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry administrator new huda --instance JO --out ./huda\n\n",
    "Exit codes: 0 made · 64 wrong usage, or files are there already · 70 this program or machine failed",
))]
pub(crate) struct New {
    /// Name as a code: lower-case letters, digits and -
    #[arg(value_name = "NAME")]
    name: Code,
    /// The network
    #[arg(long, value_name = "INSTANCE")]
    instance: Instance,
    /// Directory for the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Appoint an administrator, or change roles or certificate of one; a second administrator must approve it
///
/// Prints the id of the act.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry administrator set dalia --roles admit,certify --request dalia/request.csr \\\n",
    "      --dir /var/lib/jisr-registry --administrator huda\n\n",
    "Exit codes: 0 proposed · 1 refused, or the registry is not running · 64 wrong usage · 70 this program or machine failed",
))]
pub(crate) struct Set {
    /// Whom
    #[arg(value_name = "NAME")]
    name: Code,
    /// One or more of admit, certify, publish, audit, parted by commas
    #[arg(long, value_name = "ROLES")]
    roles: Roles,
    /// Request for a certificate; without it the one in force stays
    #[arg(long, value_name = "PEM")]
    request: Option<PathBuf>,
    #[command(flatten)]
    registry: Dir,
    #[command(flatten)]
    by: By,
}

/// Dismiss an administrator; a second one must approve it
///
/// Prints the id of the act. Each of the roles admit, certify and publish stays with two.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Dismiss {
    /// Whom
    #[arg(value_name = "NAME")]
    name: Code,
    #[command(flatten)]
    registry: Dir,
    #[command(flatten)]
    by: By,
}

/// List administrators and their roles
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct List {
    #[command(flatten)]
    registry: Dir,
    /// Print one object {administrators: [{name, roles}], dangerous_single}
    #[arg(long)]
    json: bool,
}

/// Write an administrator's certificate, as the registry issued it
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry administrator certificate dalia --dir /var/lib/jisr-registry --out dalia/cert.pem\n\n",
    "Exit codes: 0 written · 1 there is no such administrator, or the registry is not running · 64 wrong usage · \
     70 this program or machine failed",
))]
pub(crate) struct Certificate {
    /// Whose
    #[arg(value_name = "NAME")]
    name: Code,
    #[command(flatten)]
    registry: Dir,
    /// A new file
    #[arg(long, value_name = "PEM")]
    out: PathBuf,
}

impl Command {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Command::New(new) => new.run(),
            Command::Set(set) => set.run(),
            Command::Dismiss(dismiss) => dismiss.run(),
            Command::List(list) => list.run(),
            Command::Certificate(certificate) => certificate.run(),
        }
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let failed = |error: jisr_certs::CertError| Failure::fault(error.to_string(), "");
        let key = AdministratorKey::generate().map_err(failed)?;
        let request = key.request(&self.instance, &self.name).map_err(failed)?;
        output::private_dir(&self.out)?;
        output::write_secret(&self.out.join(KEY), key.pem().as_bytes())?;
        output::write_new(&self.out.join(REQUEST), pem::request_to_pem(&request).as_bytes())?;
        output::line(self.out.join(REQUEST).display());
        Ok(())
    }
}

impl Set {
    fn run(self) -> Result<(), Failure> {
        let request = self.request.as_deref().map(super::request).transpose()?;
        let appointment = Appointment {
            name: self.name.to_string(),
            roles: self.roles.number(),
            request: Bytes::from(request.unwrap_or_default()),
        };
        appoint(appointment, &self.registry, &self.by)
    }
}

impl Dismiss {
    fn run(self) -> Result<(), Failure> {
        let appointment = Appointment {
            name: self.name.to_string(),
            ..Appointment::default()
        };
        appoint(appointment, &self.registry, &self.by)
    }
}

fn appoint(appointment: Appointment, registry: &Dir, by: &By) -> Result<(), Failure> {
    let act = AdministrativeAct {
        appointment: Some(appointment),
        ..AdministrativeAct::default()
    };
    tell_pending(&runtime::block_on(by.does(registry, act))?);
    Ok(())
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let listed = runtime::block_on(async {
            let request = AdministratorsRequest {};
            Ok(client(&self.registry)
                .await?
                .administrators(request)
                .await?
                .into_inner())
        })?;
        let roles = |row: &Administrator| Roles::from_number(row.roles).unwrap_or_default().to_string();
        if self.json {
            let rows = listed.administrators.iter();
            let rows: Vec<_> = rows.map(|row| json!({"name": row.name, "roles": roles(row)})).collect();
            return output::json(&json!({"administrators": rows, "dangerous_single": listed.dangerous_single}));
        }
        for row in &listed.administrators {
            output::line(format!("{:<20} {}", row.name, roles(row)));
        }
        if listed.dangerous_single {
            output::say("one administrator is enough here: whoever proposes an act may approve it");
        }
        Ok(())
    }
}

impl Certificate {
    fn run(self) -> Result<(), Failure> {
        let listed = runtime::block_on(async {
            let request = AdministratorsRequest {};
            Ok(client(&self.registry)
                .await?
                .administrators(request)
                .await?
                .into_inner())
        })?;
        let found = listed
            .administrators
            .into_iter()
            .find(|row| row.name == self.name.as_str());
        let row = found.ok_or_else(|| {
            let what = format!("{} is no administrator of this registry", self.name);
            Failure::refused(
                what,
                "you, the caller",
                "",
                "`jisr registry administrator list` shows who is one",
            )
        })?;
        let text = pem::certificates_to_pem(row.certificates.iter().map(Bytes::as_ref));
        output::write_new(&self.out, text.as_bytes())?;
        output::line(self.out.display());
        Ok(())
    }
}
