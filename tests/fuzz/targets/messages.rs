//! The messages that nodes and the registry send each other, and what is signed in them: each has one canonical form, and its fields
//! are read by what the doors read them with.
#![no_main]

use bytes::Bytes;
use jisr_ledger::note::SignedNote;
use jisr_ledger::seal;
use jisr_ledger::statement::Parsed;
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::{canonical, peer, snapshot, statement};
use prost::{Message, Name};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    hello(&bytes);
    exchange(&bytes);
    receipts(&bytes);
    pairs(&bytes);
    one_form::<snapshot::AdministrativeAct>(&bytes);
    one_form::<snapshot::Row>(&bytes);
    one_form::<statement::Erasure>(&bytes);
    one_form::<statement::Hold>(&bytes);
    one_form::<statement::Release>(&bytes);
});

fn one_form<M: Message + Default + Name>(bytes: &Bytes) {
    if let Ok(message) = canonical::decode::<M>(bytes) {
        assert_eq!(canonical::encode(&message), *bytes, "one message has one canonical form");
    }
}

fn note(bytes: &Bytes) {
    let _ = SignedNote::parse(bytes);
}

fn path(hashes: &[Bytes]) {
    let _ = seal::path(hashes);
}

fn hello(bytes: &Bytes) {
    if let Ok(hello) = peer::HelloRequest::decode(bytes.clone()) {
        let _ = hello.origin.parse::<Origin>();
        note(&hello.checkpoint);
        note(&hello.yours);
    }
    if let Ok(hello) = peer::HelloResponse::decode(bytes.clone()) {
        let _ = hello.origin.parse::<Origin>();
        note(&hello.checkpoint);
        path(&hello.proof);
    }
}

fn exchange(bytes: &Bytes) {
    if let Ok(asked) = peer::ExchangeRequest::decode(bytes.clone()) {
        let _ = asked.asked.map(|sealed| read_seal(&sealed));
    }
    if let Ok(shown) = peer::ShowResponse::decode(bytes.clone()) {
        shown.statements.iter().for_each(read_seal);
    }
    if let Ok(proved) = peer::ProveResponse::decode(bytes.clone()) {
        note(&proved.checkpoint);
        proved.paths.iter().for_each(|shown| path(&shown.hashes));
    }
}

fn read_seal(sealed: &statement::Sealed) {
    let _ = sealed.statement.as_ref().map(Parsed::parse);
    if let Some(seal) = &sealed.seal {
        note(&seal.checkpoint);
        path(&seal.path);
    }
}

fn receipts(bytes: &Bytes) {
    if let Ok(told) = peer::ReceiptsRequest::decode(bytes.clone()) {
        note(&told.checkpoint);
        for receipt in told.receipts {
            path(&receipt.path);
            let _ = receipt.statement.as_ref().map(Parsed::parse);
        }
    }
}

fn pairs(bytes: &Bytes) {
    if let Ok(asked) = peer::ReconcileRequest::decode(bytes.clone()) {
        let _ = (ExchangeId::try_from(asked.low.as_ref()), ExchangeId::try_from(asked.high.as_ref()));
    }
    if let Ok(answer) = peer::ReconcileResponse::decode(bytes.clone()) {
        for item in answer.items {
            let _ = ExchangeId::try_from(item.exchange_id.as_ref());
        }
    }
}
