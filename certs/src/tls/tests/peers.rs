//! The peer door.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::fixture::DAY_US;

/// A call from one network's MOL to another's PSD.
fn peers(caller: &Network, called: &Network, policy: PeerPolicy, now_us: u64) -> Result<Pair, Failed> {
    let clock = clock_at(now_us);
    let server = peer_server(
        &identity(called, PSD),
        called.root.certificate(),
        Arc::clone(&policy),
        &clock,
    )
    .unwrap();
    let client = peer_client(
        &identity(caller, MOL),
        called.root.certificate(),
        node(PSD),
        policy,
        &clock,
    )
    .unwrap();
    handshake(&client, &server, server_name())
}

#[test]
fn two_listed_nodes_meet() {
    let network = Network::new();
    let pair = peers(&network, &network, anyone(), NOW_US).unwrap();
    assert_eq!(
        peer_identity(pair.server.peer_certificates().unwrap()).unwrap(),
        node(MOL)
    );
    assert_eq!(
        peer_identity(pair.client.peer_certificates().unwrap()).unwrap(),
        node(PSD)
    );
    assert_eq!(pair.client.alpn_protocol(), Some(b"h2".as_slice()));
    assert_eq!(pair.client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(pair.client.tls13_tickets_received(), 0);
}

#[test]
fn another_node_at_the_address_is_refused() {
    let network = Network::new();
    let clock = clock_at(NOW_US);
    let root = network.root.certificate();
    let server = peer_server(&identity(&network, PSD), root, anyone(), &clock).unwrap();
    let expected = node("JO/GOV/moh/node/node1");
    let client = peer_client(&identity(&network, MOL), root, expected, anyone(), &clock).unwrap();
    let failed = handshake(&client, &server, server_name());
    assert!(matches!(&failed, Err(Failed::Client(_))));
    assert_eq!(refused(failed), Rule::Identity);
}

#[test]
fn expired_and_early_certificates_are_refused() {
    let network = Network::new();
    assert_eq!(
        refused(peers(&network, &network, anyone(), NOW_US + 8 * DAY_US)),
        Rule::Expired
    );
    assert_eq!(
        refused(peers(&network, &network, anyone(), NOW_US - DAY_US)),
        Rule::NotYetValid
    );
}

#[test]
fn the_clock_is_asked_at_every_handshake() {
    let network = Network::new();
    let now = Arc::new(AtomicU64::new(NOW_US));
    let clock: Clock = {
        let now = Arc::clone(&now);
        Arc::new(move || now.load(Ordering::Relaxed))
    };
    let root = network.root.certificate();
    let server = peer_server(&identity(&network, PSD), root, anyone(), &clock).unwrap();
    let client = peer_client(&identity(&network, MOL), root, node(PSD), anyone(), &clock).unwrap();
    assert!(handshake(&client, &server, server_name()).is_ok());
    now.store(NOW_US + 8 * DAY_US, Ordering::Relaxed);
    assert_eq!(refused(handshake(&client, &server, server_name())), Rule::Expired);
}

#[test]
fn unlisted_nodes_are_refused_on_both_sides() {
    let network = Network::new();
    for unlisted in [MOL, PSD] {
        let policy: PeerPolicy = Arc::new(move |found, _| match found.as_str() == unlisted {
            true => Err("revoked since snapshot 7".to_owned()),
            false => Ok(()),
        });
        let failed = peers(&network, &network, policy, NOW_US);
        match &failed {
            Err(Failed::Client(error)) => {
                assert!(unlisted == PSD && error.to_string().contains("snapshot 7"), "{error}")
            }
            Err(Failed::Server(error)) => {
                assert!(unlisted == MOL && error.to_string().contains("snapshot 7"), "{error}")
            }
            Ok(_) => panic!("the handshake went through"),
        }
        assert_eq!(refused(failed), Rule::NotListed);
    }
}

#[test]
fn the_policy_sees_the_digest_of_the_certificate() {
    let network = Network::new();
    let listed = crate::digest::sha256(&[&identity(&network, MOL).chain()[0]]);
    // Issued a second time, the certificate has another serial number and so another digest.
    let policy: PeerPolicy = Arc::new(move |found, digest| match found.as_str() == MOL && *digest != listed {
        true => Err("another certificate is listed".to_owned()),
        false => Ok(()),
    });
    assert_eq!(refused(peers(&network, &network, policy, NOW_US)), Rule::NotListed);
}

#[test]
fn nodes_of_another_network_are_refused() {
    let (ours, theirs) = (Network::new(), Network::new());
    let failed = peers(&theirs, &ours, anyone(), NOW_US);
    assert!(matches!(&failed, Err(Failed::Server(_))));
    assert_eq!(refused(failed), Rule::Chain);
}

#[test]
fn a_node_without_certificate_is_refused() {
    let network = Network::new();
    let clock = clock_at(NOW_US);
    let root = network.root.certificate();
    let server = peer_server(&identity(&network, PSD), root, anyone(), &clock).unwrap();
    let nobody = settings::client(None, verifier::Verifier::mandatory(|_, _| Ok(())), false, &clock).unwrap();
    let failed = handshake(&nobody, &server, server_name());
    assert!(matches!(
        failed,
        Err(Failed::Server(rustls::Error::NoCertificatesPresented))
    ));
}

/// The first message of a client that offers TLS 1.2 with one suite and nothing newer.
fn tls12_client_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x11; 32]); // random
    body.push(0); // no session id
    body.extend([0, 2, 0xc0, 0x2b]); // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    body.extend([1, 0]); // no compression
    let extensions = [
        [0, 10, 0, 4, 0, 2, 0, 23].as_slice(), // supported_groups: secp256r1
        &[0, 11, 0, 2, 1, 0],                  // ec_point_formats: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],            // signature_algorithms: ecdsa_secp256r1_sha256
    ]
    .concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

#[test]
fn tls_1_2_is_refused_at_every_door() {
    let network = Network::new();
    let clock = clock_at(NOW_US);
    let root = network.root.certificate();
    let identity = identity(&network, PSD);
    let doors = [
        peer_server(&identity, root, anyone(), &clock),
        registry_server(&identity, root, anyone(), &clock),
        local_server(&identity, network.local.certificate(), &clock),
    ];
    for door in doors {
        let mut server = ServerConnection::new(door.unwrap()).unwrap();
        feed(&mut tls12_client_hello().as_slice(), |from| server.read_tls(from));
        let error = server.process_new_packets().unwrap_err();
        assert!(matches!(error, rustls::Error::PeerIncompatible(_)), "{error:?}");
        let mut alert = Vec::new();
        server.write_tls(&mut alert).unwrap();
        // protocol_version, fatal.
        assert_eq!(alert, [21, 3, 3, 0, 2, 2, 70]);
    }
}

#[test]
fn an_identity_is_a_key_and_its_own_chain() {
    let network = Network::new();
    let chain = identity(&network, MOL).chain().to_vec();
    let other = TlsKey::load_or_make(&network.store("other"), "peer").unwrap();
    assert!(matches!(Identity::new(&other, chain), Err(CertError::Tls(_))));
    assert!(Identity::new(&other, Vec::new()).is_err());
    assert!(peer_identity(&[]).is_err());
    assert!(client_identity(identity(&network, MOL).chain()).is_err());
}
