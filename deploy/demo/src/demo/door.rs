//! How an application reaches its node's local door: gRPC over TLS with a client certificate, like any other gRPC server.

use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::agency::Agency;

use super::DemoError;
use super::layout::{self, Layout};

/// Connects to the local door of an agency's node at host:port with the credential in `clients/CODE`.
pub(super) async fn open(layout: &Layout, agency: Agency, address: &str) -> Result<Channel, DemoError> {
    let wrong = |what: &dyn ToString| DemoError::Door {
        node: agency.code(),
        address: address.to_owned(),
        what: what.to_string(),
    };
    let tls = Arc::new(settings(layout, agency)?.map_err(|error| wrong(&error))?);
    let connect = service_fn(move |uri: Uri| {
        let connector = TlsConnector::from(Arc::clone(&tls));
        async move { secured(&connector, &uri).await.map(TokioIo::new) }
    });
    // To tonic the connection is plain, for the TLS lies in the connector; to the node the calls are what they are.
    let origin: Uri = format!("https://{address}").parse().map_err(|error| wrong(&error))?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| wrong(&error))?
        .origin(origin);
    endpoint
        .connect_with_connector(connect)
        .await
        .map_err(|error| wrong(&format!("{error:?}")))
}

async fn secured(connector: &TlsConnector, uri: &Uri) -> io::Result<TlsStream<TcpStream>> {
    let host = uri
        .host()
        .ok_or_else(|| io::Error::other("an address without a host"))?;
    let port = uri
        .port_u16()
        .ok_or_else(|| io::Error::other("an address without a port"))?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    connector.connect(name, stream).await
}

/// TLS 1.3 with the credential's three files.
fn settings(layout: &Layout, agency: Agency) -> Result<Result<ClientConfig, BoxError>, DemoError> {
    let dir = layout::client(agency);
    let read = |name: &str| layout.read(&format!("{dir}/{name}"));
    let (ca, certificate, key) = (read("ca.pem")?, read("cert.pem")?, read("key.pem")?);
    Ok(configure(&ca, &certificate, &key))
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn configure(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<ClientConfig, BoxError> {
    let mut roots = RootCertStore::empty();
    for trusted in CertificateDer::pem_slice_iter(ca) {
        roots.add(trusted?)?;
    }
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
