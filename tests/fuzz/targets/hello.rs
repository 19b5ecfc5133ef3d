//! `Hello` between nodes, both ways, and the proof that comes with its answer.
#![no_main]

use std::sync::LazyLock;

use jisr_ledger::tree::{self, verify_consistency};
use jisr_node::form;
use jisr_proto::ident::{NodeId, Origin};
use jisr_proto::peer::{HelloRequest, HelloResponse};
use jisr_proto::reason::Reason;
use prost::Message as _;

static NODE: LazyLock<NodeId> = LazyLock::new(|| "JO/GOV/mol/node/node1".parse().expect("a node"));
static ORIGIN: LazyLock<Origin> = LazyLock::new(|| "jisr/JO/GOV/mol/node1/2026".parse().expect("an origin"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut request) = HelloRequest::decode(bytes) {
        let refused = form::hello(&request, &NODE, &ORIGIN);
        assert!(
            refused.is_ok() || refused.is_err_and(|fault| fault.detail.len() < 2048),
            "an error is no echo"
        );
        // What lies behind the two that a fuzzer seldom guesses.
        request.versions.truncate(3);
        request.versions.push(form::PROTOCOL_VERSION);
        request.origin = ORIGIN.to_string();
        let refused = form::hello(&request, &NODE, &ORIGIN);
        assert!(refused.is_ok() || refused.is_err_and(|fault| fault.reason == Reason::MalformedFrame));
    }
    if let Ok(mut answer) = HelloResponse::decode(bytes) {
        answer.version = form::PROTOCOL_VERSION;
        answer.origin = ORIGIN.to_string();
        let Ok(proof) = form::hello_answer(&answer, &NODE, &ORIGIN) else {
            return;
        };
        // Roots that nobody hashed to: no proof leads from one to the other, whatever the sizes.
        let (old, new) = (answer.snapshot_version, answer.snapshot_version.rotate_left(7));
        let (from, to) = ([1; 32], [2; 32]);
        assert!(old == 0 || !verify_consistency(old, &from, new, &to, &proof));
        assert!(!verify_consistency(old, &tree::empty_root(), old, &to, &proof));
    }
});
