//! The stream of snapshots to one node: the newest at once, each new one as it is published.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use jisr_proto::reason::Reason;
use jisr_proto::snapshot::SignedSnapshot;
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;

use crate::office::{Caller, Office};
use crate::refusal::Refusal;
use crate::service::status;
use crate::snapshot::Published;

/// Ends when the node is not listed any more, or the registry stops. A slow reader skips versions, never the newest.
pub(crate) struct Follow {
    office: Arc<Office>,
    caller: Caller,
    /// Newest version that the node holds.
    held: u64,
    snapshots: WatchStream<Published>,
    stop: WatchStream<bool>,
    ended: bool,
}

impl Follow {
    /// Begins with what is newer than the version held.
    ///
    /// # Errors
    /// SNAPSHOT_BEHIND where the node holds a version that this registry has not published.
    pub(crate) fn open(
        office: Arc<Office>,
        caller: Caller,
        held: u64,
        stop: watch::Receiver<bool>,
    ) -> Result<Follow, Refusal> {
        let newest = office.desk.newest().version;
        // A registry that has none to show yet, version 0, contradicts nobody.
        if held > newest && newest > 0 {
            let rule = format!(
                "{} holds snapshot {held}, this registry published {newest} as its newest: one of them was restored from a backup",
                caller.node
            );
            tracing::error!(rule);
            return Err(Refusal::new(Reason::SnapshotBehind, rule));
        }
        let snapshots = WatchStream::new(office.desk.published());
        Ok(Follow {
            office,
            caller,
            held,
            snapshots,
            stop: WatchStream::new(stop),
            ended: false,
        })
    }

    fn end(&mut self, refusal: Refusal) -> Poll<Option<Result<SignedSnapshot, Status>>> {
        self.ended = true;
        Poll::Ready(Some(Err(status(refusal))))
    }
}

impl Stream for Follow {
    type Item = Result<SignedSnapshot, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        while let Poll::Ready(stopping) = Pin::new(&mut this.stop).poll_next(cx) {
            if stopping != Some(false) {
                return this.end(Refusal::new(
                    Reason::NodeStopping,
                    "the registry is stopping; connect again",
                ));
            }
        }
        loop {
            match Pin::new(&mut this.snapshots).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(snapshot)) => {
                    // Each revocation and removal publishes a snapshot, so this is where a node learns of its own; of the end of its
                    // certificate it learns with the next refresh.
                    if let Err(refusal) = this.office.check_in_force(&this.caller) {
                        return this.end(refusal);
                    }
                    if snapshot.version > this.held {
                        this.held = snapshot.version;
                        return Poll::Ready(Some(Ok(snapshot.signed.as_ref().clone())));
                    }
                }
            }
        }
    }
}
