//! `jisr evidence verify`: the auditor's command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::evidence::{self, Verifier};

use super::SET_BYTES_MAX;
use crate::failure::Failure;
use crate::{anchor, instant, output, verdict};

/// Verify an evidence file, of one exchange or of many, offline, trusting nothing but the anchor
///
/// Prints the verdict, then each check with what it found and what it means; of a set, a block for each exchange. What the
/// file does not have is listed as `not present`.
#[derive(Debug, Args)]
#[command(after_help = verdict::HELP, after_long_help = concat!(
    "Example:\n  jisr evidence verify permit.jisr --anchor anchor --json\n\n",
    "Exit codes: 0 VALID · 1 INVALID, also where it cannot be parsed or is empty · 2 INDETERMINATE: what is there is ",
    "sound, but does not suffice · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed",
))]
pub(crate) struct Verify {
    /// Evidence file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Anchor of the network, as `jisr registry anchor` prints it, obtained on a way that you trust
    #[arg(long, value_name = "ANCHOR")]
    anchor: PathBuf,
    /// Judge as of this instant, RFC 3339 [default: now]
    #[arg(long, value_name = "T")]
    time: Option<String>,
    /// Print one object {verdict, reason, checks: [{id, verdict, text}]}; of a set with exchanges: [{exchange_id, verdict, reason, checks}] besides
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let time_us = self.time.as_deref().map(instant::parse).transpose()?;
        let time_us = time_us.unwrap_or_else(|| SystemClock.now_us());
        let verifier = Verifier::new(anchor::read(&self.anchor)?);
        let file = output::read(&self.file, SET_BYTES_MAX)?;
        if evidence::is_set(&file) {
            verdict::print_set(&verifier.verify_set(&file, time_us), self.json)
        } else {
            verdict::print(&verifier.verify(&file, time_us), self.json)
        }
    }
}
