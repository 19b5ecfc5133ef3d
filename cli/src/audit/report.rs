//! `jisr audit report`: one page about a ledger, in Arabic and English.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jisr_ledger::archive::{Entry, Exchange, Row};
use jisr_ledger::report::Report;
use jisr_ledger::statement::Act;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::{Finding, FindingKind};

use super::chart::Timeline;
use super::count::{By, Counts};
use super::{Source, html};
use crate::failure::Failure;
use crate::output;

/// Findings that the page lists; more are counted.
const FINDINGS_MAX: usize = 500;

/// Write a one-page report about a ledger: verdicts, counts, a timeline, findings; Arabic and English
///
/// The page stands for itself: no script, no picture or font from elsewhere. The same ledger gives the same page. One that is
/// INVALID is reported as such, with what can be read of it.
#[derive(Debug, Args)]
#[command(after_help = super::EXIT_CODES, after_long_help = HELP)]
pub(crate) struct ReportCommand {
    #[command(flatten)]
    source: Source,
    /// File to write; must not exist
    #[arg(long, value_name = "OUT")]
    html: PathBuf,
}

const HELP: &str = "\
Example:
  jisr audit report /srv/handed/mol/ledger --anchor anchor --html mol.html

Exit codes: 0 done, the ledger is VALID (or was not verified) · 1 written, the ledger is INVALID · 2 written, the ledger is \
INDETERMINATE · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed";

/// Something that the ledger's owner found about another ledger.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) at_us: u64,
    pub(super) entry: u64,
    pub(super) kind: &'static str,
    pub(super) origin: String,
    pub(super) text: String,
    pub(super) reported_by: String,
    pub(super) exchanges: Vec<String>,
    pub(super) count: u64,
}

/// What the page says.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// `None` where the ledger was not verified.
    pub(super) verdict: Option<Report>,
    /// Why reading ended early.
    pub(super) broken: Option<String>,
    pub(super) origin: String,
    pub(super) total: u64,
    pub(super) asked: u64,
    pub(super) first_us: Option<u64>,
    pub(super) last_us: Option<u64>,
    pub(super) peers: Counts,
    pub(super) purposes: Counts,
    pub(super) methods: Counts,
    pub(super) outcomes: Counts,
    pub(super) rules: Counts,
    pub(super) timeline: Timeline,
    pub(super) findings: Vec<Found>,
    pub(super) findings_count: u64,
    /// Acts by kind, in lower case.
    pub(super) acts: BTreeMap<String, u64>,
}

impl ReportCommand {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let opened = self.source.open(true)?;
        let mut page = Page::default();
        if let Err(failure) = opened.rows(|row| {
            page.take(row);
            Ok(())
        }) {
            page.broken = Some(failure.to_string());
        }
        page.verdict.clone_from(&opened.verdict);
        output::write_new(&self.html, html::render(&page).as_bytes())?;
        opened.say_heading();
        output::line(self.html.display());
        Ok(opened.code())
    }
}

impl Page {
    pub(super) fn take(&mut self, row: Row) {
        match row {
            Row::Exchange(exchange) => self.exchange(&exchange),
            Row::Act { index, entry } => self.act(index, &entry),
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        self.total += 1;
        self.asked += u64::from(exchange.role == jisr_ledger::archive::Role::Consumer);
        let at = exchange.began_us;
        self.first_us = Some(self.first_us.map_or(at, |first| first.min(at)));
        self.last_us = Some(self.last_us.map_or(at, |last| last.max(at)));
        let tables = [
            (By::Peer, &mut self.peers),
            (By::Purpose, &mut self.purposes),
            (By::Method, &mut self.methods),
            (By::Outcome, &mut self.outcomes),
        ];
        for (by, counts) in tables {
            *counts.entry(by.value(exchange)).or_default() += 1;
        }
        if !exchange.rule.is_empty() {
            *self.rules.entry(exchange.rule.clone()).or_default() += 1;
        }
        self.timeline.take(exchange);
    }

    fn act(&mut self, index: u64, entry: &Entry) {
        let statement = &entry.statement;
        let kind = statement.kind().as_str_name().to_ascii_lowercase();
        *self.acts.entry(kind).or_default() += 1;
        match statement.act() {
            Some(Act::Started(started)) => self.origin.clone_from(&started.origin),
            Some(Act::Finding(finding)) => {
                self.findings_count += 1;
                if self.findings.len() < FINDINGS_MAX {
                    let at_us = statement.core().created_us;
                    self.findings.push(Found::of(index, at_us, finding));
                }
            }
            _ => {}
        }
    }
}

impl Found {
    fn of(entry: u64, at_us: u64, finding: &Finding) -> Self {
        let ids = finding.exchanges.iter();
        let exchanges: Vec<String> = ids
            .filter_map(|id| ExchangeId::try_from(id.as_ref()).ok())
            .map(|id| id.to_string())
            .collect();
        Self {
            at_us,
            entry,
            kind: FindingKind::try_from(finding.kind).map_or("UNKNOWN", |kind| kind.as_str_name()),
            origin: finding.origin.clone(),
            text: finding.text.clone(),
            reported_by: finding.reported_by.clone(),
            count: finding.count.max(exchanges.len() as u64),
            exchanges,
        }
    }
}
