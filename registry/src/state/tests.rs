//! The rules hold for a replayed ledger as for a live request.

use bytes::Bytes;
use jisr_proto::ident::{MemberId, NodeId};
use jisr_proto::reason::Reason;
use jisr_proto::snapshot as wire;

use super::{Act, EnrolAct, MemberAct, SnapshotAct, State, StateError, TokenAct};

fn state() -> State {
    State::new("JO".parse().unwrap())
}

fn member(administrator: &str) -> MemberAct {
    MemberAct {
        member: "JO/GOV/mol".parse().unwrap(),
        name_ar: "وزارة العمل".into(),
        name_en: "Ministry of Labour".into(),
        administrator: administrator.into(),
    }
}

fn token(number: u8, expires_us: u64) -> Act {
    let node = "JO/GOV/mol/node/node1".parse().unwrap();
    Act::Token(TokenAct {
        node,
        token: [number; 32],
        expires_us,
        administrator: "rania".into(),
    })
}

fn enrol(token: u8, seed: u8) -> Act {
    let row = wire::Node {
        id: "JO/GOV/mol/node/node1".into(),
        origin: format!("jisr/JO/GOV/mol/node1/2026-{}", u32::from(seed) + 2),
        address: "127.0.0.1:7000".into(),
        tls_certificate: Bytes::from(vec![seed; 3]),
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

fn with_member() -> State {
    let mut state = state();
    state.apply(1, 10, &Act::Admit(member("rania"))).unwrap();
    state.apply(2, 10, &Act::Approve(member("omar"))).unwrap();
    state
}

#[test]
fn a_ledger_that_breaks_a_rule_is_not_replayed() {
    let mut one = state();
    one.apply(1, 10, &Act::Admit(member("rania"))).unwrap();
    let before = one.clone();
    assert_eq!(
        reason(one.apply(2, 10, &Act::Approve(member("rania")))),
        Reason::FourEyes
    );
    for lookalike in ["Rania", "r\u{430}nia"] {
        assert_eq!(
            reason(one.apply(2, 10, &Act::Approve(member(lookalike)))),
            Reason::RequestInvalid
        );
    }
    assert_eq!(reason(one.apply(2, 10, &token(1, 20))), Reason::NotAdmitted);
    assert_eq!(reason(one.apply(2, 10, &enrol(1, 1))), Reason::TokenInvalid);
    let skipped = SnapshotAct {
        version: 2,
        digest: [0; 32],
        expires_us: 20,
    };
    assert_eq!(
        reason(one.apply(2, 10, &Act::Snapshot(skipped))),
        Reason::RequestInvalid
    );
    assert_eq!(one, before, "what is refused changes nothing");
}

#[test]
fn a_token_is_judged_by_the_time_of_the_entry() {
    let mut state = with_member();
    state.apply(3, 10, &token(1, 20)).unwrap();
    assert_eq!(reason(state.clone().apply(4, 20, &enrol(1, 1))), Reason::TokenExpired);
    state.apply(4, 19, &enrol(1, 1)).unwrap();
    assert_eq!(reason(state.apply(5, 19, &enrol(1, 2))), Reason::TokenUsed);
}

#[test]
fn tokens_do_not_pile_up() {
    let mut state = with_member();
    for number in 0..16 {
        state.apply(3, 10, &token(number, 20)).unwrap();
    }
    assert_eq!(reason(state.apply(4, 10, &token(16, 20))), Reason::Overloaded);
    state.apply(4, 20, &token(17, 30)).unwrap();
}

#[test]
fn the_newest_enrolment_is_the_listed_one() {
    let mut state = with_member();
    let node: NodeId = "JO/GOV/mol/node/node1".parse().unwrap();
    for (number, seed) in [(1, 1), (2, 2)] {
        state.apply(3, 10, &token(number, 20)).unwrap();
        state.apply(4 + u64::from(seed), 11, &enrol(number, seed)).unwrap();
    }
    assert_eq!(state.nodes().len(), 1);
    assert_eq!(state.nodes()[&node].entry, 6);
    let old = jisr_certs::digest::sha256(&[&[1; 3]]);
    assert!(state.node_by_tls_certificate(&old).is_none());
    state.apply(9, 10, &token(3, 20)).unwrap();
    assert_eq!(
        reason(state.apply(10, 11, &enrol(3, 1))),
        Reason::RequestInvalid,
        "an origin is listed once"
    );
    assert_eq!(
        state.next_origin(&node, &"2026".parse().unwrap()),
        Some(node.origin(&"2026".parse().unwrap()))
    );
    assert_eq!(
        state.next_origin(&node, &"2026-3".parse().unwrap()),
        Some(node.origin(&"2026-2".parse().unwrap()))
    );
    let member: MemberId = node.member();
    assert_eq!(state.approved(&member), Ok(2));
}
