//! `jisr evidence`: the file that proves one exchange: exported, verified, shown.

mod export;
mod show;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

/// Largest evidence file, bytes (docs/formats.md, evidence file): header, digest and a body of 16 MiB.
const FILE_BYTES_MAX: u64 = 40 + (16 << 20);

/// Commands on evidence files.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Have the node write the evidence file of one exchange
    Export(export::Export),
    /// Verify an evidence file, offline, trusting nothing but the anchor
    Verify(verify::Verify),
    /// Show what an evidence file holds. This verifies nothing
    Show(show::Show),
}

/// Does what the command says.
pub(crate) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Export(export) => export.run().map(|()| ExitCode::SUCCESS),
        Command::Verify(verify) => verify.run(),
        Command::Show(show) => show.run().map(|()| ExitCode::SUCCESS),
    }
}
