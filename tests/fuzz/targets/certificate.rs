//! Certificates, and requests for them as they come with an enrolment.
#![no_main]

use std::sync::LazyLock;

use jisr_certs::issue::{Issuing, Root};
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::validity::Validity;
use jisr_certs::{pem, profile};

const NOW_US: u64 = 1_800_000_000_000_000;

/// An authority with fresh keys: no request of the corpus is for one of them.
static ISSUING: LazyLock<Issuing> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("jisr-fuzz-{}", std::process::id()));
    let store = KeyStore::create(directory, &KeySecret::passing().expect("random bytes")).expect("a directory for keys");
    let root = Root::create(&store, &"JO".parse().expect("an instance"), NOW_US).expect("a root");
    Issuing::create(&store, &root, NOW_US).expect("an issuing authority")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _refused = profile::check_local_ca(bytes, NOW_US);
    let _refused = pem::certificates_from_pem(bytes);
    let node = "JO/GOV/mol/node/node1".parse().expect("a node");
    let _refused = ISSUING.issue_node_tls(bytes, &node, Validity::days(NOW_US, 1));
    let origin = "jisr/JO/GOV/mol/node1/2026".parse().expect("an origin");
    let _refused = ISSUING.issue_seal(bytes, &origin, Validity::days(NOW_US, 1));
});
