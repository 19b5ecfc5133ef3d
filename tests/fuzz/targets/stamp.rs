//! Time-stamps: tokens and answers of authorities, requests to the built-in one.
#![no_main]

use std::sync::LazyLock;

use jisr_certs::issue::{Issuing, Root};
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::stamp::{Query, StampAuthority, StampKey, Trust, verify};
use jisr_certs::validity::Validity;

const NOW_US: u64 = 1_800_000_000_000_000;

static AUTHORITY: LazyLock<StampAuthority> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("jisr-fuzz-stamp-{}", std::process::id()));
    let store = KeyStore::create(directory, &KeySecret::from_bytes(&[7; 32], "a test's secret")).expect("a directory for keys");
    let root = Root::create(&store, &"JO".parse().expect("an instance"), NOW_US).expect("a root");
    let issuing = Issuing::create(&store, &root, NOW_US).expect("an issuing authority");
    let key = StampKey::load_or_make(&store).expect("a key");
    let leaf = issuing.issue_time_stamp(&key, Validity::days(NOW_US, 1)).expect("a certificate");
    let [issuing, root] = issuing.issuers();
    StampAuthority::open(store, &[leaf, issuing, root], NOW_US).expect("an authority")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Nobody is trusted: nothing that is found may hold.
    assert!(verify(bytes, &[7; 32], &Trust::none()).is_err());
    let query = Query::new(&[7; 32], "").expect("a request");
    assert!(query.answered(bytes, &Trust::none(), NOW_US).is_err());
    // The clock stands still here, so there are few tokens; what is no request never gets one.
    AUTHORITY.answer(bytes, NOW_US).expect("every request gets an answer");
});
