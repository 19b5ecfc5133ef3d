//! A machine is lost: what its mirror gives back, and what leads on where the mirror lacks something.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jisr_ledger::evidence;
use jisr_ledger::report::Verdict;
use jisr_ledger::verify::{self, Options};
use jisr_node::mirroring::{KeySource, Location, MirrorError, RecoverySecret, recover};
use jisr_node::{Layout, succession};
use jisr_proto::admin::ExportEvidenceRequest;
use jisr_proto::ident::ExchangeId;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Kind, Started};
use jisr_tests::{Caller, Question, World, refused, until};
use prost::Message as _;

fn question() -> Question {
    Question::about("9901234567")
}

/// Two members; psd's node has a mirror.
async fn mirrored() -> World {
    let mut world = World::of_two().await;
    world.stop_node("psd").await;
    RecoverySecret::make(&secret(&world)).unwrap();
    let mirror = format!(
        "[[mirror]]\nurl = \"file://{}\"\nsecret_file = \"{}\"\ninterval_ms = 20\n\n[ledger]\n",
        mirror(&world).display(),
        secret(&world).display()
    );
    world.reconfigure("psd", "[ledger]\n", &mirror);
    world.start_node("psd").await;
    world
}

fn mirror(world: &World) -> PathBuf {
    world.dir.path().join("mirror")
}

fn secret(world: &World) -> PathBuf {
    world.dir.path().join("recovery-secret")
}

/// Waits until psd's mirror holds everything.
async fn until_mirrored(world: &World) {
    until(async || {
        let status = world.party("psd").status().await;
        let mirror = status.mirrors.first().expect("psd has a mirror");
        mirror.lag_entries == 0 && mirror.lag_us == 0 && mirror.error.is_empty()
    })
    .await;
}

/// An application that asks and asks; what it was answered.
struct Load {
    stop: Arc<AtomicBool>,
    asking: tokio::task::JoinHandle<Vec<String>>,
}

impl Load {
    fn begin(caller: Caller) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asking = tokio::spawn(async move {
            let mut answered = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(answer) = caller.ask("Write", &question()).await {
                    answered.push(answer.exchange);
                }
            }
            answered
        });
        Load { stop, asking }
    }

    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.asking.await.unwrap()
    }
}

/// The data directory of psd is gone.
fn destroy(world: &World) {
    std::fs::remove_dir_all(&world.party("psd").dir).unwrap();
}

/// Restores psd's data directory; says how many statements came back.
async fn restored(world: &World) -> u64 {
    let (from, to) = (Location::Directory(mirror(world)), world.party("psd").dir.clone());
    let keys = KeySource::Secret(secret(world));
    let restored = tokio::task::spawn_blocking(move || recover(&from, &to, &keys, None)).await;
    restored.unwrap().expect("the mirror is whole").size
}

/// What evidence of an exchange that `code` exports is worth.
async fn worth(world: &World, code: &str, exchange: &str, wait_ms: u32) -> Verdict {
    let id: ExchangeId = exchange.parse().expect("the node named the exchange");
    let request = ExportEvidenceRequest {
        exchange_id: id.as_bytes().to_vec().into(),
        wait_ms,
        ..ExportEvidenceRequest::default()
    };
    let exported = world.party(code).admin().await.export_evidence(request).await;
    let file = exported.expect("it is known").into_inner().evidence;
    let report = evidence::verify(&file, &world.anchor(), world.clock.now_us());
    assert_ne!(report.verdict, Verdict::Invalid, "{exchange}: {report:#?}");
    if wait_ms > 1000 {
        assert_eq!(report.verdict, Verdict::Valid, "{exchange}: {report}");
    }
    report.verdict
}

fn verdict(dir: &Path, world: &World) -> Verdict {
    verify::directory(dir, &world.anchor(), &Options::default())
        .unwrap()
        .verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_gone_runs_on_from_its_mirror() {
    let mut world = mirrored().await;
    let load = Load::begin(world.caller());
    until(async || world.party("psd").status().await.exchanges_answered > 20).await;
    let answered = load.end().await;
    until_mirrored(&world).await;
    let size = world.party("psd").status().await.ledger_size;
    // The mirror is a ledger directory like any other.
    assert_eq!(verdict(&mirror(&world).join("ledger"), &world), Verdict::Valid);
    world.crash_node("psd").await;
    // The keeper of the mirror would have the node trust another registry: what is sealed under the secret counts.
    let trusted = ["node.toml", "anchor"].map(|name| (name, std::fs::read(world.party("psd").dir.join(name)).unwrap()));
    for (name, _) in &trusted {
        std::fs::write(mirror(&world).join(name), "registry = \"evil.example:443\"\n").unwrap();
    }
    destroy(&world);
    assert_eq!(restored(&world).await, size);
    for (name, content) in &trusted {
        assert_eq!(
            &std::fs::read(world.party("psd").dir.join(name)).unwrap(),
            content,
            "{name}"
        );
    }
    let begun = Layout::new(&world.party("psd").dir).witness_begun();
    assert_eq!(std::fs::read(&begun).unwrap(), b"lost\n", "whatever the mirror said");
    world.start_node("psd").await;
    let told = world.party("psd").status().await.state_text;
    assert!(told.contains("cosigns nothing"), "{told}");
    let answer = world.caller().ask("Write", &question()).await.expect("it runs on");
    let last = answered.last().expect("something was asked");
    for exchange in answered.iter().chain([&answer.exchange]) {
        for code in ["mol", "psd"] {
            assert_eq!(worth(&world, code, exchange, 15_000).await, Verdict::Valid, "{code}");
        }
    }
    assert!(world.kinds("psd", last).contains(&Kind::Answered));
    // And the mirror goes on from where it was.
    until_mirrored(&world).await;
    assert_eq!(verdict(&mirror(&world).join("ledger"), &world), Verdict::Valid);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_fails_stops_nothing_and_what_it_lacks_is_succeeded() {
    let mut world = mirrored().await;
    world.caller().ask("Write", &question()).await.expect("it is allowed");
    until_mirrored(&world).await;
    // The mirror's disk fails under load.
    let (place, aside) = (mirror(&world), world.dir.path().join("aside"));
    std::fs::rename(&place, &aside).unwrap();
    std::fs::write(&place, "no directory").unwrap();
    let load = Load::begin(world.caller());
    until(async || !first_error(&world).await.is_empty()).await;
    until(async || world.party("psd").status().await.exchanges_answered > 20).await;
    let answered = load.end().await;
    assert!(answered.len() > 10);
    until(async || world.party("psd").status().await.proofs_owed == 0).await;
    world.crash_node("psd").await;
    destroy(&world);
    std::fs::remove_file(&place).unwrap();
    std::fs::rename(&aside, &place).unwrap();
    let size = restored(&world).await;

    world.open_node("psd").await;
    until(async || world.party("psd").status().await.state == "QUARANTINED").await;
    refused(world.caller().ask("Read", &question()).await, Reason::Quarantined);
    let token = world.token("psd").await;
    let (dir, clock) = (world.party("psd").dir.clone(), Arc::clone(&world.clock));
    let runs = succession::succeed(&dir, &token, Arc::clone(&clock)).await;
    assert!(runs.unwrap_err().to_string().contains("stop it"), "the node runs");
    world.stop_node("psd").await;
    let succeeded = succession::succeed(&dir, &token, clock)
        .await
        .expect("the token is good");
    assert_eq!(succeeded.new.to_string(), "jisr/JO/GOV/psd/node1/2026-2");
    assert!(!succeeded.ended);
    let [own, shown] = succeeded.heads.as_slice() else {
        panic!("both heads are cited: {succeeded:?}");
    };
    assert!(own.size >= size && shown.size > own.size);

    world.start_node("psd").await;
    until(async || {
        let asked = world.caller().ask("Write", &question()).await;
        asked.is_ok()
    })
    .await;
    let answer = world
        .caller()
        .ask("Write", &question())
        .await
        .expect("the new ledger serves");
    assert_eq!(worth(&world, "mol", &answer.exchange, 15_000).await, Verdict::Valid);
    // What was acknowledged and is lost at psd, mol can still show.
    for exchange in [answered.first().unwrap(), answered.last().unwrap()] {
        worth(&world, "mol", exchange, 1000).await;
    }
    let old = dir.join("ledgers/2026");
    let report = verify::succession(&Layout::new(&dir).ledger(), &old, &world.anchor(), &Options::default()).unwrap();
    let check = report.check("succession").expect("it was asked for");
    assert_eq!(check.verdict, Verdict::Indeterminate, "{}", check.text);
    assert!(check.text.contains("lost"), "{}", check.text);
    // The mirror keeps both ledgers.
    until_mirrored(&world).await;
    assert_eq!(verdict(&place.join("ledgers/2026"), &world), Verdict::Valid);
    assert_eq!(verdict(&place.join("ledger"), &world), Verdict::Valid);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_destroyed_under_load_acknowledges_nothing_more_and_is_led_on_from_its_mirror() {
    let mut world = mirrored().await;
    let load = Load::begin(world.caller());
    until(async || world.party("psd").status().await.exchanges_answered > 20).await;
    // The node runs, and its applications ask: its files lose their names, and a file without a name keeps nothing.
    let (dir, gone) = (world.party("psd").dir.clone(), world.dir.path().join("gone"));
    std::fs::rename(&dir, &gone).unwrap();
    std::fs::remove_dir_all(&gone).unwrap();
    until(async || world.caller().ask("Write", &question()).await.is_err()).await;
    world.caller().ask("Write", &question()).await.unwrap_err();
    world.crash_node("psd").await;
    let answered = load.end().await;
    if dir.exists() {
        destroy(&world);
    }
    restored(&world).await;

    world.open_node("psd").await;
    until(async || ["RUNNING", "QUARANTINED"].contains(&world.party("psd").status().await.state.as_str())).await;
    // What the mirror lacked, others saw, or nobody did.
    if world.party("psd").status().await.state == "QUARANTINED" {
        world.stop_node("psd").await;
        let token = world.token("psd").await;
        let succeeded = succession::succeed(&dir, &token, Arc::clone(&world.clock)).await;
        succeeded.expect("the token is good");
        world.start_node("psd").await;
    }
    until(async || world.caller().ask("Write", &question()).await.is_ok()).await;
    assert!(answered.len() > 20);
    for exchange in &answered {
        assert!(world.kinds("mol", exchange).contains(&Kind::Delivered), "{exchange}");
    }
    // Also the last one, which psd may have lost, mol can show.
    for exchange in [answered.first().unwrap(), answered.last().unwrap()] {
        worth(&world, "mol", exchange, 100).await;
    }
    world.end().await;
}

async fn first_error(world: &World) -> String {
    let status = world.party("psd").status().await;
    status.mirrors.first().expect("psd has a mirror").error.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_was_set_back_does_not_set_the_mirror_back() {
    let mut world = mirrored().await;
    until_mirrored(&world).await;
    world.stop_node("psd").await;
    let (ledger, backup) = (
        Layout::new(&world.party("psd").dir).ledger(),
        world.dir.path().join("old"),
    );
    std::fs::create_dir(&backup).unwrap();
    let segment = "segments/00000000000000000000.seg";
    std::fs::copy(ledger.join(segment), backup.join("segment")).unwrap();
    world.start_node("psd").await;
    world.caller().ask("Write", &question()).await.expect("it is allowed");
    until_mirrored(&world).await;
    world.stop_node("psd").await;
    let before = std::fs::read(mirror(&world).join("ledger").join(segment)).unwrap();
    std::fs::copy(backup.join("segment"), ledger.join(segment)).unwrap();
    std::fs::remove_dir_all(ledger.join("index")).unwrap();
    world.open_node("psd").await;
    until(async || first_error(&world).await.contains("ahead of this ledger")).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        std::fs::read(mirror(&world).join("ledger").join(segment)).unwrap(),
        before
    );
    // The mirror is the way back.
    world.crash_node("psd").await;
    destroy(&world);
    restored(&world).await;
    world.start_node("psd").await;
    world.caller().ask("Write", &question()).await.expect("it runs on");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_restored_over_a_directory_that_is_in_use_or_from_half_a_mirror() {
    let world = mirrored().await;
    until_mirrored(&world).await;
    let (from, to) = (Location::Directory(mirror(&world)), world.party("psd").dir.clone());
    let keys = KeySource::Secret(secret(&world));
    let fresh = world.dir.path().join("fresh");
    let other = world.dir.path().join("other-secret");
    RecoverySecret::make(&other).unwrap();
    let own = world.anchor();
    let tried = tokio::task::spawn_blocking(move || {
        let over = recover(&from, &to, &keys, None);
        assert!(matches!(over, Err(MirrorError::Target(_))), "{over:?}");
        let other = recover(&from, &fresh, &KeySource::Secret(other), None);
        assert!(matches!(other, Err(MirrorError::Unusable(_))), "{other:?}");
        assert!(!fresh.exists(), "half a node was left");
        // The anchor in it is not the operator's own.
        let mut another = own.clone();
        another.root[0] ^= 1;
        another.quorum.high += 1;
        let told = recover(&from, &fresh, &keys, Some(&another)).unwrap_err().to_string();
        assert!(
            told.contains("anchor") && told.contains("root, quorum differ"),
            "{told}"
        );
        assert!(!fresh.exists(), "half a node was left");
        let whole = recover(&from, &fresh, &keys, Some(&own));
        assert!(whole.is_ok(), "{whole:?}");
        std::fs::remove_dir_all(&fresh).unwrap();
        // One byte of the ledger is another.
        let Location::Directory(mirror) = &from else { return };
        let segment = mirror.join("ledger/segments/00000000000000000000.seg");
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[200] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        let changed = recover(&from, &fresh, &keys, None);
        assert!(matches!(changed, Err(MirrorError::Unusable(_))), "{changed:?}");
        assert!(!fresh.exists(), "half a node was left");
    });
    tried.await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_succession_ends_the_old_ledger_and_its_tail_cannot_be_dropped() {
    let mut world = mirrored().await;
    let first = world.caller().ask("Write", &question()).await.expect("it is allowed");
    assert_eq!(worth(&world, "mol", &first.exchange, 15_000).await, Verdict::Valid);
    // What a ledger still owes when it ends nobody can show any more.
    until(async || world.party("mol").status().await.proofs_owed == 0).await;
    let kept_at = world.party("psd").status().await.ledger_size;
    world.stop_node("psd").await;
    let (dir, token) = (world.party("psd").dir.clone(), world.token("psd").await);
    let succeeded = succession::succeed(&dir, &token, Arc::clone(&world.clock))
        .await
        .unwrap();
    assert!(succeeded.ended && succeeded.heads.len() == 1);
    world.start_node("psd").await;
    until(async || world.caller().ask("Write", &question()).await.is_ok()).await;
    let again = world
        .caller()
        .ask("Write", &question())
        .await
        .expect("the new ledger serves");
    assert_eq!(worth(&world, "mol", &again.exchange, 15_000).await, Verdict::Valid);
    assert_eq!(worth(&world, "mol", &first.exchange, 15_000).await, Verdict::Valid);
    world.stop_node("psd").await;

    let (new, old) = (Layout::new(&dir).ledger(), dir.join("ledgers/2026"));
    let started = jisr_tests::statements_in(&new).remove(0);
    let cited = Started::decode(started.act).unwrap().succeeds;
    assert_eq!(
        (cited.len(), cited[0].origin.as_str()),
        (1, "jisr/JO/GOV/psd/node1/2026")
    );
    assert!(cited[0].size > kept_at && !cited[0].checkpoint.is_empty());
    let last = jisr_tests::statements_in(&old).pop().unwrap();
    assert_eq!(last.core.kind(), Kind::Ended);
    let judged = |old: &Path| {
        let report = verify::succession(&new, old, &world.anchor(), &Options::default()).unwrap();
        let check = report.check("succession").expect("it was asked for").clone();
        (check.verdict, check.text)
    };
    let (whole, text) = judged(&old);
    assert_eq!(whole, Verdict::Valid, "{text}");
    assert!(text.contains("ends with ENDED"), "{text}");

    // The tail of last year's ledger is dropped, frame by frame.
    let cut = world.dir.path().join("cut");
    std::fs::create_dir_all(cut.join("segments")).unwrap();
    let segment = "segments/00000000000000000000.seg";
    let bytes = std::fs::read(old.join(segment)).unwrap();
    let ends = frame_ends(&bytes);
    let mut found = 0;
    for end in ends.iter().rev().skip(1).take(12) {
        std::fs::write(cut.join(segment), &bytes[..*end]).unwrap();
        let (verdict, text) = judged(&cut);
        // Behind the last statement stand frames without one: without them nothing is missing.
        let complete = jisr_tests::statements_in(&cut).len() as u64 == cited[0].size;
        assert_eq!(verdict == Verdict::Valid, complete, "{text}");
        if !complete {
            assert!(text.contains("its tail is missing"), "{text}");
            found += 1;
        }
    }
    assert!(found > 3, "{found}");
    // Another ledger is not what it succeeds.
    assert_eq!(
        judged(&Layout::new(&world.party("mol").dir).ledger()).0,
        Verdict::Invalid
    );
    // The registry revoked the old certificate, and nobody takes the old key for the node any more.
    let seal_keys: Vec<_> = std::fs::read_dir(Layout::new(&dir).keys())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("seal-"))
        .collect();
    assert_eq!(seal_keys, ["seal-jisr.JO.GOV.psd.node1.2026-2.pem"]);
    world.end().await;
}

/// Where the frames of a segment end.
fn frame_ends(segment: &[u8]) -> Vec<usize> {
    use jisr_ledger::frame::{Next, SegmentScan};
    let mut scan = SegmentScan::open(segment).unwrap();
    let mut ends = Vec::new();
    while let Ok(Next::Frame { .. }) = scan.read_next() {
        ends.push(usize::try_from(scan.offset()).unwrap());
    }
    ends
}
