//! Verifies a ledger directory offline, from its first byte to its last, in one pass and in bounded memory.
//!
//! The core is pure: it asks a [`LedgerFiles`] for names and bytes. [`directory`] is the one over a real directory.

mod fs;
mod erasures;
mod own;
mod pass;
mod peers;
mod receipts;
mod setbacks;

pub use fs::directory;

use crate::{
    anchor::Anchor,
    frame::{Next, SEGMENT_BYTES_MAX, ScanError, SegmentScan, segment_number},
    report::{Check, Head, Report, Verdict},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use pass::Pass;
use std::io::{self, BufReader, Read};

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

    /// Called when the end of the last segment does not parse, which a writer that is at work just then may cause. Waits a
    /// moment and says whether to look again.
    fn may_have_grown(&mut self) -> bool;
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
const CHECKS: [&str; 11] = [
    "directory",
    "frames",
    "started",
    "statements",
    "erasures",
    "tree",
    "peers",
    "checkpoints",
    "cosignatures",
    "checkpoint-given",
    "tail",
];

/// Verifies the ledger in these files.
///
/// # Errors
/// A file could not be read: nothing is said about the ledger then.
pub fn ledger(files: &mut impl LedgerFiles, anchor: &Anchor, options: &Options) -> io::Result<Report> {
    let mut pass = Pass::new(anchor, options.checkpoint.as_deref());
    let outcome = segments(files, &mut pass).and_then(|()| pass.end().map_err(Stop::from));
    match outcome {
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

/// Names of the segments in order, once nothing else lies in the directory.
fn listed(names: Vec<String>) -> Result<Vec<String>, Fault> {
    let mut segments = Vec::new();
    for name in names.into_iter().filter(|name| name != "segments/") {
        let number = name
            .strip_prefix("segments/")
            .and_then(|file| segment_number(file).ok());
        let number = number.ok_or_else(|| Fault::new("directory", format!("{name:?} is no part of a ledger")))?;
        segments.push((number, name));
    }
    segments.sort_unstable();
    for (wanted, (number, _)) in (0..).zip(&segments) {
        if *number != wanted {
            return Err(Fault::new("directory", format!("segment {wanted} is missing")));
        }
    }
    if segments.is_empty() {
        return Err(Fault::new(
            "directory",
            "there is no segment: a ledger has at least one",
        ));
    }
    Ok(segments.into_iter().map(|(_, name)| name).collect())
}

fn segments(files: &mut impl LedgerFiles, pass: &mut Pass<'_>) -> Result<(), Stop> {
    let names = listed(files.names()?)?;
    for name in &names {
        bounded(files, name)?;
    }
    let last = names.len() - 1;
    for (at, name) in names.iter().enumerate() {
        pass.segment_named(name);
        segment(files, pass, name, at, at == last)?;
    }
    Ok(())
}

/// Refuses by its length a file that no writer makes: zeros beyond any bound cost whoever adds them nothing, and whoever
/// reads them hours.
fn bounded(files: &mut impl LedgerFiles, name: &str) -> Result<(), Stop> {
    let bytes = files.bytes(name)?;
    if bytes <= SEGMENT_BYTES_MAX {
        return Ok(());
    }
    let text = format!(
        "{name} has {bytes} bytes, a segment at most {SEGMENT_BYTES_MAX}; restore it from the archive or a mirror"
    );
    Err(Fault::new("directory", text).into())
}

fn segment(
    files: &mut impl LedgerFiles,
    pass: &mut Pass<'_>,
    name: &str,
    number: usize,
    is_last: bool,
) -> Result<(), Stop> {
    let mut scan = match SegmentScan::open(reader(files.open(name, 0)?)) {
        Ok(scan) => scan,
        Err(error) => return Err(stop(error, name)),
    };
    pass.segment(number as u64, scan.header())?;
    loop {
        let next = scan.read_next();
        match next {
            Ok(Next::Frame { offset, body }) => pass.frame(offset, &body)?,
            Ok(Next::End { .. }) => return Ok(()),
            Ok(Next::Torn(_)) | Err(ScanError::Broken { .. }) if is_last && files.may_have_grown() => {
                let reader = reader(files.open(name, scan.offset())?);
                scan = SegmentScan::resume(reader, scan.header(), scan.offset());
            }
            Ok(Next::Torn(tear)) if is_last => {
                pass.torn(tear);
                return Ok(());
            }
            Ok(Next::Torn(tear)) => {
                let text = format!(
                    "{name}: the frame at byte {} is cut off, yet another segment follows",
                    tear.offset
                );
                return Err(Fault::new("frames", text).into());
            }
            Err(error) => return Err(stop(error, name)),
        }
    }
}

fn reader<R: Read>(file: R) -> BufReader<R> {
    BufReader::with_capacity(256 * 1024, file)
}

fn stop(error: ScanError, name: &str) -> Stop {
    match error {
        ScanError::Broken { .. } => Fault::new("frames", format!("{name}: {error}")).into(),
        ScanError::Unreadable(error) => error.into(),
    }
}
