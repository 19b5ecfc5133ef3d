//! The vectors: what docs/vectors holds, made by the code.

use super::administration;
use super::network::{
    self, Inputs, Network,
    acts::{self, Signed},
    hex, segment,
};
use jisr_certs::digest::{domain, sha256};
use jisr_ledger::{
    evidence, note, stamp,
    statement::leaf_input,
    tree::{Frontier, empty_root, leaf_hash},
};
use jisr_proto::{canonical, registry::Token, snapshot::ShownRow};
use serde_json::{Value, json};

/// File names and contents, all but the inputs.
pub(crate) fn all(inputs: &Inputs, signed: &Signed) -> Vec<(&'static str, Value)> {
    let network = Network::new(inputs);
    vec![
        ("tree.json", tree()),
        ("statement.json", statement(&network)),
        ("key-set.json", key_set(&network)),
        ("token.json", token(&network)),
        ("agreement.json", agreement(&network, inputs)),
        ("snapshot.json", snapshot(&network)),
        ("administration.json", administration::vector(&network, inputs)),
        ("stamps.json", stamps(&network)),
        ("checkpoint.json", checkpoint(&network)),
        ("ledger.json", ledger(&network)),
        ("erasure.json", erasure(inputs, signed)),
        ("evidence.json", evidence_file(&network)),
        ("evidence-set.json", evidence_set(&network)),
    ]
}

fn tree() -> Value {
    let mut log = Frontier::new();
    let mut roots = vec![json!({"size": 0, "root": hex(&empty_root())})];
    for i in 0..8u8 {
        log.push(leaf_hash(&[i; 32]));
        roots.push(json!({"size": log.size(), "root": hex(&log.root())}));
    }
    json!({"leaf_inputs": "leaf i is 32 times the byte i", "leaf_hash_of_0": hex(&leaf_hash(&[0; 32])), "roots": roots})
}

fn statement(network: &Network) -> Value {
    let closed = &network.logs[1].statements[2];
    let parts: Vec<Value> = closed
        .parts()
        .iter()
        .map(|part| {
            let opened = part.opened.as_ref().expect("own parts are open");
            json!({
                "tag": part.tag.number(),
                "name": part.tag.name(),
                "salt": hex(&opened.salt),
                "content": hex(&opened.content),
                "part_hash": hex(&part.hash),
            })
        })
        .collect();
    let mut root = Frontier::new();
    closed.parts().iter().for_each(|part| root.push(part.hash));
    assert_eq!(leaf_input(closed.parts().iter().map(|part| &part.hash)), closed.leaf());
    json!({
        "kind": "ASKED",
        "message": hex(network::REQUEST),
        "parts": parts,
        "statement_root": hex(&root.root()),
        "leaf_input": hex(&closed.leaf()),
        "leaf_hash": hex(&leaf_hash(&closed.leaf())),
    })
}

fn key_set(network: &Network) -> Value {
    json!({
        "items_sorted": network.key_set_items.iter().map(|item| hex(item)).collect::<Vec<_>>(),
        "digest": hex(&domain("jisr.keyset", &[network.key_set_items.as_flattened()])),
    })
}

fn token(network: &Network) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = Token {
        format: 1,
        instance: "JO".into(),
        node: "JO/GOV/moh/node/node1".into(),
        registry: "registry.jo.example:7440".into(),
        secret: vec![0x33; 32].into(),
        root: network.anchor.root.to_vec().into(),
        registry_key: network.anchor.registry_key.to_string(),
        checkpoint: network.logs[0].note(1, &[]),
        expires_us: network::ASKED_US + 86_400_000_000,
    };
    let bytes = canonical::encode(&token);
    let sum = sha256(&[&bytes]);
    json!({
        "canonical": hex(&bytes),
        "text": format!("jisr1-{}", URL_SAFE_NO_PAD.encode([&bytes[..], &sum[..4]].concat())),
        "secret_digest": hex(&domain("jisr.token", &[&[0x33; 32]])),
    })
}

fn agreement(network: &Network, inputs: &Inputs) -> Value {
    let party = |which: usize| {
        let member = &inputs.members[which];
        json!({"officer": hex(&member.officer), "local_ca": hex(&member.local_ca), "signature": hex(&member.signature)})
    };
    json!({
        "document": hex(&network.document),
        "signed_bytes": hex(&[b"jisr.agreement\x01", &network.document[..]].concat()),
        "digest": hex(&domain("jisr.agreement", &[&network.document])),
        "consumer": party(0),
        "provider": party(1),
    })
}

fn snapshot(network: &Network) -> Value {
    json!({
        "header": hex(&network.snapshot),
        "rows": snapshot_rows(network),
        "root": hex(&network.rows.root()),
        "digest": hex(&domain("jisr.snapshot", &[&network.snapshot])),
        "key_seed": hex(&network::SNAPSHOT_SEED),
        "key": network::snapshot_key().to_string(),
        "note": text(&network.snapshot_note),
    })
}

/// Leaves and renewals in a tree of tokens. What a token is, RFC 3161 says; any bytes do here.
fn stamps(network: &Network) -> Value {
    let text = network.logs[2].note(4, &[]);
    let text = note::SignedNote::parse(&text).expect("a note").text;
    let mut tree = Frontier::new();
    let tokens: Vec<Value> = (1..=3u64)
        .map(|number| {
            let token = format!("token {number}");
            let leaf = stamp::leaf(token.as_bytes());
            tree.push(leaf_hash(&leaf));
            json!({
                "token": hex(token.as_bytes()),
                "leaf_input": hex(&leaf),
                "size": number,
                "root": hex(&tree.root()),
                "renewal_imprint": hex(&stamp::renewal_imprint(number, &tree.root())),
            })
        })
        .collect();
    json!({"checkpoint_text": text, "imprint": hex(&stamp::imprint(text)), "tokens": tokens})
}

/// Every row with its content digest, leaf input and path.
fn snapshot_rows(network: &Network) -> Value {
    let content = |key: &str| hex(&network.rows.get(key).expect("listed").content);
    let row = |row: &ShownRow| {
        let path: Vec<String> = row.path.iter().map(|hash| hex(hash)).collect();
        let listed = network.rows.get(&row.key).expect("listed");
        let leaf = domain("jisr.listed", &[&listed.content, row.key.as_bytes()]);
        json!({"key": row.key, "row": hex(&row.row), "content": content(&row.key), "leaf_input": hex(&leaf), "path": path})
    };
    network.shown().rows.iter().map(row).collect()
}

fn checkpoint(network: &Network) -> Value {
    let psd = &network.logs[2];
    let plain = psd.note(4, &[]);
    let signed = note::SignedNote::parse(&plain).expect("a note").text;
    json!({
        "origin": network::ORIGINS[2],
        "size": 4,
        "root": hex(&psd.root(4)),
        "seal_seed": hex(&network::seed_of(2)),
        "seal_key": psd.key().to_string(),
        "text": signed,
        "note": text(&plain),
        "witness_seed": hex(&network::witness_seed(0)),
        "witness_key": network.anchor.witnesses[0].key.to_string(),
        "cosigned_message": note::cosigned_message(signed, network::ASKED_US / 1_000_000 + 3600),
        "cosignature_line": network::cosignature(signed, 0),
        "cosigned_note": text(&psd.note(4, &[0])),
    })
}

fn ledger(network: &Network) -> Value {
    let files: serde_json::Map<String, Value> = segment::psd(network)
        .into_iter()
        .map(|(name, bytes)| (name, hex(&bytes).into()))
        .collect();
    let psd = &network.logs[2];
    json!({
        "anchor": network.anchor.to_string(),
        "files": files,
        "data_key": hex(&segment::DATA_KEY),
        "verdict": "VALID",
        "origin": network::ORIGINS[2],
        "size": psd.size(),
        "root": hex(&psd.root(psd.size())),
    })
}

fn erasure(inputs: &Inputs, signed: &Signed) -> Value {
    let mut network = Network::new(inputs);
    let files: serde_json::Map<String, Value> = acts::files(&mut network, signed)
        .into_iter()
        .map(|(name, bytes)| (name, hex(&bytes).into()))
        .collect();
    let document = |name: &str, bytes: &[u8]| {
        json!({
            "document": hex(bytes),
            "signed_bytes": hex(&[name.as_bytes(), b"\x01", bytes].concat()),
            "digest": hex(&domain(name, &[bytes])),
        })
    };
    let psd = &network.logs[2];
    json!({
        "anchor": network.anchor.to_string(),
        "hold": document("jisr.hold", &acts::hold(&network)),
        "release": document("jisr.release", &acts::release(&network)),
        "erasure": document("jisr.erasure", &acts::erasure()),
        "files": files,
        "data_key": hex(&segment::DATA_KEY),
        "request": hex(network::REQUEST),
        "verdict": "VALID",
        "origin": network::ORIGINS[2],
        "size": psd.size(),
        "root": hex(&psd.root(psd.size())),
    })
}

fn evidence_file(network: &Network) -> Value {
    let file = network.evidence_file();
    let time_us = network::ASKED_US + 7_200_000_000;
    let report = evidence::verify(&file, &network.anchor, time_us);
    json!({
        "anchor": network.anchor.to_string(),
        "file": hex(&file),
        "time_us": time_us,
        "verdict": report.verdict.to_string(),
        "withheld": report.check("withheld").and_then(|check| Some(check.text.split_once(" — ")?.0)),
    })
}

fn evidence_set(network: &Network) -> Value {
    let file = evidence::encode_set(&network.set()).expect("short enough");
    let time_us = network::ASKED_US + 7_200_000_000;
    let report = evidence::Verifier::new(network.anchor.clone()).verify_set(&file, time_us);
    let exchanges = report.exchanges.iter();
    json!({
        "anchor": network.anchor.to_string(),
        "file": hex(&file),
        "time_us": time_us,
        "verdict": report.report.verdict.to_string(),
        "exchanges": exchanges
            .map(|one| json!({"exchange_id": one.exchange_id, "verdict": one.report.verdict.to_string()}))
            .collect::<Vec<_>>(),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a note is text")
}
