//! What the writer leaves on disk is VALID to the verifier: live, crashed, torn, and after a clean stop.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_certs::issue::{Issuing, Root};
use jisr_certs::keys::KeyStore;
use jisr_certs::seal::{SealKey, SnapshotKey, WitnessKey};
use jisr_certs::validity::Validity;
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::ManualClock;
use jisr_ledger::frame::{FRAME_HEADER_BYTES, Next, SegmentScan};
use jisr_ledger::ledger::{Ledger, Record};
use jisr_ledger::report::Verdict;
use jisr_ledger::statement::{Closed, Draft};
use jisr_ledger::vault::Vault;
use jisr_ledger::verify::{self, Options};
use jisr_proto::ident::{Instance, Origin};
use jisr_proto::statement::{Configured, Core, Kind, Started};
use world::{MOL, NOW_US, PSD, World, append, block_on, fresh, on, sealed_question};

/// An instance with its authorities, a registry's witness, and two nodes.
struct Network {
    mol: World,
    psd: World,
    issuing: Issuing,
    witness: WitnessKey,
    anchor: Anchor,
}

impl Network {
    fn new() -> Self {
        let (mol, psd) = (World::new(MOL), World::new(PSD));
        let store = KeyStore::create(mol.dir.path().join("registry")).unwrap();
        let instance: Instance = "JO".parse().unwrap();
        let origin: Origin = "jisr/JO/registry/2026".parse().unwrap();
        let root = Root::create(&store, &instance, NOW_US).unwrap();
        let issuing = Issuing::create(&store, &root, NOW_US).unwrap();
        let witness = WitnessKey::of_registry(&store, &instance).unwrap();
        let hex: String = sha256(&[&root.certificate().der])
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let anchor = format!(
            "format = 1\ninstance = \"JO\"\nroot = \"{hex}\"\nregistry_origin = \"{origin}\"\nregistry_key = \"{}\"\nsnapshot_key = \"{}\"\n\
             [[witness]]\nkey = \"{}\"\noperator = \"JO/registry\"\n[quorum]\nROUTINE = 1\nSTANDARD = 1\nHIGH = 1\nREGISTRY = 0\n",
            SealKey::load_or_make(&store, &origin).unwrap().vkey(),
            SnapshotKey::load_or_make(&store, &instance).unwrap().vkey(),
            witness.vkey(),
        );
        let anchor = anchor.parse().unwrap();
        Self {
            mol,
            psd,
            issuing,
            witness,
            anchor,
        }
    }

    fn chain(&self, world: &World) -> Vec<Bytes> {
        let request = world.key().request().unwrap();
        let seal = self
            .issuing
            .issue_seal(&request, &world.origin, Validity::days(NOW_US, 365))
            .unwrap();
        std::iter::once(seal)
            .chain(self.issuing.issuers())
            .map(|der| Bytes::copy_from_slice(&der))
            .collect()
    }

    fn open(&self, world: &World) -> Ledger {
        let started = Started {
            origin: world.origin.to_string(),
            certificates: self.chain(world),
            seal_key: Bytes::copy_from_slice(world.key().public().as_bytes()),
            succeeds: Vec::new(),
        };
        let vault = Vault::open(&world.store()).unwrap();
        let clock = Arc::<ManualClock>::clone(&world.clock);
        let (ledger, _) = Ledger::open(world.config(), world.key(), vault, clock, started).unwrap();
        ledger.confirm("", None).unwrap();
        ledger
    }

    fn is_valid(&self, world: &World, size: u64) {
        let report = verify::directory(&world.dir.path().join("ledger"), &self.anchor, &Options::default()).unwrap();
        assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
        assert_eq!(report.head.unwrap().size, size);
    }

    fn cosigned(&self, ledger: &Ledger, origin: &Origin) -> Bytes {
        let head = ledger.checkpoint();
        let line = self.witness.cosign(NOW_US / 1_000_000, origin, head.size, &head.root);
        [head.note.as_ref(), line.as_bytes()].concat().into()
    }
}

fn configured() -> Closed {
    let core = Core {
        kind: Kind::Configured.into(),
        instance: "JO".into(),
        created_us: NOW_US,
        ..Core::default()
    };
    Draft::new(core)
        .act(&Configured {
            digest: Bytes::from_static(&[1; 32]),
            program: "0.1.0".into(),
        })
        .close()
}

/// Zeroes of the last frame, all but whose header may be gone, what lies in its last sector.
fn tear(bytes: &mut [u8]) {
    let mut scan = SegmentScan::open(&*bytes).unwrap();
    let mut body = 0..0;
    while let Next::Frame { offset, body: found } = scan.read_next().unwrap() {
        let start = usize::try_from(offset).unwrap() + FRAME_HEADER_BYTES;
        body = start..start + found.len();
    }
    let sector = (body.end - 1) / 512 * 512;
    bytes.get_mut(body.start.max(sector)..body.end).unwrap().fill(0);
}

#[test]
fn what_is_written_is_valid_at_every_moment() {
    let network = Network::new();
    let (mol, psd) = (&network.mol, &network.psd);
    let (asking, answering) = (network.open(mol), network.open(psd));
    let certificates = network.chain(mol);
    answering
        .note_later(Record::PeerCertificates {
            origin: MOL.into(),
            certificates,
        })
        .unwrap();
    for round in 0..40 {
        let question = sealed_question(mol, &asking, fresh());
        block_on(answering.append(vec![on(Kind::Received, &question), on(Kind::Answered, &question)])).unwrap();
        if round % 10 == 0 {
            network.is_valid(mol, asking.size());
            network.is_valid(psd, answering.size());
            let note = network.cosigned(&asking, &mol.origin);
            asking.note_later(Record::Cosigned(note.clone())).unwrap();
            let path = asking.prove(question.index, asking.size()).unwrap();
            let leaf = question.statement.leaf();
            answering
                .note_later(Record::PeerProof {
                    index: question.index,
                    leaf,
                    note,
                    path,
                })
                .unwrap();
        }
    }
    assert!(psd.segment(1).exists(), "it rolled");
    let crashed = psd.crash();
    network.is_valid(&crashed, answering.size());
    let size = answering.size();
    asking.close();
    answering.close();
    network.is_valid(mol, 41);
    network.is_valid(psd, size);

    // Opened again by a new process after the crash, and after a torn write.
    let ledger = network.open(&crashed);
    append(&ledger, configured()).unwrap();
    network.is_valid(&crashed, size + 2);
    let torn = crashed.crash();
    let last = fs::read_dir(torn.segments()).unwrap().count() as u64 - 1;
    let mut bytes = fs::read(torn.segment(last)).unwrap();
    tear(&mut bytes);
    fs::write(torn.segment(last), &bytes).unwrap();
    network.is_valid(&torn, size + 1);
    let ledger = network.open(&torn);
    network.is_valid(&torn, size + 3);
    ledger.close();
    network.is_valid(&torn, size + 3);
}
