//! A token is good for one node, once, for a time; what a request asks for counts for nothing but its key.

use bytes::Bytes;
use jisr_certs::profile;
use jisr_certs::tls::peer_identity;
use jisr_ledger::note::{self, VerifierKey};
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;

use crate::world::{NOON_US, NodeDraft, World, reason};

const NODE: &str = "JO/GOV/mol/node/node1";

#[tokio::test]
async fn a_token_says_what_a_newcomer_needs() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let token = world.token(NODE).await;
    assert_eq!((token.instance.as_str(), token.node.as_str()), ("JO", NODE));
    assert_eq!(token.registry, world.registry().address().to_string());
    assert_eq!(token.root.as_ref(), world.anchor().root);
    assert_eq!(token.expires_us, NOON_US + 24 * 3_600_000_000);
    let key: VerifierKey = token.registry_key.parse().unwrap();
    assert_eq!(key, world.anchor().registry_key);
    assert!(note::open(&token.checkpoint, &key).unwrap().size > 3);
    let stored = std::fs::read(world.config.data.join("ledger/segments/00000000000000000000.seg")).unwrap();
    assert!(
        !stored.windows(32).any(|window| window == token.secret.as_ref()),
        "the ledger holds the secret"
    );
    world.finish(()).await;
}

#[tokio::test]
async fn a_token_is_good_for_one_set_of_keys() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let token = world.token(NODE).await;
    let draft = NodeDraft::new(world.dir.path(), NODE);
    let request = draft.request(&token);
    let mut registry = world.call(None).await;
    let enrolled = registry.enrol(request.clone()).await.unwrap().into_inner();
    let other = NodeDraft::with_epoch(world.dir.path(), NODE, "2027");
    let refused = registry.enrol(other.request(&token)).await.expect_err("other keys");
    assert!(refused.message().contains("has another TLS key, seal key"), "{refused}");
    assert_eq!(reason::<()>(Err(refused)), Reason::TokenUsed);
    assert_eq!(enrolled.origin, "jisr/JO/GOV/mol/node1/2026");
    assert_eq!(
        enrolled.anchor.parse::<jisr_ledger::anchor::Anchor>().unwrap(),
        world.anchor()
    );
    let root = profile::check_root(enrolled.issuers.last().unwrap(), NOON_US).unwrap();
    let chain = |leaf: &Bytes| [leaf, &enrolled.issuers[0]].map(|der| der.to_vec().into());
    let tls = profile::check_node_tls(&chain(&enrolled.tls_certificate), &root, NOON_US).unwrap();
    assert_eq!(tls.node.as_str(), NODE);
    let seal = profile::check_seal(&chain(&enrolled.seal_certificate), &root, NOON_US).unwrap();
    assert_eq!(seal.origin.as_str(), enrolled.origin);
    assert_eq!(seal.key, draft.seal.public());
    world.finish(registry).await;
}

/// A change of a request.
type Change = fn(&mut wire::EnrolRequest);

#[tokio::test]
async fn whoever_did_not_hear_the_answer_hears_it_again() {
    let mut world = World::new().await;
    world.member("JO/GOV/mol").await;
    let token = world.token(NODE).await;
    let draft = NodeDraft::new(world.dir.path(), NODE);
    let mut registry = world.call(None).await;
    let first = registry.enrol(draft.request(&token)).await.unwrap().into_inner();
    let entries = world.status().await.size;
    // New signatures, the same keys.
    let again = registry.enrol(draft.request(&token)).await.unwrap().into_inner();
    assert_eq!(
        (&first.tls_certificate, &first.seal_certificate, &first.origin),
        (&again.tls_certificate, &again.seal_certificate, &again.origin)
    );
    assert_eq!(world.status().await.size, entries, "it grew the ledger");
    let differ: [(Change, &str); 3] = [
        (|request| request.address = "elsewhere.example:7400".into(), "address"),
        (
            |request| request.witness_key = Bytes::from([9; 32].to_vec()),
            "witness key",
        ),
        (|request| request.local_ca = request.tls_csr.clone(), "local CA"),
    ];
    for (differ, what) in differ {
        let mut request = draft.request(&token);
        differ(&mut request);
        let refused = registry.enrol(request).await.expect_err(what);
        assert!(refused.message().contains(&format!("another {what};")), "{refused}");
        assert_eq!(reason::<()>(Err(refused)), Reason::TokenUsed);
    }
    // Who knows the token and both public keys has no answer for it: each is shown by a signature.
    let mut forged = draft.request(&token);
    let mut csr = forged.seal_csr.to_vec();
    *csr.last_mut().unwrap() ^= 1;
    forged.seal_csr = csr.into();
    assert_eq!(reason(registry.enrol(forged).await), Reason::CsrInvalid);
    let later = draft.request(&token);
    let node = draft.enrolled(again);
    drop(registry);
    world.stop().await;
    world.restart(Some(&node)).await;
    let mut registry = world.call(None).await;
    let after = registry.enrol(later.clone()).await.unwrap().into_inner();
    assert_eq!(after.tls_certificate, first.tls_certificate, "a restart forgot it");
    world.revoke(NODE, 1).await.unwrap();
    let refused = registry.enrol(later.clone()).await.expect_err("it is revoked");
    assert!(refused.message().contains("listed no more"), "{refused}");
    assert_eq!(reason::<()>(Err(refused)), Reason::TokenUsed);
    world.clock.set(token.expires_us);
    let late = wire::EnrolRequest {
        now_us: token.expires_us,
        ..later
    };
    assert_eq!(reason(registry.enrol(late).await), Reason::TokenExpired);
    world.finish(registry).await;
}

#[tokio::test]
async fn nothing_is_looked_at_before_the_token_is_found() {
    let world = World::new().await;
    let mut registry = world.call(None).await;
    // A clock that is off by years, requests that are none: all that is said is that the token is unknown.
    let request = wire::EnrolRequest {
        token: Bytes::from_static(&[7; 32]),
        node: NODE.into(),
        tls_csr: Bytes::from_static(b"no request"),
        local_ca: Bytes::from(vec![0; 9000]),
        ..wire::EnrolRequest::default()
    };
    let refused = registry.enrol(request).await.expect_err("an unknown token");
    assert!(refused.message().contains("issued no such token"), "{refused}");
    assert_eq!(reason::<()>(Err(refused)), Reason::TokenInvalid);
    world.finish(registry).await;
}

#[tokio::test]
async fn enrolments_are_counted_in_all() {
    let world = World::limited(jisr_registry::Limits {
        enrolments_per_minute_all: 2,
        ..jisr_registry::Limits::default()
    })
    .await;
    let mut registry = world.call(None).await;
    for _ in 0..2 {
        assert_eq!(
            reason(registry.enrol(wire::EnrolRequest::default()).await),
            Reason::TokenInvalid
        );
    }
    let refused = registry
        .enrol(wire::EnrolRequest::default())
        .await
        .expect_err("one too many");
    assert!(refused.message().contains("enrolments_per_minute_all"), "{refused}");
    assert_eq!(reason::<()>(Err(refused)), Reason::Overloaded);
    world.finish(registry).await;
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let token = world.token(NODE).await;
    let draft = NodeDraft::new(world.dir.path(), NODE);
    let mut registry = world.call(None).await;
    let garbage = wire::EnrolRequest {
        token: Bytes::from_static(&[7; 32]),
        ..draft.request(&token)
    };
    assert_eq!(reason(registry.enrol(garbage).await), Reason::TokenInvalid);
    let short = wire::EnrolRequest {
        token: Bytes::from_static(&[7; 31]),
        ..draft.request(&token)
    };
    assert_eq!(reason(registry.enrol(short).await), Reason::TokenInvalid);
    let other = NodeDraft::new(world.dir.path(), "JO/GOV/psd/node/node1");
    assert_eq!(
        reason(registry.enrol(other.request(&token)).await),
        Reason::TokenInvalid
    );
    world.clock.set(token.expires_us);
    let late = wire::EnrolRequest {
        now_us: token.expires_us,
        ..draft.request(&token)
    };
    assert_eq!(reason(registry.enrol(late).await), Reason::TokenExpired);
    world.finish(registry).await;
}

#[tokio::test]
async fn a_clock_that_is_off_is_named() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let token = world.token(NODE).await;
    let draft = NodeDraft::new(world.dir.path(), NODE);
    let mut registry = world.call(None).await;
    let off = wire::EnrolRequest {
        now_us: NOON_US - 61_000_000,
        ..draft.request(&token)
    };
    let status = registry.enrol(off).await.expect_err("must be refused");
    assert!(status.message().contains("61 s behind the registry"), "{status}");
    // The token was not used up by it.
    registry.enrol(draft.request(&token)).await.unwrap();
    world.finish(registry).await;
}

#[tokio::test]
async fn requests_and_keys_must_be_sound() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let token = world.token(NODE).await;
    let draft = NodeDraft::new(world.dir.path(), NODE);
    let breaks: [fn(&mut wire::EnrolRequest); 9] = [
        |request| request.tls_csr = request.seal_csr.clone(),
        |request| request.seal_csr = request.tls_csr.clone(),
        |request| request.tls_csr = Bytes::from_static(b"\x30\x03\x02\x01\x00"),
        |request| {
            let mut csr = request.seal_csr.to_vec();
            let last = csr.len() - 1;
            csr[last] ^= 1;
            request.seal_csr = csr.into();
        },
        // The point of small order that every message's signature can be forged for.
        |request| request.witness_key = Bytes::from([&[1u8][..], &[0; 31]].concat()),
        |request| request.witness_key = Bytes::new(),
        |request| request.local_ca = request.tls_csr.clone(),
        |request| request.local_ca = Bytes::from(vec![0x30; 9000]),
        |request| request.address = "nowhere".into(),
    ];
    let mut registry = world.call(None).await;
    for (at, break_it) in breaks.iter().enumerate() {
        let mut request = draft.request(&token);
        break_it(&mut request);
        let reason = reason(registry.enrol(request).await);
        assert!(
            matches!(reason, Reason::CsrInvalid | Reason::RequestInvalid),
            "rule {at}: {reason}"
        );
    }
    registry.enrol(draft.request(&token)).await.unwrap();
    world.finish(registry).await;
}

#[tokio::test]
async fn a_request_that_names_another_gets_its_own_name() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let token = world.token(NODE).await;
    let draft = NodeDraft::new(world.dir.path(), NODE);
    let foreign = jisr_certs::csr::tls_csr(&draft.tls, &"JO/GOV/gid/node/node1".parse().unwrap()).unwrap();
    let request = wire::EnrolRequest {
        tls_csr: foreign.into(),
        ..draft.request(&token)
    };
    let mut registry = world.call(None).await;
    let enrolled = registry.enrol(request).await.unwrap().into_inner();
    let named = peer_identity(&[enrolled.tls_certificate.to_vec().into()]).unwrap();
    assert_eq!(named.as_str(), NODE);
    world.finish(registry).await;
}

#[tokio::test]
async fn keys_are_not_used_twice() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let first = NodeDraft::new(world.dir.path(), NODE);
    let second = NodeDraft::new(world.dir.path(), "JO/GOV/mol/node/node2");
    let mut registry = world.call(None).await;
    let token = world.token(NODE).await;
    registry.enrol(first.request(&token)).await.unwrap();
    let token = world.token("JO/GOV/mol/node/node2").await;
    let seal = wire::EnrolRequest {
        seal_csr: first.request(&token).seal_csr,
        ..second.request(&token)
    };
    assert_eq!(reason(registry.enrol(seal).await), Reason::CsrInvalid);
    let witness = wire::EnrolRequest {
        witness_key: first.request(&token).witness_key,
        ..second.request(&token)
    };
    assert_eq!(reason(registry.enrol(witness).await), Reason::CsrInvalid);
    let one_for_both = Bytes::copy_from_slice(second.seal.public().as_bytes());
    let both = wire::EnrolRequest {
        witness_key: one_for_both,
        ..second.request(&token)
    };
    assert_eq!(reason(registry.enrol(both).await), Reason::CsrInvalid);
    registry.enrol(second.request(&token)).await.unwrap();
    world.finish(registry).await;
}

#[tokio::test]
async fn a_node_that_enrols_again_gets_a_new_origin() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let before = world.node(NODE).await;
    let again = NodeDraft::with_epoch(world.dir.path(), NODE, "2026-2");
    let token = world.token(NODE).await;
    let mut registry = world.call(None).await;
    let enrolled = registry.enrol(again.request(&token)).await.unwrap().into_inner();
    assert_eq!(enrolled.origin, "jisr/JO/GOV/mol/node1/2026-2");
    let mut old = world.call(Some(&before.identity)).await;
    assert_eq!(
        reason(old.proposals(wire::ProposalsRequest {}).await),
        Reason::CallerUnauthenticated
    );
    let now = again.enrolled(enrolled);
    world
        .call(Some(&now.identity))
        .await
        .proposals(wire::ProposalsRequest {})
        .await
        .unwrap();
    world.finish((registry, old)).await;
}

#[tokio::test]
async fn without_a_certificate_nothing_but_enrolment_is_possible() {
    let world = World::new().await;
    let mut registry = world.call(None).await;
    assert_eq!(
        reason(registry.proposals(wire::ProposalsRequest {}).await),
        Reason::CallerUnauthenticated
    );
    assert_eq!(
        reason(registry.follow(wire::FollowRequest::default()).await),
        Reason::CallerUnauthenticated
    );
    let large = wire::EnrolRequest {
        tls_csr: vec![0; 1 << 20].into(),
        ..wire::EnrolRequest::default()
    };
    assert!(registry.enrol(large).await.is_err());
    for _ in 0..world.config.limits.enrolments_per_minute {
        let _ = registry.enrol(wire::EnrolRequest::default()).await;
    }
    assert_eq!(
        reason(registry.enrol(wire::EnrolRequest::default()).await),
        Reason::Overloaded
    );
    world.finish(registry).await;
}
