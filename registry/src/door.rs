//! The door for nodes: accepts TCP connections, shakes hands within a time limit, and hands on who is there.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jisr_certs::Verified;
use jisr_certs::profile::{self, Authority, NodeTls};
use jisr_ledger::clock::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::config::Limits;
use crate::error::Error;
use crate::places::{Place, Places};

/// Wait after an accept that failed, for example for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Age at which the own certificate is renewed: it is made for 90 days.
const RENEWAL_US: u64 = 30 * 86_400 * 1_000_000;
/// Finished handshakes that may wait for the server.
const READY: usize = 64;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Where it comes from.
    pub(crate) address: IpAddr,
    /// The node that its certificate names; none where it showed none.
    pub(crate) identity: Option<Arc<Verified<NodeTls>>>,
}

/// An accepted connection. Counts against the limit until it is dropped.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    stranger: Option<Stranger>,
    _permit: OwnedSemaphorePermit,
}

/// Who shows no certificate may enrol and has to go: a short time, in one of few places.
struct Stranger {
    until: Pin<Box<Sleep>>,
    _place: (OwnedSemaphorePermit, Place),
}

/// What a door needs.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) settings: Settings,
    pub(crate) root: Verified<Authority>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
}

/// The door's TLS settings, with a certificate that is made anew long before it expires.
pub(crate) struct Settings {
    acceptor: TlsAcceptor,
    made_us: u64,
    renew: Renew,
}

/// Makes settings with a fresh certificate at a time in microseconds.
pub(crate) type Renew = Box<dyn Fn(u64) -> Result<TlsAcceptor, Error> + Send + Sync>;

impl Settings {
    /// Makes the first ones.
    ///
    /// # Errors
    /// As `renew`.
    pub(crate) fn new(renew: Renew, now_us: u64) -> Result<Settings, Error> {
        Ok(Settings {
            acceptor: renew(now_us)?,
            made_us: now_us,
            renew,
        })
    }

    fn current(&mut self, now_us: u64) -> TlsAcceptor {
        if now_us.saturating_sub(self.made_us) > RENEWAL_US {
            // Whether it works or not, the next try is a while away; the old ones hold for long.
            self.made_us = now_us;
            match (self.renew)(now_us) {
                Ok(acceptor) => self.acceptor = acceptor,
                Err(error) => tracing::error!(%error, "the registry's TLS certificate cannot be renewed"),
            }
        }
        self.acceptor.clone()
    }
}

impl Door {
    /// Accepts until `stop` says true; connections come out of the receiver. Ends when all handshakes have ended.
    pub(crate) async fn run(mut self, ready: mpsc::Sender<io::Result<Connection>>, mut stop: watch::Receiver<bool>) {
        let limit = Arc::new(Semaphore::new(self.limits.connections));
        let shaker = Arc::new(Shaker {
            root: self.root,
            clock: Arc::clone(&self.clock),
            handshake: self.limits.handshake,
            strangers: Arc::new(Semaphore::new(self.limits.strangers)),
            places: Places::new(self.limits.strangers_per_address),
            stranger_age: self.limits.stranger_age,
            ready,
        });
        let mut shaking = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = accept(&self.listener, &limit) => accepted,
            };
            // Handshakes that are over are forgotten here, so that the set does not grow.
            while shaking.try_join_next().is_some() {}
            match accepted {
                Ok((stream, address, permit)) => {
                    let shaker = Arc::clone(&shaker);
                    let acceptor = self.settings.current(self.clock.now_us());
                    shaking.spawn(async move { shaker.shake(acceptor, stream, address, permit).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
        shaking.shutdown().await;
    }
}

/// A channel for connections on their way from a door to the server.
pub(crate) fn ready() -> (
    mpsc::Sender<io::Result<Connection>>,
    mpsc::Receiver<io::Result<Connection>>,
) {
    mpsc::channel(READY)
}

async fn accept(
    listener: &TcpListener,
    limit: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // A place first: what is over the limit waits in the kernel's queue, not in our memory.
    let permit = Arc::clone(limit).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, address, permit))
}

struct Shaker {
    root: Verified<Authority>,
    clock: Arc<dyn Clock>,
    handshake: Duration,
    strangers: Arc<Semaphore>,
    places: Arc<Places>,
    stranger_age: Duration,
    ready: mpsc::Sender<io::Result<Connection>>,
}

impl Shaker {
    async fn shake(&self, acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        // Before a signature is made for it.
        let Some(place) = self.places.take(address.ip()) else {
            tracing::debug!(%address, "too many connections from this address that have shown no certificate");
            return;
        };
        let stream = match tokio::time::timeout(self.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "a handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(%address, "a handshake took too long");
                return;
            }
        };
        let identity = match stream.get_ref().1.peer_certificates() {
            None | Some([]) => None,
            Some(chain) => match profile::check_node_tls(chain, &self.root, self.clock.now_us()) {
                Ok(identity) => Some(Arc::new(identity)),
                Err(error) => {
                    tracing::warn!(%address, %error, "a certificate passed the handshake and no later check");
                    return;
                }
            },
        };
        let stranger = match identity {
            Some(_) => {
                drop(place);
                None
            }
            None => match Arc::clone(&self.strangers).try_acquire_owned() {
                Ok(permit) => Some(Stranger {
                    until: Box::pin(tokio::time::sleep(self.stranger_age)),
                    _place: (permit, place),
                }),
                Err(_) => {
                    tracing::debug!(%address, "too many connections without a certificate");
                    return;
                }
            },
        };
        let peer = Peer {
            address: address.ip(),
            identity,
        };
        // The server is gone: then the connection is too.
        let _ = self
            .ready
            .send(Ok(Connection {
                stream,
                peer,
                stranger,
                _permit: permit,
            }))
            .await;
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(stranger) = &mut this.stranger
            && stranger.until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
