//! A member that has been enrolled like any other and then does as it likes: it speaks the peer protocol by hand, with its
//! own keys and its own ledger.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jisr_certs::keys::KeyStore;
use jisr_certs::profile::{self, Authority};
use jisr_certs::seal::SealKey;
use jisr_certs::tls_key::TlsKey;
use jisr_certs::{Verified, pem, tls};
use jisr_ledger::anchor::Anchor;
use jisr_ledger::clock::{Clock, SystemClock};
use jisr_ledger::ledger::{Config, Ledger};
use jisr_ledger::note::{Checkpoint, SignedNote, VerifierKey};
use jisr_ledger::statement::{Draft, leaf_input};
use jisr_ledger::tlog::{AddCheckpoint, Answer};
use jisr_ledger::tree;
use jisr_ledger::vault::Vault;
use jisr_node::Layout;
use jisr_node::snapshots::Taken;
use jisr_proto::ident::{ExchangeId, NodeId, Origin};
use jisr_proto::peer::{ExchangeRequest, HelloRequest, HelloResponse};
use jisr_proto::statement::{Core, Kind, Part, Seal, Sealed, Started, Statement};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::line::framed;
use crate::messages::Question;
use crate::peer_line::PeerLine;
use crate::statements::statements_in;
use crate::world::{PURPOSE, World};

/// The member's own instance of everything.
pub struct Rogue {
    /// Origin of its ledger.
    pub origin: Origin,
    /// Its ledger, in which it may write anything.
    pub ledger: Ledger,
    /// The snapshot that it holds.
    pub snapshot: Taken,
    /// What it was told to trust.
    pub anchor: Anchor,
    seal_key: SealKey,
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    identity: tls::Identity,
    root: Verified<Authority>,
    template: Option<Core>,
    shown: Mutex<Option<Bytes>>,
}

impl Rogue {
    /// Takes over a member's directory; its node is stopped for good. The last ASKED in the ledger is what its own ones are
    /// made after.
    pub async fn takes_over(world: &mut World, code: &str) -> Rogue {
        world.stop_node(code).await;
        let dir = world.party(code).dir.clone();
        tokio::task::spawn_blocking(move || Rogue::open(&dir))
            .await
            .expect("a member's directory opens")
    }

    /// A member's machine that was cloned: this copy of its data directory runs on beside the node, under the same keys.
    pub async fn cloned(data: &Path) -> Rogue {
        let data = data.to_owned();
        tokio::task::spawn_blocking(move || Rogue::open(&data))
            .await
            .expect("a copy of a member's directory opens")
    }

    fn open(data: &Path) -> Rogue {
        let layout = Layout::new(data);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let now = clock.now_us();
        let store = KeyStore::open_from(layout.keys(), &layout.secret_source()).expect("the keys are there");
        let anchor: Anchor = read(&layout.anchor()).parse().expect("the anchor parses");
        let chain = pem::certificates_from_pem(read(&layout.tls_chain()).as_bytes()).expect("a chain");
        let seal_chain = pem::certificates_from_pem(read(&layout.seal_chain()).as_bytes()).expect("a chain");
        let root = profile::root_by_fingerprint(&chain, &anchor.root, now).expect("the anchor's root");
        let origin = profile::check_seal(&seal_chain, &root, now)
            .expect("a seal certificate")
            .origin
            .clone();
        let key = TlsKey::load_or_make(&store, "tls").expect("the key is there");
        let seal_key = SealKey::load_or_make(&store, &origin).expect("the key is there");
        let own_key = SealKey::load_or_make(&store, &origin).expect("the key is there");
        let started = Started {
            origin: origin.to_string(),
            certificates: seal_chain.iter().map(|der| Bytes::copy_from_slice(der)).collect(),
            seal_key: Bytes::copy_from_slice(seal_key.public().as_bytes()),
            succeeds: Vec::new(),
        };
        let asked = |stood: &crate::Stood| stood.core.kind() == Kind::Asked;
        let template = statements_in(&layout.ledger())
            .into_iter()
            .rfind(asked)
            .map(|stood| stood.core);
        let vault = Vault::open(&store).expect("the vault is there");
        let mut config = Config::in_data_directory(data, origin.clone());
        config.segment_bytes = 1 << 20;
        let (ledger, _) = Ledger::open(config, seal_key, vault, clock, started).expect("the ledger opens");
        ledger.confirm("JO/registry", None).expect("nobody contradicts");
        let snapshot = jisr_node::cache::read(&layout.snapshot(), &anchor).expect("the snapshot holds");
        let snapshot = snapshot.expect("a snapshot is kept");
        let identity = tls::Identity::new(&key, chain.clone()).expect("key and certificate match");
        Rogue {
            origin,
            ledger,
            snapshot,
            anchor,
            seal_key: own_key,
            chain,
            identity,
            root,
            template,
            shown: Mutex::default(),
        }
    }

    /// From now on it shows this checkpoint at `Hello`, whatever its ledger holds.
    pub fn show(&self, checkpoint: Bytes) {
        *self.shown.lock().expect("nobody panicked") = Some(checkpoint);
    }

    /// A checkpoint of its ledger that it signs although no such tree stands there.
    #[must_use]
    pub fn another_tree(&self, size: u64) -> Bytes {
        self.seal_key.checkpoint(size, &[0x77; 32]).into()
    }

    /// Its newest checkpoint with the cosignature of a node, which a member that keeps to the rules can get any time.
    pub async fn cosigned_by(&self, world: &World, code: &str) -> Bytes {
        let newest = self.ledger.checkpoint();
        let mut line = self.connect(world, code).await.expect("a listed certificate gets in");
        let mut old_size = 0;
        loop {
            let request = AddCheckpoint {
                old_size,
                proof: self
                    .ledger
                    .consistency(old_size, newest.size)
                    .expect("it can be proven"),
                checkpoint: newest.note.clone(),
            };
            match line.add_checkpoint(request.print().into()).await {
                Answer::Cosigned(lines) => return [&newest.note, lines.as_bytes()].concat().into(),
                Answer::Conflict(size) if size != old_size => old_size = size,
                answer => panic!("{answer:?}"),
            }
        }
    }

    /// CORE of a question that is right in every respect.
    #[must_use]
    pub fn core(&self) -> Core {
        let now = SystemClock.now_us();
        let random = [now.to_be_bytes().as_slice(), &[9; 2]]
            .concat()
            .try_into()
            .expect("ten bytes");
        let id = ExchangeId::new_v7(now, random);
        Core {
            exchange_id: Bytes::copy_from_slice(id.as_bytes()),
            created_us: now,
            expires_us: now + 20_000_000,
            ..self.template.clone().expect("the member asked once before")
        }
    }

    /// An ASKED with this core, sealed in its own ledger as it should be.
    pub async fn asked(&self, core: Core) -> Sealed {
        let question = Question::about("9901234567").bytes();
        self.sealed(
            Draft::new(core)
                .purpose(PURPOSE)
                .duty("law-24-2023-art-5")
                .payload(&question),
        )
        .await
    }

    /// Any statement, sealed in its own ledger.
    pub async fn sealed(&self, draft: Draft) -> Sealed {
        let closed = draft.close();
        let stands = self
            .ledger
            .append(vec![closed.clone()])
            .await
            .expect("the own ledger takes everything");
        stands.first().expect("one statement stands").sealed(&closed)
    }

    /// A statement of any bytes, sealed by a tree that holds nothing else: what no ledger would take.
    #[must_use]
    pub fn forged(&self, contents: &[(u8, &[u8])]) -> Sealed {
        let salt = [5; 32];
        let hashes: Vec<_> = contents
            .iter()
            .map(|(tag, content)| jisr_certs::digest::sha256(&[&[0, *tag], &salt, content]))
            .collect();
        let root = tree::leaf_hash(&leaf_input(&hashes));
        let part = |(tag, content): &(u8, &[u8])| Part {
            tag: u32::from(*tag),
            salt: Bytes::copy_from_slice(&salt),
            content: Bytes::copy_from_slice(content),
        };
        Sealed {
            statement: Some(Statement {
                parts: contents.iter().map(part).collect(),
            }),
            seal: Some(Seal {
                index: 0,
                path: Vec::new(),
                checkpoint: self.seal_key.checkpoint(1, &root).into(),
            }),
        }
    }

    /// The row of another node in the snapshot, as the key that its seals are verified with.
    ///
    /// # Panics
    /// The snapshot does not list it.
    #[must_use]
    pub fn key_of(&self, code: &str) -> VerifierKey {
        let id = format!("JO/GOV/{code}/node/node1");
        let row = self
            .snapshot
            .rows
            .read()
            .find_map(|row| row.node.filter(|row| row.id == id))
            .expect("the snapshot lists the node");
        let key = row.seal_key.as_ref().try_into().expect("a raw key");
        VerifierKey::new_seal(&row.origin, key).expect("a sound key")
    }

    /// The request that goes with an ASKED.
    #[must_use]
    pub fn request(asked: Sealed) -> ExchangeRequest {
        ExchangeRequest {
            asked: Some(asked),
            metadata: Vec::new(),
            timeout_us: 10_000_000,
            payload: Question::about("9901234567").bytes(),
        }
    }

    /// A connection to a peer door, introduced.
    pub async fn greet(&self, world: &World, code: &str) -> PeerLine {
        let mut line = self.connect(world, code).await.expect("a listed certificate gets in");
        line.call::<_, HelloResponse>("Hello", &self.hello())
            .await
            .expect("a right Hello is answered");
        line
    }

    /// What it says first.
    #[must_use]
    pub fn hello(&self) -> HelloRequest {
        HelloRequest {
            versions: vec![1],
            origin: self.origin.to_string(),
            snapshot_version: self.snapshot.header.version,
            snapshot: Bytes::copy_from_slice(&self.snapshot.header.digest),
            checkpoint: self.checkpoint(),
            yours: Bytes::new(),
        }
    }

    /// The checkpoint that it shows.
    fn checkpoint(&self) -> Bytes {
        let shown = self.shown.lock().expect("nobody panicked").clone();
        shown.unwrap_or_else(|| self.ledger.checkpoint().note.clone())
    }

    /// Proof that its ledger goes on from a checkpoint of it that somebody holds.
    fn proof_from(&self, yours: &[u8], shown: &[u8]) -> Vec<Bytes> {
        let size = |note: &[u8]| {
            let note = SignedNote::parse(note).ok()?;
            Checkpoint::parse(note.text).ok().map(|checkpoint| checkpoint.size)
        };
        let (Some(from), Some(to)) = (size(yours), size(shown)) else {
            return Vec::new();
        };
        let proof = self.ledger.consistency(from, to).unwrap_or_default();
        proof.iter().map(|hash| Bytes::copy_from_slice(hash)).collect()
    }

    /// A connection to a peer door, before Hello.
    ///
    /// # Errors
    /// The door does not let it in.
    pub async fn connect(&self, world: &World, code: &str) -> std::io::Result<PeerLine> {
        self.connect_as(&self.identity, world, code).await
    }

    /// The same showing another identity.
    ///
    /// # Errors
    /// The door does not let it in.
    pub async fn connect_as(&self, identity: &tls::Identity, world: &World, code: &str) -> std::io::Result<PeerLine> {
        let node = world.party(code).node.as_ref().expect("the node runs");
        let expected: NodeId = format!("JO/GOV/{code}/node/node1").parse().expect("a node");
        let config = tls::peer_client(identity, &self.root, expected, Arc::new(|_, _| Ok(())), &clock());
        let connector = TlsConnector::from(config.expect("settings of a client"));
        let stream = TcpStream::connect(node.peer_address()).await?;
        stream.set_nodelay(true)?;
        let stream = connector.connect(tls::server_name(), stream).await?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(PeerLine { sender })
    }

    /// Its TLS identity.
    #[must_use]
    pub fn identity(&self) -> &tls::Identity {
        &self.identity
    }

    /// A connection on which nothing is said after the TLS handshake.
    ///
    /// # Errors
    /// The door does not let it in.
    pub async fn silent(&self, address: SocketAddr) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let expected: NodeId = "JO/GOV/psd/node/node1".parse().expect("a node");
        let config = tls::peer_client(&self.identity, &self.root, expected, Arc::new(|_, _| Ok(())), &clock());
        let connector = TlsConnector::from(config.expect("settings of a client"));
        connector
            .connect(tls::server_name(), TcpStream::connect(address).await?)
            .await
    }

    /// Its TLS chain.
    #[must_use]
    pub fn chain(&self) -> &[rustls::pki_types::CertificateDer<'static>] {
        &self.chain
    }

    /// Opens a peer door at this address that answers `Hello` rightly and everything else as `answer` says.
    pub async fn serve<F, R>(self: Arc<Self>, address: SocketAddr, answer: F) -> Door
    where
        F: Fn(String, Bytes) -> R + Clone + Send + Sync + 'static,
        R: Future<Output: Message> + Send + 'static,
    {
        let config = tls::peer_server(&self.identity, &self.root, Arc::new(|_, _| Ok(())), &clock());
        let acceptor = TlsAcceptor::from(config.expect("settings of a server"));
        let listener = TcpListener::bind(address).await.expect("the node's port is free");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let (rogue, answer) = (Arc::clone(&self), answer.clone());
                let service = hyper::service::service_fn(move |request| {
                    let (rogue, answer) = (Arc::clone(&rogue), answer.clone());
                    async move { Ok::<_, std::convert::Infallible>(rogue.reply(request, answer).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Door { task }
    }

    async fn reply<F, R>(&self, request: Request<Incoming>, answer: F) -> Response<Frames>
    where
        F: Fn(String, Bytes) -> R,
        R: Future<Output: Message>,
    {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let body = request
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let message = body.slice(5.min(body.len())..);
        let reply = if method == "Hello" {
            let hello = self.hello();
            let asked = HelloRequest::decode(message).unwrap_or_default();
            let answer = HelloResponse {
                version: 1,
                origin: hello.origin,
                snapshot_version: hello.snapshot_version,
                snapshot: hello.snapshot,
                proof: self.proof_from(&asked.yours, &hello.checkpoint),
                checkpoint: hello.checkpoint,
                yours: Bytes::new(),
                recovering: false,
            };
            answer.encode_to_vec()
        } else {
            answer(method, message).await.encode_to_vec()
        };
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let frames = vec![Ok(Frame::data(framed(&reply))), Ok(Frame::trailers(trailers))];
        let mut response = Response::new(StreamBody::new(tokio_stream::iter(frames)));
        response
            .headers_mut()
            .insert("content-type", http::HeaderValue::from_static("application/grpc"));
        response
    }
}

type Frames = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, std::convert::Infallible>>>>;

/// An open door; closed when dropped.
#[derive(Debug)]
pub struct Door {
    task: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn clock() -> tls::Clock {
    Arc::new(|| SystemClock.now_us())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("an enrolled node's file")
}
