//! TLS before a backend that speaks in the clear, as an agency would put it there: certificates of its own authority.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jisr_certs::issue::LocalCa;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::pem;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_ledger::clock::{Clock as _, SystemClock};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Takes TLS connections and passes what is in them on in the clear.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    authority: PathBuf,
    task: JoinHandle<()>,
}

impl Front {
    /// Stands before `target`; its authority lies in `dir`, which is made.
    pub async fn before(target: SocketAddr, dir: &Path) -> Front {
        let authority = dir.join("authority.pem");
        let acceptor = TlsAcceptor::from(Arc::new(settings(dir, &authority)));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                lines.spawn(async move {
                    let Ok(mut near) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut far = TcpStream::connect(target).await.expect("the backend is there");
                    // Either end may go; the other one sees it.
                    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                });
            }
        });
        Front {
            address,
            authority,
            task,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its authority, PEM.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn settings(dir: &Path, authority: &Path) -> ServerConfig {
    let now = SystemClock.now_us();
    let store = KeyStore::create(dir, &KeySecret::passing().expect("random bytes")).expect("a new directory");
    let member = "JO/GOV/psd".parse().expect("a member");
    let ca = LocalCa::create(&store, &member, now).expect("an authority can be made");
    let key = TlsKey::load_or_make(&store, "front").expect("a key can be made");
    let names = ["127.0.0.1".to_owned()];
    let certificate = ca
        .issue_local_door(&key, &names, Validity::days(now, 1))
        .expect("it names one host");
    std::fs::write(authority, pem::certificates_to_pem([ca.certificate().der.as_ref()]))
        .expect("a file can be written");
    let key = store
        .read("tls-front.pem")
        .expect("the store opens")
        .expect("the store holds the key");
    let key = PrivatePkcs8KeyDer::from(pem::key_from_pem(&key).expect("it is PEM").to_vec());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring speaks TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key))
        .expect("key and certificate match");
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
