//! The enrolment token: what it says, for whom, and what it pins of the registry's ledger.

use bytes::Bytes;
use jisr_ledger::anchor::Anchor;
use jisr_ledger::note::{self, Checkpoint, VerifierKey};
use jisr_ledger::seal;
use jisr_ledger::tree::verify_consistency;
use jisr_proto::canonical;
use jisr_proto::registry::Token;
use jisr_proto::snapshot::SignedSnapshot;

use super::SetupError;
use crate::config::Config;

/// Reads an enrolment token (docs/formats.md, enrolment token).
///
/// # Errors
/// It is cut short, mistyped or of another version.
pub fn read_token(text: &str) -> Result<Token, SetupError> {
    use base64::Engine as _;
    let wrong = |what: &str| SetupError::Token(what.to_owned());
    let encoded = text
        .trim()
        .strip_prefix("jisr1-")
        .ok_or_else(|| wrong("does not begin with jisr1-"))?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| wrong("has characters that no token has, or was cut short"))?;
    let (body, check) = bytes.split_last_chunk::<4>().ok_or_else(|| wrong("was cut short"))?;
    if jisr_certs::digest::sha256(&[body]).first_chunk::<4>() != Some(check) {
        return Err(wrong("was mistyped or cut short: its check digits do not match"));
    }
    canonical::decode(&Bytes::copy_from_slice(body))
        .map_err(|error| SetupError::Token(format!("does not parse: {error}")))
}

/// A token that is for the node of this configuration, now.
pub(crate) fn token_for(config: &Config, token: &str, now_us: u64) -> Result<Token, SetupError> {
    let token = read_token(token)?;
    check_token(config, &token, now_us)?;
    Ok(token)
}

/// Whether a token is for the node of this configuration, now.
pub(super) fn check_token(config: &Config, token: &Token, now_us: u64) -> Result<(), SetupError> {
    if token.node != config.node.as_str() {
        return Err(SetupError::Token(format!(
            "is for {}, this is {}",
            token.node, config.node
        )));
    }
    if token.expires_us <= now_us {
        return Err(SetupError::Token(format!(
            "expired {} s ago by this machine's clock, which says {} s since 1970: is that right? If it is, this token is of no use",
            (now_us - token.expires_us) / 1_000_000,
            now_us / 1_000_000
        )));
    }
    Ok(())
}

/// The checkpoint of the registry's ledger that a token pins.
pub(super) fn pinned(token: &Token) -> Result<Checkpoint, SetupError> {
    let key: VerifierKey = token
        .registry_key
        .parse()
        .map_err(|error| SetupError::Token(format!("names no key of the registry's ledger: {error}")))?;
    match note::open(&token.checkpoint, &key) {
        Ok(checkpoint) => Ok(checkpoint.into_inner()),
        Err(error) => Err(SetupError::Token(format!(
            "pins no checkpoint of the registry's ledger: {error}"
        ))),
    }
}

/// What the token pins must be a stage of the ledger in which the snapshot stands.
pub(super) fn check_continues(
    pinned: &Checkpoint,
    signed: &SignedSnapshot,
    anchor: &Anchor,
    consistency: &[Bytes],
) -> Result<(), SetupError> {
    let seal = signed.entry.as_ref().and_then(|entry| entry.seal.as_ref());
    let shown = seal.map(|seal| note::open(&seal.checkpoint, &anchor.registry_key));
    let shown = match shown {
        Some(Ok(shown)) => shown,
        Some(Err(error)) => return Err(SetupError::Answer(format!("the checkpoint of its snapshot: {error}"))),
        None => return Err(SetupError::Answer("its snapshot stands under no checkpoint".to_owned())),
    };
    if shown.size < pinned.size {
        let text = format!("{} entries are pinned, {} are shown", pinned.size, shown.size);
        return Err(SetupError::Forked(text));
    }
    let proof = seal::path(consistency).map_err(|error| SetupError::Answer(error.to_string()))?;
    if verify_consistency(pinned.size, &pinned.root, shown.size, &shown.root, &proof) {
        return Ok(());
    }
    let text = format!(
        "the {} entries that are shown do not begin with the {} that are pinned",
        shown.size, pinned.size
    );
    Err(SetupError::Forked(text))
}
