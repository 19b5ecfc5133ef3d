//! Evidence: one file that proves one exchange, or many, to somebody who trusts neither side (docs/formats.md, Evidence file
//! and Evidence set).
//!
//! A [`Builder`] makes a file from what the ledgers, the registry and the certificates say; [`verify`] judges one without
//! any other input than the anchor and the time. A [`Verifier`] judges many and remembers what they share.

mod agreed;
mod build;
mod cache;
mod case;
mod exchange;
mod facts;
mod ground;
pub(crate) mod instant;
mod judge;
mod needs;
pub mod offline;
mod redact;
mod rows;
mod seals;
mod shared;
mod shelf;
mod snapshots;
mod stamps;
mod verifier;

pub use build::{Builder, Piece, SetBuilder};
pub use instant::utc;
pub use needs::{AgreedIn, Needs};
pub use redact::{RedactError, extract, withhold, withhold_in_set};
pub use rows::listed_in;
pub use verifier::{ExchangeReport, SET_EXCHANGES_MAX, SetReport, Verifier};

use crate::{anchor::Anchor, report::Report};
use bytes::Bytes;
use case::Case;
use facts::Facts;
use jisr_certs::digest::domain;
use jisr_proto::{
    canonical,
    evidence::{Evidence, EvidenceSet},
};
use prost::{Message, Name};
use shared::Shared;

/// Longest evidence file, bytes, its 40-byte head included.
pub const EVIDENCE_BYTES_MAX: usize = 16 * 1024 * 1024 + HEAD_BYTES;
/// Longest file of a set, bytes, its 40-byte head included.
pub const SET_BYTES_MAX: usize = 256 * 1024 * 1024 + HEAD_BYTES;
/// Magic and digest.
const HEAD_BYTES: usize = 40;
/// The pieces of a body have at least so many bytes each, all levels counted.
const PIECE_BYTES_MIN: usize = 32;

/// The two forms of a file.
struct Form {
    magic: &'static [u8; 8],
    domain: &'static str,
    bytes_max: usize,
    name: &'static str,
}

const ONE: Form = Form {
    magic: b"JISREV\x00\x01",
    domain: "jisr.evidence",
    bytes_max: EVIDENCE_BYTES_MAX,
    name: "evidence",
};
const SET: Form = Form {
    magic: b"JISREV\x01\x01",
    domain: "jisr.evidence-set",
    bytes_max: SET_BYTES_MAX,
    name: "a set of evidence",
};

/// Why an evidence file cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The body is longer than the format allows.
    #[error("the evidence would be longer than 16 MiB; leave out the schema")]
    TooLong,
    /// A set is longer than the format allows.
    #[error(
        "the set would be longer than 256 MiB or hold more than 100 000 exchanges; choose fewer, for example by --from and --until"
    )]
    SetTooLong,
}

/// The file for a body.
///
/// # Errors
/// The body is longer than 16 MiB.
pub fn encode(evidence: &Evidence) -> Result<Vec<u8>, EvidenceError> {
    ONE.file(&canonical::encode(evidence)).ok_or(EvidenceError::TooLong)
}

/// The file for a set.
///
/// # Errors
/// The body is longer than 256 MiB, or holds too many exchanges.
pub fn encode_set(set: &EvidenceSet) -> Result<Vec<u8>, EvidenceError> {
    if set.exchanges.len() > SET_EXCHANGES_MAX {
        return Err(EvidenceError::SetTooLong);
    }
    SET.file(&canonical::encode(set)).ok_or(EvidenceError::SetTooLong)
}

/// Whether a file begins as a set does, and not as evidence of one exchange.
#[must_use]
pub fn is_set(file: &[u8]) -> bool {
    file.starts_with(SET.magic)
}

impl Form {
    fn file(&self, body: &[u8]) -> Option<Vec<u8>> {
        if body.len() + HEAD_BYTES > self.bytes_max {
            return None;
        }
        Some([self.magic.as_slice(), &domain(self.domain, &[body]), body].concat())
    }

    /// The body of a file whose magic, length and digest hold.
    fn body(&self, file: &[u8]) -> Result<Bytes, Report> {
        let refused = |id, why: String| Err(Report::refused(id, why));
        if file.len() > self.bytes_max {
            return refused("format", format!("the file is longer than {} may be", self.name));
        }
        let Some(rest) = file.strip_prefix(self.magic) else {
            return refused(
                "format",
                format!("the file does not begin as {} of version 1 does", self.name),
            );
        };
        let Some((digest, body)) = rest.split_first_chunk::<32>() else {
            return refused("format", "the file ends within its digest".to_owned());
        };
        if domain(self.domain, &[body]) != *digest {
            return refused("digest", "the file was altered: its digest does not hold".to_owned());
        }
        Ok(Bytes::copy_from_slice(body))
    }
}

/// What keeps a check from being VALID.
#[derive(Clone, Debug)]
enum Doubt {
    /// Something contradicts.
    Wrong(String),
    /// Something that is needed is not there.
    Lacks(String),
}

/// What a check found.
type Outcome = Result<String, Doubt>;

fn wrong<T>(text: impl Into<String>) -> Result<T, Doubt> {
    Err(Doubt::Wrong(text.into()))
}

fn lacks<T>(text: impl Into<String>) -> Result<T, Doubt> {
    Err(Doubt::Lacks(text.into()))
}

/// Why a file is not taken apart: which check refuses it, and why.
type Refusal = (&'static str, String);

/// What a file holds, for showing it. It is whole and canonical; nothing else has been judged.
///
/// # Errors
/// The report that [`verify`] would give.
pub fn open(file: &[u8]) -> Result<Evidence, Report> {
    let body = ONE.body(file)?;
    decode(&body)
}

/// Parses a body. Nothing is allocated for more pieces than its length can hold of good ones: all that a file lists is, or holds, a
/// hash, a salt or a signature, and a stranger's list of empty ones would take fifty times its length in memory.
fn decode<M: Message + Default + Name>(body: &Bytes) -> Result<M, Report> {
    canonical::decode_bounded(body, body.len() / PIECE_BYTES_MIN)
        .map_err(|error| Report::refused("format", error.to_string()))
}

/// As [`open`], of a set.
///
/// # Errors
/// The report that [`Verifier::verify_set`] would give.
pub fn open_set(file: &[u8]) -> Result<EvidenceSet, Report> {
    let body = SET.body(file)?;
    decode(&body)
}

/// Judges an evidence file. `time_us` is the instant as of which it is judged, microseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn verify(file: &[u8], anchor: &Anchor, time_us: u64) -> Report {
    Verifier::new(anchor.clone()).verify(file, time_us)
}
