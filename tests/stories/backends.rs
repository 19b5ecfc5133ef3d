//! Whatever a backend does, the application is told, and both ledgers close.

use std::time::Duration;

use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Behaviour, CONSUMER, Caller, Front, Line, PURPOSE, Question, World, framed, refused, until};

fn question() -> Question {
    Question::about("9901234567")
}

async fn kinds(world: &World, exchange: &str, consumer: &[Kind], provider: &[Kind]) {
    until(async || world.kinds("mol", exchange) == consumer && world.kinds("psd", exchange) == provider).await;
}

async fn failed(world: &World, behaviour: Behaviour, reason: Reason) {
    world.party("psd").backend.behave(behaviour);
    for (method, asked) in [("Write", "Write"), ("Read", "Read")] {
        let told = refused(world.caller().ask(method, &question()).await, reason);
        assert_eq!(told.party, "BACKEND", "{asked}: {told:?}");
        kinds(
            world,
            &told.exchange,
            &[Kind::Asked, Kind::Failed],
            &[Kind::Received, Kind::Failed],
        )
        .await;
        let rules = world.of_exchange("psd", &told.exchange);
        assert_eq!(
            rules.last().map(|stood| stood.core.rule.as_str()),
            Some(reason.as_str())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_passes_through_to_the_byte() {
    let world = World::of_two().await;
    world
        .party("psd")
        .backend
        .behave(Behaviour::Status(9, "no%20such%20%D9%82"));
    let told = world
        .caller()
        .ask("Read", &question())
        .await
        .expect_err("the backend said no");
    assert_eq!(
        (told.code(), told.message()),
        (tonic::Code::FailedPrecondition, "no such ق")
    );
    assert_eq!(told.details(), b"\x08\x09\x12\x05words");
    let trailing = told
        .metadata()
        .get_bin("backend-trailing-bin")
        .expect("metadata comes along");
    assert_eq!(trailing.to_bytes().expect("base64").as_ref(), [0, 1, 2]);
    let exchange = told
        .metadata()
        .get("jisr-exchange-id")
        .expect("it has an id")
        .to_str()
        .expect("text")
        .to_owned();
    kinds(
        &world,
        &exchange,
        &[Kind::Asked, Kind::Delivered],
        &[Kind::Received, Kind::Answered],
    )
    .await;
    for code in ["mol", "psd"] {
        assert_eq!(
            world.of_exchange(code, &exchange).last().map(|stood| stood.core.status),
            Some(9)
        );
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_answer_is_told_as_the_backend_s_fault() {
    let mut world = World::new().await;
    world.join("mol").await;
    world.admit("psd").await;
    world
        .prepare("psd", "[limits]\nthreads = 1\nbody_bytes_max = 65536\n")
        .await;
    let token = world.token("psd").await;
    world.enrol("psd", &token).await.expect("the token is good");
    world.start_node("psd").await;
    world.publish("psd", jisr_tests::PROVIDER).await;
    world.agree_usual().await;
    failed(&world, Behaviour::Garbage, Reason::BackendGarbage).await;
    failed(&world, Behaviour::Http(500), Reason::BackendGarbage).await;
    failed(&world, Behaviour::Huge(65_536), Reason::BackendTooLarge).await;
    world.party("psd").backend.behave(Behaviour::Echo);
    world
        .caller()
        .ask("Read", &question())
        .await
        .expect("the backend has come to its senses");
    world.party("psd").backend.stop();
    failed(&world, Behaviour::Echo, Reason::BackendUnreachable).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_backend_meets_the_application_s_deadline() {
    let world = World::of_two().await;
    world.party("psd").backend.behave(Behaviour::Silent);
    let door = world.party("mol").node.as_ref().expect("it runs").local_address();
    let credential = world.party("mol").credential(CONSUMER);
    let mut line = Line::with(door, &credential, &credential)
        .await
        .expect("the door is open");
    let headers = [
        ("jisr-purpose", PURPOSE),
        ("jisr-duty", "law-24"),
        ("grpc-timeout", "300m"),
    ];
    let told = line
        .post("/jisr.tests.v1.Probe/Read", &headers, framed(&question().bytes()))
        .await
        .expect("an answer");
    let status = told.status();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded, "{status:?}");
    let exchange = told
        .headers
        .get("jisr-exchange-id")
        .expect("it has an id")
        .to_str()
        .expect("text")
        .to_owned();
    let provider = async || {
        let kinds = world.kinds("psd", &exchange);
        kinds == [Kind::Received, Kind::Failed] || kinds == [Kind::Received, Kind::Cancelled]
    };
    until(provider).await;
    until(async || world.kinds("mol", &exchange) == [Kind::Asked, Kind::Failed]).await;
    until(async || world.party("psd").backend.dropped() == 1).await;
    world.end().await;
}

/// Asks, and goes away once the backend has it. Returns the exchange id.
async fn give_up(world: &World, caller: Caller, method: &'static str) -> String {
    let backend = &world.party("psd").backend;
    let before = backend.calls();
    let asking = tokio::spawn(async move { caller.ask(method, &question()).await });
    until(async || backend.calls() > before).await;
    asking.abort();
    let id = backend
        .headers()
        .expect("it was called")
        .get("jisr-exchange-id")
        .cloned()
        .expect("it is named");
    id.to_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_gives_up_cancels_a_read_but_not_a_write() {
    let world = World::of_two().await;
    let backend = &world.party("psd").backend;
    backend.behave(Behaviour::Silent);
    let read = give_up(&world, world.caller(), "Read").await;
    kinds(
        &world,
        &read,
        &[Kind::Asked, Kind::Cancelled],
        &[Kind::Received, Kind::Cancelled],
    )
    .await;
    assert_eq!(backend.dropped(), 1, "the backend is not kept busy for nobody");
    backend.behave(Behaviour::Slow(Duration::from_millis(200)));
    let write = give_up(&world, world.caller(), "Write").await;
    let consumer = [Kind::Asked, Kind::Cancelled, Kind::LateAnswer];
    kinds(&world, &write, &consumer, &[Kind::Received, Kind::Answered]).await;
    assert_eq!(
        (backend.dropped(), backend.runs(&write)),
        (1, 1),
        "what has effects runs to its end, once"
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_behind_tls_is_called_only_under_its_own_authority() {
    let mut world = World::of_two().await;
    let backend = world.party("psd").backend.address();
    let front = Front::before(backend, &world.dir.path().join("front")).await;
    let other = Front::before(backend, &world.dir.path().join("other")).await;
    world.stop_node("psd").await;
    let secured = format!(
        "url = \"https://{}\"\nca = \"{}\"",
        front.address(),
        front.authority().display()
    );
    world.reconfigure("psd", &format!("url = \"http://{backend}\""), &secured);
    world.start_node("psd").await;
    world
        .caller()
        .ask("Write", &question())
        .await
        .expect("the node trusts this authority");
    world.stop_node("psd").await;
    world.reconfigure("psd", &front.address().to_string(), &other.address().to_string());
    world.start_node("psd").await;
    let told = refused(
        world.caller().ask("Write", &question()).await,
        Reason::BackendUnreachable,
    );
    assert!(told.detail.contains("TLS"), "{told:?}");
    kinds(
        &world,
        &told.exchange,
        &[Kind::Asked, Kind::Failed],
        &[Kind::Received, Kind::Failed],
    )
    .await;
    assert_eq!(world.party("psd").backend.calls(), 1);
    world.end().await;
}
