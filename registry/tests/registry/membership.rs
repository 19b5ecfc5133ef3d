//! Who belongs: members come, change and go by what administrators signed.

use std::os::unix::fs::PermissionsExt;

use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::snapshot as rows;
use jisr_proto::snapshot::AdministrativeAct;
use jisr_proto::status::Fault;

use crate::catalogue::publication;
use crate::world::{World, admission, approval, founding, reason, row, token_order};

const MOL: &str = "JO/GOV/mol";

fn removal(id: &str) -> AdministrativeAct {
    AdministrativeAct {
        removal: Some(rows::Removal {
            member: id.into(),
            reason: "merged with another ministry".into(),
        }),
        ..AdministrativeAct::default()
    }
}

fn change(member: rows::Member) -> AdministrativeAct {
    AdministrativeAct {
        change: Some(rows::MemberChange { member: Some(member) }),
        ..AdministrativeAct::default()
    }
}

async fn members(world: &World) -> Vec<rows::Member> {
    let mut admin = world.admin().await;
    admin
        .members(wire::MembersRequest {})
        .await
        .unwrap()
        .into_inner()
        .members
}

#[tokio::test]
async fn a_member_needs_two_administrators() {
    let world = World::new().await;
    let proposed = world.does("rania", admission(MOL)).await.unwrap();
    assert!(proposed.pending);
    assert_eq!(
        reason(world.does("rania", approval(&proposed.act)).await),
        Reason::FourEyes
    );
    assert_eq!(
        reason(world.does("laila", approval(&proposed.act)).await),
        Reason::RoleMissing,
        "whoever audits does not admit"
    );
    assert!(members(&world).await.is_empty());
    let token = token_order("JO/GOV/mol/node/node1", &[7; 32]);
    let never = world.does("rania", token.clone()).await.unwrap_err();
    let never = Fault::from_tonic(&never).unwrap();
    assert_eq!(never.reason, Reason::NotAdmitted);
    assert!(never.detail.contains("`jisr registry admit`"), "{}", never.detail);
    world.does("omar", approval(&proposed.act)).await.unwrap();
    assert_eq!(
        reason(world.does("omar", approval(&proposed.act)).await),
        Reason::UnknownAct,
        "it waits no more"
    );
    assert_eq!(
        reason(world.does("rania", admission(MOL)).await),
        Reason::AlreadyAdmitted
    );
    world.does("rania", token).await.unwrap();
    world.finish(()).await;
}

#[tokio::test]
async fn names_are_clean_and_in_both_languages() {
    let world = World::new().await;
    let breaks: [fn(&mut rows::Member); 9] = [
        |row| row.name_ar.clear(),
        |row| row.name_en.clear(),
        |row| row.name_ar = "Ministry of Labour".into(),
        |row| row.name_ar.push('\u{202E}'),
        |row| row.name_en.push('\u{2066}'),
        |row| row.name_en.insert(0, '='),
        |row| row.id = "JO/GOV/Mol".into(),
        |row| row.id = "SY/GOV/mol".into(),
        |row| row.entry = 7,
    ];
    for (at, break_it) in breaks.iter().enumerate() {
        let mut bad = row(MOL);
        break_it(&mut bad);
        let act = AdministrativeAct {
            admission: Some(rows::Admission {
                members: vec![row("JO/GOV/gid"), bad],
            }),
            ..AdministrativeAct::default()
        };
        assert_eq!(
            reason(world.does("rania", act).await),
            Reason::RequestInvalid,
            "rule {at}"
        );
    }
    let status = world.status().await;
    assert!(status.members.is_empty() && status.pending_acts == 0);
    assert_eq!(status.origin, "jisr/JO/registry/2026");
    world.finish(()).await;
}

#[tokio::test]
async fn many_members_come_in_by_one_act() {
    let world = World::new().await;
    let codes = ["gid", "moh", "mol", "psd"].map(|code| format!("JO/GOV/{code}"));
    let act = AdministrativeAct {
        admission: Some(rows::Admission {
            members: codes.iter().map(|id| row(id)).collect(),
        }),
        ..AdministrativeAct::default()
    };
    let proposed = world.does("rania", act).await.unwrap();
    // One of them is admitted by another act meanwhile: then none of this one comes in.
    world.member("JO/GOV/moh").await;
    assert_eq!(
        reason(world.does("omar", approval(&proposed.act)).await),
        Reason::AlreadyAdmitted
    );
    assert_eq!(members(&world).await.len(), 1);
    let gone = world.does("omar", removal("JO/GOV/moh")).await.unwrap();
    world.does("rania", approval(&gone.act)).await.unwrap();
    world.does("omar", approval(&proposed.act)).await.unwrap();
    let found: Vec<String> = members(&world).await.into_iter().map(|row| row.id).collect();
    assert_eq!(found, codes);
    world.finish(()).await;
}

#[tokio::test]
async fn a_member_that_lists_subsystems_publishes_under_those_only() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let listing = |codes: &[&str]| {
        let subsystem = |code: &&str| rows::Subsystem {
            code: (*code).to_owned(),
            name_ar: "الإقامة".into(),
            name_en: "Residence".into(),
        };
        rows::Member {
            subsystems: codes.iter().map(subsystem).collect(),
            ..row("JO/GOV/psd")
        }
    };
    let changed = world.does("rania", change(listing(&["borders"]))).await.unwrap();
    assert!(!changed.pending && changed.snapshot_version > 0);
    let mut registry = world.call(Some(&psd.identity)).await;
    let residency = || publication("JO/GOV/psd/residency");
    assert_eq!(reason(registry.publish(residency()).await), Reason::SubsystemNotYours);
    world
        .does("rania", change(listing(&["borders", "residency"])))
        .await
        .unwrap();
    registry.publish(residency()).await.unwrap();
    assert_eq!(
        reason(world.does("rania", change(listing(&["borders"]))).await),
        Reason::RequestInvalid,
        "a service stands under the other one"
    );
    assert_eq!(reason(world.does("rania", change(row(MOL))).await), Reason::NotAdmitted);
    assert_eq!(
        reason(world.does("laila", change(listing(&[]))).await),
        Reason::RoleMissing
    );
    let shown = members(&world).await.remove(0);
    assert_eq!(shown.subsystems.len(), 2);
    assert!(shown.entry > 0);
    world.finish(registry).await;
}

#[tokio::test]
async fn a_member_that_is_removed_takes_its_nodes_and_services_along() {
    let mut world = World::new().await;
    world.member(MOL).await;
    world.member("JO/GOV/psd").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let mut registry = world.call(Some(&psd.identity)).await;
    registry.publish(publication("JO/GOV/psd/residency")).await.unwrap();
    let proposed = world.does("omar", removal("JO/GOV/psd")).await.unwrap();
    assert_eq!(world.status().await.nodes.len(), 2, "it is proposed only");
    world.does("rania", approval(&proposed.act)).await.unwrap();
    let status = world.status().await;
    assert_eq!(
        (status.members.len(), status.nodes.len(), status.services.len()),
        (1, 1, 0)
    );
    let cut = registry.proposals(wire::ProposalsRequest {}).await;
    assert_eq!(reason(cut), Reason::CertificateRevoked);
    drop(registry);
    world.stop().await;
    world.restart(Some(&mol)).await;
    assert_eq!(world.status().await.members, [MOL]);
    world.member("JO/GOV/psd").await;
    world.finish(()).await;
}

#[tokio::test]
async fn only_the_owner_reaches_keys_and_admin_socket() {
    let world = World::new().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.registry().admin_socket()), 0o600);
    assert_eq!(mode(&world.config.data), 0o700);
    assert_eq!(mode(&world.config.data.join("keys")), 0o700);
    let (again, _) = founding(&[("omar", "admit,certify,publish"), ("rania", "admit,certify,publish")]);
    assert!(
        jisr_registry::init(&world.config, &again, world.clock.clone()).is_err(),
        "a second registry in one directory"
    );
    world.finish(()).await;
}
