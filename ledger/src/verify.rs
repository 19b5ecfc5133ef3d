//! Verifies a ledger directory offline, from its first byte to its last, in one pass and in bounded memory.
//!
//! The core is pure: it asks a [`LedgerFiles`] for names and bytes. [`directory`] is the one over a real directory.
//!
//! Frames are read in order (`reading`), examined by several threads as far as each stands for itself (`examine`), and put
//! together in order again (`pass`); however many threads there are, the report is the same.

mod fs;
mod reading;
mod pipeline;
mod examine;
mod item;
mod own;
mod pass;
mod peers;
mod receipts;
mod erasures;
mod setbacks;
mod stamps;
mod succession;

pub use fs::directory;
pub use succession::succession;

use crate::{
    anchor::Anchor,
    report::{Check, Head, Report, Verdict},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use examine::Examiner;
use pass::Pass;
use peers::Keys;
use std::{
    io::{self, Read},
    num::NonZeroUsize,
    sync::Arc,
    thread::available_parallelism,
};

/// What the verifier reads: the files of one ledger directory.
pub trait LedgerFiles {
    /// A file that is being read.
    type File: Read;

    /// Every file and directory beneath, but for `index/`, as paths with `/` between; directories end in `/`.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn names(&mut self) -> io::Result<Vec<String>>;

    /// Length of a file, bytes.
    ///
    /// # Errors
    /// The file cannot be looked at.
    fn bytes(&mut self, name: &str) -> io::Result<u64>;

    /// Opens a file at a byte offset.
    ///
    /// # Errors
    /// The file cannot be read.
    fn open(&mut self, name: &str, offset: u64) -> io::Result<Self::File>;

    /// Called when a frame does not parse, which whoever is writing or erasing it just then may cause. Waits a moment and says
    /// whether to look again.
    fn may_have_changed(&mut self) -> bool;
}

/// What else to check.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A signed checkpoint that somebody kept: the ledger must still begin with the tree that it describes.
    pub checkpoint: Option<Vec<u8>>,
}

/// A rule that the ledger breaks.
#[derive(Debug)]
struct Fault {
    check: &'static str,
    text: String,
}

impl Fault {
    fn new(check: &'static str, text: impl Into<String>) -> Self {
        Self {
            check,
            text: text.into(),
        }
    }
}

/// Why the pass ended early.
#[derive(Debug)]
enum Stop {
    Fault(Fault),
    Unreadable(io::Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// The checks, in the order of the report.
const CHECKS: [&str; 12] = [
    "directory",
    "frames",
    "started",
    "statements",
    "erasures",
    "tree",
    "peers",
    "checkpoints",
    "cosignatures",
    "stamps",
    "checkpoint-given",
    "tail",
];

/// Threads that examine frames: more gain nothing, since one puts them together.
const THREADS_MAX: usize = 8;

/// Verifies the ledger in these files, with as many threads as the machine runs at once.
///
/// # Errors
/// A file could not be read: nothing is said about the ledger then.
pub fn ledger(files: &mut impl LedgerFiles, anchor: &Anchor, options: &Options) -> io::Result<Report> {
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = if threads == 1 { 0 } else { threads.min(THREADS_MAX) };
    ledger_on(files, anchor, options, threads)
}

/// Verifies the ledger in these files with so many threads besides the caller's that examine frames; 0: the caller's alone.
///
/// # Errors
/// As [`ledger`].
pub fn ledger_on(
    files: &mut impl LedgerFiles,
    anchor: &Anchor,
    options: &Options,
    threads: usize,
) -> io::Result<Report> {
    let keys = Arc::new(Keys::default());
    let examiner = Examiner::new(anchor, Arc::clone(&keys));
    let mut pass = Pass::new(anchor, options.checkpoint.as_deref(), keys);
    let outcome = pipeline::run(files, &examiner, &mut pass, threads);
    match outcome.and_then(|()| pass.end().map_err(Stop::from)) {
        Ok(()) => Ok(report(&pass, None)),
        Err(Stop::Fault(fault)) => Ok(report(&pass, Some(fault))),
        Err(Stop::Unreadable(error)) => Err(error),
    }
}

fn report(pass: &Pass<'_>, fault: Option<Fault>) -> Report {
    let check = |id: &&'static str| {
        if let Some(fault) = fault.as_ref().filter(|fault| fault.check == *id) {
            return Some(Check {
                id,
                verdict: Verdict::Invalid,
                text: fault.text.clone(),
            });
        }
        let (verdict, text) = pass.finding(id)?;
        // What a fault elsewhere kept from being finished is neither shown nor refuted.
        let (verdict, text) = match fault {
            Some(_) => (Verdict::Indeterminate, format!("up to the fault: {text}")),
            None => (verdict, text),
        };
        Some(Check { id, verdict, text })
    };
    let checks = CHECKS.iter().filter_map(check).collect();
    let head = pass.origin().map(|origin| Head {
        origin: origin.to_owned(),
        size: pass.size(),
        root: STANDARD.encode(pass.root()),
    });
    Report::of(
        checks,
        || format!("{} statements in one unbroken ledger", pass.size()),
        head,
    )
}
