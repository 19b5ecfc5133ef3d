//! What a log answers to who fetches: HTTP status, headers and body (C2SP tlog-tiles).

use bytes::Bytes;

use super::Resource;
use crate::ledger::Ledger;

/// An answer to a GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// 200: the resource.
    Found(Resource, Bytes),
    /// 404: the ledger is not that long.
    Absent,
    /// 500: it cannot be read now; the log says why.
    Unreadable,
}

impl Served {
    /// Reads a resource of a ledger. Blocks on disk.
    #[must_use]
    pub fn of(ledger: &Ledger, resource: Resource) -> Self {
        match ledger.resource(resource) {
            Ok(Some(bytes)) => Self::Found(resource, bytes),
            Ok(None) => Self::Absent,
            Err(error) => {
                tracing::error!(%resource, %error, "the ledger cannot be read");
                Self::Unreadable
            }
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Found(..) => 200,
            Self::Absent => 404,
            Self::Unreadable => 500,
        }
    }

    /// The content type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Found(Resource::Tile { .. } | Resource::Entries { .. }, _) => "application/octet-stream",
            Self::Found(Resource::Checkpoint, _) | Self::Absent | Self::Unreadable => "text/plain; charset=utf-8",
        }
    }

    /// For how long it may be kept: tiles never change, the checkpoint does.
    #[must_use]
    pub fn cache_control(&self) -> &'static str {
        match self {
            Self::Found(Resource::Tile { .. } | Resource::Entries { .. }, _) => "private, max-age=31536000, immutable",
            Self::Found(Resource::Checkpoint, _) | Self::Absent | Self::Unreadable => "no-store",
        }
    }

    /// The body.
    #[must_use]
    pub fn body(self) -> Bytes {
        match self {
            Self::Found(_, bytes) => bytes,
            Self::Absent => Bytes::from_static(b"the ledger is not that long\n"),
            Self::Unreadable => Bytes::from_static(b"the ledger cannot be read\n"),
        }
    }
}
