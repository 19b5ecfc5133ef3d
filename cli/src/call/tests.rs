//! Calls over real connections, to a door that speaks as a node's does: TLS 1.3 with certificates of a local CA, and
//! reflection.

use std::sync::Arc;

use clap::Parser;
use jisr_certs::issue::LocalCa;
use jisr_certs::keys::{KeySecret, KeyStore};
use jisr_certs::tls::{self, Identity};
use jisr_certs::tls_key::TlsKey;
use jisr_certs::validity::Validity;
use jisr_ledger::clock::{Clock, SystemClock};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use super::*;

const CHECK: &str = "grpc.health.v1.Health/Check";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    call: Call,
}

fn call(line: &[&str]) -> Call {
    Line::try_parse_from(["call"].iter().chain(line)).unwrap().call
}

/// A door with health and reflection, and a directory with a client's three files.
struct World {
    address: String,
    dir: TempDir,
}

/// A connection that tonic's server takes.
struct Accepted(TlsStream<TcpStream>);

impl Connected for Accepted {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

async fn world(names: &[&str]) -> World {
    let dir = tempfile::tempdir().unwrap();
    let now_us = SystemClock.now_us();
    let store = KeyStore::create(
        dir.path().join("keys"),
        &KeySecret::from_bytes(&[7; 32], "a test's secret"),
    )
    .unwrap();
    let ca = LocalCa::create(&store, &"JO/GOV/mol".parse().unwrap(), now_us).unwrap();
    let key = TlsKey::load_or_make(&store, "local").unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = ca.issue_local_door(&key, &names, Validity::days(now_us, 1)).unwrap();
    let client = ca
        .issue_client(&"JO/GOV/mol/permits".parse().unwrap(), Validity::days(now_us, 1))
        .unwrap();
    let files = [
        ("ca.pem", client.authority_pem()),
        ("cert.pem", client.certificate_pem()),
        ("key.pem", client.key_pem().into()),
    ];
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let identity = Identity::new(&key, vec![certificate]).unwrap();
    let clock: tls::Clock = Arc::new(|| SystemClock.now_us());
    let acceptor = TlsAcceptor::from(tls::local_server(&identity, ca.certificate(), &clock).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(serve(listener, acceptor));
    World { address, dir }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    let (connections, accepted) = tokio::sync::mpsc::channel::<std::io::Result<Accepted>>(4);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(tcp).await {
                connections.send(Ok(Accepted(stream))).await.unwrap();
            }
        }
    });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = tokio_stream::wrappers::ReceiverStream::new(accepted);
    Server::builder()
        .add_service(reflection)
        .add_service(health)
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}

async fn ask(world: &World, line: &[&str]) -> Result<ExitCode, Failure> {
    let identity = world.dir.path().to_str().unwrap();
    call(&[&[CHECK, "--address", &world.address, "--identity", identity], line].concat())
        .run()
        .await
}

#[tokio::test]
async fn json_goes_in_and_comes_out_with_types_from_reflection() {
    let world = world(&["127.0.0.1"]).await;
    assert_eq!(ask(&world, &[]).await.unwrap(), ExitCode::SUCCESS);
    assert_eq!(
        ask(&world, &["--json", "--json-in", "{\"service\": \"\"}"])
            .await
            .unwrap(),
        ExitCode::SUCCESS
    );
}

#[tokio::test]
async fn what_the_callee_refuses_ends_with_one() {
    let world = world(&["127.0.0.1"]).await;
    let unknown = ["--json-in", "{\"service\": \"nobody\"}"];
    let failure = ask(&world, &unknown).await.unwrap_err();
    assert_eq!(failure.code(), failure::REFUSED);
    assert!(failure.explain().contains("NOT_FOUND"), "{}", failure.explain());
    let as_json = ask(&world, &[&unknown[..], &["--json"]].concat()).await.unwrap();
    assert_eq!(as_json, ExitCode::from(failure::REFUSED));
}

#[tokio::test]
async fn json_that_does_not_fit_is_wrong_usage_and_names_the_fields() {
    let world = world(&["127.0.0.1"]).await;
    for json in ["{\"servcie\": \"\"}", "{", "{} {}", "[]"] {
        let failure = ask(&world, &["--json-in", json]).await.unwrap_err();
        assert_eq!(failure.code(), failure::USAGE, "{json}");
        assert!(failure.explain().contains("service"), "{}", failure.explain());
    }
}

#[tokio::test]
async fn a_method_or_service_that_is_not_there_is_named() {
    let world = world(&["127.0.0.1"]).await;
    let identity = world.dir.path().to_str().unwrap();
    let line = |method| call(&[method, "--address", world.address.as_str(), "--identity", identity]);
    let failure = line("grpc.health.v1.Health/Chekc").run().await.unwrap_err();
    assert!(
        failure.code() == failure::USAGE && failure.explain().contains("Check, "),
        "{}",
        failure.explain()
    );
    let failure = line("jo.example.v1.Nothing/Ask").run().await.unwrap_err();
    assert!(
        failure.code() == failure::REFUSED && failure.explain().contains("agree"),
        "{}",
        failure.explain()
    );
    let failure = line("grpc.health.v1.Health/Watch").run().await.unwrap_err();
    assert!(
        failure.code() == failure::USAGE && failure.explain().contains("streams"),
        "{}",
        failure.explain()
    );
}

#[tokio::test]
async fn a_door_with_another_name_or_another_ca_is_not_called() {
    let world = world(&["jisr.mol.example"]).await;
    let failure = ask(&world, &[]).await.unwrap_err();
    assert!(
        failure.code() == failure::REFUSED && failure.explain().contains("local_door.names"),
        "{}",
        failure.explain()
    );
    let stranger = self::world(&["127.0.0.1"]).await;
    let there = World {
        address: world.address.clone(),
        dir: stranger.dir,
    };
    assert_eq!(ask(&there, &[]).await.unwrap_err().code(), failure::REFUSED);
}

#[tokio::test]
async fn nobody_there_is_said_before_the_call() {
    let world = world(&["127.0.0.1"]).await;
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let failure = ask(
        &World {
            address: gone,
            dir: world.dir,
        },
        &[],
    )
    .await
    .unwrap_err();
    assert!(failure.explain().contains("own node"), "{}", failure.explain());
}

#[test]
fn where_and_as_whom_must_be_said() {
    assert!(Line::try_parse_from(["call", CHECK]).is_err());
    let half = call(&[CHECK, "--address", "127.0.0.1:1"]);
    assert_eq!(runtime::block_on(half.run()).unwrap_err().code(), failure::USAGE);
    assert!(Line::try_parse_from(["call", CHECK, "--address", "h:1", "--ca", "x"]).is_err());
}
