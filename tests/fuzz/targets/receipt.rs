//! Receipts that a consumer's node sends.
#![no_main]

use std::sync::LazyLock;

use jisr_ledger::note::VerifierKey;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Parsed;
use jisr_node::form;
use jisr_proto::ident::{NodeId, Origin};
use jisr_proto::peer::ReceiptsRequest;
use jisr_proto::statement::{Seal, Sealed, Statement};
use prost::Message as _;

static SENDER: LazyLock<NodeId> = LazyLock::new(|| "JO/GOV/mol/node/node1".parse().expect("a node"));
static OWN: LazyLock<Origin> = LazyLock::new(|| "jisr/JO/GOV/psd/node1/2026".parse().expect("an origin"));
/// A key whose secret nobody here has (RFC 8032, section 7.1, test 2).
static STRANGER: LazyLock<VerifierKey> = LazyLock::new(|| {
    let key = [
        0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98,
        0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
    ];
    VerifierKey::new_seal("jisr/JO/GOV/mol/node1/2026", key).expect("it is a good key")
});

/// What the form says of a statement that would be sealed.
fn judge(statement: &Statement) {
    let Ok(parsed) = Parsed::parse(statement) else {
        return;
    };
    if let Ok((_, citation)) = form::receipt(&parsed, &SENDER, &OWN) {
        let own = citation.origin == OWN.as_str();
        assert!(
            !own || parsed.core().provider_origin == citation.origin,
            "a receipt of another provider is taken"
        );
        assert!(
            parsed.core().consumer.starts_with("JO/GOV/mol/"),
            "a receipt of another consumer is taken"
        );
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::decode(bytes) {
        judge(&statement);
    }
    let Ok(request) = ReceiptsRequest::decode(bytes) else {
        return;
    };
    if form::receipts(&request).is_err() {
        assert!(request.receipts.len() > form::RECEIPTS_MAX);
        return;
    }
    let verifier = SealVerifier::new();
    for receipt in request.receipts.into_iter().take(16) {
        receipt.statement.iter().for_each(judge);
        let sealed = Sealed {
            statement: receipt.statement,
            seal: Some(Seal {
                index: receipt.index,
                path: receipt.path,
                checkpoint: request.checkpoint.clone(),
            }),
        };
        assert!(verifier.verify(&sealed, &STRANGER).is_err());
    }
});
