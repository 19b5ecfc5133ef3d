//! A line between two processes that the story can cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// Passes connections on to one address until it is cut.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    changed: Notify,
}

impl Relay {
    /// A relay to this address.
    pub async fn to(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let state = Arc::new(State::default());
        let task = tokio::spawn(run(listener, target, Arc::clone(&state)));
        Relay { address, state, task }
    }

    /// A relay that loses answers: once `asked_bytes` came on a connection, nothing that is said to it gets through any more, and when
    /// an answer of `answered_bytes` was lost the connection breaks.
    pub async fn losing_answers(target: SocketAddr, (asked_bytes, answered_bytes): (usize, usize)) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if let Ok(far) = TcpStream::connect(target).await {
                    lose(near, far, (asked_bytes, answered_bytes)).await;
                }
            }
        });
        let state = Arc::new(State::default());
        Relay { address, state, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection, and every later one at once; or passes them on again.
    pub fn cut(&self, cut: bool) {
        self.state.cut.store(cut, Ordering::SeqCst);
        self.state.changed.notify_one();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn lose(mut near: TcpStream, mut far: TcpStream, (asked_bytes, answered_bytes): (usize, usize)) {
    let (mut asked, mut lost) = (0, 0);
    let (mut question, mut answer) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    while lost < answered_bytes {
        let passed = tokio::select! {
            read = near.read(&mut question) => match read {
                Ok(read @ 1..) => {
                    asked += read;
                    far.write_all(question.get(..read).unwrap_or_default()).await
                }
                _ => return,
            },
            read = far.read(&mut answer) => match read {
                Ok(read @ 1..) if asked >= asked_bytes => {
                    lost += read;
                    Ok(())
                }
                Ok(read @ 1..) => near.write_all(answer.get(..read).unwrap_or_default()).await,
                _ => return,
            },
        };
        if passed.is_err() {
            return;
        }
    }
}

async fn run(listener: TcpListener, target: SocketAddr, state: Arc<State>) {
    let mut lines = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = state.changed.notified() => {
                if state.cut.load(Ordering::SeqCst) {
                    lines.shutdown().await;
                }
                continue;
            }
        };
        let Ok((mut near, _)) = accepted else { return };
        if state.cut.load(Ordering::SeqCst) {
            continue;
        }
        lines.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(target).await {
                // Either end may go; the other one sees it.
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            }
        });
    }
}
