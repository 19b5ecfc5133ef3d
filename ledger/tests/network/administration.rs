//! Each act of an administrator, as it is signed.

use super::network::{ASKED_US, Inputs, Network, hex};
use bytes::Bytes;
use jisr_certs::digest::domain;
use jisr_proto::{
    canonical,
    snapshot::{
        ActApproval, ActRejection, AdministrativeAct, Admission, Appointment, Confirmation, Contact, ContactRole,
        Member, MemberChange, Removal, RevocationOrder, Subsystem, TokenOrder, Witness, WitnessPolicy,
    },
};
use serde_json::{Value, json};

const DOMAIN: &str = "jisr.administration";

/// Document, signed bytes and digest of each.
pub(crate) fn vector(network: &Network, inputs: &Inputs) -> Value {
    let admission = act(1, |act| {
        act.admission = Some(Admission {
            members: vec![member()],
        });
    });
    let digest = Bytes::copy_from_slice(&domain(DOMAIN, &[&admission]));
    let approved = digest.clone();
    let acts = [
        ("removal", act(2, |act| act.removal = Some(removal()))),
        (
            "change",
            act(3, |act| {
                act.change = Some(MemberChange { member: Some(member()) });
            }),
        ),
        ("token", act(4, |act| act.token = Some(token()))),
        ("revocation", act(5, |act| act.revocation = Some(revocation(inputs)))),
        ("appointment", act(6, |act| act.appointment = Some(appointment()))),
        (
            "witness_policy",
            act(7, |act| act.witness_policy = Some(policy(network))),
        ),
        (
            "approval",
            act(8, |act| act.approval = Some(ActApproval { act: approved })),
        ),
        (
            "rejection",
            act(9, |act| {
                act.rejection = Some(ActRejection {
                    act: digest,
                    reason: "it stands there already".into(),
                });
            }),
        ),
        (
            "confirmation",
            act(10, |act| act.confirmation = Some(confirmation(network))),
        ),
    ];
    let told = |(name, document): (&str, Vec<u8>)| {
        let shown = json!({
            "document": hex(&document),
            "signed_bytes": hex(&[DOMAIN.as_bytes(), b"\x01", &document].concat()),
            "digest": hex(&domain(DOMAIN, &[&document])),
        });
        (name.to_owned(), shown)
    };
    let acts: serde_json::Map<String, Value> = [("admission", admission)].into_iter().chain(acts).map(told).collect();
    Value::Object(acts)
}

fn act(number: u8, fill: impl FnOnce(&mut AdministrativeAct)) -> Vec<u8> {
    let mut act = AdministrativeAct {
        format: 1,
        instance: "JO".into(),
        created_us: ASKED_US + u64::from(number) * 1_000_000,
        nonce: Bytes::copy_from_slice(&[number; 16]),
        ..AdministrativeAct::default()
    };
    fill(&mut act);
    canonical::encode(&act).to_vec()
}

fn member() -> Member {
    Member {
        id: "JO/GOV/moh".into(),
        name_ar: "وزارة الصحة".into(),
        name_en: "Ministry of Health".into(),
        subsystems: vec![Subsystem {
            code: "clearance".into(),
            name_ar: "الفحوصات".into(),
            name_en: "Clearance".into(),
        }],
        contacts: vec![Contact {
            role: ContactRole::Operations as i32,
            name: "Operations".into(),
            email: "ops@moh.example.jo".into(),
            phone: "+962 6 000 0000".into(),
        }],
        ..Member::default()
    }
}

fn removal() -> Removal {
    Removal {
        member: "JO/GOV/moh".into(),
        reason: "it was merged".into(),
    }
}

fn token() -> TokenOrder {
    TokenOrder {
        node: "JO/GOV/moh/node/node1".into(),
        token: Bytes::copy_from_slice(&domain("jisr.token", &[&[0x33; 32]])),
        expires_us: ASKED_US + 86_400_000_000,
    }
}

fn revocation(inputs: &Inputs) -> RevocationOrder {
    let certificate = jisr_certs::digest::sha256(&[&inputs.members[0].seal_certificate]);
    RevocationOrder {
        node: "JO/GOV/mol/node/node1".into(),
        certificates: vec![Bytes::copy_from_slice(&certificate)],
        reason: 1,
    }
}

fn appointment() -> Appointment {
    Appointment {
        name: "huda".into(),
        roles: 1 + 2,
        request: Bytes::new(),
    }
}

fn policy(network: &Network) -> WitnessPolicy {
    WitnessPolicy {
        quorum: vec![1, 1, 2],
        witnesses: vec![Witness {
            name: "audit-office".into(),
            key: Bytes::copy_from_slice(&network.anchor.witnesses[0].key.raw()),
            operator: "JO/GOV/audit".into(),
        }],
    }
}

fn confirmation(network: &Network) -> Confirmation {
    let registry = &network.logs[0];
    Confirmation {
        size: registry.size(),
        root: Bytes::copy_from_slice(&registry.root(registry.size())),
    }
}
