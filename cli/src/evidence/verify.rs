//! `jisr evidence verify`: the auditor's command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jisr_ledger::clock::{Clock, SystemClock};

use super::FILE_BYTES_MAX;
use crate::failure::Failure;
use crate::{anchor, instant, output, verdict};

/// Verify an evidence file, offline, trusting nothing but the anchor
///
/// Prints the verdict, then each check with what it found. What the file does not have is listed as `not present`.
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
    /// Print one object {verdict, reason, checks: [{id, verdict, text}]}
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let time_us = self.time.as_deref().map(instant::parse).transpose()?;
        let anchor = anchor::read(&self.anchor)?;
        let file = output::read(&self.file, FILE_BYTES_MAX)?;
        let report = jisr_ledger::evidence::verify(&file, &anchor, time_us.unwrap_or_else(|| SystemClock.now_us()));
        verdict::print(&report, self.json)
    }
}
