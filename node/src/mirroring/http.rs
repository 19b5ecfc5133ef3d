//! HTTP/1.1 for object storage: one connection that is kept, over rustls and the authorities that the operator names.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::HOST;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Method};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest wait for a connection, and for the head of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes clients over these TLS settings.
#[derive(Clone)]
pub(crate) struct Connector {
    /// Of https; plain HTTP without.
    pub(crate) tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Client {
            connector: self.clone(),
            idle: Arc::default(),
        }))
    }
}

/// A connection that can take another request, and whom it leads to.
type Kept = (String, SendRequest<HttpRequestBody>);

/// A client of one endpoint.
struct Client {
    connector: Connector,
    /// What nobody uses just now.
    idle: Arc<Mutex<Option<Kept>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

#[tonic::async_trait]
impl HttpService for Client {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri().clone();
        let authority = uri
            .authority()
            .ok_or_else(|| unusable("the address has no host"))?
            .clone();
        if !request.headers().contains_key(HOST) {
            let host =
                HeaderValue::from_str(authority.as_str()).map_err(|error| failed(HttpErrorKind::Unknown, error))?;
            request.headers_mut().insert(HOST, host);
        }
        let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
        let whom = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
        let (is_head, idle) = (request.method() == Method::HEAD, self.take_idle(&whom));
        let mut sender = match idle {
            Some(sender) => sender,
            None => in_time(self.open(&uri)).await?,
        };
        let answered = in_time(async {
            let sent = sender.send_request(request).await;
            sent.map_err(|error| failed(HttpErrorKind::Request, error))
        });
        let (head, body) = answered.await?.into_parts();
        let body = match is_head {
            true => HttpResponseBody::from(bytes::Bytes::new()),
            // Read as it is asked for: a segment may be large.
            false => HttpResponseBody::new(body.map_err(|error| failed(HttpErrorKind::Interrupted, error))),
        };
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((whom, sender));
        Ok(HttpResponse::from_parts(head, body))
    }
}

impl Client {
    /// The kept connection, if it leads there and can take a request at once: its last answer may still be read by somebody.
    fn take_idle(&self, whom: &str) -> Option<SendRequest<HttpRequestBody>> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.filter(|(to, sender)| to == whom && sender.is_ready())
            .map(|(_, sender)| sender)
    }

    async fn open(&self, uri: &Uri) -> Result<SendRequest<HttpRequestBody>, HttpError> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let connect = |error| failed(HttpErrorKind::Connect, error);
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        if !tls {
            return handshake(TokioIo::new(stream)).await;
        }
        let connector = self.connector.tls.as_ref();
        let connector = connector.ok_or_else(|| unusable("it leads to https, and no `ca` is named"))?;
        let name = ServerName::try_from(host).map_err(|error| failed(HttpErrorKind::Connect, error))?;
        let stream = connector.connect(name, stream).await.map_err(connect)?;
        handshake(TokioIo::new(stream)).await
    }
}

async fn handshake<S>(stream: TokioIo<S>) -> Result<SendRequest<HttpRequestBody>, HttpError>
where
    TokioIo<S>: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(stream)
        .await
        .map_err(|error| failed(HttpErrorKind::Connect, error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the object storage ended");
        }
    });
    Ok(sender)
}

async fn in_time<T>(work: impl Future<Output = Result<T, HttpError>>) -> Result<T, HttpError> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|late| Err(failed(HttpErrorKind::Timeout, late)))
}

fn failed(kind: HttpErrorKind, error: impl std::error::Error + Send + Sync + 'static) -> HttpError {
    HttpError::new(kind, error)
}

fn unusable(rule: &str) -> HttpError {
    failed(HttpErrorKind::Unknown, std::io::Error::other(rule.to_owned()))
}
