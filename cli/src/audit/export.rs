//! `jisr audit export`: CSV and JSON Lines, for spreadsheets and programs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jisr_ledger::archive::Exchange;

use super::Source;
use super::record::{COLUMNS, Record};
use crate::failure::Failure;
use crate::output::{self, Sink};

/// Export the exchanges of a ledger as CSV (RFC 4180) or JSON Lines
///
/// One row for each side of an exchange that stands in the ledger, in the order of closing. A cell that a spreadsheet would
/// take for a formula gets an apostrophe in front.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES, after_long_help = HELP)]
pub(crate) struct Export {
    #[command(flatten)]
    source: Source,
    /// Comma-separated values with a heading, UTF-8
    #[arg(long, conflicts_with = "jsonl", required_unless_present = "jsonl")]
    csv: bool,
    /// One JSON object a line
    #[arg(long)]
    jsonl: bool,
    /// Begin the CSV with a byte order mark, which some spreadsheets need to read Arabic
    #[arg(long, requires = "csv")]
    bom: bool,
    /// File to write; must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const HELP: &str = "\
Example:
  jisr audit export /srv/handed/mol/ledger --anchor anchor --csv --out mol.csv
  jisr audit export /srv/handed/mol/ledger --anchor anchor --jsonl | jq -r .peer

Exit codes: 0 done, the ledger is VALID (or was not verified) · 1 the ledger is INVALID · 2 done, the ledger is \
INDETERMINATE · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed";

impl Export {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let opened = self.source.open(false)?;
        opened.say_heading();
        let mut sink = match &self.out {
            Some(path) => Sink::new_file(path)?,
            None => Sink::stdout(),
        };
        if self.csv {
            if self.bom {
                sink.write("\u{feff}")?;
            }
            sink.write(&row(COLUMNS.iter().copied()))?;
            opened.exchanges(|exchange| {
                let cells = Record::of(exchange).cells();
                sink.write(&row(cells.iter().map(String::as_str)))
            })?;
            sink.end()?;
        } else {
            let mut lines = JsonLines::new(sink);
            opened.exchanges(|exchange| lines.write(exchange))?;
            lines.end()?;
        }
        if let Some(path) = &self.out {
            output::line(path.display());
        }
        Ok(opened.code())
    }
}

/// One JSON object a line.
pub(super) struct JsonLines(Sink);

impl JsonLines {
    pub(super) fn new(sink: Sink) -> Self {
        Self(sink)
    }

    pub(super) fn write(&mut self, exchange: &Exchange) -> Result<(), Failure> {
        let object = serde_json::to_string(&Record::of(exchange));
        let object = object.map_err(|error| {
            Failure::fault(format!("cannot write JSON: {error}"), "report this as a defect of jisr")
        })?;
        self.0.line(&object)
    }

    pub(super) fn end(self) -> Result<(), Failure> {
        self.0.end()
    }
}

/// A row of CSV with its line break.
fn row<'c>(cells: impl Iterator<Item = &'c str>) -> String {
    let cells: Vec<String> = cells.map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell: harmless to a spreadsheet, and quoted where RFC 4180 says so.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = match is_formula {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("قضية ١٢", "قضية ١٢"),
            ("a,b", "\"a,b\""),
            ("say \"yes\"", "\"say \"\"yes\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("＝1+1", "'＝1+1"),
            ("", ""),
        ] {
            assert_eq!(cell(text), wanted);
        }
    }

    #[test]
    fn rows_end_as_rfc_4180_says() {
        assert_eq!(row(["a", "b,c"].into_iter()), "a,\"b,c\"\r\n");
    }
}
