//! Handshakes in memory.

mod backend;
mod local;
mod peers;
mod registry;

use jisr_proto::ident::Instance;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::*;
use crate::csr;
use crate::fixture::{NOW_US, Network};
use crate::profile::Rule;
use crate::validity::Validity;

/// Two connections that talk to each other in memory.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
}

/// Why a handshake failed: the side that refused, and its error.
#[derive(Debug)]
enum Failed {
    Client(rustls::Error),
    Server(rustls::Error),
}

fn handshake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: ServerName<'static>,
) -> Result<Pair, Failed> {
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        feed(&mut bytes.as_slice(), |from| server.read_tls(from));
        server.process_new_packets().map_err(Failed::Server)?;
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        feed(&mut bytes.as_slice(), |from| client.read_tls(from));
        client.process_new_packets().map_err(Failed::Client)?;
    }
    Ok(Pair { client, server })
}

fn feed(bytes: &mut &[u8], mut read: impl FnMut(&mut dyn std::io::Read) -> std::io::Result<usize>) {
    while !bytes.is_empty() {
        read(bytes).unwrap();
    }
}

fn refused(result: Result<Pair, Failed>) -> Rule {
    let error = match result {
        Err(Failed::Client(error) | Failed::Server(error)) => error,
        Ok(_) => panic!("the handshake went through"),
    };
    match refusal(&error) {
        Some(CertError::Refused(refused)) => refused.rule,
        _ => panic!("{error:?}"),
    }
}

fn clock_at(now_us: u64) -> Clock {
    Arc::new(move || now_us)
}

fn anyone() -> PeerPolicy {
    Arc::new(|_, _| Ok(()))
}

fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

const MOL: &str = "JO/GOV/mol/node/node1";

const PSD: &str = "JO/GOV/psd/node/node1";

/// A node's identity, a week long.
fn identity(network: &Network, id: &str) -> Identity {
    let key = TlsKey::load_or_make(&network.store(&id.replace('/', ".")), "peer").unwrap();
    let request = csr::tls_csr(&key, &node(id)).unwrap();
    let leaf = network
        .issuing
        .issue_node_tls(&request, &node(id), Validity::days(NOW_US, 7))
        .unwrap();
    Identity::new(&key, network.chain(leaf)).unwrap()
}

fn registry_identity(network: &Network) -> Identity {
    let key = TlsKey::load_or_make(&network.store("registry"), "registry").unwrap();
    let leaf = network
        .issuing
        .issue_registry_tls(&key, &[], Validity::days(NOW_US, 90))
        .unwrap();
    let chain = [leaf].into_iter().chain(network.issuing.issuers()).collect();
    Identity::new(&key, chain).unwrap()
}

fn jo() -> Instance {
    "JO".parse().unwrap()
}
