//! Two nodes of an instance whose ledgers the verifier judges.

use std::sync::Arc;

use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_certs::issue::{Issuing, Root};
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::seal::{SealKey, SnapshotKey, WitnessKey};
use jisr_certs::validity::Validity;
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::ManualClock;
use jisr_ledger::ledger::{Config, Ledger};
use jisr_ledger::report::Verdict;
use jisr_ledger::vault::Vault;
use jisr_ledger::verify::{self, Options};
use jisr_proto::ident::{Instance, Origin};
use jisr_proto::statement::Started;

use super::{MOL, NOW_US, PSD, World};

/// An instance with its authorities, a registry's witness, and two nodes.
pub(crate) struct Network {
    pub(crate) mol: World,
    pub(crate) psd: World,
    issuing: Issuing,
    witness: WitnessKey,
    anchor: Anchor,
}

impl Network {
    pub(crate) fn new() -> Self {
        let (mol, psd) = (World::new(MOL), World::new(PSD));
        let store = KeyStore::create(
            mol.dir.path().join("registry"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .unwrap();
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

    pub(crate) fn chain(&self, world: &World) -> Vec<Bytes> {
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

    pub(crate) fn open(&self, world: &World) -> Ledger {
        self.open_with(world, world.config())
    }

    pub(crate) fn open_with(&self, world: &World, config: Config) -> Ledger {
        let started = Started {
            origin: world.origin.to_string(),
            certificates: self.chain(world),
            seal_key: Bytes::copy_from_slice(world.key().public().as_bytes()),
            succeeds: Vec::new(),
        };
        let vault = Vault::open(&world.store()).unwrap();
        let clock = Arc::<ManualClock>::clone(&world.clock);
        let (ledger, _) = Ledger::open(config, world.key(), vault, clock, started).unwrap();
        ledger.confirm("JO/registry", None).unwrap();
        ledger
    }

    pub(crate) fn is_valid(&self, world: &World, size: u64) {
        let report = verify::directory(&world.dir.path().join("ledger"), &self.anchor, &Options::default()).unwrap();
        assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
        assert_eq!(report.head.unwrap().size, size);
    }

    pub(crate) fn cosigned(&self, ledger: &Ledger, origin: &Origin) -> Bytes {
        let head = ledger.checkpoint();
        let line = self.witness.cosign(NOW_US / 1_000_000, origin, head.size, &head.root);
        [head.note.as_ref(), line.as_bytes()].concat().into()
    }
}
