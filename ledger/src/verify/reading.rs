//! Reads the segments of a ledger, frame by frame, in order.

use super::{Fault, LedgerFiles, Stop};
use crate::frame::{Next, SEGMENT_BYTES_MAX, ScanError, SegmentHeader, SegmentScan, Tear, segment_number};
use bytes::Bytes;
use std::io::{self, BufReader, Read};

/// What comes next in a ledger.
pub(super) enum Event {
    /// A segment begins.
    Segment {
        /// Its file.
        name: String,
        /// Its number by its place among the others.
        number: u64,
        /// What it begins with.
        header: SegmentHeader,
    },
    /// A frame whose checksums hold.
    Frame {
        /// Where it begins in the segment.
        offset: u64,
        /// Its body.
        body: Bytes,
    },
    /// The torn frame that ends the ledger.
    Torn(Tear),
}

/// Whoever takes the events has found a fault and takes no more.
#[derive(Debug)]
pub(super) struct Closed;

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Ended {
    Stop(Stop),
    Closed,
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Stop(fault.into())
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Stop(error.into())
    }
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

/// Reads all segments in order and hands on what they hold.
pub(super) fn segments<F: LedgerFiles>(
    files: &mut F,
    hand_on: &mut impl FnMut(Event) -> Result<(), Closed>,
) -> Result<(), Ended> {
    let names = listed(files.names()?)?;
    for name in &names {
        bounded(files, name)?;
    }
    let last = names.len() - 1;
    for (at, name) in names.iter().enumerate() {
        segment(files, hand_on, name, at, at == last)?;
    }
    Ok(())
}

/// Refuses by its length a file that no writer makes: zeros beyond any bound cost whoever adds them nothing, and whoever
/// reads them hours.
fn bounded(files: &mut impl LedgerFiles, name: &str) -> Result<(), Ended> {
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
    hand_on: &mut impl FnMut(Event) -> Result<(), Closed>,
    name: &str,
    number: usize,
    is_last: bool,
) -> Result<(), Ended> {
    let mut scan = match SegmentScan::open(reader(files.open(name, 0)?)) {
        Ok(scan) => scan,
        Err(error) => return Err(stop(error, name)),
    };
    hand_on(Event::Segment {
        name: name.to_owned(),
        number: number as u64,
        header: scan.header(),
    })?;
    loop {
        match scan.read_next() {
            Ok(Next::Frame { offset, body }) => hand_on(Event::Frame { offset, body })?,
            Ok(Next::End { .. }) => return Ok(()),
            Ok(Next::Torn(_)) | Err(ScanError::Broken { .. }) if files.may_have_changed() => {
                let reader = reader(files.open(name, scan.offset())?);
                scan = SegmentScan::resume(reader, scan.header(), scan.offset());
            }
            Ok(Next::Torn(tear)) if is_last => {
                hand_on(Event::Torn(tear))?;
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

fn stop(error: ScanError, name: &str) -> Ended {
    match error {
        ScanError::Broken { .. } => Fault::new("frames", format!("{name}: {error}")).into(),
        ScanError::Unreadable(error) => error.into(),
    }
}
