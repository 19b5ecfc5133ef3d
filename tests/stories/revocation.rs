//! Revoked certificates are cut off everywhere at once, and what the registry's ledger does not hold never counts.

use std::time::{Duration, Instant};

use jisr_certs::csr;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::tls::Identity;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_proto::ident::NodeId;
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::{AdministrativeAct, RevocationOrder};
use jisr_proto::statement::Kind;
use jisr_tests::{Behaviour, Question, Rogue, World, refused, until};

/// Within this a revocation has effect on every connected node.
const EFFECTIVE: Duration = Duration::from_secs(5);

fn question() -> Question {
    Question::about("9901234567")
}

fn revocation(code: &str, certificates: Vec<bytes::Bytes>) -> AdministrativeAct {
    AdministrativeAct {
        revocation: Some(RevocationOrder {
            node: format!("JO/GOV/{code}/node/node1"),
            certificates,
            reason: 1,
        }),
        ..AdministrativeAct::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_revocations_cut_twenty_open_connections_within_five_seconds() {
    let mut world = World::new().await;
    world.join("psd").await;
    let mut took = Vec::new();
    for nth in 0..20 {
        let code = format!("m{nth}");
        world.join(&code).await;
        let rogue = Rogue::takes_over(&mut world, &code).await;
        world.until_all_hold(rogue.snapshot.header.version).await;
        let mut line = rogue.greet(&world, "psd").await;
        let begun = Instant::now();
        world
            .does("first", revocation(&code, Vec::new()))
            .await
            .expect("the node is listed");
        while line.try_hello(&rogue.hello()).await.is_some() {
            assert!(begun.elapsed() < EFFECTIVE, "{code} is still answered");
        }
        took.push(begun.elapsed());
        drop(rogue);
        world.parties.remove(&code);
    }
    took.sort_unstable();
    println!(
        "from the order to the refusal on an open connection: p50 {:?}, p99 {:?}",
        took[10], took[19]
    );
    assert!(took[19] < EFFECTIVE);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_to_a_node_that_is_revoked_meanwhile_ends_with_the_reason() {
    let world = World::of_two().await;
    let caller = world.caller();
    world.party("psd").backend.behave(Behaviour::Silent);
    let under_way = tokio::spawn(async move { caller.ask("Write", &question()).await });
    until(async || world.party("psd").backend.calls() == 1).await;
    world
        .does("first", revocation("psd", Vec::new()))
        .await
        .expect("the node is listed");
    let told = refused(under_way.await.expect("it ends"), Reason::CertificateRevoked);
    until(async || world.kinds("mol", &told.exchange) == [Kind::Asked, Kind::Failed]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_of_no_certificate_of_the_node_is_refused() {
    let mut world = World::new().await;
    world.join("psd").await;
    let refused = world.does("first", revocation("psd", vec![vec![9; 32].into()])).await;
    let refused = refused.expect_err("nothing like it is listed");
    assert_eq!(jisr_tests::reason_of(&refused), Reason::RequestInvalid);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_the_right_authority_that_is_not_logged_does_not_get_in() {
    let mut world = World::of_two().await;
    world.caller().ask("Read", &question()).await.expect("the network runs");
    let rogue = Rogue::takes_over(&mut world, "mol").await;
    let node: NodeId = "JO/GOV/mol/node/node1".parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let secret = KeySecret::from_bytes(&[7; 32], "a test's secret");
    let store = KeyStore::create(dir.path().join("keys"), &secret).unwrap();
    let key = TlsKey::load_or_make(&store, "tls").unwrap();
    let request = csr::tls_csr(&key, &node).unwrap();
    let issuing = world.issuing();
    let validity = Validity::days(world.clock.now_us(), 7);
    let leaf = issuing.issue_node_tls(&request, &node, validity).unwrap();
    let chain = std::iter::once(leaf).chain(issuing.issuers()).collect();
    let unlogged = Identity::new(&key, chain).unwrap();
    let gets_in = async |identity: &Identity| match rogue.connect_as(identity, &world, "psd").await {
        Ok(mut line) => line.try_hello(&rogue.hello()).await.is_some(),
        Err(_) => false,
    };
    assert!(gets_in(rogue.identity()).await, "the logged one does");
    assert!(!gets_in(&unlogged).await);
    drop(rogue);
    world.parties.remove("mol");
    world.end().await;
}
