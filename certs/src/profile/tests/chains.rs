//! Roots, issuing authorities, and the way to them.

use rcgen::ExtendedKeyUsagePurpose::Any;
use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose};
use time::Duration;

use super::*;
use crate::fixture::{DAY_US, Network, uri};

/// What a test alters, and the rule that it breaks.
type Breaks = (fn(&mut CertificateParams), Rule);

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
    let alter: [Breaks; 5] = [
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
