//! From a leaf to the authority that is trusted, by rustls-webpki.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::ring::ECDSA_P256_SHA256;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::authority::{Authority, ISSUING};
use super::refused::{Refused, Rule};
use super::shape::{Seen, Shape};
use crate::verified::Verified;

/// Certificates that a party may send.
const CHAIN_MAX: usize = 6;

/// Checks the leaf's shape, and that the chain leads from it over exactly `issuers` issuing authorities to the anchor.
pub(super) fn check(
    chain: &[CertificateDer<'_>],
    issuers: usize,
    anchor: &Verified<Authority>,
    shape: &Shape,
    usage: KeyUsage,
    now_us: u64,
) -> Result<Seen, Refused> {
    let refuse = |detail: String| shape.refuse(Rule::Chain, detail);
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(refuse("there is no certificate".to_owned()));
    };
    if chain.len() > CHAIN_MAX {
        return Err(refuse(format!("there are more than {CHAIN_MAX} certificates")));
    }
    let seen = shape.check(leaf, now_us)?;
    anchor.check_time(now_us)?;
    let unusable = |error: webpki::Error| {
        refuse(format!(
            "they do not lead to the authority {}: {error}",
            anchor.profile()
        ))
    };
    let anchors = [anchor_from_trusted_cert(&anchor.der).map_err(unusable)?];
    let leaf = EndEntityCert::try_from(leaf).map_err(unusable)?;
    let now = UnixTime::since_unix_epoch(Duration::from_micros(now_us));
    let path = leaf
        .verify_for_usage(&[ECDSA_P256_SHA256], &anchors, intermediates, now, usage, None, None)
        .map_err(unusable)?;
    let mut between = 0;
    for issuer in path.intermediate_certificates() {
        ISSUING.check(&issuer.der(), now_us)?;
        between += 1;
    }
    if between != issuers {
        return Err(refuse(format!(
            "there are {between} authorities between it and the root, not {issuers}"
        )));
    }
    Ok(seen)
}
