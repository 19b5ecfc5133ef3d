//! `jisr ledger compare`: what two ledgers say about each other, as a report.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jisr_ledger::anchor::Anchor;
use jisr_ledger::archive::{Archive, ArchiveError};
use jisr_ledger::compare::{self, About, Comparison, Direction, Finding, Held, Open, Options, Outcome, Proof, Side};
use jisr_ledger::report::{Report, Verdict};
use jisr_ledger::verify;
use serde_json::{Value, json};

use crate::failure::{Failure, REFUSED};
use crate::output::{self, printable};
use crate::{anchor, archive, instant};

/// Compare what two ledgers say about each other, over all their entries
///
/// Both directories are verified first. Then everything that each holds of the other is looked up in it: questions and
/// their receipt, closings, receipts, final proofs, checkpoints. A difference names the exchange, the side, what is missing
/// or different, and what proves it. Exchanges that are still open are listed, and are no differences.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Compare {
    /// Ledger directory of the one side: the one that holds segments/; or an s3:// address
    #[arg(value_name = "A")]
    a: String,
    /// Ledger directory of the other side
    #[arg(value_name = "B")]
    b: String,
    /// Anchor of the network, as `jisr registry anchor` prints it, obtained on a way that you trust
    #[arg(long, value_name = "ANCHOR")]
    anchor: PathBuf,
    /// How far apart in time the directories were copied, at most: what is newer than the older copy is then open
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = instant::span)]
    apart: Duration,
    /// Do not verify the directories first; do so only where `jisr ledger verify` said VALID just before
    #[arg(long)]
    no_verify: bool,
    /// Print one object {outcome, reason, ledgers, asked, held, findings, open, unnamed}
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  jisr ledger compare /srv/handed/mol/ledger /srv/handed/psd/ledger --anchor anchor
  jisr ledger compare ./mol ./psd --anchor anchor --apart 10m --json

Exit codes: 0 SAME · 1 DIFFERS, or a ledger is INVALID · 2 INDETERMINATE: nothing contradicts, but a directory ends before \
what the other side holds of it, or its certificate had ended · 64 wrong usage · 66 an input cannot be read · 70 this \
program or machine failed";

/// The two sides, as they were named and as they lie here, with what verification said of them.
struct Sides {
    places: [String; 2],
    fetched: [archive::Archive; 2],
    reports: [Option<Report>; 2],
}

impl Compare {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let anchor = anchor::read(&self.anchor)?;
        let mut sides = Sides {
            fetched: [archive::Archive::open(&self.a)?, archive::Archive::open(&self.b)?],
            places: [self.a, self.b],
            reports: [None, None],
        };
        if !self.no_verify {
            sides.verify(&anchor)?;
        }
        if let Some(invalid) = sides.first(Verdict::Invalid) {
            let reason = format!("{invalid}; nothing was compared");
            return sides.invalid(&reason, self.json);
        }
        let [a, b] = &sides.fetched;
        let options = Options {
            apart: self.apart,
            ..Options::default()
        };
        let mut found = compare::directories(open(a.dir())?, open(b.dir())?, &anchor, options).map_err(failed)?;
        let [a, b] = &found.ledgers;
        if a.origin == b.origin {
            return Err(Failure::usage(
                format!("both directories are the ledger {}", a.origin),
                "name the ledgers of two sides; whether one copy continues the other is told by `jisr ledger verify --checkpoint`",
            ));
        }
        if let Some(doubt) = sides
            .first(Verdict::Indeterminate)
            .filter(|_| found.outcome == Outcome::Same)
        {
            found.outcome = Outcome::Indeterminate;
            found.reason = doubt;
        }
        match self.json {
            true => output::json(&sides.object(&found))?,
            false => output::result(sides.text(&found).join("\n"))?,
        }
        Ok(ExitCode::from(match found.outcome {
            Outcome::Same => 0,
            Outcome::Differs => REFUSED,
            Outcome::Indeterminate => 2,
        }))
    }
}

fn open(dir: &Path) -> Result<Archive, Failure> {
    Archive::open(dir).map_err(failed)
}

/// The text names file, place and remedy.
pub(crate) fn failed(error: ArchiveError) -> Failure {
    Failure::Unreadable {
        what: error.to_string(),
        remedy: String::new(),
    }
}

impl Sides {
    fn verify(&mut self, anchor: &Anchor) -> Result<(), Failure> {
        for (fetched, report) in self.fetched.iter().zip(&mut self.reports) {
            let dir = fetched.dir();
            let found = verify::directory(dir, anchor, &verify::Options::default());
            *report = Some(found.map_err(|error| Failure::unreadable(dir, error))?);
        }
        Ok(())
    }

    /// The first side with this verdict, and why.
    fn first(&self, verdict: Verdict) -> Option<String> {
        let mut sides = Side::BOTH.into_iter().zip(&self.reports);
        sides.find_map(|(side, report)| {
            let report = report.as_ref().filter(|report| report.verdict == verdict)?;
            Some(format!("{} is {verdict}: {}", side.as_str(), report.reason))
        })
    }

    fn invalid(&self, reason: &str, as_json: bool) -> Result<ExitCode, Failure> {
        if as_json {
            let ledgers: Vec<Value> = Side::BOTH.into_iter().map(|side| self.verified(side)).collect();
            output::json(&json!({ "outcome": "INVALID", "reason": reason, "ledgers": ledgers }))?;
        } else {
            output::result(format!("INVALID\n{}", printable(reason)))?;
        }
        Ok(ExitCode::from(REFUSED))
    }

    fn report(&self, side: Side) -> Option<&Report> {
        let [a, b] = &self.reports;
        match side {
            Side::A => a.as_ref(),
            Side::B => b.as_ref(),
        }
    }

    fn place(&self, side: Side) -> &str {
        let [a, b] = &self.places;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    fn verified(&self, side: Side) -> Value {
        let report = self.report(side);
        json!({
            "side": side.as_str(),
            "directory": self.place(side),
            "verdict": report.map(|report| report.verdict),
            "verdict_reason": report.map(|report| &report.reason),
        })
    }

    fn object(&self, found: &Comparison) -> Value {
        let ledgers = Side::BOTH.into_iter().zip(&found.ledgers).map(|(side, whose)| {
            let mut ledger = self.verified(side);
            if let Some(ledger) = ledger.as_object_mut() {
                ledger.insert("origin".to_owned(), json!(whose.origin));
                ledger.insert("size".to_owned(), json!(whose.size));
                ledger.insert("root".to_owned(), json!(output::base64(&whose.root)));
                ledger.insert("newest".to_owned(), json!(instant::precise(whose.newest_us)));
                ledger.insert("findings".to_owned(), json!(whose.findings));
            }
            ledger
        });
        let asked = Side::BOTH.into_iter().zip(&found.asked).map(|(side, asked)| {
            json!({
                "by": side.as_str(), "exchanges": asked.exchanges, "agreed": asked.agreed, "alone": asked.alone,
                "open": asked.open, "different": asked.different, "receipts": asked.receipts,
            })
        });
        let held = Side::BOTH.into_iter().zip(&found.held).map(|(side, held)| {
            json!({
                "by": side.as_str(), "checkpoints": held.checkpoints, "newest": held.newest, "final_proofs": held.proofs,
            })
        });
        json!({
            "outcome": found.outcome.to_string(),
            "reason": found.reason,
            "ledgers": ledgers.collect::<Vec<_>>(),
            "asked": asked.collect::<Vec<_>>(),
            "held": held.collect::<Vec<_>>(),
            "findings": found.findings.iter().map(|finding| finding_object(finding, found)).collect::<Vec<_>>(),
            "open": found.open.iter().map(open_object).collect::<Vec<_>>(),
            "unnamed": found.unnamed,
        })
    }

    fn text(&self, found: &Comparison) -> Vec<String> {
        let mut lines = vec![found.outcome.to_string(), found.reason.clone(), String::new()];
        for (side, whose) in Side::BOTH.into_iter().zip(&found.ledgers) {
            let verdict = match self.report(side) {
                Some(report) => format!("{}: {}", report.verdict, report.reason),
                None => "not verified".to_owned(),
            };
            lines.push(format!("{}  {}", side.as_str(), whose.origin));
            lines.push(format!("   {}", self.place(side)));
            lines.push(format!("   {verdict}"));
            lines.push(format!(
                "   size {}  root {}  newest {}",
                whose.size,
                output::base64(&whose.root),
                instant::show(whose.newest_us)
            ));
            if whose.findings > 0 {
                lines.push(format!(
                    "   holds {} findings of its own: jisr audit report",
                    whose.findings
                ));
            }
        }
        lines.push(String::new());
        for (side, asked) in Side::BOTH.into_iter().zip(&found.asked) {
            lines.push(direction(side, asked));
        }
        for (side, held) in Side::BOTH.into_iter().zip(&found.held) {
            lines.push(held_line(side, held));
        }
        lines.push(String::new());
        lines.push(format!("findings {}", found.findings.len()));
        for (number, finding) in (1..).zip(&found.findings) {
            lines.extend(finding_lines(number, finding, found));
        }
        lines.push(format!("open {}", found.open.len()));
        lines.extend(found.open.iter().map(open_line));
        if found.unnamed > 0 {
            lines.push(format!("and {} more that are not named", found.unnamed));
        }
        lines.iter().map(|line| printable(line)).collect()
    }
}

fn direction(side: Side, asked: &Direction) -> String {
    format!(
        "{} asked {}: {} exchanges: {} agree, {} closed by {} alone, {} open, {} different; {} receipts",
        side.as_str(),
        side.other().as_str(),
        asked.exchanges,
        asked.agreed,
        asked.alone,
        side.as_str(),
        asked.open,
        asked.different,
        asked.receipts
    )
}

fn held_line(side: Side, held: &Held) -> String {
    format!(
        "{} holds {} checkpoints of {}, newest of size {}, and {} final proofs",
        side.as_str(),
        held.checkpoints,
        side.other().as_str(),
        held.newest,
        held.proofs
    )
}

fn finding_lines(number: usize, finding: &Finding, found: &Comparison) -> Vec<String> {
    let mut lines = vec![format!(
        "{number}. {} in {}",
        finding.kind.as_str(),
        finding.side.as_str()
    )];
    if let Some(about) = &finding.exchange {
        lines.push(format!("   exchange  {}", about.id));
        lines.push(format!("   time      {}", instant::precise(about.at_us)));
        lines.push(format!(
            "   method    {}/{}, asked by {}",
            about.service,
            about.method,
            about.asker.as_str()
        ));
    }
    lines.extend(finding.what.iter().map(|what| format!("   what      {what}")));
    lines.extend(
        finding
            .proofs
            .iter()
            .map(|proof| format!("   proof     {}", proof_text(proof, found))),
    );
    lines
}

/// Where the proof stands, and whose word it is.
fn proof_text(proof: &Proof, found: &Comparison) -> String {
    let holder = proof.holder.as_str();
    let owner = proof.holder.other();
    let [a, b] = &found.ledgers;
    let signer = match owner {
        Side::A => &a.origin,
        Side::B => &b.origin,
    };
    let leaf = match &proof.leaf {
        Some((index, leaf)) => format!("leaf {} at index {index}, ", output::base64(leaf)),
        None => String::new(),
    };
    let by = match (proof.is_signed, proof.cosigned_by.is_empty()) {
        (false, _) => format!("{holder}'s word alone"),
        (true, true) => format!("signed by {signer}"),
        (true, false) => format!("signed by {signer}, cosigned by {}", proof.cosigned_by.join(", ")),
    };
    format!(
        "{holder} entry {}, {}: {leaf}tree of size {}, root {}, {by}",
        proof.entry,
        proof.record,
        proof.tree_size,
        output::base64(&proof.root)
    )
}

fn open_line(open: &Open) -> String {
    let about = &open.exchange;
    format!(
        "   {}  {}  {}/{}, asked by {}: {} ({})",
        about.id,
        instant::show(about.at_us),
        about.service,
        about.method,
        about.asker.as_str(),
        open.why,
        open.side.as_str()
    )
}

fn about_object(about: &About) -> Value {
    json!({
        "exchange": about.id.to_string(), "time": instant::precise(about.at_us), "asked_by": about.asker.as_str(),
        "service": about.service, "method": about.method,
    })
}

fn finding_object(finding: &Finding, found: &Comparison) -> Value {
    let proofs = finding.proofs.iter().map(|proof| {
        json!({
            "in": proof.holder.as_str(), "entry": proof.entry, "record": proof.record,
            "index": proof.leaf.map(|(index, _)| index),
            "leaf": proof.leaf.map(|(_, leaf)| output::base64(&leaf)),
            "tree_size": proof.tree_size, "root": output::base64(&proof.root),
            "signed": proof.is_signed, "cosigned_by": proof.cosigned_by, "text": proof_text(proof, found),
        })
    });
    json!({
        "finding": finding.kind.as_str(), "side": finding.side.as_str(),
        "about": finding.exchange.as_ref().map(about_object),
        "what": finding.what, "proofs": proofs.collect::<Vec<_>>(),
    })
}

fn open_object(open: &Open) -> Value {
    json!({ "about": about_object(&open.exchange), "side": open.side.as_str(), "why": open.why })
}
