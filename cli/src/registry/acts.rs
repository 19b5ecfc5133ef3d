//! Acts that take four eyes: listed, approved, rejected.

use bytes::Bytes;
use clap::Args;
use jisr_certs::administrator;
use jisr_proto::canonical;
use jisr_proto::registry::{ActsRequest, PendingAct};
use jisr_proto::snapshot::{ActApproval, ActRejection, AdministrativeAct};
use jisr_registry::administration::Roles;
use serde_json::json;

use super::signing::By;
use super::{Dir, EXIT_CODES, client};
use crate::failure::Failure;
use crate::{instant, output, runtime};

/// Fewest digits of an id that name an act.
const ID_DIGITS_MIN: usize = 8;

/// List the acts that await a second administrator
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Acts {
    #[command(flatten)]
    registry: Dir,
    /// Print one array of objects {id, administrator, entry, expires_us, says}
    #[arg(long)]
    json: bool,
}

/// Approve an act that another administrator proposed
///
/// Shows what the act says, and signs exactly that. Whoever proposed it cannot approve it.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry approve 5f2c81aa --dir /var/lib/jisr-registry --administrator ./samir\n\n",
    "Exit codes: 0 done · 1 refused, or the registry is not running · 64 wrong usage · 70 this program or machine failed",
))]
pub(crate) struct Approve {
    /// Id of the act, or its first 8 digits or more
    #[arg(value_name = "ID")]
    act: String,
    #[command(flatten)]
    registry: Dir,
    #[command(flatten)]
    by: By,
}

/// Reject an act that awaits a second administrator
///
/// Any administrator with the role that the act takes, or whoever proposed it.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Reject {
    /// Id of the act, or its first 8 digits or more
    #[arg(value_name = "ID")]
    act: String,
    /// Why; enters the registry's ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    registry: Dir,
    #[command(flatten)]
    by: By,
}

/// A pending act as it was shown: the id is computed here, over what is shown.
struct Shown {
    digest: [u8; 32],
    act: AdministrativeAct,
    row: PendingAct,
}

impl Acts {
    pub(super) fn run(self) -> Result<(), Failure> {
        let acts = runtime::block_on(pending(&self.registry))?;
        if self.json {
            let rows = acts.iter().map(|shown| {
                json!({
                    "id": output::hex(&shown.digest),
                    "administrator": shown.row.administrator,
                    "entry": shown.row.entry,
                    "expires_us": shown.row.expires_us,
                    "says": says(&shown.act),
                })
            });
            return output::json(&rows.collect::<Vec<_>>());
        }
        for shown in &acts {
            shown.lines().iter().for_each(output::line);
        }
        Ok(())
    }
}

impl Approve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = runtime::block_on(async {
            let shown = find(pending(&self.registry).await?, &self.act)?;
            shown.lines().iter().for_each(output::say);
            let act = AdministrativeAct {
                approval: Some(ActApproval {
                    act: Bytes::copy_from_slice(&shown.digest),
                }),
                ..AdministrativeAct::default()
            };
            self.by.does(&self.registry, act).await
        })?;
        output::say(format!("approved, as of snapshot {}", answer.snapshot_version));
        if !answer.certificates.is_empty() {
            output::say("the certificate: jisr registry administrator certificate NAME --out NAME/cert.pem");
        }
        Ok(())
    }
}

impl Reject {
    pub(super) fn run(self) -> Result<(), Failure> {
        runtime::block_on(async {
            let shown = find(pending(&self.registry).await?, &self.act)?;
            let act = AdministrativeAct {
                rejection: Some(ActRejection {
                    act: Bytes::copy_from_slice(&shown.digest),
                    reason: self.reason,
                }),
                ..AdministrativeAct::default()
            };
            self.by.does(&self.registry, act).await
        })?;
        output::say("rejected");
        Ok(())
    }
}

async fn pending(registry: &Dir) -> Result<Vec<Shown>, Failure> {
    let acts = client(registry).await?.acts(ActsRequest {}).await?.into_inner().acts;
    acts.into_iter().map(Shown::read).collect()
}

/// The one act whose id begins so.
fn find(acts: Vec<Shown>, id: &str) -> Result<Shown, Failure> {
    let remedy = "`jisr registry acts` lists those that wait; write the whole id";
    if id.len() < ID_DIGITS_MIN {
        return Err(Failure::usage(
            format!("an id has {ID_DIGITS_MIN} digits or more"),
            remedy,
        ));
    }
    let mut found = acts
        .into_iter()
        .filter(|shown| output::hex(&shown.digest).starts_with(id));
    match (found.next(), found.next()) {
        (Some(shown), None) => Ok(shown),
        (None, _) => Err(Failure::refused(
            format!("no act {id} awaits a second administrator"),
            "you, the caller",
            "",
            remedy,
        )),
        _ => Err(Failure::usage(format!("several acts begin with {id}"), remedy)),
    }
}

impl Shown {
    fn read(row: PendingAct) -> Result<Shown, Failure> {
        let document = row
            .signed
            .as_ref()
            .map(|signed| signed.document.clone())
            .unwrap_or_default();
        let act = canonical::decode(&document);
        let wrong = |error| {
            Failure::fault(
                format!("an act that waits: {error}"),
                "compare the versions of jisr and registry",
            )
        };
        Ok(Shown {
            digest: administrator::digest(&document),
            act: act.map_err(wrong)?,
            row,
        })
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("act         {}", output::hex(&self.digest)),
            format!(
                "proposed by {}, until {}",
                self.row.administrator,
                instant::show(self.row.expires_us)
            ),
        ];
        lines.extend(says(&self.act).into_iter().map(|line| format!("            {line}")));
        lines
    }
}

/// What an act that takes four eyes says, line by line.
fn says(act: &AdministrativeAct) -> Vec<String> {
    let mut lines = Vec::new();
    for row in act.admission.iter().flat_map(|admission| &admission.members) {
        lines.push(format!("admits {}", super::members::show(row)));
    }
    if let Some(removal) = &act.removal {
        let (member, reason) = (output::printable(&removal.member), output::printable(&removal.reason));
        lines.push(format!(
            "removes {member} with its nodes, services and agreements: {reason}"
        ));
    }
    if let Some(appointment) = &act.appointment {
        let name = output::printable(&appointment.name);
        let key = if appointment.request.is_empty() {
            "the same key"
        } else {
            "a new key"
        };
        lines.push(match Roles::from_number(appointment.roles) {
            Some(roles) if !roles.is_empty() => format!("makes {name} an administrator with {roles}, {key}"),
            _ => format!("dismisses the administrator {name}"),
        });
    }
    if let Some(policy) = &act.witness_policy {
        lines.push(format!(
            "asks for {:?} cosigners: ROUTINE, STANDARD, HIGH",
            policy.quorum
        ));
        for witness in &policy.witnesses {
            let (name, operator) = (output::printable(&witness.name), output::printable(&witness.operator));
            lines.push(format!(
                "lists the witness {name} of {operator}, key {}",
                output::hex(&witness.key)
            ));
        }
    }
    lines
}
