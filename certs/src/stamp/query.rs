//! Asking an authority: the request, and what is checked of the answer before it is kept.

use der::asn1::{Int, ObjectIdentifier};
use der::{Decode, Encode};

use super::asn1::{MessageImprint, TimeStampReq, TimeStampResp};
use super::refused::{StampRule, refused};
use super::verify::{Stamped, verify};
use super::{ANSWER_BYTES_MAX, Trust};
use crate::digest::Hash;
use crate::error::CertError;
use crate::keys::random;
use crate::verified::Verified;

/// How far the time of a fresh token may lie from this machine's clock, microseconds, the token's accuracy aside.
const FRESH_US: u64 = 5 * 60 * 1_000_000;
/// PKIStatus granted and grantedWithMods.
const GRANTED_MAX: u8 = 1;
/// Octets of a nonce.
const NONCE_BYTES: usize = 16;

/// A request for a time-stamp over a SHA-256 digest, with a nonce of its own: asked once.
#[derive(Debug)]
pub struct Query {
    imprint: Hash,
    nonce: Int,
    policy: Option<ObjectIdentifier>,
}

impl Query {
    /// Makes a request with a fresh random nonce. `policy`: what to ask for, in dots, for example `1.2.3.4`; empty for the
    /// authority's own.
    ///
    /// # Errors
    /// [`CertError::Crypto`]; [`CertError::Stamp`] for a policy that is no object identifier.
    pub fn new(imprint: &Hash, policy: &str) -> Result<Query, CertError> {
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        // Positive, and as long whatever was drawn.
        if let Some(first) = nonce.first_mut() {
            *first = *first & 0x3f | 0x40;
        }
        let parse = |policy: &str| {
            ObjectIdentifier::new(policy).map_err(|_| {
                let detail = format!("the policy {} is no object identifier", policy.escape_debug());
                refused(StampRule::Policy, detail)
            })
        };
        Ok(Query {
            imprint: *imprint,
            nonce: Int::new(&nonce).map_err(|_| CertError::Crypto("encoding a nonce"))?,
            policy: (!policy.is_empty()).then(|| parse(policy)).transpose()?,
        })
    }

    /// The request (TimeStampReq, DER): body of a POST of type [`super::QUERY_TYPE`]. It asks for the certificates too.
    ///
    /// # Errors
    /// [`CertError::Crypto`] where it cannot be encoded, which no request can cause.
    pub fn der(&self) -> Result<Vec<u8>, CertError> {
        let encode = || {
            TimeStampReq {
                version: 1,
                message_imprint: MessageImprint::of(&self.imprint)?,
                req_policy: self.policy,
                nonce: Some(self.nonce.clone()),
                cert_req: true,
                extensions: None,
            }
            .to_der()
        };
        encode().map_err(|_| CertError::Crypto("encoding a time-stamp request"))
    }

    /// Takes the answer (TimeStampResp, DER): yields the token (DER) and what it says. The token is over the digest asked for, has the
    /// nonce and the policy asked for, is signed by an authority under `trust`, and its time is `now_us` within five minutes.
    ///
    /// # Errors
    /// [`CertError::Stamp`] with the rule that is broken.
    pub fn answered(
        self,
        response: &[u8],
        trust: &Trust,
        now_us: u64,
    ) -> Result<(Vec<u8>, Verified<Stamped>), CertError> {
        let token = granted(response)?;
        let stamped = verify(&token, &self.imprint, trust)?;
        if stamped.nonce.as_deref() != Some(self.nonce.as_bytes()) {
            return Err(refused(StampRule::Nonce, "it has another nonce than the request").into());
        }
        if self.policy.is_some_and(|policy| policy.to_string() != stamped.policy) {
            let detail = format!("it was made under the policy {}, not the one asked for", stamped.policy);
            return Err(refused(StampRule::Policy, detail).into());
        }
        let away = stamped.time_us.abs_diff(now_us);
        if away > FRESH_US.saturating_add(stamped.accuracy_us) {
            let detail = format!("its time is {} s away from this machine's clock", away / 1_000_000);
            return Err(refused(StampRule::Time, detail).into());
        }
        Ok((token, stamped))
    }
}

/// The token of an answer that grants one.
fn granted(response: &[u8]) -> Result<Vec<u8>, CertError> {
    let malformed = |_| refused(StampRule::Malformed, "the answer is no TimeStampResp");
    if response.len() > ANSWER_BYTES_MAX {
        return Err(refused(StampRule::Malformed, "the answer is longer than 17 KiB").into());
    }
    let answer = TimeStampResp::from_der(response).map_err(malformed)?;
    let status = &answer.status;
    match answer.token {
        Some(token) if status.status <= GRANTED_MAX => Ok(token.to_der().map_err(malformed)?),
        _ => {
            let texts = status.status_string.iter().flatten();
            let said: String = texts.flat_map(|text| text.as_str().chars()).take(200).collect();
            let detail = format!(
                "the authority answered with status {}: {}",
                status.status,
                said.escape_debug()
            );
            Err(refused(StampRule::Status, detail).into())
        }
    }
}
