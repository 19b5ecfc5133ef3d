//! Commitments to messages: salted, so that nobody can guess the message from them.

use crate::tree::Hash;
use bytes::Bytes;
use ring::digest::{Context, SHA256};

/// Algorithm 1: SHA-256.
const ALGORITHM: u8 = 1;

/// Computes a payload commitment while the message streams by.
#[derive(Clone)]
pub struct PayloadHasher {
    context: Context,
    salt: [u8; 32],
    bytes: u64,
}

impl PayloadHasher {
    /// Starts a commitment with a salt of its own.
    #[must_use]
    pub fn start() -> Self {
        let mut salt = [0; 32];
        fill(&mut salt);
        Self::with_salt(salt)
    }

    /// Starts a commitment with a given salt: to check a message against a commitment, or to repeat one.
    #[must_use]
    pub fn with_salt(salt: [u8; 32]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"jisr.payload\x01");
        context.update(&salt);
        Self {
            context,
            salt,
            bytes: 0,
        }
    }

    /// Takes the next bytes of the message.
    pub fn update(&mut self, message: &[u8]) {
        self.context.update(message);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(message.len()).unwrap_or(u64::MAX));
    }

    /// The commitment to all bytes taken.
    #[must_use]
    pub fn finish(self) -> PayloadCommitment {
        let digest = self
            .context
            .finish()
            .as_ref()
            .try_into()
            .expect("SHA-256 yields 32 bytes");
        PayloadCommitment {
            salt: self.salt,
            digest,
            bytes: self.bytes,
        }
    }
}

impl std::fmt::Debug for PayloadHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PayloadHasher({} bytes)", self.bytes)
    }
}

/// A commitment to a message: `D(jisr.payload, salt ‖ message)`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PayloadCommitment {
    pub(super) salt: [u8; 32],
    pub(super) digest: Hash,
    pub(super) bytes: u64,
}

impl PayloadCommitment {
    /// Commits to a message that lies in memory as a whole.
    #[must_use]
    pub fn to(message: &[u8]) -> Self {
        let mut hasher = PayloadHasher::start();
        hasher.update(message);
        hasher.finish()
    }

    /// Length of the message, bytes.
    #[must_use]
    pub fn message_bytes(&self) -> u64 {
        self.bytes
    }

    /// Content of a PAYLOAD part: algorithm, digest.
    #[must_use]
    pub fn content(&self) -> Bytes {
        let mut content = Vec::with_capacity(33);
        content.push(ALGORITHM);
        content.extend_from_slice(&self.digest);
        content.into()
    }
}

impl std::fmt::Debug for PayloadCommitment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PayloadCommitment({} bytes)", self.bytes)
    }
}

/// The digest in the content of a PAYLOAD part.
pub(super) fn digest_of(content: &[u8]) -> Option<&Hash> {
    content
        .strip_prefix(&[ALGORITHM])
        .and_then(|digest| digest.try_into().ok())
}

/// Fills a buffer with random bytes.
pub(super) fn fill(buffer: &mut [u8]) {
    crate::random::fill(buffer).expect("the system's random source answers once the machine is up");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaming_and_whole_agree() {
        let mut hasher = PayloadHasher::with_salt([3; 32]);
        hasher.update(b"a mes");
        hasher.update(b"sage");
        let streamed = hasher.finish();
        assert_eq!(
            streamed.digest,
            jisr_certs::digest::domain("jisr.payload", &[&[3; 32], b"a message"])
        );
        assert_eq!(streamed.message_bytes(), 9);
        assert_eq!(digest_of(&streamed.content()), Some(&streamed.digest));
        assert_ne!(
            PayloadCommitment::to(b"").content(),
            PayloadCommitment::to(b"").content()
        );
        assert_eq!(digest_of(&[2; 33]), None);
        assert_eq!(digest_of(&[1; 32]), None);
    }
}
