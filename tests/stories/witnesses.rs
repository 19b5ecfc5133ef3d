//! A seal is provisional until it is shown under a checkpoint that witnesses cosigned; whoever does not pay is refused.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jisr_ledger::clock::{Clock as _, ManualClock, SystemClock};
use jisr_proto::peer::{Path, ProveRequest, ProveResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::FindingKind;
use jisr_tests::{CONSUMER, Grant, PROVIDER, Question, Rogue, World, refused, until};
use prost::Message as _;

use crate::quick;

fn question() -> Question {
    Question::about("9901234567")
}

/// What the rogue answers to Prove: everything under this checkpoint; nothing where there is none.
#[derive(Clone, Default)]
struct Proofs(Arc<Mutex<Option<Bytes>>>);

impl Proofs {
    fn under(&self, checkpoint: Bytes) {
        *self.0.lock().unwrap() = Some(checkpoint);
    }

    /// All that was asked for, proven in the rogue's own tree as it is now.
    fn answer(&self, rogue: &Rogue, method: &str, message: Bytes) -> ProveResponse {
        let checkpoint = self.0.lock().unwrap().clone().filter(|_| method == "Prove");
        let Some(checkpoint) = checkpoint else {
            return ProveResponse::default();
        };
        let size = rogue.ledger.size();
        let request = ProveRequest::decode(message).unwrap();
        let path = |index: u64| Path {
            index,
            hashes: rogue
                .ledger
                .prove(index, size)
                .unwrap_or_default()
                .iter()
                .map(|hash| Bytes::copy_from_slice(hash))
                .collect(),
        };
        let covered = request.indexes.into_iter().filter(|index| *index < size);
        ProveResponse {
            checkpoint,
            paths: covered.map(path).collect(),
        }
    }
}

/// mol turns rogue, with a peer door that pays as `Proofs` says.
async fn mol_turns() -> (World, Arc<Rogue>, jisr_tests::Door, Proofs) {
    let mut world = quick(World::of_two().await, 2).await;
    world.caller().ask("Write", &question()).await.expect("it is allowed");
    let address = world.party("mol").node.as_ref().unwrap().peer_address();
    let rogue = Arc::new(Rogue::takes_over(&mut world, "mol").await);
    let (proofs, inner) = (Proofs::default(), Arc::clone(&rogue));
    let paying = proofs.clone();
    let door = Arc::clone(&rogue)
        .serve(address, move |method, message| {
            let answer = paying.answer(&inner, &method, message);
            async move { answer }
        })
        .await;
    (world, rogue, door, proofs)
}

/// Asks as the rogue until it is told this. Returns how long it took.
async fn until_told(world: &World, rogue: &Rogue, reason: Reason) -> Duration {
    let begun = Instant::now();
    let mut line = rogue.greet(world, "psd").await;
    loop {
        let asked = Rogue::request(rogue.asked(rogue.core()).await);
        match line.exchange(&asked).await {
            Err(told) if told == reason => return begun.elapsed(),
            Err(told) => panic!("{told:?}"),
            Ok(_) => assert!(begun.elapsed() < Duration::from_secs(20)),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn end(mut world: World, rogue: Arc<Rogue>, door: jisr_tests::Door) {
    drop((door, rogue));
    world.parties.remove("mol");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_only_one_peer_is_shown_is_never_proven() {
    let (world, rogue, door, proofs) = mol_turns().await;
    // It shows psd one consistent history, and no witness any of it.
    proofs.under(rogue.ledger.checkpoint().note.clone());
    let took = until_told(&world, &rogue, Reason::PeerLedgerUnproven).await;
    // Two seconds of debt here, ten by default, and the round that notices.
    assert!(took < Duration::from_secs(6), "{took:?}");
    until(async || !world.findings("psd").is_empty()).await;
    let findings = world.findings("psd");
    assert_eq!(findings[0].kind(), FindingKind::LedgerUnproven);
    assert!(!findings[0].notes.is_empty(), "its seals go to the witnesses");
    end(world, rogue, door).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_withholds_proofs_is_refused_and_taken_back_when_it_pays() {
    let (world, rogue, door, proofs) = mol_turns().await;
    until_told(&world, &rogue, Reason::PeerLedgerUnproven).await;
    proofs.under(rogue.cosigned_by(&world, "psd").await);
    let taken_back = async || {
        let status = world.party("psd").status().await;
        status
            .peers
            .iter()
            .all(|peer| peer.refused.is_empty() && peer.proofs_owed == 0)
    };
    until(taken_back).await;
    let asked = Rogue::request(rogue.asked(rogue.core()).await);
    rogue.greet(&world, "psd").await.exchange(&asked).await.unwrap();
    assert_eq!(world.findings("psd").len(), 1, "it is said once");
    end(world, rogue, door).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_in_another_tree_show_a_fork() {
    let (world, rogue, door, proofs) = mol_turns().await;
    let mut line = rogue.greet(&world, "psd").await;
    let asked = Rogue::request(rogue.asked(rogue.core()).await);
    line.exchange(&asked).await.unwrap();
    // A cosigned checkpoint, and paths of a tree that is not under it.
    let cosigned = rogue.cosigned_by(&world, "psd").await;
    rogue.asked(rogue.core()).await;
    proofs.under(cosigned);
    until(async || world.party("psd").status().await.findings > 0).await;
    until(async || !world.findings("psd").is_empty()).await;
    assert_eq!(world.findings("psd")[0].kind(), FindingKind::LedgerForked);
    assert_eq!(line.exchange(&asked).await.unwrap_err(), Reason::PeerLedgerForked);
    end(world, rogue, door).await;
}

/// mol and psd, who agreed on a method of the highest evidence class.
async fn of_two_in_high_matters(clock: Arc<ManualClock>) -> World {
    let mut world = World::with_lifetime(clock, Duration::from_secs(7 * 86_400)).await;
    world.join("mol").await;
    world.join("psd").await;
    let world = quick(world, 2).await;
    world.publish("psd", PROVIDER).await;
    let grant = Grant {
        consumer: CONSUMER,
        provider: PROVIDER,
        methods: &["Read", "Vouch"],
        valid_us: (0, u64::MAX >> 1),
        consent_required: false,
    };
    world.agree(&grant).await;
    world
}

const HOUR_US: u64 = 3_600_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_absent_witnesses_survives_a_restart() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = of_two_in_high_matters(clock.clone()).await;
    let state = async |world: &World| {
        let status = world.party("mol").status().await;
        (status.witness_state, status.witness_away_since_us)
    };
    until(async || world.party("mol").status().await.proofs_owed == 0).await;
    world.stop_node("psd").await;
    world.stop_registry().await;
    let since = clock.now_us();
    // It stands in the own ledger that it could not be sent, and nobody cosigns that.
    refused(world.caller().ask("Read", &question()).await, Reason::NotSent);
    for (hours, name) in [(0.5, "WARN"), (1.5, "UNWITNESSED"), (2.5, "REFUSING_HIGH")] {
        clock.advance((hours * 3600.0) as u64 * 1_000_000);
        until(async || state(&world).await.0 == name).await;
    }
    let (_, told) = state(&world).await;
    assert!((since - 5_000_000..=since).contains(&told), "{told} {since}");
    refused(world.caller().ask("Vouch", &question()).await, Reason::WitnessAway);
    refused(world.caller().ask("Read", &question()).await, Reason::NotSent);
    world.stop_node("mol").await;
    world.open_node("mol").await;
    until(async || state(&world).await == ("REFUSING_HIGH".to_owned(), told)).await;
    world.start_registry().await;
    world.start_node("psd").await;
    until(async || state(&world).await == ("OK".to_owned(), 0)).await;
    assert!(clock.now_us() - since > 4 * HOUR_US);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_highest_class_is_final_only_with_one_beyond_both_parties() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = of_two_in_high_matters(clock).await;
    let owed = async |world: &World| {
        let status = world.party("mol").status().await;
        let peer = status.peers.iter().find(|peer| peer.node == "JO/GOV/psd/node/node1");
        peer.map_or(0, |peer| peer.proofs_owed)
    };
    world.caller().ask("Read", &question()).await.expect("it is allowed");
    until(async || owed(&world).await == 0).await;
    world.caller().ask("Vouch", &question()).await.expect("it is allowed");
    let covered = async || {
        let status = world.party("psd").status().await;
        status.cosigned_size == status.ledger_size
    };
    until(covered).await;
    world.caller().ask("Read", &question()).await.expect("it is allowed");
    // The registry and mol cosigned it; what was read after it is final, it is not.
    until(async || owed(&world).await == 1).await;
    // Nor is psd refused for it: nobody beyond them can be reached, by mol neither.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(owed(&world).await, 1);
    world
        .caller()
        .ask("Read", &question())
        .await
        .expect("psd owes nothing that it could pay");
    world.join("moh").await;
    until(async || owed(&world).await == 0).await;
    world.end().await;
}
