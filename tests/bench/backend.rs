//! The backend that both pairs of the benchmark stand in front of: gRPC over h2c that sends every message back.
//!
//! `bench-backend ADDRESS` prints the address it listens on as its first line and serves until its standard input ends, so
//! that it never outlives the benchmark. One thread: what it costs is the same for both pairs.

use std::convert::Infallible;
use std::io::{self, Read};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const METHOD: &str = "/bench.v1.Echo/Send";
const STREAMS_MAX: u32 = 1024;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    tokio::select! {
        served = serve(listener) => served,
        _ended = input_ended() => Ok(()),
    }
}

/// Resolves when whoever started this process closes its standard input, or is gone.
fn input_ended() -> oneshot::Receiver<()> {
    let (ended, wait) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 64];
        while io::stdin().read(&mut ignored).is_ok_and(|count| count > 0) {}
        drop(ended);
    });
    wait
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream));
    }
}

async fn connection(stream: TcpStream) {
    let served = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
    if let Err(error) = served {
        eprintln!("connection: {error}");
    }
}

/// Request and reply are the same message, so the reply is the body of the request as it stands, gRPC prefix and all.
async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    if request.uri().path() != METHOD {
        return Ok(reply(Empty::new().with_trailers(status("12")).boxed()));
    }
    let message = request.into_body().collect().await?.to_bytes();
    Ok(reply(Full::new(message).with_trailers(status("0")).boxed()))
}

fn reply(body: BoxBody<Bytes, Infallible>) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

async fn status(code: &'static str) -> Option<Result<HeaderMap, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    Some(Ok(trailers))
}
