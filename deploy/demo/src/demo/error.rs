//! What can go wrong with the demo.

use std::io;
use std::path::PathBuf;

/// Why the demo did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The directory holds something already.
    #[error("{0} is not empty: name a directory that is new or empty")]
    DirectoryInUse(PathBuf),
    /// A file or directory cannot be made, read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No free port was found.
    #[error("no {0} free ports on 127.0.0.1: end other programs that listen there")]
    Ports(usize),
    /// A process cannot be started.
    #[error("cannot start {name}: {source}")]
    Start {
        /// Which.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is too full.
    #[error(
        "only {free_mb} MB are free at {dir}, and the demo needs {needed_mb} MB: make room, or name another disk with --dir"
    )]
    NoRoom {
        /// Where.
        dir: PathBuf,
        /// Free, 10^6 bytes.
        free_mb: u64,
        /// Needed, 10^6 bytes.
        needed_mb: u64,
    },
    /// A process ended by itself while it was needed.
    #[error("{name} has ended ({status}); its log {log} ends with\n{said}")]
    Ended {
        /// Which.
        name: String,
        /// Exit code or signal, in words.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        said: String,
    },
    /// A process is not ready in time.
    #[error("{name} is not ready after {seconds} s; its log is {log}")]
    NotReady {
        /// Which.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// A command failed.
    #[error("`jisr {line}` ended with {status}: {said}")]
    Command {
        /// Its arguments.
        line: String,
        /// Its exit status.
        status: String,
        /// What it said on standard error.
        said: String,
    },
    /// A command's output is not what it documents.
    #[error("`jisr {line}` printed something else than expected: {what}")]
    Output {
        /// Its arguments.
        line: String,
        /// What is missing.
        what: String,
    },
    /// The local door of a node cannot be called.
    #[error("the local door of {node} at {address}: {what}")]
    Door {
        /// Which node.
        node: &'static str,
        /// host:port.
        address: String,
        /// What went wrong.
        what: String,
    },
    /// The world has nobody whose permit is to be renewed.
    #[error("nobody's work permit is to be renewed in a world this small: take more people")]
    Nobody,
    /// The clock shows a time that no calendar has.
    #[error("the clock shows an impossible time: set it")]
    Clock,
}

impl DemoError {
    /// Whether the caller's arguments are at fault.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::DirectoryInUse(_) | Self::Nobody)
    }
}
