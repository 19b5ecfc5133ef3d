//! `jisr registry status`: what the running registry says of itself.

use clap::Args;
use jisr_proto::registry::RegistryStatusRequest;
use serde_json::json;

use super::{Dir, EXIT_CODES, client};
use crate::failure::Failure;
use crate::{instant, output, runtime};

/// Tell ledger, snapshot, members, nodes, services and agreements of the running registry
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Status {
    #[command(flatten)]
    registry: Dir,
    /// Print one object; times are microseconds since 1970
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let status = runtime::block_on(async {
            Ok(client(&self.registry)
                .await?
                .status(RegistryStatusRequest {})
                .await?
                .into_inner())
        })?;
        let root = output::base64(&status.root);
        if self.json {
            return output::json(&json!({
                "instance": status.instance,
                "origin": status.origin,
                "size": status.size,
                "root": root,
                "snapshot_version": status.snapshot_version,
                "snapshot_expires_us": status.snapshot_expires_us,
                "members": status.members,
                "nodes": status.nodes,
                "services": status.services,
                "agreements": status.agreements,
                "state": status.state,
                "state_text": status.state_text,
                "cosigned_size": status.cosigned_size,
                "stamped_size": status.stamped_size,
                "stamped_us": status.stamped_us,
                "pending_acts": status.pending_acts,
            }));
        }
        output::line(format!("instance    {}", status.instance));
        output::line(format!(
            "ledger      {} size {} root {root}",
            status.origin, status.size
        ));
        output::line(format!("cosigned    up to size {} by nodes", status.cosigned_size));
        let stamped = match status.stamped_us {
            0 => "not yet".to_owned(),
            at => format!("size {} at {}", status.stamped_size, instant::show(at)),
        };
        output::line(format!("stamped     {stamped}"));
        if status.pending_acts > 0 {
            output::line(format!(
                "acts        {} await a second administrator",
                status.pending_acts
            ));
        }
        let because = if status.state_text.is_empty() { "" } else { ": " };
        output::line(format!("state       {}{because}{}", status.state, status.state_text));
        let expires = instant::show(status.snapshot_expires_us);
        output::line(format!("snapshot    {}, expires {expires}", status.snapshot_version));
        let rows = [
            ("member", &status.members),
            ("node", &status.nodes),
            ("service", &status.services),
            ("agreement", &status.agreements),
        ];
        for (name, values) in rows {
            for value in values {
                output::line(format!("{name:<11} {value}"));
            }
        }
        Ok(())
    }
}
