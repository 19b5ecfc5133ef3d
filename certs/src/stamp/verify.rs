//! Judging a token: signature, certificate, trust.

use std::time::Duration;

use der::asn1::ObjectIdentifier;
use ring::digest;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{PrimitiveDateTime, UtcOffset};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring as algorithms};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::Oid;
use x509_parser::prelude::FromDer;

use super::asn1::{Accuracy, ECDSA_SHA256, SHA256, SHA384, SHA512};
use super::refused::{StampRefused, StampRule, refused};
use super::token::Token;
use super::trust::Trust;
use crate::digest::Hash;
use crate::error::CertError;
use crate::profile::{check_time_stamp, root_by_fingerprint};
use crate::validity::Validity;
use crate::verified::Verified;

/// Every signature algorithm that is accepted, in tokens and in the certificates of outside authorities.
static ACCEPTED: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
/// DER content of 1.3.6.1.5.5.7.3.8. Webpki asks every certificate of the path; that the leaf has it, and nothing else, is seen here.
const TIME_STAMPING: KeyUsage = KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 8]);
/// `genTime` without its `Z`; a fraction may follow, which is read by itself.
const GEN_TIME: &[FormatItem<'static>] = format_description!("[year][month][day][hour][minute][second]");

/// What a token says whose signature holds, by an authority that was trusted and valid at the time it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// When the bytes existed, microseconds since 1970.
    pub time_us: u64,
    /// How far off that may be, in either direction, microseconds.
    pub accuracy_us: u64,
    /// Who says so: the subject of its certificate.
    pub authority: String,
    /// Last moment at which its certificate, and those above it, are valid, microseconds. Later the token proves nothing by itself.
    pub not_after_us: u64,
    /// Serial number of the token, big-endian.
    pub serial: Vec<u8>,
    /// The policy that it was made under, in dots.
    pub policy: String,
    /// Whether it is the network's own authority that says so.
    pub is_built_in: bool,
    pub(super) nonce: Option<Vec<u8>>,
}

/// Judges a token (RFC 3161 TimeStampToken, DER) over a SHA-256 digest. The certificates are judged as of the time that the token
/// says; whether they are valid now is the caller's question ([`Stamped::not_after_us`]).
///
/// # Errors
/// [`CertError::Stamp`] with the rule that is broken.
pub fn verify(token: &[u8], imprint: &Hash, trust: &Trust) -> Result<Verified<Stamped>, CertError> {
    let token = Token::parse(token)?;
    let said = &token.info.message_imprint;
    let found = said
        .sha256()
        .ok_or_else(|| refused(StampRule::Algorithm, "it is not over a SHA-256 digest"))?;
    if found != *imprint {
        return Err(refused(StampRule::Imprint, "it is over other bytes").into());
    }
    check_signature(&token)?;
    let time_us = gen_time(token.info.gen_time.value())?;
    let authority = check_shape(&token.certificate)?;
    let (is_built_in, not_after_us) = trusted(&token, trust, time_us)?;
    Ok(Verified::assertion(Stamped {
        time_us,
        accuracy_us: token.info.accuracy.as_ref().map_or(0, accuracy_us),
        authority,
        not_after_us,
        serial: token.info.serial_number.as_bytes().to_vec(),
        policy: Oid::new(token.info.policy.value().into()).to_id_string(),
        is_built_in,
        nonce: token.info.nonce.as_ref().map(|nonce| nonce.as_bytes().to_vec()),
    }))
}

fn accuracy_us(accuracy: &Accuracy) -> u64 {
    let seconds = u64::from(accuracy.seconds.unwrap_or(0)) * 1_000_000;
    seconds + u64::from(accuracy.millis.unwrap_or(0)) * 1_000 + u64::from(accuracy.micros.unwrap_or(0))
}

/// The attributes say the digest of the content, and the certificate's key signed the attributes.
fn check_signature(token: &Token) -> Result<(), StampRefused> {
    let signer = &token.signer;
    let algorithm = match signer.digest_alg.oid {
        SHA256 => &digest::SHA256,
        SHA384 => &digest::SHA384,
        SHA512 => &digest::SHA512,
        other => {
            let detail = format!("its content is hashed with {other}, not with SHA-256, SHA-384 or SHA-512");
            return Err(refused(StampRule::Algorithm, detail));
        }
    };
    if digest::digest(algorithm, &token.content).as_ref() != token.digest.as_slice() {
        return Err(refused(
            StampRule::Signature,
            "its signed digest is not that of its content",
        ));
    }
    let certificate = EndEntityCert::try_from(&token.certificate).map_err(|error| {
        refused(
            StampRule::Certificate,
            format!("its certificate is not accepted: {error}"),
        )
    })?;
    let candidates = candidates(signer.signature_algorithm.oid, signer.digest_alg.oid);
    if candidates.is_empty() {
        let detail = format!(
            "it is signed with {}, which is not accepted",
            signer.signature_algorithm.oid
        );
        return Err(refused(StampRule::Algorithm, detail));
    }
    let signature = signer.signature.as_bytes();
    let holds = |algorithm: &&dyn SignatureVerificationAlgorithm| {
        certificate
            .verify_signature(*algorithm, &token.signed, signature)
            .is_ok()
    };
    if !candidates.iter().any(holds) {
        return Err(refused(StampRule::Signature, "its signature does not hold"));
    }
    Ok(())
}

/// The algorithms that a pair of identifiers may mean; which one, the kind of key decides.
fn candidates(
    signature: ObjectIdentifier,
    digest: ObjectIdentifier,
) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    match (signature, digest) {
        (ECDSA_SHA256, _) => vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256],
        (ECDSA_SHA384, _) => vec![algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384],
        (RSA_SHA256, _) | (RSA, SHA256) => vec![algorithms::RSA_PKCS1_2048_8192_SHA256],
        (RSA_SHA384, _) | (RSA, SHA384) => vec![algorithms::RSA_PKCS1_2048_8192_SHA384],
        (RSA_SHA512, _) | (RSA, SHA512) => vec![algorithms::RSA_PKCS1_2048_8192_SHA512],
        _ => Vec::new(),
    }
}

/// The certificate is for time-stamps alone, critical (RFC 3161, section 2.3). Yields its subject.
fn check_shape(der: &CertificateDer<'_>) -> Result<String, StampRefused> {
    let wrong = |detail: &str| refused(StampRule::Certificate, detail);
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| wrong("its certificate is out of form"))?;
    let usage = certificate.extended_key_usage().ok().flatten();
    let alone = usage.is_some_and(|usage| {
        let value = usage.value;
        let others = value.any
            || value.server_auth
            || value.client_auth
            || value.code_signing
            || value.email_protection
            || value.ocsp_signing
            || !value.other.is_empty();
        usage.critical && value.time_stamping && !others
    });
    if !alone {
        return Err(wrong("its certificate is not for timeStamping alone, critical"));
    }
    let signs = certificate
        .key_usage()
        .ok()
        .flatten()
        .is_none_or(|usage| usage.value.digital_signature() || usage.value.non_repudiation());
    if !signs || certificate.is_ca() {
        return Err(wrong("its certificate is not one that signs documents"));
    }
    Ok(certificate.subject().to_string())
}

/// Who vouches for the authority at that time: whether it is the network's own, and until when its certificates are valid.
fn trusted(token: &Token, trust: &Trust, time_us: u64) -> Result<(bool, u64), CertError> {
    let chain: Vec<_> = std::iter::once(&token.certificate)
        .chain(&token.others)
        .cloned()
        .collect();
    let mut why = None;
    if let Some(root) = trust
        .root()
        .and_then(|root| root_by_fingerprint(&chain, root, time_us).ok())
    {
        // The leaf comes first and the root is not looked for again.
        let below: Vec<_> = chain.iter().filter(|der| **der != root.der).cloned().collect();
        match check_time_stamp(&below, &root, time_us) {
            Ok(not_after_us) => return Ok((true, not_after_us)),
            Err(error) => why = Some(error.to_string()),
        }
    }
    let outside = trust.certificates().iter().find_map(|known| {
        if *known == token.certificate {
            let validity = Validity::of(known)?;
            let is_valid =
                validity.not_before_us <= time_us && time_us / 1_000_000 <= validity.not_after_us / 1_000_000;
            return is_valid.then_some(validity.not_after_us);
        }
        below(known, token, time_us)
    });
    if let Some(not_after_us) = outside {
        return Ok((false, not_after_us));
    }
    let detail = why.map_or_else(
        || "no authority that is trusted issued its certificate, valid at the time that it says".to_owned(),
        |why| format!("the network's root does not vouch for it: {why}"),
    );
    Err(refused(StampRule::Untrusted, detail).into())
}

/// Until when the certificates from the token's to this authority's are valid, where they are one chain.
fn below(known: &CertificateDer<'static>, token: &Token, time_us: u64) -> Option<u64> {
    let anchors = [anchor_from_trusted_cert(known).ok()?];
    let own = Validity::of(known)?;
    if time_us < own.not_before_us || time_us / 1_000_000 > own.not_after_us / 1_000_000 {
        return None;
    }
    let leaf = EndEntityCert::try_from(&token.certificate).ok()?;
    let now = UnixTime::since_unix_epoch(Duration::from_micros(time_us));
    let path = leaf
        .verify_for_usage(ACCEPTED, &anchors, &token.others, now, TIME_STAMPING, None, None)
        .ok()?;
    let mut not_after_us = own.not_after_us.min(Validity::of(&token.certificate)?.not_after_us);
    for issuer in path.intermediate_certificates() {
        not_after_us = not_after_us.min(Validity::of(&issuer.der())?.not_after_us);
    }
    Some(not_after_us)
}

/// `YYYYMMDDhhmmss[.f…]Z` (RFC 3161, section 2.4.2): microseconds since 1970, further digits dropped.
fn gen_time(text: &[u8]) -> Result<u64, StampRefused> {
    let parse = || {
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        let (whole, fraction) = match text.split_once('.') {
            None => (text, ""),
            // DER: no fraction of nothing, no zero at its end.
            Some((_, fraction)) if fraction.is_empty() || fraction.ends_with('0') => return None,
            Some(parts) => parts,
        };
        if whole.len() != 14
            || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            || fraction.contains('.')
        {
            return None;
        }
        let date = PrimitiveDateTime::parse(whole, GEN_TIME)
            .ok()?
            .assume_offset(UtcOffset::UTC);
        let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
        u64::try_from(date.unix_timestamp())
            .ok()?
            .checked_mul(1_000_000)?
            .checked_add(micros)
    };
    parse().ok_or_else(|| refused(StampRule::Malformed, "its genTime is no time since 1970 in UTC"))
}
