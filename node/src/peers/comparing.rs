//! Calls by which two nodes show each other what became of their exchanges.

use bytes::Bytes;
use jisr_proto::peer::{ReceiptsRequest, ReceiptsResponse, ReconcileRequest, ReconcileResponse};
use prost::Message as _;

use super::{Greeter, PeerError, Peers};
use crate::directory::NodeRow;

impl Peers {
    /// Shows receipts.
    pub(crate) async fn receipts(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        request: &ReceiptsRequest,
    ) -> Result<ReceiptsResponse, PeerError> {
        let head = request.encode_to_vec().into();
        self.call(greeter, to, "/jisr.peer.v1.Peer/Receipts", head, Bytes::new())
            .await
    }

    /// Asks what the other side holds about exchanges in a range.
    pub(crate) async fn reconcile(
        &self,
        greeter: &dyn Greeter,
        to: &NodeRow,
        request: &ReconcileRequest,
    ) -> Result<ReconcileResponse, PeerError> {
        let head = request.encode_to_vec().into();
        self.call(greeter, to, "/jisr.peer.v1.Peer/Reconcile", head, Bytes::new())
            .await
    }
}
