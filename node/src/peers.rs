//! The closet that talks to other nodes: connections, `Hello`, typed calls.

mod comparing;
mod posting;

use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Uri, header};
use hyper::client::conn::http2::SendRequest;
use jisr_proto::ident::NodeId;
use jisr_proto::peer::{
    ExchangeRequest, ExchangeResponse, HelloRequest, HelloResponse, ProveRequest, ProveResponse, SettleRequest,
    ShowRequest, ShowResponse,
};
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use prost::Message;
use tokio::net::TcpStream;

use crate::connections::{self, CallError, Connections, Cut, Line};
use crate::directory::{NodeRow, View};
use crate::ends::End;
use crate::form::{self, ANSWER_BYTES_MAX, ENVELOPE_BYTES_MAX};
use crate::grpc::{self, Chunks, FrameError};
use crate::identity::Identity;

pub(crate) use posting::{POSTED_BYTES_MAX, Posted};

/// Paths of the calls whose answers may carry a payload.
const EXCHANGE: &str = "/jisr.peer.v1.Peer/Exchange";
const SETTLE: &str = "/jisr.peer.v1.Peer/Settle";
/// How long a peer may take to say what stands in its ledger.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// What can come of a call to a peer instead of its answer.
#[derive(Debug)]
pub(crate) enum PeerError {
    /// Provably nothing left this node.
    Unsent(String),
    /// It may have arrived; nobody knows what came of it.
    Broken(String),
    /// The peer refused it without a statement.
    Refused(Fault),
    /// It answered, with more than this node takes.
    TooLarge(Fault),
}

/// Makes the `Hello` of this node.
pub(crate) trait Greeter: Send + Sync {
    /// What this node says on a new connection to `peer`.
    fn greet(&self, peer: &NodeRow) -> HelloRequest;
    /// Whether `peer` may be asked anything: it may not where it showed nothing of its ledger at the last `Hello` and some of it is
    /// known.
    fn is_open(&self, peer: &NodeRow) -> Result<(), Fault>;
    /// Judges the answer; an error closes the connection. `asked` is the checkpoint of the peer's ledger that was sent.
    fn hear<'a>(&'a self, peer: &'a NodeRow, asked: Bytes, answer: HelloResponse) -> Heard<'a>;
}

/// What a judgement of an answer comes to.
pub(crate) type Heard<'a> = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>>;

/// A connection to a peer.
struct Open {
    end: End,
    cut: Cut,
}

/// Connections to peers.
pub(crate) struct Peers {
    identity: Arc<Identity>,
    connections: Connections<NodeId>,
    /// Every connection that may still carry a call.
    open: Mutex<Vec<Open>>,
    connect_timeout: Duration,
    response_bytes_max: usize,
}

impl Peers {
    /// No connections yet.
    pub(crate) fn new(identity: Arc<Identity>, connect_timeout: Duration, body_bytes_max: usize) -> Peers {
        Peers {
            identity,
            connections: Connections::new(),
            open: Mutex::default(),
            connect_timeout,
            response_bytes_max: body_bytes_max + ENVELOPE_BYTES_MAX,
        }
    }

    /// Whether a connection to this node is up.
    pub(crate) fn connected(&self, node: &NodeId) -> bool {
        self.connections.connected(node)
    }

    /// Calls in flight end on the connections that there are; further ones connect anew.
    pub(crate) fn connect_anew(&self) {
        self.connections.retain(|_| false);
    }

    /// Puts one question, as [`split_payload`] made it. The payload goes out from where it lies.
    pub(crate) async fn exchange(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        (head, payload): (Bytes, Bytes),
    ) -> Result<ExchangeResponse, PeerError> {
        self.look_again(greeter, to).await?;
        let response: ExchangeResponse = self.call(greeter, to, EXCHANGE, head, payload).await?;
        let limit = self.response_bytes_max.saturating_sub(ENVELOPE_BYTES_MAX);
        if response.payload.len() > limit {
            Err(broken(FrameError::TooLarge { limit }))
        } else {
            Ok(response)
        }
    }

    /// A peer that showed nothing of its ledger when it introduced itself shows it now, or is asked nothing.
    async fn look_again(&self, greeter: &dyn Greeter, to: &NodeRow) -> Result<(), PeerError> {
        if greeter.is_open(to).is_ok() {
            return Ok(());
        }
        self.greet(greeter, to).await?;
        greeter.is_open(to).map_err(PeerError::Refused)
    }

    /// Asks how an exchange ended.
    pub(crate) async fn settle(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        request: &SettleRequest,
    ) -> Result<ExchangeResponse, PeerError> {
        self.call_within(greeter, to, SETTLE, request.encode_to_vec().into(), ANSWER_WAIT)
            .await
    }

    /// Asks for final proofs.
    pub(crate) async fn prove(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        request: &ProveRequest,
    ) -> Result<ProveResponse, PeerError> {
        self.call_within(
            greeter,
            to,
            "/jisr.peer.v1.Peer/Prove",
            request.encode_to_vec().into(),
            ANSWER_WAIT,
        )
        .await
    }

    /// Asks for the other side's statements of an exchange.
    pub(crate) async fn show(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        request: &ShowRequest,
    ) -> Result<ShowResponse, PeerError> {
        self.call_within(
            greeter,
            to,
            "/jisr.peer.v1.Peer/Show",
            request.encode_to_vec().into(),
            ANSWER_WAIT,
        )
        .await
    }

    /// A call that the other side can answer from its ledger: one that keeps silent holds nobody up.
    async fn call_within<R: Message + Default>(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        path: &'static str,
        request: Bytes,
        wait: Duration,
    ) -> Result<R, PeerError> {
        let called = self.call(greeter, to, path, request, Bytes::new());
        let silent = || PeerError::Broken(format!("{} did not answer within {wait:?}", to.id));
        tokio::time::timeout(wait, called)
            .await
            .unwrap_or_else(|_| Err(silent()))
    }

    async fn call<R: Message + Default>(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        path: &'static str,
        head: Bytes,
        tail: Bytes,
    ) -> Result<R, PeerError> {
        let mut sender = self
            .connections
            .sender(&to.id, async || Box::pin(self.connect(greeter, to)).await)
            .await?;
        self.call_on(&mut sender, path, head, tail).await
    }

    async fn call_on<R: Message + Default>(
        &self,
        sender: &mut SendRequest<Chunks>,
        path: &'static str,
        head: Bytes,
        tail: Bytes,
    ) -> Result<R, PeerError> {
        let response = connections::send(sender, request(path, head, tail))
            .await
            .map_err(call_error)?;
        let may_carry = matches!(path, EXCHANGE | SETTLE);
        let limit = if may_carry {
            self.response_bytes_max
        } else {
            ANSWER_BYTES_MAX
        };
        let received = grpc::read_response(response, limit).await.map_err(broken)?;
        let status = grpc::Status::read(&received.trailing).map_err(broken)?;
        if status.code != 0 {
            return Err(PeerError::Refused(refused(&status)));
        }
        let message = received
            .message
            .ok_or_else(|| PeerError::Broken("the peer sent no message".into()))?;
        if may_carry {
            form::envelope(&message).map_err(|fault| match fault.reason {
                Reason::BodyTooLarge => PeerError::TooLarge(fault),
                _ => PeerError::Broken(format!("the peer's message does not parse: {}", fault.detail)),
            })?;
        }
        R::decode(message).map_err(|error| PeerError::Broken(format!("the peer's message does not parse: {error}")))
    }

    /// A connection on which both sides have introduced themselves. A peer that says at `Hello` why it will not talk is
    /// believed: trying again would not help.
    async fn connect(&self, greeter: &dyn Greeter, to: &NodeRow) -> Result<Line, PeerError> {
        let connecting = async {
            let mut line = self.reach(to).await.map_err(PeerError::Unsent)?;
            self.hello(&mut line.sender, greeter, to).await?;
            Ok(line)
        };
        let silent = || PeerError::Unsent(format!("{} at {} did not answer in time", to.id, to.address));
        tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .unwrap_or_else(|_| Err(silent()))
    }

    async fn reach(&self, to: &NodeRow) -> Result<Line, String> {
        let stream = TcpStream::connect(&to.address)
            .await
            .map_err(|error| format!("cannot connect to {} at {}: {error}", to.id, to.address))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let socket = stream.as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
        let (connector, name) = self.identity.connector(&to.id)?;
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| format!("TLS with {} at {} failed: {error}", to.id, to.address))?;
        let chain = stream.get_ref().1.peer_certificates();
        let end = self.identity.end(chain);
        let end = end.ok_or_else(|| format!("the snapshot that came meanwhile does not list {}", to.id))?;
        let line = connections::handshake(stream, Some(socket.into())).await?;
        let open = Open {
            end: end.clone(),
            cut: line.cut.clone(),
        };
        self.lock_open().push(open);
        // A snapshot that came in between cut the others; this one is looked at here.
        if let Err(fault) = self.identity.holds(&end) {
            line.cut.now();
            return Err(fault.to_string());
        }
        Ok(line)
    }

    /// Ends every connection that may not go on by this snapshot, with the calls on it; those whose certificate has ended take no
    /// further calls.
    pub(crate) fn cut(&self, view: &View, now_us: u64) {
        let mut open = self.lock_open();
        open.retain(|open| {
            if let Err(fault) = open.end.holds(view) {
                tracing::warn!(node = %open.end.node, %fault, "a connection to a peer is cut");
                open.cut.now();
                return false;
            }
            !open.cut.is_over()
        });
        let ended = |node: &NodeId| {
            let ended = |open: &&Open| open.end.node == *node && open.end.in_time(now_us).is_err();
            open.iter().any(|open| ended(&open))
        };
        self.connections
            .retain(|node| view.node(node).is_some() && !ended(node));
        open.retain(|open| open.end.in_time(now_us).is_ok());
    }

    fn lock_open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hello(
        &self,
        sender: &mut SendRequest<Chunks>,
        greeter: &dyn Greeter,
        to: &NodeRow,
    ) -> Result<(), PeerError> {
        let hello = greeter.greet(to);
        let asked = hello.yours.clone();
        let answered = self
            .call_on(
                sender,
                "/jisr.peer.v1.Peer/Hello",
                hello.encode_to_vec().into(),
                Bytes::new(),
            )
            .await;
        let answer: HelloResponse = answered.map_err(|error| match error {
            // Whatever became of the Hello, no question has left.
            PeerError::Broken(text) => PeerError::Unsent(format!("{}: {text}", to.id)),
            error => error,
        })?;
        greeter.hear(to, asked, answer).await.map_err(PeerError::Refused)
    }

    /// Both sides show once more how their ledgers went on.
    pub(crate) async fn greet(&self, greeter: &dyn Greeter, to: &NodeRow) -> Result<(), PeerError> {
        let mut is_new = false;
        let connect = async || {
            is_new = true;
            Box::pin(self.connect(greeter, to)).await
        };
        let mut sender = self.connections.sender(&to.id, connect).await?;
        if is_new {
            return Ok(());
        }
        let silent = || PeerError::Unsent(format!("{} at {} did not answer in time", to.id, to.address));
        tokio::time::timeout(self.connect_timeout, self.hello(&mut sender, greeter, to))
            .await
            .unwrap_or_else(|_| Err(silent()))
    }
}

fn call_error(error: CallError) -> PeerError {
    match error {
        CallError::Unsent(text) => PeerError::Unsent(text),
        CallError::Broken(text) => PeerError::Broken(text),
    }
}

fn uri(path: &'static str) -> Uri {
    Uri::builder()
        .scheme("https")
        .authority("jisr")
        .path_and_query(path)
        .build()
        .expect("a constant path is a valid URI")
}

fn broken(error: FrameError) -> PeerError {
    match error {
        FrameError::TooLarge { .. } => {
            PeerError::TooLarge(Fault::new(Reason::BodyTooLarge, format!("of the answer, {error}")))
        }
        error => PeerError::Broken(error.to_string()),
    }
}

fn refused(status: &grpc::Status) -> Fault {
    Fault::parse(&status.details).map(Fault::mirrored).unwrap_or_else(|| {
        Fault::new(
            Reason::PeerMisbehaved,
            format!("the peer answered status {}: {}", status.code, status.message),
        )
    })
}

fn request(path: &'static str, head: Bytes, tail: Bytes) -> Request<Chunks> {
    let mut request = Request::new(Chunks::message(head, tail));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri(path);
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    request
}

/// Encodes everything but the payload, then the key and length of the payload, so that the payload itself need not be
/// copied into the message.
pub(crate) fn split_payload(mut request: ExchangeRequest) -> (Bytes, Bytes) {
    let payload = std::mem::take(&mut request.payload);
    (head_before_payload(&request, payload.len()), payload)
}

/// The encoded message, whose own payload is empty, followed by the key and length of a payload of `payload_bytes`.
/// Works because `payload` has the highest field number in both messages.
pub(crate) fn head_before_payload(message: &impl Message, payload_bytes: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(message.encoded_len() + 12);
    message.encode(&mut head).expect("the buffer grows as needed");
    if payload_bytes > 0 {
        head.put_u8((15 << 3) | 2);
        prost::encoding::encode_varint(payload_bytes as u64, &mut head);
    }
    head.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_message_is_the_same_message() {
        let request = ExchangeRequest {
            timeout_us: 7,
            payload: Bytes::from(vec![1; 300]),
            ..Default::default()
        };
        let (head, tail) = split_payload(request.clone());
        assert_eq!([&head[..], &tail[..]].concat(), request.encode_to_vec());
        let (head, tail) = split_payload(ExchangeRequest::default());
        assert!(head.is_empty() && tail.is_empty());
    }
}
