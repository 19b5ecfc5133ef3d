//! Who is slow, silent or without a certificate does not keep the others out.

use std::time::Duration;

use jisr_certs::tls;
use jisr_proto::reason::Reason;
use jisr_proto::registry as wire;
use jisr_registry::Limits;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::world::{World, reason};

/// Reads until the other side closes.
async fn closed(mut stream: impl AsyncReadExt + Unpin) {
    let mut buffer = [0; 1024];
    while !matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {}
}

#[tokio::test]
async fn a_silent_connection_loses_its_place() {
    let handshake = Duration::from_millis(300);
    let world = World::limited(Limits {
        connections: 1,
        handshake,
        ..Limits::default()
    })
    .await;
    let silent = TcpStream::connect(world.registry().address()).await.unwrap();
    // There is one place, and the silent one has it until its handshake takes too long.
    let mut next = world.call(None).await;
    assert!(next.enrol(wire::EnrolRequest::default()).await.is_err());
    closed(silent).await;
    world.finish(next).await;
}

#[tokio::test]
async fn a_connection_without_certificate_has_to_go() {
    let stranger_age = Duration::from_millis(300);
    let world = World::limited(Limits {
        strangers: 1,
        stranger_age,
        ..Limits::default()
    })
    .await;
    world.member("JO/GOV/mol").await;
    let connect = async || {
        let stream = TcpStream::connect(world.registry().address()).await.unwrap();
        world.connector(None).connect(tls::server_name(), stream).await.unwrap()
    };
    let first = connect().await;
    // There is one place for strangers: the second is turned away at once, the first when its time is over.
    closed(connect().await).await;
    closed(first).await;
    let node = world.node("JO/GOV/mol/node/node1").await;
    let mut listed = world.call(Some(&node.identity)).await;
    closed(connect().await).await;
    listed.proposals(wire::ProposalsRequest {}).await.unwrap();
    world.finish(listed).await;
}

#[tokio::test]
async fn one_address_does_not_fill_the_door() {
    let world = World::limited(Limits {
        strangers_per_address: 2,
        ..Limits::default()
    })
    .await;
    let to = world.registry().address();
    let from = async |source: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap()
    };
    let held = [from("127.0.0.2").await, from("127.0.0.2").await];
    closed(from("127.0.0.2").await).await;
    // Others get in meanwhile, and it does when it has a place again.
    let mut other = world.call(None).await;
    assert_eq!(
        reason(other.enrol(wire::EnrolRequest::default()).await),
        Reason::TokenInvalid
    );
    drop(held);
    let shake = async || {
        let stream = from("127.0.0.2").await;
        world.connector(None).connect(tls::server_name(), stream).await
    };
    let mut again = shake().await;
    while again.is_err() {
        again = shake().await;
    }
    world.finish((other, again)).await;
}

#[tokio::test]
async fn plain_text_gets_no_answer() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(world.registry().address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    closed(stream).await;
    world.finish(()).await;
}

#[tokio::test]
async fn the_own_certificate_is_renewed_and_a_node_s_expires() {
    let world = World::new().await;
    world.member("JO/GOV/mol").await;
    let node = world.node("JO/GOV/mol/node/node1").await;
    let mut open = world.call(Some(&node.identity)).await;
    open.proposals(wire::ProposalsRequest {}).await.unwrap();
    world.clock.advance(91 * 86_400_000_000);
    // What was issued for 90 days when the registry started would be expired now.
    let mut nobody = world.call(None).await;
    assert_eq!(
        reason(nobody.enrol(wire::EnrolRequest::default()).await),
        Reason::TokenInvalid
    );
    assert_eq!(
        reason(open.proposals(wire::ProposalsRequest {}).await),
        Reason::CertificateInvalid
    );
    world.finish((open, nobody)).await;
}
