//! `jisr node holds`: what may not be erased.

use clap::Args;
use jisr_proto::admin::HoldsRequest;
use jisr_proto::canonical;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Hold;
use serde_json::json;

use super::Dir;
use crate::failure::Failure;
use crate::instant::show;
use crate::{output, runtime};

/// List the holds that stand
///
/// One line each: digest, what it covers, reason. `jisr node release propose DIGEST` begins to end one.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Holds {
    #[command(flatten)]
    node: Dir,
    /// Print an array of {digest, exchanges, from_us, until_us, reason}
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  jisr node holds --dir /var/lib/jisr

Exit codes: 0 listed, also where there are none · 1 nobody reached · 64 wrong usage · 70 this program or machine failed";

impl Holds {
    /// Does what the command says.
    pub(in crate::node) fn run(self) -> Result<(), Failure> {
        runtime::block_on(self.list())
    }

    async fn list(self) -> Result<(), Failure> {
        let reply = super::client(&self.node)
            .await?
            .holds(HoldsRequest {})
            .await?
            .into_inner();
        let mut rows = Vec::with_capacity(reply.holds.len());
        for standing in reply.holds {
            let hold: Hold = canonical::decode(&standing.hold).map_err(|error| {
                Failure::fault(
                    format!("a hold: {error}"),
                    "use the jisr of the version that the node runs",
                )
            })?;
            rows.push((output::hex(&standing.digest), exchanges(&hold), hold));
        }
        if self.json {
            let row = |(digest, exchanges, hold): &(String, Vec<String>, Hold)| {
                json!({
                    "digest": digest,
                    "exchanges": exchanges,
                    "from_us": hold.from_us,
                    "until_us": hold.until_us,
                    "reason": hold.reason,
                })
            };
            return output::json(&rows.iter().map(row).collect::<Vec<_>>());
        }
        for (digest, exchanges, hold) in &rows {
            let mut covers = exchanges.join(", ");
            if hold.from_us < hold.until_us {
                let apart = if covers.is_empty() { "" } else { ", " };
                covers = format!("{covers}{apart}{} to {}", show(hold.from_us), show(hold.until_us));
            }
            output::line(format!("{digest}  {covers}  {}", output::printable(&hold.reason)));
        }
        if rows.is_empty() {
            output::say("no hold stands");
        }
        Ok(())
    }
}

fn exchanges(hold: &Hold) -> Vec<String> {
    let text =
        |id: &bytes::Bytes| ExchangeId::try_from(id.as_ref()).map_or_else(|_| output::hex(id), |id| id.to_string());
    hold.exchanges.iter().map(text).collect()
}
