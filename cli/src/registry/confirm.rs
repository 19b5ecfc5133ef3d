//! `jisr registry confirm`: an administrator vouches for the registry's ledger after a start.

use clap::Args;
use jisr_proto::registry::RegistryStatusRequest;
use jisr_proto::snapshot::{AdministrativeAct, Confirmation};
use serde_json::json;

use super::signing::By;
use super::{Dir, client};
use crate::failure::Failure;
use crate::{output, runtime};

/// Confirm after a start that nothing newer is known of the registry's ledger
///
/// Needed only where no node is enrolled yet: otherwise the nodes that connect show what they hold of the ledger, and whoever held
/// most counts, once all have or 10 s after the first. Until then the registry seals nothing.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry confirm --dir /var/lib/jisr-registry --administrator ./huda\n\n",
    "Exit codes: 0 done · 1 refused, or the registry is not running · 64 wrong usage · 70 this program or machine failed",
))]
pub(crate) struct Confirm {
    #[command(flatten)]
    registry: Dir,
    #[command(flatten)]
    by: By,
    /// Print one object {size}
    #[arg(long)]
    json: bool,
}

impl Confirm {
    pub(super) fn run(self) -> Result<(), Failure> {
        let confirmed = runtime::block_on(async {
            let status = client(&self.registry)
                .await?
                .status(RegistryStatusRequest {})
                .await?
                .into_inner();
            let head = Confirmation {
                size: status.size,
                root: status.root,
            };
            let act = AdministrativeAct {
                confirmation: Some(head),
                ..AdministrativeAct::default()
            };
            self.by.does(&self.registry, act).await
        })?;
        if self.json {
            return output::json(&json!({ "size": confirmed.size }));
        }
        output::line(format!(
            "the registry goes on with {} entries in its ledger",
            confirmed.size
        ));
        Ok(())
    }
}
