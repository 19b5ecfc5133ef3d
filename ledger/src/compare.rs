//! Compares what two ledgers say about each other: every exchange of the one with the other, and every checkpoint that the
//! one holds of the other.
//!
//! Whatever a ledger holds of another is a claim that the other's tree must bear out: a citation says which leaf stands at
//! which index, a receipt and a final proof say so too, a checkpoint says which root the tree of its size has. What is not
//! borne out is a difference. Nothing else is: an exchange that one side alone closed (never sent, given up, refused at
//! home) leaves no claim behind, and so does one that the other side never saw.
//!
//! Both directories should be verified first ([`crate::verify`]): only then does a citation with its PEER_STATEMENT stand
//! for the other side's signature. Memory is bounded: exchanges are compared in slices of their ids, each in a reading of
//! its own.

mod checkpoints;
mod claims;
mod exchange;
mod finding;
mod judge;
mod proofs;
mod sheet;
mod survey;

pub use checkpoints::Held;
pub use finding::{About, Difference, Finding, Open, Outcome, Proof};
pub use survey::Whose;

use crate::anchor::Anchor;
use crate::archive::{Archive, ArchiveError};
use checkpoints::Roots;
use sheet::Sheet;
use std::time::Duration;

/// Some 400 MB.
const SLICE_STATEMENTS: u64 = 2_000_000;

/// One of the two ledgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// `A` or `B`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }

    /// What of a pair is this side's.
    pub(crate) fn of<T>(self, pair: &[T; 2]) -> &T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }

    pub(crate) fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        let [a, b] = pair;
        match self {
            Self::A => a,
            Self::B => b,
        }
    }
}

/// What to allow for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How far apart in time the directories may have been copied: what the other side came to hold of the shorter one so
    /// lately is newer than the copy. Beyond it, a directory that ends before a checkpoint that the other side holds makes the
    /// outcome indeterminate: its end may have been removed.
    pub apart: Duration,
    /// Statements of exchanges that are held in memory at a time, of both ledgers together. Fewer take more readings.
    pub slice_statements: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            apart: Duration::ZERO,
            slice_statements: SLICE_STATEMENTS,
        }
    }
}

/// How exchanges in one direction stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    /// Exchanges of which at least one side holds a statement that is meant for the other.
    pub exchanges: u64,
    /// The consumer's closing statement cites the provider's.
    pub agreed: u64,
    /// The consumer closed it alone: not sent, given up, or no answer came.
    pub alone: u64,
    /// A side has not closed it, or its closing is newer than the other's directory.
    pub open: u64,
    /// With a difference.
    pub different: u64,
    /// Receipts that the provider holds.
    pub receipts: u64,
}

/// What the comparison found.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// In one word.
    pub outcome: Outcome,
    /// In one sentence.
    pub reason: String,
    /// The two ledgers.
    pub ledgers: [Whose; 2],
    /// What A asked B, and what B asked A.
    pub asked: [Direction; 2],
    /// What A holds of B's ledger, and what B holds of A's.
    pub held: [Held; 2],
    /// Differences, ledgers first, then exchanges by time.
    pub findings: Vec<Finding>,
    /// Exchanges that are not closed, by time.
    pub open: Vec<Open>,
    /// Findings and open exchanges beyond what is named one by one.
    pub unnamed: u64,
}

/// Compares two ledger directories.
///
/// # Errors
/// A directory cannot be read, or does not begin with STARTED.
pub fn directories(
    mut a: Archive,
    mut b: Archive,
    anchor: &Anchor,
    options: Options,
) -> Result<Comparison, ArchiveError> {
    // What the first holds is fixed before the end of the second is looked at.
    let ledgers = [survey::survey(&mut a)?, survey::survey(&mut b)?];
    let archives = [a, b];
    let total: u64 = ledgers.iter().map(|whose| whose.exchange_statements).sum();
    let slices = total.div_ceil(options.slice_statements.max(1)).max(1);
    let mut report = judge::Judge::new(&ledgers);
    let mut waiting = Roots::default();
    for slice in 0..slices {
        let mut sheet = Sheet::new(&ledgers, slice, slices);
        read(&archives, Side::A, &mut sheet, &mut waiting)?;
        report.checkpoints(Side::B, waiting);
        let mut of_b = Roots::new(sheet.notes(Side::A));
        read(&archives, Side::B, &mut sheet, &mut of_b)?;
        report.checkpoints(Side::A, of_b);
        waiting = Roots::new(sheet.notes(Side::B));
        report.exchanges(sheet);
    }
    roots(&archives, Side::A, &mut waiting)?;
    report.checkpoints(Side::B, waiting);
    let mut comparison = report.end(options);
    proofs::name(&archives, anchor, &mut comparison)?;
    Ok(comparison)
}

/// Reads one ledger for the sheet, and for the roots that the other side says it has.
fn read(archives: &[Archive; 2], side: Side, sheet: &mut Sheet<'_>, roots: &mut Roots) -> Result<(), ArchiveError> {
    for item in side.of(archives).items() {
        let (place, item) = item?;
        roots.take(&item);
        sheet.take(side, place, item);
    }
    Ok(())
}

fn roots(archives: &[Archive; 2], side: Side, roots: &mut Roots) -> Result<(), ArchiveError> {
    if roots.is_empty() {
        return Ok(());
    }
    for item in side.of(archives).items() {
        roots.take(&item?.1);
    }
    Ok(())
}
