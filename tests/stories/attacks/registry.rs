//! A registry that uses its keys for what does not stand in its ledger, or shows one member what it does not show another.

use std::path::{Path, PathBuf};

use jisr_certs::csr;
use jisr_certs::issue::Issuing;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::profile;
use jisr_certs::tls::Identity;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_node::snapshots::{SnapshotError, take};
use jisr_node::{Layout, cache};
use jisr_proto::ident::NodeId;
use jisr_proto::statement::FindingKind;
use jisr_tests::{Rogue, World, admission, until};

use super::snapshots::whole;
use super::{end, mol_turns};
use crate::quick;
use crate::recovering::copy;

/// The registry's data directory.
fn data(world: &World) -> PathBuf {
    world.registry_ledger().parent().unwrap().to_owned()
}

/// A certificate for mol's node that the registry issues with its own key, and writes down nowhere.
fn unlogged(world: &World, rogue: &Rogue, scratch: &Path) -> Identity {
    let (data, now) = (data(world), world.clock.now_us());
    let store = KeyStore::open_from(data.join("keys"), &Layout::new(&data).secret_source()).unwrap();
    let root = profile::root_by_fingerprint(rogue.chain(), &rogue.anchor.root, now).unwrap();
    let issuing = Issuing::open(&store, &"JO".parse().unwrap(), &root, now).unwrap();
    let own = KeyStore::create(
        scratch.join("keys"),
        &KeySecret::from_bytes(&[7; 32], "a test's secret"),
    )
    .unwrap();
    let key = TlsKey::load_or_make(&own, "tls").unwrap();
    let node: NodeId = "JO/GOV/mol/node/node1".parse().unwrap();
    let request = csr::tls_csr(&key, &node).unwrap();
    let leaf = issuing.issue_node_tls(&request, &node, Validity::days(now, 7)).unwrap();
    let chain: Vec<_> = std::iter::once(leaf).chain(issuing.issuers()).collect();
    profile::check_node_tls(&chain, &root, now).expect("nothing is wrong with it");
    Identity::new(&key, chain).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_the_registry_did_not_log_does_not_get_in() {
    let (world, rogue) = mol_turns().await;
    let scratch = tempfile::tempdir().unwrap();
    let identity = unlogged(&world, &rogue, scratch.path());
    let hello = match rogue.connect_as(&identity, &world, "psd").await {
        Ok(mut line) => line.try_hello(&rogue.hello()).await,
        Err(_) => None,
    };
    assert!(hello.is_none(), "its signature is good, and no entry lists it");
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_snapshot_is_not_taken_again_after_a_revocation() {
    let (mut world, rogue) = mol_turns().await;
    world.parties.get_mut("mol").unwrap().node = None;
    world.revoke("mol").await;
    let kept = Layout::new(&world.party("psd").dir).snapshot();
    let held = cache::read(&kept, &rogue.anchor).unwrap().unwrap();
    let node: NodeId = "JO/GOV/mol/node/node1".parse().unwrap();
    let key = format!("node/{node}");
    assert!(rogue.snapshot.rows.get(&key).is_some() && held.rows.get(&key).is_none());
    let replayed = take(
        &rogue.anchor,
        &whole(&rogue.snapshot),
        Some((&held.header, &held.rows)),
        world.clock.now_us(),
    );
    match replayed.map(drop) {
        Err(SnapshotError::RolledBack { offered, held: at }) => assert!(offered < at),
        other => panic!("{other:?}"),
    }
    end(world, rogue, "mol").await;
}

async fn version(world: &World, code: &str) -> u64 {
    world.party(code).status().await.snapshot_version
}

/// The kinds of what a node found, as they stand in its ledger.
fn found(world: &World, code: &str) -> Vec<FindingKind> {
    let found = world.findings(code);
    found.iter().map(jisr_proto::statement::Finding::kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_snapshots_of_one_version_are_found_when_their_holders_meet() {
    let mut world = quick(World::of_two().await, 10).await;
    // The registry runs twice from one state, and shows each member another history.
    world.stop_node("psd").await;
    world.stop_registry().await;
    let (data, state) = (data(&world), world.dir.path().join("registry-state"));
    copy(&data, &state);
    world.start_registry().await;
    until(async || world.registry_state().await == "RUNNING").await;
    let shown = world.both(admission("moh")).await.unwrap().snapshot_version;
    until(async || version(&world, "mol").await == shown).await;
    world.stop_node("mol").await;
    world.stop_registry().await;
    std::fs::remove_dir_all(&data).unwrap();
    copy(&state, &data);
    world.start_registry().await;
    world.start_node("psd").await;
    until(async || world.registry_state().await == "RUNNING").await;
    let other = world.both(admission("moi")).await.unwrap().snapshot_version;
    assert_eq!(shown, other, "one version, two snapshots");
    until(async || version(&world, "psd").await == other).await;
    world.stop_registry().await;
    world.open_node("mol").await;
    for code in ["mol", "psd"] {
        until(async || world.party(code).status().await.findings > 0).await;
    }
    until(async || found(&world, "psd").contains(&FindingKind::SnapshotForked)).await;
    world.end().await;
}
