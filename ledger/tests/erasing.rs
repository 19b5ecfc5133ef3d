//! Erasing: whatever write fails, before it reaches the disk, half way, or after, a part is there whole or gone for good, and all of
//! them go once ERASED stands.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use jisr_certs::issue::LocalCa;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::officer::{Document, OfficerKey};
use jisr_certs::validity::Validity;
use jisr_ledger::erasure::{self, Approved, Owner};
use jisr_ledger::ledger::{EraseError, ErasedEntry, Fatal, Ledger, rebuild};
use jisr_ledger::statement::{Closed, Draft, Tag};
use jisr_ledger::vault::Vault;
use jisr_proto::canonical;
use jisr_proto::ident::{ExchangeId, MemberId};
use jisr_proto::statement::{Approval, Core, Erased, ErasedParts, Erasure, Kind};
use world::disk::{FaultDisk, Op, When};
use world::valid::Network;
use world::{MOL, NOW_US, World, append, asked, fresh, id};

const SUBJECT: &str = "SUBJECT-9871234567";
const CASE: &str = "CASE-الملف-77";
/// Entries of the six that are erased, in frames of their own.
const GOES: [u64; 3] = [1, 3, 4];
const ALL: std::ops::Range<u64> = 0..u64::MAX;

/// ERASED for the case and the person of these entries, by two officers.
fn erasure(indexes: &[u64]) -> (Closed, Approved<Erasure>) {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::create(
        dir.path().join("keys"),
        &KeySecret::from_bytes(&[7; 32], "a test's secret"),
    )
    .unwrap();
    let member: MemberId = "JO/GOV/mol".parse().unwrap();
    let local_ca = LocalCa::create(&store, &member, NOW_US).unwrap();
    let document = canonical::encode(&Erasure {
        format: 1,
        origin: MOL.into(),
        parts: (indexes.iter())
            .map(|index| ErasedParts {
                index: *index,
                tags: Bytes::copy_from_slice(&[Tag::Case.number(), Tag::Subject.number()]),
            })
            .collect(),
        reason: "order 12 of the court".into(),
        created_us: NOW_US,
        nonce: Bytes::from_static(&[9; 16]),
    });
    let approve = |code: &str| {
        let officer = member.officer(&code.parse().unwrap());
        let made = local_ca.issue_officer(&officer, Validity::days(NOW_US, 365)).unwrap();
        let key = OfficerKey::from_pem(made.key_pem().as_bytes()).unwrap();
        Approval {
            certificates: [&made.certificate, &made.authority]
                .map(|der| Bytes::copy_from_slice(der))
                .into(),
            signature: key.sign(Document::Erasure, &document).unwrap().into(),
        }
    };
    let act = Erased {
        approvals: ["dalia", "sami"].map(approve).into(),
        erasure: document.clone(),
    };
    let core = Core {
        kind: Kind::Erased.into(),
        instance: "JO".into(),
        created_us: NOW_US,
        ..Core::default()
    };
    let origin = MOL.parse().unwrap();
    let owner = Owner {
        origin: &origin,
        local_ca: None,
    };
    let approved = erasure::erasure(&act, owner, NOW_US).unwrap();
    (Draft::new(core).act(&act).close(), approved)
}

/// A ledger of six questions whose resume point stands, and of which three are to be erased.
struct Story {
    network: Network,
    ids: Vec<ExchangeId>,
    erasure: (Closed, Approved<Erasure>),
}

impl Story {
    fn new() -> Self {
        let network = Network::new();
        let ledger = network.open(&network.mol);
        let numbers: Vec<u64> = (0..6).map(|_| fresh()).collect();
        numbers.iter().for_each(|n| drop(append(&ledger, asked(*n)).unwrap()));
        ledger.close();
        assert!(network.mol.resume_point().exists());
        Self {
            network,
            ids: numbers.into_iter().map(id).collect(),
            erasure: erasure(&GOES),
        }
    }

    /// The ledger as a new process finds it, on a disk that fails.
    fn before(&self) -> (World, Ledger, FaultDisk, mpsc::Receiver<()>) {
        let world = self.network.mol.crash();
        let disk = FaultDisk::default();
        let mut config = world.config();
        config.disk = Arc::new(disk.clone());
        let (sender, fatal) = mpsc::channel();
        config.fatal = Fatal::dangerous_hook(move |_| {
            let _ = sender.send(());
        });
        let ledger = self.network.open_with(&world, config);
        (world, ledger, disk, fatal)
    }

    fn erase(&self, ledger: &Ledger) -> Result<ErasedEntry, EraseError> {
        ledger.erase(self.erasure.0.clone(), &self.erasure.1)
    }

    /// How many parts are gone; every statement is read, and found by its exchange.
    fn gone(&self, ledger: &Ledger) -> usize {
        let mut gone = 0;
        for (index, id) in (1..).zip(&self.ids) {
            let entries = ledger.find(*id).unwrap();
            let [entry] = entries.as_slice() else {
                panic!("{entries:?}")
            };
            assert_eq!(entry.index, index);
            let is_open = |tag| entry.statement.part(tag).unwrap().opened.is_some();
            assert!(
                is_open(Tag::Payload) && is_open(Tag::Officer),
                "nothing else is touched"
            );
            let erased = [Tag::Case, Tag::Subject].map(|tag| usize::from(!is_open(tag)));
            assert!(GOES.contains(&index) || erased == [0, 0]);
            gone += erased.iter().sum::<usize>();
        }
        gone
    }

    /// All or nothing of it is erased, in the ledger and in what is asked of the index, and the ledger verifies.
    fn settled(&self, world: &World, ledger: &Ledger, what: &str) {
        let acts = (0..ledger.size()).filter(|at| ledger.entry(*at).unwrap().unwrap().statement.kind() == Kind::Erased);
        let stands = acts.count() == 1;
        assert_eq!(self.gone(ledger), if stands { 6 } else { 0 }, "{what}");
        let vault = Vault::open(&world.store()).unwrap();
        let left = (1..)
            .zip(&self.ids)
            .filter(|(index, _)| !(stands && GOES.contains(index)));
        let left: Vec<_> = left.map(|(_, id)| *id).collect();
        for named in [vault.subject(1, SUBJECT), vault.case(CASE)] {
            assert_eq!(ledger.by_pseudonym(&named, ALL, 10).unwrap().exchanges, left, "{what}");
        }
        self.network.is_valid(world, ledger.size());
    }
}

#[test]
fn what_is_erased_is_found_by_nobody_and_every_proof_stays() {
    let story = Story::new();
    let (world, ledger, _, fatal) = story.before();
    let done = story.erase(&ledger).unwrap();
    assert_eq!((done.index, done.parts), (8, 6));
    story.settled(&world, &ledger, "erased");
    assert_eq!(ledger.resume_erasure().unwrap(), None);
    ledger.close();
    let size = rebuild(&world.dir.path().join("ledger"), world.dir.path(), &world.store()).unwrap();
    assert!(
        size > 8 && world.resume_point().exists(),
        "nothing is owed, so the resume point is set"
    );
    story.settled(
        &world,
        &story.network.open(&world),
        "after all that is derived was made anew",
    );
    assert!(fatal.try_recv().is_err());
}

#[test]
fn whatever_write_fails_each_part_is_whole_or_gone_and_goes_at_the_next_start() {
    let story = Story::new();
    let writes = [When::Before, When::After, When::Torn].map(|when| (Op::Write, when));
    let others = [Op::Replace, Op::Open].map(|op| [When::Before, When::After].map(|when| (op, when)));
    let mut failed = 0;
    for (op, when) in others.into_iter().flatten().chain(writes) {
        for nth in 0.. {
            let (world, ledger, disk, fatal) = story.before();
            disk.fail(op, when, nth);
            let outcome = story.erase(&ledger);
            if !disk.happened() {
                assert_eq!(outcome.unwrap().parts, 6);
                break;
            }
            failed += 1;
            for index_is_lost in [false, true] {
                let what = format!("{op:?} {when:?} {nth}, index lost: {index_is_lost}");
                let after = world.crash();
                // The journal alone cannot be done without: it is what a frame is torn for.
                let is_torn = when == When::Torn;
                if index_is_lost && !is_torn {
                    fs::remove_dir_all(after.dir.path().join("ledger/index")).unwrap();
                }
                let next = story.network.open(&after);
                assert!(story.gone(&next) <= 6, "{what}");
                next.resume_erasure().unwrap();
                story.settled(&after, &next, &what);
                assert_eq!(next.resume_erasure().unwrap(), None, "{what}");
                // What was finished once is finished.
                next.close();
                story.settled(&after, &story.network.open(&after), &what);
            }
            assert!(
                outcome.is_err() && (ledger.size() == 8 || fatal.try_recv().is_ok()),
                "{op:?} {when:?} {nth}"
            );
        }
    }
    assert!(failed > 25, "{failed}");
}

#[test]
fn an_erasure_is_finished_also_where_the_index_was_lost_and_made_anew_in_between() {
    let story = Story::new();
    let (world, ledger, disk, _) = story.before();
    // The plan, then the journal of the first frame.
    disk.fail(Op::Replace, When::Before, 1);
    assert!(matches!(story.erase(&ledger), Err(EraseError::Disk(_))));
    let after = world.crash();
    fs::remove_dir_all(after.dir.path().join("ledger/index")).unwrap();
    rebuild(&after.dir.path().join("ledger"), after.dir.path(), &after.store()).unwrap();
    assert!(!after.resume_point().exists(), "the next start must come across ERASED");
    let next = story.network.open(&after);
    assert_eq!(story.gone(&next), 0);
    let done = next.resume_erasure().unwrap().unwrap();
    assert_eq!((done.index, done.parts), (8, 6));
    story.settled(&after, &next, "made anew");
    next.close();
    assert!(after.resume_point().exists());
}

#[test]
fn what_was_begun_is_finished_before_anything_else_is_erased() {
    let story = Story::new();
    for index_is_lost in [false, true] {
        let (world, ledger, disk, _) = story.before();
        // The plan, then the journal of the first frame: ERASED stands, and nothing is overwritten.
        disk.fail(Op::Replace, When::Before, 1);
        assert!(matches!(story.erase(&ledger), Err(EraseError::Disk(_))));
        let after = world.crash();
        if index_is_lost {
            fs::remove_dir_all(after.dir.path().join("ledger/index")).unwrap();
        }
        let next = story.network.open(&after);
        assert_eq!(story.gone(&next), 0);
        let (statement, approved) = erasure(&GOES[..1]);
        let done = next.erase(statement, &approved).unwrap();
        assert_eq!(
            done.parts, 0,
            "the first erasure had taken them, lost index: {index_is_lost}"
        );
        assert_eq!(story.gone(&next), 6, "lost index: {index_is_lost}");
        assert_eq!(next.resume_erasure().unwrap(), None);
        story.network.is_valid(&after, next.size());
    }
}
