//! A registry that writes what its administrators did not sign gets nowhere with a node that reads.

use bytes::Bytes;
use jisr_certs::administrator::{self, AdministratorKey};
use jisr_certs::issue::{Issuing, Root};
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::validity::Validity;
use jisr_ledger::statement::Draft;
use jisr_proto::canonical;
use jisr_proto::ident::Instance;
use jisr_proto::statement::{Core, Kind};
use prost::Name;

use super::*;

/// 1 June 2026, noon.
const NOON: u64 = 1_780_315_200_000_000;

struct Signer {
    key: AdministratorKey,
    row: wire::Administrator,
}

struct Network {
    founded: Founded,
    rania: Signer,
    omar: Signer,
    next: u64,
    nonce: u8,
}

fn jo() -> Instance {
    "JO".parse().unwrap()
}

fn mol() -> wire::Member {
    wire::Member {
        id: "JO/GOV/mol".into(),
        name_ar: "وزارة العمل".into(),
        ..wire::Member::default()
    }
}

fn digest_of(signed: &wire::SignedAct) -> Bytes {
    Bytes::copy_from_slice(&administrator::digest(&signed.document))
}

impl Network {
    fn new(roles: [u32; 2]) -> Network {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::create(dir.path().join("keys"), &KeySecret::passing().unwrap()).unwrap();
        let root = Root::create(&store, &jo(), NOON).unwrap();
        let issuing = Issuing::create(&store, &root, NOON).unwrap();
        let make = |name: &str, roles: u32| {
            let (key, code) = (AdministratorKey::generate().unwrap(), name.parse().unwrap());
            let request = key.request(&jo(), &code).unwrap();
            let validity = Validity::days(NOON, 30);
            let leaf = issuing.issue_administrator(&request, &code, validity).unwrap();
            let row = wire::Administrator {
                name: name.into(),
                roles,
                certificates: [leaf, issuing.certificate().der.clone()]
                    .iter()
                    .map(|der| Bytes::copy_from_slice(der))
                    .collect(),
            };
            Signer { key, row }
        };
        let (omar, rania) = (make("omar", roles[0]), make("rania", roles[1]));
        let mut network = Network {
            founded: Founded::new(jo(), root.certificate().clone()),
            rania,
            omar,
            next: 1,
            nonce: 0,
        };
        network.found(false).unwrap();
        network
    }

    fn found(&mut self, dangerous_single: bool) -> Result<(), String> {
        let act = wire::AdministratorsAct {
            administrators: vec![self.omar.row.clone(), self.rania.row.clone()],
            act: Bytes::new(),
            dangerous_single,
        };
        self.takes(Kind::AdministratorSet, &act)
    }

    fn takes<M: Name>(&mut self, kind: Kind, act: &M) -> Result<(), String> {
        let core = Core {
            kind: kind.into(),
            instance: "JO".into(),
            created_us: NOON,
            ..Core::default()
        };
        let statement = Draft::new(core).act(act).close().parsed().unwrap();
        self.next += 1;
        self.founded.take(self.next, &statement)
    }

    fn signed(&mut self, by_omar: bool, act: wire::AdministrativeAct) -> wire::SignedAct {
        self.nonce += 1;
        let by = if by_omar { &self.omar } else { &self.rania };
        let document = canonical::encode(&wire::AdministrativeAct {
            format: 1,
            instance: "JO".into(),
            created_us: NOON,
            nonce: vec![self.nonce; 16].into(),
            ..act
        });
        wire::SignedAct {
            signature: by.key.sign(&document).unwrap().into(),
            certificate: by.row.certificates[0].clone(),
            document,
        }
    }

    /// Proposes by rania; the digest of the act.
    fn proposed(&mut self, act: wire::AdministrativeAct) -> Bytes {
        let signed = self.signed(false, act);
        let digest = digest_of(&signed);
        let act = wire::ProposedAct { signed: Some(signed) };
        self.takes(Kind::ActProposed, &act).unwrap();
        digest
    }

    fn approved(&mut self, by_omar: bool, act: &Bytes) -> Result<(), String> {
        let approval = wire::AdministrativeAct {
            approval: Some(wire::ActApproval { act: act.clone() }),
            ..wire::AdministrativeAct::default()
        };
        let approval = wire::ApprovedAct {
            signed: Some(self.signed(by_omar, approval)),
            certificates: Vec::new(),
        };
        self.takes(Kind::ActApproved, &approval)
    }

    fn admitted(&mut self, member: wire::Member, act: &Bytes) -> Result<(), String> {
        let act = wire::MemberAct {
            member: Some(member),
            act: act.clone(),
            signed: None,
        };
        self.takes(Kind::MemberAdmitted, &act)
    }

    fn stands(&self, member: wire::Member) -> bool {
        let row = wire::Row {
            member: Some(member),
            ..wire::Row::default()
        };
        self.founded.stands(&row).is_ok()
    }
}

fn admission() -> wire::AdministrativeAct {
    wire::AdministrativeAct {
        admission: Some(wire::Admission { members: vec![mol()] }),
        ..wire::AdministrativeAct::default()
    }
}

#[test]
fn a_member_takes_two_administrators_who_signed() {
    let mut network = Network::new([7, 7]);
    assert!(network.admitted(mol(), &Bytes::new()).is_err(), "nobody signed");
    let act = network.proposed(admission());
    assert!(network.admitted(mol(), &act).is_err(), "one signed");
    assert!(network.approved(false, &act).is_err(), "the same one twice");
    assert!(network.admitted(mol(), &act).is_err());
    assert!(!network.stands(mol()));
    network.approved(true, &act).unwrap();
    let other = wire::Member {
        name_ar: "وزارة أخرى".into(),
        ..mol()
    };
    assert!(network.admitted(other, &act).is_err(), "another row than was signed");
    network.admitted(mol(), &act).unwrap();
    let listed = wire::Member {
        entry: network.next,
        ..mol()
    };
    assert!(network.stands(listed.clone()));
    assert!(!network.stands(wire::Member { entry: 1, ..listed }));
    assert!(network.admitted(mol(), &act).is_err(), "an approval admits once");
}

#[test]
fn what_was_signed_counts_once_and_by_who_holds_the_role() {
    let mut network = Network::new([7, 7]);
    let signed = network.signed(false, admission());
    let act = wire::ProposedAct {
        signed: Some(signed.clone()),
    };
    network.takes(Kind::ActProposed, &act).unwrap();
    assert!(network.takes(Kind::ActProposed, &act).is_err(), "once");
    let mut bent = signed;
    bent.signature = vec![7; 70].into();
    let act = wire::ProposedAct { signed: Some(bent) };
    assert!(network.takes(Kind::ActProposed, &act).is_err());
    assert!(network.found(true).is_err(), "founded once");
    let other = Network::new([7, 7]);
    // Another network's administrators are strangers here.
    network.omar = other.omar;
    let act = network.proposed(admission());
    let told = network.approved(true, &act).unwrap_err();
    assert!(told.contains("no administrator's"), "{told}");
}

#[test]
fn a_node_takes_a_token_that_an_administrator_ordered() {
    let mut network = Network::new([7, 7]);
    let row = wire::Node {
        id: "JO/GOV/mol/node/node1".into(),
        seal_certificate: Bytes::from_static(b"seal"),
        ..wire::Node::default()
    };
    let enrolled = wire::NodeAct {
        node: Some(row.clone()),
        token: vec![5; 32].into(),
    };
    assert!(network.takes(Kind::NodeEnrolled, &enrolled).is_err(), "no token");
    let order = wire::TokenOrder {
        node: row.id.clone(),
        token: vec![5; 32].into(),
        expires_us: NOON + 1,
    };
    let signed = network.signed(
        false,
        wire::AdministrativeAct {
            token: Some(order.clone()),
            ..wire::AdministrativeAct::default()
        },
    );
    let issued = |node: &str| wire::TokenAct {
        node: node.to_owned(),
        token: order.token.clone(),
        expires_us: order.expires_us,
        signed: Some(signed.clone()),
    };
    assert!(
        network
            .takes(Kind::TokenIssued, &issued("JO/GOV/psd/node/node1"))
            .is_err()
    );
    network.takes(Kind::TokenIssued, &issued(&row.id)).unwrap();
    network.takes(Kind::NodeEnrolled, &enrolled).unwrap();
    assert!(
        network.takes(Kind::NodeEnrolled, &enrolled).is_err(),
        "a token is used once"
    );
    let stands = |network: &Network, node: wire::Node| {
        let row = wire::Row {
            node: Some(node),
            ..wire::Row::default()
        };
        network.founded.stands(&row)
    };
    assert!(stands(&network, row.clone()).is_ok());
    let other = wire::Node {
        seal_key: vec![9; 32].into(),
        ..row.clone()
    };
    assert!(stands(&network, other).is_err(), "another seal key");
    let revoked = wire::CertificateRevocationAct {
        certificates: vec![Bytes::copy_from_slice(&digest::sha256(&[b"seal"]))],
        reason: SUPERSEDED,
        node: row.id.clone(),
        ..wire::CertificateRevocationAct::default()
    };
    assert!(
        network.takes(Kind::CertificateRevoked, &revoked).is_err(),
        "nobody ordered it"
    );
    assert!(stands(&network, row).is_ok(), "and it had no effect");
}

#[test]
fn a_witness_policy_that_nobody_approved_does_not_stand() {
    let mut network = Network::new([7, 7]);
    let policy = wire::WitnessPolicy {
        quorum: vec![1, 1, 2],
        witnesses: Vec::new(),
    };
    let set = |act: Bytes| wire::WitnessPolicyAct {
        policy: Some(policy.clone()),
        act,
    };
    let row = wire::Row {
        quorum: Some(wire::Quorum {
            routine: 1,
            standard: 1,
            high: 2,
        }),
        ..wire::Row::default()
    };
    assert!(
        network.founded.stands(&row).is_ok(),
        "it may be the one from the beginning"
    );
    assert!(network.takes(Kind::WitnessPolicySet, &set(Bytes::new())).is_err());
    assert!(network.founded.stands(&row).is_err());
    let act = network.proposed(wire::AdministrativeAct {
        witness_policy: Some(policy.clone()),
        ..wire::AdministrativeAct::default()
    });
    network.approved(true, &act).unwrap();
    network.takes(Kind::WitnessPolicySet, &set(act)).unwrap();
    assert!(network.founded.stands(&row).is_ok());
}

#[test]
fn founders_are_two_unless_it_is_said_from_the_first() {
    let mut network = Network::new([7, 7]);
    network.founded = Founded::new(jo(), network.founded.root.clone());
    network.omar.row.roles = 3;
    assert!(network.found(false).is_err());
    network.found(true).unwrap();
    let act = network.proposed(admission());
    network.approved(false, &act).unwrap();
}
