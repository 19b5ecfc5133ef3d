use rcgen::ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, Other, ServerAuth};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::Duration;

use super::*;
use crate::csr;
use crate::error::CertError;
use crate::fixture::{DAY_US, NOW_US, Network, RawKey, Rogue, leaf_params, uri};
use crate::seal::SealKey;
use crate::tls_key::TlsKey;
use crate::validity::{LOCAL_DAYS, NODE_TLS_DAYS, SEAL_DAYS, Validity};

const NODE: &str = "spiffe://jo/gov/mol/node/node1";
const DOCUMENT_SIGNING: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 36];
const EKU_OID: &[u64] = &[2, 5, 29, 37];

fn rule<T: std::fmt::Debug>(result: Result<T, CertError>) -> Rule {
    match result {
        Err(CertError::Refused(refused)) => refused.rule,
        other => panic!("not refused: {other:?}"),
    }
}

fn node_params() -> CertificateParams {
    leaf_params(NODE, &[ServerAuth, ClientAuth])
}

/// What the node profile says to a certificate that is right but for `alter`.
fn node_with(alter: impl FnOnce(&mut CertificateParams)) -> Result<crate::Verified<NodeTls>, CertError> {
    let (root, issuing) = Rogue::pair();
    let mut params = node_params();
    alter(&mut params);
    let leaf = issuing.sign(&params, &KeyPair::generate().unwrap());
    check_node_tls(&[leaf, issuing.der], &root, NOW_US)
}

fn node_rule(alter: impl FnOnce(&mut CertificateParams)) -> Rule {
    rule(node_with(alter))
}

#[test]
fn what_the_authorities_issue_is_accepted() {
    let network = Network::new();
    let root = network.root.certificate();
    let store = network.store("node");
    let node = "JO/GOV/mol/node/node1".parse().unwrap();
    let tls = TlsKey::load_or_make(&store, "peer").unwrap();
    let request = csr::tls_csr(&tls, &node).unwrap();
    let leaf = network
        .issuing
        .issue_node_tls(&request, &node, Validity::days(NOW_US, NODE_TLS_DAYS))
        .unwrap();
    let found = check_node_tls(&network.chain(leaf), root, NOW_US).unwrap();
    assert_eq!(found.node, node);
    assert_eq!(found.not_after_us, NOW_US + 7 * DAY_US);

    let origin = "jisr/JO/GOV/mol/node1/2026".parse().unwrap();
    let seal = SealKey::load_or_make(&store, &origin).unwrap();
    let request = csr::seal_csr(&seal).unwrap();
    let leaf = network
        .issuing
        .issue_seal(&request, &origin, Validity::days(NOW_US, SEAL_DAYS))
        .unwrap();
    let found = check_seal(&network.chain(leaf), root, NOW_US).unwrap();
    assert_eq!((&found.origin, found.key), (&origin, seal.public()));

    let hosts = ["registry.example.jo".to_owned(), "127.0.0.1".to_owned()];
    let leaf = network
        .issuing
        .issue_registry_tls(&tls, &hosts, Validity::days(NOW_US, 90))
        .unwrap();
    let chain = network.chain(leaf);
    check_registry_tls(&chain, root, &"JO".parse().unwrap(), NOW_US).unwrap();
    assert_eq!(
        rule(check_registry_tls(&chain, root, &"SY".parse().unwrap(), NOW_US)),
        Rule::Identity
    );

    let validity = Validity::days(NOW_US, LOCAL_DAYS);
    let local = network.local.certificate();
    let client = network
        .local
        .issue_client(&"JO/GOV/mol/permits".parse().unwrap(), validity)
        .unwrap();
    let found = check_client(&[client.certificate], local, NOW_US).unwrap();
    assert_eq!(found.subsystem.as_str(), "JO/GOV/mol/permits");
    let member: jisr_proto::ident::MemberId = "JO/GOV/mol".parse().unwrap();
    let officer = member.officer(&"rania".parse().unwrap());
    let credential = network.local.issue_officer(&officer, validity).unwrap();
    let found = check_officer(&credential.certificate, local, NOW_US).unwrap();
    assert_eq!(found.officer, officer);
}

#[test]
fn an_officers_signature_is_for_one_document() {
    let network = Network::new();
    let member: jisr_proto::ident::MemberId = "JO/GOV/mol".parse().unwrap();
    let officer = member.officer(&"rania".parse().unwrap());
    let credential = network
        .local
        .issue_officer(&officer, Validity::days(NOW_US, LOCAL_DAYS))
        .unwrap();
    let key = crate::officer::OfficerKey::from_pem(credential.key_pem().as_bytes()).unwrap();
    let found = check_officer(&credential.certificate, network.local.certificate(), NOW_US).unwrap();
    let signature = key.sign_agreement(b"document").unwrap();
    assert!(found.verify_agreement(b"document", &signature).is_ok());
    assert!(found.verify_agreement(b"documens", &signature).is_err());
    assert!(found.verify_agreement(b"document", &signature[1..]).is_err());
}

#[test]
fn profiles_do_not_stand_for_one_another() {
    let network = Network::new();
    let validity = Validity::days(NOW_US, 7);
    let store = network.store("node");
    let node = "JO/GOV/mol/node/node1".parse().unwrap();
    let request = csr::tls_csr(&TlsKey::load_or_make(&store, "peer").unwrap(), &node).unwrap();
    let chain = network.chain(network.issuing.issue_node_tls(&request, &node, validity).unwrap());
    let root = network.root.certificate();
    assert_eq!(
        rule(check_registry_tls(&chain, root, &"JO".parse().unwrap(), NOW_US)),
        Rule::ExtendedKeyUsage
    );
    assert_eq!(rule(check_seal(&chain, root, NOW_US)), Rule::Key);
    let local = network.local.certificate();
    let client = network
        .local
        .issue_client(&"JO/GOV/mol/permits".parse().unwrap(), validity)
        .unwrap()
        .certificate;
    assert_eq!(rule(check_officer(&client, local, NOW_US)), Rule::ExtendedKeyUsage);
    assert_eq!(rule(check_node_tls(&[client], local, NOW_US)), Rule::ExtendedKeyUsage);
    let [issuing, root_der] = network.issuing.issuers();
    assert_eq!(rule(check_node_tls(&[issuing.clone()], root, NOW_US)), Rule::KeyUsage);
    assert_eq!(rule(check_root(&issuing, NOW_US)), Rule::BasicConstraints);
    assert_eq!(rule(check_local_ca(&root_der, NOW_US)), Rule::BasicConstraints);
    assert_eq!(rule(check_local_ca(&issuing, NOW_US)), Rule::Chain);
}

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

fn seal_params() -> CertificateParams {
    let mut params = leaf_params("jisr://JO/GOV/mol/node1/2026", &[]);
    let content = [0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 36].to_vec();
    let mut usage = CustomExtension::from_oid_content(EKU_OID, content);
    usage.set_criticality(true);
    params.custom_extensions = vec![usage];
    params
}

#[test]
fn small_order_seal_keys_are_refused() {
    let (root, issuing) = Rogue::pair();
    let good = issuing.sign(&seal_params(), &KeyPair::generate_for(&PKCS_ED25519).unwrap());
    assert!(check_seal(&[good, issuing.der.clone()], &root, NOW_US).is_ok());
    let mut neutral = vec![0; 32];
    neutral[0] = 1;
    let mut not_canonical = vec![0xff; 32];
    (not_canonical[0], not_canonical[31]) = (0xf0, 0x7f);
    for raw in [neutral, vec![0; 32], not_canonical, vec![7; 31]] {
        let leaf = issuing.sign(&seal_params(), &RawKey(raw, &PKCS_ED25519));
        assert_eq!(rule(check_seal(&[leaf, issuing.der.clone()], &root, NOW_US)), Rule::Key);
    }
}

#[test]
fn a_seal_certificate_signs_documents_alone_and_says_so_critically() {
    let (root, issuing) = Rogue::pair();
    let check = |params: &CertificateParams| {
        let leaf = issuing.sign(params, &KeyPair::generate_for(&PKCS_ED25519).unwrap());
        check_seal(&[leaf, issuing.der.clone()], &root, NOW_US)
    };
    let mut params = seal_params();
    params.custom_extensions[0].set_criticality(false);
    assert_eq!(rule(check(&params)), Rule::ExtendedKeyUsage);
    params.custom_extensions.clear();
    assert_eq!(rule(check(&params)), Rule::ExtendedKeyUsage);
    params.extended_key_usages = vec![Other(DOCUMENT_SIGNING.to_vec()), ClientAuth];
    assert_eq!(rule(check(&params)), Rule::ExtendedKeyUsage);
    for name in [
        "jisr://JO/GOV/mol/node1",
        "jisr/JO/GOV/mol/node1/2026",
        NODE,
        "jisr://JO/GOV/mol/node1/2026/",
    ] {
        let mut params = seal_params();
        params.subject_alt_names = vec![uri(name)];
        assert_eq!(rule(check(&params)), Rule::SubjectAltName, "{name}");
    }
}

#[test]
fn the_chain_leads_over_one_issuing_authority_to_the_root() {
    let (root, issuing) = Rogue::pair();
    let leaf = issuing.sign(&node_params(), &KeyPair::generate().unwrap());
    let (other_root, other) = Rogue::pair();
    assert_eq!(
        rule(check_node_tls(
            &[leaf.clone(), issuing.der.clone()],
            &other_root,
            NOW_US
        )),
        Rule::Chain
    );
    assert_eq!(
        rule(check_node_tls(&[leaf.clone(), other.der.clone()], &root, NOW_US)),
        Rule::Chain
    );
    assert_eq!(
        rule(check_node_tls(std::slice::from_ref(&leaf), &root, NOW_US)),
        Rule::Chain
    );
    assert_eq!(rule(check_node_tls(&[], &root, NOW_US)), Rule::Chain);
    // Certificates that are not needed do no harm; a flood of them is not read.
    assert!(check_node_tls(&[leaf.clone(), other.der.clone(), issuing.der.clone()], &root, NOW_US).is_ok());
    let flood = vec![leaf; 7];
    assert_eq!(rule(check_node_tls(&flood, &root, NOW_US)), Rule::Chain);
}

#[test]
fn authorities_on_the_way_keep_their_profile() {
    let root = Rogue::root(|_| ());
    let anchor = check_root(&root.der, NOW_US).unwrap();
    let direct = root.sign(&node_params(), &KeyPair::generate().unwrap());
    assert_eq!(rule(check_node_tls(&[direct], &anchor, NOW_US)), Rule::Chain);
    let through = |issuing: Rogue| {
        let leaf = issuing.sign(&node_params(), &KeyPair::generate().unwrap());
        rule(check_node_tls(&[leaf, issuing.der], &anchor, NOW_US))
    };
    let deep = |p: &mut CertificateParams| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    assert_eq!(through(root.below(deep)), Rule::BasicConstraints);
    assert_eq!(through(root.below(|p| p.key_usages.truncate(1))), Rule::KeyUsage);
    assert_eq!(
        through(root.below(|p| p.key_usages.push(KeyUsagePurpose::DigitalSignature))),
        Rule::KeyUsage
    );
    let usages = |p: &mut CertificateParams| p.extended_key_usages = vec![ServerAuth, ClientAuth];
    assert_eq!(through(root.below(usages)), Rule::ExtendedKeyUsage);
    assert_eq!(
        through(root.below(|p| p.subject_alt_names = vec![uri(NODE)])),
        Rule::SubjectAltName
    );
    assert_eq!(
        through(root.below(|p| p.not_after = p.not_before + Duration::minutes(1))),
        Rule::Chain
    );
    let issuing = root.below(|_| ());
    let second = issuing.below(|_| ());
    let leaf = second.sign(&node_params(), &KeyPair::generate().unwrap());
    assert_eq!(
        rule(check_node_tls(&[leaf, second.der, issuing.der], &anchor, NOW_US)),
        Rule::Chain
    );
}

#[test]
fn a_root_keeps_its_profile() {
    assert!(check_root(&Rogue::root(|_| ()).der, NOW_US).is_ok());
    let alter: [(fn(&mut CertificateParams), Rule); 5] = [
        (
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Rule::BasicConstraints,
        ),
        (|p| p.is_ca = IsCa::NoCa, Rule::BasicConstraints),
        (|p| p.key_usages = vec![KeyUsagePurpose::CrlSign], Rule::KeyUsage),
        (|p| p.extended_key_usages = vec![Any], Rule::ExtendedKeyUsage),
        (|p| p.not_after = p.not_before + Duration::minutes(1), Rule::Expired),
    ];
    for (alter, broken) in alter {
        assert_eq!(rule(check_root(&Rogue::root(alter).der, NOW_US)), broken);
    }
    // An anchor that was good when it was checked is not good for ever.
    let (root, issuing) = Rogue::pair();
    let leaf = issuing.sign(&node_params(), &KeyPair::generate().unwrap());
    assert!(check_node_tls(&[leaf, issuing.der], &root, NOW_US + 1001 * DAY_US).is_err());
    assert_eq!(rule(check_issuing(&Rogue::pair().1.der, &root, NOW_US)), Rule::Chain);
}

#[test]
fn the_root_is_found_by_its_fingerprint() {
    let network = Network::new();
    let chain = network.issuing.issuers();
    let root = network.root.certificate();
    assert_eq!(root_by_fingerprint(&chain, &root.sha256, NOW_US).unwrap().der, root.der);
    assert_eq!(rule(root_by_fingerprint(&chain, &[7; 32], NOW_US)), Rule::Chain);
    // The issuing authority is in the chain as well, but it is no root.
    let issuing = network.issuing.certificate().sha256;
    assert_eq!(
        rule(root_by_fingerprint(&chain, &issuing, NOW_US)),
        Rule::BasicConstraints
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
