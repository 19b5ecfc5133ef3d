//! Too much of everything, or too slowly: it costs the attacker, and grows no ledger.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use jisr_node::form::ENVELOPE_BYTES_MAX;
use jisr_proto::peer::{HelloResponse, Metadata};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind};
use jisr_tests::{PROVIDER, Question, Rogue, World, framed};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{end, mol_turns, size};

/// mol and psd as usual, but psd has four places at each door and little patience.
async fn narrow() -> (World, Rogue) {
    let mut world = World::new().await;
    world.join("mol").await;
    world.admit("psd").await;
    world
        .prepare(
            "psd",
            "[limits]\nthreads = 1\nconnections_max = 4\nhandshake_timeout_ms = 300\n",
        )
        .await;
    let token = world.token("psd").await;
    world.enrol("psd", &token).await.unwrap();
    world.start_node("psd").await;
    world.publish("psd", PROVIDER).await;
    world.agree_usual().await;
    world
        .caller()
        .ask("Write", &Question::about("9901234567"))
        .await
        .expect("it is allowed");
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    (world, rogue)
}

fn doors(world: &World) -> [SocketAddr; 2] {
    let node = world.party("psd").node.as_ref().unwrap();
    [node.local_address(), node.peer_address()]
}

/// Waits until the other side hangs up.
async fn hung_up(mut stream: impl AsyncRead + Unpin) {
    let mut sink = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut sink)).await;
    drop(closed.expect("the door hangs up"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_or_trickles_loses_the_place_at_both_doors() {
    let (world, rogue) = narrow().await;
    for door in doors(&world) {
        hung_up(TcpStream::connect(door).await.unwrap()).await;
        // The first bytes of a TLS record, and then nothing.
        let mut trickling = TcpStream::connect(door).await.unwrap();
        trickling.write_all(&[22, 3, 1, 2]).await.unwrap();
        hung_up(trickling).await;
    }
    // A listed member that shakes hands and then asks nothing, or begins a header and never ends it.
    let peer_door = doors(&world)[1];
    hung_up(rogue.silent(peer_door).await.unwrap()).await;
    let mut trickling = rogue.silent(peer_door).await.unwrap();
    trickling.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    // An empty SETTINGS frame; HEADERS of 16 bytes on stream 1 without END_HEADERS, of which three bytes come.
    trickling.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    trickling
        .write_all(&[0, 0, 16, 1, 0, 0, 0, 0, 1, 0x82, 0x86, 0x84])
        .await
        .unwrap();
    hung_up(trickling).await;
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_keeps_nobody_out_for_long() {
    let (world, rogue) = narrow().await;
    let [local, peer] = doors(&world);
    let mut held = Vec::new();
    for door in [local, peer] {
        for _ in 0..12 {
            held.push(TcpStream::connect(door).await.unwrap());
        }
    }
    let mut line = rogue.greet(&world, "psd").await;
    let request = Rogue::request(rogue.asked(rogue.core()).await);
    assert!(line.exchange(&request).await.is_ok());
    drop(held);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refusals_does_not_grow_the_ledger() {
    let (world, rogue) = mol_turns().await;
    let mut unsealed = Rogue::request(rogue.asked(rogue.core()).await);
    unsealed.asked.as_mut().unwrap().seal = None;
    let before = size(&world);
    let mut line = rogue.greet(&world, "psd").await;
    for _ in 0..200 {
        assert_eq!(line.exchange(&unsealed).await, Err(Reason::SealInvalid));
        assert_eq!(
            line.call_bytes::<HelloResponse>("Exchange", b"\xff").await,
            Err(Reason::MalformedFrame)
        );
        assert_eq!(
            line.call_bytes::<HelloResponse>("Obey", b"").await,
            Err(Reason::UnknownMethod)
        );
    }
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_settling_is_written_down_once() {
    let (mut world, rogue) = mol_turns().await;
    let asked = rogue.asked(rogue.core()).await;
    let line = rogue.greet(&world, "psd").await;
    line.clone().exchange(&Rogue::request(asked.clone())).await.unwrap();
    // After a restart the answer is gone, and that is a statement.
    world.crash_node("psd").await;
    world.start_node("psd").await;
    let line = rogue.greet(&world, "psd").await;
    let before = size(&world);
    let askers: Vec<_> = (0..50)
        .map(|_| {
            let (mut line, asked) = (line.clone(), asked.clone());
            tokio::spawn(async move { line.settle(&asked).await })
        })
        .collect();
    for asker in askers {
        assert_eq!(asker.await.unwrap().unwrap().0, Kind::AnswerGone);
    }
    assert_eq!(size(&world), before + 1);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settling_what_could_never_be_asked_grows_nothing() {
    let (world, rogue) = mol_turns().await;
    let now = rogue.core().created_us;
    let mut line = rogue.greet(&world, "psd").await;
    let before = size(&world);
    let endless = rogue
        .asked(Core {
            expires_us: u64::MAX,
            ..rogue.core()
        })
        .await;
    assert_eq!(line.settle(&endless).await, Err(Reason::LifetimeTooLong));
    let hour = 3_600_000_000;
    let tomorrow = rogue
        .asked(Core {
            created_us: now + hour,
            expires_us: now + hour + 1,
            ..rogue.core()
        })
        .await;
    assert_eq!(line.settle(&tomorrow).await, Err(Reason::ClockSkew));
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_frame_or_header_is_refused_at_the_peer_door() {
    let (world, rogue) = mol_turns().await;
    let before = size(&world);
    // A frame that announces 2 GiB is refused on its first bytes.
    let mut line = rogue.greet(&world, "psd").await;
    let announced = Bytes::from_static(&[0, 0x80, 0, 0, 0, 1]);
    let told = line.post("Exchange", "", announced).await;
    assert_eq!(told.and_then(|(_, reason)| reason), Some(Reason::BodyTooLarge));
    let told = line.post("Exchange", "", Bytes::from_static(&[7, 0, 0, 0, 0])).await;
    assert_eq!(told.and_then(|(_, reason)| reason), Some(Reason::MalformedFrame));
    let told = line.post("Exchange", &"x".repeat(100 << 10), framed(b"")).await;
    assert!(
        told.is_none_or(|(http, _)| http == http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        "{told:?}"
    );
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_of_nothing_is_refused_at_the_peer_door() {
    let (world, rogue) = mol_turns().await;
    let before = size(&world);
    let mut line = rogue.greet(&world, "psd").await;
    // What announces a byte more than 1 MiB is refused on its first bytes, whatever a payload may have.
    let announced = Bytes::from_static(&[0, 0, 0x10, 0, 1, 0x12, 0]);
    for method in ["Hello", "Settle", "Prove", "Show", "Receipts", "Reconcile"] {
        let told = line.post(method, "", announced.clone()).await;
        assert_eq!(
            told.and_then(|(_, reason)| reason),
            Some(Reason::BodyTooLarge),
            "{method}"
        );
    }
    let mut request = Rogue::request(rogue.asked(rogue.core()).await);
    request.metadata = vec![Metadata::default(); ENVELOPE_BYTES_MAX / 2 + 1];
    assert_eq!(line.exchange(&request).await, Err(Reason::BodyTooLarge));
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}
