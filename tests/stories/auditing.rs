//! Two ledgers compared by somebody who trusts neither side.

use std::path::Path;

use bytes::Bytes;
use jisr_certs::keys::KeyStore;
use jisr_certs::seal::SealKey;
use jisr_ledger::archive::{Archive, Exchanges, Role, Row};
use jisr_ledger::compare::{Comparison, Difference, Options, Outcome, Side, directories};
use jisr_ledger::frame::{
    FrameHeader, Next, Record, Records, SegmentHeader, SegmentScan, StoredParts, put_record, segment_name,
};
use jisr_ledger::report::Verdict;
use jisr_ledger::statement::{Draft, Tag, leaf_input};
use jisr_ledger::tree::{Frontier, empty_root, leaf_hash};
use jisr_ledger::verify;
use jisr_node::Layout;
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::statement::{Citation, Core, Kind};
use jisr_tests::{Question, Rogue, Stood, World, statements_in};
use prost::Message as _;

/// Three exchanges, one of them with effects, and one that was refused at home.
async fn three_exchanges() -> (World, Vec<ExchangeId>) {
    let world = World::of_two().await;
    let mut ids = Vec::new();
    for (method, person) in [("Read", "9901234567"), ("Write", "9901234568"), ("Read", "9901234569")] {
        let answer = world.caller().ask(method, &Question::about(person)).await;
        ids.push(answer.expect("it is allowed").exchange.parse().expect("an exchange id"));
    }
    let curious = world.caller().with("jisr-purpose", "curiosity");
    let refused = curious.ask("Read", &Question::about("1")).await;
    refused.expect_err("nobody agreed to that");
    (world, ids)
}

fn ledger(world: &World, code: &str) -> std::path::PathBuf {
    Layout::new(&world.party(code).dir).ledger()
}

fn compared(world: &World, a: &Path, b: &Path) -> Comparison {
    let anchor = world.anchor();
    for dir in [a, b] {
        let report = verify::directory(dir, &anchor, &verify::Options::default()).unwrap();
        assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
    }
    directories(
        Archive::open(a).unwrap(),
        Archive::open(b).unwrap(),
        &anchor,
        Options::default(),
    )
    .unwrap()
}

/// Kind, side and exchange of what was found about exchanges.
fn exchanges(found: &Comparison) -> Vec<(Difference, Side, ExchangeId)> {
    let findings = found.findings.iter();
    findings
        .filter_map(|finding| Some((finding.kind, finding.side, finding.exchange.as_ref()?.id)))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_ledgers_compare_equal_and_one_exchange_taken_out_of_either_is_named() {
    let (mut world, ids) = three_exchanges().await;
    world.stop_node("mol").await;
    world.stop_node("psd").await;
    let (mol, psd) = (ledger(&world, "mol"), ledger(&world, "psd"));
    let same = compared(&world, &mol, &psd);
    assert_eq!((same.outcome, same.asked[0].agreed), (Outcome::Same, 3), "{same:#?}");

    let dir = tempfile::tempdir().unwrap();
    let [_, taken, _] = ids[..] else {
        panic!("three exchanges")
    };
    for (code, side) in [("psd", Side::B), ("mol", Side::A)] {
        let rebuilt = dir.path().join(code);
        rebuild(&world, code, &rebuilt, taken);
        let found = match side {
            Side::A => compared(&world, &rebuilt, &psd),
            Side::B => compared(&world, &mol, &rebuilt),
        };
        assert_eq!(found.outcome, Outcome::Differs);
        assert_eq!(
            exchanges(&found),
            [(Difference::ExchangeLacking, side, taken)],
            "{code}: {found:#?}"
        );
        let forked = found.findings.iter().find(|finding| finding.exchange.is_none());
        assert_eq!(
            forked.map(|forked| (forked.kind, forked.side)),
            Some((Difference::LedgerForked, side))
        );
        let proofs = found.findings.iter().flat_map(|finding| &finding.proofs);
        assert!(proofs.clone().count() > 1 && proofs.into_iter().all(|proof| proof.holder != side && proof.is_signed));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invented_exchange_is_named() {
    let (mut world, _) = three_exchanges().await;
    world.stop_node("mol").await;
    let (mol, psd) = (ledger(&world, "mol"), ledger(&world, "psd"));
    let asked: Vec<Stood> = statements_in(&mol);
    let asked = asked
        .into_iter()
        .rfind(|stood| stood.core.kind() == Kind::Asked)
        .unwrap();
    let rogue = Rogue::takes_over(&mut world, "psd").await;
    let invented = ExchangeId::new_v7(asked.core.created_us, [3; 10]);
    let citation = Citation {
        origin: "jisr/JO/GOV/mol/node1/2026".to_owned(),
        index: asked.index,
        leaf: Bytes::from_static(&[9; 32]),
        tree_size: asked.index + 1,
        root: Bytes::from_static(&[8; 32]),
    };
    let core = |kind: Kind| Core {
        kind: kind as i32,
        exchange_id: Bytes::copy_from_slice(invented.as_bytes()),
        expires_us: 0,
        payload_bytes: 0,
        tags: Bytes::new(),
        ..asked.core.clone()
    };
    rogue.sealed(Draft::new(core(Kind::Received)).peer(&citation)).await;
    rogue
        .sealed(
            Draft::new(core(Kind::Answered))
                .peer(&citation)
                .payload(b"nobody asked"),
        )
        .await;
    rogue.ledger.clone().close();
    let found = compared(&world, &mol, &psd);
    assert_eq!(found.outcome, Outcome::Differs);
    assert_eq!(
        exchanges(&found),
        [(Difference::ExchangeInvented, Side::B, invented)],
        "{found:#?}"
    );
    drop(rogue);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_directories_are_read_without_a_lock_and_both_sides_tell_the_same_exchanges() {
    let (world, mut ids) = three_exchanges().await;
    ids.sort_unstable();
    for (code, role) in [("mol", Role::Consumer), ("psd", Role::Provider)] {
        let archive = Archive::open(&ledger(&world, code)).unwrap();
        let rows = Exchanges::new(archive.items()).filter_map(|row| match row.unwrap() {
            Row::Exchange(exchange) => Some(*exchange),
            Row::Act { .. } => None,
        });
        let rows: Vec<_> = rows
            .filter(|exchange| !exchange.agreement.is_empty() && exchange.rule.is_empty())
            .collect();
        let mut told: Vec<_> = rows.iter().map(|exchange| exchange.id).collect();
        told.sort_unstable();
        assert_eq!(told, ids, "{code}");
        assert!(
            rows.iter()
                .all(|exchange| exchange.role == role && exchange.purpose() == Some("work-permit-renewal"))
        );
    }
    world.end().await;
}

/// What a member can do to its own past with its own key: a ledger without this exchange, with a tree built anew, to which no
/// verifier objects.
fn rebuild(world: &World, code: &str, to: &Path, exchange: ExchangeId) {
    let dir = &world.party(code).dir;
    let mut frontier = Frontier::new();
    let mut frames = Vec::new();
    for body in bodies(&ledger(world, code)) {
        let mut kept = Vec::new();
        let mut skip = false;
        for record in Records::new(&body) {
            let record = record.unwrap();
            match record {
                Record::Statement(stored) => {
                    let (leaf, core) = read(stored);
                    skip = core.exchange_id == exchange.as_bytes().as_slice();
                    if skip {
                        continue;
                    }
                    frontier.push(leaf_hash(&leaf));
                }
                // Its own checkpoints are signed anew; what cites its entries by index would show the change.
                Record::Checkpoint(_) | Record::Receipt(_) | Record::Payload(_) => continue,
                Record::PeerStatement(_) if skip => continue,
                _ => {}
            }
            put_record(&mut kept, record);
        }
        if !kept.is_empty() {
            frames.push(kept);
        }
    }
    let store = KeyStore::open_from(Layout::new(dir).keys(), &Layout::new(dir).secret_source()).unwrap();
    let origin: Origin = format!("jisr/JO/GOV/{code}/node1/2026").parse().unwrap();
    let key = SealKey::load_or_make(&store, &origin).unwrap();
    let mut checkpoint = Vec::new();
    put_record(
        &mut checkpoint,
        Record::Checkpoint(&Bytes::from(key.checkpoint(frontier.size(), &frontier.root()))),
    );
    frames.push(checkpoint);
    let header = SegmentHeader {
        number: 0,
        first_index: 0,
        root: empty_root(),
    };
    let mut segment = header.encode().to_vec();
    for body in frames {
        segment.extend(FrameHeader::of(&body).unwrap().encode());
        segment.extend(body);
    }
    std::fs::create_dir_all(to.join("segments")).unwrap();
    std::fs::write(to.join("segments").join(segment_name(0)), segment).unwrap();
}

/// The bodies of all frames.
fn bodies(ledger: &Path) -> Vec<Bytes> {
    let mut bodies = Vec::new();
    for number in 0.. {
        let Ok(segment) = std::fs::read(ledger.join("segments").join(segment_name(number))) else {
            return bodies;
        };
        let mut scan = SegmentScan::open(segment.as_slice()).unwrap();
        while let Next::Frame { body, .. } = scan.read_next().unwrap() {
            bodies.push(body);
        }
    }
    bodies
}

/// Leaf input and CORE of a stored statement.
fn read(stored: &[u8]) -> (jisr_ledger::Hash, Core) {
    let parts: Vec<_> = StoredParts::new(stored).unwrap().map(Result::unwrap).collect();
    let hashes: Vec<_> = parts.iter().map(|part| part.hash()).collect();
    let core = parts.iter().find(|part| part.tag == Tag::Core).unwrap();
    let jisr_ledger::frame::Form::Clear { content, .. } = core.form else {
        panic!("CORE rests in the clear")
    };
    (leaf_input(&hashes), Core::decode(content).unwrap())
}
