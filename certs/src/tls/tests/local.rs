//! The local door.

use jisr_proto::ident::MemberId;

use super::*;
use crate::issue::Credential;
use crate::pem;

/// What an application gets from `jisr node client add`.
fn application(credential: &Credential) -> Identity {
    let key = TlsKey::from_pem(credential.key_pem().as_bytes()).unwrap();
    Identity::new(
        &key,
        pem::certificates_from_pem(credential.certificate_pem().as_bytes()).unwrap(),
    )
    .unwrap()
}

#[test]
fn the_local_door_knows_applications_of_its_own_authority() {
    let (network, other) = (Network::new(), Network::new());
    let clock = clock_at(NOW_US);
    let week = Validity::days(NOW_US, 7);
    let local = network.local.certificate();
    let key = TlsKey::load_or_make(&network.store("node"), "local").unwrap();
    let hosts = ["node1.mol.example".to_owned(), "127.0.0.1".to_owned()];
    let leaf = network.local.issue_local_door(&key, &hosts, week).unwrap();
    let server = local_server(&Identity::new(&key, vec![leaf]).unwrap(), local, &clock).unwrap();
    let permits = "JO/GOV/mol/permits".parse().unwrap();
    let credential = network.local.issue_client(&permits, week).unwrap();
    let client = local_client(&application(&credential), local, &clock).unwrap();
    for name in ["node1.mol.example", "127.0.0.1"] {
        let pair = handshake(&client, &server, ServerName::try_from(name).unwrap()).unwrap();
        assert_eq!(
            client_identity(pair.server.peer_certificates().unwrap()).unwrap(),
            permits
        );
    }
    let elsewhere = handshake(&client, &server, ServerName::try_from("node2.mol.example").unwrap());
    assert!(matches!(elsewhere, Err(Failed::Client(_))));

    let foreign = other.local.issue_client(&permits, week).unwrap();
    let client = local_client(&application(&foreign), local, &clock).unwrap();
    let failed = handshake(&client, &server, ServerName::try_from("127.0.0.1").unwrap());
    assert_eq!(refused(failed), Rule::Chain);
    // A node's certificate names no application; an officer's key does not open the door.
    let client = local_client(&identity(&network, MOL), local, &clock).unwrap();
    let failed = handshake(&client, &server, ServerName::try_from("127.0.0.1").unwrap());
    assert_eq!(refused(failed), Rule::ExtendedKeyUsage);
    let officer = "JO/GOV/mol"
        .parse::<MemberId>()
        .unwrap()
        .officer(&"rania".parse().unwrap());
    let officer = network.local.issue_officer(&officer, week).unwrap();
    let client = local_client(&application(&officer), local, &clock).unwrap();
    let failed = handshake(&client, &server, ServerName::try_from("127.0.0.1").unwrap());
    assert_eq!(refused(failed), Rule::ExtendedKeyUsage);
}
