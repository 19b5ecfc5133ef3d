//! Everything is bounded; full means a clear refusal.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jisr_proto::reason::Reason;
use jisr_tests::{Behaviour, CONSUMER, Line, PROVIDER, PURPOSE, Question, World, framed, refused, until};

const READ: &str = "/jisr.tests.v1.Probe/Read";
const BODY_BYTES_MAX: usize = 65_536;

/// mol bears little, psd the usual.
async fn narrow() -> World {
    let mut world = World::new().await;
    world.admit("mol").await;
    world
        .prepare(
            "mol",
            "[limits]\nthreads = 1\nbody_bytes_max = 65536\nexchanges_max = 2\n",
        )
        .await;
    let token = world.token("mol").await;
    world.enrol("mol", &token).await.expect("the token is good");
    world.start_node("mol").await;
    world.join("psd").await;
    world.publish("psd", PROVIDER).await;
    world.agree_usual().await;
    world
}

async fn line(world: &World) -> Line {
    let door = world.party("mol").node.as_ref().expect("it runs").local_address();
    let credential = world.party("mol").credential(CONSUMER);
    Line::with(door, &credential, &credential)
        .await
        .expect("the door is open")
}

fn filled(bytes: usize) -> Question {
    Question {
        personal_number: String::new(),
        filling: Bytes::from(vec![7; bytes]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_is_too_large_or_no_message_is_refused_at_the_door() {
    let mut world = narrow().await;
    let caller = world.caller();
    caller
        .ask("Read", &filled(BODY_BYTES_MAX - 64))
        .await
        .expect("it just fits");
    refused(caller.ask("Read", &filled(BODY_BYTES_MAX)).await, Reason::BodyTooLarge);
    let mut line = line(&world).await;
    let whole = framed(b"\x0a\x011");
    let compressed = [b"\x01".as_slice(), &whole[1..]].concat();
    let cases = [
        ("1 GiB announced", b"\0\x40\0\0\0".to_vec(), Reason::BodyTooLarge),
        (
            "flag of a compressed message",
            compressed,
            Reason::CompressionUnsupported,
        ),
        ("unknown flag", b"\x07\0\0\0\x01a".to_vec(), Reason::RequestInvalid),
        ("no message", Vec::new(), Reason::RequestInvalid),
        ("half a prefix", b"\0\0\0".to_vec(), Reason::RequestInvalid),
        ("half a message", b"\0\0\0\0\x09abc".to_vec(), Reason::RequestInvalid),
        (
            "two messages",
            [&whole[..], &whole[..]].concat(),
            Reason::RequestInvalid,
        ),
        ("no protobuf", framed(b"\xff\xff\xff").to_vec(), Reason::RequestInvalid),
    ];
    for (what, body, reason) in cases {
        let headers = [("jisr-purpose", PURPOSE), ("jisr-duty", "law-24")];
        let told = line
            .post(READ, &headers, body.into())
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let told = refused(Err::<(), _>(told.status()), reason);
        assert_eq!(told.party, "CALLER", "{what}");
    }
    for (header, value, reason) in [
        ("grpc-encoding", "gzip", Reason::CompressionUnsupported),
        ("grpc-timeout", "12parsecs", Reason::RequestInvalid),
        ("grpc-timeout", "123456789S", Reason::RequestInvalid),
    ] {
        let headers = [("jisr-purpose", PURPOSE), ("jisr-duty", "law-24"), (header, value)];
        let told = line.post(READ, &headers, whole.clone()).await.expect("an answer");
        refused(Err::<(), _>(told.status()), reason);
    }
    assert_eq!(world.party("psd").backend.calls(), 1);
    world.stop_node("mol").await;
    assert_eq!(world.summed("mol", CONSUMER, Reason::BodyTooLarge), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_too_large_for_the_asker_says_so() {
    let world = narrow().await;
    for (method, bytes) in [
        ("Read", BODY_BYTES_MAX),
        ("Write", BODY_BYTES_MAX),
        ("Read", 4 << 20),
        ("Write", 4 << 20),
    ] {
        world.party("psd").backend.behave(Behaviour::Huge(bytes));
        let before = world.party("psd").backend.calls();
        let told = refused(
            world.caller().ask(method, &Question::about("1")).await,
            Reason::BodyTooLarge,
        );
        assert!(!told.exchange.is_empty());
        assert_eq!(
            world.party("psd").backend.calls(),
            before + 1,
            "asking again would not make it smaller"
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_exchange_too_many_is_refused_at_once() {
    let mut world = narrow().await;
    let backend = &world.party("psd").backend;
    backend.behave(Behaviour::Silent);
    let caller = world.caller();
    let asking: Vec<_> = (0..2)
        .map(|_| {
            let caller = caller.clone();
            tokio::spawn(async move { caller.ask("Read", &Question::about("1")).await })
        })
        .collect();
    until(async || backend.calls() == 2).await;
    let begun = Instant::now();
    let told = refused(caller.ask("Read", &Question::about("1")).await, Reason::Overloaded);
    assert!(begun.elapsed() < Duration::from_secs(2), "it does not wait");
    assert_eq!(told.party, "OWN_NODE");
    for asking in asking {
        asking.abort();
    }
    backend.behave(Behaviour::Echo);
    until(async || caller.ask("Read", &Question::about("1")).await.is_ok()).await;
    world.stop_node("mol").await;
    assert!(world.summed("mol", CONSUMER, Reason::Overloaded) >= 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_full_says_so_to_the_asker() {
    let mut world = World::of_two().await;
    world.stop_node("psd").await;
    world.reconfigure("psd", "threads = 1", "threads = 1\nexchanges_max = 1");
    world.start_node("psd").await;
    let backend = &world.party("psd").backend;
    backend.behave(Behaviour::Silent);
    let caller = world.caller();
    let first = tokio::spawn({
        let caller = caller.clone();
        async move { caller.ask("Read", &Question::about("1")).await }
    });
    until(async || backend.calls() == 1).await;
    let told = refused(caller.ask("Read", &Question::about("1")).await, Reason::Overloaded);
    assert_eq!(told.party, "PEER");
    assert_eq!(world.kinds("psd", &told.exchange), []);
    first.abort();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_lets_what_runs_end() {
    let mut world = World::of_two().await;
    for stopped in ["psd", "mol"] {
        let backend = &world.party("psd").backend;
        let before = backend.calls();
        backend.behave(Behaviour::Slow(Duration::from_millis(500)));
        let caller = world.caller();
        let running = tokio::spawn(async move { caller.ask("Write", &Question::about("1")).await });
        until(async || backend.calls() > before).await;
        world.stop_node(stopped).await;
        running.await.expect("it ran").expect("it ends as if nothing were");
        world.start_node(stopped).await;
    }
    world.end().await;
}
