//! gRPC over HTTP/2 as bytes: one message in, one message out, status in the trailers.
//!
//! Follows the gRPC protocol document "gRPC over HTTP2": length-prefixed messages, `grpc-status`, `grpc-message`
//! (percent-encoded), `grpc-status-details-bin` (base64), `grpc-timeout`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

mod headers;

pub(crate) use headers::{Status, append_metadata, metadata, timeout, timeout_value};

/// Bytes of the prefix before each message: a compression flag and a length.
const PREFIX: usize = 5;

/// What may be wrong with a message on its way in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// More bytes than allowed.
    #[error("the message is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not exactly one well-formed message.
    #[error("{0}")]
    Malformed(&'static str),
    /// The compression flag is set.
    #[error("the message is compressed")]
    Compressed,
    /// The stream or the connection broke.
    #[error("the stream broke: {0}")]
    Broken(String),
}

/// A body of ready chunks and, at its end, trailers.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    data: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Chunks {
    /// A request body: one message, given as a prefix-free head and tail.
    pub(crate) fn message(head: Bytes, tail: Bytes) -> Chunks {
        Chunks {
            data: framed(head, tail),
            trailers: None,
        }
    }

    /// A body of text, not framed.
    pub(crate) fn text(text: Bytes) -> Chunks {
        Chunks {
            data: VecDeque::from([text]),
            trailers: None,
        }
    }

    /// A response body without a message.
    pub(crate) fn trailers(trailers: HeaderMap) -> Chunks {
        Chunks {
            data: VecDeque::new(),
            trailers: Some(trailers),
        }
    }

    /// A response body: one message, then trailers.
    pub(crate) fn reply(head: Bytes, tail: Bytes, trailers: HeaderMap) -> Chunks {
        Chunks {
            data: framed(head, tail),
            trailers: Some(trailers),
        }
    }
}

/// Messages up to this size go out as one DATA frame, at the price of one copy.
const JOINED_BYTES_MAX: usize = 16 << 10;

fn framed(head: Bytes, tail: Bytes) -> VecDeque<Bytes> {
    let length = head.len() + tail.len();
    let joined = length <= JOINED_BYTES_MAX;
    let mut first = BytesMut::with_capacity(PREFIX + head.len() + if joined { tail.len() } else { 0 });
    first.put_u8(0);
    first.put_u32(u32::try_from(length).expect("messages are bounded far below 4 GiB"));
    first.extend_from_slice(&head);
    let mut data = VecDeque::with_capacity(2);
    if joined {
        first.extend_from_slice(&tail);
        data.push_back(first.freeze());
    } else {
        data.push_back(first.freeze());
        data.push_back(tail);
    }
    data
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.data.pop_front() {
            Some(chunk) => Some(Frame::data(chunk)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.iter().map(|chunk| chunk.len() as u64).sum())
    }
}

/// What came back from a call: headers, at most one message, status.
#[derive(Debug)]
pub(crate) struct Received {
    /// Headers of the response; empty for a trailers-only response, whose headers are its trailers.
    pub initial: HeaderMap,
    /// The message, if there was one.
    pub message: Option<Bytes>,
    /// Headers after the message.
    pub trailing: HeaderMap,
}

/// Reads exactly one message.
pub(crate) async fn read_message<B>(body: B, limit: usize) -> Result<Bytes, FrameError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let (message, _) = read_body(body, limit).await?;
    message.ok_or(FrameError::Malformed("the stream ended without a message"))
}

/// Reads a response to its end.
pub(crate) async fn read_response<B>(response: Response<B>, limit: usize) -> Result<Received, FrameError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let (parts, body) = response.into_parts();
    if parts.status != StatusCode::OK {
        return Err(FrameError::Malformed("the HTTP status is not 200"));
    }
    if !is_grpc(&parts.headers) {
        return Err(FrameError::Malformed("the content type is not application/grpc"));
    }
    let (message, trailers) = read_body(body, limit).await?;
    match trailers {
        Some(trailing) => Ok(Received {
            initial: parts.headers,
            message,
            trailing,
        }),
        None if parts.headers.contains_key("grpc-status") => Ok(Received {
            initial: HeaderMap::new(),
            message,
            trailing: parts.headers,
        }),
        None => Err(FrameError::Malformed("the stream ended without grpc-status")),
    }
}

/// Whether the content type says gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(http::header::CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        value.starts_with(b"application/grpc") && matches!(value.get(16), None | Some(b'+' | b';'))
    })
}

async fn read_body<B>(mut body: B, limit: usize) -> Result<(Option<Bytes>, Option<HeaderMap>), FrameError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut gathered = Gathered::default();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| FrameError::Broken(error.to_string()))?;
        match frame.into_data() {
            Ok(data) => gathered.push(data, limit)?,
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((gathered.finish()?, trailers))
}

/// Bytes of a body while they come in. A body in one piece is never copied.
#[derive(Default)]
struct Gathered {
    whole: Bytes,
    pieces: BytesMut,
}

impl Gathered {
    fn push(&mut self, data: Bytes, limit: usize) -> Result<(), FrameError> {
        if self.whole.is_empty() && self.pieces.is_empty() {
            check_prefix(&data, limit)?;
            self.whole = data;
            return Ok(());
        }
        if self.pieces.is_empty() {
            let announced = announced(&self.whole).unwrap_or(0).min(limit);
            self.pieces.reserve(PREFIX + announced);
            self.pieces.extend_from_slice(&std::mem::take(&mut self.whole));
        }
        self.pieces.extend_from_slice(&data);
        check_prefix(&self.pieces, limit)
    }

    fn finish(self) -> Result<Option<Bytes>, FrameError> {
        let mut bytes = if self.pieces.is_empty() {
            self.whole
        } else {
            self.pieces.freeze()
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let announced = announced(&bytes).ok_or(FrameError::Malformed("the message prefix is cut short"))?;
        bytes.advance(PREFIX);
        match bytes.len().cmp(&announced) {
            std::cmp::Ordering::Equal => Ok(Some(bytes)),
            std::cmp::Ordering::Less => Err(FrameError::Malformed("the message is cut short")),
            std::cmp::Ordering::Greater => Err(FrameError::Malformed("more than one message on a unary call")),
        }
    }
}

fn announced(bytes: &[u8]) -> Option<usize> {
    let prefix = bytes.first_chunk::<PREFIX>()?;
    let [_, a, b, c, d] = *prefix;
    usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()
}

fn check_prefix(bytes: &[u8], limit: usize) -> Result<(), FrameError> {
    match bytes.first() {
        None | Some(0) => {}
        Some(1) => return Err(FrameError::Compressed),
        Some(_) => return Err(FrameError::Malformed("the compression flag is neither 0 nor 1")),
    }
    let Some(announced) = announced(bytes) else {
        return Ok(());
    };
    if announced > limit {
        return Err(FrameError::TooLarge { limit });
    }
    if bytes.len() > PREFIX + announced {
        return Err(FrameError::Malformed("more than one message on a unary call"));
    }
    Ok(())
}

/// Headers of every response.
pub(crate) fn response_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers
}

/// A response that consists of a status only.
pub(crate) fn trailers_only(status: &Status, mut headers: HeaderMap) -> Response<Chunks> {
    status.write(&mut headers);
    respond(headers, Chunks::default())
}

/// A response with these headers and body.
pub(crate) fn respond(headers: HeaderMap, body: Chunks) -> Response<Chunks> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: Vec<&'static [u8]>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames: VecDeque<Bytes> = chunks.into_iter().map(Bytes::from_static).collect();
        Chunks {
            data: frames,
            trailers: None,
        }
    }

    async fn read(chunks: Vec<&'static [u8]>) -> Result<Bytes, FrameError> {
        read_message(body(chunks), 8).await
    }

    #[tokio::test]
    async fn one_message_in_any_number_of_pieces() {
        assert_eq!(read(vec![b"\0\0\0\0\x03abc"]).await.unwrap(), "abc");
        assert_eq!(read(vec![b"\0\0", b"\0\0\x03a", b"bc"]).await.unwrap(), "abc");
        assert_eq!(read(vec![b"\0\0\0\0\0"]).await.unwrap(), "");
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        assert!(matches!(read(vec![]).await, Err(FrameError::Malformed(_))));
        assert!(matches!(read(vec![b"\0\0\0"]).await, Err(FrameError::Malformed(_))));
        assert!(matches!(
            read(vec![b"\0\0\0\0\x03ab"]).await,
            Err(FrameError::Malformed(_))
        ));
        assert!(matches!(
            read(vec![b"\0\0\0\0\x01ab"]).await,
            Err(FrameError::Malformed(_))
        ));
        assert!(matches!(
            read(vec![b"\0\0\0\0\x01a\0\0\0\0\x01b"]).await,
            Err(FrameError::Malformed(_))
        ));
        assert!(matches!(
            read(vec![b"\x01\0\0\0\x01a"]).await,
            Err(FrameError::Compressed)
        ));
        assert!(matches!(
            read(vec![b"\x07\0\0\0\x01a"]).await,
            Err(FrameError::Malformed(_))
        ));
        assert!(matches!(
            read(vec![b"\0\0\0\0\x09123456789"]).await,
            Err(FrameError::TooLarge { limit: 8 })
        ));
        assert!(matches!(
            read(vec![b"\0\xff\xff\xff\xff"]).await,
            Err(FrameError::TooLarge { limit: 8 })
        ));
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        for tail in [vec![7_u8; 3], vec![7_u8; JOINED_BYTES_MAX + 1]] {
            let chunks = Chunks::message(Bytes::from_static(b"head"), Bytes::from(tail.clone()));
            let message = read_message(chunks, 1 << 20).await.unwrap();
            assert_eq!(message.slice(4..), tail);
        }
    }
}
