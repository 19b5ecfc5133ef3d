//! The closet that talks to the registry: follows the snapshot, posts texts to its witness. Never on the path of an exchange.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use jisr_proto::reason::Reason;
use jisr_proto::registry::registry_client::RegistryClient;
use jisr_proto::registry::{FollowRequest, SchemaRequest};
use jisr_proto::snapshot::SnapshotUpdate;
use jisr_proto::status::Fault;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

use crate::closets::Closets;
use crate::config::Config;
use crate::cosigning::greet_registry;
use crate::identity::Identity;
use crate::monitor;
use crate::peers::{POSTED_BYTES_MAX, Posted};
use crate::snapshots::{Pieces, SnapshotError};

/// First pause before the registry is tried again; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// How long the comparison of ledgers may hold up the snapshot.
const GREET_WAIT: Duration = Duration::from_secs(2);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Largest message from the registry: a snapshot or a schema.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Content type of the texts of C2SP tlog-witness.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// The way to the registry.
pub(crate) struct RegistryLink {
    channel: Mutex<Channel>,
    again: Notify,
}

/// A channel to the registry that connects when first used, and again whenever it broke.
pub(crate) fn channel(
    address: &str,
    connector: TlsConnector,
    name: rustls::pki_types::ServerName<'static>,
) -> Result<Channel, tonic::transport::Error> {
    let address = address.to_owned();
    let connect = tower::service_fn(move |_| {
        let (address, connector, name) = (address.clone(), connector.clone(), name.clone());
        async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    Ok(Endpoint::from_static("http://registry")
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connect))
}

/// A channel to the registry of this configuration, as the node that `identity` shows now.
///
/// # Errors
/// In words.
pub(crate) fn to_registry(config: &Config, identity: &Identity) -> Result<Channel, String> {
    let connector = identity.registry_connector(config.node.instance());
    let (connector, name) = connector.map_err(|error| error.to_string())?;
    channel(&config.registry, connector, name).map_err(|error| error.to_string())
}

impl RegistryLink {
    /// A link over this channel.
    pub(crate) fn new(channel: Channel) -> RegistryLink {
        RegistryLink {
            channel: Mutex::new(channel),
            again: Notify::new(),
        }
    }

    /// A client for one call.
    pub(crate) fn client(&self) -> RegistryClient<Channel> {
        RegistryClient::new(self.channel()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Calls go over this channel from now on; those in flight end on the old one, and the snapshot is followed anew.
    pub(crate) fn replace(&self, channel: Channel) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = channel;
        self.look_again();
    }

    /// Somebody cites a newer snapshot than this node holds: asks for it.
    pub(crate) fn look_again(&self) {
        self.again.notify_one();
    }

    /// Posts a text over the same connection, as C2SP tlog-witness does.
    ///
    /// # Errors
    /// The registry cannot be reached, or its answer breaks off, in words.
    pub(crate) async fn post(&self, path: &'static str, body: Bytes) -> Result<Posted, String> {
        post(self.channel(), path, TEXT, body).await
    }

    /// The connection itself.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Posts a body of this content type to the registry.
///
/// # Errors
/// As [`RegistryLink::post`].
pub(crate) async fn post(
    channel: Channel,
    path: &'static str,
    content_type: &'static str,
    body: Bytes,
) -> Result<Posted, String> {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, content_type)
        .body(tonic::body::Body::new(Full::new(body)))
        .expect("a constant path is a valid request");
    let response = channel.oneshot(request).await;
    let response = response.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(response.into_body(), POSTED_BYTES_MAX).collect().await;
    Ok(Posted {
        status,
        content_type,
        body: body.map_err(|error| error.to_string())?.to_bytes(),
    })
}

/// Follows the snapshot until `stopped`.
pub(crate) async fn follow(closets: Arc<Closets>, mut stopped: watch::Receiver<bool>) {
    closets.counters.registry_connected.set(0);
    let (mut pause, mut want_all) = (PAUSE_MIN, false);
    loop {
        tokio::select! {
            followed = follow_once(&closets, &mut want_all) => match followed {
                Ok(()) => pause = PAUSE_MIN,
                Err(error) => tracing::warn!(registry = %closets.config.registry, %error, "the registry cannot be followed; exchanges go on until the snapshot expires"),
            },
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        closets.counters.registry_connected.set(0);
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            () = closets.registry.again.notified() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn follow_once(closets: &Arc<Closets>, want_all: &mut bool) -> Result<(), String> {
    // A registry that was just started seals nothing before its nodes have shown what they hold of its ledger: not when the next
    // comparison is due, but now.
    if closets.standing.is_running()
        && let Ok(Err(text)) = tokio::time::timeout(GREET_WAIT, greet_registry(closets)).await
    {
        tracing::debug!(text, "ledgers could not be compared with the registry");
    }
    let held = closets.directory.newest();
    let digest = held
        .as_ref()
        .filter(|_| !*want_all)
        .map(|view| Bytes::copy_from_slice(&view.digest));
    let request = FollowRequest {
        version: held.map_or(0, |view| view.version),
        digest: digest.unwrap_or_default(),
    };
    let text = |status: tonic::Status| {
        let Some(fault) = Fault::from_tonic(&status) else {
            return status.to_string();
        };
        if fault.reason == Reason::CertificateRevoked {
            closets.renewing.refused();
        }
        fault.to_string()
    };
    let mut snapshots = closets
        .registry
        .client()
        .follow(request)
        .await
        .map_err(text)?
        .into_inner();
    closets.counters.registry_connected.set(1);
    let mut pieces = Pieces::default();
    loop {
        tokio::select! {
            snapshot = snapshots.message() => match snapshot.map_err(text)? {
                Some(piece) => {
                    let update = pieces.push(piece).map_err(|error| error.to_string())?;
                    if let Some(update) = update {
                        // What the registry tells as changes may not be what it signed: then it has to tell all.
                        let taken = take_up(closets, update).await;
                        *want_all = taken.as_ref().is_err_and(is_of_rows);
                        match taken {
                            Err(error) if *want_all || matches!(error, SnapshotError::Unread(_)) => return Err(error.to_string()),
                            _ => {}
                        }
                    }
                }
                None => return Ok(()),
            },
            () = closets.registry.again.notified() => return Ok(()),
        }
    }
}

fn is_of_rows(error: &SnapshotError) -> bool {
    matches!(error, SnapshotError::Rows(_) | SnapshotError::Base { .. })
}

/// Takes a snapshot up: schemas first, so that a service is known completely once it is known at all.
async fn take_up(closets: &Arc<Closets>, update: SnapshotUpdate) -> Result<(), SnapshotError> {
    let (before, now_us) = (closets.directory.newest(), closets.now_us());
    let verified = closets.directory.verify(&update, now_us);
    let view = match verified {
        Ok(Some(view)) => view,
        Ok(None) => return Ok(()),
        Err(error) => {
            tracing::error!(%error, "a snapshot was refused");
            monitor::refused(closets, &update, &error);
            return Err(error);
        }
    };
    monitor::judge(closets, &view, &update)
        .await
        .inspect_err(|error| tracing::error!(%error, "a snapshot was refused"))?;
    fetch_schemas(closets, &view).await;
    let version = view.version;
    closets.archive.keep(&view);
    closets.cache.keep(&view, before.as_deref(), &update.changes);
    closets.directory.adopt(view);
    if let Some(view) = closets.directory.newest() {
        closets.peers.cut(&view, closets.now_us());
    }
    tracing::info!(version, "snapshot taken up");
    Ok(())
}

/// Fetches the schemas of every service that the own member publishes or has an agreement about.
pub(crate) async fn fetch_schemas(closets: &Closets, view: &crate::directory::View) {
    let member = closets.node.member();
    for (service, schema) in view.schemas_of(&member) {
        if closets.schemas.load(&schema, service.as_str()) {
            continue;
        }
        let request = SchemaRequest {
            digest: Bytes::copy_from_slice(&schema),
        };
        let fetched = closets.registry.client().schema(request).await;
        let accepted = match fetched {
            Ok(response) => closets
                .schemas
                .accept(&schema, service.as_str(), response.into_inner().schema),
            Err(status) => Err(status.to_string()),
        };
        if let Err(error) = accepted {
            tracing::error!(%service, error, "a schema could not be fetched; calls of this service are refused until it is");
        }
    }
}
