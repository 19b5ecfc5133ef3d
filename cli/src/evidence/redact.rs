//! `jisr evidence redact`: keep parts of a file back, or take one exchange out of a set; offline, by whoever has the file.

use std::path::PathBuf;

use clap::Args;
use jisr_ledger::evidence::{self, RedactError};
use jisr_proto::ident::ExchangeId;

use super::SET_BYTES_MAX;
use super::parts::Parts;
use crate::failure::Failure;
use crate::output;

/// Withhold parts of an evidence file, or take one exchange out of a set
///
/// Works on a file that is at hand, without any key, node or registry. What is withheld is replaced by its hash: every proof
/// holds as before, and the new file verifies as the old one did. The old file is left as it is.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Redact {
    /// Evidence file, of one exchange or a set
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take this exchange out of a set: the new file proves it alone
    #[arg(long, value_name = "ID")]
    exchange: Option<ExchangeId>,
    #[command(flatten)]
    parts: Parts,
    /// File to write; must not exist
    #[arg(short = 'o', long, value_name = "FILE")]
    out: PathBuf,
}

const HELP: &str = "\
Examples:
  jisr evidence redact case.jisr --withhold subject,officer -o for-the-lawyer.jisr
  jisr evidence redact november.jisr --exchange 019aa2c4-7e1b-7c3a-9f00-1b2c3d4e5f60 -o one.jisr

Exit codes: 0 written · 64 wrong usage, or the file exists · 66 the file cannot be read, is no evidence file, or lacks the \
exchange · 70 this program or machine failed";

impl Redact {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.parts.is_silent() && self.exchange.is_none() {
            return Err(Failure::usage(
                "nothing says what to change",
                "name parts with --withhold or --open, or an exchange of a set with --exchange",
            ));
        }
        let bytes = output::read(&self.file, SET_BYTES_MAX)?;
        output::write_new(&self.out, &self.changed(&bytes)?)?;
        output::line(self.out.display());
        Ok(())
    }

    fn changed(&self, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
        let withheld = self.parts.withheld();
        let remedy = "name an evidence file; jisr evidence verify tells what is wrong with it";
        let unusable = |report: jisr_ledger::report::Report| Failure::unusable(&self.file, report.reason, remedy);
        let wrong = |error: RedactError| Failure::unusable(&self.file, error, remedy);
        let too_long = |error: evidence::EvidenceError| Failure::unusable(&self.file, error, "take less of it");
        let mut one = match (evidence::is_set(bytes), &self.exchange) {
            (true, None) => {
                let mut set = evidence::open_set(bytes).map_err(unusable)?;
                evidence::withhold_in_set(&mut set, &withheld).map_err(wrong)?;
                return evidence::encode_set(&set).map_err(too_long);
            }
            (true, Some(id)) => {
                let set = evidence::open_set(bytes).map_err(unusable)?;
                evidence::extract(&set, id).map_err(wrong)?
            }
            (false, id) => {
                let one = evidence::open(bytes).map_err(unusable)?;
                if let Some(id) = id.filter(|id| one.exchange_id != id.as_bytes().as_slice()) {
                    return Err(wrong(RedactError::Unknown(id)));
                }
                one
            }
        };
        evidence::withhold(&mut one, &withheld).map_err(wrong)?;
        evidence::encode(&one).map_err(too_long)
    }
}
