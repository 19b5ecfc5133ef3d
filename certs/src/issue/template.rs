//! What is written into certificates of each kind (RFC 5280, RFC 9336).

use std::net::IpAddr;

use jisr_proto::ident::Instance;
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::DnsName;

use crate::digest::sha256;
use crate::error::CertError;
use crate::keys::random;
use crate::validity::Validity;

/// Octets of a serial number: 126 random bits.
const SERIAL_BYTES: usize = 16;
/// Octets of a key identifier.
const KEY_IDENTIFIER_BYTES: usize = 20;
/// id-ce-extKeyUsage.
const EXT_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
/// id-ce-subjectKeyIdentifier. rcgen writes it for leaves only together with basicConstraints, which they do not have.
const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
/// `SEQUENCE { OBJECT IDENTIFIER 1.3.6.1.5.5.7.3.36 }`.
const DOCUMENT_SIGNING: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 36];
/// `SEQUENCE { OBJECT IDENTIFIER 1.3.6.1.5.5.7.3.8 }`.
const TIME_STAMPING: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 8];

/// An authority's certificate; so many authorities may stand below it.
pub(super) fn authority(
    subject: DistinguishedName,
    path_len: u8,
    validity: Validity,
) -> Result<CertificateParams, CertError> {
    let mut params = base(subject, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// A leaf for TLS.
pub(super) fn tls(
    subject: DistinguishedName,
    names: Vec<SanType>,
    usages: &[ExtendedKeyUsagePurpose],
    validity: Validity,
) -> Result<CertificateParams, CertError> {
    let mut params = leaf(subject, names, validity)?;
    params.extended_key_usages = usages.to_vec();
    Ok(params)
}

/// A leaf whose key signs documents and nothing else: id-kp-documentSigning, critical, alone.
pub(super) fn document_signing(
    subject: DistinguishedName,
    uri: &str,
    validity: Validity,
) -> Result<CertificateParams, CertError> {
    one_use(subject, uri, validity, &DOCUMENT_SIGNING)
}

/// A leaf whose key signs time-stamps and nothing else (RFC 3161, section 2.3): id-kp-timeStamping, critical, alone.
pub(super) fn time_stamping(
    subject: DistinguishedName,
    uri: &str,
    validity: Validity,
) -> Result<CertificateParams, CertError> {
    one_use(subject, uri, validity, &TIME_STAMPING)
}

fn one_use(
    subject: DistinguishedName,
    uri: &str,
    validity: Validity,
    usage: &[u8],
) -> Result<CertificateParams, CertError> {
    let mut params = leaf(subject, vec![uri_name(uri)], validity)?;
    let mut usage = CustomExtension::from_oid_content(EXT_KEY_USAGE, usage.to_vec());
    usage.set_criticality(true);
    params.custom_extensions.push(usage);
    Ok(params)
}

/// `C` where the instance is a country code, `O`, `CN`.
pub(super) fn subject(instance: &Instance, organisation: &str, name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    let country = instance.as_str();
    if country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let country = PrintableString::try_from(country).expect("two capital letters are printable");
        subject.push(DnType::CountryName, DnValue::PrintableString(country));
    }
    subject.push(DnType::OrganizationName, organisation);
    subject.push(DnType::CommonName, name);
    subject
}

/// A URI in subjectAltName.
pub(super) fn uri_name(uri: &str) -> SanType {
    SanType::URI(Ia5String::try_from(uri).expect("identifiers are ASCII"))
}

/// DNS names and IP addresses in subjectAltName, each once.
pub(super) fn host_names(hosts: &[String]) -> Result<Vec<SanType>, CertError> {
    let mut names = Vec::new();
    for host in hosts {
        let name = host_name(host).ok_or_else(|| CertError::Authority {
            rule: format!("`{}` is neither a DNS name nor an IP address", host.escape_debug()),
            remedy: "write names as node.example.jo and addresses as 192.0.2.1 or 2001:db8::1",
        })?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn host_name(host: &str) -> Option<SanType> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(SanType::IpAddress(address));
    }
    let name = DnsName::try_from(host).ok()?;
    // RFC 5280 wants the preferred name syntax: no underscore, no dot at the end.
    let plain = !host.ends_with('.') && !host.contains('_');
    plain.then(|| Ia5String::try_from(name.as_ref()).ok().map(SanType::DnsName))?
}

fn leaf(subject: DistinguishedName, names: Vec<SanType>, validity: Validity) -> Result<CertificateParams, CertError> {
    let mut params = base(subject, validity)?;
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn base(subject: DistinguishedName, validity: Validity) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = validity.dates()?;
    params.serial_number = Some(serial()?);
    params.distinguished_name = subject;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Names the subject's key: RFC 7093 method 1, the first 160 bits of the SHA-256 of the raw public key.
pub(super) fn with_key_identifier(mut params: CertificateParams, key: &[u8]) -> CertificateParams {
    let identifier: Vec<u8> = sha256(&[key]).into_iter().take(KEY_IDENTIFIER_BYTES).collect();
    if params.is_ca == IsCa::NoCa {
        let content = [&[0x04, 20], identifier.as_slice()].concat();
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(SUBJECT_KEY_IDENTIFIER, content));
    }
    params.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
    params
}

fn serial() -> Result<SerialNumber, CertError> {
    let mut bytes = [0; SERIAL_BYTES];
    random(&mut bytes)?;
    // Positive, and 16 octets long whatever was drawn.
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}
