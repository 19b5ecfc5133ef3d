//! Agreements: registered with both parties' officers, and only as the catalogue allows.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Act;
use jisr_proto::FILE_DESCRIPTOR_SET;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_proto::snapshot::Listing;
use jisr_proto::statement::{AgreedMethod, AgreedPurpose, Agreement, Sealed};

use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};

use crate::catalogue::{SERVICE, publication};
use crate::world::{NOON_US, Node, Nodes, World, reason};

/// A consumer and a provider that has published.
struct Parties {
    world: World,
    mol: Node,
    psd: Node,
    consumer: Nodes,
    provider: Nodes,
}

impl Parties {
    async fn new() -> Parties {
        let world = World::new().await;
        world.member("JO/GOV/mol").await;
        world.member("JO/GOV/psd").await;
        let mol = world.node("JO/GOV/mol/node/node1").await;
        let psd = world.node("JO/GOV/psd/node/node1").await;
        let consumer = world.call(Some(&mol.identity)).await;
        let mut provider = world.call(Some(&psd.identity)).await;
        provider.publish(publication("JO/GOV/psd/residency")).await.unwrap();
        Parties {
            world,
            mol,
            psd,
            consumer,
            provider,
        }
    }

    async fn consumer_agrees(&mut self, document: &Bytes) -> Result<wire::AgreeResponse, tonic::Status> {
        agrees(&mut self.consumer, &self.mol, document).await
    }

    async fn provider_agrees(&mut self, document: &Bytes) -> Result<wire::AgreeResponse, tonic::Status> {
        agrees(&mut self.provider, &self.psd, document).await
    }

    /// What comes of an AGREED of the consumer about the good document.
    async fn refused(&mut self, agreed: Sealed) -> Reason {
        let request = wire::AgreeRequest {
            document: encode(&agreement()),
            agreed: Some(agreed),
        };
        reason(self.consumer.agree(request).await)
    }

    async fn finish(self) {
        drop((self.consumer, self.provider));
        self.world.finish(()).await;
    }
}

async fn agrees(registry: &mut Nodes, node: &Node, document: &Bytes) -> Result<wire::AgreeResponse, tonic::Status> {
    let agreed = node.seal(&node.agreed(document)).await;
    let request = wire::AgreeRequest {
        document: document.clone(),
        agreed: Some(agreed),
    };
    registry.agree(request).await.map(tonic::Response::into_inner)
}

fn agreement() -> Agreement {
    let schema = digest::domain("jisr.schema", &[FILE_DESCRIPTOR_SET]);
    let method = |method: &str| AgreedMethod {
        service: SERVICE.into(),
        method: method.into(),
        schema: Bytes::copy_from_slice(&schema),
        mask: "*".into(),
        no_side_effects: false,
        evidence_class: 2,
    };
    Agreement {
        format: 1,
        instance: "JO".into(),
        consumer: "JO/GOV/mol/permits".into(),
        provider: "JO/GOV/psd/residency".into(),
        methods: vec![method("Status"), method("Administer")],
        purposes: vec![AgreedPurpose {
            code: "work-permit-renewal".into(),
            legal_basis: "قانون العمل، المادة 12".into(),
        }],
        valid_from_us: NOON_US,
        valid_until_us: NOON_US + 86_400_000_000,
        nonce: Bytes::from_static(&[5; 16]),
        ..Agreement::default()
    }
}

/// The contracts of this program with other methods.
fn altered(change: impl FnOnce(&mut Vec<MethodDescriptorProto>)) -> Bytes {
    let mut set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut services = set.file.iter_mut().flat_map(|file| &mut file.service);
    change(
        &mut services
            .find(|service| service.name() == "RegistryAdmin")
            .unwrap()
            .method,
    );
    set.encode_to_vec().into()
}

fn encode(agreement: &Agreement) -> Bytes {
    jisr_proto::canonical::encode(agreement)
}

#[tokio::test]
async fn an_agreement_is_registered_when_both_parties_agreed() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    let first = parties.consumer_agrees(&document).await.unwrap();
    assert!(!first.registered);
    let open = parties
        .provider
        .proposals(wire::ProposalsRequest {})
        .await
        .unwrap()
        .into_inner()
        .proposals;
    assert_eq!(open[0].document, document);
    assert_eq!(open[0].agreed, ["JO/GOV/mol"]);
    let repeated = parties.consumer_agrees(&document).await.unwrap();
    assert!(!repeated.registered, "one party twice is not two parties");
    let second = parties.provider_agrees(&document).await.unwrap();
    assert!(second.registered);
    assert_eq!(second.digest.as_ref(), digest::domain("jisr.agreement", &[&document]));
    let open = parties
        .consumer
        .proposals(wire::ProposalsRequest {})
        .await
        .unwrap()
        .into_inner()
        .proposals;
    assert!(open.is_empty());
    assert!(parties.consumer_agrees(&document).await.unwrap().registered);
    parties.finish().await;
}

#[tokio::test]
async fn the_entry_holds_both_agreed() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    parties.provider_agrees(&document).await.unwrap();
    parties.consumer_agrees(&document).await.unwrap();
    let followed = parties.consumer.follow(wire::FollowRequest::default()).await;
    let mut follow = followed.unwrap().into_inner();
    let told = follow.message().await.unwrap().unwrap();
    let rows = jisr_ledger::snapshot::Rows::default().with(&told.changes).unwrap();
    let listed: jisr_ledger::snapshot::Listed = rows.read().collect();
    assert_eq!(listed.agreements[0].document, document);
    let request = wire::EntriesRequest {
        indexes: vec![listed.agreements[0].entry],
    };
    let entries = parties.consumer.entries(request).await.unwrap().into_inner().entries;
    let key = parties.world.anchor().registry_key;
    let entry = SealVerifier::new().verify(&entries[0], &key).unwrap();
    let Some(Act::Agreement(act)) = entry.statement.act() else {
        panic!("{:?}", entry.statement)
    };
    let speakers: Vec<_> = act.agreed.iter().map(speaker).collect();
    assert_eq!(speakers, ["JO/GOV/mol", "JO/GOV/psd"], "consumer first");
    drop(follow);
    parties.finish().await;
}

fn speaker(sealed: &Sealed) -> String {
    let parsed = jisr_ledger::statement::Parsed::parse(sealed.statement.as_ref().unwrap()).unwrap();
    match parsed.act() {
        Some(Act::Agreed(agreed)) => agreed.member.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_proposal_outlives_a_restart() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    parties.consumer_agrees(&document).await.unwrap();
    parties.world.stop().await;
    parties.world.restart(Some(&parties.mol)).await;
    parties.provider = parties.world.call(Some(&parties.psd.identity)).await;
    assert!(parties.provider_agrees(&document).await.unwrap().registered);
    parties.finish().await;
}

#[tokio::test]
async fn documents_that_break_a_rule_are_refused() {
    let mut parties = Parties::new().await;
    type Break = fn(&mut Agreement);
    let breaks: [(Reason, Break); 19] = [
        (Reason::MaskUnsupported, |a| a.methods[0].mask = "name".into()),
        (Reason::MaskUnsupported, |a| a.methods[1].mask.clear()),
        (Reason::AgreementInvalid, |a| a.format = 2),
        (Reason::AgreementInvalid, |a| a.instance = "SY".into()),
        (Reason::AgreementInvalid, |a| a.methods.clear()),
        (Reason::AgreementInvalid, |a| a.methods[1] = a.methods[0].clone()),
        (Reason::AgreementInvalid, |a| a.methods[0].no_side_effects = true),
        (Reason::AgreementInvalid, |a| a.methods[0].evidence_class = 1),
        (Reason::AgreementInvalid, |a| {
            a.methods[0].schema = Bytes::from_static(&[1; 32])
        }),
        (Reason::UnknownMethod, |a| a.methods[0].method = "Nothing".into()),
        (Reason::UnknownService, |a| {
            a.methods[0].service = "jo.nothing.v1.Here".into()
        }),
        (Reason::UnknownService, |a| a.provider = "JO/GOV/psd/border".into()),
        (Reason::AgreementInvalid, |a| a.purposes.clear()),
        (Reason::AgreementInvalid, |a| a.purposes[0].legal_basis.clear()),
        (Reason::AgreementInvalid, |a| a.nonce.clear()),
        (Reason::AgreementInvalid, |a| a.valid_until_us = a.valid_from_us),
        (Reason::AgreementExpired, |a| {
            (a.valid_from_us, a.valid_until_us) = (1, NOON_US)
        }),
        (Reason::NotAdmitted, |a| a.provider = "JO/GOV/gid/clearance".into()),
        (Reason::AgreementInvalid, |a| a.provider = "JO/GOV/mol/other".into()),
    ];
    for (at, (expected, break_it)) in breaks.iter().enumerate() {
        let mut broken = agreement();
        break_it(&mut broken);
        let found = reason(parties.consumer_agrees(&encode(&broken)).await);
        assert_eq!(found, *expected, "rule {at}");
    }
    let mut doubled = encode(&agreement()).to_vec();
    doubled.extend_from_slice(&[0x08, 0x01]);
    assert_eq!(
        reason(parties.consumer_agrees(&doubled.into()).await),
        Reason::AgreementInvalid
    );
    let open = parties
        .provider
        .proposals(wire::ProposalsRequest {})
        .await
        .unwrap()
        .into_inner()
        .proposals;
    assert!(open.is_empty());
    parties.finish().await;
}

#[tokio::test]
async fn an_officer_s_yes_must_be_the_officer_s() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    let good = parties.mol.agreed(&document);
    let theirs = parties.psd.agreed(&document);

    let mut other = agreement();
    other.nonce = Bytes::from_static(&[6; 16]);
    let wrong_signature = jisr_proto::statement::Agreed {
        signature: parties.mol.signature(&encode(&other)),
        ..good.clone()
    };
    let sealed = parties.mol.seal(&wrong_signature).await;
    assert_eq!(parties.refused(sealed).await, Reason::OfficerInvalid);

    let elsewhere = parties.mol.agreed(&encode(&other));
    let sealed = parties.mol.seal(&elsewhere).await;
    assert_eq!(parties.refused(sealed).await, Reason::AgreementInvalid);

    let foreign_officer = jisr_proto::statement::Agreed {
        member: good.member.clone(),
        ..theirs.clone()
    };
    let sealed = parties.mol.seal(&foreign_officer).await;
    assert_eq!(parties.refused(sealed).await, Reason::OfficerInvalid);

    let for_another = parties.mol.seal(&theirs).await;
    assert_eq!(parties.refused(for_another).await, Reason::OfficerInvalid);

    let no_certificates = jisr_proto::statement::Agreed {
        certificates: Vec::new(),
        ..good.clone()
    };
    let sealed = parties.mol.seal(&no_certificates).await;
    assert_eq!(parties.refused(sealed).await, Reason::OfficerInvalid);

    let in_another_ledger = parties.psd.seal(&good).await;
    assert_eq!(parties.refused(in_another_ledger).await, Reason::SealInvalid);

    let mut altered = parties.mol.seal(&good).await;
    altered.seal.as_mut().unwrap().index += 1;
    assert_eq!(parties.refused(altered).await, Reason::SealInvalid);
    let request = wire::AgreeRequest {
        document: document.clone(),
        agreed: None,
    };
    assert_eq!(reason(parties.consumer.agree(request).await), Reason::SealInvalid);

    assert!(
        !parties.consumer_agrees(&document).await.unwrap().registered,
        "the good one is still accepted"
    );
    parties.finish().await;
}

#[tokio::test]
async fn another_member_s_agreed_registers_nothing() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    let provider_s = parties.psd.seal(&parties.psd.agreed(&document)).await;
    let request = wire::AgreeRequest {
        document: document.clone(),
        agreed: Some(provider_s),
    };
    assert_eq!(reason(parties.consumer.agree(request).await), Reason::SealInvalid);
    parties.world.member("JO/GOV/gid").await;
    let gid = parties.world.node("JO/GOV/gid/node/node1").await;
    let mut third = parties.world.call(Some(&gid.identity)).await;
    assert_eq!(reason(agrees(&mut third, &gid, &document).await), Reason::NotAParty);
    assert!(!parties.consumer_agrees(&document).await.unwrap().registered);
    drop(third);
    parties.finish().await;
}

#[tokio::test]
async fn a_party_revokes_and_nobody_else() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    parties.consumer_agrees(&document).await.unwrap();
    let digest = parties.provider_agrees(&document).await.unwrap().digest;
    parties.world.member("JO/GOV/gid").await;
    let gid = parties.world.node("JO/GOV/gid/node/node1").await;
    let mut third = parties.world.call(Some(&gid.identity)).await;
    let revoke = wire::RevokeAgreementRequest {
        digest: digest.clone(),
        reason: "the duty has ended".into(),
    };
    assert_eq!(reason(third.revoke_agreement(revoke.clone()).await), Reason::NotAParty);
    let silent = wire::RevokeAgreementRequest {
        reason: String::new(),
        ..revoke.clone()
    };
    assert_eq!(
        reason(parties.consumer.revoke_agreement(silent).await),
        Reason::RequestInvalid
    );
    parties.consumer.revoke_agreement(revoke.clone()).await.unwrap();
    assert_eq!(
        reason(parties.provider.revoke_agreement(revoke).await),
        Reason::UnknownAgreement
    );
    assert_eq!(
        reason(parties.provider_agrees(&document).await),
        Reason::AgreementRevoked
    );
    drop(third);
    parties.finish().await;
}

#[tokio::test]
async fn another_schema_is_refused_while_an_agreement_names_this_one() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    parties.consumer_agrees(&document).await.unwrap();
    parties.provider_agrees(&document).await.unwrap();
    // Without the method that is agreed on.
    let changed = wire::PublishRequest {
        schema: altered(|methods| methods.retain(|method| method.name() != "Administer")),
        ..publication("JO/GOV/psd/residency")
    };
    let check = wire::PublishRequest {
        check: true,
        ..changed.clone()
    };
    let told = parties.provider.publish(check).await.unwrap().into_inner();
    let [affected] = told.affected.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(
        affected.agreement,
        digest::domain("jisr.agreement", &[&document]).as_slice()
    );
    assert_eq!(affected.consumer, "JO/GOV/mol/permits");
    assert!(affected.breaks[0].contains("RPC_NO_DELETE"), "{affected:?}");
    let status = parties.provider.publish(changed).await.expect_err("must be refused");
    let digest: String = digest::domain("jisr.agreement", &[&document])
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert!(
        status.message().contains("BREAKING_CHANGE") && status.message().contains(&digest),
        "{status}"
    );
    // Nor can it be withdrawn and come back as another.
    let withdraw = wire::PublishRequest {
        withdraw: true,
        ..publication("JO/GOV/psd/residency")
    };
    assert_eq!(
        reason(parties.provider.publish(withdraw.clone()).await),
        Reason::BreakingChange
    );
    let revoke = wire::RevokeAgreementRequest {
        digest: Bytes::copy_from_slice(&digest::domain("jisr.agreement", &[&document])),
        reason: "a new version".into(),
    };
    parties.provider.revoke_agreement(revoke).await.unwrap();
    parties.provider.publish(withdraw).await.unwrap();
    parties.finish().await;
}

#[tokio::test]
async fn a_schema_that_breaks_nothing_goes_on_with_the_agreement() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    parties.consumer_agrees(&document).await.unwrap();
    parties.provider_agrees(&document).await.unwrap();
    // What nobody agreed on may go.
    let schema = altered(|methods| methods.retain(|method| method.name() != "Administrators"));
    let changed = wire::PublishRequest {
        schema,
        ..publication("JO/GOV/psd/residency")
    };
    let published = parties.provider.publish(changed.clone()).await.unwrap().into_inner();
    assert_eq!(published.version, "1.1.0");
    let older = wire::PublishRequest {
        listing: Some(Listing {
            version: "1.1.0".into(),
            ..Listing::default()
        }),
        ..publication("JO/GOV/psd/residency")
    };
    assert_eq!(reason(parties.provider.publish(older).await), Reason::RequestInvalid);
    // Both schemas can still be had: the agreement names the earlier one.
    for digest in [
        digest::domain("jisr.schema", &[FILE_DESCRIPTOR_SET]).to_vec(),
        published.schema.to_vec(),
    ] {
        let digest = digest.into();
        parties.consumer.schema(wire::SchemaRequest { digest }).await.unwrap();
    }
    // It stands in the ledger, and is believed again.
    let (psd, mut world) = (parties.psd, parties.world);
    drop((parties.consumer, parties.provider));
    world.stop().await;
    world.restart(Some(&psd)).await;
    let mut provider = world.call(Some(&psd.identity)).await;
    provider.publish(changed).await.unwrap();
    world.finish(provider).await;
}

#[tokio::test]
async fn a_revoked_node_s_agreed_does_not_count_any_more() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    parties.consumer_agrees(&document).await.unwrap();
    parties.world.revoke(parties.mol.id.as_str(), 1).await.unwrap();
    assert_eq!(reason(parties.provider_agrees(&document).await), Reason::SealInvalid);
    parties.finish().await;
}

#[tokio::test]
async fn what_concerns_an_agreement_is_shown_to_its_parties_only() {
    let mut parties = Parties::new().await;
    let document = encode(&agreement());
    parties.consumer_agrees(&document).await.unwrap();
    let registered = parties.provider_agrees(&document).await.unwrap();
    let followed = parties.consumer.follow(wire::FollowRequest::default()).await;
    let told = followed.unwrap().into_inner().message().await.unwrap().unwrap();
    let rows = jisr_ledger::snapshot::Rows::default().with(&told.changes).unwrap();
    let listed: jisr_ledger::snapshot::Listed = rows.read().collect();
    let revoked = wire::RevokeAgreementRequest {
        digest: registered.digest,
        reason: "the purpose is over".into(),
    };
    parties.consumer.revoke_agreement(revoked).await.unwrap();
    let registered = listed.agreements[0].entry;
    // The snapshot that shows the agreement follows it, then comes the revocation.
    let indexes = vec![0, registered, registered + 1, registered + 2];
    let request = wire::EntriesRequest { indexes };
    for party in [&mut parties.consumer, &mut parties.provider] {
        let shown = party.entries(request.clone()).await.unwrap().into_inner();
        assert_eq!((shown.entries.len(), shown.withheld.len()), (4, 0));
    }
    parties.world.member("JO/GOV/cspd").await;
    let third = parties.world.node("JO/GOV/cspd/node/node1").await;
    let mut outsider = parties.world.call(Some(&third.identity)).await;
    let shown = outsider.entries(request.clone()).await.unwrap().into_inner();
    let at: Vec<u64> = shown
        .entries
        .iter()
        .map(|entry| entry.seal.as_ref().unwrap().index)
        .collect();
    assert_eq!(at, [0, registered + 1]);
    assert_eq!(shown.withheld, [registered, registered + 2]);
    drop(outsider);

    // Who the parties were is known after a restart too.
    parties.world.stop().await;
    parties.world.restart(Some(&parties.mol)).await;
    parties.provider = parties.world.call(Some(&parties.psd.identity)).await;
    let shown = parties.provider.entries(request).await.unwrap().into_inner();
    assert_eq!((shown.entries.len(), shown.withheld.len()), (4, 0));
    parties.finish().await;
}
