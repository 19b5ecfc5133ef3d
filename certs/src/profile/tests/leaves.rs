//! One certificate for each rule that a leaf can break.

use rcgen::ExtendedKeyUsagePurpose::{Any, CodeSigning, Other};
use rcgen::{
    BasicConstraints, CustomExtension, IsCa, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::Duration;

use super::*;
use crate::fixture::{DAY_US, RawKey, uri};

const DOCUMENT_SIGNING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 36];

#[test]
fn key_usage_is_exact() {
    assert!(node_with(|_| ()).is_ok());
    assert_eq!(node_rule(|p| p.key_usages.clear()), Rule::KeyUsage);
    assert_eq!(
        node_rule(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)),
        Rule::KeyUsage
    );
    assert_eq!(
        node_rule(|p| p.key_usages.push(KeyUsagePurpose::ContentCommitment)),
        Rule::KeyUsage
    );
    assert_eq!(
        node_rule(|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        Rule::KeyUsage
    );
    let not_critical = CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, 7, 0x80]);
    let alter = |p: &mut CertificateParams| {
        p.key_usages.clear();
        p.custom_extensions.push(not_critical);
    };
    assert_eq!(node_rule(alter), Rule::KeyUsage);
}

#[test]
fn extended_key_usage_is_exact() {
    for usages in [
        vec![],
        vec![ServerAuth],
        vec![ClientAuth],
        vec![Any],
        vec![ServerAuth, ClientAuth, CodeSigning],
        vec![ServerAuth, ClientAuth, Any],
        vec![ServerAuth, ClientAuth, Other(DOCUMENT_SIGNING.to_vec())],
    ] {
        assert_eq!(node_rule(|p| p.extended_key_usages = usages), Rule::ExtendedKeyUsage);
    }
    assert!(node_with(|p| p.extended_key_usages.reverse()).is_ok());
}

#[test]
fn a_leaf_is_no_authority() {
    assert_eq!(
        node_rule(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        Rule::BasicConstraints
    );
    assert_eq!(
        node_rule(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        Rule::BasicConstraints
    );
    assert!(node_with(|p| p.is_ca = IsCa::ExplicitNoCa).is_ok());
}

#[test]
fn the_name_is_one_uri_of_the_right_form() {
    assert_eq!(node_rule(|p| p.subject_alt_names.clear()), Rule::SubjectAltName);
    assert_eq!(node_rule(|p| p.subject_alt_names.push(uri(NODE))), Rule::SubjectAltName);
    let dns = SanType::DnsName("node.example.jo".try_into().unwrap());
    assert_eq!(node_rule(|p| p.subject_alt_names.push(dns)), Rule::SubjectAltName);
    let mail = SanType::Rfc822Name("a@example.jo".try_into().unwrap());
    assert_eq!(node_rule(|p| p.subject_alt_names = vec![mail]), Rule::SubjectAltName);
    for name in [
        "spiffe://jo/gov/mol/subsystem/permits",
        "spiffe://jo/registry",
        "spiffe://JO/GOV/mol/node/node1",
        "spiffe://jo/gov/mol/node/node1/",
        "spiffe://jo/gov/mol/node/node1?x",
        "https://jo/gov/mol/node/node1",
        "jisr://JO/GOV/mol/node1/2026",
    ] {
        assert_eq!(
            node_rule(|p| p.subject_alt_names = vec![uri(name)]),
            Rule::SubjectAltName,
            "{name}"
        );
    }
}

#[test]
fn time_is_kept() {
    assert_eq!(
        node_rule(|p| p.not_after = p.not_before + Duration::minutes(59)),
        Rule::Expired
    );
    assert_eq!(node_rule(|p| p.not_before += Duration::hours(2)), Rule::NotYetValid);
    let (root, issuing) = Rogue::pair();
    let leaf = issuing.sign(&node_params(), &KeyPair::generate().unwrap());
    let chain = [leaf, issuing.der];
    let last = NOW_US + 7 * DAY_US;
    assert!(check_node_tls(&chain, &root, last).is_ok());
    assert_eq!(rule(check_node_tls(&chain, &root, last + 1_000_000)), Rule::Expired);
    assert_eq!(rule(check_node_tls(&chain, &root, 0)), Rule::NotYetValid);
    assert_eq!(rule(check_node_tls(&chain, &root, u64::MAX)), Rule::Expired);
}

#[test]
fn unknown_critical_extensions_are_refused() {
    let extension = |critical| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(critical);
        extension
    };
    assert!(node_with(|p| p.custom_extensions.push(extension(false))).is_ok());
    assert_eq!(
        node_rule(|p| p.custom_extensions.push(extension(true))),
        Rule::CriticalExtension
    );
    let twice = |p: &mut CertificateParams| p.custom_extensions = vec![extension(false), extension(false)];
    assert_eq!(node_rule(twice), Rule::Malformed);
    let broken = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1]);
    assert_eq!(node_rule(|p| p.custom_extensions.push(broken)), Rule::Malformed);
}

#[test]
fn serial_numbers_are_positive_and_short() {
    assert_eq!(
        node_rule(|p| p.serial_number = Some(SerialNumber::from_slice(&[0]))),
        Rule::Serial
    );
    assert_eq!(
        node_rule(|p| p.serial_number = Some(SerialNumber::from_slice(&[1; 21]))),
        Rule::Serial
    );
    assert!(node_with(|p| p.serial_number = Some(SerialNumber::from_slice(&[1; 20]))).is_ok());
}

#[test]
fn keys_and_signatures_are_of_the_right_kind() {
    let (root, issuing) = Rogue::pair();
    for wrong in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let leaf = issuing.sign(&node_params(), &KeyPair::generate_for(wrong).unwrap());
        assert_eq!(
            rule(check_node_tls(&[leaf, issuing.der.clone()], &root, NOW_US)),
            Rule::Key
        );
    }
    let compressed = RawKey([&[2u8], [9; 32].as_slice()].concat(), &rcgen::PKCS_ECDSA_P256_SHA256);
    let leaf = issuing.sign(&node_params(), &compressed);
    assert_eq!(
        rule(check_node_tls(&[leaf, issuing.der.clone()], &root, NOW_US)),
        Rule::Key
    );

    let mut other = Rogue::root(|_| ());
    other.key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let leaf = other.sign(&node_params(), &KeyPair::generate().unwrap());
    assert_eq!(
        rule(check_node_tls(&[leaf, issuing.der], &root, NOW_US)),
        Rule::SignatureAlgorithm
    );
}

#[test]
fn no_altered_byte_is_accepted() {
    let (root, issuing) = Rogue::pair();
    let leaf = issuing.sign(&node_params(), &KeyPair::generate().unwrap());
    for place in 0..leaf.len() {
        for bit in [0x01, 0x80] {
            let mut altered = leaf.to_vec();
            altered[place] ^= bit;
            let chain = [CertificateDer::from(altered), issuing.der.clone()];
            assert!(check_node_tls(&chain, &root, NOW_US).is_err(), "byte {place}");
        }
    }
    for length in 0..leaf.len() {
        let chain = [CertificateDer::from(&leaf[..length]), issuing.der.clone()];
        assert_eq!(rule(check_node_tls(&chain, &root, NOW_US)), Rule::Malformed);
    }
    let longer = CertificateDer::from([&leaf, [0].as_slice()].concat());
    assert_eq!(
        rule(check_node_tls(&[longer, issuing.der.clone()], &root, NOW_US)),
        Rule::Malformed
    );
    let huge = CertificateDer::from(vec![0x30; 20_000]);
    assert_eq!(
        rule(check_node_tls(&[huge, issuing.der], &root, NOW_US)),
        Rule::Malformed
    );
}

#[test]
fn a_refusal_says_what_who_and_the_remedy() {
    let text = node_with(|p| p.extended_key_usages.clear()).unwrap_err().to_string();
    assert!(
        text.starts_with("node TLS certificate: its extKeyUsage is not serverAuth and clientAuth alone"),
        "{text}"
    );
    assert!(text.contains("issued again"), "{text}");
}
