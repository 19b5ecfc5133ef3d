//! `jisr node succeed`: a new ledger in place of the old one.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jisr_ledger::clock::SystemClock;
use jisr_node::succession;
use serde_json::json;

use super::serve::{failure, token};
use crate::failure::Failure;
use crate::{output, runtime};

/// Begin a new ledger that cites the old one
///
/// For a planned change, or as the way out of quarantine. A ledger that is sound is ended first: the registry confirms that nobody saw
/// more of it, ENDED becomes its last entry, and the registry is shown that. One in quarantine cannot be sealed any more; the new one
/// cites its head on this machine and the head that others hold.
///
/// The node must be stopped, and gets new certificates, a new seal key and a new witness key. The old seal key is destroyed; the old
/// segments stay in DIR/ledgers. What did not come to its end can be run again.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Succeed {
    /// Data directory of the node
    #[arg(long, alias = "data", value_name = "DIR")]
    dir: PathBuf,
    /// The token, as `jisr registry token` printed it; @FILE reads it from a file, - from standard input
    #[arg(long, value_name = "TOKEN")]
    token: String,
    /// Print one object {old, new, ended, heads: [{origin, size, root}]}
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  jisr node succeed --dir /var/lib/jisr --token @token
  jisr node run --dir /var/lib/jisr
  jisr ledger verify /var/lib/jisr/ledger --anchor anchor --predecessor /var/lib/jisr/ledgers/2026

Exit codes: 0 done · 1 refused, or the registry cannot be reached · 64 wrong usage, or no such token · 66 node.toml or FILE cannot be \
used · 70 the node runs, its ledger cannot be ended, or this machine failed";

impl Succeed {
    pub(super) fn run(self) -> Result<(), Failure> {
        let token = token(&self.token)?;
        let succeeded = runtime::block_on(async {
            succession::succeed(&self.dir, token.trim(), Arc::new(SystemClock))
                .await
                .map_err(failure)
        })?;
        if self.json {
            let heads: Vec<_> = succeeded
                .heads
                .iter()
                .map(|head| json!({"origin": head.origin, "size": head.size, "root": output::base64(&head.root)}))
                .collect();
            return output::json(&json!({
                "old": succeeded.old,
                "new": succeeded.new.to_string(),
                "ended": succeeded.ended,
                "heads": heads,
            }));
        }
        output::line(&succeeded.new);
        for head in &succeeded.heads {
            output::say(format!(
                "cites {} size {} root {}",
                head.origin,
                head.size,
                output::base64(&head.root)
            ));
        }
        if !succeeded.ended {
            output::say(
                "the old ledger could not be ended: what others hold of it and this machine does not, is lost here",
            );
        }
        output::say(format!("next: jisr node run --dir {}", self.dir.display()));
        Ok(())
    }
}
