//! The stream of snapshots to one node: the newest at once, each new one as it is published, as what changed since the last.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use jisr_proto::reason::Reason;
use jisr_proto::registry::FollowRequest;
use jisr_proto::snapshot::SnapshotUpdate;
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;

use crate::history::Since;
use crate::office::{Caller, Office, hash};
use crate::refusal::Refusal;
use crate::service::status;
use crate::snapshot::Published;
use crate::state::Hash;
use crate::telling::Telling;

/// Ends when the node is not listed any more, or the registry stops. A slow reader skips versions, never the newest.
pub(crate) struct Follow {
    office: Arc<Office>,
    caller: Caller,
    /// Newest version that the node holds; its digest, unless the node wants all rows.
    held: (u64, Option<Hash>),
    /// What it is being told.
    telling: Option<Telling>,
    snapshots: WatchStream<Published>,
    stop: WatchStream<bool>,
    ended: bool,
}

impl Follow {
    /// Begins with what is newer than the version held.
    ///
    /// # Errors
    /// SNAPSHOT_BEHIND where the node holds a version that this registry has not published, or not with that digest.
    pub(crate) fn open(
        office: Arc<Office>,
        caller: Caller,
        request: &FollowRequest,
        stop: watch::Receiver<bool>,
    ) -> Result<Follow, Refusal> {
        let newest = office.desk.newest();
        let held = request.version;
        let digest = match request.digest.as_ref() {
            [] => None,
            digest => Some(hash(digest, "the digest of the snapshot held")?),
        };
        // A registry that has none to show yet, version 0, contradicts nobody.
        let contradicts = |rule: String| {
            tracing::error!(rule);
            Err(Refusal::new(Reason::SnapshotBehind, rule))
        };
        if held > newest.version && newest.version > 0 {
            return contradicts(format!(
                "{} holds snapshot {held}, this registry published {} as its newest: one of them was restored from a backup",
                caller.node, newest.version
            ));
        }
        let since = digest.map(|digest| newest.history.since(held, &digest, &newest.picture));
        if since == Some(Since::Another) {
            return contradicts(format!(
                "{} holds another snapshot {held} than this registry published: keep both, there are two histories",
                caller.node
            ));
        }
        let snapshots = WatchStream::new(office.desk.published());
        Ok(Follow {
            office,
            caller,
            held: (held, digest),
            telling: None,
            snapshots,
            stop: WatchStream::new(stop),
            ended: false,
        })
    }

    fn end(&mut self, refusal: Refusal) -> Poll<Option<Result<SnapshotUpdate, Status>>> {
        self.ended = true;
        Poll::Ready(Some(Err(status(refusal))))
    }

    /// What the node is to be told of a newer snapshot.
    fn tell(&mut self, newest: Published) -> Telling {
        let (version, digest) = self.held;
        let member = self.caller.member.clone();
        let since = digest.map(|digest| newest.history.since(version, &digest, &newest.picture));
        self.held = (newest.version, Some(newest.digest));
        match since {
            Some(Since::Changed(keys)) => Telling::changed(newest, member, version, keys),
            _ => Telling::all(newest, member),
        }
    }
}

impl Stream for Follow {
    type Item = Result<SnapshotUpdate, Status>;

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
            if let Some(update) = this.telling.as_mut().and_then(Telling::next) {
                return Poll::Ready(Some(Ok(update)));
            }
            match Pin::new(&mut this.snapshots).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(snapshot)) => {
                    // Each revocation and removal publishes a snapshot, so this is where a node learns of its own; of the end of its
                    // certificate it learns with the next refresh.
                    if let Err(refusal) = this.office.check_in_force(&this.caller) {
                        return this.end(refusal);
                    }
                    if snapshot.version > this.held.0 {
                        this.telling = Some(this.tell(snapshot));
                    }
                }
            }
        }
    }
}
