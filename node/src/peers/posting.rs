//! Texts over HTTP beside the typed protocol, as C2SP tlog-witness has them.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Limited};

use super::{Greeter, PeerError, Peers, call_error, uri};
use crate::connections;
use crate::directory::NodeRow;
use crate::grpc::Chunks;

/// The answer to a text.
#[derive(Debug)]
pub(crate) struct Posted {
    /// HTTP status.
    pub status: u16,
    /// Its content type.
    pub content_type: Option<String>,
    /// Its body.
    pub body: Bytes,
}

/// Longest answer to a text.
pub(crate) const POSTED_BYTES_MAX: usize = 64 << 10;

impl Peers {
    /// Posts a text, as C2SP tlog-witness does. Returns status, content type and body.
    pub(crate) async fn post(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        path: &'static str,
        body: Bytes,
    ) -> Result<Posted, PeerError> {
        let mut sender = self
            .connections
            .sender(&to.id, async || Box::pin(self.connect(greeter, to)).await)
            .await?;
        let response = connections::send(&mut sender, text_request(path, body))
            .await
            .map_err(call_error)?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), POSTED_BYTES_MAX).collect().await;
        let body = body.map_err(|error| PeerError::Broken(error.to_string()))?.to_bytes();
        Ok(Posted {
            status,
            content_type,
            body,
        })
    }
}

fn text_request(path: &'static str, body: Bytes) -> Request<Chunks> {
    let mut request = Request::new(Chunks::text(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri(path);
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    request.headers_mut().insert(header::CONTENT_TYPE, plain);
    request
}
