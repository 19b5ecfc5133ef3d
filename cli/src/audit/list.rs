//! `jisr audit list`: the exchanges, one line each.

use std::process::ExitCode;

use clap::Args;

use super::export::JsonLines;
use super::{Source, record};
use crate::failure::Failure;
use crate::output;

/// List the exchanges of a ledger, in the order of closing; those that are open come last
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES, after_long_help = HELP)]
pub(crate) struct List {
    #[command(flatten)]
    source: Source,
    /// Print JSON Lines, as `export --jsonl` does
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  jisr audit list /srv/handed/mol/ledger --anchor anchor --peer JO/GOV/psd --outcome refused
  jisr audit list /var/lib/jisr/ledger --anchor anchor --data /var/lib/jisr --case 'ق-1234/2026'

Exit codes: 0 done, the ledger is VALID (or was not verified) · 1 the ledger is INVALID · 2 done, the ledger is \
INDETERMINATE · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed";

impl List {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let opened = self.source.open(false)?;
        if self.json {
            opened.say_heading();
            let mut lines = JsonLines::new(output::Sink::stdout());
            opened.exchanges(|exchange| lines.write(exchange))?;
            lines.end()?;
            return Ok(opened.code());
        }
        let mut sink = output::Sink::stdout();
        sink.line(&opened.heading())?;
        opened.exchanges(|exchange| sink.line(&record::line(exchange)))?;
        sink.end()?;
        Ok(opened.code())
    }
}
