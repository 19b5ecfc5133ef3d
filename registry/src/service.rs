//! The door's table of contents: who may ask what, and what becomes of refusals.

use std::sync::Arc;

use jisr_proto::registry as wire;
use jisr_proto::registry::registry_server::Registry;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::door::Peer;
use crate::follow::Follow;
use crate::office::{Caller, Office};
use crate::refusal::Refusal;

/// `jisr.registry.v1.Registry`.
pub(crate) struct NodeService {
    pub(crate) office: Arc<Office>,
    /// True when the registry is stopping: open streams end.
    pub(crate) stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl Registry for NodeService {
    async fn enrol(&self, request: Request<wire::EnrolRequest>) -> Result<Response<wire::EnrolResponse>, Status> {
        answer(self.office.enrol(request.into_inner()).await)
    }

    async fn renew(&self, request: Request<wire::RenewRequest>) -> Result<Response<wire::RenewResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.renew(caller, request.into_inner()).await)
    }

    async fn retire(&self, request: Request<wire::RetireRequest>) -> Result<Response<wire::RetireResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.retire(caller).await)
    }

    type FollowStream = Follow;

    async fn follow(&self, request: Request<wire::FollowRequest>) -> Result<Response<Follow>, Status> {
        let caller = self.caller(&request)?;
        let request = request.into_inner();
        answer(Follow::open(
            Arc::clone(&self.office),
            caller,
            &request,
            self.stop.clone(),
        ))
    }

    async fn publish(&self, request: Request<wire::PublishRequest>) -> Result<Response<wire::PublishResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.publish(caller, request.into_inner()).await)
    }

    async fn schema(&self, request: Request<wire::SchemaRequest>) -> Result<Response<wire::SchemaResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.schema(&caller, &request.into_inner().digest).await)
    }

    async fn agree(&self, request: Request<wire::AgreeRequest>) -> Result<Response<wire::AgreeResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.agree(caller, request.into_inner()).await)
    }

    async fn proposals(
        &self,
        request: Request<wire::ProposalsRequest>,
    ) -> Result<Response<wire::ProposalsResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(Ok(self.office.proposed(&caller)))
    }

    async fn revoke_agreement(
        &self,
        request: Request<wire::RevokeAgreementRequest>,
    ) -> Result<Response<wire::RevokeAgreementResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.revoke_agreement(caller, request.into_inner()).await)
    }

    async fn entries(&self, request: Request<wire::EntriesRequest>) -> Result<Response<wire::EntriesResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.entries(&caller, request.into_inner()).await)
    }

    async fn hello(&self, request: Request<wire::HelloRequest>) -> Result<Response<wire::HelloResponse>, Status> {
        let caller = self.caller(&request)?;
        self.office.spend_hello(&caller).map_err(status)?;
        answer(self.office.hello(&caller, request.into_inner()).await)
    }

    async fn give_back(
        &self,
        request: Request<wire::GiveBackRequest>,
    ) -> Result<Response<wire::GiveBackResponse>, Status> {
        let caller = self.caller(&request)?;
        self.office.spend_proof(&caller).map_err(status)?;
        answer(self.office.give_back(&caller, request.into_inner()).await)
    }

    async fn report_health(
        &self,
        request: Request<wire::ReportHealthRequest>,
    ) -> Result<Response<wire::ReportHealthResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.report_health(&caller, request.into_inner()))
    }

    async fn liveness(
        &self,
        request: Request<wire::LivenessRequest>,
    ) -> Result<Response<wire::LivenessResponse>, Status> {
        self.caller(&request)?;
        answer(self.office.liveness(request.into_inner()))
    }

    async fn cosign(&self, request: Request<wire::CosignRequest>) -> Result<Response<wire::CosignResponse>, Status> {
        let caller = self.caller(&request)?;
        answer(self.office.cosign(&caller, request.into_inner()).await)
    }

    async fn report(&self, request: Request<wire::ReportRequest>) -> Result<Response<wire::ReportResponse>, Status> {
        let caller = self.caller(&request)?;
        self.office.spend_report(&caller).map_err(status)?;
        answer(self.office.report(&caller, request.into_inner()).await)
    }
}

impl NodeService {
    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.office.caller(&peer(request)?).map_err(status)
    }
}

fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let missing = || Status::internal("the connection does not say who is there");
    request.extensions().get::<Peer>().cloned().ok_or_else(missing)
}

/// An answer, or the refusal in the form of `google.rpc.Status`.
pub(crate) fn answer<T>(outcome: Result<T, Refusal>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(status)
}

/// A refusal as its caller sees it.
pub(crate) fn status(refusal: Refusal) -> Status {
    tracing::debug!(reason = %refusal.reason, detail = refusal.detail, "refused");
    refusal.fault().into()
}
