//! Who may: every way to act without being entitled to.

use bytes::Bytes;
use jisr_certs::administrator::AdministratorKey;
use jisr_proto::canonical;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::snapshot as rows;
use jisr_proto::snapshot::AdministrativeAct;
use jisr_proto::status::Fault;
use jisr_registry::Config;

use crate::world::{
    NOON_US, World, admission, approval, credential, credentials, founding, reason, revocation, token_order,
};

const MOL: &str = "JO/GOV/mol";
const NODE: &str = "JO/GOV/mol/node/node1";

fn appointment(name: &str, roles: &str, key: Option<&AdministratorKey>) -> AdministrativeAct {
    let request = |key: &AdministratorKey| {
        key.request(&"JO".parse().unwrap(), &name.parse().unwrap())
            .unwrap()
            .into()
    };
    let roles = if roles.is_empty() {
        0
    } else {
        roles.parse::<jisr_registry::administration::Roles>().unwrap().number()
    };
    AdministrativeAct {
        appointment: Some(rows::Appointment {
            name: name.into(),
            roles,
            request: key.map(request).unwrap_or_default(),
        }),
        ..AdministrativeAct::default()
    }
}

fn rejection(act: &Bytes) -> AdministrativeAct {
    AdministrativeAct {
        rejection: Some(rows::ActRejection {
            act: act.clone(),
            reason: "the name is wrong".into(),
        }),
        ..AdministrativeAct::default()
    }
}

async fn administrators(world: &World) -> Vec<String> {
    let mut admin = world.admin().await;
    let listed = admin.administrators(wire::AdministratorsRequest {}).await.unwrap();
    listed
        .into_inner()
        .administrators
        .into_iter()
        .map(|row| row.name)
        .collect()
}

/// Proposed by one, approved by the other; the certificates that came of it.
async fn both(world: &World, act: AdministrativeAct) -> Result<Vec<Bytes>, tonic::Status> {
    let proposed = world.does("rania", act).await?;
    Ok(world.does("omar", approval(&proposed.act)).await?.certificates)
}

#[tokio::test]
async fn what_nobody_signed_is_not_done() {
    let world = World::new().await;
    let nothing = wire::AdministerRequest { act: None };
    assert_eq!(
        reason(world.admin().await.administer(nothing).await),
        Reason::AdministratorInvalid
    );
    let right = world.administrators["rania"].sign(admission(MOL), NOON_US).unwrap();
    let of_another = world.administrators["omar"]
        .sign(admission("JO/GOV/psd"), NOON_US)
        .unwrap();
    let breaks: [(&str, rows::SignedAct); 4] = [
        (
            "no signature",
            rows::SignedAct {
                signature: Bytes::new(),
                ..right.clone()
            },
        ),
        (
            "another's signature",
            rows::SignedAct {
                signature: of_another.signature.clone(),
                ..right.clone()
            },
        ),
        (
            "another's certificate",
            rows::SignedAct {
                certificate: of_another.certificate.clone(),
                ..right.clone()
            },
        ),
        (
            "another document",
            rows::SignedAct {
                document: of_another.document.clone(),
                ..right.clone()
            },
        ),
    ];
    for (what, signed) in breaks {
        assert_eq!(
            reason(world.submits(signed).await),
            Reason::AdministratorInvalid,
            "{what}"
        );
    }
    let size = world.status().await.size;
    assert_eq!(
        reason(
            world
                .submits(rows::SignedAct {
                    document: Bytes::new(),
                    ..right.clone()
                })
                .await
        ),
        Reason::RequestInvalid
    );
    let mut padded = right.document.to_vec();
    padded.extend([0xF8, 0x3E, 1]);
    let padded = rows::SignedAct {
        document: padded.into(),
        ..right.clone()
    };
    assert!(world.submits(padded).await.is_err(), "bytes behind the document");
    assert_eq!(world.status().await.size, size, "nothing of it stands in the ledger");
    world.submits(right).await.unwrap();
    world.finish(()).await;
}

#[tokio::test]
async fn an_act_is_done_once_and_only_while_its_time_is_near() {
    let world = World::new().await;
    world.member(MOL).await;
    let rania = &world.administrators["rania"];
    let ordered = rania.sign(token_order(NODE, &[1; 32]), NOON_US).unwrap();
    world.submits(ordered.clone()).await.unwrap();
    assert_eq!(reason(world.submits(ordered).await), Reason::ActReplayed);
    let proposed = rania.sign(admission("JO/GOV/psd"), NOON_US).unwrap();
    let act = world.submits(proposed.clone()).await.unwrap().act;
    assert_eq!(
        reason(world.submits(proposed.clone()).await),
        Reason::ActReplayed,
        "while it waits"
    );
    world.does("omar", rejection(&act)).await.unwrap();
    assert_eq!(
        reason(world.submits(proposed).await),
        Reason::ActReplayed,
        "and after it was rejected"
    );
    for wrong_us in [NOON_US - 61_000_000, NOON_US + 61_000_000] {
        let signed = rania.sign(token_order(NODE, &[2; 32]), wrong_us).unwrap();
        let refused = Fault::from_tonic(&world.submits(signed).await.unwrap_err()).unwrap();
        assert_eq!(refused.reason, Reason::ClockSkew);
        let (theirs, ours) = ((wrong_us / 1_000_000).to_string(), (NOON_US / 1_000_000).to_string());
        assert!(
            refused.detail.contains(&theirs) && refused.detail.contains(&ours),
            "{}",
            refused.detail
        );
    }
    let ahead = rania.sign(token_order(NODE, &[3; 32]), NOON_US + 59_000_000).unwrap();
    world.submits(ahead.clone()).await.unwrap();
    world.clock.set(NOON_US + 118_000_000);
    assert_eq!(
        reason(world.submits(ahead).await),
        Reason::ActReplayed,
        "as long as its time would let it pass"
    );
    world.finish(()).await;
}

#[tokio::test]
async fn each_act_takes_its_role() {
    let world = World::new().await;
    world.member(MOL).await;
    let acts = [
        admission("JO/GOV/psd"),
        token_order(NODE, &[1; 32]),
        revocation(NODE, 1),
        appointment("laila", "audit,admit", None),
    ];
    for act in acts {
        let refused = Fault::from_tonic(&world.does("laila", act).await.unwrap_err()).unwrap();
        assert_eq!(refused.reason, Reason::RoleMissing);
        assert!(
            refused.detail.contains("laila has the roles audit"),
            "{}",
            refused.detail
        );
    }
    world.finish(()).await;
}

#[tokio::test]
async fn an_approval_is_for_the_document_that_was_signed() {
    let world = World::new().await;
    let mol = world.does("rania", admission(MOL)).await.unwrap();
    let psd = world.does("rania", admission("JO/GOV/psd")).await.unwrap();
    let signed = world.administrators["omar"].sign(approval(&mol.act), NOON_US).unwrap();
    // Somebody on the way turns the yes to one document into a yes to another.
    let mut changed: AdministrativeAct = canonical::decode(&signed.document).unwrap();
    changed.approval = Some(rows::ActApproval { act: psd.act.clone() });
    let changed = rows::SignedAct {
        document: canonical::encode(&changed),
        ..signed.clone()
    };
    assert_eq!(reason(world.submits(changed).await), Reason::AdministratorInvalid);
    assert_eq!(
        reason(world.does("omar", approval(&vec![9; 32].into())).await),
        Reason::UnknownAct
    );
    assert!(world.status().await.members.is_empty());
    world.submits(signed).await.unwrap();
    assert_eq!(world.status().await.members, [MOL]);
    world.finish(()).await;
}

#[tokio::test]
async fn whoever_has_the_role_or_proposed_it_rejects_with_a_reason() {
    let world = World::new().await;
    let first = world.does("rania", admission(MOL)).await.unwrap();
    assert_eq!(
        reason(world.does("laila", rejection(&first.act)).await),
        Reason::RoleMissing
    );
    let mut wordless = rejection(&first.act);
    wordless.rejection.as_mut().unwrap().reason.clear();
    assert_eq!(reason(world.does("omar", wordless).await), Reason::RequestInvalid);
    world.does("omar", rejection(&first.act)).await.unwrap();
    assert_eq!(
        reason(world.does("omar", approval(&first.act)).await),
        Reason::UnknownAct
    );
    let second = world.does("rania", admission(MOL)).await.unwrap();
    world.does("rania", rejection(&second.act)).await.unwrap();
    assert_eq!(world.status().await.pending_acts, 0);
    world.finish(()).await;
}

#[tokio::test]
async fn an_act_waits_for_thirty_days() {
    let world = World::new().await;
    let proposed = world.does("rania", admission(MOL)).await.unwrap();
    world.clock.set(NOON_US + 30 * 86_400_000_000);
    assert_eq!(
        reason(world.does("omar", approval(&proposed.act)).await),
        Reason::UnknownAct
    );
    assert_eq!(world.status().await.pending_acts, 0);
    world.member(MOL).await;
    world.finish(()).await;
}

#[tokio::test]
async fn an_administrator_is_appointed_and_dismissed_by_two() {
    let mut world = World::new().await;
    let key = AdministratorKey::generate().unwrap();
    let stranger = appointment("dalia", "admit", None);
    assert_eq!(
        reason(world.does("rania", stranger).await),
        Reason::RequestInvalid,
        "a new one needs a request"
    );
    let chain = both(&world, appointment("dalia", "admit", Some(&key))).await.unwrap();
    assert_eq!(chain.len(), 3);
    world.administrators.insert("dalia".into(), credential(&key, &chain));
    let proposed = world.does("dalia", admission(MOL)).await.unwrap();
    assert_eq!(
        reason(world.does("rania", appointment("samir", "admit", Some(&key))).await),
        Reason::CsrInvalid,
        "one key in two names would be four eyes in one head"
    );
    both(&world, appointment("dalia", "", None)).await.unwrap();
    assert_eq!(administrators(&world).await, ["laila", "omar", "rania"]);
    assert_eq!(
        reason(world.does("dalia", admission("JO/GOV/psd")).await),
        Reason::AdministratorInvalid
    );
    assert_eq!(
        reason(world.does("rania", approval(&proposed.act)).await),
        Reason::AdministratorInvalid,
        "nor does what she proposed go on"
    );
    world.stop().await;
    world.restart(None).await;
    assert_eq!(administrators(&world).await, ["laila", "omar", "rania"]);
    world.finish(()).await;
}

#[tokio::test]
async fn a_new_certificate_ends_the_old_one() {
    let mut world = World::new().await;
    let key = AdministratorKey::generate().unwrap();
    let chain = both(&world, appointment("omar", "admit,certify,publish", Some(&key)))
        .await
        .unwrap();
    assert_eq!(
        reason(world.does("omar", admission(MOL)).await),
        Reason::AdministratorInvalid,
        "the key that was stolen"
    );
    world.administrators.insert("omar".into(), credential(&key, &chain));
    world.member(MOL).await;
    world.finish(()).await;
}

#[tokio::test]
async fn a_certificate_that_expired_signs_nothing() {
    let world = World::new().await;
    world.clock.set(NOON_US + 731 * 86_400_000_000);
    let refused = Fault::from_tonic(&world.does("rania", admission(MOL)).await.unwrap_err()).unwrap();
    assert_eq!(refused.reason, Reason::AdministratorInvalid);
    assert!(refused.detail.contains("rania is valid from"), "{}", refused.detail);
    world.finish(()).await;
}

#[tokio::test]
async fn nobody_is_dismissed_whom_the_next_act_needs() {
    let world = World::new().await;
    for (name, roles) in [("omar", ""), ("rania", "admit,certify"), ("omar", "audit")] {
        let refused = world.does("rania", appointment(name, roles, None)).await;
        assert_eq!(reason(refused), Reason::TooFewAdministrators, "{name} {roles}");
    }
    let key = AdministratorKey::generate().unwrap();
    both(&world, appointment("dalia", "admit,certify,publish", Some(&key)))
        .await
        .unwrap();
    // Both are proposed while there are three, and only one of them can be done.
    let first = world.does("rania", appointment("omar", "audit", None)).await.unwrap();
    let second = world.does("omar", appointment("dalia", "", None)).await.unwrap();
    world.does("rania", approval(&second.act)).await.unwrap();
    assert_eq!(
        reason(world.does("omar", approval(&first.act)).await),
        Reason::TooFewAdministrators
    );
    world.finish(()).await;
}

#[tokio::test]
async fn the_witness_policy_takes_two_and_shows_in_the_snapshot() {
    let world = World::new().await;
    world.member(MOL).await;
    let mol = world.node(NODE).await;
    let policy = |quorum: [u32; 3]| AdministrativeAct {
        witness_policy: Some(rows::WitnessPolicy {
            quorum: quorum.to_vec(),
            witnesses: vec![rows::Witness {
                name: "audit.example/witness".into(),
                key: Bytes::copy_from_slice(&mol.response.seal_certificate[..0]),
                operator: "JO/GOV/audit".into(),
            }],
        }),
        ..AdministrativeAct::default()
    };
    assert_eq!(
        reason(world.does("rania", policy([1, 2, 2])).await),
        Reason::RequestInvalid,
        "no key"
    );
    let key = mol.stolen(&world).public().as_bytes().to_vec();
    let with_key = |quorum| {
        let mut act = policy(quorum);
        act.witness_policy.as_mut().unwrap().witnesses[0].key = key.clone().into();
        act
    };
    assert_eq!(
        reason(world.does("rania", with_key([2, 1, 2])).await),
        Reason::RequestInvalid
    );
    assert_eq!(
        reason(world.does("rania", with_key([1, 2, 4])).await),
        Reason::RequestInvalid,
        "so many there are not"
    );
    both(&world, with_key([1, 2, 3])).await.unwrap();
    let shown = crate::snapshots::newest(&world, &mol).await.listed;
    let quorum = shown.quorum.unwrap();
    assert_eq!((quorum.routine, quorum.standard, quorum.high), (1, 2, 3));
    let names: Vec<_> = shown.witnesses.iter().map(|witness| witness.name.as_str()).collect();
    assert_eq!(names, ["audit.example/witness", "jisr/JO/registry/witness"]);
    world.finish(()).await;
}

/// A configuration in a directory of its own.
fn config(dir: &tempfile::TempDir) -> Config {
    let data = dir.path().join("registry");
    let listen = "127.0.0.1:0".parse().unwrap();
    Config::new(
        "JO".parse().unwrap(),
        "2026".parse().unwrap(),
        data,
        listen,
        vec!["localhost".into()],
    )
}

#[tokio::test]
async fn a_registry_is_founded_by_two_for_each_role() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    let clock = std::sync::Arc::new(jisr_ledger::clock::ManualClock::new(NOON_US));
    let few: [&[(&str, &str)]; 4] = [
        &[],
        &[("omar", "admit,certify,publish")],
        &[("omar", "admit,certify,publish"), ("rania", "admit,certify")],
        &[("omar", "admit,certify,publish"), ("omar", "admit,certify,publish")],
    ];
    for who in few {
        let (founding, _) = founding(who);
        assert!(
            jisr_registry::init(&config, &founding, clock.clone()).is_err(),
            "{who:?}"
        );
        assert!(!config.data.exists(), "nothing is made");
    }
    let (mut twice, _) = founding(&[("omar", "admit,certify,publish"), ("rania", "admit,certify,publish")]);
    twice.founders[1].request = twice.founders[0].request.clone();
    assert!(
        jisr_registry::init(&config, &twice, clock).is_err(),
        "one key in two names"
    );
}

#[tokio::test]
async fn a_single_administrator_is_one_until_there_are_two() {
    let mut world = World::unfounded();
    let (mut founding, keys) = founding(&[("omar", "admit,certify,publish")]);
    founding.dangerous_single_administrator = true;
    let made = jisr_registry::init(&world.config, &founding, world.clock.clone()).unwrap();
    world.administrators = credentials(&founding, &keys, &made.certificates);
    world.start().await;
    let alone = async |world: &World, act| {
        let proposed = world.does("omar", act).await?;
        world.does("omar", approval(&proposed.act)).await
    };
    alone(&world, admission(MOL)).await.unwrap();
    let key = AdministratorKey::generate().unwrap();
    let chain = alone(&world, appointment("rania", "admit,certify,publish", Some(&key)))
        .await
        .unwrap();
    world
        .administrators
        .insert("rania".into(), credential(&key, &chain.certificates));
    assert_eq!(
        reason(alone(&world, admission("JO/GOV/psd")).await),
        Reason::FourEyes,
        "from now on two"
    );
    world.member("JO/GOV/psd").await;
    world.finish(()).await;
}
