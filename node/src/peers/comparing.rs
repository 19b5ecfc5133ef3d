//! Calls by which two nodes show each other what became of their exchanges.

use std::time::Duration;

use jisr_proto::peer::{ReceiptsRequest, ReceiptsResponse, ReconcileRequest, ReconcileResponse};
use prost::Message as _;

use super::{Greeter, PeerError, Peers};
use crate::directory::NodeRow;

/// How long a provider may take to record a batch of receipts.
const RECORD_WAIT: Duration = Duration::from_secs(20);
/// How long a peer may take over one range.
const RANGE_WAIT: Duration = Duration::from_secs(30);

impl Peers {
    /// Shows receipts.
    pub(crate) async fn receipts(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        request: &ReceiptsRequest,
    ) -> Result<ReceiptsResponse, PeerError> {
        self.call_within(
            greeter,
            to,
            "/jisr.peer.v1.Peer/Receipts",
            request.encode_to_vec().into(),
            RECORD_WAIT,
        )
        .await
    }

    /// Asks what the other side holds about exchanges in a range.
    pub(crate) async fn reconcile(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        request: &ReconcileRequest,
    ) -> Result<ReconcileResponse, PeerError> {
        self.call_within(
            greeter,
            to,
            "/jisr.peer.v1.Peer/Reconcile",
            request.encode_to_vec().into(),
            RANGE_WAIT,
        )
        .await
    }
}
