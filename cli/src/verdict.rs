//! How verdicts are printed: the fixed contract of `evidence verify` and `ledger verify`.
//!
//! The first line of standard output is the verdict word, then comes one line for each check, for a ledger followed by
//! origin, size and root. With `--json` it is one object. Exit codes: 0 VALID, 1 INVALID, 2 INDETERMINATE.

use std::process::ExitCode;

use jisr_ledger::evidence::SetReport;
use jisr_ledger::report::{Report, Verdict};

use crate::failure::Failure;
use crate::output::{self, printable};

/// Exit codes of the verifiers, for help texts.
pub(crate) const HELP: &str = "\
Exit codes: 0 VALID · 1 INVALID, also where it cannot be parsed or is empty · 2 INDETERMINATE: what is there is sound, \
but does not suffice · 64 wrong usage · 66 an input cannot be read · 70 this program or machine failed";

/// Prints a report and says how the process ends. A verdict that could not be written is none: the exit code is then 70.
pub(crate) fn print(report: &Report, as_json: bool) -> Result<ExitCode, Failure> {
    if as_json {
        output::json(report)?;
    } else {
        output::result(lines(report).join("\n"))?;
        if report.verdict != Verdict::Valid {
            output::say(printable(&report.reason));
        }
    }
    Ok(ExitCode::from(code(report.verdict)))
}

/// As [`print()`], of a set of evidence: the verdict on all, the checks on the file, then for each exchange an empty line, its id
/// and verdict, and its checks. An exchange that is proven is shown as much as one that is not.
pub(crate) fn print_set(report: &SetReport, as_json: bool) -> Result<ExitCode, Failure> {
    if as_json {
        output::json(report)?;
    } else {
        let mut sink = output::Sink::stdout();
        for line in lines(&report.report) {
            sink.line(&line)?;
        }
        for exchange in &report.exchanges {
            sink.line("")?;
            sink.line(&format!("{} {}", exchange.exchange_id, exchange.report.verdict))?;
            for line in lines(&exchange.report).iter().skip(1) {
                sink.line(line)?;
            }
        }
        sink.end()?;
        output::say(printable(&report.report.reason));
    }
    Ok(ExitCode::from(code(report.report.verdict)))
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Valid => 0,
        Verdict::Invalid => 1,
        Verdict::Indeterminate => 2,
    }
}

/// Verdict, checks, head. Texts may quote what stands in the input: a check is one line, whatever it quotes.
fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![report.verdict.to_string()];
    for check in &report.checks {
        let verdict = check.verdict.to_string();
        lines.push(printable(&format!("{verdict:<13} {:<20} {}", check.id, check.text)));
    }
    if let Some(head) = &report.head {
        lines.push(printable(&format!("origin {}", head.origin)));
        lines.push(format!("size {}", head.size));
        lines.push(printable(&format!("root {}", head.root)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_ledger::report::{Check, Head};

    fn report(verdict: Verdict) -> Report {
        let check = Check {
            id: "seal",
            verdict,
            text: "two\nVALID lines".into(),
        };
        let head = Head {
            origin: "jisr/JO/registry/2026".into(),
            size: 7,
            root: "AAAA".into(),
        };
        Report {
            verdict,
            reason: String::new(),
            checks: vec![check],
            head: Some(head),
        }
    }

    #[test]
    fn the_verdict_stands_alone_on_the_first_line_and_a_check_on_one() {
        let lines = lines(&report(Verdict::Invalid));
        assert_eq!(lines[0], "INVALID");
        assert!(
            lines[1].starts_with("INVALID       seal ") && lines[1].ends_with("two VALID lines"),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2..], ["origin jisr/JO/registry/2026", "size 7", "root AAAA"]);
    }

    #[test]
    fn exit_codes_are_fixed() {
        assert_eq!(
            [Verdict::Valid, Verdict::Invalid, Verdict::Indeterminate].map(code),
            [0, 1, 2]
        );
    }
}
