//! A connection to the local door, so made that whatever is wrong with it is known, and said, before the call.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::failure::Failure;

/// Time to connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An address and how to speak there.
pub(super) struct Opened {
    address: String,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection, in the clear or in TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Opened {
    /// The door at `address`; without `tls` in the clear.
    pub(super) fn new(address: String, tls: Option<Arc<ClientConfig>>) -> Opened {
        Opened { address, tls }
    }

    /// Connects once. The channel does not reconnect: a call is made on this connection or not at all.
    pub(super) async fn connect(&self) -> Result<Channel, Failure> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{}", self.address)
            .parse()
            .map_err(|_| self.no_address())?;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.stream(&uri)).await;
        let mut stream = Some(connected.map_err(|_| self.unreachable("no answer within 10 s"))??);
        let once = service_fn(move |_: Uri| {
            let stream = stream.take();
            async move { stream.ok_or_else(|| std::io::Error::from(ErrorKind::NotConnected)) }
        });
        // The bytes of the stream are TLS already; tonic is to speak HTTP/2 on it and no more.
        let endpoint = Endpoint::from_static("http://door.invalid").origin(uri);
        endpoint
            .connect_with_connector(once)
            .await
            .map_err(|error| self.unreachable(&error.to_string()))
    }

    async fn stream(&self, uri: &Uri) -> Result<TokioIo<Box<dyn Stream>>, Failure> {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let tcp = TcpStream::connect(&self.address)
            .await
            .map_err(|error| self.unreachable(&error.to_string()))?;
        tcp.set_nodelay(true)
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let Some(tls) = &self.tls else {
            return Ok(TokioIo::new(Box::new(tcp)));
        };
        let name = ServerName::try_from(host).map_err(|_| self.no_address())?;
        let connected = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
        connected
            .map(|stream| TokioIo::new(Box::new(stream) as Box<dyn Stream>))
            .map_err(|error| self.untrusted(&error))
    }

    fn no_address(&self) -> Failure {
        Failure::usage(format!("{:?} is no address", self.address), "write HOST:PORT")
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::refused(
            format!("the node's local door at {} cannot be reached: {why}", self.address),
            "own node",
            "calls go through the caller's own node",
            "check the address, and that the node runs: jisr node status --dir DIR",
        )
    }

    fn untrusted(&self, error: &std::io::Error) -> Failure {
        Failure::refused(
            format!("no TLS with the node's local door at {}: {error}", self.address),
            "own node",
            "the door and its callers show each other certificates of the node's local CA",
            "use the ca.pem, cert.pem and key.pem of this node, and a name that stands in local_door.names",
        )
    }
}
