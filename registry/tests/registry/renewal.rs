//! Further TLS certificates: asked for with the present one and the node's seal, listed beside it, older ones withdrawn.

use bytes::Bytes;
use jisr_certs::tls::Identity;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::{csr, digest};
use jisr_ledger::statement::Draft;
use jisr_proto::ident::NodeId;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::statement::{CertificateAsked, Core, Kind, Sealed};

use crate::world::{NOON_US, Node, World, reason};

const DAY_US: u64 = 86_400_000_000;
/// More than half of the seven days is over.
const LATE_US: u64 = NOON_US + 4 * DAY_US;

fn draft_key(world: &World, name: &str) -> TlsKey {
    let secret = jisr_certs::keys::KeySecret::from_bytes(&[7; 32], "a test's secret");
    let dir = world.dir.path().join(format!("renewal-{name}"));
    let store = jisr_certs::keys::KeyStore::create(dir, &secret).unwrap();
    TlsKey::load_or_make(&store, name).unwrap()
}

fn asked(node: &Node, key: &TlsKey, named: &NodeId) -> CertificateAsked {
    CertificateAsked {
        request: csr::tls_csr(key, named).unwrap().into(),
        certificate: Bytes::copy_from_slice(&digest::sha256(&[&node.response.tls_certificate])),
    }
}

async fn sealed(node: &Node, act: &CertificateAsked, at_us: u64) -> Sealed {
    let core = Core {
        kind: Kind::CertificateAsked.into(),
        instance: "JO".into(),
        created_us: at_us,
        ..Core::default()
    };
    let closed = Draft::new(core).act(act).close();
    let stands = node.ledger.append(vec![closed.clone()]).await.unwrap();
    stands.first().unwrap().sealed(&closed)
}

async fn renew(world: &World, by: &Identity, asked: Sealed) -> Result<wire::RenewResponse, tonic::Status> {
    let request = wire::RenewRequest { asked: Some(asked) };
    let answer = world.call(Some(by)).await.renew(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn two() -> (World, Node, Node) {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    world.member("JO/GOV/psd").await;
    let mol = world.node("JO/GOV/mol/node/node1").await;
    let psd = world.node("JO/GOV/psd/node/node1").await;
    world.clock.set(LATE_US);
    (world, mol, psd)
}

fn renewed(key: &TlsKey, answer: &wire::RenewResponse) -> Identity {
    let chain = [&answer.tls_certificate, answer.issuers.first().unwrap()];
    Identity::new(key, chain.iter().map(|der| der.to_vec().into()).collect()).unwrap()
}

#[tokio::test]
async fn a_further_certificate_counts_beside_the_first_until_that_is_retired() {
    let (world, mol, psd) = two().await;
    let key = draft_key(&world, "next");
    let act = asked(&mol, &key, &mol.id);
    let first = sealed(&mol, &act, LATE_US).await;
    let answer = renew(&world, &mol.identity, first).await.unwrap();
    let again = renew(&world, &mol.identity, sealed(&mol, &act, LATE_US).await).await;
    assert_eq!(
        again.unwrap().tls_certificate,
        answer.tls_certificate,
        "the same for the same key"
    );
    let next = renewed(&key, &answer);
    let old_retires = world
        .call(Some(&mol.identity))
        .await
        .retire(wire::RetireRequest {})
        .await;
    assert_eq!(
        reason(old_retires),
        Reason::RequestInvalid,
        "it does not use the new one yet"
    );
    let mut calls = world.call(Some(&mol.identity)).await;
    world
        .call(Some(&next))
        .await
        .retire(wire::RetireRequest {})
        .await
        .unwrap();
    let refused = calls.proposals(wire::ProposalsRequest {}).await;
    assert_eq!(
        reason(refused),
        Reason::CallerUnauthenticated,
        "the old one is listed no more"
    );
    let mut calls = world.call(Some(&next)).await;
    calls.proposals(wire::ProposalsRequest {}).await.unwrap();
    calls.retire(wire::RetireRequest {}).await.unwrap();
    world.finish((mol, psd, calls)).await;
}

#[tokio::test]
async fn nobody_renews_without_the_seal_the_certificate_and_the_names() {
    let (world, mol, psd) = two().await;
    let key = draft_key(&world, "next");
    let act = asked(&mol, &key, &mol.id);
    let good = sealed(&mol, &act, LATE_US).await;
    // A thief of the TLS key seals in a ledger of his own.
    let foreign = sealed(&psd, &act, LATE_US).await;
    assert_eq!(reason(renew(&world, &mol.identity, foreign).await), Reason::SealInvalid);
    // Another member found the statement somewhere.
    assert_eq!(
        reason(renew(&world, &psd.identity, good.clone()).await),
        Reason::SealInvalid
    );
    let names = sealed(&mol, &asked(&mol, &key, &psd.id), LATE_US).await;
    assert_eq!(reason(renew(&world, &mol.identity, names).await), Reason::CsrInvalid);
    let unlisted = CertificateAsked {
        certificate: vec![1; 32].into(),
        ..act.clone()
    };
    let unlisted = sealed(&mol, &unlisted, LATE_US).await;
    assert_eq!(
        reason(renew(&world, &mol.identity, unlisted).await),
        Reason::CertificateInvalid
    );
    let old = sealed(&mol, &act, LATE_US - 61_000_000).await;
    assert_eq!(reason(renew(&world, &mol.identity, old).await), Reason::ClockSkew);
    world.clock.set(NOON_US + DAY_US);
    let early = sealed(&mol, &act, NOON_US + DAY_US).await;
    assert_eq!(reason(renew(&world, &mol.identity, early).await), Reason::Overloaded);
    world.clock.set(LATE_US);
    renew(&world, &mol.identity, good).await.unwrap();
    world.finish((mol, psd)).await;
}

#[tokio::test]
async fn a_restarted_registry_knows_what_it_renewed() {
    let (mut world, mol, psd) = two().await;
    let key = draft_key(&world, "next");
    let asked = sealed(&mol, &asked(&mol, &key, &mol.id), LATE_US).await;
    let next = renewed(&key, &renew(&world, &mol.identity, asked).await.unwrap());
    world.stop().await;
    world.restart(Some(&mol)).await;
    let mut calls = world.call(Some(&next)).await;
    calls.proposals(wire::ProposalsRequest {}).await.unwrap();
    world.finish((mol, psd, calls)).await;
}
