//! Questions that are well sealed and not allowed, or not of this time.

use bytes::Bytes;
use jisr_ledger::statement::Draft;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind};
use jisr_tests::{PURPOSE, Question, Rogue};

use super::{end, mol_turns, size};

const MINUTE_US: u64 = 60_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_set_back_or_ahead_is_refused_and_grows_nothing() {
    let (world, rogue) = mol_turns().await;
    let now = rogue.core().created_us;
    let at = |created_us: u64, expires_us: u64| Core {
        created_us,
        expires_us,
        ..rogue.core()
    };
    let cores = [
        (at(now + 3 * MINUTE_US, now + 4 * MINUTE_US), Reason::ClockSkew),
        (at(now - 10 * MINUTE_US, now - 9 * MINUTE_US), Reason::Expired),
        (at(now, now + 60 * MINUTE_US), Reason::LifetimeTooLong),
        // No statement at all: the format wants it to expire after it was made.
        (at(now, now), Reason::SealInvalid),
        (at(now, now - MINUTE_US / 2), Reason::SealInvalid),
    ];
    let before = size(&world);
    let mut line = rogue.greet(&world, "psd").await;
    for (core, reason) in cores {
        let asked = rogue.asked(core).await;
        assert_eq!(line.exchange(&Rogue::request(asked)).await, Err(reason));
    }
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_agreement_does_not_allow_is_refused_in_the_provider_s_ledger() {
    let (world, rogue) = mol_turns().await;
    let zeros = Bytes::from_static(&[0; 32]);
    let wrong: [(&str, Core, &str); 8] = [
        (
            "another agreement",
            Core {
                agreement: zeros.clone(),
                ..rogue.core()
            },
            "AGREEMENT_REVOKED",
        ),
        (
            "another subsystem",
            Core {
                consumer: "JO/GOV/mol/other".to_owned(),
                ..rogue.core()
            },
            "",
        ),
        (
            "another provider subsystem",
            Core {
                provider: "JO/GOV/psd/other".to_owned(),
                ..rogue.core()
            },
            "",
        ),
        (
            "another method",
            Core {
                method: "Erase".to_owned(),
                ..rogue.core()
            },
            "METHOD_NOT_AGREED",
        ),
        (
            "another mask",
            Core {
                mask: "text".to_owned(),
                ..rogue.core()
            },
            "METHOD_NOT_AGREED",
        ),
        (
            "effects denied",
            Core {
                no_side_effects: true,
                ..rogue.core()
            },
            "METHOD_NOT_AGREED",
        ),
        (
            "another schema",
            Core {
                schema: zeros.clone(),
                ..rogue.core()
            },
            "SCHEMA_CHANGED",
        ),
        (
            "other keys",
            Core {
                key_set: zeros.clone(),
                ..rogue.core()
            },
            "KEY_SET_CHANGED",
        ),
    ];
    let mut line = rogue.greet(&world, "psd").await;
    for (what, core, rule) in wrong {
        let told = line.exchange(&Rogue::request(rogue.asked(core).await)).await.unwrap();
        assert_eq!(told.0, Kind::Refused, "{what}: {told:?}");
        assert!(rule.is_empty() || told.1 == rule, "{what}: {told:?}");
    }
    assert_eq!(world.party("psd").backend.calls(), 1, "the honest call");
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_purpose_or_another_message_than_was_sealed_is_refused() {
    let (world, rogue) = mol_turns().await;
    let message = Question::about("9901234567").bytes();
    let mut line = rogue.greet(&world, "psd").await;
    let drafts = [
        (
            Draft::new(rogue.core())
                .purpose("tourism")
                .duty("law")
                .payload(&message),
            "PURPOSE_NOT_AGREED",
        ),
        (
            Draft::new(rogue.core())
                .purpose(PURPOSE)
                .duty("law")
                .payload(b"something else"),
            "PAYLOAD_MISMATCH",
        ),
    ];
    for (draft, rule) in drafts {
        let asked = rogue.sealed(draft).await;
        let told = line.exchange(&Rogue::request(asked)).await.unwrap();
        assert_eq!(told, (Kind::Refused, rule.to_owned()));
    }
    // Without a purpose, or without a commitment to the message, it is no question.
    for draft in [
        Draft::new(rogue.core()).duty("law").payload(&message),
        Draft::new(rogue.core()).purpose(PURPOSE),
    ] {
        let asked = rogue.sealed(draft).await;
        assert_eq!(line.exchange(&Rogue::request(asked)).await, Err(Reason::SealInvalid));
    }
    assert_eq!(world.party("psd").backend.calls(), 1, "the honest call");
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_question_is_refused_and_grows_nothing() {
    let (world, rogue) = mol_turns().await;
    let before = size(&world);
    let mut line = rogue.greet(&world, "psd").await;
    let refused = Core {
        kind: Kind::Refused as i32,
        expires_us: 0,
        payload_bytes: 0,
        status: 7,
        ..rogue.core()
    };
    let refused = rogue
        .sealed(Draft::new(Core {
            rule: "PURPOSE_MISSING".to_owned(),
            ..refused
        }))
        .await;
    assert_eq!(
        line.exchange(&Rogue::request(refused)).await,
        Err(Reason::MalformedStatement)
    );
    let foreign = rogue
        .asked(Core {
            instance: "SY".to_owned(),
            ..rogue.core()
        })
        .await;
    assert_eq!(
        line.exchange(&Rogue::request(foreign)).await,
        Err(Reason::WrongInstance)
    );
    let nameless = rogue
        .asked(Core {
            exchange_id: Bytes::from_static(&[0; 16]),
            ..rogue.core()
        })
        .await;
    assert_eq!(line.exchange(&Rogue::request(nameless)).await, Err(Reason::SealInvalid));
    let newer = rogue
        .asked(Core {
            snapshot_version: 1_000_000,
            ..rogue.core()
        })
        .await;
    assert_eq!(line.exchange(&Rogue::request(newer)).await, Err(Reason::SnapshotBehind));
    assert_eq!(size(&world), before);
    end(world, rogue, "mol").await;
}
