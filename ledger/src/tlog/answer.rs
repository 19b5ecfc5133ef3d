//! What a witness answers to add-checkpoint: HTTP status, content type and body (C2SP tlog-witness).

use crate::note::{NOTE_BYTES_MAX, NoteError, decimal};
use crate::witness::WitnessError;

use super::RequestError;

/// Content type of a size.
const SIZE_TYPE: &str = "text/x.tlog.size";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// A witness's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: cosignature lines, each with its newline. The reader checks them as part of the note.
    Cosigned(String),
    /// 409: the witness knows a checkpoint of this size, not of the one that the caller named, or another root of this size.
    Conflict(u64),
    /// Any other status: nothing was cosigned.
    Refused {
        /// 400 malformed or old size above the new, 403 no signature by the listed key, 404 unknown ledger, 413 too long, 422 not
        /// consistent, 429 too often, 503 the witness cannot cosign.
        status: u16,
        /// Why, in words.
        text: String,
    },
}

impl Answer {
    /// A refusal with this status.
    #[must_use]
    pub fn refused(status: u16, why: impl std::fmt::Display) -> Self {
        Self::Refused {
            status,
            text: why.to_string(),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Conflict(_) => 409,
            Self::Refused { status, .. } => *status,
        }
    }

    /// The content type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Conflict(_) => SIZE_TYPE,
            Self::Cosigned(_) | Self::Refused { .. } => TEXT_TYPE,
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> String {
        match self {
            Self::Cosigned(lines) => lines.clone(),
            Self::Conflict(size) => format!("{size}\n"),
            Self::Refused { text, .. } => format!("{text}\n"),
        }
    }

    /// Reads an answer. What does not keep to the standard is a refusal with its own status.
    #[must_use]
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body.get(..body.len().min(NOTE_BYTES_MAX)).unwrap_or_default());
        match (status, content_type) {
            (200, _) if str::from_utf8(body).is_ok() && body.len() <= NOTE_BYTES_MAX => {
                Self::Cosigned(text.into_owned())
            }
            (409, Some(SIZE_TYPE)) => match text.strip_suffix('\n').and_then(decimal) {
                Some(size) => Self::Conflict(size),
                None => Self::refused(status, "the answer names no size"),
            },
            _ => Self::refused(status, text.trim_end()),
        }
    }
}

impl From<RequestError> for Answer {
    fn from(error: RequestError) -> Self {
        Self::refused(400, error)
    }
}

impl From<WitnessError> for Answer {
    fn from(error: WitnessError) -> Self {
        let status = match &error {
            WitnessError::Conflict { size, .. } | WitnessError::RolledBack { size, .. } => {
                return Self::Conflict(*size);
            }
            WitnessError::Note(NoteError::Malformed(_) | NoteError::Text { .. }) | WitnessError::OldSize { .. } => 400,
            WitnessError::Note(_) => 403,
            WitnessError::Inconsistent { .. } => 422,
            WitnessError::Lost(_) | WitnessError::Io { .. } | WitnessError::Damaged(_) => 503,
        };
        Self::refused(status, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_is_read() {
        for answer in [
            Answer::Cosigned("\u{2014} w AAAA\n".to_owned()),
            Answer::Conflict(0),
            Answer::Conflict(u64::MAX),
            Answer::refused(404, "unknown"),
        ] {
            let read = Answer::read(answer.status(), Some(answer.content_type()), answer.body().as_bytes());
            assert_eq!(read, answer);
        }
    }

    #[test]
    fn what_breaks_the_standard_is_a_refusal() {
        for (status, kind, body) in [
            (409, Some(TEXT_TYPE), "5\n"),
            (409, None, "5\n"),
            (409, Some(SIZE_TYPE), "5"),
            (409, Some(SIZE_TYPE), "05\n"),
            (409, Some(SIZE_TYPE), "\n"),
            (302, None, "elsewhere"),
        ] {
            let read = Answer::read(status, kind, body.as_bytes());
            assert!(
                matches!(read, Answer::Refused { status: found, .. } if found == status),
                "{status} {body:?}"
            );
        }
        assert!(matches!(
            Answer::read(200, None, &[0xff]),
            Answer::Refused { status: 200, .. }
        ));
        let long = vec![b'a'; NOTE_BYTES_MAX + 1];
        assert!(matches!(Answer::read(200, None, &long), Answer::Refused { .. }));
    }
}
