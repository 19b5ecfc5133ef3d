//! The exchange id that the node hands to its backend.

use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::agency::Agency;

/// Metadata key.
const EXCHANGE_ID: &str = "jisr-exchange-id";

/// Logs the exchange of every call.
#[derive(Clone)]
pub(super) struct Log(Agency);

impl Log {
    pub(super) fn of(agency: Agency) -> Self {
        Self(agency)
    }
}

impl Interceptor for Log {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(exchange) = id(&request) {
            tracing::info!(agency = self.0.code(), exchange, "asked");
        }
        Ok(request)
    }
}

/// The exchange id as text, if the call came through a node.
pub(super) fn id<T>(request: &Request<T>) -> Option<&str> {
    request.metadata().get(EXCHANGE_ID)?.to_str().ok()
}
