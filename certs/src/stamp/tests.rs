use super::asn1::{
    Accuracy, Extension, MessageImprint, PkiStatusInfo, SHA256, TimeStampReq, TimeStampResp, TstInfo, plain,
};
use super::build::signed;
use super::*;
use crate::digest::{Hash, sha256};
use crate::error::CertError;
use crate::fixture::{DAY_US, NOW_US, Network, Rogue, leaf_params};
use crate::p256::P256Pair;
use crate::validity::{TIME_STAMP_DAYS, Validity};
use cms::cert::x509::Certificate;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::asn1::{Int, ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode, Encode, Tag};
use rcgen::CustomExtension;
use rustls_pki_types::CertificateDer;

const IMPRINT: Hash = [7; 32];

fn authority(network: &Network) -> StampAuthority {
    let store = network.store("registry");
    let key = StampKey::load_or_make(&store).unwrap();
    let leaf = network
        .issuing
        .issue_time_stamp(&key, Validity::days(NOW_US, TIME_STAMP_DAYS))
        .unwrap();
    let [issuing, root] = network.issuing.issuers();
    StampAuthority::open(store, &[leaf, issuing, root], NOW_US).unwrap()
}

fn trust(network: &Network) -> Trust {
    Trust::none().with_root(network.root.certificate().sha256)
}

fn rule<T: std::fmt::Debug>(result: Result<T, CertError>) -> StampRule {
    match result.unwrap_err() {
        CertError::Stamp(refused) => refused.rule,
        other => panic!("{other}"),
    }
}

/// An authority outside, whose tokens say whatever a test wants.
struct Outside {
    root: Rogue,
    key: P256Pair,
    leaf: CertificateDer<'static>,
}

impl Outside {
    fn new(usage: Vec<u8>, is_critical: bool) -> Outside {
        let root = Rogue::root(|_| ());
        let key = P256Pair::from_pkcs8(&P256Pair::generate().unwrap()).unwrap();
        let mut params = leaf_params("https://tsa.example", &[]);
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 37], usage);
        extension.set_criticality(is_critical);
        params.custom_extensions.push(extension);
        let leaf = root.sign(&params, &key);
        Outside { root, key, leaf }
    }

    fn good() -> Outside {
        Outside::new(vec![0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 8], true)
    }

    fn trust(&self) -> Trust {
        Trust::none().with_certificate(&self.root.der)
    }

    fn token(&self, alter: impl FnOnce(&mut TstInfo)) -> Vec<u8> {
        let mut info = info();
        alter(&mut info);
        self.sign(&info).to_der().unwrap()
    }

    fn sign(&self, info: &TstInfo) -> ContentInfo {
        let certificate = Certificate::from_der(&self.leaf).unwrap();
        signed(info, &self.key, &self.leaf, &[certificate]).unwrap()
    }

    fn judged(&self, token: &[u8]) -> Result<u64, CertError> {
        verify(token, &IMPRINT, &self.trust()).map(|stamped| stamped.time_us)
    }
}

fn info() -> TstInfo {
    TstInfo {
        version: 1,
        policy: Any::encode_from(&ObjectIdentifier::new_unwrap("1.2.3.4")).unwrap(),
        message_imprint: MessageImprint::of(&IMPRINT).unwrap(),
        serial_number: Int::new(&[5]).unwrap(),
        gen_time: time(b"20261123120000Z"),
        accuracy: Some(Accuracy {
            seconds: Some(1),
            millis: Some(500),
            micros: None,
        }),
        ordering: false,
        nonce: None,
        tsa: None,
        extensions: None,
    }
}

fn time(text: &[u8]) -> Any {
    Any::new(Tag::GeneralizedTime, text).unwrap()
}

#[test]
fn what_the_built_in_authority_says_is_believed() {
    let network = Network::new();
    let query = Query::new(&IMPRINT, "").unwrap();
    let answer = authority(&network).answer(&query.der().unwrap(), NOW_US).unwrap();
    let (token, stamped) = query.answered(&answer, &trust(&network), NOW_US).unwrap();
    assert_eq!((stamped.time_us, stamped.accuracy_us), (NOW_US, ACCURACY_US));
    assert!(
        stamped.is_built_in && stamped.not_after_us > NOW_US + 729 * DAY_US,
        "{stamped:?}"
    );
    assert!(
        stamped.authority.contains("time-stamp authority"),
        "{}",
        stamped.authority
    );
    assert_eq!(rule(verify(&token, &[8; 32], &trust(&network))), StampRule::Imprint);
    assert_eq!(rule(verify(&token, &IMPRINT, &Trust::none())), StampRule::Untrusted);
    assert_eq!(
        rule(verify(&token, &IMPRINT, &trust(&Network::new()))),
        StampRule::Untrusted
    );
    assert!(token.len() < 3000, "{}", token.len());
}

#[test]
fn serial_numbers_are_unique_and_times_go_forward_also_after_a_restart() {
    let network = Network::new();
    let mut seen: Vec<(u64, Vec<u8>)> = Vec::new();
    for _ in 0..3 {
        let authority = authority(&network);
        for _ in 0..3 {
            let query = Query::new(&IMPRINT, "").unwrap();
            // The clock stands still.
            let answer = authority.answer(&query.der().unwrap(), NOW_US).unwrap();
            let Ok((_, stamped)) = query.answered(&answer, &trust(&network), NOW_US) else {
                continue;
            };
            assert!(
                seen.iter()
                    .all(|(time, serial)| *time < stamped.time_us && *serial != stamped.serial)
            );
            assert!(stamped.time_us - NOW_US <= ACCURACY_US);
            seen.push((stamped.time_us, stamped.serial.clone()));
        }
    }
    assert!(seen.len() >= 3, "{seen:?}");
    let query = Query::new(&IMPRINT, "").unwrap();
    let answer = authority(&network)
        .answer(&query.der().unwrap(), NOW_US - DAY_US)
        .unwrap();
    assert_eq!(
        rule(query.answered(&answer, &trust(&network), NOW_US)),
        StampRule::Status
    );
}

#[test]
fn requests_that_are_not_granted_get_a_reason() {
    let network = Network::new();
    let authority = authority(&network);
    let request = || TimeStampReq {
        version: 1,
        message_imprint: MessageImprint::of(&IMPRINT).unwrap(),
        req_policy: None,
        nonce: None,
        cert_req: true,
        extensions: None,
    };
    let imprint = |oid: &str, bytes: usize| MessageImprint {
        hash_algorithm: plain(ObjectIdentifier::new_unwrap(oid)),
        hashed_message: OctetString::new(vec![1; bytes]).unwrap(),
    };
    let status = |request: &[u8]| {
        let answer = authority.answer(request, NOW_US).unwrap();
        TimeStampResp::from_der(&answer).unwrap().status.status
    };
    let of = |alter: &dyn Fn(&mut TimeStampReq)| {
        let mut request = request();
        alter(&mut request);
        status(&request.to_der().unwrap())
    };
    assert_eq!(of(&|_| ()), 0);
    assert_eq!(of(&|request| request.version = 2), 2);
    assert_eq!(
        of(&|request| request.message_imprint = imprint("1.2.840.113549.2.5", 16)),
        2
    );
    assert_eq!(of(&|request| request.message_imprint = imprint("1.3.14.3.2.26", 20)), 2);
    assert_eq!(
        of(&|request| request.message_imprint = imprint("2.16.840.1.101.3.4.2.1", 31)),
        2
    );
    assert_eq!(
        of(&|request| request.req_policy = Some(ObjectIdentifier::new_unwrap("1.2.3"))),
        2
    );
    assert_eq!(of(&|request| request.nonce = Some(Int::new(&[1; 33]).unwrap())), 2);
    assert_eq!(of(&|request| request.extensions = Some(vec![extension(false)])), 2);
    assert_eq!(status(b""), 2);
    assert_eq!(status(&[0x30; 4096]), 2);
    assert_eq!(status(&[request().to_der().unwrap(), vec![0]].concat()), 2);
}

fn extension(critical: bool) -> Extension {
    Extension {
        id: ObjectIdentifier::new_unwrap("1.2.3.9"),
        critical,
        value: OctetString::new(vec![]).unwrap(),
    }
}

#[test]
fn an_authority_outside_is_believed_by_its_certificate_or_its_ca() {
    let outside = Outside::good();
    let token = outside.token(|_| ());
    assert_eq!(outside.judged(&token).unwrap(), NOW_US);
    let by_leaf = Trust::none().with_certificate(&outside.leaf);
    let stamped = verify(&token, &IMPRINT, &by_leaf).unwrap();
    assert!(!stamped.is_built_in);
    assert_eq!((stamped.accuracy_us, stamped.policy.as_str()), (1_500_000, "1.2.3.4"));
    let fraction = outside.token(|info| info.gen_time = time(b"20261123120000.25Z"));
    assert_eq!(outside.judged(&fraction).unwrap(), NOW_US + 250_000);
    assert_eq!(
        rule(verify(&token, &IMPRINT, &Outside::good().trust())),
        StampRule::Untrusted
    );
}

#[test]
fn hostile_tokens_are_refused() {
    let outside = Outside::good();
    let refused = |alter: &dyn Fn(&mut TstInfo)| rule(outside.judged(&outside.token(alter)));
    let sha1 = MessageImprint {
        hash_algorithm: plain(ObjectIdentifier::new_unwrap("1.3.14.3.2.26")),
        hashed_message: OctetString::new(vec![1; 20]).unwrap(),
    };
    let md5 = MessageImprint {
        hash_algorithm: plain(ObjectIdentifier::new_unwrap("1.2.840.113549.2.5")),
        hashed_message: OctetString::new(vec![1; 16]).unwrap(),
    };
    assert_eq!(
        refused(&|info| info.message_imprint = sha1.clone()),
        StampRule::Algorithm
    );
    assert_eq!(
        refused(&|info| info.message_imprint = md5.clone()),
        StampRule::Algorithm
    );
    assert_eq!(
        refused(&|info| info.message_imprint = MessageImprint::of(&[9; 32]).unwrap()),
        StampRule::Imprint
    );
    assert_eq!(refused(&|info| info.version = 2), StampRule::Malformed);
    assert_eq!(
        refused(&|info| info.extensions = Some(vec![extension(true)])),
        StampRule::Malformed
    );
    for text in [
        "20261123120000",
        "20261123120000.Z",
        "20261123120000.10Z",
        "20261123250000Z",
        "19691123120000Z",
        "2026Z",
    ] {
        assert_eq!(
            refused(&|info| info.gen_time = time(text.as_bytes())),
            StampRule::Malformed,
            "{text}"
        );
    }
    // Before and after the certificates are valid.
    assert_eq!(
        refused(&|info| info.gen_time = time(b"20251123120000Z")),
        StampRule::Untrusted
    );
    assert_eq!(
        refused(&|info| info.gen_time = time(b"20271123120000Z")),
        StampRule::Untrusted
    );
    let good = outside.token(|_| ());
    assert_eq!(
        rule(outside.judged(&[good.as_slice(), &[0]].concat())),
        StampRule::Malformed
    );
    assert_eq!(
        rule(outside.judged(&vec![0x30; TOKEN_BYTES_MAX + 1])),
        StampRule::Malformed
    );
    for end in 0..good.len() {
        assert!(outside.judged(&good[..end]).is_err());
    }
    for place in 0..good.len() {
        let mut altered = good.clone();
        altered[place] ^= 1;
        // Bits that no signature covers may differ, what the token says may not.
        if let Ok(time_us) = outside.judged(&altered) {
            assert_eq!(time_us, NOW_US);
        }
    }
}

#[test]
fn certificates_for_anything_else_than_time_stamps_are_refused() {
    let time_stamping = [0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 8];
    let document_signing = [0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 36];
    let sequence = |items: &[&[u8]]| {
        let content = items.concat();
        [&[0x30, u8::try_from(content.len()).unwrap()], content.as_slice()].concat()
    };
    let cases = [
        (sequence(&[&document_signing]), true),
        (sequence(&[&time_stamping, &document_signing]), true),
        (sequence(&[&time_stamping]), false),
    ];
    for (usage, is_critical) in cases {
        let outside = Outside::new(usage, is_critical);
        assert_eq!(rule(outside.judged(&outside.token(|_| ()))), StampRule::Certificate);
    }
    let network = Network::new();
    let (key, leaf) = {
        let officer = network
            .local
            .issue_officer(&"JO/GOV/mol/officer/rania".parse().unwrap(), Validity::days(NOW_US, 10))
            .unwrap();
        let pkcs8 = crate::pem::key_from_pem(officer.key_pem().as_bytes()).unwrap();
        (P256Pair::from_pkcs8(&pkcs8).unwrap(), officer.certificate)
    };
    let certificates = [Certificate::from_der(&leaf).unwrap()];
    let token = signed(&info(), &key, &leaf, &certificates).unwrap().to_der().unwrap();
    assert_eq!(rule(verify(&token, &IMPRINT, &trust(&network))), StampRule::Certificate);
}

#[test]
fn a_token_has_one_signer_who_names_his_certificate() {
    let outside = Outside::good();
    let altered = |alter: &dyn Fn(&mut SignedData)| {
        let mut token = outside.sign(&info());
        let mut data: SignedData = token.content.decode_as().unwrap();
        alter(&mut data);
        token.content = Any::encode_from(&data).unwrap();
        rule(outside.judged(&token.to_der().unwrap()))
    };
    let signers = |data: &SignedData| data.signer_infos.0.clone().into_vec();
    assert_eq!(
        altered(&|data| {
            let mut two = signers(data);
            let mut second = two[0].clone();
            second.signature = OctetString::new(vec![1; 64]).unwrap();
            two.push(second);
            data.signer_infos.0 = SetOfVec::try_from(two).unwrap();
        }),
        StampRule::Signer
    );
    assert_eq!(
        altered(&|data| data.signer_infos.0 = SetOfVec::new()),
        StampRule::Signer
    );
    assert_eq!(altered(&|data| data.certificates = None), StampRule::Signer);
    let with = |data: &mut SignedData, alter: &dyn Fn(&mut cms::signed_data::SignerInfo)| {
        let mut one = signers(data).remove(0);
        alter(&mut one);
        data.signer_infos.0 = SetOfVec::try_from(vec![one]).unwrap();
    };
    assert_eq!(
        altered(&|data| with(data, &|one| one.signed_attrs = None)),
        StampRule::Signer
    );
    assert_eq!(
        altered(&|data| with(data, &|one| {
            one.digest_alg = plain(ObjectIdentifier::new_unwrap("1.2.840.113549.2.5"));
        })),
        StampRule::Algorithm
    );
    assert_eq!(
        altered(&|data| with(data, &|one| one.signature_algorithm = plain(SHA256))),
        StampRule::Algorithm
    );
    assert_eq!(
        altered(&|data| with(data, &|one| {
            let kept = one.signed_attrs.take().unwrap().into_vec();
            let kept: Vec<_> = kept
                .into_iter()
                .filter(|one| one.oid != asn1::SIGNING_CERTIFICATE_V2)
                .collect();
            one.signed_attrs = Some(SetOfVec::try_from(kept).unwrap());
        })),
        StampRule::Signer
    );
    assert_eq!(
        altered(&|data| {
            let other = TstInfo {
                policy: Any::encode_from(&ObjectIdentifier::new_unwrap("1.2.3.5")).unwrap(),
                ..info()
            };
            data.encap_content_info.econtent = Some(Any::new(Tag::OctetString, other.to_der().unwrap()).unwrap());
        }),
        StampRule::Signature
    );
    assert_eq!(
        altered(&|data| with(data, &|one| one.signature = OctetString::new(vec![0; 70]).unwrap())),
        StampRule::Signature
    );
}

#[test]
fn answers_to_another_request_are_refused() {
    let outside = Outside::good();
    let answer = |nonce: Option<Int>, policy: &str| {
        let token = outside.token(|info| {
            info.nonce = nonce;
            info.policy = Any::encode_from(&ObjectIdentifier::new_unwrap(policy)).unwrap();
        });
        let status = PkiStatusInfo {
            status: 0,
            status_string: None,
            fail_info: None,
        };
        TimeStampResp {
            status,
            token: Some(Any::from_der(&token).unwrap()),
        }
        .to_der()
        .unwrap()
    };
    let nonce = |query: &Query| TimeStampReq::from_der(&query.der().unwrap()).unwrap().nonce;
    let query = || Query::new(&IMPRINT, "1.2.3.4").unwrap();
    let asked = query();
    let good = answer(nonce(&asked), "1.2.3.4");
    assert!(asked.answered(&good, &outside.trust(), NOW_US).is_ok());
    assert_eq!(
        rule(query().answered(&good, &outside.trust(), NOW_US)),
        StampRule::Nonce
    );
    assert_eq!(
        rule(query().answered(&answer(None, "1.2.3.4"), &outside.trust(), NOW_US)),
        StampRule::Nonce
    );
    let asked = query();
    let other = answer(nonce(&asked), "1.2.3.5");
    assert_eq!(
        rule(asked.answered(&other, &outside.trust(), NOW_US)),
        StampRule::Policy
    );
    let asked = query();
    let late = answer(nonce(&asked), "1.2.3.4");
    assert_eq!(
        rule(asked.answered(&late, &outside.trust(), NOW_US + DAY_US)),
        StampRule::Time
    );
    assert_eq!(
        rule(query().answered(&vec![0x30; ANSWER_BYTES_MAX + 1], &outside.trust(), NOW_US)),
        StampRule::Malformed
    );
    assert_eq!(
        rule(query().answered(b"<html>", &outside.trust(), NOW_US)),
        StampRule::Malformed
    );
    assert_eq!(rule(Query::new(&IMPRINT, "no.policy")), StampRule::Policy);
    assert_ne!(sha256(&[&query().der().unwrap()]), sha256(&[&query().der().unwrap()]));
}
