//! The rules hold for a replayed ledger as for a live request: what the registry writes without administrators has no effect.

use bytes::Bytes;
use jisr_certs::administrator::AdministratorKey;
use jisr_certs::issue::{Issuing, Root};
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::pem;
use jisr_certs::validity::Validity;
use jisr_proto::ident::{Instance, NodeId};
use jisr_proto::reason::Reason;
use jisr_proto::snapshot as wire;
use jisr_proto::snapshot::AdministrativeAct;

use super::{Act, ApproveAct, EnrolAct, Ground, MemberAct, RevokeNodeAct, SnapshotAct, State, StateError, TokenAct};
use crate::administration::{Credential, Signed};

/// 1 June 2026, noon.
const NOON: u64 = 1_780_315_200_000_000;

/// A state in which two administrators were named, and what they sign with.
struct Founded {
    state: State,
    rania: Credential,
    omar: Credential,
    next: u64,
}

fn jo() -> Instance {
    "JO".parse().unwrap()
}

impl Founded {
    fn new() -> Founded {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore::create(dir.path().join("keys"), &KeySecret::passing().unwrap()).unwrap();
        let root = Root::create(&store, &jo(), NOON).unwrap();
        let issuing = Issuing::create(&store, &root, NOON).unwrap();
        let mut rows = Vec::new();
        let mut make = |name: &str| {
            let (key, code) = (AdministratorKey::generate().unwrap(), name.parse().unwrap());
            let request = key.request(&jo(), &code).unwrap();
            let leaf = issuing
                .issue_administrator(&request, &code, Validity::days(NOON, 30))
                .unwrap();
            let chain = [leaf, issuing.certificate().der.clone()];
            rows.push(wire::Administrator {
                name: name.into(),
                roles: 7,
                certificates: chain.iter().map(|der| Bytes::copy_from_slice(der)).collect(),
            });
            let pem = pem::certificates_to_pem(chain.iter().map(AsRef::as_ref));
            Credential::new(key.pem().as_bytes(), pem.as_bytes()).unwrap()
        };
        let (omar, rania) = (make("omar"), make("rania"));
        let mut founded = Founded {
            state: State::new(jo(), root.certificate().clone()),
            rania,
            omar,
            next: 1,
        };
        let founding = wire::AdministratorsAct {
            administrators: rows,
            ..Default::default()
        };
        founded.apply(0, &Act::Administrators(founding)).unwrap();
        founded
    }

    fn apply(&mut self, after: u64, act: &Act) -> Result<(), StateError> {
        self.state.apply(self.next, NOON + after, act)?;
        self.next += 1;
        Ok(())
    }

    fn signed(&self, by: &Credential, act: AdministrativeAct) -> Signed {
        Signed::read(by.sign(act, NOON).unwrap(), &jo()).unwrap()
    }

    /// The admission of mol, proposed; and omar's yes to it.
    fn proposed(&mut self) -> Act {
        let act = AdministrativeAct {
            admission: Some(wire::Admission { members: vec![mol()] }),
            ..Default::default()
        };
        let proposal = self.signed(&self.rania, act);
        let approval = wire::ActApproval {
            act: Bytes::copy_from_slice(&proposal.digest),
        };
        self.apply(10, &Act::Propose(Box::new(proposal))).unwrap();
        let act = AdministrativeAct {
            approval: Some(approval),
            ..Default::default()
        };
        Act::Approve(Box::new(ApproveAct {
            signed: self.signed(&self.omar, act),
            certificates: Vec::new(),
        }))
    }

    fn with_member() -> Founded {
        let mut founded = Founded::new();
        let approval = founded.proposed();
        let effects = founded.state.effects(&approval);
        founded.apply(10, &approval).unwrap();
        for effect in &effects {
            founded.apply(10, effect).unwrap();
        }
        founded
    }

    fn token(&self, number: u8, expires: u64) -> Act {
        let (node, token): (NodeId, _) = ("JO/GOV/mol/node/node1".parse().unwrap(), [number; 32]);
        let order = wire::TokenOrder {
            node: node.to_string(),
            token: Bytes::copy_from_slice(&token),
            expires_us: NOON + expires,
        };
        let act = AdministrativeAct {
            token: Some(order),
            ..Default::default()
        };
        Act::Token(TokenAct {
            node,
            token,
            expires_us: NOON + expires,
            signed: self.signed(&self.rania, act),
        })
    }
}

fn mol() -> wire::Member {
    wire::Member {
        id: "JO/GOV/mol".into(),
        name_ar: "وزارة العمل".into(),
        name_en: "Ministry of Labour".into(),
        ..Default::default()
    }
}

fn enrol(token: u8, seed: u8) -> Act {
    let row = wire::Node {
        id: "JO/GOV/mol/node/node1".into(),
        origin: format!("jisr/JO/GOV/mol/node1/2026-{}", u32::from(seed) + 2),
        address: "127.0.0.1:7000".into(),
        tls_certificates: vec![Bytes::from(vec![seed; 3])],
        seal_certificate: Bytes::from(vec![seed; 4]),
        seal_key: Bytes::from(vec![seed; 32]),
        witness_key: Bytes::from(vec![seed + 100; 32]),
        local_ca: Bytes::from(vec![7; 32]),
        entry: 0,
    };
    Act::Enrol(EnrolAct {
        row,
        token: [token; 32],
    })
}

fn reason(outcome: Result<(), StateError>) -> Reason {
    match outcome.expect_err("must be refused") {
        StateError::Rule(refusal) => refusal.reason,
        other => panic!("{other}"),
    }
}

#[test]
fn a_registry_that_invents_an_act_is_not_followed() {
    let mut one = Founded::with_member();
    one.apply(10, &one.token(1, 20)).unwrap();
    one.apply(11, &enrol(1, 1)).unwrap();
    let before = one.state.clone();
    let founding = before.administrators().iter().map(|(name, row)| wire::Administrator {
        name: name.to_string(),
        roles: 7,
        certificates: row.chain.clone(),
    });
    let revoked = |ground| RevokeNodeAct {
        certificates: vec![[9; 32]],
        reason: 4,
        node: "JO/GOV/mol/node/node1".parse().unwrap(),
        ground,
    };
    let policy = wire::WitnessPolicyAct::default();
    let removal = wire::MemberRemovalAct {
        member: "JO/GOV/mol".into(),
        reason: "why".into(),
        act: vec![1; 32].into(),
    };
    let inventions = [
        Act::Admit(MemberAct {
            row: mol(),
            act: [1; 32],
        }),
        Act::Remove(removal),
        Act::WitnessPolicy(policy),
        Act::Administrators(wire::AdministratorsAct {
            administrators: founding.collect(),
            ..Default::default()
        }),
        Act::RevokeNode(revoked(Ground::Superseded)),
        Act::RevokeNode(revoked(Ground::Removed([1; 32]))),
    ];
    for (at, act) in inventions.iter().enumerate() {
        assert_eq!(
            reason(one.apply(12, act)),
            Reason::AdministratorInvalid,
            "invention {at}"
        );
    }
    // What was signed for one node does not do for another time, or another token.
    let Act::Token(mut other) = one.token(2, 20) else {
        panic!()
    };
    other.expires_us += 1;
    assert_eq!(
        reason(one.apply(12, &Act::Token(other.clone()))),
        Reason::AdministratorInvalid
    );
    other.expires_us -= 1;
    other.signed.wire.signature = vec![0; 70].into();
    assert_eq!(reason(one.apply(12, &Act::Token(other))), Reason::AdministratorInvalid);
    assert_eq!(one.state, before, "what is refused changes nothing");
}

#[test]
fn an_approval_does_exactly_what_was_approved_and_at_once() {
    let mut one = Founded::new();
    let approval = one.proposed();
    let effects = one.state.effects(&approval);
    one.apply(10, &approval).unwrap();
    assert!(
        !one.state.is_settled(),
        "a ledger that ends here lacks what was approved"
    );
    let token = one.token(1, 20);
    assert_eq!(reason(one.apply(10, &token)), Reason::Internal, "nothing comes between");
    let [Act::Admit(admitted)] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    let mut other = admitted.clone();
    other.row.name_en = "Ministry of Truth".into();
    assert_eq!(reason(one.apply(10, &Act::Admit(other))), Reason::Internal);
    one.apply(10, &effects[0]).unwrap();
    assert!(one.state.is_settled());
    assert_eq!(one.state.members().len(), 1);
    assert_eq!(reason(one.apply(10, &effects[0])), Reason::AdministratorInvalid, "once");
}

#[test]
fn a_ledger_that_breaks_a_rule_is_not_replayed() {
    let mut one = Founded::new();
    let before = one.state.clone();
    assert_eq!(reason(one.apply(10, &one.token(1, 20))), Reason::NotAdmitted);
    assert_eq!(reason(one.apply(10, &enrol(1, 1))), Reason::TokenInvalid);
    let skipped = SnapshotAct {
        version: 2,
        digest: [0; 32],
        expires_us: NOON + 20,
    };
    assert_eq!(reason(one.apply(10, &Act::Snapshot(skipped))), Reason::RequestInvalid);
    assert_eq!(one.state, before, "what is refused changes nothing");
}

#[test]
fn a_token_is_judged_by_the_time_of_the_entry() {
    let mut one = Founded::with_member();
    one.apply(10, &one.token(1, 20)).unwrap();
    assert_eq!(
        reason(one.state.clone().apply(9, NOON + 20, &enrol(1, 1))),
        Reason::TokenExpired
    );
    one.apply(19, &enrol(1, 1)).unwrap();
    assert_eq!(reason(one.apply(19, &enrol(1, 2))), Reason::TokenUsed);
}

#[test]
fn tokens_do_not_pile_up() {
    let mut one = Founded::with_member();
    for number in 0..16 {
        one.apply(10, &one.token(number, 20)).unwrap();
    }
    assert_eq!(reason(one.apply(10, &one.token(16, 20))), Reason::Overloaded);
    one.apply(20, &one.token(17, 30)).unwrap();
    let forever = one.token(18, 31 * 86_400_000_000);
    assert_eq!(reason(one.apply(20, &forever)), Reason::RequestInvalid);
}

#[test]
fn the_newest_enrolment_is_the_listed_one() {
    let mut one = Founded::with_member();
    let node: NodeId = "JO/GOV/mol/node/node1".parse().unwrap();
    for (number, seed) in [(1, 1), (2, 2)] {
        one.apply(10, &one.token(number, 20)).unwrap();
        one.apply(11, &enrol(number, seed)).unwrap();
    }
    let state = &one.state;
    assert_eq!(state.nodes().len(), 1);
    assert_eq!(state.nodes()[&node].entry, one.next - 1);
    let old = jisr_certs::digest::sha256(&[&[1; 3]]);
    assert!(state.node_by_tls_certificate(&old).is_none());
    assert_eq!(
        state.next_origin(&node, &"2026".parse().unwrap()),
        Some(node.origin(&"2026".parse().unwrap()))
    );
    assert_eq!(
        state.next_origin(&node, &"2026-3".parse().unwrap()),
        Some(node.origin(&"2026-2".parse().unwrap()))
    );
    one.apply(10, &one.token(3, 20)).unwrap();
    assert_eq!(
        reason(one.apply(11, &enrol(3, 1))),
        Reason::RequestInvalid,
        "an origin is listed once"
    );
    assert!(one.state.admitted(&node.member()).is_ok());
}
