//! `jisr evidence`: the file that proves exchanges: exported, verified, shown, and cut to what its reader may see.

mod export;
mod offline;
mod parts;
mod redact;
mod schemas;
mod selection;
mod show;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

/// Largest file of a set, bytes; one about one exchange is smaller.
const SET_BYTES_MAX: u64 = jisr_ledger::evidence::SET_BYTES_MAX as u64;

/// Commands on evidence files.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Export(Box<export::Export>),
    Verify(verify::Verify),
    Show(show::Show),
    Redact(redact::Redact),
}

/// Does what the command says.
pub(crate) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Export(export) => export.run().map(|()| ExitCode::SUCCESS),
        Command::Verify(verify) => verify.run(),
        Command::Show(show) => show.run().map(|()| ExitCode::SUCCESS),
        Command::Redact(redact) => redact.run().map(|()| ExitCode::SUCCESS),
    }
}
