//! What cannot be made the same twice: certificates and an officer's signatures are ECDSA, which is random. They are made
//! once and kept in docs/vectors/inputs.json.

use super::{ORIGINS, agreement, hex, origin, seed_of, unhex};
use bytes::Bytes;
use jisr_certs::{
    issue::{Issuing, LocalCa, Root},
    keys::{KeySecret, KeyStore},
    officer::OfficerKey,
    seal::SealKey,
    validity::Validity,
};
use jisr_ledger::Hash;
use jisr_proto::{canonical, ident::MemberId};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// The day before the exchange, microseconds.
const ISSUED_US: u64 = super::ASKED_US - 86_400_000_000;

/// Certificates and signatures.
pub(crate) struct Inputs {
    pub(crate) root: Bytes,
    pub(crate) issuing: Bytes,
    /// MoL's, then PSD's.
    pub(crate) members: [MemberInputs; 2],
}

/// What belongs to one member.
pub(crate) struct MemberInputs {
    pub(crate) seal_certificate: Bytes,
    pub(crate) local_ca: Bytes,
    pub(crate) officer: Bytes,
    /// The officer's signature over the agreement.
    pub(crate) signature: Bytes,
}

impl Inputs {
    /// Makes them anew, in a key store that is gone afterwards.
    pub(crate) fn make() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = KeyStore::create(
            dir.path().join("registry"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .expect("a key store");
        let instance = "JO".parse().expect("an instance");
        let root = Root::create(&store, &instance, ISSUED_US).expect("a root");
        let issuing = Issuing::create(&store, &root, ISSUED_US).expect("an issuing authority");
        let [issuing_der, root_der] = issuing.issuers();
        let members = [1, 2].map(|which| member(dir.path(), &issuing, which));
        let bytes = |der: &[u8]| Bytes::copy_from_slice(der);
        Self {
            root: bytes(&root_der),
            issuing: bytes(&issuing_der),
            members,
        }
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        let members = self.members.iter().map(|member| {
            json!({
                "seal_certificate": hex(&member.seal_certificate),
                "local_ca": hex(&member.local_ca),
                "officer": hex(&member.officer),
                "agreement_signature": hex(&member.signature),
            })
        });
        json!({
            "note": "Test only. Certificates and ECDSA signatures, made once; everything else in this directory follows from them and from the seeds.",
            "root": hex(&self.root),
            "issuing": hex(&self.issuing),
            "members": members.collect::<Vec<_>>(),
        })
    }

    /// From JSON.
    pub(crate) fn from_json(json: &Value) -> Self {
        let bytes = |json: &Value| Bytes::from(unhex(json.as_str().expect("text")));
        let members = [0, 1].map(|at| {
            let member = &json["members"][at];
            MemberInputs {
                seal_certificate: bytes(&member["seal_certificate"]),
                local_ca: bytes(&member["local_ca"]),
                officer: bytes(&member["officer"]),
                signature: bytes(&member["agreement_signature"]),
            }
        });
        Self {
            root: bytes(&json["root"]),
            issuing: bytes(&json["issuing"]),
            members,
        }
    }

    /// SHA-256 of the root certificate.
    pub(crate) fn root_hash(&self) -> Hash {
        jisr_certs::digest::sha256(&[&self.root])
    }
}

fn member(dir: &std::path::Path, issuing: &Issuing, which: usize) -> MemberInputs {
    let origin = origin(which);
    let member: MemberId = origin.member().expect("a node's origin");
    let store = KeyStore::create(
        dir.join(member.code().as_str()),
        &KeySecret::from_bytes(&[7; 32], "a test's secret"),
    )
    .expect("a key store");
    let file = format!("seal-{}.pem", ORIGINS[which].replace('/', "."));
    store.write(&file, pem(&seed_of(which)).as_bytes()).expect("written");
    let key = SealKey::load_or_make(&store, &origin).expect("the key of the seed");
    let validity = Validity::days(ISSUED_US, 365);
    let certificate = issuing
        .issue_seal(&key.request().expect("a request"), &origin, validity)
        .expect("issued");
    let local_ca = LocalCa::create(&store, &member, ISSUED_US).expect("a local authority");
    let officer = member.officer(&"rania".parse().expect("a code"));
    let officer = local_ca.issue_officer(&officer, validity).expect("issued");
    let signer = OfficerKey::from_pem(officer.key_pem().as_bytes()).expect("a key");
    let signature = signer.sign_agreement(&canonical::encode(&agreement())).expect("signed");
    MemberInputs {
        seal_certificate: Bytes::copy_from_slice(&certificate),
        local_ca: Bytes::copy_from_slice(&officer.authority),
        officer: Bytes::copy_from_slice(&officer.certificate),
        signature: signature.into(),
    }
}

/// The Ed25519 key of a seed as PKCS#8 (RFC 5958, version 2).
fn pem(seed: &[u8; 32]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any seed makes a key");
    let mut der = unhex("3051020101300506032b657004220420");
    der.extend_from_slice(seed);
    der.extend_from_slice(&unhex("812100"));
    der.extend_from_slice(pair.public_key().as_ref());
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}
