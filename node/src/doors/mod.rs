//! The doors: where bytes become questions, and faults become statuses.

mod accept;
pub(crate) mod admin;
mod catalogue;
pub(crate) mod local;
pub(crate) mod peer;
pub(crate) mod metrics;
mod reflection;
mod status;
mod tiles;
mod witness;

pub(crate) use accept::{Door, Stopped};

use http::{HeaderMap, Response, StatusCode};
use jisr_proto::status::Fault;

use crate::grpc::{self, Chunks, FrameError, Status};
use jisr_proto::reason::Reason;

/// A fault as a gRPC status without a message.
fn refuse(fault: &Fault, headers: HeaderMap) -> Response<Chunks> {
    let status = Status {
        code: crate::closets::code(fault),
        message: fault.message(),
        details: fault.to_status_bytes(),
    };
    grpc::trailers_only(&status, headers)
}

/// A plain HTTP answer for what is not gRPC at all.
fn not_grpc(status: StatusCode) -> Response<Chunks> {
    let mut response = Response::new(Chunks::default());
    *response.status_mut() = status;
    response
}

/// What the caller is told about a body that could not be read; `malformed` says who sends what is not even a message.
fn body_fault(error: &FrameError, malformed: Reason) -> Fault {
    let reason = match error {
        FrameError::TooLarge { .. } => Reason::BodyTooLarge,
        FrameError::Malformed(_) => malformed,
        FrameError::Compressed => Reason::CompressionUnsupported,
        FrameError::Broken(_) => Reason::Cancelled,
    };
    Fault::new(reason, error.to_string())
}
