//! Two ledgers' keys, statements to put into them, and a disk that fails where a test wants it.

#![expect(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::seal::SealKey;
use jisr_ledger::clock::ManualClock;
use jisr_ledger::ledger::{AppendError, Config, ConfirmError, Ledger, OpenError, Opened, Stands};
use jisr_ledger::note::VerifierKey;
use jisr_ledger::seal::{SealVerifier, Sealed};
use jisr_ledger::statement::{Closed, Draft};
use jisr_ledger::vault::Vault;
use jisr_ledger::{Verified, note};
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::statement::{Core, Kind, Started, Subject, SubjectIdentifier};
use tempfile::TempDir;

pub(crate) mod disk;
pub(crate) mod valid;

pub(crate) const NOW_US: u64 = 1_795_000_000_000_000;
pub(crate) const MOL: &str = "jisr/JO/GOV/mol/node1/2026";
pub(crate) const PSD: &str = "jisr/JO/GOV/psd/node1/2026";

/// One node's data directory.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) origin: Origin,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            origin: origin.parse().unwrap(),
            clock: Arc::new(ManualClock::new(NOW_US)),
        }
    }

    /// Small segments, so that tests roll; no checkpoint of its own accord, so that a slow machine changes nothing.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::in_data_directory(self.dir.path(), self.origin.clone());
        config.segment_bytes = 64 * 1024;
        config.queue_bytes = 4 << 20;
        config.idle_checkpoint_ms = 3_600_000;
        config
    }

    pub(crate) fn store(&self) -> KeyStore {
        KeyStore::create(
            self.dir.path().join("keys"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap()
    }

    pub(crate) fn key(&self) -> SealKey {
        SealKey::load_or_make(&self.store(), &self.origin).unwrap()
    }

    pub(crate) fn verifier(&self) -> VerifierKey {
        self.key().vkey().parse().unwrap()
    }

    /// Opened, and confirmed by somebody who knows nothing of it.
    pub(crate) fn open_with(&self, config: Config) -> Result<(Ledger, Opened), OpenError> {
        let (ledger, opened) = self.open_unconfirmed(config)?;
        ledger.confirm("JO/registry", None).map_err(|error| match error {
            ConfirmError::Write(error) => *error,
            other => panic!("{other}"),
        })?;
        Ok((ledger, opened))
    }

    pub(crate) fn open_unconfirmed(&self, config: Config) -> Result<(Ledger, Opened), OpenError> {
        let key = self.key();
        let started = Started {
            origin: self.origin.to_string(),
            certificates: vec![Bytes::from_static(b"certificate")],
            seal_key: Bytes::copy_from_slice(key.public().as_bytes()),
            succeeds: Vec::new(),
        };
        Ledger::open(
            config,
            key,
            Vault::open(&self.store()).unwrap(),
            Arc::<ManualClock>::clone(&self.clock),
            started,
        )
    }

    pub(crate) fn open(&self) -> (Ledger, Opened) {
        self.open_with(self.config()).unwrap()
    }

    /// Without its resume point the next start reads the whole ledger.
    pub(crate) fn forget_resume_point(&self) {
        let _ = fs::remove_file(self.resume_point());
    }

    pub(crate) fn resume_point(&self) -> PathBuf {
        self.dir.path().join("ledger/index/resume")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.dir.path().join("ledger/segments")
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.segments().join(format!("{number:020}.seg"))
    }

    /// The data directory as a crash would leave it: what is on disk now, in a place of its own.
    pub(crate) fn crash(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        // Only the ledger and the keys are promised to survive.
        let _ = fs::remove_dir_all(dir.path().join("reserve"));
        Self {
            dir,
            origin: self.origin.clone(),
            clock: Arc::new(ManualClock::new(NOW_US)),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // The index may change while it is copied; it is derived.
            let _ = fs::copy(entry.path(), target);
        }
    }
}

pub(crate) fn id(n: u64) -> ExchangeId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    ExchangeId::new_v7(NOW_US, random)
}

pub(crate) fn core(kind: Kind, id: ExchangeId) -> Core {
    Core {
        kind: kind.into(),
        instance: "JO".into(),
        exchange_id: Bytes::copy_from_slice(id.as_bytes()),
        created_us: NOW_US,
        consumer: "JO/GOV/mol/permits".into(),
        provider: "JO/GOV/psd/residency".into(),
        provider_origin: PSD.into(),
        service: "jo.residency.v1.ResidencePermits".into(),
        method: "CheckStatus".into(),
        agreement: Bytes::from_static(&[1; 32]),
        ..Core::default()
    }
}

/// A question with every personal part.
pub(crate) fn asked(n: u64) -> Closed {
    let core = Core {
        expires_us: NOW_US + 60_000_000,
        snapshot_version: 4,
        snapshot: Bytes::from_static(&[2; 32]),
        schema: Bytes::from_static(&[3; 32]),
        key_set: Bytes::from_static(&[4; 32]),
        mask: "*".into(),
        ..core(Kind::Asked, id(n))
    };
    let subject = Subject {
        identifiers: vec![SubjectIdentifier {
            kind: 1,
            value: "SUBJECT-9871234567".into(),
        }],
    };
    Draft::new(core)
        .purpose("work-permit-renewal")
        .case("CASE-الملف-77")
        .officer("OFFICER-salma")
        .subject(&subject)
        .payload(b"question")
        .close()
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn append(ledger: &Ledger, statement: Closed) -> Result<Stands, AppendError> {
    block_on(ledger.append(vec![statement])).map(|stands| stands.into_iter().next().unwrap())
}

/// A question of MoL, sealed in its ledger and verified as PSD would.
pub(crate) fn sealed_question(mol: &World, ledger: &Ledger, n: u64) -> Verified<Sealed> {
    let closed = asked(n);
    let stands = append(ledger, closed.clone()).unwrap();
    SealVerifier::new()
        .verify(&stands.sealed(&closed), &mol.verifier())
        .unwrap()
}

/// The provider's statements on a question.
pub(crate) fn on(kind: Kind, question: &Verified<Sealed>) -> Closed {
    let id = ExchangeId::try_from(question.statement.core().exchange_id.as_ref()).unwrap();
    let draft = Draft::new(core(kind, id));
    match kind {
        Kind::Received => draft.citing(question.clone()).close(),
        Kind::Answered => draft.peer(&question.citation()).payload(b"answer").close(),
        _ => draft.peer(&question.citation()).close(),
    }
}

/// The note's signature holds and it is the checkpoint that the ledger says it is.
pub(crate) fn check_head(world: &World, ledger: &Ledger) {
    let head = ledger.checkpoint();
    let opened = note::open(&head.note, &world.verifier()).unwrap();
    assert_eq!((opened.size, opened.root), (head.size, head.root));
    assert_eq!(ledger.root(head.size), Some(head.root));
}

static COUNTER: AtomicU64 = AtomicU64::new(1);

/// A number that no other test of the process uses.
pub(crate) fn fresh() -> u64 {
    COUNTER.fetch_add(1, Ordering::Relaxed)
}
