//! `jisr audit`: what a ledger tells of its exchanges, for whoever must look through it. Nothing here needs the network.
//!
//! Every command verifies the directory first and says the verdict: on standard output before what people read, on
//! standard error beside what programs read.

mod chart;
mod count;
mod export;
mod filter;
mod html;
mod list;
mod record;
mod report;
mod sample;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jisr_ledger::archive::{Archive, Exchange, Exchanges, Row};
use jisr_ledger::report::{Report, Verdict};
use jisr_ledger::vault::Vault;
use jisr_ledger::verify;

use crate::failure::{Failure, REFUSED};
use crate::ledger::failed;
use crate::{anchor, archive, output};
use filter::Filter;

/// Commands on the exchanges of a ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::List),
    Count(count::Count),
    Sample(sample::Sample),
    Export(export::Export),
    Report(report::ReportCommand),
}

/// Does what the command says.
pub(crate) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::List(list) => list.run(),
        Command::Count(count) => count.run(),
        Command::Sample(sample) => sample.run(),
        Command::Export(export) => export.run(),
        Command::Report(report) => report.run(),
    }
}

/// Exit codes, for help texts.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 done, the ledger is VALID (or was not verified) · 1 the ledger is INVALID · 2 done, the ledger is \
INDETERMINATE · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed";

/// Which ledger, and which of its exchanges.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Ledger directory: the one that holds segments/; live, copied, archived or mirrored; or an s3:// address
    #[arg(value_name = "DIR")]
    dir: String,
    /// Anchor of the network, as `jisr registry anchor` prints it, obtained on a way that you trust
    #[arg(long, value_name = "ANCHOR", required_unless_present = "no_verify")]
    anchor: Option<PathBuf>,
    /// Do not verify the directory first, and read it even where it is INVALID, as far as it can be read
    #[arg(long)]
    no_verify: bool,
    /// Data directory of the node, or its mirror, or an s3:// address: its keys open case, officer, consent and subject
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Recovery secret of the mirror that --data names: opens the keys in it while the command runs
    #[arg(long, value_name = "FILE", requires = "data")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    filter: filter::FilterArgs,
}

/// A ledger that is read, with the verdict on it.
pub(crate) struct Opened {
    archive: Archive,
    filter: Filter,
    /// `None` where it was not verified.
    pub(crate) verdict: Option<Report>,
    /// What was fetched stays while it is read, and so do keys that were opened.
    _fetched: (archive::Archive, Option<archive::Data>),
}

impl Source {
    /// Verifies and opens the ledger. One that is INVALID is read only where the caller bears with that.
    pub(crate) fn open(&self, bears_invalid: bool) -> Result<Opened, Failure> {
        let filter = self.filter.parse(self.data.is_some())?;
        let anchor = self
            .anchor
            .as_deref()
            .filter(|_| !self.no_verify)
            .map(anchor::read)
            .transpose()?;
        let fetched = archive::Archive::open(&self.dir)?;
        let verdict = match anchor {
            None => None,
            Some(anchor) => Some(
                verify::directory(fetched.dir(), &anchor, &verify::Options::default())
                    .map_err(|error| Failure::unreadable(fetched.dir(), error))?,
            ),
        };
        if let Some(report) = verdict
            .as_ref()
            .filter(|report| report.verdict == Verdict::Invalid && !bears_invalid)
        {
            return Err(Failure::refused(
                format!("the ledger is INVALID: {}", report.reason),
                "the ledger's owner",
                "docs/formats.md, Ledger directory",
                "see `jisr ledger verify`; `--no-verify` reads it all the same, as far as it can be read",
            ));
        }
        let mut archive = Archive::open(fetched.dir()).map_err(failed)?;
        let data = self.data.as_deref();
        let data = data.map(|data| archive::Data::open(data, self.secret_file.as_deref()));
        let data = data.transpose()?;
        if let Some(data) = &data {
            archive = archive.with_vault(vault(data)?);
        }
        Ok(Opened {
            archive,
            filter,
            verdict,
            _fetched: (fetched, data),
        })
    }
}

/// The data keys of the node.
fn vault(data: &archive::Data) -> Result<Vault, Failure> {
    data.vault()?.ok_or_else(|| {
        Failure::unusable(
            data.dir(),
            "it holds no data keys",
            "name the data directory of the node whose ledger this is: the one that holds keys/vault/; or its mirror, and the \
             mirror's recovery secret with --secret-file",
        )
    })
}

impl Opened {
    /// One line that says what was found of the ledger as a whole.
    pub(crate) fn heading(&self) -> String {
        match &self.verdict {
            None => "not verified".to_owned(),
            Some(report) => output::printable(&format!("{}: {}", report.verdict, report.reason)),
        }
    }

    /// Where programs read standard output, people are told on standard error.
    pub(crate) fn say_heading(&self) {
        output::say(self.heading());
    }

    /// How the process ends when all was printed.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self.verdict.as_ref().map(|report| report.verdict) {
            None | Some(Verdict::Valid) => 0,
            Some(Verdict::Invalid) => REFUSED,
            Some(Verdict::Indeterminate) => 2,
        })
    }

    /// Reads the ledger: every row, with whether the filter takes it. Acts always pass.
    pub(crate) fn rows(&self, mut take: impl FnMut(Row) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut unknown = 0u64;
        for row in Exchanges::new(self.archive.items()) {
            match row.map_err(failed)? {
                Row::Exchange(exchange) => match self.filter.takes(&exchange) {
                    Some(true) => take(Row::Exchange(exchange))?,
                    Some(false) => {}
                    None => unknown += 1,
                },
                act => take(act)?,
            }
        }
        if unknown > 0 {
            output::say(format!(
                "{unknown} exchanges could not be told: their case or subject is erased, or no key for it is there"
            ));
        }
        Ok(())
    }

    /// Reads the exchanges that the filter takes.
    pub(crate) fn exchanges(&self, mut take: impl FnMut(&Exchange) -> Result<(), Failure>) -> Result<(), Failure> {
        self.rows(|row| match row {
            Row::Exchange(exchange) => take(&exchange),
            Row::Act { .. } => Ok(()),
        })
    }
}
