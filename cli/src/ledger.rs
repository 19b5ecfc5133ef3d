//! `jisr ledger`: whole ledgers, verified and compared.

mod compare;
mod index;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jisr_ledger::note::{Checkpoint, SignedNote};
use jisr_ledger::verify::{self, Options};

pub(crate) use compare::failed;

use crate::failure::Failure;
use crate::{anchor, archive, output, verdict};

/// The largest signed note, bytes (C2SP signed-note; docs/formats.md).
const NOTE_BYTES_MAX: u64 = 64 << 10;

/// Commands on ledgers.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Verify(Verify),
    Compare(compare::Compare),
    Index(index::Index),
}

/// Verify a ledger directory, offline, trusting nothing but the anchor
///
/// The directory may be live, copied or archived; no lock is taken and no key is needed. Every byte of every file in it
/// counts, except under index/. A tail that is not cosigned yet is reported, and so is a torn one.
#[derive(Debug, Args)]
#[command(after_help = verdict::HELP, after_long_help = concat!(
    "Example:\n  jisr ledger verify /var/lib/jisr/ledger --anchor anchor\n",
    "  jisr ledger verify ./copy --anchor anchor --checkpoint seen-last-year.note --json\n\n",
    "Exit codes: 0 VALID · 1 INVALID, also where it cannot be parsed or is empty · 2 INDETERMINATE: what is there is ",
    "sound, but does not suffice · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed",
))]
pub(crate) struct Verify {
    /// Ledger directory: the one that holds segments/; or an s3:// address
    #[arg(value_name = "DIR")]
    dir: String,
    /// Anchor of the network, as `jisr registry anchor` prints it, obtained on a way that you trust
    #[arg(long, value_name = "ANCHOR")]
    anchor: PathBuf,
    /// A checkpoint of this ledger that was seen earlier: it must be a stage of what lies here
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The ledger that this one succeeds: STARTED must cite its head, so that nothing of its end is missing
    #[arg(long, value_name = "DIR")]
    predecessor: Option<String>,
    /// Print one object {verdict, reason, checks: [{id, verdict, text}], origin, size, root}
    #[arg(long)]
    json: bool,
}

/// Does what the command says.
pub(crate) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Verify(verify) => verify.run(),
        Command::Compare(compare) => compare.run(),
        Command::Index(index) => index.run(),
    }
}

impl Verify {
    fn run(self) -> Result<ExitCode, Failure> {
        let anchor = anchor::read(&self.anchor)?;
        let checkpoint = self.checkpoint.as_deref().map(kept).transpose()?;
        let ledger = archive::Archive::open(&self.dir)?;
        let options = Options { checkpoint };
        let report = match &self.predecessor {
            None => verify::directory(ledger.dir(), &anchor, &options),
            Some(old) => verify::succession(ledger.dir(), archive::Archive::open(old)?.dir(), &anchor, &options),
        };
        let report = report.map_err(|error| Failure::unreadable(ledger.dir(), error))?;
        verdict::print(&report, self.json)
    }
}

/// The checkpoint at `path`. What is none says nothing about the ledger and is refused here; one that does not hold, or is not of
/// this ledger, is for the verifier to judge.
fn kept(path: &Path) -> Result<Vec<u8>, Failure> {
    let note = output::read(path, NOTE_BYTES_MAX)?;
    SignedNote::parse(&note)
        .and_then(|signed| Checkpoint::parse(signed.text))
        .map_err(|error| {
            Failure::unusable(
                path,
                format!("it is no checkpoint: {error}"),
                "name a file that holds one signed checkpoint (docs/formats.md, Tree, notes, checkpoints)",
            )
        })?;
    Ok(note)
}
