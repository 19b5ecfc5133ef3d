//! A connection to a local door, a request at a time, byte by byte: what no well-behaved gRPC client sends.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use jisr_certs::issue::Credential;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::Status;

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
}

/// What came back.
#[derive(Debug)]
pub struct Told {
    /// HTTP status.
    pub http: StatusCode,
    /// Headers of the response.
    pub headers: HeaderMap,
    /// Body, prefix included.
    pub body: Bytes,
    /// Headers after the body; those of the response where there are none.
    pub trailers: HeaderMap,
}

impl Told {
    /// The gRPC status.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::from_header_map(&self.trailers).unwrap_or_else(|| panic!("no gRPC status in {self:?}"))
    }
}

/// A message with its gRPC prefix.
#[must_use]
pub fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("stories stay below 4 GiB"));
    framed.put_slice(message);
    framed.freeze()
}

impl Line {
    /// Connects in the clear.
    ///
    /// # Errors
    /// What the network said.
    pub async fn plain(door: SocketAddr) -> std::io::Result<Line> {
        Line::over(TcpStream::connect(door).await?).await
    }

    /// Connects with a credential, to a door of the authority `of`.
    ///
    /// # Errors
    /// What the network or the door said.
    pub async fn with(door: SocketAddr, credential: &Credential, of: &Credential) -> std::io::Result<Line> {
        Line::tls(door, crate::caller::connector(credential, &of.authority)).await
    }

    /// Connects with TLS, but shows no certificate.
    ///
    /// # Errors
    /// As [`Line::with`].
    pub async fn anonymous(door: SocketAddr, of: &Credential) -> std::io::Result<Line> {
        let mut roots = RootCertStore::empty();
        roots.add(of.authority.clone()).expect("a local CA is an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring speaks TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Line::tls(door, TlsConnector::from(Arc::new(config))).await
    }

    async fn tls(door: SocketAddr, connector: TlsConnector) -> std::io::Result<Line> {
        let name = rustls::pki_types::ServerName::IpAddress(door.ip().into());
        Line::over(connector.connect(name, TcpStream::connect(door).await?).await?).await
    }

    async fn over<T>(stream: T) -> std::io::Result<Line>
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Line { sender })
    }

    /// Posts a body to a path, with these headers beside the content type.
    ///
    /// # Errors
    /// The connection broke.
    ///
    /// # Panics
    /// A header is none.
    pub async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Told, hyper::Error> {
        let mut request = Request::post(format!("http://127.0.0.1{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(body))
            .expect("a story names a path");
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            request
                .headers_mut()
                .append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_else(|| parts.headers.clone());
        Ok(Told {
            http: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
            trailers,
        })
    }
}
