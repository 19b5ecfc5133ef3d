//! The numbers of a node, as a monitoring system asks for them.

use jisr_node::Layout;
use jisr_tests::World;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// One request of HTTP/1.1, and all of the answer.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    let request = format!("{request} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the node listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the node answers");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitoring_reads_numbers_at_the_admin_socket() {
    let mut world = World::new().await;
    world.join("mol").await;
    let socket = Layout::new(&world.party("mol").dir).admin_socket();
    let connect = async || UnixStream::connect(&socket).await.expect("the admin door is open");
    let told = ask(connect().await, "GET /metrics").await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    for line in [
        "jisr_node_state{state=\"RUNNING\"} 1",
        "jisr_registry_connected 1",
        "jisr_exchanges_total{outcome=\"answered\"} 0",
    ] {
        assert!(told.contains(line), "{line} is not in {told}");
    }
    let told = ask(connect().await, "POST /metrics").await;
    assert!(told.starts_with("HTTP/1.1 405"), "{told}");
    world.end().await;
}
