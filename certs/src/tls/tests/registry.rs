//! The registry's door.

use super::*;

#[test]
fn the_registry_is_known_by_its_name_under_the_root() {
    let network = Network::new();
    let clock = clock_at(NOW_US);
    let root = network.root.certificate();
    let server = registry_server(&registry_identity(&network), root, anyone(), &clock).unwrap();
    let as_node = registry_client(Some(&identity(&network, MOL)), root, jo(), &clock).unwrap();
    let pair = handshake(&as_node, &server, server_name()).unwrap();
    assert_eq!(
        peer_identity(pair.server.peer_certificates().unwrap()).unwrap(),
        node(MOL)
    );
    let as_nobody = registry_client(None, root, jo(), &clock).unwrap();
    let pair = handshake(&as_nobody, &server, server_name()).unwrap();
    assert!(pair.server.peer_certificates().is_none());
    // A node cannot play the registry, nor the registry a node.
    let node_as_registry = registry_server(&identity(&network, PSD), root, anyone(), &clock).unwrap();
    assert_eq!(
        refused(handshake(&as_nobody, &node_as_registry, server_name())),
        Rule::ExtendedKeyUsage
    );
    let as_peer = peer_client(&identity(&network, MOL), root, node(PSD), anyone(), &clock).unwrap();
    assert_eq!(
        refused(handshake(&as_peer, &server, server_name())),
        Rule::ExtendedKeyUsage
    );
    let abroad = registry_client(None, root, "SY".parse().unwrap(), &clock).unwrap();
    assert_eq!(refused(handshake(&abroad, &server, server_name())), Rule::Identity);
}

#[test]
fn a_certificate_that_is_shown_to_the_registry_must_be_good() {
    let network = Network::new();
    let clock = clock_at(NOW_US);
    let root = network.root.certificate();
    let nobody: PeerPolicy = Arc::new(|_, _| Err("not listed".to_owned()));
    let server = registry_server(&registry_identity(&network), root, nobody, &clock).unwrap();
    let client = registry_client(Some(&identity(&network, MOL)), root, jo(), &clock).unwrap();
    assert_eq!(refused(handshake(&client, &server, server_name())), Rule::NotListed);
    let enrolling = registry_client(None, root, jo(), &clock).unwrap();
    assert!(handshake(&enrolling, &server, server_name()).is_ok());
}

#[test]
fn a_newcomer_finds_the_root_by_its_fingerprint() {
    let (network, other) = (Network::new(), Network::new());
    let clock = clock_at(NOW_US);
    let root = network.root.certificate();
    let server = registry_server(&registry_identity(&network), root, anyone(), &clock).unwrap();
    let client = registry_client_by_root_fingerprint(root.sha256, jo(), &clock).unwrap();
    assert!(handshake(&client, &server, server_name()).is_ok());
    let pinned = other.root.certificate().sha256;
    let client = registry_client_by_root_fingerprint(pinned, jo(), &clock).unwrap();
    assert_eq!(refused(handshake(&client, &server, server_name())), Rule::Chain);
    // The pinned root shown along does not help a chain that does not lead to it.
    let key = TlsKey::load_or_make(&network.store("registry"), "registry").unwrap();
    let mut chain = registry_identity(&network).chain().to_vec();
    chain.push(other.root.certificate().der.clone());
    let forged = registry_server(&Identity::new(&key, chain).unwrap(), root, anyone(), &clock).unwrap();
    assert_eq!(refused(handshake(&client, &forged, server_name())), Rule::Chain);
}
