//! Seals that are missing, swapped, of somebody else, or not of this statement.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::canonical;
use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::{ExchangeRequest, ShowRequest, ShowResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind, Sealed};
use jisr_tests::{PURPOSE, Question, Rogue, World};

use super::{end, mol_turns, size};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_that_is_stripped_swapped_or_bent_is_refused() {
    let (world, rogue) = mol_turns().await;
    let asked = rogue.asked(rogue.core()).await;
    let other = rogue.asked(rogue.core()).await;
    let bent = |bend: &dyn Fn(&mut Sealed)| {
        let mut sealed = asked.clone();
        bend(&mut sealed);
        sealed
    };
    let seals = [
        ("stripped", bent(&|sealed| sealed.seal = None)),
        ("no statement", bent(&|sealed| sealed.statement = None)),
        ("of another statement", bent(&|sealed| sealed.seal = other.seal.clone())),
        (
            "another index",
            bent(&|sealed| sealed.seal.as_mut().unwrap().index += 1),
        ),
        (
            "a short path",
            bent(&|sealed| drop(sealed.seal.as_mut().unwrap().path.pop())),
        ),
        (
            "a bent path",
            bent(&|sealed| sealed.seal.as_mut().unwrap().path[0] = Bytes::from_static(&[0; 32])),
        ),
        ("no signature line", bent(&|sealed| strip_signature(sealed))),
        ("another size", bent(&|sealed| replace(sealed, "\n", "\n1"))),
        (
            "a part of another salt",
            bent(&|sealed| sealed.statement.as_mut().unwrap().parts[1].salt = Bytes::from_static(&[0; 32])),
        ),
        (
            "a part left out",
            bent(&|sealed| drop(sealed.statement.as_mut().unwrap().parts.pop())),
        ),
        (
            "a huge proof",
            bent(&|sealed| sealed.seal.as_mut().unwrap().path = vec![Bytes::from_static(&[0; 32]); 10_000]),
        ),
        (
            "a huge note",
            bent(&|sealed| replace(sealed, "\n", &"\n".repeat(100_000))),
        ),
    ];
    let before = size(&world);
    let mut line = rogue.greet(&world, "psd").await;
    for (what, sealed) in seals {
        assert_eq!(
            line.exchange(&Rogue::request(sealed.clone())).await,
            Err(Reason::SealInvalid),
            "{what}"
        );
        assert_eq!(line.settle(&sealed).await, Err(Reason::SealInvalid), "{what}");
    }
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}

fn replace(sealed: &mut Sealed, what: &str, with: &str) {
    let seal = sealed.seal.as_mut().unwrap();
    let note = String::from_utf8(seal.checkpoint.to_vec()).unwrap();
    seal.checkpoint = note.replacen(what, with, 1).into();
}

fn strip_signature(sealed: &mut Sealed) {
    let seal = sealed.seal.as_mut().unwrap();
    let note = String::from_utf8(seal.checkpoint.to_vec()).unwrap();
    let (text, _) = note.split_once("\n\n").unwrap();
    seal.checkpoint = format!("{text}\n\n").into();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_member_s_key_or_certificate_does_not_stand_for_a_statement() {
    let (mut world, rogue) = mol_turns().await;
    world.join("moh").await;
    let other = Rogue::takes_over(&mut world, "moh").await;
    let before = size(&world);
    let right = rogue.asked(rogue.core()).await;
    // moh brings what mol sealed, and what it sealed itself in mol's name; mol brings what moh sealed.
    let foreign = other
        .sealed(
            jisr_ledger::statement::Draft::new(rogue.core())
                .purpose(PURPOSE)
                .payload(&Question::about("9901234567").bytes()),
        )
        .await;
    let mut line = other.greet(&world, "psd").await;
    assert_eq!(line.exchange(&Rogue::request(right)).await, Err(Reason::SealInvalid));
    assert_eq!(
        line.exchange(&Rogue::request(foreign.clone())).await,
        Err(Reason::PeerIdentityMismatch)
    );
    let mut line = rogue.greet(&world, "psd").await;
    assert_eq!(line.exchange(&Rogue::request(foreign)).await, Err(Reason::SealInvalid));
    assert_eq!(size(&world), before);
    drop(other);
    world.parties.remove("moh");
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_shown_nothing_of_an_exchange() {
    let mut world = World::of_two().await;
    let answer = world
        .caller()
        .ask("Write", &Question::about("9901234567"))
        .await
        .expect("it is allowed");
    world.join("moh").await;
    let (party, stranger) = (
        Rogue::takes_over(&mut world, "mol").await,
        Rogue::takes_over(&mut world, "moh").await,
    );
    let exchange: ExchangeId = answer.exchange.parse().unwrap();
    let request = ShowRequest {
        exchange_id: Bytes::copy_from_slice(exchange.as_bytes()),
    };
    let shown: ShowResponse = party.greet(&world, "psd").await.call("Show", &request).await.unwrap();
    assert_eq!(shown.statements.len(), 2, "RECEIVED and ANSWERED");
    let shown: ShowResponse = stranger
        .greet(&world, "psd")
        .await
        .call("Show", &request)
        .await
        .unwrap();
    assert!(shown.statements.is_empty());
    drop(stranger);
    world.parties.remove("moh");
    end(world, party, "mol").await;
}

/// The parts of a right question, around any CORE.
fn forged(rogue: &Rogue, core: &[u8]) -> ExchangeRequest {
    let message = Question::about("9901234567").bytes();
    let commitment = [&[1], digest::domain("jisr.payload", &[&[5; 32], &message]).as_slice()].concat();
    let parts = [
        (1, core),
        (2, PURPOSE.as_bytes()),
        (6, b"law".as_slice()),
        (8, commitment.as_slice()),
    ];
    Rogue::request(rogue.forged(&parts))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicate_and_unknown_critical_fields_of_a_core_are_refused() {
    let (world, rogue) = mol_turns().await;
    let core = || {
        let core = Core {
            tags: Bytes::from_static(&[1, 2, 6, 8]),
            ..rogue.core()
        };
        canonical::encode(&core)
    };
    let append = |bytes: &[u8]| [&core(), bytes].concat();
    let mut line = rogue.greet(&world, "psd").await;
    assert_eq!(
        line.exchange(&forged(&rogue, &core())).await.unwrap().0,
        Kind::Answered,
        "right as it is"
    );
    // Field 1000, a varint: what it means is not known and does not matter, and every digest covers it.
    assert_eq!(
        line.exchange(&forged(&rogue, &append(&[0xc0, 0x3e, 1])))
            .await
            .unwrap()
            .0,
        Kind::Answered
    );
    let cores = [
        // Field 24: no field of Core, below 1000.
        ("an unknown critical field", append(&[0xc0, 0x01, 1])),
        ("a field twice", append(&[0xba, 0x01, 1, 7, 0xba, 0x01, 1, 8])),
        ("a field out of order", append(&[0x10, 1])),
        ("a default value", append(&[0xba, 0x01, 0])),
        ("half a field", append(&[0xba, 0x01, 9])),
        ("a group", append(&[0xc3, 0x3e, 0xc4, 0x3e])),
        (
            "a varint that is longer than need be",
            append(&[0xc0, 0x3e, 0x81, 0x00]),
        ),
    ];
    let before = size(&world);
    for (what, core) in cores {
        assert_eq!(
            line.exchange(&forged(&rogue, &core)).await,
            Err(Reason::SealInvalid),
            "{what}"
        );
    }
    // Without CORE, or with CORE twice, it is no statement either.
    let core = core();
    for parts in [vec![(2, b"purpose".as_slice())], vec![(1, &core[..]), (1, &core[..])]] {
        assert_eq!(
            line.exchange(&Rogue::request(rogue.forged(&parts))).await,
            Err(Reason::SealInvalid)
        );
    }
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}
