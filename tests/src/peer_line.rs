//! A connection to a peer door, spoken by hand.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use jisr_ledger::tlog::{ADD_CHECKPOINT, Answer};
use jisr_proto::peer::{ExchangeRequest, ExchangeResponse, HelloRequest, SettleRequest};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Core, Kind, Sealed};
use jisr_proto::status::Fault;
use prost::Message;

use crate::line::framed;

/// A connection to a peer door. A clone shares it.
#[derive(Clone)]
pub struct PeerLine {
    pub(crate) sender: SendRequest<Full<Bytes>>,
}

impl PeerLine {
    /// One call.
    ///
    /// # Errors
    /// The reason in the refusal.
    ///
    /// # Panics
    /// The door answers without a reason, or not at all.
    pub async fn call<Q: Message, A: Message + Default>(&mut self, method: &str, question: &Q) -> Result<A, Reason> {
        self.call_bytes(method, &question.encode_to_vec()).await
    }

    /// One call with any bytes.
    ///
    /// # Errors
    /// As [`PeerLine::call`].
    ///
    /// # Panics
    /// As [`PeerLine::call`].
    pub async fn call_bytes<A: Message + Default>(&mut self, method: &str, message: &[u8]) -> Result<A, Reason> {
        let request = Request::post(format!("https://jisr/jisr.peer.v1.Peer/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(framed(message)))
            .expect("a method has a name");
        self.sender.ready().await.expect("the connection is open");
        let (parts, body) = self
            .sender
            .send_request(request)
            .await
            .expect("the door answers")
            .into_parts();
        let body = body.collect().await.expect("the door answers");
        let trailers = body.trailers().cloned().unwrap_or_else(|| parts.headers.clone());
        let status = tonic::Status::from_header_map(&trailers).expect("a status");
        if status.code() != tonic::Code::Ok {
            return Err(Fault::from_tonic(&status).expect("a reason").reason);
        }
        let body = body.to_bytes();
        Ok(A::decode(body.slice(5..)).expect("the door speaks the protocol"))
    }

    /// Says Hello, if the connection lives. Returns whether it was answered at all.
    pub async fn try_hello(&mut self, hello: &HelloRequest) -> Option<()> {
        let request = Request::post("https://jisr/jisr.peer.v1.Peer/Hello")
            .header("content-type", "application/grpc")
            .body(Full::new(framed(&hello.encode_to_vec())))
            .expect("a constant request");
        self.sender.ready().await.ok()?;
        let response = self.sender.send_request(request).await.ok()?;
        let status = tonic::Status::from_header_map(response.headers());
        status
            .is_none_or(|status| status.code() == tonic::Code::Ok)
            .then_some(())
    }

    /// Asks for anything by plain HTTP/2. Returns status, content type and body.
    ///
    /// # Panics
    /// The door does not answer.
    pub async fn http(&mut self, method: http::Method, path: &str, body: Bytes) -> (u16, String, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://jisr{path}"))
            .body(Full::new(body))
            .expect("a path is a request");
        self.sender.ready().await.expect("the connection is open");
        let response = self.sender.send_request(request).await.expect("the door answers");
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let body = response
            .into_body()
            .collect()
            .await
            .expect("the door answers")
            .to_bytes();
        (status, kind, body)
    }

    /// Shows a witness a checkpoint (C2SP tlog-witness).
    ///
    /// # Panics
    /// The door does not answer.
    pub async fn add_checkpoint(&mut self, body: Bytes) -> Answer {
        let (status, kind, body) = self.http(http::Method::POST, ADD_CHECKPOINT, body).await;
        Answer::read(status, Some(&kind), &body)
    }

    /// Posts any bytes to a method, with one more header. Returns what the door answers, if it does.
    pub async fn post(
        &mut self,
        method: &str,
        header: &str,
        body: Bytes,
    ) -> Option<(http::StatusCode, Option<Reason>)> {
        let request = Request::post(format!("https://jisr/jisr.peer.v1.Peer/{method}"))
            .header("content-type", "application/grpc")
            .header("filling", header)
            .body(Full::new(body))
            .expect("a method has a name");
        self.sender.ready().await.ok()?;
        let response = self.sender.send_request(request).await.ok()?;
        let status = tonic::Status::from_header_map(response.headers());
        let reason = status
            .and_then(|status| Fault::from_tonic(&status))
            .map(|fault| fault.reason);
        Some((response.status(), reason))
    }

    /// Puts a question. Returns by what the provider closed it.
    ///
    /// # Errors
    /// The reason in the refusal without a statement.
    pub async fn exchange(&mut self, request: &ExchangeRequest) -> Result<(Kind, String), Reason> {
        self.call("Exchange", request).await.map(|response| closing(&response))
    }

    /// Asks how it ended.
    ///
    /// # Errors
    /// The reason in the refusal without a statement.
    pub async fn settle(&mut self, asked: &Sealed) -> Result<(Kind, String), Reason> {
        let request = SettleRequest {
            asked: Some(asked.clone()),
        };
        self.call("Settle", &request).await.map(|response| closing(&response))
    }
}

/// Kind and rule of the closing statement.
fn closing(response: &ExchangeResponse) -> (Kind, String) {
    let statement = response
        .closing
        .as_ref()
        .and_then(|closing| closing.statement.as_ref())
        .expect("a closing");
    let core = statement
        .parts
        .iter()
        .find(|part| part.tag == 1)
        .expect("CORE is never withheld");
    let core = Core::decode(core.content.clone()).expect("CORE parses");
    (core.kind(), core.rule)
}
