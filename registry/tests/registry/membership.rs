//! Admission takes two people, and names in both languages.

use std::os::unix::fs::PermissionsExt;

use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::status::Fault;

use crate::world::{World, admission, approval, reason};

#[tokio::test]
async fn a_member_needs_two_administrators() {
    let world = World::new().await;
    let mut admin = world.admin().await;
    admin.admit(admission("JO/GOV/mol")).await.unwrap();
    assert_eq!(
        reason(admin.approve(approval("JO/GOV/mol", "rania")).await),
        Reason::FourEyes
    );
    assert_eq!(
        reason(admin.approve(approval("JO/GOV/mol", "RANIA")).await),
        Reason::FourEyes
    );
    // With a Cyrillic letter that looks like an `a`, it is still one person.
    assert_eq!(
        reason(admin.approve(approval("JO/GOV/mol", "rani\u{430}")).await),
        Reason::RequestInvalid
    );
    let never = admin.approve(approval("JO/GOV/psd", "omar")).await.unwrap_err();
    let never = Fault::from_tonic(&never).unwrap();
    assert_eq!(never.reason, Reason::NotAdmitted);
    assert!(
        never.detail.contains("run `jisr registry admit` first"),
        "{}",
        never.detail
    );
    let token = wire::IssueTokenRequest {
        node: "JO/GOV/mol/node/node1".into(),
        lifetime_s: 0,
        administrator: "rania".into(),
    };
    assert_eq!(reason(admin.issue_token(token.clone()).await), Reason::NotAdmitted);
    admin.approve(approval("JO/GOV/mol", "omar")).await.unwrap();
    assert_eq!(
        reason(admin.approve(approval("JO/GOV/mol", "laila")).await),
        Reason::AlreadyAdmitted
    );
    assert_eq!(
        reason(admin.admit(admission("JO/GOV/mol")).await),
        Reason::AlreadyAdmitted
    );
    admin.issue_token(token).await.unwrap();
    world.finish(admin).await;
}

#[tokio::test]
async fn names_are_clean_and_in_both_languages() {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let breaks: [fn(&mut wire::AdmitRequest); 8] = [
        |request| request.name_ar.clear(),
        |request| request.name_en.clear(),
        |request| request.name_ar = "Ministry of Labour".into(),
        |request| request.name_ar.push('\u{202E}'),
        |request| request.name_en.push('\u{2066}'),
        |request| request.member = "JO/GOV/Mol".into(),
        |request| request.member = "SY/GOV/mol".into(),
        |request| request.administrator = String::new(),
    ];
    for (at, break_it) in breaks.iter().enumerate() {
        let mut request = admission("JO/GOV/mol");
        break_it(&mut request);
        assert_eq!(reason(admin.admit(request).await), Reason::RequestInvalid, "rule {at}");
    }
    let status = admin.status(wire::RegistryStatusRequest {}).await.unwrap().into_inner();
    assert!(status.members.is_empty());
    assert_eq!(status.origin, "jisr/JO/registry/2026");
    world.finish(admin).await;
}

#[tokio::test]
async fn a_pending_admission_is_corrected_by_admitting_again() {
    let world = World::new().await;
    let mut admin = world.admin().await;
    admin.admit(admission("JO/GOV/mol")).await.unwrap();
    let corrected = wire::AdmitRequest {
        administrator: "omar".into(),
        ..admission("JO/GOV/mol")
    };
    admin.admit(corrected).await.unwrap();
    assert_eq!(
        reason(admin.approve(approval("JO/GOV/mol", "omar")).await),
        Reason::FourEyes
    );
    admin.approve(approval("JO/GOV/mol", "rania")).await.unwrap();
    world.finish(admin).await;
}

#[tokio::test]
async fn only_the_owner_reaches_keys_and_admin_socket() {
    let world = World::new().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.registry().admin_socket()), 0o600);
    assert_eq!(mode(&world.config.data), 0o700);
    assert_eq!(mode(&world.config.data.join("keys")), 0o700);
    assert!(
        jisr_registry::init(&world.config, world.clock.clone()).is_err(),
        "a second registry in one directory"
    );
    world.finish(()).await;
}
