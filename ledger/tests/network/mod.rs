//! A network of fixed keys: the registry, MoL and PSD, one agreement, one exchange. The same bytes come out each time.

mod inputs;
mod log;
pub(crate) mod acts;
pub(crate) mod segment;

pub(crate) use inputs::Inputs;
pub(crate) use log::{Log, cosignature};

use bytes::Bytes;
use jisr_certs::digest::{domain, sha256};
use jisr_ledger::{
    Hash,
    anchor::{Anchor, AnchorWitness, Quorum},
    evidence::{Builder, SetBuilder, encode},
    note::{SnapshotText, VerifierKey, assemble, signature_line},
    seal::SealVerifier,
    snapshot::{Header, ISSUING, Rows, Showing, State, row_bytes},
    statement::{Closed, Draft, PayloadHasher, Tag},
};
use jisr_proto::{
    canonical,
    evidence::{Evidence, EvidenceSet},
    ident::{ExchangeId, Origin},
    snapshot::{
        AgreementAct, AgreementRow, Authority, Member, Node, NodeAct, Quorum as QuorumRow, Service, ServiceAct,
        ShownRows, SnapshotAct, Witness,
    },
    statement::{Agreed, AgreedMethod, AgreedPurpose, Agreement, Core, Kind, Started, Subject, SubjectIdentifier},
};
use ring::signature::{Ed25519KeyPair, KeyPair};

/// When the question is made: 2026-09-21T14:13:20Z, microseconds.
pub(crate) const ASKED_US: u64 = 1_790_000_000_000_000;
/// Registry, MoL, PSD: their ledgers.
pub(crate) const ORIGINS: [&str; 3] = [
    "jisr/JO/registry/2026",
    "jisr/JO/GOV/mol/node1/2026",
    "jisr/JO/GOV/psd/node1/2026",
];
/// Their witnesses.
pub(crate) const WITNESSES: [&str; 3] = [
    "jisr/JO/registry/witness",
    "jisr/JO/GOV/mol/node1/witness",
    "jisr/JO/GOV/psd/node1/witness",
];
/// Request and reply.
pub(crate) const REQUEST: &[u8] = b"\x0a\x0a9871234567";
pub(crate) const REPLY: &[u8] = b"\x08\x01";
/// The schema; any bytes do, since only their digest counts here.
pub(crate) const SCHEMA: &[u8] = b"a serialized google.protobuf.FileDescriptorSet";

const SERVICE: &str = "jo.residency.v1.ResidencePermits";
const METHOD: &str = "CheckStatus";

pub(crate) fn origin(which: usize) -> Origin {
    ORIGINS[which].parse().expect("an origin")
}

/// Seed of a seal key: 32 times 1, 2 or 3.
pub(crate) fn seed_of(which: usize) -> [u8; 32] {
    [u8::try_from(which).expect("small") + 1; 32]
}

/// Seed of a witness key: 32 times 11, 12 or 13.
pub(crate) fn witness_seed(which: usize) -> [u8; 32] {
    [u8::try_from(which).expect("small") + 11; 32]
}

/// Seed of the snapshot key.
pub(crate) const SNAPSHOT_SEED: [u8; 32] = [21; 32];

pub(crate) fn pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("any seed makes a key")
}

pub(crate) fn public(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().expect("32 bytes")
}

pub(crate) fn seal_key(which: usize) -> VerifierKey {
    VerifierKey::new_seal(ORIGINS[which], public(&pair(&seed_of(which)))).expect("a good key")
}

pub(crate) fn snapshot_key() -> VerifierKey {
    VerifierKey::new_seal("jisr/JO/snapshot", public(&pair(&SNAPSHOT_SEED))).expect("a good key")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex digits"))
        .collect()
}

/// The salts of a statement in the vectors: for CORE, then each other part by ascending tag but PAYLOAD, salt i is
/// SHA-256("salt" ‖ u8 ledger ‖ u8 index ‖ u8 i). That of PAYLOAD has i = 255.
pub(crate) fn salt(which: usize, index: u64, i: u8) -> [u8; 32] {
    let index = u8::try_from(index).expect("small");
    sha256(&[b"salt", &[u8::try_from(which).expect("small"), index, i]])
}

fn close(draft: Draft, which: usize, index: u64) -> Closed {
    let salts: Vec<u8> = (0..10).flat_map(|i| salt(which, index, i)).collect();
    draft.dangerous_close_with_salts(&salts.try_into().expect("320 bytes"))
}

pub(crate) fn agreement() -> Agreement {
    Agreement {
        format: 1,
        instance: "JO".into(),
        consumer: "JO/GOV/mol/permits".into(),
        provider: "JO/GOV/psd/residency".into(),
        methods: vec![AgreedMethod {
            service: SERVICE.into(),
            method: METHOD.into(),
            schema: digest("jisr.schema", SCHEMA),
            mask: "*".into(),
            no_side_effects: true,
            evidence_class: 2,
        }],
        purposes: vec![AgreedPurpose {
            code: "work-permit-renewal".into(),
            legal_basis: "Labour Law No. 8 of 1996, article 12".into(),
        }],
        valid_from_us: ASKED_US - 3_600_000_000,
        valid_until_us: ASKED_US + 365 * 86_400_000_000,
        nonce: Bytes::from_static(&[0x5a; 16]),
        ..Agreement::default()
    }
}

fn digest(name: &str, bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&domain(name, &[bytes]))
}

/// Everything that exists after one exchange.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) anchor: Anchor,
    /// Registry, MoL, PSD.
    pub(crate) logs: [Log; 3],
    pub(crate) certificates: [Bytes; 4],
    pub(crate) document: Bytes,
    /// Canonical bytes of the header.
    pub(crate) snapshot: Bytes,
    pub(crate) rows: Rows,
    pub(crate) snapshot_note: Bytes,
    pub(crate) key_set_items: Vec<Hash>,
    pub(crate) exchange: ExchangeId,
}

impl Network {
    pub(crate) fn new(inputs: &Inputs) -> Self {
        let mut logs = [0, 1, 2].map(Log::new);
        for (which, log) in logs.iter_mut().enumerate() {
            start(log, which, inputs);
        }
        let document = canonical::encode(&agreement());
        for which in [1, 2] {
            agree(&mut logs[which], which, inputs, &document);
        }
        let nodes = [1, 2].map(|which| node(which, inputs));
        let (snapshot, rows) = register(&mut logs, &nodes, inputs, &document);
        let key_set_items = key_set(&nodes);
        let mut network = Self {
            anchor: anchor(inputs),
            snapshot_note: snapshot_note(&snapshot),
            logs,
            certificates: [
                inputs.members[0].seal_certificate.clone(),
                inputs.members[1].seal_certificate.clone(),
                inputs.issuing.clone(),
                inputs.root.clone(),
            ],
            document,
            snapshot,
            rows,
            key_set_items,
            exchange: ExchangeId::new_v7(ASKED_US, [7; 10]),
        };
        network.exchange();
        network
    }

    /// A core of this exchange, made so many seconds after the question.
    pub(crate) fn core(&self, kind: Kind, seconds: u64) -> Core {
        Core {
            format: 1,
            kind: kind as i32,
            instance: "JO".into(),
            exchange_id: Bytes::copy_from_slice(self.exchange.as_bytes()),
            created_us: ASKED_US + seconds * 1_000_000,
            expires_us: if kind == Kind::Asked { ASKED_US + 60_000_000 } else { 0 },
            consumer: "JO/GOV/mol/permits".into(),
            provider: "JO/GOV/psd/residency".into(),
            provider_origin: ORIGINS[2].into(),
            service: SERVICE.into(),
            method: METHOD.into(),
            agreement: digest("jisr.agreement", &self.document),
            snapshot_version: 1,
            snapshot: digest("jisr.snapshot", &self.snapshot),
            schema: digest("jisr.schema", SCHEMA),
            key_set: digest("jisr.keyset", self.key_set_items.as_flattened()),
            mask: "*".into(),
            no_side_effects: true,
            ..Core::default()
        }
    }

    /// The statements of the exchange: ASKED, RECEIVED, ANSWERED, DELIVERED.
    fn exchange(&mut self) {
        let subject = Subject {
            identifiers: vec![SubjectIdentifier {
                kind: 1,
                value: "9871234567".into(),
            }],
        };
        let draft = Draft::new(self.core(Kind::Asked, 0))
            .purpose("work-permit-renewal")
            .case("قضية ١٢/٢٠٢٦");
        self.put(1, draft.officer("rania").subject(&subject), Some(REQUEST));
        let asked = SealVerifier::new()
            .verify(&self.logs[1].sealed(2, 3), &seal_key(1))
            .expect("a good seal");
        self.put(2, Draft::new(self.core(Kind::Received, 1)).citing(asked.clone()), None);
        self.put(
            2,
            Draft::new(self.core(Kind::Answered, 2)).peer(&asked.citation()),
            Some(REPLY),
        );
        let answered = SealVerifier::new()
            .verify(&self.logs[2].sealed(3, 4), &seal_key(2))
            .expect("a good seal");
        self.put(1, Draft::new(self.core(Kind::Delivered, 3)).citing(answered), None);
    }

    /// Appends a statement with the fixed salts.
    pub(crate) fn put(&mut self, which: usize, draft: Draft, message: Option<&[u8]>) -> u64 {
        let index = self.logs[which].size();
        let draft = match message {
            Some(message) => {
                let mut hasher = PayloadHasher::with_salt(salt(which, index, 255));
                hasher.update(message);
                draft.commitment(hasher.finish())
            }
            None => draft,
        };
        self.logs[which].append(close(draft, which, index))
    }

    /// All rows, with proofs.
    pub(crate) fn shown(&self) -> ShownRows {
        let mut showing = Showing::new(&self.rows);
        showing.all("");
        showing.finish()
    }

    /// The pieces of the evidence, with the officer and the person withheld.
    pub(crate) fn builder(&self) -> Builder {
        let [registry, mol, psd] = &self.logs;
        let registry_note = registry.note(registry.size(), &[]);
        let (mol_note, psd_note) = (mol.note(mol.size(), &[0]), psd.note(psd.size(), &[0]));
        let withheld = [Tag::Officer, Tag::Subject];
        let mut builder = Builder::new(&self.anchor.instance, &self.exchange, ASKED_US + 7_200_000_000)
            .statement(mol.piece(2, &mol_note), &withheld)
            .statement(mol.piece(3, &mol_note), &[])
            .statement(psd.piece(2, &psd_note), &[])
            .statement(psd.piece(3, &psd_note), &[])
            .snapshot(self.snapshot.clone(), self.snapshot_note.clone(), self.shown())
            .schema(Bytes::from_static(SCHEMA));
        for index in 1..registry.size() {
            builder = builder.registry_entry(registry.piece(index, &registry_note));
        }
        for der in &self.certificates {
            builder = builder.certificate(der.clone());
        }
        builder
    }

    /// The exchange, and a question that was refused at home, in one set.
    pub(crate) fn set(&self) -> EvidenceSet {
        let mut network = self.clone();
        network.exchange = ExchangeId::new_v7(ASKED_US + 60_000_000, [8; 10]);
        let mut core = network.core(Kind::Refused, 60);
        (core.rule, core.status) = ("NO_AGREEMENT".into(), 7);
        core.agreement = Bytes::new();
        let refused = network.put(1, Draft::new(core).purpose("curiosity"), None);
        let [registry, mol, psd] = &network.logs;
        let registry_note = registry.note(registry.size(), &[]);
        let (mol_note, psd_note) = (mol.note(mol.size(), &[0]), psd.note(psd.size(), &[0]));
        let mut builder = SetBuilder::new(&self.anchor.instance, "of one case", ASKED_US + 7_200_000_000);
        for index in [2, 3] {
            builder.statement(
                &self.exchange,
                mol.piece(index, &mol_note),
                &[Tag::Officer, Tag::Subject],
            );
            builder.statement(&self.exchange, psd.piece(index, &psd_note), &[]);
        }
        builder.statement(&network.exchange, mol.piece(refused, &mol_note), &[]);
        builder.snapshot(self.snapshot.clone(), self.snapshot_note.clone(), self.shown());
        builder.schema(Bytes::from_static(SCHEMA));
        for index in 1..registry.size() {
            builder.registry_entry(registry.piece(index, &registry_note));
        }
        for der in &self.certificates {
            builder.certificate(der.clone());
        }
        builder.build()
    }

    pub(crate) fn evidence(&self) -> Evidence {
        self.builder().build()
    }

    pub(crate) fn evidence_file(&self) -> Vec<u8> {
        encode(&self.evidence()).expect("short enough")
    }
}

fn act_core(kind: Kind, seconds_before: u64) -> Core {
    Core {
        format: 1,
        kind: kind as i32,
        instance: "JO".into(),
        created_us: ASKED_US - seconds_before * 1_000_000,
        ..Core::default()
    }
}

fn start(log: &mut Log, which: usize, inputs: &Inputs) {
    let mut certificates = vec![inputs.issuing.clone(), inputs.root.clone()];
    if let Some(member) = which.checked_sub(1) {
        certificates.insert(0, inputs.members[member].seal_certificate.clone());
    }
    let act = Started {
        origin: ORIGINS[which].into(),
        certificates,
        seal_key: Bytes::copy_from_slice(&public(&pair(&seed_of(which)))),
        succeeds: Vec::new(),
    };
    log.append(close(Draft::new(act_core(Kind::Started, 3600)).act(&act), which, 0));
}

fn agree(log: &mut Log, which: usize, inputs: &Inputs, document: &Bytes) {
    let member = &inputs.members[which - 1];
    let act = Agreed {
        agreement: digest("jisr.agreement", document),
        member: origin(which).member().expect("a node's").to_string(),
        certificates: vec![member.officer.clone(), member.local_ca.clone()],
        signature: member.signature.clone(),
    };
    log.append(close(Draft::new(act_core(Kind::Agreed, 3000)).act(&act), which, 1));
}

fn node(which: usize, inputs: &Inputs) -> Node {
    let origin = origin(which);
    let member = &inputs.members[which - 1];
    let code = origin.member().expect("a node's").code();
    Node {
        id: origin.node().expect("a node's").to_string(),
        origin: origin.to_string(),
        address: format!("{code}.jo.example:7443"),
        // Only its digest counts here.
        tls_certificates: vec![format!("DER of the TLS certificate of {code}").into()],
        seal_certificate: member.seal_certificate.clone(),
        seal_key: Bytes::copy_from_slice(&public(&pair(&seed_of(which)))),
        witness_key: Bytes::copy_from_slice(&public(&pair(&witness_seed(which)))),
        local_ca: Bytes::copy_from_slice(&sha256(&[&member.local_ca])),
        entry: 0,
    }
}

fn key_set(nodes: &[Node; 2]) -> Vec<Hash> {
    let keys = |node: &Node| [&node.seal_certificate, &node.seal_key, &node.witness_key].map(|item| sha256(&[item]));
    let mut items: Vec<Hash> = nodes.iter().flat_map(keys).collect();
    items.sort_unstable();
    items
}

/// The registry's entries; returns header and rows of the snapshot that the last of them publishes.
fn register(logs: &mut [Log; 3], nodes: &[Node; 2], inputs: &Inputs, document: &Bytes) -> (Bytes, Rows) {
    let agreed = [1, 2].map(|which| logs[which].sealed(1, 2)).to_vec();
    let registry = &mut logs[0];
    let put = |registry: &mut Log, draft: Draft| {
        let index = registry.size();
        registry.append(close(draft, 0, index))
    };
    let mut listed = Vec::new();
    for node in nodes {
        let act = NodeAct {
            node: Some(node.clone()),
            token: Bytes::from_static(&[9; 32]),
        };
        let entry = put(registry, Draft::new(act_core(Kind::NodeEnrolled, 3500)).act(&act));
        listed.push(Node { entry, ..node.clone() });
    }
    let service = Service {
        name: SERVICE.into(),
        provider: "JO/GOV/psd/residency".into(),
        schema: digest("jisr.schema", SCHEMA),
        title_ar: "تصاريح الإقامة".into(),
        title_en: "Residence permits".into(),
        ..Service::default()
    };
    let act = ServiceAct {
        service: Some(service.clone()),
        node: listed[1].id.clone(),
        withdrawn: false,
    };
    let entry = put(registry, Draft::new(act_core(Kind::ServicePublished, 3400)).act(&act));
    let service = Service { entry, ..service };
    let act = AgreementAct {
        document: document.clone(),
        agreed,
    };
    let entry = put(
        registry,
        Draft::new(act_core(Kind::AgreementRegistered, 2900)).act(&act),
    );
    let row = AgreementRow {
        digest: digest("jisr.agreement", document),
        document: document.clone(),
        entry,
    };
    let (rows, _) = Rows::default().next(
        stands(inputs, service, row)
            .into_iter()
            .chain(listed.into_iter().map(State::Node))
            .map(row_bytes),
    );
    let header = Header {
        instance: "JO".into(),
        version: 1,
        created_us: ASKED_US - 2_800_000_000,
        expires_us: ASKED_US + 256_400_000_000,
        previous: None,
        rows: rows.len(),
        root: rows.root(),
        digest: [0; 32],
    };
    let bytes = header.encode();
    let act = SnapshotAct {
        version: 1,
        digest: digest("jisr.snapshot", &bytes),
        expires_us: header.expires_us,
    };
    put(registry, Draft::new(act_core(Kind::SnapshotPublished, 2800)).act(&act));
    (bytes, rows)
}

/// What the snapshot says besides its nodes.
fn stands(inputs: &Inputs, service: Service, agreement: AgreementRow) -> Vec<State> {
    let member = |id: &str, ar: &str, en: &str| Member {
        id: id.into(),
        name_ar: ar.into(),
        name_en: en.into(),
        entry: 0,
        ..Member::default()
    };
    vec![
        State::Member(member("JO/GOV/mol", "وزارة العمل", "Ministry of Labour")),
        State::Member(member("JO/GOV/psd", "مديرية الأمن العام", "Public Security Directorate")),
        State::Service(service),
        State::Agreement(agreement),
        State::Witness(Witness {
            name: WITNESSES[0].into(),
            key: Bytes::copy_from_slice(&public(&pair(&witness_seed(0)))),
            operator: "JO/registry".into(),
        }),
        State::Quorum(QuorumRow {
            routine: 1,
            standard: 1,
            high: 1,
        }),
        State::Authority(Authority {
            kind: ISSUING.into(),
            certificate: inputs.issuing.clone(),
        }),
    ]
}

fn snapshot_note(snapshot: &Bytes) -> Bytes {
    let text = SnapshotText {
        name: "jisr/JO/snapshot".into(),
        version: 1,
        digest: domain("jisr.snapshot", &[snapshot]),
        expires_s: (ASKED_US + 256_400_000_000) / 1_000_000,
    };
    let text = text.text();
    let line = signature_line(&snapshot_key(), pair(&SNAPSHOT_SEED).sign(text.as_bytes()).as_ref());
    assemble(&text, [line.as_str()]).into()
}

/// The registry's witness counts, and MoL's.
fn anchor(inputs: &Inputs) -> Anchor {
    let witness = |which: usize| AnchorWitness {
        key: VerifierKey::new_witness(WITNESSES[which], public(&pair(&witness_seed(which)))).expect("a good key"),
        operator: origin(which).operator(),
    };
    Anchor {
        instance: "JO".parse().expect("an instance"),
        root: inputs.root_hash(),
        registry_origin: origin(0),
        registry_key: seal_key(0),
        snapshot_key: snapshot_key(),
        witnesses: vec![witness(0), witness(1)],
        quorum: Quorum {
            routine: 1,
            standard: 1,
            high: 1,
            registry: 0,
        },
        time_stamps: Vec::new(),
    }
}
