//! Nobody is killed in the middle: a connection breaks, a deadline passes, an application gives up, a node is away.

use std::time::Duration;

use jisr_proto::reason::Reason;
use jisr_proto::statement::Kind;
use jisr_tests::{Behaviour, CONSUMER, Grant, Moment, PROVIDER, Question, Relay, World, until};

use super::{Begun, Outcome, PERSON, new_id, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_passes_and_the_provider_answers_later() {
    let world = World::of_two().await;
    let id = new_id(&world);
    world.party("psd").disk.hold_at_statement(Kind::Answered, Some(&id));
    let caller = world.caller().with("jisr-exchange-id", &id.to_string());
    let asked = caller.call(
        "/jisr.tests.v1.Probe/Write",
        Question::about(PERSON).bytes(),
        Duration::from_millis(400),
    );
    assert!(asked.await.is_err());
    let id = id.to_string();
    until(async || world.kinds("mol", &id).len() == 2).await;
    world.party("psd").disk.release();
    // The application's own clock may have been the faster one: then it gave up first.
    let closed = world.kinds("mol", &id)[1];
    assert!(matches!(closed, Kind::Failed | Kind::Cancelled), "{closed:?}");
    until(async || world.kinds("mol", &id) == [Kind::Asked, closed, Kind::LateAnswer]).await;
    assert_eq!(world.party("psd").backend.runs(&id), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_gives_up_and_is_told_later() {
    let world = World::of_two().await;
    world
        .party("psd")
        .backend
        .behave(Behaviour::Slow(Duration::from_millis(300)));
    let id = new_id(&world);
    let begun = Begun::ask(world, id, "Write");
    until(async || begun.world.party("psd").backend.runs(&id.to_string()) == 1).await;
    begun.asking.abort();
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::Cancelled, Kind::LateAnswer],
        provider: &[Kind::Received, Kind::Answered],
        runs: 1,
        again: Ok(()),
    };
    begun.claim(outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_asks_again_while_it_is_running_learns_the_late_answer_once() {
    let world = World::of_two().await;
    let id = new_id(&world);
    world.party("psd").disk.hold_at_statement(Kind::Answered, Some(&id));
    let begun = Begun::ask(world, id, "Write");
    until(async || begun.world.party("psd").backend.runs(&id.to_string()) == 1).await;
    begun.asking.abort();
    until(async || begun.world.kinds("mol", &id.to_string()) == [Kind::Asked, Kind::Cancelled]).await;
    let caller = begun.world.caller().with("jisr-exchange-id", &id.to_string());
    let again = tokio::spawn(async move { caller.ask("Write", &Question::about(PERSON)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    begun.world.party("psd").disk.release();
    assert_eq!(told(&again.await.unwrap()), Ok(()));
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::Cancelled, Kind::LateAnswer],
        provider: &[Kind::Received, Kind::Answered],
        runs: 1,
        again: Ok(()),
    };
    begun.claim(outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_asks_again_while_its_node_settles() {
    let mut begun = {
        let world = World::of_two().await;
        let id = new_id(&world);
        world.party("psd").disk.hold_at_statement(Kind::Answered, Some(&id));
        Begun::ask(world, id, "Write")
    };
    until(async || begun.world.party("psd").backend.runs(&begun.id.to_string()) == 1).await;
    begun.world.crash_node("mol").await;
    begun.world.start_node("mol").await;
    let caller = begun.world.caller().with("jisr-exchange-id", &begun.id.to_string());
    let again = tokio::spawn(async move { caller.ask("Write", &Question::about(PERSON)).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    begun.world.party("psd").disk.release();
    assert_eq!(told(&again.await.unwrap()), Ok(()));
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::Delivered],
        provider: &[Kind::Received, Kind::Answered],
        runs: 1,
        again: Ok(()),
    };
    begun.claim(outcome).await;
}

/// mol and psd, with a wire before psd's peer door.
async fn wired() -> (World, Relay) {
    let mut world = World::new().await;
    world.join("mol").await;
    world.admit("psd").await;
    world.prepare("psd", "").await;
    let path = world.party("psd").dir.join("node.toml");
    let toml = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = toml.split_once("public = \"").unwrap();
    let (door, after) = rest.split_once('"').unwrap();
    let relay = Relay::to(door.parse().unwrap()).await;
    std::fs::write(&path, format!("{before}public = \"{}\"{after}", relay.address())).unwrap();
    let token = world.token("psd").await;
    world.enrol("psd", &token).await.unwrap();
    world.start_node("psd").await;
    world.publish("psd", PROVIDER).await;
    world.agree_usual().await;
    (world, relay)
}

/// Breaks the connections that are; new ones are passed on.
async fn broken(relay: &Relay) {
    relay.cut(true);
    tokio::time::sleep(Duration::from_millis(50)).await;
    relay.cut(false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_breaks_and_the_same_answer_is_fetched() {
    let (world, relay) = wired().await;
    world
        .party("psd")
        .backend
        .behave(Behaviour::Slow(Duration::from_millis(400)));
    let id = new_id(&world);
    let begun = Begun::ask(world, id, "Write");
    until(async || begun.world.party("psd").backend.runs(&id.to_string()) == 1).await;
    broken(&relay).await;
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::Delivered],
        provider: &[Kind::Received, Kind::Answered],
        runs: 1,
        again: Ok(()),
    };
    until(async || begun.asking.is_finished()).await;
    begun.claim(outcome).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_breaks_and_a_read_is_asked_again() {
    let (world, relay) = wired().await;
    world
        .party("psd")
        .backend
        .behave(Behaviour::Slow(Duration::from_millis(400)));
    let caller = world.caller();
    let asking = tokio::spawn(async move { caller.ask("Read", &Question::about(PERSON)).await });
    until(async || world.party("psd").backend.calls() == 1).await;
    broken(&relay).await;
    let answer = asking.await.unwrap();
    assert_eq!(told(&answer), Ok(()));
    until(async || world.kinds("mol", &answer.as_ref().unwrap().exchange) == [Kind::Asked, Kind::Delivered]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_is_told_apart_from_one_that_was_asked() {
    let mut world = World::of_two().await;
    world.crash_node("psd").await;
    let id = new_id(&world);
    let caller = world.caller().with("jisr-exchange-id", &id.to_string());
    let asked = caller
        .call(
            "/jisr.tests.v1.Probe/Write",
            Question::about(PERSON).bytes(),
            Duration::from_secs(8),
        )
        .await;
    assert_eq!(told(&asked), Err(Reason::NotSent));
    until(async || world.kinds("mol", &id.to_string()) == [Kind::Asked, Kind::NotSent]).await;
    world.start_node("psd").await;
    let again = world
        .caller()
        .with("jisr-exchange-id", &id.to_string())
        .ask("Write", &Question::about(PERSON))
        .await;
    assert_eq!(told(&again), Err(Reason::NotSent));
    assert_eq!(world.party("psd").backend.calls(), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_providers_node_is_lost() {
    let mut begun = {
        let world = World::of_two().await;
        world.party("psd").backend.behave(Behaviour::Silent);
        let id = new_id(&world);
        Begun::ask(world, id, "Write")
    };
    let id = begun.id.to_string();
    until(async || begun.world.party("psd").backend.runs(&id) == 1).await;
    begun.world.crash_node("psd").await;
    begun.world.crash_node("mol").await;
    begun.world.start_node("mol").await;
    let caller = begun.world.caller().with("jisr-exchange-id", &id);
    let again = caller
        .call(
            "/jisr.tests.v1.Probe/Write",
            Question::about(PERSON).bytes(),
            Duration::from_secs(2),
        )
        .await;
    assert!(again.is_err(), "nobody knows how it ended");
    assert_eq!(
        begun.world.kinds("mol", &id),
        [Kind::Asked],
        "open until somebody says how it ended"
    );
    begun.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_provider_that_is_away_does_not_hold_up_the_others() {
    let mut world = World::of_two().await;
    world.join("moh").await;
    world.publish("moh", "JO/GOV/moh/probe").await;
    let methods = &["Read", "Write"];
    world
        .agree(&Grant {
            consumer: CONSUMER,
            provider: "JO/GOV/moh/probe",
            methods,
            valid_us: (0, u64::MAX >> 1),
            consent_required: false,
        })
        .await;
    let mut ids = Vec::new();
    for (code, provider) in [("psd", PROVIDER), ("moh", "JO/GOV/moh/probe")] {
        let id = new_id(&world);
        world.party(code).backend.behave(Behaviour::Silent);
        let caller = world
            .caller()
            .with("jisr-exchange-id", &id.to_string())
            .with("jisr-provider", provider);
        tokio::spawn(async move { caller.ask("Write", &Question::about(PERSON)).await });
        until(async || world.party(code).backend.runs(&id.to_string()) == 1).await;
        ids.push(id.to_string());
    }
    for code in ["mol", "psd", "moh"] {
        world.crash_node(code).await;
    }
    for code in ["moh", "mol"] {
        world.start_node(code).await;
    }
    until(async || world.kinds("mol", &ids[1]) == [Kind::Asked, Kind::OutcomeUnknown]).await;
    assert_eq!(world.kinds("mol", &ids[0]), [Kind::Asked]);
    world.start_node("psd").await;
    until(async || world.kinds("mol", &ids[0]) == [Kind::Asked, Kind::OutcomeUnknown]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_log_the_answer_is_not_believed_to_have_done_nothing() {
    let world = World::of_two().await;
    let id = new_id(&world);
    world
        .party("psd")
        .disk
        .stop_at_statement(Kind::Answered, Some(&id), Moment::Before);
    let mut begun = Begun::ask(world, id, "Write");
    until(async || begun.world.party("psd").disk.stopped()).await;
    // Its process lives a moment longer and says that it cannot log.
    begun.world.party("psd").disk.release();
    tokio::time::sleep(Duration::from_millis(300)).await;
    begun.world.crash_node("psd").await;
    begun.world.start_node("psd").await;
    let outcome = Outcome {
        consumer: &[Kind::Asked, Kind::OutcomeUnknown],
        provider: &[Kind::Received, Kind::OutcomeUnknown],
        runs: 1,
        again: Err(Reason::OutcomeUnknown),
    };
    begun.claim(outcome).await;
}
