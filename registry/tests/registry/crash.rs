//! What a crash leaves on disk is enough to go on from; what many ask at once is done once.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;

use crate::catalogue::publication;
use crate::world::{NOON_US, NodeDraft, World, admission, approval, reason};

/// Copies what lies on disk at this moment, as a crash would leave it; the socket included, and the secret beside it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        } else {
            drop(std::os::unix::net::UnixListener::bind(target).unwrap());
        }
    }
    let secret = from.with_extension("secret");
    if secret.exists() {
        fs::copy(secret, to.with_extension("secret")).unwrap();
    }
}

#[tokio::test]
async fn everything_acknowledged_survives_a_crash() {
    let mut world = World::new().await;
    world.member("JO/GOV/psd").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    let unused = world.token("JO/GOV/psd/node/node2").await;
    let mut registry = world.call(Some(&psd.identity)).await;
    let published = registry
        .publish(publication("JO/GOV/psd/residency"))
        .await
        .unwrap()
        .into_inner();
    let image = world.dir.path().join("image");
    copy(&world.config.data, &image);
    drop(registry);
    world.stop().await;

    world.config.data = image;
    world.restart(Some(&psd)).await;
    let mut registry = world.call(Some(&psd.identity)).await;
    registry
        .schema(wire::SchemaRequest {
            digest: published.schema,
        })
        .await
        .unwrap();
    let held = wire::FollowRequest {
        version: published.snapshot_version,
        digest: Bytes::new(),
    };
    let newer = registry
        .follow(held)
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap();
    assert!(
        newer.is_some(),
        "a restart never goes back behind a version that was shown"
    );
    let draft = NodeDraft::new(world.dir.path(), "JO/GOV/psd/node/node2");
    let mut nobody = world.call(None).await;
    nobody.enrol(draft.request(&unused)).await.unwrap();
    let other = NodeDraft::with_epoch(world.dir.path(), "JO/GOV/psd/node/node2", "2027");
    assert_eq!(reason(nobody.enrol(other.request(&unused)).await), Reason::TokenUsed);
    world.finish((registry, nobody)).await;
}

#[tokio::test]
async fn a_token_that_two_use_at_once_enrols_one() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    let token = world.token("JO/GOV/psd/node/node1").await;
    let drafts = ["one", "two"].map(|side| NodeDraft::new(&world.dir.path().join(side), "JO/GOV/psd/node/node1"));
    let requests = drafts.each_ref().map(|draft| draft.request(&token));
    let [mut first, mut second] = [world.call(None).await, world.call(None).await];
    let [one, two] = requests;
    let (one, two) = tokio::join!(first.enrol(one), second.enrol(two));
    let refused = if one.is_ok() { two } else { one };
    assert_eq!(reason(refused), Reason::TokenUsed);
    world.finish((first, second)).await;
}

#[tokio::test]
async fn one_request_that_comes_twice_at_once_enrols_once_and_is_answered_twice() {
    let world = World::new().await;
    world.member("JO/GOV/psd").await;
    let token = world.token("JO/GOV/psd/node/node1").await;
    let draft = NodeDraft::new(world.dir.path(), "JO/GOV/psd/node/node1");
    let [mut first, mut second] = [world.call(None).await, world.call(None).await];
    let (one, two) = tokio::join!(first.enrol(draft.request(&token)), second.enrol(draft.request(&token)));
    let [one, two] = [one.unwrap().into_inner(), two.unwrap().into_inner()];
    assert_eq!(one.tls_certificate, two.tls_certificate);
    world.finish((first, second)).await;
}

#[tokio::test]
async fn acts_that_come_together_share_snapshots() {
    let world = World::new().await;
    let before = world.status().await;
    let admin = world.admin().await;
    let signed = |name: &str, act| {
        let act = world.administrators[name].sign(act, NOON_US).unwrap();
        let (mut admin, request) = (admin.clone(), wire::AdministerRequest { act: Some(act) });
        async move { admin.administer(request).await.unwrap().into_inner().act }
    };
    let mut admissions = tokio::task::JoinSet::new();
    for number in 0..40 {
        admissions.spawn(signed("rania", admission(&format!("JO/GOV/m{number}"))));
    }
    let mut approvals = tokio::task::JoinSet::new();
    while let Some(proposed) = admissions.join_next().await {
        approvals.spawn(signed("omar", approval(&proposed.unwrap())));
    }
    approvals.join_all().await;
    let after = world.status().await;
    assert_eq!(after.members.len(), 40);
    let versions = after.snapshot_version - before.snapshot_version;
    assert!((1..=40).contains(&versions), "{versions}");
    world.finish(admin).await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_nothing_half_done() {
    let world = World::new().await;
    for number in 0..20 {
        let admit = world.does("rania", admission(&format!("JO/GOV/m{number}")));
        let _ = tokio::time::timeout(std::time::Duration::from_micros(300 * number), admit).await;
    }
    let mut admin = world.admin().await;
    let waiting = admin.acts(wire::ActsRequest {}).await.unwrap().into_inner().acts;
    for act in waiting {
        let document = act.signed.unwrap().document;
        let digest = jisr_certs::administrator::digest(&document).to_vec();
        world.does("omar", approval(&digest.into())).await.unwrap();
    }
    world.finish(admin).await;
}
