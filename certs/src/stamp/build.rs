//! Making a token: a TSTInfo signed once (RFC 5652, section 5; RFC 5816).

use cms::cert::x509::Certificate;
use cms::cert::x509::attr::Attribute;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, AnyRef, Decode, Encode, Tag};

use super::asn1::{
    CONTENT_TYPE, ECDSA_SHA256, EssCertIdV2, MESSAGE_DIGEST, SHA256, SIGNED_DATA, SIGNING_CERTIFICATE_V2,
    SigningCertificateV2, TST_INFO, TstInfo, plain,
};
use crate::digest::sha256;
use crate::error::CertError;
use crate::p256::P256Pair;

/// Signs with the key of the certificate `leaf` (DER). The token carries these certificates.
pub(super) fn signed(
    info: &TstInfo,
    key: &P256Pair,
    leaf: &[u8],
    certificates: &[Certificate],
) -> Result<ContentInfo, CertError> {
    let content = info.to_der().map_err(|_| encoding())?;
    let attributes = attributes(&content, leaf).map_err(|_| encoding())?;
    let signature = key.sign(&attributes.to_der().map_err(|_| encoding())?)?;
    wrapped(content, attributes, signature, leaf, certificates).map_err(|_| encoding())
}

/// What the signature is over: the digest of the content, and which certificate's key signs.
fn attributes(content: &[u8], leaf: &[u8]) -> der::Result<SetOfVec<Attribute>> {
    let name = EssCertIdV2 {
        hash_algorithm: None,
        cert_hash: OctetString::new(sha256(&[leaf]))?,
        issuer_serial: None,
    };
    let names = SigningCertificateV2 {
        certs: vec![name],
        policies: None,
    };
    SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, &TST_INFO)?,
        attribute(MESSAGE_DIGEST, &OctetString::new(sha256(&[content]))?)?,
        attribute(SIGNING_CERTIFICATE_V2, &names)?,
    ])
}

fn attribute(oid: ObjectIdentifier, value: &impl Encode) -> der::Result<Attribute> {
    let value = value.to_der()?;
    let values = SetOfVec::try_from(vec![Any::from(AnyRef::from_der(&value)?)])?;
    Ok(Attribute { oid, values })
}

fn wrapped(
    content: Vec<u8>,
    attributes: SetOfVec<Attribute>,
    signature: Vec<u8>,
    leaf: &[u8],
    certificates: &[Certificate],
) -> der::Result<ContentInfo> {
    let leaf = Certificate::from_der(leaf)?.tbs_certificate;
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: leaf.issuer,
            serial_number: leaf.serial_number,
        }),
        digest_alg: plain(SHA256),
        signed_attrs: Some(attributes),
        signature_algorithm: plain(ECDSA_SHA256),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let certificates: Vec<_> = certificates
        .iter()
        .cloned()
        .map(CertificateChoices::Certificate)
        .collect();
    let data = SignedData {
        version: CmsVersion::V3,
        digest_algorithms: SetOfVec::try_from(vec![plain(SHA256)])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: TST_INFO,
            econtent: Some(Any::new(Tag::OctetString, content)?),
        },
        certificates: (!certificates.is_empty())
            .then(|| CertificateSet::try_from(certificates))
            .transpose()?,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
    };
    Ok(ContentInfo {
        content_type: SIGNED_DATA,
        content: Any::encode_from(&data)?,
    })
}

/// No input of ours can cause it.
pub(super) fn encoding() -> CertError {
    CertError::Crypto("encoding a time-stamp")
}
