//! The one-time token as text (docs/formats.md, Enrolment token).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::canonical;
use jisr_proto::ident::{Instance, NodeId};
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use ring::rand::{SecureRandom, SystemRandom};

use crate::refusal::Refusal;
use crate::state::Hash;

/// What stands in front.
const PREFIX: &str = "jisr1-";

/// 32 random bytes that whoever holds the token knows. No `Debug`.
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// A fresh one.
    ///
    /// # Errors
    /// INTERNAL where the operating system has no random bytes.
    pub(crate) fn draw() -> Result<Secret, Refusal> {
        let mut secret = Secret([0; 32]);
        let failed = |_| Refusal::new(Reason::Internal, "the operating system gives no random bytes");
        SystemRandom::new().fill(&mut secret.0).map_err(failed)?;
        Ok(secret)
    }

    /// `D(jisr.token, secret)`: finds the token in the ledger, does not reveal it.
    pub(crate) fn digest(&self) -> Hash {
        digest_of(&self.0)
    }
}

/// The digest by which the ledger knows a secret.
pub(crate) fn digest_of(secret: &[u8]) -> Hash {
    digest::domain("jisr.token", &[secret])
}

/// What a token says. No `Debug`: it holds the secret.
pub(crate) struct Token<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) node: &'a NodeId,
    /// host:port of the registry.
    pub(crate) registry: &'a str,
    pub(crate) secret: &'a Secret,
    /// SHA-256 of the root certificate.
    pub(crate) root: &'a Hash,
    /// Key of the registry's ledger, vkey.
    pub(crate) registry_key: &'a str,
    /// Signed checkpoint of the registry's ledger.
    pub(crate) checkpoint: &'a Bytes,
    pub(crate) expires_us: u64,
}

impl Token<'_> {
    /// The text that the operator of the node gets.
    pub(crate) fn text(&self) -> String {
        let message = wire::Token {
            format: 1,
            instance: self.instance.to_string(),
            node: self.node.to_string(),
            registry: self.registry.to_owned(),
            secret: Bytes::copy_from_slice(&self.secret.0),
            root: Bytes::copy_from_slice(self.root),
            registry_key: self.registry_key.to_owned(),
            checkpoint: self.checkpoint.clone(),
            expires_us: self.expires_us,
        };
        let bytes = canonical::encode(&message);
        let check = digest::sha256(&[&bytes]);
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string([&bytes, check.split_at(4).0].concat(), &mut text);
        text
    }
}
