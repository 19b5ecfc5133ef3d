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
use jisr_tests::{World, until};

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

/// The text of a token that pins this checkpoint (docs/formats.md, enrolment token).
fn pinning(token: &str, checkpoint: String) -> String {
    use base64::Engine as _;
    let mut read = setup::read_token(token).unwrap();
    read.checkpoint = checkpoint.into();
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
