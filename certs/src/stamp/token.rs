//! A token taken apart (RFC 3161, section 2.4.2; RFC 5652, section 5): its shape, and which of its certificates signed it.

use cms::cert::CertificateChoices;
use cms::cert::x509::attr::Attributes;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Tag, Tagged};
use rustls_pki_types::CertificateDer;

use super::TOKEN_BYTES_MAX;
use super::asn1::{
    CONTENT_TYPE, MESSAGE_DIGEST, SHA256, SIGNED_DATA, SIGNING_CERTIFICATE_V2, SigningCertificateV2, TST_INFO, TstInfo,
};
use super::refused::{StampRefused, StampRule, refused};
use crate::digest::sha256;

/// Certificates that a token may carry.
const CERTIFICATES_MAX: usize = 8;

/// A well-formed token. Nothing in it is verified.
pub(super) struct Token {
    pub(super) info: TstInfo,
    /// The bytes of TSTInfo.
    pub(super) content: Vec<u8>,
    pub(super) signer: SignerInfo,
    /// DER of the signed attributes, as a SET: what the signature is over.
    pub(super) signed: Vec<u8>,
    /// The digest of the content that the attributes say.
    pub(super) digest: Vec<u8>,
    /// The signer's certificate, by its SHA-256 in the signed attributes.
    pub(super) certificate: CertificateDer<'static>,
    /// All others.
    pub(super) others: Vec<CertificateDer<'static>>,
}

fn malformed<E>(what: &'static str) -> impl Fn(E) -> StampRefused {
    move |_| refused(StampRule::Malformed, what)
}

impl Token {
    pub(super) fn parse(token: &[u8]) -> Result<Token, StampRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused(StampRule::Malformed, "it is longer than 16 KiB"));
        }
        let outer = ContentInfo::from_der(token).map_err(malformed("it is no ContentInfo in DER"))?;
        if outer.content_type != SIGNED_DATA {
            return Err(refused(StampRule::Malformed, "it is no SignedData"));
        }
        let data: SignedData = outer
            .content
            .decode_as()
            .map_err(malformed("its SignedData is out of form"))?;
        if data.version != CmsVersion::V3 || data.encap_content_info.econtent_type != TST_INFO {
            return Err(refused(
                StampRule::Malformed,
                "it is not SignedData of version 3 over a TSTInfo",
            ));
        }
        let content = data
            .encap_content_info
            .econtent
            .ok_or(())
            .and_then(|content| content.decode_as::<OctetString>().map_err(drop))
            .map_err(malformed("it has no TSTInfo"))?
            .into_bytes();
        let info = TstInfo::from_der(&content).map_err(malformed("its TSTInfo is out of form"))?;
        if info.version != 1
            || info.gen_time.tag() != Tag::GeneralizedTime
            || info.policy.tag() != Tag::ObjectIdentifier
        {
            return Err(refused(StampRule::Malformed, "its TSTInfo is not of version 1"));
        }
        if info.extensions.iter().flatten().any(|extension| extension.critical) {
            return Err(refused(StampRule::Malformed, "it has a critical extension"));
        }
        let mut signers = data.signer_infos.0.into_vec().into_iter();
        let (Some(signer), None) = (signers.next(), signers.next()) else {
            return Err(refused(StampRule::Signer, "it does not have exactly one signer"));
        };
        let certificates = certificates(data.certificates.map(|set| set.0.into_vec()).unwrap_or_default())?;
        let attributes = signer
            .signed_attrs
            .as_ref()
            .ok_or_else(|| refused(StampRule::Signer, "it has no signed attributes"))?;
        let digest = signed_digest(attributes)?;
        let signed = attributes
            .to_der()
            .map_err(malformed("its signed attributes are out of form"))?;
        let (certificate, others) = signing(attributes, &signer.sid, certificates)?;
        Ok(Token {
            info,
            content,
            signer,
            signed,
            digest,
            certificate,
            others,
        })
    }
}

/// The certificates, DER.
fn certificates(choices: Vec<CertificateChoices>) -> Result<Vec<CertificateDer<'static>>, StampRefused> {
    if choices.len() > CERTIFICATES_MAX {
        return Err(refused(StampRule::Malformed, "it carries more than 8 certificates"));
    }
    let der = |choice| match choice {
        CertificateChoices::Certificate(certificate) => certificate
            .to_der()
            .map(CertificateDer::from)
            .map_err(malformed("it carries a certificate out of form")),
        CertificateChoices::Other(_) => Err(refused(
            StampRule::Malformed,
            "it carries something else than certificates",
        )),
    };
    choices.into_iter().map(der).collect()
}

/// The one value of an attribute that stands there once.
fn one<'a>(attributes: &'a Attributes, oid: ObjectIdentifier, name: &str) -> Result<&'a Any, StampRefused> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    match (found.next(), found.next()) {
        (Some(attribute), None) => match attribute.values.as_slice() {
            [value] => Ok(value),
            _ => Err(refused(
                StampRule::Signer,
                format!("its attribute {name} does not have one value"),
            )),
        },
        _ => Err(refused(
            StampRule::Signer,
            format!("it does not have the attribute {name} once"),
        )),
    }
}

/// The digest that the attributes say, of a TSTInfo.
fn signed_digest(attributes: &Attributes) -> Result<Vec<u8>, StampRefused> {
    let kind: ObjectIdentifier = one(attributes, CONTENT_TYPE, "contentType")?
        .decode_as()
        .map_err(malformed("its contentType is out of form"))?;
    if kind != TST_INFO {
        return Err(refused(StampRule::Signer, "its contentType is not that of its content"));
    }
    let digest: OctetString = one(attributes, MESSAGE_DIGEST, "messageDigest")?
        .decode_as()
        .map_err(malformed("its messageDigest is out of form"))?;
    Ok(digest.into_bytes())
}

/// The signer's certificate and all others. The first ESSCertIDv2 names it by SHA-256; SHA-1 names prove nothing.
fn signing(
    attributes: &Attributes,
    sid: &SignerIdentifier,
    mut certificates: Vec<CertificateDer<'static>>,
) -> Result<(CertificateDer<'static>, Vec<CertificateDer<'static>>), StampRefused> {
    let named: SigningCertificateV2 = one(attributes, SIGNING_CERTIFICATE_V2, "signingCertificateV2")?
        .decode_as()
        .map_err(malformed("its signingCertificateV2 is out of form"))?;
    let name = named
        .certs
        .first()
        .ok_or_else(|| refused(StampRule::Signer, "its signingCertificateV2 names no certificate"))?;
    if name
        .hash_algorithm
        .as_ref()
        .is_some_and(|algorithm| algorithm.oid != SHA256)
    {
        return Err(refused(
            StampRule::Algorithm,
            "it names its certificate by another digest than SHA-256",
        ));
    }
    let wanted = name.cert_hash.as_bytes();
    let place = certificates
        .iter()
        .position(|der| sha256(&[der]) == *wanted)
        .ok_or_else(|| refused(StampRule::Signer, "it does not carry the certificate that it names"))?;
    let certificate = certificates.swap_remove(place);
    let parsed =
        cms::cert::x509::Certificate::from_der(&certificate).map_err(malformed("its certificate is out of form"))?;
    let is_named = match sid {
        SignerIdentifier::IssuerAndSerialNumber(id) => {
            id.issuer == parsed.tbs_certificate.issuer && id.serial_number == parsed.tbs_certificate.serial_number
        }
        // The digest above binds it, and a key identifier adds nothing to that.
        SignerIdentifier::SubjectKeyIdentifier(_) => true,
    };
    if !is_named {
        return Err(refused(StampRule::Signer, "it names two different certificates"));
    }
    Ok((certificate, certificates))
}
