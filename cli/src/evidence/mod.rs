//! `jisr evidence`: the file that proves one exchange: exported, verified, shown.

mod export;
mod show;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

/// Largest evidence file, bytes.
const FILE_BYTES_MAX: u64 = jisr_ledger::evidence::EVIDENCE_BYTES_MAX as u64;

/// Commands on evidence files.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Export(export::Export),
    Verify(verify::Verify),
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
