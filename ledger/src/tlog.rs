//! What a ledger and its witnesses say over HTTP: requests and answers of C2SP tlog-witness, resource paths of C2SP tlog-tiles.
//!
//! Texts only: who may ask, and what is cosigned, is decided elsewhere. Each side reads with what the other prints with.

mod answer;
mod resource;
mod served;

pub use answer::Answer;
pub use resource::{Resource, WIDTH};
pub use served::Served;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::Hash;
use crate::note::{NOTE_BYTES_MAX, decimal};

/// Where checkpoints are shown to a witness, by POST.
pub const ADD_CHECKPOINT: &str = "/add-checkpoint";
/// Longest body of an add-checkpoint request, bytes: a note, 63 proof lines and the first line.
pub const BODY_BYTES_MAX: usize = 128 * 1024;
/// Most proof lines in a request.
pub const PROOF_LINES_MAX: usize = 63;

/// A request that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "caller: this is no add-checkpoint request (C2SP tlog-witness): {0}; send an old size, the proof from there and the checkpoint"
)]
pub struct RequestError(&'static str);

/// A checkpoint shown to a witness (C2SP tlog-witness, add-checkpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint of this ledger that the witness knows, as the caller believes; 0: none.
    pub old_size: u64,
    /// RFC 6962 consistency proof from there.
    pub proof: Vec<Hash>,
    /// The newer checkpoint, a signed note.
    pub checkpoint: Bytes,
}

impl AddCheckpoint {
    /// Reads a request body. The checkpoint in it is not parsed.
    ///
    /// # Errors
    /// [`RequestError`]: the body is too long, has more proof lines than 63, or a line is not exactly of its form.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(RequestError("it is longer than 128 KiB"));
        }
        let body = str::from_utf8(body).map_err(|_| RequestError("it is not UTF-8"))?;
        let (head, checkpoint) = body
            .split_once("\n\n")
            .ok_or(RequestError("no empty line stands before the checkpoint"))?;
        if checkpoint.len() > NOTE_BYTES_MAX {
            return Err(RequestError("the checkpoint is longer than 64 KiB"));
        }
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(decimal)
            .ok_or(RequestError("the first line is not `old` and a decimal size"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == PROOF_LINES_MAX {
                return Err(RequestError("the proof has more than 63 lines"));
            }
            proof.push(hash(line).ok_or(RequestError("a proof line is not the base64 of 32 bytes"))?);
        }
        Ok(Self {
            old_size,
            proof,
            checkpoint: Bytes::copy_from_slice(checkpoint.as_bytes()),
        })
    }

    /// The request body.
    #[must_use]
    pub fn print(&self) -> Vec<u8> {
        let mut body = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            STANDARD.encode_string(hash, &mut body);
            body.push('\n');
        }
        body.push('\n');
        let mut body = body.into_bytes();
        body.extend_from_slice(&self.checkpoint);
        body
    }
}

fn hash(line: &str) -> Option<Hash> {
    // 32 bytes are 44 characters: a longer line is not decoded at all.
    (line.len() == 44).then_some(())?;
    STANDARD.decode(line).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: usize) -> AddCheckpoint {
        AddCheckpoint {
            old_size: 20_852_014,
            proof: vec![[7; 32]; lines],
            checkpoint: Bytes::from_static(b"origin\n3\nroot\n\n\xe2\x80\x94 key AAAA\n"),
        }
    }

    #[test]
    fn what_is_printed_parses() {
        for lines in [0, 1, 63] {
            let request = request(lines);
            assert_eq!(AddCheckpoint::parse(&request.print()), Ok(request));
        }
        let first = AddCheckpoint {
            old_size: 0,
            ..request(0)
        };
        assert!(first.print().starts_with(b"old 0\n\norigin\n"));
    }

    #[test]
    fn what_is_not_exactly_a_request_is_refused() {
        let good = String::from_utf8(request(2).print()).unwrap();
        let line = STANDARD.encode([7; 32]);
        let long = "x".repeat(NOTE_BYTES_MAX + 1);
        for bad in [
            String::new(),
            "old 3".to_owned(),
            "old 3\n".to_owned(),
            good.replace("old 20852014", "old 020852014"),
            good.replace("old 20852014", "old -1"),
            good.replace("old 20852014", "old 18446744073709551616"),
            good.replace("old 20852014", "old  20852014"),
            good.replace("old 20852014", "old 20852014 "),
            good.replace("old 20852014", "old 20852014\r"),
            good.replace("old ", "new "),
            good.replace(&line, line.trim_end_matches('=')),
            good.replace(&line, &STANDARD.encode([7; 31])),
            good.replace(&line, &STANDARD.encode([7; 33])),
            good.replace(&line, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="),
            good.replace(&line, &line.replace('c', "_")),
            format!("\n{good}"),
            format!("old 1\n\n{long}"),
        ] {
            assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(AddCheckpoint::parse(&request(64).print()).is_err());
        assert!(AddCheckpoint::parse(&vec![b'o'; BODY_BYTES_MAX + 1]).is_err());
        assert!(AddCheckpoint::parse(b"old 1\n\n\xff").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(body: Vec<u8>, tail: String) {
            let _ = AddCheckpoint::parse(&body);
            let text = format!("old 5\n{tail}");
            if let Ok(request) = AddCheckpoint::parse(text.as_bytes()) {
                proptest::prop_assert_eq!(request.print(), text.into_bytes());
            }
        }
    }
}
