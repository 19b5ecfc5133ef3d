//! When ledgers are compared: with each known peer every few seconds under traffic, every half minute else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jisr_certs::digest;
use jisr_proto::ident::Origin;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::closets::Closets;
use crate::directory::{NodeRow, View};
use crate::doors::Stopped;
use crate::peers::PeerError;

/// Between two looks at who is due.
const LOOK: Duration = Duration::from_millis(500);
/// Comparisons that run at once.
const AT_ONCE: usize = 16;
/// Peers that a recovering node asks at most.
const ASKED_MAX: usize = 64;

/// When a peer was greeted last, and how many of its seals had been seen by then.
struct Greeted {
    at: Instant,
    seals: u64,
}

/// Compares ledgers until `stopped`.
pub(crate) async fn watch(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut greeted: HashMap<Origin, Greeted> = HashMap::new();
    let mut running: JoinSet<()> = JoinSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        while running.try_join_next().is_some() {}
        let Some(view) = closets.directory.newest().filter(|_| closets.standing.is_running()) else {
            continue;
        };
        for peer in known(&closets, &view) {
            if running.len() >= AT_ONCE {
                break;
            }
            let seals = closets.owed.seen(&peer.origin);
            if is_due(&closets, &peer, greeted.get(&peer.origin), seals) {
                greeted.insert(
                    peer.origin.clone(),
                    Greeted {
                        at: Instant::now(),
                        seals,
                    },
                );
                let closets = Arc::clone(&closets);
                running.spawn(async move { greet(&closets, &peer).await });
            }
        }
        greeted.retain(|origin, _| view.node_of_origin(origin).is_some());
    }
}

fn is_due(closets: &Closets, peer: &NodeRow, greeted: Option<&Greeted>, seals: u64) -> bool {
    let watch = &closets.config.watch;
    let since_greeted = greeted.map(|greeted| greeted.at.elapsed());
    // A new connection compares by itself; an attempt that failed counts too, so that nobody is asked without a pause.
    let since = [since_greeted, closets.watching.since_checked(&peer.origin)]
        .into_iter()
        .flatten()
        .min();
    match since {
        None => true,
        Some(since) if greeted.map_or(0, |greeted| greeted.seals) != seals => since >= watch.busy,
        Some(since) => since >= watch.idle,
    }
}

/// Listed nodes that this node has spoken with, or holds a checkpoint of.
fn known(closets: &Closets, view: &View) -> Vec<Arc<NodeRow>> {
    let known = |row: &&Arc<NodeRow>| {
        row.id != closets.node
            && (closets.owed.seen(&row.origin) > 0 || closets.watching.witness.newest(&row.origin).is_some())
    };
    view.nodes().filter(known).cloned().collect()
}

/// Whom a recovering node asks: those it holds a checkpoint of first, then whoever else is listed.
pub(crate) fn known_peers(closets: &Closets) -> Vec<Arc<NodeRow>> {
    let Some(view) = closets.directory.newest() else {
        return Vec::new();
    };
    let mut rows: Vec<Arc<NodeRow>> = view.nodes().filter(|row| row.id != closets.node).cloned().collect();
    rows.sort_by_cached_key(|row| {
        let known = closets.watching.witness.newest(&row.origin).is_some();
        let score = digest::sha256(&[closets.origin.as_str().as_bytes(), row.origin.as_str().as_bytes()]);
        (!known, score)
    });
    rows.truncate(ASKED_MAX);
    rows
}

/// Compares with one peer now.
pub(crate) async fn greet_known(closets: &Closets, peer: &NodeRow) -> Result<(), PeerError> {
    closets.peers.greet(closets, peer).await
}

async fn greet(closets: &Closets, peer: &NodeRow) {
    if let Err(error) = greet_known(closets, peer).await {
        tracing::debug!(peer = %peer.id, ?error, "ledgers could not be compared");
    }
}
