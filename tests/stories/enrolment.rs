//! One token, one node, once.

use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::digest;
use jisr_certs::keys::KeyStore;
use jisr_certs::seal::SealKey;
use jisr_ledger::clock::{Clock as _, ManualClock, SystemClock};
use jisr_ledger::note::{Checkpoint, SignedNote};
use jisr_node::setup::{self, SetupError};
use jisr_proto::canonical;
use jisr_proto::reason::Reason;
use jisr_proto::registry::Token;
use jisr_tests::{Question, Relay, World, until};

/// A minute and a second: more than clocks may differ.
const TOO_FAR_US: u64 = 61_000_000;

fn by_registry(outcome: Result<(), SetupError>) -> Reason {
    match outcome {
        Err(SetupError::Refused(fault)) => fault.reason,
        other => panic!("the registry did not refuse: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_for_one_node_once_and_for_a_while() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = World::with_clock(clock.clone()).await;
    for code in ["mol", "psd"] {
        world.admit(code).await;
        world.prepare(code, "").await;
    }
    let token = world.token("mol").await;
    let (before, after) = token.split_at(20);
    let other = if after.starts_with('A') { "B" } else { "A" };
    let mistyped = [before, other, &after[1..]].concat();
    let cut = &token[..token.len() - 7];
    for (damaged, says) in [
        ("", "jisr1-"),
        ("jisr2-AAAA", "jisr1-"),
        ("jisr1-!!", "cut short"),
        (&mistyped, "mistyped"),
        (cut, "cut short"),
    ] {
        let error = world
            .enrol("mol", damaged)
            .await
            .expect_err("it is damaged")
            .to_string();
        assert!(
            error.contains(says) && error.contains("Ask the registry's operator"),
            "{error}"
        );
    }
    let error = world.enrol("psd", &token).await.expect_err("it is mol's").to_string();
    assert!(
        error.contains("JO/GOV/mol/node/node1") && error.contains("JO/GOV/psd/node/node1"),
        "{error}"
    );
    for now in [clock.now_us() - TOO_FAR_US, clock.now_us() + TOO_FAR_US] {
        let asked = setup::enrol(&world.party("mol").dir, &token, now).await.map(drop);
        assert_eq!(by_registry(asked), Reason::ClockSkew);
    }
    world.enrol("mol", &token).await.expect("nothing was used up");
    let again = world.dir.path().join("again");
    std::fs::create_dir(&again).expect("a directory can be made");
    std::fs::copy(world.party("mol").dir.join("node.toml"), again.join("node.toml")).expect("a file can be copied");
    let second = setup::enrol(&again, &token, clock.now_us()).await.map(drop);
    assert_eq!(by_registry(second), Reason::TokenUsed);
    let late = world.token("psd").await;
    clock.advance(3_601_000_000);
    let error = world.enrol("psd", &late).await.expect_err("it has expired").to_string();
    assert!(error.contains("expired"), "{error}");
    let behind = setup::enrol(&world.party("psd").dir, &late, clock.now_us() - 30_000_000)
        .await
        .map(drop);
    assert_eq!(
        by_registry(behind),
        Reason::TokenExpired,
        "a clock that is slow does not make it younger"
    );
    let fresh = world.token("psd").await;
    world.stop_registry().await;
    let error = world
        .enrol("psd", &fresh)
        .await
        .expect_err("nobody answers")
        .to_string();
    assert!(
        error.starts_with("registry: ") && error.contains("cannot be reached"),
        "{error}"
    );
    world.start_registry().await;
    // Its ledger is not new any more: a node says what it holds of it before anything is sealed.
    let early = world.enrol("psd", &fresh).await;
    assert_eq!(by_registry(early), Reason::Recovering);
    world.start_node("mol").await;
    until(async || world.registry_state().await == "RUNNING").await;
    world.enrol("psd", &fresh).await.expect("the token is still good");
    world.start_node("psd").await;
    world.end().await;
}

/// What a TLS handshake and the beginning of a request to enrol take at least, and an answer too.
const ASKED_BYTES: usize = 1_000;
const ANSWERED_BYTES: usize = 2_000;

/// A world in which mol enrolled and was not told; also the token.
async fn unheard() -> (World, String) {
    let mut world = World::new().await;
    world.admit("mol").await;
    world.prepare("mol", "").await;
    let token = world.token("mol").await;
    let relay = Relay::losing_answers(world.registry_address(), (ASKED_BYTES, ANSWERED_BYTES)).await;
    let by_relay = changed(&token, |token| token.registry = relay.address().to_string());
    let lost = world.enrol("mol", &by_relay).await.expect_err("nothing was heard");
    assert!(matches!(lost, SetupError::Unreachable { .. }), "{lost}");
    let taught = lost.to_string();
    assert!(
        taught.contains("its answer was lost")
            && taught.contains("do the same once more: the token is as good as before"),
        "{taught}"
    );
    assert!(
        !world.party("mol").dir.join("anchor").exists(),
        "it thinks it is enrolled"
    );
    (world, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_is_given_again() {
    let (mut world, token) = unheard().await;
    let dir = world.party("mol").dir.clone();
    // Another machine that got hold of the token has nothing of it.
    let thief = world.dir.path().join("thief");
    std::fs::create_dir(&thief).unwrap();
    std::fs::copy(dir.join("node.toml"), thief.join("node.toml")).unwrap();
    let stolen = setup::enrol(&thief, &token, world.clock.now_us()).await.map(drop);
    let taught = stolen.as_ref().expect_err("the keys are others").to_string();
    assert!(
        taught.contains("has another TLS key, seal key, witness key, local CA"),
        "{taught}"
    );
    assert!(taught.contains("revoke the node"), "{taught}");
    assert_eq!(by_registry(stolen), Reason::TokenUsed);
    let origin = setup::enrol(&dir, &token, world.clock.now_us()).await.unwrap();
    assert_eq!(
        origin.as_str(),
        "jisr/JO/GOV/mol/node1/2026",
        "it enrolled a second time"
    );
    let again = setup::enrol(&dir, &token, world.clock.now_us()).await.unwrap_err();
    assert!(again.to_string().contains("is enrolled already. Start it"), "{again}");
    world.start_node("mol").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_made_directory_is_completed() {
    let (mut world, token) = unheard().await;
    let dir = world.party("mol").dir.clone();
    // The machine stopped while it wrote what it was answered: certificates are there, the anchor is not.
    std::fs::write(dir.join("tls.pem"), "half").unwrap();
    std::fs::create_dir(dir.join("snapshot")).unwrap();
    std::fs::write(dir.join("snapshot/rows"), "half").unwrap();
    let origin = setup::enrol(&dir, &token, world.clock.now_us()).await.unwrap();
    assert_eq!(origin.as_str(), "jisr/JO/GOV/mol/node1/2026");
    world.start_node("mol").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_another_token_an_unheard_enrolment_begins_anew() {
    let (mut world, _) = unheard().await;
    let token = world.token("mol").await;
    let dir = world.party("mol").dir.clone();
    let origin = setup::enrol(&dir, &token, world.clock.now_us()).await.unwrap();
    assert_eq!(origin.as_str(), "jisr/JO/GOV/mol/node1/2026-2");
    world.start_node("mol").await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_is_the_same_command() {
    let mut world = World::of_two().await;
    world.prepare("psd@node2", "").await;
    let token = world.token("psd@node2").await;
    world.enrol("psd@node2", &token).await.unwrap();
    world.start_node("psd@node2").await;
    let newest = world.party("psd@node2").status().await.snapshot_version;
    world.until_all_hold(newest).await;
    // Both answer questions.
    let mol = world.caller();
    let calls = |code: &str| world.party(code).backend.calls();
    until(async || {
        mol.ask("Read", &Question::about("9901234567")).await.unwrap();
        calls("psd") > 0 && calls("psd@node2") > 0
    })
    .await;
    world.end().await;
}

/// The text of a token that pins this checkpoint.
fn pinning(token: &str, checkpoint: String) -> String {
    changed(token, |token| token.checkpoint = checkpoint.into())
}

/// The text of a token with other content (docs/formats.md, enrolment token).
fn changed(token: &str, change: impl FnOnce(&mut Token)) -> String {
    use base64::Engine as _;
    let mut read = setup::read_token(token).unwrap();
    change(&mut read);
    let bytes: Bytes = canonical::encode(&read);
    let check = digest::sha256(&[&bytes]);
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([&bytes, &check[..4]].concat());
    format!("jisr1-{text}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_is_not_led_into_a_forked_history() {
    let mut world = World::new().await;
    for code in ["mol", "psd", "moh", "moi"] {
        world.admit(code).await;
        world.prepare(code, "").await;
    }
    let token = world.token("mol").await;
    let pinned = setup::read_token(&token).unwrap().checkpoint;
    let pinned = Checkpoint::parse(SignedNote::parse(&pinned).unwrap().text).unwrap();
    // Others were shown another history: as long, shorter, or longer than the one that this newcomer is shown.
    let keys = world.registry_ledger().parent().unwrap().join("keys");
    let key = SealKey::load_or_make(
        &KeyStore::open_from(&keys, &jisr_node::Layout::new(keys.parent().unwrap()).secret_source()).unwrap(),
        &pinned.origin.parse().unwrap(),
    )
    .unwrap();
    for (code, size, root) in [
        ("psd", pinned.size, [7; 32]),
        ("moh", 2, [7; 32]),
        ("moi", pinned.size + 100, pinned.root),
    ] {
        let token = world.token(code).await;
        let led = world.enrol(code, &pinning(&token, key.checkpoint(size, &root))).await;
        let error = led.expect_err("the registry shows two histories");
        assert!(matches!(error, SetupError::Forked(_)), "{error}");
        let told = error.to_string();
        assert!(
            told.contains("forked history") && told.contains("new token and new keys"),
            "{told}"
        );
        assert!(!world.party(code).dir.join("anchor").exists(), "something was kept");
    }
    let foreign = pinning(&token, "jisr/JO/registry/2026\n1\n\n".to_owned());
    let error = world.enrol("mol", &foreign).await.expect_err("it is not signed");
    assert!(matches!(error, SetupError::Token(_)), "{error}");
    let token = world.token("mol").await;
    world
        .enrol("mol", &token)
        .await
        .expect("this one continues what it pins");
    world.stop_registry().await;
}
