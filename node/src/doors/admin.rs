//! The admin door: a Unix socket that only the node's own user can open.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::admin::admin_server::{Admin, AdminServer};
use jisr_proto::admin::{self as wire};
use jisr_proto::catalogue::catalogue_server::CatalogueServer;
use jisr_proto::ident::{ExchangeId, ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::registry;
use jisr_proto::status::Fault;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status};

use super::{Stopped, catalogue, metrics, status, tiles};
use crate::closets::Closets;
use crate::{agreeing, erasing, evidence, roles};

/// Largest message at the admin door: a schema or an evidence file.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// How long an administrative act waits for the snapshot that shows it.
const SNAPSHOT_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Where the other doors are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// Local door.
    pub local: SocketAddr,
    /// Peer door.
    pub peer: SocketAddr,
}

/// Makes the socket, mode 0600. A socket that a dead process left is replaced.
pub(crate) fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let text = format!("another process listens at {}; stop it first", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, text));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until `stopped`.
pub(crate) async fn serve(closets: Arc<Closets>, listener: UnixListener, addresses: Addresses, mut stopped: Stopped) {
    let log = tiles::Beside(closets.ledger.clone());
    let numbers = metrics::Beside(Arc::clone(&closets), addresses);
    let shelf = catalogue::Shelf {
        closets: Arc::clone(&closets),
    };
    let shelf = CatalogueServer::new(shelf).max_encoding_message_size(MESSAGE_BYTES_MAX);
    let service = AdminServer::new(Door { closets, addresses })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let served = tonic::transport::Server::builder()
        // For `curl --unix-socket` and what fetches numbers.
        .accept_http1(true)
        .layer(log)
        .layer(numbers)
        .add_service(service)
        .add_service(shelf)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        })
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the admin door closed");
    }
}

struct Door {
    closets: Arc<Closets>,
    addresses: Addresses,
}

/// Waits a while for the snapshot that shows what was just done, so that the operator's next command finds it.
async fn held(closets: &Closets, version: u64) {
    let mut versions = closets.directory.follow();
    let arrived = tokio::time::timeout(SNAPSHOT_WAIT, versions.wait_for(|held| *held >= version)).await;
    if arrived.is_err() {
        tracing::warn!(
            version,
            "the registry has done what was asked, but its snapshot has not arrived yet"
        );
    }
}

/// What the registry refused, as its own words; anything else as an unreachable registry.
fn relay(status: Status) -> Status {
    if Fault::from_tonic(&status).is_some() {
        return status;
    }
    Fault::new(Reason::RegistryUnreachable, status.to_string()).into()
}

#[tonic::async_trait]
impl Admin for Door {
    async fn status(&self, _: Request<wire::StatusRequest>) -> Result<Response<wire::StatusResponse>, Status> {
        Ok(Response::new(status::of(&self.closets, self.addresses).await))
    }

    async fn publish(
        &self,
        request: Request<wire::PublishServiceRequest>,
    ) -> Result<Response<wire::PublishServiceResponse>, Status> {
        let request = request.into_inner();
        let request = registry::PublishRequest {
            provider: request.provider,
            service: request.service,
            schema: request.schema,
            title_ar: request.title_ar,
            title_en: request.title_en,
            withdraw: request.withdraw,
            listing: request.listing,
            check: request.check,
        };
        let published = self
            .closets
            .registry
            .client()
            .publish(request)
            .await
            .map_err(relay)?
            .into_inner();
        held(&self.closets, published.snapshot_version).await;
        Ok(Response::new(wire::PublishServiceResponse {
            schema: published.schema,
            snapshot_version: published.snapshot_version,
            version: published.version,
            affected: published.affected.into_iter().map(affected).collect(),
        }))
    }

    async fn agree(&self, request: Request<wire::AgreeRequest>) -> Result<Response<wire::AgreeResponse>, Status> {
        let agreed = agreeing::agree(&self.closets, request.into_inner()).await?;
        let agreed = self
            .closets
            .registry
            .client()
            .agree(agreed)
            .await
            .map_err(relay)?
            .into_inner();
        held(&self.closets, agreed.snapshot_version).await;
        Ok(Response::new(wire::AgreeResponse {
            digest: agreed.digest,
            registered: agreed.registered,
            snapshot_version: agreed.snapshot_version,
        }))
    }

    async fn proposals(&self, _: Request<wire::ProposalsRequest>) -> Result<Response<wire::ProposalsResponse>, Status> {
        let found = self
            .closets
            .registry
            .client()
            .proposals(registry::ProposalsRequest {})
            .await
            .map_err(relay)?
            .into_inner();
        let proposals = found
            .proposals
            .into_iter()
            .map(|row| wire::Proposal {
                digest: row.digest,
                document: row.document,
                agreed: row.agreed,
            })
            .collect();
        Ok(Response::new(wire::ProposalsResponse { proposals }))
    }

    async fn revoke_agreement(
        &self,
        request: Request<wire::RevokeAgreementRequest>,
    ) -> Result<Response<wire::RevokeAgreementResponse>, Status> {
        let request = request.into_inner();
        let request = registry::RevokeAgreementRequest {
            digest: request.digest,
            reason: request.reason,
        };
        let revoked = self
            .closets
            .registry
            .client()
            .revoke_agreement(request)
            .await
            .map_err(relay)?
            .into_inner();
        held(&self.closets, revoked.snapshot_version).await;
        Ok(Response::new(wire::RevokeAgreementResponse {
            snapshot_version: revoked.snapshot_version,
        }))
    }

    async fn describe_service(
        &self,
        request: Request<wire::DescribeServiceRequest>,
    ) -> Result<Response<wire::DescribeServiceResponse>, Status> {
        Ok(Response::new(
            describe(&self.closets, &request.into_inner().service).await?,
        ))
    }

    async fn export_evidence(
        &self,
        request: Request<wire::ExportEvidenceRequest>,
    ) -> Result<Response<wire::ExportEvidenceResponse>, Status> {
        let request = request.into_inner();
        let exchange = ExchangeId::try_from(request.exchange_id.as_ref())
            .map_err(|error| Fault::new(Reason::ExchangeIdInvalid, error.to_string()))?;
        let role = roles::named(request.role)?;
        let wait = std::time::Duration::from_millis(u64::from(request.wait_ms)).min(std::time::Duration::from_secs(60));
        let (evidence, lacks) = evidence::export(&self.closets, exchange, role, &request.withhold, wait).await?;
        Ok(Response::new(wire::ExportEvidenceResponse { evidence, lacks }))
    }

    type ExportEvidenceSetStream = ReceiverStream<Result<wire::EvidenceChunk, Status>>;

    async fn export_evidence_set(
        &self,
        request: Request<wire::ExportEvidenceSetRequest>,
    ) -> Result<Response<Self::ExportEvidenceSetStream>, Status> {
        let (chunks, stream) = mpsc::channel(4);
        let closets = Arc::clone(&self.closets);
        // Ends when it has sent the file, or when nobody takes what it sends.
        drop(tokio::spawn(async move {
            if let Err(fault) = evidence::export_set(&closets, request.into_inner(), chunks.clone()).await
                && chunks.send(Err(fault.into())).await.is_err()
            {
                tracing::debug!("whoever asked for evidence has gone away");
            }
        }));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn propose_erasure(
        &self,
        request: Request<wire::ProposeErasureRequest>,
    ) -> Result<Response<wire::ProposeErasureResponse>, Status> {
        let erasure = erasing::propose(&self.closets, request.into_inner()).await?;
        Ok(Response::new(wire::ProposeErasureResponse { erasure }))
    }

    async fn erase(&self, request: Request<wire::EraseRequest>) -> Result<Response<wire::EraseResponse>, Status> {
        let erased = erasing::erase(&self.closets, request.into_inner()).await?;
        Ok(Response::new(erased))
    }

    async fn hold(&self, request: Request<wire::HoldRequest>) -> Result<Response<wire::HoldResponse>, Status> {
        Ok(Response::new(erasing::hold(&self.closets, request.into_inner()).await?))
    }

    async fn holds(&self, _: Request<wire::HoldsRequest>) -> Result<Response<wire::HoldsResponse>, Status> {
        Ok(Response::new(erasing::holds(&self.closets).await?))
    }

    async fn release(&self, request: Request<wire::ReleaseRequest>) -> Result<Response<wire::ReleaseResponse>, Status> {
        let released = erasing::release(&self.closets, request.into_inner()).await?;
        Ok(Response::new(released))
    }

    async fn payload(&self, request: Request<wire::PayloadRequest>) -> Result<Response<wire::PayloadResponse>, Status> {
        let payload = erasing::payload(&self.closets, request.into_inner()).await?;
        Ok(Response::new(wire::PayloadResponse { payload }))
    }
}

fn affected(row: registry::Affected) -> wire::AffectedAgreement {
    wire::AffectedAgreement {
        agreement: row.agreement,
        consumer: row.consumer,
        breaks: row.breaks,
    }
}

async fn describe(closets: &Closets, service: &str) -> Result<wire::DescribeServiceResponse, Fault> {
    let name: ServiceName = service
        .parse()
        .map_err(|error| Fault::new(Reason::UnknownService, format!("{error}")))?;
    let view = closets.directory.current(closets.now_us())?;
    let publishers = view.publishers(&name);
    let row = publishers.first().ok_or_else(|| {
        Fault::new(
            Reason::UnknownService,
            format!("nobody publishes {name} in snapshot {}", view.version),
        )
    })?;
    let schema = catalogue::schema(closets, row).await?;
    let providers: Vec<SubsystemId> = publishers.iter().map(|row| row.provider.clone()).collect();
    Ok(wire::DescribeServiceResponse {
        providers: providers.iter().map(ToString::to_string).collect(),
        digest: Bytes::copy_from_slice(&row.schema),
        schema,
        title_ar: row.row.title_ar.clone(),
        title_en: row.row.title_en.clone(),
    })
}
