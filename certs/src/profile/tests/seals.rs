//! What is special about seal certificates.

use rcgen::ExtendedKeyUsagePurpose::Other;
use rcgen::{CustomExtension, PKCS_ED25519};

use super::*;
use crate::fixture::{DAY_US, RawKey, uri};

const EKU_OID: &[u64] = &[2, 5, 29, 37];

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
fn a_checked_authority_stands_for_the_chain_above_it() {
    let root = Rogue::root(|_| ());
    let issuing = root.below(|_| ());
    let anchor = check_root(&root.der, NOW_US).unwrap();
    let authority = check_issuing(&issuing.der, &anchor, NOW_US).unwrap();
    let by = |signer: &Rogue| signer.sign(&seal_params(), &KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let good = by(&issuing);
    assert!(check_seal_under(&good, &authority, NOW_US).is_ok());
    assert_eq!(
        rule(check_seal_under(&good, &authority, NOW_US + 400 * DAY_US)),
        Rule::Expired
    );
    for other in [&root, &root.below(|_| ()), &Rogue::root(|_| ())] {
        assert_eq!(rule(check_seal_under(&by(other), &authority, NOW_US)), Rule::Chain);
    }
    // A root issues none itself.
    assert_eq!(rule(check_seal_under(&by(&root), &anchor, NOW_US)), Rule::Chain);
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
    params.extended_key_usages = vec![Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 36]), ClientAuth];
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
