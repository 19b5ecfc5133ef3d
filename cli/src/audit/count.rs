//! `jisr audit count`: how many exchanges, by one of their properties.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jisr_ledger::archive::Exchange;
use serde_json::json;

use super::{Source, record};
use crate::failure::Failure;
use crate::{instant, output};

/// Count the exchanges of a ledger
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES, after_long_help = HELP)]
pub(crate) struct Count {
    #[command(flatten)]
    source: Source,
    /// By what
    #[arg(long, value_enum, value_name = "WHAT", default_value = "outcome")]
    by: By,
    /// Print one object {by, total, rows: [{value, count}]}
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  jisr audit count /srv/handed/mol/ledger --anchor anchor --by peer --from 2026-01-01T00:00:00Z

Exit codes: 0 done, the ledger is VALID (or was not verified) · 1 the ledger is INVALID · 2 done, the ledger is \
INDETERMINATE · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed";

/// A property to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// The member on the other side
    Peer,
    /// Purpose code
    Purpose,
    /// Service and method
    Method,
    /// What it came to
    Outcome,
    /// The day (UTC) on which it began
    Day,
}

impl By {
    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Purpose => "purpose",
            Self::Method => "method",
            Self::Outcome => "outcome",
            Self::Day => "day",
        }
    }

    /// What of an exchange is counted; `(none)` where it has none.
    pub(super) fn value(self, exchange: &Exchange) -> String {
        let value = match self {
            Self::Peer => exchange.peer.clone(),
            Self::Purpose => record::purpose(exchange).to_owned(),
            Self::Method if exchange.service.is_empty() => String::new(),
            Self::Method => format!("{}/{}", exchange.service, exchange.method),
            Self::Outcome => exchange.outcome_name(),
            Self::Day => day(exchange.began_us),
        };
        match value.is_empty() {
            true => "(none)".to_owned(),
            false => value,
        }
    }
}

/// `2026-11-23`.
pub(super) fn day(us: u64) -> String {
    let text = instant::show(us);
    match text.split_once('T') {
        Some((day, _)) => day.to_owned(),
        None => text,
    }
}

/// Counts by value.
pub(super) type Counts = BTreeMap<String, u64>;

/// The most frequent first, equal ones by value; days in their order.
pub(super) fn ranked(counts: &Counts, by: By) -> Vec<(&str, u64)> {
    let mut rows: Vec<(&str, u64)> = counts.iter().map(|(value, count)| (value.as_str(), *count)).collect();
    if by != By::Day {
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }
    rows
}

impl Count {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let opened = self.source.open(false)?;
        let mut counts = Counts::new();
        opened.exchanges(|exchange| {
            *counts.entry(self.by.value(exchange)).or_default() += 1;
            Ok(())
        })?;
        let total: u64 = counts.values().sum();
        let rows = ranked(&counts, self.by);
        if self.json {
            opened.say_heading();
            let rows: Vec<_> = rows
                .iter()
                .map(|(value, count)| json!({ "value": value, "count": count }))
                .collect();
            output::json(&json!({ "by": self.by.name(), "total": total, "rows": rows }))?;
            return Ok(opened.code());
        }
        let mut lines = vec![opened.heading(), format!("{total:>10}  in all")];
        lines.extend(
            rows.iter()
                .map(|(value, count)| output::printable(&format!("{count:>10}  {value}"))),
        );
        output::result(lines.join("\n"))?;
        Ok(opened.code())
    }
}
