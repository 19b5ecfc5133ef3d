//! What callers say, judged by its form alone: without state, disk or clock.
//!
//! The tasks of the office read with the same functions. These are public so that hostile bytes can be thrown at them directly
//! (tests/fuzz); whoever speaks to a registry goes through its doors.

use jisr_ledger::Hash;
use jisr_proto::ident::{Instance, Origin};
use jisr_proto::registry::{EnrolRequest, ReportRequest};
use jisr_proto::snapshot::SignedAct;

use crate::administration::Signed;
use crate::enrol::{self, Enrolment};
use crate::refusal::Refusal;
use crate::report;

/// Reads a request to enrol.
///
/// # Errors
/// TOKEN_INVALID, REQUEST_INVALID.
pub fn enrolment(request: EnrolRequest) -> Result<(), Refusal> {
    let token = enrol::token(&request)?;
    Enrolment::read(request, token).map(drop)
}

/// Reads a report: which ledger it is about.
///
/// # Errors
/// REQUEST_INVALID.
pub fn finding(request: ReportRequest) -> Result<Origin, Refusal> {
    report::read(request).map(|(_, origin)| origin)
}

/// Reads what an administrator signed, whose signature is not verified: the digest of the document.
///
/// # Errors
/// REQUEST_INVALID.
pub fn act(signed: SignedAct, instance: &Instance) -> Result<Hash, Refusal> {
    Signed::read(signed, instance).map(|signed| signed.digest)
}
