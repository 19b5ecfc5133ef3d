//! What members publish and agree on.

use bytes::Bytes;
use jisr_certs::officer::{Document as OfficersDocument, OfficerKey};
use jisr_node::setup;
use jisr_proto::admin::{AgreeRequest, DescribeServiceRequest, PublishServiceRequest, RevokeAgreementRequest};
use jisr_proto::annotations::ServiceSchema;
use jisr_proto::canonical;
use jisr_proto::ident::SubsystemId;
use jisr_proto::statement::{AgreedMethod, AgreedPurpose, Agreement, Approval};

use crate::messages::probe_schema;
use crate::world::{CONSUMER, PROBE, PROVIDER, PURPOSE, Party, World, member};

/// What an agreement of a story allows.
pub struct Grant<'a> {
    /// Consumer subsystem.
    pub consumer: &'a str,
    /// Provider subsystem.
    pub provider: &'a str,
    /// Methods of the probe service.
    pub methods: &'a [&'a str],
    /// First and last instant, microseconds.
    pub valid_us: (u64, u64),
    /// A consent reference must come along.
    pub consent_required: bool,
}

impl World {
    /// The agreement of most stories.
    pub async fn agree_usual(&self) -> Bytes {
        self.agree(&Grant {
            consumer: CONSUMER,
            provider: PROVIDER,
            methods: &["Read", "Write", "Watch"],
            valid_us: (0, u64::MAX >> 1),
            consent_required: false,
        })
        .await
    }

    /// Revokes an agreement on behalf of a member.
    pub async fn revoke_agreement(&self, code: &str, digest: &Bytes) {
        let request = RevokeAgreementRequest {
            digest: digest.clone(),
            reason: "the law has changed".to_owned(),
        };
        self.party(code)
            .admin()
            .await
            .revoke_agreement(request)
            .await
            .expect("it is that member's agreement");
    }

    /// Publishes the probe.
    pub async fn publish(&self, code: &str, provider: &str) {
        let request = PublishServiceRequest {
            provider: provider.to_owned(),
            service: PROBE.to_owned(),
            schema: probe_schema(),
            ..Default::default()
        };
        let published = self
            .party(code)
            .admin()
            .await
            .publish(request)
            .await
            .expect("the probe can be published");
        self.until_all_hold(published.into_inner().snapshot_version).await;
    }

    /// Concludes an agreement; returns its digest once both nodes hold the snapshot that lists it.
    pub async fn agree(&self, grant: &Grant<'_>) -> Bytes {
        let document = canonical::encode(&self.document(grant).await);
        let mut concluded = None;
        for subsystem in [grant.consumer, grant.provider] {
            let subsystem: SubsystemId = subsystem.parse().expect("a subsystem");
            let party = self.party_of(&subsystem);
            let request = party.sign(&document, self.clock.now_us());
            let response = party
                .admin()
                .await
                .agree(request)
                .await
                .expect("the agreement is right")
                .into_inner();
            concluded = response
                .registered
                .then_some((response.digest, response.snapshot_version));
        }
        let (digest, version) = concluded.expect("both parties agreed");
        self.until_all_hold(version).await;
        digest
    }

    /// The text of an agreement.
    pub async fn document(&self, grant: &Grant<'_>) -> Agreement {
        let provider: SubsystemId = grant.provider.parse().expect("a subsystem");
        let mut admin = self.party_of(&provider).admin().await;
        let described = admin
            .describe_service(DescribeServiceRequest {
                service: PROBE.to_owned(),
            })
            .await;
        let described = described.expect("the probe is published").into_inner();
        let schema = ServiceSchema::parse(&described.schema, PROBE).expect("the schema parses");
        let method = |name: &&str| {
            let method = schema.method(name).expect("a method of the probe");
            AgreedMethod {
                service: PROBE.to_owned(),
                method: (*name).to_owned(),
                schema: described.digest.clone(),
                mask: "*".to_owned(),
                no_side_effects: method.no_side_effects,
                evidence_class: method.evidence_class as u32,
            }
        };
        Agreement {
            format: 1,
            instance: "JO".to_owned(),
            consumer: grant.consumer.to_owned(),
            provider: grant.provider.to_owned(),
            methods: grant.methods.iter().map(method).collect(),
            purposes: vec![AgreedPurpose {
                code: PURPOSE.to_owned(),
                legal_basis: "قانون العمل، المادة 12".to_owned(),
            }],
            consent_required: grant.consent_required,
            rate_per_minute: 0,
            subjects_per_case: 0,
            valid_from_us: grant.valid_us.0,
            valid_until_us: grant.valid_us.1,
            nonce: Bytes::copy_from_slice(&self.clock.now_us().to_be_bytes().repeat(2)),
        }
    }
}

impl Party {
    /// The approval of the officer with this name.
    #[must_use]
    pub fn approve(&self, officer: &str, what: OfficersDocument, document: &[u8], now_us: u64) -> Approval {
        let officer = member(&self.code).officer(&officer.parse().expect("a code"));
        let credential = setup::officer_credential(&self.dir, &officer, now_us).expect("the local CA issues it");
        let key = OfficerKey::from_pem(credential.key_pem().as_bytes()).expect("a fresh key reads");
        Approval {
            certificates: vec![
                Bytes::copy_from_slice(&credential.certificate),
                Bytes::copy_from_slice(&credential.authority),
            ],
            signature: key.sign(what, document).expect("the key signs").into(),
        }
    }

    /// An officer's yes to a document.
    #[must_use]
    pub fn sign(&self, document: &Bytes, now_us: u64) -> AgreeRequest {
        let officer = member(&self.code).officer(&"dalia".parse().expect("a code"));
        let credential = setup::officer_credential(&self.dir, &officer, now_us).expect("the local CA issues it");
        let key = OfficerKey::from_pem(credential.key_pem().as_bytes()).expect("a fresh key reads");
        AgreeRequest {
            document: document.clone(),
            certificates: vec![
                Bytes::copy_from_slice(&credential.certificate),
                Bytes::copy_from_slice(&credential.authority),
            ],
            signature: key.sign_agreement(document).expect("the key signs").into(),
        }
    }
}
