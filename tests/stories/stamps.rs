//! Time-stamps on ledgers: taken beside the exchanges, shown in evidence, missed by nobody when the authority is away.

use jisr_ledger::evidence;
use jisr_ledger::report::{Report, Verdict};
use jisr_proto::admin::{ExportEvidenceRequest, StampStatus};
use jisr_proto::evidence::Evidence;
use jisr_proto::ident::ExchangeId;
use jisr_tests::{Question, World, until};

const DAY_US: u64 = 86_400_000_000;

async fn stamp(world: &World, code: &str) -> StampStatus {
    world
        .party(code)
        .status()
        .await
        .stamp
        .expect("a node tells of its time-stamps")
}

/// Two parties, of which the one that asks has its ledger stamped every second while it grows.
async fn stamping_world() -> World {
    let mut world = World::of_two().await;
    world.stop_node("mol").await;
    world.reconfigure("mol", "[local_door]", "[timestamp]\nevery_s = 1\n\n[local_door]");
    world.start_node("mol").await;
    world
}

/// Asks once and waits until the asker's ledger is stamped beyond that.
async fn stamped_exchange(world: &World) -> String {
    let answer = world.caller().ask("Read", &Question::about("9901234567")).await;
    let exchange = answer.expect("it is allowed").exchange;
    until(async || !export(world, &exchange).await.stamps.is_empty()).await;
    exchange
}

async fn export(world: &World, exchange: &str) -> Evidence {
    let id: ExchangeId = exchange.parse().expect("the node named the exchange");
    let request = ExportEvidenceRequest {
        exchange_id: id.as_bytes().to_vec().into(),
        wait_ms: 15_000,
        ..ExportEvidenceRequest::default()
    };
    let response = world.party("mol").admin().await.export_evidence(request).await;
    let response = response.expect("it is known").into_inner();
    assert_eq!(response.lacks, Vec::<String>::new());
    evidence::open(&response.evidence).expect("it is whole")
}

fn judged(world: &World, evidence: &Evidence, time_us: u64) -> Report {
    evidence::verify(
        &evidence::encode(evidence).expect("it is short"),
        &world.anchor(),
        time_us,
    )
}

fn line(report: &Report) -> (Verdict, String) {
    let found = report.checks.iter().find(|check| check.id == "stamps");
    found
        .map(|check| (check.verdict, check.text.clone()))
        .expect("it is judged")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_shows_when_the_ledger_existed_by_the_word_of_the_authority() {
    let world = stamping_world().await;
    let exchange = stamped_exchange(&world).await;
    let status = stamp(&world, "mol").await;
    assert!(
        status.error.is_empty() && status.authority.contains("time-stamp authority"),
        "{status:?}"
    );
    let evidence = export(&world, &exchange).await;
    let now = world.clock.now_us();
    let report = judged(&world, &evidence, now);
    assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
    let (verdict, text) = line(&report);
    assert!(verdict == Verdict::Valid && text.contains("existed by"), "{text}");

    // A time-stamp on something else, one that was altered, and one that nobody needs.
    let mut other = evidence.clone();
    let last = other.checkpoints.len() - 1;
    let unstamped = (0..=last).find(|at| evidence.stamps.iter().all(|stamp| stamp.checkpoint as usize != *at));
    other.stamps[0].checkpoint = u32::try_from(unstamped.expect("the other side's is not stamped here")).unwrap();
    assert_eq!(judged(&world, &other, now).verdict, Verdict::Invalid);
    let mut altered = evidence.clone();
    let mut token = altered.stamps[0].token.to_vec();
    let end = token.len() - 1;
    token[end] ^= 1;
    altered.stamps[0].token = token.into();
    assert_eq!(line(&judged(&world, &altered, now)).0, Verdict::Invalid);
    let mut garbage = evidence.clone();
    garbage.stamps[0].token = vec![0x30; 40 << 10].into();
    assert_eq!(judged(&world, &garbage, now).verdict, Verdict::Invalid);

    // Years later the certificate of the authority has ended, and the file holds nothing that bridges the time.
    let later = judged(&world, &evidence, now + 3 * 365 * DAY_US);
    let (verdict, text) = line(&later);
    assert!(verdict == Verdict::Indeterminate && text.contains("renewal"), "{text}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_is_away_delays_no_exchange_and_status_says_so() {
    let mut world = World::of_two().await;
    world.stop_node("mol").await;
    // Nothing listens there.
    let away = "[timestamp]\nurls = [\"http://127.0.0.1:9/tsr\"]\n\n[local_door]";
    world.reconfigure("mol", "[local_door]", away);
    world.start_node("mol").await;
    let answer = world.caller().ask("Read", &Question::about("9901234567")).await;
    answer.expect("exchanges do not wait for time-stamps");
    until(async || !stamp(&world, "mol").await.error.is_empty()).await;
    let status = stamp(&world, "mol").await;
    assert!(status.error.starts_with("http://127.0.0.1:9/tsr: "), "{status:?}");
    let answer = world.caller().ask("Read", &Question::about("9901234567")).await;
    answer.expect("nor do they later");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_stamps_its_own_ledger_too() {
    let world = World::of_two().await;
    let ledger = world.registry_ledger();
    let stamped = async || {
        let mut admin = world.registry_admin().await;
        let status = admin.status(jisr_proto::registry::RegistryStatusRequest {}).await;
        status.is_ok_and(|status| status.into_inner().stamped_us > 0)
    };
    until(stamped).await;
    assert!(ledger.exists());
    world.end().await;
}
