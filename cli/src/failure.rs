//! How a command ends when it cannot do what was asked, and what the operator is told.

use std::path::Path;

/// Exit code of a check that found something wrong, and of anything a party refused.
pub(crate) const REFUSED: u8 = 1;
/// Exit code of wrong usage (`EX_USAGE` of sysexits.h).
pub(crate) const USAGE: u8 = 64;
/// Exit code of an input that cannot be read (`EX_NOINPUT`).
pub(crate) const UNREADABLE: u8 = 66;
/// Exit code of a fault of this program or this machine (`EX_SOFTWARE`).
pub(crate) const FAULT: u8 = 70;

/// Why a command ended without its result. Variants stand for the culprit and so for the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line, or a value on it, is wrong.
    #[error("{what}")]
    Usage { what: String, remedy: String },
    /// A file or standard input cannot be read, or is not what it must be before work can start.
    #[error("{what}")]
    Unreadable { what: String, remedy: String },
    /// A party said no, or could not be reached.
    #[error("{what}")]
    Refused {
        what: String,
        party: String,
        rule: String,
        remedy: String,
    },
    /// This machine or this program failed.
    #[error("{what}")]
    Fault { what: String, remedy: String },
}

impl Failure {
    /// Wrong usage, with what to write instead.
    pub(crate) fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure::Usage {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// An input at `path` that cannot be read.
    pub(crate) fn unreadable(path: &Path, why: impl std::fmt::Display) -> Failure {
        Failure::Unreadable {
            what: format!("cannot read {}: {why}", path.display()),
            remedy: "check that the path is right and that this user may read it".into(),
        }
    }

    /// A file that was read, but is not what the command needs before it can start.
    pub(crate) fn unusable(path: &Path, why: impl std::fmt::Display, remedy: impl Into<String>) -> Failure {
        Failure::Unreadable {
            what: format!("cannot use {}: {why}", path.display()),
            remedy: remedy.into(),
        }
    }

    /// A party refused, or is not there.
    pub(crate) fn refused(
        what: impl Into<String>,
        party: impl Into<String>,
        rule: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Failure {
        Failure::Refused {
            what: what.into(),
            party: party.into(),
            rule: rule.into(),
            remedy: remedy.into(),
        }
    }

    /// Our own fault, with the error that shows it.
    pub(crate) fn fault(what: impl Into<String>, remedy: impl Into<String>) -> Failure {
        Failure::Fault {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// A file or directory that cannot be written.
    pub(crate) fn unwritable(path: &Path, why: impl std::fmt::Display) -> Failure {
        Failure::fault(
            format!("cannot write {}: {why}", path.display()),
            "check that the directory exists, that this user may write there, and that the disk has room",
        )
    }

    /// The exit code of the process.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Usage { .. } => USAGE,
            Failure::Unreadable { .. } => UNREADABLE,
            Failure::Refused { .. } => REFUSED,
            Failure::Fault { .. } => FAULT,
        }
    }

    /// What happened, who is at fault, which rule says so, and what to do: one line each, for standard error.
    pub(crate) fn explain(&self) -> String {
        let (party, rule, remedy) = match self {
            Failure::Usage { remedy, .. } | Failure::Unreadable { remedy, .. } => ("you, the caller", None, remedy),
            Failure::Refused {
                party, rule, remedy, ..
            } => (party.as_str(), Some(rule), remedy),
            Failure::Fault { remedy, .. } => ("this machine", None, remedy),
        };
        let mut text = format!("error: {self}\n  party:  {party}\n");
        if let Some(rule) = rule.filter(|rule| !rule.is_empty()) {
            text.push_str(&format!("  rule:   {rule}\n"));
        }
        // Some texts name the remedy themselves.
        if !remedy.is_empty() {
            text.push_str(&format!("  remedy: {remedy}\n"));
        }
        text
    }
}
