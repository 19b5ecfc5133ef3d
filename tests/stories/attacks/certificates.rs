//! Who gets in at the peer door, and what has to be said first.

use bytes::Bytes;
use jisr_certs::csr;
use jisr_certs::issue::{Issuing, Root};
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::tls::Identity;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_proto::ident::NodeId;
use jisr_proto::peer::{HelloRequest, HelloResponse};
use jisr_proto::reason::Reason;
use jisr_tests::{CONSUMER, Rogue, World};

use super::{end, mol_turns, size};

/// A listed certificate gets an answer; with any other one the connection breaks in or right after the handshake.
async fn gets_in(rogue: &Rogue, identity: &Identity, world: &World) -> bool {
    match rogue.connect_as(identity, world, "psd").await {
        Ok(mut line) => line.try_hello(&rogue.hello()).await.is_some(),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_a_foreign_authority_does_not_get_in() {
    let (world, rogue) = mol_turns().await;
    let now = world.clock.now_us();
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::create(
        dir.path().join("keys"),
        &KeySecret::from_bytes(&[7; 32], "a test's secret"),
    )
    .unwrap();
    let node: NodeId = "JO/GOV/mol/node/node1".parse().unwrap();
    let root = Root::create(&store, &"JO".parse().unwrap(), now).unwrap();
    let issuing = Issuing::create(&store, &root, now).unwrap();
    let key = TlsKey::load_or_make(&store, "tls").unwrap();
    let request = csr::tls_csr(&key, &node).unwrap();
    let leaf = issuing.issue_node_tls(&request, &node, Validity::days(now, 7)).unwrap();
    let chain = std::iter::once(leaf).chain(issuing.issuers()).collect();
    assert!(!gets_in(&rogue, &Identity::new(&key, chain).unwrap(), &world).await);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_the_wrong_profile_does_not_get_in() {
    let (world, rogue) = mol_turns().await;
    let credential = world.party("mol").credential(CONSUMER);
    let key = TlsKey::from_pem(credential.key_pem().as_bytes()).unwrap();
    let client = vec![credential.certificate.clone(), credential.authority.clone()];
    assert!(!gets_in(&rogue, &Identity::new(&key, client).unwrap(), &world).await);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_was_replaced_does_not_get_in() {
    let (mut world, rogue) = mol_turns().await;
    let store = KeyStore::open_from(
        world.party("mol").dir.join("keys"),
        &jisr_node::Layout::new(&world.party("mol").dir).secret_source(),
    )
    .unwrap();
    let old = Identity::new(&TlsKey::load_or_make(&store, "tls").unwrap(), rogue.chain().to_vec()).unwrap();
    assert!(gets_in(&rogue, &old, &world).await, "listed until now");
    world.parties.get_mut("mol").unwrap().node = None;
    world.revoke("mol").await;
    assert!(!gets_in(&rogue, &old, &world).await);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_cannot_be_skipped_and_versions_cannot_be_talked_down() {
    let (world, rogue) = mol_turns().await;
    let asked = rogue.asked(rogue.core()).await;
    let before = size(&world);
    let mut line = rogue.connect(&world, "psd").await.unwrap();
    assert_eq!(
        line.exchange(&Rogue::request(asked.clone())).await,
        Err(Reason::ProtocolVersion)
    );
    assert_eq!(line.settle(&asked).await, Err(Reason::ProtocolVersion));
    for versions in [vec![], vec![0], vec![2]] {
        let hello = HelloRequest {
            versions,
            ..rogue.hello()
        };
        assert_eq!(
            line.call::<_, HelloResponse>("Hello", &hello).await,
            Err(Reason::ProtocolVersion)
        );
    }
    assert_eq!(
        line.exchange(&Rogue::request(asked)).await,
        Err(Reason::ProtocolVersion)
    );
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unlisted_origin_or_another_snapshot_is_refused_at_hello() {
    let (world, rogue) = mol_turns().await;
    let mut line = rogue.connect(&world, "psd").await.unwrap();
    let hello = HelloRequest {
        origin: "jisr/JO/GOV/mol/node1/2027".to_owned(),
        ..rogue.hello()
    };
    assert_eq!(
        line.call::<_, HelloResponse>("Hello", &hello).await,
        Err(Reason::OriginUnlisted)
    );
    let hello = HelloRequest {
        snapshot: Bytes::from_static(&[0; 32]),
        ..rogue.hello()
    };
    assert_eq!(
        line.call::<_, HelloResponse>("Hello", &hello).await,
        Err(Reason::SnapshotInvalid)
    );
    assert_eq!(
        world.party("psd").status().await.findings,
        1,
        "two snapshots of one version"
    );
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_keeps_its_checkpoint_back_exchanges_nothing() {
    let (world, rogue) = mol_turns().await;
    // The first contact shows one; from then on one is known.
    drop(rogue.greet(&world, "psd").await);
    let mut line = rogue.connect(&world, "psd").await.unwrap();
    let hello = HelloRequest {
        checkpoint: Bytes::new(),
        ..rogue.hello()
    };
    let told: HelloResponse = line
        .call("Hello", &hello)
        .await
        .expect("a recovering node must hear it");
    assert!(!told.yours.is_empty());
    let asked = rogue.asked(rogue.core()).await;
    let before = size(&world);
    assert_eq!(
        line.exchange(&Rogue::request(asked.clone())).await,
        Err(Reason::PeerLedgerUnproven)
    );
    assert_eq!(line.settle(&asked).await, Err(Reason::PeerLedgerUnproven));
    assert_eq!(size(&world), before);
    line.call::<_, HelloResponse>("Hello", &rogue.hello()).await.unwrap();
    assert!(line.exchange(&Rogue::request(asked)).await.is_ok());
    end(world, rogue, "mol").await;
}
