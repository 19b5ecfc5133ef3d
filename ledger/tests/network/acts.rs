//! PSD's ledger after the exchange: messages kept, a receipt, a finding, a hold begun and ended, parts erased.

use super::{ASKED_US, Network, ORIGINS, REPLY, REQUEST, hex, segment, unhex};
use bytes::Bytes;
use jisr_certs::{
    digest::{domain, sha256},
    issue::LocalCa,
    keys::{KeySecret, KeyStore},
    officer::{Document, OfficerKey},
    validity::Validity,
};
use jisr_ledger::{
    frame::{
        Record, SegmentHeader, erase, month_of, put_payload, put_peer_certificates, put_peer_statement, put_receipt,
        put_record,
    },
    statement::{Closed, Draft, Part, Tag},
};
use jisr_proto::{
    canonical,
    ident::MemberId,
    statement::{
        Approval, Core, Erased, ErasedParts, Erasure, Finding, FindingKind, Held, Hold, Kind, Release, Released,
    },
};
use prost::Message;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Value, json};

/// Officers of PSD under an authority of their own.
pub(crate) struct Officers(Vec<(Vec<Bytes>, OfficerKey)>);

impl Officers {
    /// Two officers, made anew.
    pub(crate) fn make(member: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = KeyStore::create(
            dir.path().join("keys"),
            &KeySecret::from_bytes(&[7; 32], "a test's secret"),
        )
        .expect("a key store");
        let member: MemberId = member.parse().expect("a member");
        let issued_us = ASKED_US - 86_400_000_000;
        let local_ca = LocalCa::create(&store, &member, issued_us).expect("a local authority");
        let officer = |code: &str| {
            let officer = member.officer(&code.parse().expect("a code"));
            let made = local_ca
                .issue_officer(&officer, Validity::days(issued_us, 365))
                .expect("issued");
            let chain = [&made.certificate, &made.authority].map(|der| Bytes::copy_from_slice(der));
            (
                chain.to_vec(),
                OfficerKey::from_pem(made.key_pem().as_bytes()).expect("a key"),
            )
        };
        Self(["rania", "sami"].map(officer).into())
    }

    /// Approvals of a document by these of them.
    pub(crate) fn approve(&self, what: Document, document: &[u8], by: &[usize]) -> Vec<Approval> {
        let approve = |which: &usize| {
            let (certificates, key) = &self.0[*which];
            Approval {
                certificates: certificates.clone(),
                signature: key.sign(what, document).expect("signed").into(),
            }
        };
        by.iter().map(approve).collect()
    }
}

/// What officers signed: random, hence made once and kept in docs/vectors/erasure-inputs.json.
pub(crate) struct Signed {
    hold: Vec<Approval>,
    release: Vec<Approval>,
    erasure: Vec<Approval>,
}

impl Signed {
    /// Makes them anew.
    pub(crate) fn make(network: &Network) -> Self {
        let officers = Officers::make("JO/GOV/psd");
        Self {
            hold: officers.approve(Document::Hold, &hold(network), &[0]),
            release: officers.approve(Document::Release, &release(network), &[0, 1]),
            erasure: officers.approve(Document::Erasure, &erasure(), &[0, 1]),
        }
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        let all = |approvals: &[Approval]| {
            let all = approvals.iter().map(|approval| hex(&canonical::encode(approval)));
            all.collect::<Vec<_>>()
        };
        json!({
            "note": "Test only. Approvals of officers of PSD, canonical jisr.statement.v1.Approval, made once.",
            "hold": all(&self.hold),
            "release": all(&self.release),
            "erasure": all(&self.erasure),
        })
    }

    /// From JSON.
    pub(crate) fn from_json(json: &Value) -> Self {
        let all = |name: &str| {
            let all = json[name].as_array().expect("a list").iter();
            all.map(|text| {
                let bytes = Bytes::from(unhex(text.as_str().expect("text")));
                canonical::decode(&bytes).expect("an approval")
            })
            .collect()
        };
        Self {
            hold: all("hold"),
            release: all("release"),
            erasure: all("erasure"),
        }
    }
}

/// Holds the exchange.
pub(crate) fn hold(network: &Network) -> Bytes {
    canonical::encode(&Hold {
        format: 1,
        origin: ORIGINS[2].into(),
        exchanges: vec![Bytes::copy_from_slice(network.exchange.as_bytes())],
        reason: "case 9 of the court".into(),
        nonce: Bytes::from_static(&[9; 16]),
        ..Hold::default()
    })
}

/// Ends the hold.
pub(crate) fn release(network: &Network) -> Bytes {
    canonical::encode(&Release {
        format: 1,
        hold: domain("jisr.hold", &[&hold(network)]).to_vec().into(),
        reason: "the judgment is final".into(),
    })
}

/// Case and person of the question, and the reply with its commitment.
pub(crate) fn erasure() -> Bytes {
    erasure_of(&[(2, &[3, 7]), (3, &[8])], "order 12 of the court")
}

/// These parts.
pub(crate) fn erasure_of(parts: &[(u64, &[u8])], reason: &str) -> Bytes {
    let parts = parts.iter().map(|(index, tags)| ErasedParts {
        index: *index,
        tags: Bytes::copy_from_slice(tags),
    });
    canonical::encode(&Erasure {
        format: 1,
        origin: ORIGINS[2].into(),
        parts: parts.collect(),
        reason: reason.into(),
        created_us: ASKED_US + 100_000_000,
        nonce: Bytes::from_static(&[7; 16]),
    })
}

/// An act of PSD, some minutes after the exchange.
pub(crate) fn act(network: &Network, kind: Kind, act: &impl Message) -> Draft {
    let core = Core {
        format: 1,
        kind: kind as i32,
        instance: "JO".into(),
        created_us: network.core(Kind::Asked, 200).created_us,
        ..Core::default()
    };
    Draft::new(core).act(act)
}

/// What is erased of which entry before the files are written.
pub(crate) type Tags<'a> = &'a [(u64, &'a [u8])];

/// The files, with what these officers signed, and with the acts in the ledger.
pub(crate) fn files(network: &mut Network, signed: &Signed) -> Vec<(String, Vec<u8>)> {
    let mut body = receipt(network);
    let finding = Finding {
        kind: FindingKind::ReceiptsMissing as i32,
        origin: ORIGINS[1].into(),
        exchanges: vec![Bytes::copy_from_slice(network.exchange.as_bytes())],
        count: 1,
        from_us: ASKED_US,
        until_us: ASKED_US + 60_000_000,
        text: "no receipt came within 60 s".into(),
        ..Finding::default()
    };
    let held = Held {
        hold: hold(network),
        approvals: signed.hold.clone(),
    };
    let released = Released {
        release: release(network),
        approvals: signed.release.clone(),
    };
    let erased = Erased {
        erasure: erasure(),
        approvals: signed.erasure.clone(),
    };
    let drafts = [
        act(network, Kind::Finding, &finding),
        act(network, Kind::Held, &held),
        act(network, Kind::Released, &released),
        act(network, Kind::Erased, &erased),
    ];
    for draft in drafts {
        let index = network.put(2, draft, None);
        let at = usize::try_from(index).expect("small");
        body.extend(segment::statement(&network.logs[2].statements[at]));
    }
    with(network, &[(2, &[3, 7]), (3, &[8])], &[body])
}

/// PSD's ledger with its messages kept, these parts erased, and these further frames.
pub(crate) fn with(network: &Network, tags: Tags<'_>, bodies: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let mut files = segment::psd(network);
    let psd = &network.logs[2];
    let header = SegmentHeader {
        number: 1,
        first_index: 2,
        root: psd.root(2),
    };
    let mut exchange = exchange(network);
    let of = |index: u64| tags.iter().find(|(named, _)| *named == index).map(|(_, tags)| *tags);
    erase(&mut exchange, 2, of).expect("well formed");
    let mut second = header.encode().to_vec();
    second.extend(segment::frame(&exchange));
    for body in bodies {
        second.extend(segment::frame(body));
    }
    second.resize(second.len() + 100, 0);
    files[1].1 = second;
    files
}

/// RECEIVED with ASKED and the request, ANSWERED with the reply.
fn exchange(network: &Network) -> Vec<u8> {
    let [_, mol, psd] = &network.logs;
    let [seal, _, issuing, root] = &network.certificates;
    let note = mol.note(3, &[]);
    let mut body = Vec::new();
    put_peer_certificates(&mut body, ORIGINS[1], &[seal, issuing, root]);
    put_record(&mut body, Record::PeerNote(&note));
    body.extend(segment::statement(&psd.statements[2]));
    let asked = segment::stored(&mol.statements[2]);
    put_peer_statement(&mut body, (2, 3), &sha256(&[&note]), &mol.path(2, 3), |body| {
        body.extend(asked)
    });
    keep(&mut body, &mol.statements[2], REQUEST);
    body.extend(segment::statement(&psd.statements[3]));
    keep(&mut body, &psd.statements[3], REPLY);
    body
}

fn keep(body: &mut Vec<u8>, closed: &Closed, message: &[u8]) {
    let is_payload = |part: &&Part| part.tag == Tag::Payload;
    let part = closed.parts().iter().find(is_payload).expect("a commitment");
    let salt = part.opened.as_ref().expect("own parts are open").salt;
    let month = month_of(closed.core().created_us);
    let aad = [&part.hash[..], &month.to_be_bytes(), &[4, 0]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &segment::DATA_KEY).expect("a key"));
    let mut sealed = [&salt[..], message].concat();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(segment::NONCE),
        Aad::from(aad),
        &mut sealed,
    )
    .expect("sealed");
    put_payload(body, month, &segment::NONCE, &sealed);
}

/// MoL's DELIVERED as the receipt for ANSWERED.
pub(crate) fn receipt(network: &Network) -> Vec<u8> {
    receipt_of(network, 3)
}

/// A statement of MoL as a receipt.
pub(crate) fn receipt_of(network: &Network, index: u64) -> Vec<u8> {
    let mol = &network.logs[1];
    let note = mol.note(4, &[0]);
    let mut body = Vec::new();
    put_record(&mut body, Record::PeerNote(&note));
    let at = usize::try_from(index).expect("small");
    let stored = segment::stored(&mol.statements[at]);
    put_receipt(&mut body, (index, 4), &sha256(&[&note]), &mol.path(index, 4), |body| {
        body.extend(stored)
    });
    body
}
