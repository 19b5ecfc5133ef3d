//! Seals: paths and notes that a peer sends along.
#![no_main]

use jisr_ledger::note::VerifierKey;
use jisr_ledger::seal::SealVerifier;
use prost::Message as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(sealed) = jisr_proto::statement::Sealed::decode(bytes) else {
        return;
    };
    // A key whose secret nobody here has: nothing that is found may verify.
    let key = VerifierKey::new_seal("jisr/JO/GOV/mol/node1/2026", STRANGER).expect("it is a good key");
    assert!(SealVerifier::new().verify(&sealed, &key).is_err());
});

/// A public key of RFC 8032, section 7.1, test 2.
const STRANGER: [u8; 32] = [
    0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf,
    0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
];
