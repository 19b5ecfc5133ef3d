//! The registry cosigns what continues what it cosigned before (C2SP tlog-witness), and shows its own ledger (C2SP tlog-tiles).

use std::fs;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jisr_ledger::note;
use jisr_ledger::tlog::{AddCheckpoint, Resource};
use jisr_ledger::tree;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::statement::Kind;
use jisr_registry::Limits;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service as _, ServiceExt as _};

use crate::world::{NOON_US, Node, World, reason};

/// What came back.
struct Answer {
    status: StatusCode,
    kind: String,
    body: Bytes,
}

async fn send(channel: &mut Channel, method: Method, path: &str, body: Vec<u8>) -> Answer {
    let body = http_body_util::Full::new(Bytes::from(body)).map_err(|never| match never {});
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::new(body))
        .unwrap();
    let response = channel.ready().await.unwrap().call(request).await.unwrap();
    let kind = response.headers().get("content-type");
    Answer {
        status: response.status(),
        kind: kind.map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default(),
        body: response.into_body().collect().await.unwrap().to_bytes(),
    }
}

async fn add(channel: &mut Channel, body: Vec<u8>) -> Answer {
    send(channel, Method::POST, "/add-checkpoint", body).await
}

async fn get(channel: &mut Channel, path: &str) -> Answer {
    send(channel, Method::GET, path, Vec::new()).await
}

/// The newest checkpoint of a node's ledger, with the proof from there.
fn ask(node: &Node, old_size: u64) -> AddCheckpoint {
    let checkpoint = node.ledger.checkpoint();
    AddCheckpoint {
        old_size,
        proof: node.ledger.consistency(old_size, checkpoint.size).unwrap_or_default(),
        checkpoint: checkpoint.note.clone(),
    }
}

#[tokio::test]
async fn a_growing_ledger_is_cosigned() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let mut channel = world.channel(Some(&mol.identity)).await;
    let first = add(&mut channel, ask(&mol, 0).print()).await;
    assert_eq!(first.status, 200);
    let note = [mol.ledger.checkpoint().note.as_ref(), &first.body].concat();
    let keys: Vec<_> = world
        .anchor()
        .witnesses
        .into_iter()
        .map(|witness| witness.key)
        .collect();
    assert_eq!(note::cosignatures(&note, &keys).unwrap()[0].time_s, NOON_US / 1_000_000);

    let size = mol.ledger.size();
    world.clock.advance(5_000_000);
    let again = add(&mut channel, ask(&mol, size).print()).await;
    let note = [mol.ledger.checkpoint().note.as_ref(), &again.body].concat();
    assert_eq!(
        note::cosignatures(&note, &keys).unwrap()[0].time_s,
        NOON_US / 1_000_000 + 5
    );

    mol.seal(&mol.agreed(b"x")).await;
    let behind = add(&mut channel, ask(&mol, 0).print()).await;
    assert_eq!(
        (behind.status.as_u16(), behind.kind.as_str()),
        (409, "text/x.tlog.size")
    );
    assert_eq!(behind.body, format!("{size}\n"));
    assert_eq!(add(&mut channel, ask(&mol, size).print()).await.status, 200);

    let now = mol.ledger.size();
    drop(channel);
    world.stop().await;
    world.restart(Some(&mol)).await;
    let mut channel = world.channel(Some(&mol.identity)).await;
    let remembered = add(&mut channel, ask(&mol, 0).print()).await;
    assert_eq!(remembered.body, format!("{now}\n"), "a witness does not forget");
    world.finish(channel).await;
}

/// A request whose checkpoint is this one.
fn showing(good: &AddCheckpoint, checkpoint: impl Into<Bytes>) -> Vec<u8> {
    let checkpoint = checkpoint.into();
    AddCheckpoint {
        checkpoint,
        ..good.clone()
    }
    .print()
}

fn proving(good: &AddCheckpoint, hashes: usize) -> Vec<u8> {
    let proof = vec![[9; 32]; hashes];
    AddCheckpoint { proof, ..good.clone() }.print()
}

fn from(good: &AddCheckpoint, old_size: u64) -> Vec<u8> {
    AddCheckpoint {
        old_size,
        ..good.clone()
    }
    .print()
}

#[tokio::test]
async fn what_is_not_cosigned_has_the_status_of_the_standard() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut channel = world.channel(Some(&mol.identity)).await;
    assert_eq!(add(&mut channel, ask(&mol, 0).print()).await.status, 200);
    // Whoever shows a checkpoint: what counts is who signed it.
    assert_eq!(add(&mut channel, ask(&psd, 0).print()).await.status, 200);
    let size = mol.ledger.size();
    mol.seal(&mol.agreed(b"x")).await;
    let good = ask(&mol, size);
    let unlisted = text(&good.checkpoint).replace("node1", "node9");
    let crossed = psd.stolen(&world).sign_checkpoint(9, &[7; 32]);
    let other_root = mol.stolen(&world).checkpoint(size + 1, &[7; 32]);
    for (status, body) in [
        (400, Vec::new()),
        (400, b"old 1\n".to_vec()),
        (400, b"old 1\n\n\xff".to_vec()),
        (400, [good.print(), vec![b'x']].concat()),
        (400, proving(&good, 64)),
        (400, from(&good, size + 7)),
        (400, showing(&good, "no note")),
        (413, vec![b'o'; (128 << 10) + 1]),
        (404, showing(&good, format!("{unlisted}\n{crossed}"))),
        (403, showing(&good, format!("{}\n{crossed}", text(&good.checkpoint)))),
        (422, proving(&good, 1)),
        (422, proving(&good, 63)),
        (422, showing(&good, other_root)),
        (409, from(&good, size - 1)),
    ] {
        let answer = add(&mut channel, body).await;
        assert_eq!(answer.status, status, "{:?}", answer.body);
    }
    assert_eq!(add(&mut channel, good.print()).await.status, 200);
    let mut stranger = world.channel(None).await;
    assert_eq!(add(&mut stranger, good.print()).await.status, 403);
    assert_eq!(get(&mut stranger, "/checkpoint").await.status, 403);
    world.finish((channel, stranger)).await;
}

fn text(note: &[u8]) -> String {
    note::SignedNote::parse(note).unwrap().text.to_owned()
}

#[tokio::test]
async fn two_histories_of_one_size_stand_in_the_registry_s_ledger() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let mut channel = world.channel(Some(&mol.identity)).await;
    assert_eq!(add(&mut channel, ask(&mol, 0).print()).await.status, 200);
    let size = mol.ledger.size();
    let other: Bytes = mol.stolen(&world).checkpoint(size, &[7; 32]).into();
    let forked = AddCheckpoint {
        old_size: size,
        proof: Vec::new(),
        checkpoint: other.clone(),
    };
    for _ in 0..3 {
        let answer = add(&mut channel, forked.print()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body),
            (409, Bytes::from(format!("{size}\n")))
        );
    }
    let mut registry = world.call(Some(&mol.identity)).await;
    let findings = crate::recovery::entries(&mut registry, &world, Kind::Finding).await;
    let [jisr_ledger::statement::Act::Finding(finding)] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert_eq!(finding.origin, mol.response.origin);
    assert_eq!(finding.notes, [mol.ledger.checkpoint().note.clone(), other]);
    world.finish((channel, registry)).await;
}

#[tokio::test]
async fn a_witness_whose_memory_is_gone_cosigns_nothing() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let mut channel = world.channel(Some(&mol.identity)).await;
    assert_eq!(add(&mut channel, ask(&mol, 0).print()).await.status, 200);
    drop(channel);
    world.stop().await;
    fs::remove_dir_all(world.config.data.join("witness")).unwrap();
    world.restart(Some(&mol)).await;
    let mut channel = world.channel(Some(&mol.identity)).await;
    for old_size in [0, mol.ledger.size()] {
        assert_eq!(add(&mut channel, ask(&mol, old_size).print()).await.status, 503);
    }
    let status = world.status().await;
    assert!(status.state_text.contains("the witness cosigns nothing"), "{status:?}");
    world.finish(channel).await;
}

#[tokio::test]
async fn a_node_gets_so_many_proofs_a_minute() {
    let limits = Limits {
        proofs_per_minute: 3,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let mut channel = world.channel(Some(&mol.identity)).await;
    for expected in [200, 200, 200, 429, 429] {
        assert_eq!(get(&mut channel, "/checkpoint").await.status, expected);
    }
    let refused = add(&mut channel, ask(&mol, 0).print()).await;
    assert_eq!(refused.status, 429);
    assert!(
        refused.body.starts_with(b"PROOF_BUDGET") || refused.body.len() > 20,
        "{:?}",
        refused.body
    );
    world.clock.advance(60_000_000);
    assert_eq!(add(&mut channel, ask(&mol, 0).print()).await.status, 200);
    world.finish(channel).await;
}

#[tokio::test]
async fn the_registry_s_ledger_is_served_in_tiles() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let (nodes, admins) = (world.channel(Some(&mol.identity)).await, world.socket().await);
    for mut channel in [nodes, admins] {
        let note = get(&mut channel, "/checkpoint").await;
        assert_eq!(note.kind, "text/plain; charset=utf-8");
        let checkpoint = note::open(&note.body, &world.anchor().registry_key).unwrap();
        let width = u16::try_from(checkpoint.size).unwrap();
        let tile = get(
            &mut channel,
            &Resource::Tile {
                level: 0,
                number: 0,
                width,
            }
            .to_string(),
        )
        .await;
        let bundle = get(&mut channel, &Resource::Entries { number: 0, width }.to_string()).await;
        assert_eq!(tile.kind, "application/octet-stream");
        let (leaves, rest) = tile.body.as_chunks::<32>();
        assert!(rest.is_empty() && leaves.len() == usize::from(width));
        assert_eq!(tree::root_of(leaves), checkpoint.root);
        let (entries, rest) = bundle.body.as_chunks::<34>();
        assert!(rest.is_empty() && entries.len() == leaves.len());
        for (entry, leaf) in entries.iter().zip(leaves) {
            assert_eq!(entry[..2], [0, 32]);
            assert_eq!(tree::leaf_hash(&entry[2..]), *leaf);
        }
        for absent in [
            "/tile/0/000",
            "/tile/0/001.p/1",
            "/tile/1/000.p/1",
            "/tile/63/000",
            "/tile/entries/000",
            "/tile/entries/x999/999",
        ] {
            assert_eq!(get(&mut channel, absent).await.status, 404, "{absent}");
        }
    }
    world.finish(mol).await;
}

#[tokio::test]
async fn a_node_compares_and_reports_so_often_a_minute() {
    let limits = Limits {
        hellos_per_minute: 2,
        reports_per_minute: 1,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let mut registry = world.call(Some(&mol.identity)).await;
    for _ in 0..2 {
        registry.hello(mol.hello(mol.held())).await.unwrap();
    }
    let refused = registry.hello(mol.hello(mol.held())).await.unwrap_err();
    let told = refused.message().to_owned();
    assert!(
        told.contains("limits.hellos_per_minute") && told.contains("answers again in"),
        "{told}"
    );
    assert_eq!(reason(Err::<(), _>(refused)), Reason::ProofBudget);
    let report = wire::ReportRequest::default();
    assert_eq!(reason(registry.report(report.clone()).await), Reason::RequestInvalid);
    let refused = registry.report(report).await.unwrap_err();
    assert!(refused.message().contains("limits.reports_per_minute"), "{refused}");
    // Others are not slowed down, nor is it in the next minute.
    let next = world.node("JO/GOV/mol/node/node2").await;
    world
        .call(Some(&next.identity))
        .await
        .hello(next.hello(next.held()))
        .await
        .unwrap();
    world.clock.advance(60_000_000);
    registry.hello(mol.hello(mol.held())).await.unwrap();
    world.finish(registry).await;
}

#[tokio::test]
async fn whoever_keeps_its_checkpoint_back_is_refused_unless_nothing_is_known_of_its_ledger() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let mut channel = world.channel(Some(&mol.identity)).await;
    let mut registry = world.call(Some(&mol.identity)).await;
    let silent = wire::HelloRequest {
        checkpoint: Bytes::new(),
        ..mol.hello(mol.held())
    };
    registry.hello(silent.clone()).await.expect("it is the first contact");
    assert_eq!(add(&mut channel, ask(&mol, 0).print()).await.status, 200);
    assert_eq!(reason(registry.hello(silent.clone()).await), Reason::CheckpointInvalid);
    // A node that was started hears what is known of its ledger: it needs that to go on.
    let recovering = wire::HelloRequest {
        recovering: true,
        ..silent
    };
    let answer = registry.hello(recovering).await.unwrap().into_inner();
    assert!(!answer.yours.is_empty());
    registry.hello(mol.hello(mol.held())).await.unwrap();
    drop(registry);
    world.finish(channel).await;
}
