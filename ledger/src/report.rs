//! What a verifier found: a verdict, a reason, and one line for each check.

use serde::Serialize;
use std::fmt;

/// The three possible outcomes (after ETSI EN 319 102-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Everything that was checked holds and nothing that is needed lacks.
    Valid,
    /// Nothing contradicts, but something that is needed is not there.
    Indeterminate,
    /// Something contradicts.
    Invalid,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "VALID",
            Self::Indeterminate => "INDETERMINATE",
            Self::Invalid => "INVALID",
        })
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked: a stable name.
    pub id: &'static str,
    /// Its outcome.
    pub verdict: Verdict,
    /// What was found, for people.
    pub text: String,
}

/// Where a ledger stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Origin of the ledger.
    pub origin: String,
    /// Number of statements.
    pub size: u64,
    /// Root over them, base64 as in a checkpoint.
    pub root: String,
}

/// What a verifier found. Serializes to `{verdict, reason, checks: [{id, verdict, text}]}`, for a ledger with `origin`, `size`
/// and `root` besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst verdict among the checks.
    pub verdict: Verdict,
    /// Why it is not VALID, else what was shown.
    pub reason: String,
    /// In the order of checking.
    pub checks: Vec<Check>,
    /// The ledger that was read, as far as it could be read.
    #[serde(flatten)]
    pub head: Option<Head>,
}

impl Report {
    /// Sums the checks up: the worst verdict, and the first check that has it as the reason.
    pub(crate) fn of(checks: Vec<Check>, all_well: impl FnOnce() -> String, head: Option<Head>) -> Self {
        let verdict = checks
            .iter()
            .map(|check| check.verdict)
            .max()
            .unwrap_or(Verdict::Invalid);
        let cause = checks
            .iter()
            .find(|check| check.verdict == verdict && verdict != Verdict::Valid);
        let reason = cause.map_or_else(all_well, |check| format!("{}: {}", check.id, check.text));
        Self {
            verdict,
            reason,
            checks,
            head,
        }
    }

    /// A report of one check that failed.
    pub(crate) fn refused(id: &'static str, text: String) -> Self {
        Self::of(
            vec![Check {
                id,
                verdict: Verdict::Invalid,
                text,
            }],
            String::new,
            None,
        )
    }

    /// The check with this id.
    #[must_use]
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.id == id)
    }
}

impl fmt::Display for Report {
    /// The verdict on the first line, then one line for each check.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        for check in &self.checks {
            writeln!(f, "{} {}: {}", check.verdict, check.id, check.text)?;
        }
        if let Some(head) = &self.head {
            writeln!(f, "origin {}\nsize {}\nroot {}", head.origin, head.size, head.root)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict) -> Check {
        Check {
            id: "seal",
            verdict,
            text: "text".into(),
        }
    }

    #[test]
    fn the_worst_check_decides() {
        let report = Report::of(
            vec![check(Verdict::Valid), check(Verdict::Indeterminate)],
            String::new,
            None,
        );
        assert_eq!(
            (report.verdict, report.reason.as_str()),
            (Verdict::Indeterminate, "seal: text")
        );
        let report = Report::of(
            vec![check(Verdict::Invalid), check(Verdict::Indeterminate)],
            String::new,
            None,
        );
        assert_eq!(report.verdict, Verdict::Invalid);
        assert_eq!(Report::of(Vec::new(), String::new, None).verdict, Verdict::Invalid);
    }

    #[test]
    fn it_serializes_as_the_contract_says() {
        let head = Head {
            origin: "o".into(),
            size: 1,
            root: "r".into(),
        };
        let report = Report::of(vec![check(Verdict::Valid)], || "fine".into(), Some(head));
        let json = serde_json::to_string(&report).expect("serializes");
        let wanted = r#"{"verdict":"VALID","reason":"fine","checks":[{"id":"seal","verdict":"VALID","text":"text"}],"origin":"o","size":1,"root":"r"}"#;
        assert_eq!(json, wanted);
        assert!(report.to_string().starts_with("VALID\nVALID seal: text\norigin o\n"));
        let bare = serde_json::to_string(&Report::refused("format", "bad".into())).expect("serializes");
        assert!(bare.ends_with("]}"));
    }
}
