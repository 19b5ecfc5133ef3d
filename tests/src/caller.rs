//! An application of a member: ordinary gRPC with a client certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use hyper_util::rt::TokioIo;
use jisr_certs::issue::Credential;
use jisr_certs::tls;
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::messages::{Question, Reply};

/// A successful answer.
#[derive(Debug)]
pub struct Answer {
    /// `jisr-exchange-id`.
    pub exchange: String,
    /// The message.
    pub reply: Reply,
    /// Metadata before and after the message, as tonic joins them.
    pub metadata: MetadataMap,
}

/// An application.
#[derive(Debug, Clone)]
pub struct Caller {
    channel: Channel,
    /// Metadata that goes with each call.
    pub metadata: MetadataMap,
}

/// The reason in a refusal.
///
/// # Panics
/// The status carries none.
#[must_use]
pub fn reason_of(status: &Status) -> Reason {
    Fault::from_tonic(status)
        .unwrap_or_else(|| panic!("no reason in {status:?}"))
        .reason
}

/// The refusal that an outcome is: with this reason, and with party, rule and remedy in its details.
///
/// # Panics
/// It is none, or another one.
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>, reason: Reason) -> Refused {
    let status = outcome.expect_err(reason.as_str());
    assert_eq!(reason_of(&status), reason, "{status:?}");
    assert_eq!(status.code(), reason.code(), "{status:?}");
    let details = jisr_proto::status::Status::decode(status.details()).expect("details are a google.rpc.Status");
    let info = details.details.first().expect("one detail");
    let info = jisr_proto::status::ErrorInfo::decode(info.value.as_slice()).expect("it is an ErrorInfo");
    let said = |key: &str| {
        info.metadata
            .get(key)
            .map(String::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        (said("rule").as_str(), said("remedy").as_str()),
        (reason.rule(), reason.remedy())
    );
    let exchange = status
        .metadata()
        .get("jisr-exchange-id")
        .and_then(|id| id.to_str().ok());
    Refused {
        party: said("party"),
        detail: said("detail"),
        exchange: exchange.unwrap_or_default().to_owned(),
    }
}

/// What a refusal says beside its reason.
#[derive(Debug)]
pub struct Refused {
    /// Who has to act.
    pub party: String,
    /// What exactly.
    pub detail: String,
    /// The exchange; empty where it never became one.
    pub exchange: String,
}

impl Caller {
    /// An application at this door, with this credential; without one it speaks in the clear.
    #[must_use]
    pub fn new(door: SocketAddr, credential: Option<&Credential>) -> Caller {
        let connector = credential.map(|credential| connector(credential, &credential.authority));
        let connect = tower::service_fn(move |_| {
            let connector = connector.clone();
            async move {
                let stream = TcpStream::connect(door).await?;
                Ok::<_, std::io::Error>(match connector {
                    None => TokioIo::new(Stream::Plain(stream)),
                    Some(connector) => {
                        let name = rustls::pki_types::ServerName::IpAddress(door.ip().into());
                        TokioIo::new(Stream::Tls(Box::new(connector.connect(name, stream).await?)))
                    }
                })
            }
        });
        let channel = Endpoint::from_static("http://127.0.0.1").connect_with_connector_lazy(connect);
        Caller {
            channel,
            metadata: MetadataMap::new(),
        }
    }

    /// The same with one more metadata entry, percent-encoded as the local door wants it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Caller {
        let value = jisr_proto::metadata::encode(value)
            .parse()
            .expect("percent-encoded text is a metadata value");
        self.metadata.insert(name, value);
        self
    }

    /// The same without an entry.
    #[must_use]
    pub fn without(mut self, name: &'static str) -> Caller {
        self.metadata.remove(name);
        self
    }

    /// Calls a method of the probe service.
    ///
    /// # Errors
    /// The status that came instead.
    pub async fn ask(&self, method: &str, question: &Question) -> Result<Answer, Status> {
        self.call(
            &format!("/jisr.tests.v1.Probe/{method}"),
            question.bytes(),
            Duration::from_secs(20),
        )
        .await
    }

    /// Calls any method with any bytes.
    ///
    /// # Errors
    /// The status that came instead.
    pub async fn call(&self, path: &str, message: Bytes, timeout: Duration) -> Result<Answer, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(64 << 20);
        client
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(timeout);
        let path = path.parse().expect("a story names a path");
        let response = client.unary(request, path, BytesCodec).await?;
        let (metadata, message, _) = response.into_parts();
        let exchange = metadata
            .get("jisr-exchange-id")
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let reply = Reply::decode(message).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Answer {
            exchange,
            reply,
            metadata,
        })
    }

    /// The channel, for generated stubs.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}

/// Shows the credential, and trusts doors that `authority` named.
pub(crate) fn connector(credential: &Credential, authority: &CertificateDer<'_>) -> TlsConnector {
    let key = jisr_certs::tls_key::TlsKey::from_pem(credential.key_pem().as_bytes()).expect("a fresh key reads");
    let identity = tls::Identity::new(&key, vec![credential.certificate.clone()]).expect("key and certificate match");
    let now = jisr_ledger::clock::Clock::now_us(&jisr_ledger::clock::SystemClock);
    let ca = jisr_certs::profile::check_local_ca(authority, now).expect("a fresh local CA");
    let clock: tls::Clock = Arc::new(|| jisr_ledger::clock::Clock::now_us(&jisr_ledger::clock::SystemClock));
    TlsConnector::from(tls::local_client(&identity, &ca, &clock).expect("settings for a client"))
}

/// With or without TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl tokio::io::AsyncRead for Stream {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => std::pin::Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => std::pin::Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl tokio::io::AsyncWrite for Stream {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => std::pin::Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => std::pin::Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => std::pin::Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => std::pin::Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => std::pin::Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => std::pin::Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// Messages as bytes.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = BytesCodec;
    type Decoder = BytesCodec;

    fn encoder(&mut self) -> BytesCodec {
        BytesCodec
    }

    fn decoder(&mut self) -> BytesCodec {
        BytesCodec
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(src.copy_to_bytes(src.remaining())))
    }
}
