//! Evidence: one file that proves one exchange to somebody who trusts neither side (docs/formats.md, Evidence file).
//!
//! A [`Builder`] makes a file from what the ledgers, the registry and the certificates say; [`verify`] judges one without
//! any other input than the anchor and the time.

mod agreed;
mod build;
mod case;
mod exchange;
mod facts;
mod seals;
mod snapshots;

pub use build::{Builder, Piece};

use crate::{
    anchor::Anchor,
    report::{Check, Report, Verdict},
};
use bytes::Bytes;
use case::Case;
use facts::Facts;
use jisr_certs::digest::domain;
use jisr_proto::{canonical, evidence::Evidence, ident::ExchangeId};

/// Longest evidence file, bytes, its 40-byte head included.
pub const EVIDENCE_BYTES_MAX: usize = 16 * 1024 * 1024 + HEAD_BYTES;
/// Magic and digest.
const HEAD_BYTES: usize = 40;
/// `"JISREV" ‖ 0x00 ‖ 0x01`.
const MAGIC: &[u8; 8] = b"JISREV\x00\x01";

/// Why an evidence file cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The body is longer than the format allows.
    #[error("the evidence would be longer than 16 MiB; leave out the schema")]
    TooLong,
}

/// The file for a body.
///
/// # Errors
/// The body is longer than 16 MiB.
pub fn encode(evidence: &Evidence) -> Result<Vec<u8>, EvidenceError> {
    let body = canonical::encode(evidence);
    if body.len() + HEAD_BYTES > EVIDENCE_BYTES_MAX {
        return Err(EvidenceError::TooLong);
    }
    Ok([MAGIC.as_slice(), &domain("jisr.evidence", &[&body]), &body].concat())
}

/// What keeps a check from being VALID.
#[derive(Debug)]
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

fn check(id: &'static str, outcome: Outcome) -> Check {
    let (verdict, text) = match outcome {
        Ok(text) => (Verdict::Valid, text),
        Err(Doubt::Lacks(text)) => (Verdict::Indeterminate, text),
        Err(Doubt::Wrong(text)) => (Verdict::Invalid, text),
    };
    Check { id, verdict, text }
}

/// The body of a file whose magic, length and digest hold.
fn body(file: &[u8]) -> Result<Bytes, (&'static str, &'static str)> {
    if file.len() > EVIDENCE_BYTES_MAX {
        return Err(("format", "the file is longer than 16 MiB"));
    }
    let rest = file
        .strip_prefix(MAGIC)
        .ok_or(("format", "the file does not begin as evidence of version 1 does"))?;
    let (digest, body) = rest
        .split_first_chunk::<32>()
        .ok_or(("format", "the file ends within its digest"))?;
    if domain("jisr.evidence", &[body]) != *digest {
        return Err(("digest", "the file was altered: its digest does not hold"));
    }
    Ok(Bytes::copy_from_slice(body))
}

/// What a file holds, for showing it. It is whole and canonical; nothing else has been judged.
///
/// # Errors
/// The report that [`verify`] would give.
pub fn open(file: &[u8]) -> Result<Evidence, Report> {
    let body = body(file).map_err(|(id, why)| Report::refused(id, why.to_owned()))?;
    canonical::decode(&body).map_err(|error| Report::refused("format", error.to_string()))
}

/// Judges an evidence file. `time_us` is the instant as of which it is judged, microseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn verify(file: &[u8], anchor: &Anchor, time_us: u64) -> Report {
    let evidence = match open(file) {
        Ok(evidence) => evidence,
        Err(report) => return report,
    };
    let case = match Case::read(evidence, anchor) {
        Ok(case) => case,
        Err((id, why)) => return Report::refused(id, why),
    };
    judge(&case, anchor, time_us)
}

fn judge(case: &Case, anchor: &Anchor, time_us: u64) -> Report {
    let mut checks = vec![
        check(
            "format",
            Ok(format!(
                "evidence of version 1, made for exchange {}",
                exchange_text(case)
            )),
        ),
        check("digest", Ok("the file is as it was made".to_owned())),
        check(
            "anchor",
            Ok(format!(
                "the file and the anchor are of the instance {}",
                anchor.instance
            )),
        ),
        check("statements", Ok(case.listed())),
    ];
    // Facts are taken only from entries that hold; without them the checks that need them find that they lack.
    let (facts, outcome) = match Facts::read(case, anchor) {
        Ok(facts) => {
            let found = facts.needed_by(case);
            (facts, found)
        }
        Err(doubt) => (Facts::default(), Err(doubt)),
    };
    checks.push(check("registry-entries", outcome));
    checks.push(check("snapshots", snapshots::check(case, &facts, anchor)));
    let (keys, outcome) = match seals::certificates(case, &facts, anchor) {
        Ok((keys, text)) => (keys, Ok(text)),
        Err(doubt) => (Vec::new(), Err(doubt)),
    };
    checks.push(check("certificates", outcome));
    checks.push(check("seals", seals::seals(case, &keys)));
    checks.push(check("cosignatures", seals::cosignatures(case, &facts, anchor)));
    checks.push(check("citations", exchange::citations(case)));
    checks.push(check("consistency", exchange::consistency(case)));
    checks.push(check("agreement", agreed::agreement(case, &facts)));
    checks.push(check("agreed", agreed::agreed(case, &facts)));
    checks.push(check("schema", snapshots::schema(case, &facts)));
    checks.push(check("closing", exchange::closing(case)));
    checks.push(check("times", exchange::times(case, time_us)));
    checks.push(check("revocation", seals::revocation(case, &facts, anchor)));
    checks.push(check(
        "payload",
        Ok("not present: the statements commit to the messages".to_owned()),
    ));
    checks.push(check("stamps", stamps(case)));
    checks.push(check("withheld", Ok(case.withheld())));
    Report::of(
        checks,
        || {
            format!(
                "exchange {} is proven: {}",
                exchange_text(case),
                exchange::outcome(case)
            )
        },
        None,
    )
}

fn stamps(case: &Case) -> Outcome {
    if case.body.stamps.is_empty() {
        return Ok("not present".to_owned());
    }
    lacks(format!(
        "{} time-stamps are present, which this version does not check",
        case.body.stamps.len()
    ))
}

fn exchange_text(case: &Case) -> String {
    ExchangeId::try_from(case.body.exchange_id.as_ref()).map_or_else(|_| "?".to_owned(), |id| id.to_string())
}
