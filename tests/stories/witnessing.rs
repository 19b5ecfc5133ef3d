//! A node is a witness of C2SP tlog-witness and a log of C2SP tlog-tiles, for anybody listed who speaks plain HTTP/2.

use bytes::Bytes;
use http::Method;
use jisr_ledger::note;
use jisr_ledger::tlog::{AddCheckpoint, Answer, Resource};
use jisr_ledger::tree;
use jisr_node::setup::Layout;
use jisr_tests::{PeerLine, Question, Rogue, World, until};

/// A world in which mol's member holds its key in its own hands; psd's node has never heard of what is sealed from now on.
async fn mol_turns(psd: &str) -> (World, Rogue, PeerLine) {
    let mut world = World::of_two().await;
    let question = Question::about("9901234567");
    world.caller().ask("Write", &question).await.expect("it is allowed");
    if !psd.is_empty() {
        world.stop_node("psd").await;
        world.reconfigure("psd", "[limits]\n", &format!("[limits]\n{psd}"));
        world.start_node("psd").await;
    }
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    let line = rogue
        .connect(&world, "psd")
        .await
        .expect("a listed certificate gets in");
    (world, rogue, line)
}

async fn end(mut world: World, rogue: Rogue) {
    drop(rogue);
    world.parties.remove("mol");
    world.end().await;
}

fn ask(rogue: &Rogue, old_size: u64) -> AddCheckpoint {
    let newest = rogue.ledger.checkpoint();
    AddCheckpoint {
        old_size,
        proof: rogue.ledger.consistency(old_size, newest.size).unwrap_or_default(),
        checkpoint: newest.note.clone(),
    }
}

/// The size that the witness knows.
async fn known(line: &mut PeerLine, rogue: &Rogue) -> u64 {
    match line.add_checkpoint(ask(rogue, 0).print().into()).await {
        Answer::Conflict(size) => size,
        Answer::Cosigned(_) => rogue.ledger.size(),
        answer => panic!("{answer:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cosigns_what_continues_and_answers_everything_else_by_the_standard() {
    let (world, rogue, mut line) = mol_turns("").await;
    let size = known(&mut line, &rogue).await;
    rogue.asked(rogue.core()).await;
    let good = ask(&rogue, size);
    let forged = |checkpoint: Bytes| AddCheckpoint {
        checkpoint,
        ..good.clone()
    };
    let text = String::from_utf8(good.checkpoint.to_vec()).unwrap();
    let elsewhere = text.replacen("mol", "gam", 1);
    let altered = text.replacen(&format!("\n{}\n", rogue.ledger.size()), "\n999999\n", 1);
    for (status, request) in [
        (404, forged(elsewhere.into()).print()),
        (403, forged(altered.into()).print()),
        (422, forged(rogue.another_tree(rogue.ledger.size())).print()),
        (
            400,
            AddCheckpoint {
                old_size: size + 99,
                ..good.clone()
            }
            .print(),
        ),
        (
            400,
            AddCheckpoint {
                proof: vec![[1; 32]; 64],
                ..good.clone()
            }
            .print(),
        ),
        (400, b"new 5\n\n".to_vec()),
        (413, vec![b'o'; (128 << 10) + 1]),
    ] {
        let (found, _, body) = line.http(Method::POST, "/add-checkpoint", request.into()).await;
        assert_eq!(found, status, "{body:?}");
    }
    let (status, kind, body) = line
        .http(Method::POST, "/add-checkpoint", ask(&rogue, size + 1).print().into())
        .await;
    assert_eq!(
        (status, kind.as_str(), body),
        (409, "text/x.tlog.size", format!("{size}\n").into())
    );
    let Answer::Cosigned(lines) = line.add_checkpoint(good.print().into()).await else {
        panic!("it continues what was shown")
    };
    let cosigned = [&good.checkpoint, lines.as_bytes()].concat();
    let text = note::SignedNote::parse(&cosigned).unwrap();
    assert_eq!(text.signatures.last().unwrap().name, "jisr/JO/GOV/psd/node1/witness");
    for (method, path) in [
        (Method::PUT, "/add-checkpoint"),
        (Method::GET, "/tile/0"),
        (Method::POST, "/tile/0/000"),
    ] {
        let (status, ..) = line.http(method, path, Bytes::new()).await;
        assert!(status == 404 || status == 415, "{path}: {status}");
    }
    end(world, rogue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_too_many_proofs_waits_for_the_next_minute() {
    let (world, rogue, mut line) = mol_turns("proofs_per_minute = 20\n").await;
    let mut refused = 0;
    for _ in 0..60 {
        let (status, _, body) = line.http(Method::GET, "/checkpoint", Bytes::new()).await;
        assert!(status == 200 || status == 429, "{status}");
        if status == 429 {
            refused += 1;
            assert!(body.starts_with(b"A peer may ask") || body.starts_with(b"PROOF_BUDGET") || !body.is_empty());
        }
    }
    // At most two minutes may have begun meanwhile.
    assert!(refused >= 20, "{refused}");
    end(world, rogue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_computes_the_root_from_tiles() {
    let (world, rogue, mut line) = mol_turns("").await;
    let (status, kind, note) = line.http(Method::GET, "/checkpoint", Bytes::new()).await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
    let text = note::SignedNote::parse(&note).unwrap().text;
    let checkpoint = note::Checkpoint::parse(text).unwrap();
    let width = u16::try_from(checkpoint.size).unwrap();
    let tile = Resource::Tile {
        level: 0,
        number: 0,
        width,
    }
    .to_string();
    let (status, kind, tile) = line.http(Method::GET, &tile, Bytes::new()).await;
    assert_eq!((status, kind.as_str()), (200, "application/octet-stream"));
    let (leaves, rest) = tile.as_chunks::<32>();
    assert!(rest.is_empty());
    assert_eq!(tree::root_of(leaves), checkpoint.root);
    let bundle = Resource::Entries { number: 0, width }.to_string();
    let (_, _, bundle) = line.http(Method::GET, &bundle, Bytes::new()).await;
    let (entries, rest) = bundle.as_chunks::<34>();
    assert!(rest.is_empty() && entries.len() == leaves.len());
    for (entry, leaf) in entries.iter().zip(leaves) {
        assert_eq!(tree::leaf_hash(&entry[2..]), *leaf);
    }
    let (status, ..) = line.http(Method::GET, "/tile/0/x999/999", Bytes::new()).await;
    assert_eq!(status, 404);
    end(world, rogue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_what_it_cosigned_says_so_and_cosigns_nothing() {
    let (mut world, rogue, mut line) = mol_turns("").await;
    known(&mut line, &rogue).await;
    drop(line);
    world.stop_node("psd").await;
    std::fs::remove_dir_all(Layout::new(&world.party("psd").dir).witness()).unwrap();
    world.start_node("psd").await;
    let mut line = rogue.connect(&world, "psd").await.unwrap();
    for old_size in [0, rogue.ledger.size()] {
        let answer = line.add_checkpoint(ask(&rogue, old_size).print().into()).await;
        assert_eq!(answer.status(), 503, "{answer:?}");
    }
    until(async || world.party("psd").status().await.state == "RUNNING").await;
    let told = world.party("psd").status().await.state_text;
    assert!(told.contains("the witness cosigns nothing"), "{told}");
    end(world, rogue).await;
}
