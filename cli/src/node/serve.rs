//! `jisr node enrol` and `jisr node run`.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_node::setup::{self, SetupError};
use jisr_node::{Config, Layout, Node};
use serde_json::json;

use super::Dir;
use crate::failure::Failure;
use crate::{output, runtime};

/// Join the network with a one-time token
///
/// Sends the node's public keys to the registry and keeps what comes back: certificates, the origin of the node's ledger, the anchor and the snapshot. Private keys never leave DIR/keys.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_ENROL)]
pub(crate) struct Enrol {
    /// The token, as `jisr registry token` printed it; @FILE reads it from a file, - from standard input, so that it does not
    /// stand in the list of processes
    #[arg(value_name = "TOKEN")]
    token: String,
    #[command(flatten)]
    node: Dir,
    /// Print one object {node, origin, anchor}
    #[arg(long)]
    json: bool,
}

const HELP_ENROL: &str = "\
Example:
  jisr node enrol @token --dir /var/lib/jisr

Prints the origin of the node's ledger. Exit codes: 0 enrolled · 1 refused, or the registry cannot be reached · \
64 wrong usage, or no such token · 66 node.toml or FILE cannot be used · 70 this program or machine failed";

/// Run the node until SIGINT or SIGTERM
///
/// Exchanges in flight end, and the ledger is closed with its last checkpoint.
#[derive(Debug, Args)]
#[command(after_long_help = HELP_RUN)]
pub(crate) struct Run {
    #[command(flatten)]
    node: Dir,
}

const HELP_RUN: &str = "\
Example:
  jisr node run --dir /var/lib/jisr

Exit codes: 0 stopped by a signal · 64 wrong usage · 66 node.toml cannot be used · 70 it cannot start or cannot go on; an \
operator must look before it is started again";

impl Enrol {
    pub(super) fn run(self) -> Result<(), Failure> {
        let dir = &self.node.dir;
        let now_us = SystemClock.now_us();
        let token = token(&self.token)?;
        let enrolled = runtime::block_on(async { setup::enrol(dir, token.trim(), now_us).await.map_err(failure) })?;
        if self.json {
            let anchor = Layout::new(dir).anchor();
            let node = enrolled.node().map(|node| node.to_string());
            return output::json(&json!({"node": node, "origin": enrolled.to_string(), "anchor": anchor}));
        }
        output::line(enrolled);
        output::say(format!("next: jisr node run --dir {}", dir.display()));
        Ok(())
    }
}

/// The token itself, or what stands in the file or on the standard input that `source` names. A token begins with neither sign.
pub(super) fn token(source: &str) -> Result<String, Failure> {
    match source.strip_prefix('@') {
        Some(file) => output::read_text(Path::new(file)),
        None if source == "-" => output::stdin_text(),
        None => Ok(source.to_owned()),
    }
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = super::config(&self.node.dir)?;
        // The node's corridors run on threads of their own; what remains is little.
        runtime::block_on(serve(config))
    }
}

async fn serve(config: Config) -> Result<(), Failure> {
    let shutdown = runtime::shutdown()?;
    let node = Node::start(config, Arc::new(SystemClock))
        .await
        .map_err(|error| Failure::fault(error.to_string(), ""))?;
    shutdown.await;
    node.stop().await;
    Ok(())
}

/// Errors of the setup name the remedy themselves.
pub(super) fn failure(error: SetupError) -> Failure {
    let what = error.to_string();
    match error {
        SetupError::Config(_) => Failure::Unreadable {
            what,
            remedy: String::new(),
        },
        SetupError::Token(_) => Failure::usage(what, ""),
        SetupError::Refused(fault) => tonic::Status::from(fault).into(),
        SetupError::Unreachable { .. } | SetupError::Answer(_) | SetupError::Forked(_) => {
            Failure::refused(what, "the registry", "", "")
        }
        SetupError::Certs(_) | SetupError::Io { .. } | SetupError::State(_) => Failure::fault(what, ""),
    }
}
