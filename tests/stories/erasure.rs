//! Erasing: two officers or none, never what is held, and every proof stays valid.

use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::officer::Document;
use jisr_ledger::clock::{Clock as _, ManualClock, SystemClock};
use jisr_ledger::evidence;
use jisr_ledger::report::Verdict;
use jisr_ledger::verify::{self, Options};
use jisr_node::Layout;
use jisr_node::mirroring::{KeySource, Location, RecoverySecret, recover};
use jisr_proto::admin::{
    EraseRequest, EraseResponse, ExportEvidenceRequest, HoldRequest, HoldsRequest, PayloadRequest,
    ProposeErasureRequest, ReleaseRequest,
};
use jisr_proto::canonical;
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Hold, Kind, Release};
use jisr_tests::{CONSUMER, Grant, PROVIDER, Party, Question, World, refused, until};
use tonic::Status;

const PERSON: &str = "9901234567";
const CASE: u8 = 3;
const SUBJECT: u8 = 7;
const STORED_PAYLOAD: u8 = 128;

fn id_of(exchange: &str) -> Bytes {
    Bytes::copy_from_slice(exchange.parse::<ExchangeId>().unwrap().as_bytes())
}

/// What evidence that a node makes of an exchange says of the parts that are not shown.
async fn withheld(world: &World, code: &str, exchange: &str) -> String {
    let request = ExportEvidenceRequest {
        exchange_id: id_of(exchange),
        wait_ms: 15_000,
        ..ExportEvidenceRequest::default()
    };
    let exported = world.party(code).admin().await.export_evidence(request).await;
    let file = exported.unwrap().into_inner().evidence;
    let report = evidence::verify(&file, &world.anchor(), world.clock.now_us());
    assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
    report.check("withheld").unwrap().text.clone()
}

/// The document for these parts of an exchange, as the node makes it.
async fn proposed(party: &Party, exchange: &str, tags: &[u8]) -> Bytes {
    let request = ProposeErasureRequest {
        exchanges: vec![id_of(exchange)],
        tags: Bytes::copy_from_slice(tags),
        reason: "order 12 of the court".to_owned(),
    };
    let proposed = party.admin().await.propose_erasure(request).await;
    proposed.unwrap().into_inner().erasure
}

/// Hands it to the node with the approval of these officers.
async fn erase(party: &Party, erasure: &Bytes, officers: &[&str], now_us: u64) -> Result<EraseResponse, Status> {
    let approve = |officer: &&str| party.approve(officer, Document::Erasure, erasure, now_us);
    let request = EraseRequest {
        erasure: erasure.clone(),
        approvals: officers.iter().map(approve).collect(),
    };
    party
        .admin()
        .await
        .erase(request)
        .await
        .map(tonic::Response::into_inner)
}

async fn kept(party: &Party, exchange: &str, reply: bool) -> Result<Bytes, Status> {
    let request = PayloadRequest {
        exchange_id: id_of(exchange),
        reply,
        ..PayloadRequest::default()
    };
    let kept = party.admin().await.payload(request).await;
    kept.map(|kept| kept.into_inner().payload)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_officers_erase_what_no_hold_covers_and_every_proof_stays() {
    let mut world = World::of_two().await;
    let now = world.clock.now_us();
    let caller = world.caller().with("jisr-case", "case-7");
    let exchange = caller.ask("Read", &Question::about(PERSON)).await.unwrap().exchange;
    until(async || world.kinds("mol", &exchange) == [Kind::Asked, Kind::Delivered]).await;
    let mol = world.party("mol");
    let erasure = proposed(mol, &exchange, &[CASE, SUBJECT]).await;
    for officers in [&["dalia"][..], &["dalia", "dalia"]] {
        refused(erase(mol, &erasure, officers, now).await, Reason::DualControl);
    }
    let hold = canonical::encode(&Hold {
        format: 1,
        origin: mol.status().await.origin,
        exchanges: vec![id_of(&exchange)],
        reason: "case 9 of the court".to_owned(),
        nonce: Bytes::from_static(&[9; 16]),
        ..Hold::default()
    });
    let request = HoldRequest {
        approvals: vec![mol.approve("dalia", Document::Hold, &hold, now)],
        hold,
    };
    let digest = mol.admin().await.hold(request).await.unwrap().into_inner().digest;
    let standing = async || {
        let holds = mol.admin().await.holds(HoldsRequest {}).await.unwrap();
        let holds = holds.into_inner().holds;
        holds.into_iter().map(|hold| hold.digest).collect::<Vec<_>>()
    };
    assert_eq!(standing().await, std::slice::from_ref(&digest));
    refused(erase(mol, &erasure, &["dalia", "sami"], now).await, Reason::LegalHold);
    let release = canonical::encode(&Release {
        format: 1,
        hold: digest,
        reason: "the judgment is final".to_owned(),
    });
    let approve = |officer| mol.approve(officer, Document::Release, &release, now);
    let approvals = vec![approve("dalia"), approve("sami")];
    let request = ReleaseRequest {
        release: release.clone(),
        approvals,
    };
    mol.admin().await.release(request).await.unwrap();
    assert!(standing().await.is_empty());
    let done = erase(mol, &erasure, &["dalia", "sami"], now).await.unwrap();
    assert_eq!(done.parts, 2, "case and subject of ASKED");
    // Asked again, it is answered with what stands, and nothing is added.
    let again = erase(mol, &erasure, &["dalia", "sami"], now).await.unwrap();
    assert_eq!((again.index, again.parts), (done.index, 0));
    // The provider holds the same parts beside RECEIVED.
    let psd = world.party("psd");
    let erasure = proposed(psd, &exchange, &[CASE, SUBJECT]).await;
    let done = erase(psd, &erasure, &["rania", "omar"], now).await.unwrap();
    assert_eq!(done.parts, 2);
    for code in ["mol", "psd"] {
        let said = withheld(&world, code, &exchange).await;
        assert!(said.contains("(erased)"), "{code}: {said}");
    }
    // What was erased stays erased, and the node goes on.
    world.stop_node("mol").await;
    world.start_node("mol").await;
    let caller = world.caller();
    until(async || caller.ask("Read", &Question::about(PERSON)).await.is_ok()).await;
    let acts: Vec<Kind> = world.statements("mol").iter().map(|stood| stood.core.kind()).collect();
    for act in [Kind::Held, Kind::Released, Kind::Erased] {
        assert_eq!(acts.iter().filter(|kind| **kind == act).count(), 1, "{act:?}");
    }
    // Both ledgers verify, erased parts and all.
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_kept_where_the_method_asks_for_it_and_for_as_long() {
    let clock = Arc::new(ManualClock::new(SystemClock.now_us()));
    let mut world = World::with_clock(clock.clone()).await;
    world.join("mol").await;
    world.join("psd").await;
    world.publish("psd", PROVIDER).await;
    let grant = Grant {
        consumer: CONSUMER,
        provider: PROVIDER,
        methods: &["Read", "Keep"],
        valid_us: (0, u64::MAX >> 1),
        consent_required: false,
    };
    world.agree(&grant).await;
    let question = Question::about(PERSON);
    let plain = world.caller().ask("Read", &question).await.unwrap().exchange;
    let exchange = world.caller().ask("Keep", &question).await.unwrap().exchange;
    until(async || world.kinds("mol", &exchange) == [Kind::Asked, Kind::Delivered]).await;
    for code in ["mol", "psd"] {
        let party = world.party(code);
        assert_eq!(kept(party, &exchange, false).await.unwrap(), question.bytes(), "{code}");
        assert!(kept(party, &exchange, true).await.is_ok(), "{code}");
        refused(kept(party, &plain, false).await, Reason::PayloadNotKept);
        refused(
            erase(
                party,
                &proposed(party, &exchange, &[STORED_PAYLOAD]).await,
                &[],
                clock.now_us(),
            )
            .await,
            Reason::DualControl,
        );
    }
    clock.advance(86_400_000_000 + 60_000_000);
    for code in ["mol", "psd"] {
        world.stop_node(code).await;
        world.start_node(code).await;
        let party = world.party(code);
        until(async || kept(party, &exchange, true).await.is_err()).await;
        for reply in [false, true] {
            refused(kept(party, &exchange, reply).await, Reason::PartErased);
        }
    }
    world.end().await;
}

/// Bytes of all segments below a directory, without the zeros at their ends.
fn segments(ledger: &std::path::Path) -> Vec<u8> {
    let names = std::fs::read_dir(ledger.join("segments")).unwrap();
    let mut paths: Vec<_> = names.map(|name| name.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_is_erased_in_the_mirror_too_and_comes_back_by_no_restore() {
    let mut world = World::of_two().await;
    let (place, secret) = (
        world.dir.path().join("mirror"),
        world.dir.path().join("recovery-secret"),
    );
    world.stop_node("mol").await;
    RecoverySecret::make(&secret).unwrap();
    let mirror = format!(
        "[[mirror]]\nurl = \"file://{}\"\nsecret_file = \"{}\"\ninterval_ms = 20\n\n[ledger]\n",
        place.display(),
        secret.display()
    );
    world.reconfigure("mol", "[ledger]\n", &mirror);
    world.start_node("mol").await;
    let caller = world.caller().with("jisr-case", "case-7");
    let exchange = caller.ask("Read", &Question::about(PERSON)).await.unwrap().exchange;
    until(async || world.kinds("mol", &exchange) == [Kind::Asked, Kind::Delivered]).await;
    let live = Layout::new(&world.party("mol").dir).ledger();
    let is_mirrored = async || {
        let status = world.party("mol").status().await;
        status
            .mirrors
            .first()
            .is_some_and(|mirror| mirror.lag_entries == 0 && mirror.error.is_empty())
    };
    until(is_mirrored).await;
    let before = segments(&place.join("ledger"));
    let mol = world.party("mol");
    let erasure = proposed(mol, &exchange, &[CASE, SUBJECT]).await;
    let done = erase(mol, &erasure, &["dalia", "sami"], world.clock.now_us())
        .await
        .unwrap();
    assert_eq!(done.parts, 2);
    // Form 2 stands in the mirror where form 1 stood.
    let changed = || {
        let now = segments(&place.join("ledger"));
        before
            .iter()
            .zip(&now)
            .filter(|(before, now)| **before != 0 && **now == 0)
            .count()
    };
    until(async || changed() > 60 && is_mirrored().await).await;
    let verdict = verify::directory(&place.join("ledger"), &world.anchor(), &Options::default()).unwrap();
    assert_eq!(verdict.verdict, Verdict::Valid, "{verdict:?}");
    world.stop_node("mol").await;
    let erased = segments(&live);
    std::fs::remove_dir_all(&world.party("mol").dir).unwrap();
    let (from, to) = (Location::Directory(place), world.party("mol").dir.clone());
    let restored = tokio::task::spawn_blocking(move || recover(&from, &to, &KeySource::Secret(secret), None)).await;
    restored.unwrap().unwrap();
    let back = segments(&live);
    assert!(!back.is_empty() && erased.starts_with(&back[..back.len().min(erased.len())]));
    world.start_node("mol").await;
    assert!(withheld(&world, "mol", &exchange).await.contains("(erased)"));
    world.end().await;
}
