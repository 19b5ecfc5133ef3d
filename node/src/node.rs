//! The node as a whole: opens the ledger, settles what a crash left, opens the doors, and closes all of it in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_ledger::clock::Clock;
use jisr_ledger::ledger::{Opened, Storage};
use jisr_ledger::statement::Draft;
use jisr_proto::statement::{Configured, Core, Kind};
use jisr_proto::status::Fault;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::closets::Closets;
use crate::config::Config;
use crate::doors::local::Callers;
use crate::doors::{Door, Stopped, admin, local, metrics, peer};
use crate::error::StartError;
use crate::opening::{self, Material};
use crate::setup::Layout;
use crate::workers::Workers;
use crate::{
    away, cosigning, erasing, evidence, fading, findings, liveness, monitor, proofs, receipts, reconciling, recovering,
    registry_link, renewing, rereading, stamping, watching,
};

/// How long exchanges in flight may take to end once the node stops.
const DRAIN: Duration = Duration::from_secs(15);

/// A running node.
pub struct Node {
    closets: Arc<Closets>,
    workers: Arc<Workers>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    local_address: SocketAddr,
    peer_address: SocketAddr,
    metrics_address: Option<SocketAddr>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({})", self.closets.node)
    }
}

impl Node {
    /// Starts a node that has been enrolled. When this returns, its doors are open; exchanges are let in once somebody outside has
    /// confirmed the ledger, where it is not new ([`Node::taking_part`]).
    ///
    /// # Errors
    /// The configuration, a key, a certificate, the ledger or an address cannot be used.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Node, StartError> {
        Node::start_on(config, clock, Storage::default()).await
    }

    /// The same with another storage under the ledger and all else that is durable.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub async fn start_on(config: Config, clock: Arc<dyn Clock>, storage: Storage) -> Result<Node, StartError> {
        let material = Material::read(&config, &clock, &storage)?;
        let callers = material.callers(&config, &clock)?;
        // The ledger first: its lock says plainly that another process runs this node.
        let (closets, opened) = opening::open(config, material, clock, storage)?;
        let local_listener = bind(closets.config.local_door.listen).await?;
        let peer_listener = bind(closets.config.peer_door.listen).await?;
        let (local_address, peer_address) = (local_listener.local_addr()?, peer_listener.local_addr()?);
        let metrics_listener = match closets.config.metrics {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let metrics_address = metrics_listener.as_ref().map(TcpListener::local_addr).transpose()?;
        // A new ledger needs nobody's word.
        if closets.ledger.is_confirmed() {
            recovering::settle(&closets, &opened)
                .await
                .map_err(StartError::Settling)?;
            closets.standing.run();
        }
        let workers = Arc::new(Workers::start(closets.config.limits.threads)?);
        let stop = watch::Sender::new(false);
        let (health, _) = tonic_health::server::health_reporter();
        let admin = admin::bind(&Layout::new(&closets.config.data).admin_socket())?;
        let mut node = Node {
            closets,
            workers,
            tasks: JoinSet::new(),
            stop,
            local_address,
            peer_address,
            metrics_address,
        };
        node.open_local_door(local_listener, callers, health.clone());
        node.open_peer_door(peer_listener);
        let stopped = node.stop.subscribe();
        let addresses = admin::Addresses {
            local: local_address,
            peer: peer_address,
        };
        node.tasks
            .spawn(admin::serve(Arc::clone(&node.closets), admin, addresses, stopped));
        if let Some(listener) = metrics_listener {
            let (closets, stopped) = (Arc::clone(&node.closets), node.stop.subscribe());
            node.tasks.spawn(metrics::serve(closets, listener, addresses, stopped));
        }
        node.keep_house(opened, health);
        tracing::info!(node = %node.closets.node, origin = %node.closets.origin, local = %local_address, peer = %peer_address, "node is open");
        Ok(node)
    }

    /// Resolves once exchanges are let in. Never in a quarantine.
    pub async fn taking_part(&self) {
        self.closets.standing.running().await;
    }

    /// Address of the local door.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Address of the peer door.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    /// Where the numbers for monitoring are served, besides the admin socket.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Stops accepting, lets what is in flight end, closes the ledger with its last checkpoint.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let places = &self.closets.places;
        let all = u32::try_from(self.closets.config.limits.exchanges_max).unwrap_or(u32::MAX);
        let drained = async {
            let _asked = places.asked.acquire_many(all).await;
            let _answered = places.answered.acquire_many(all).await;
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("exchanges were still open when the node stopped; they are settled at the next start");
        }
        if let Some(workers) = Arc::into_inner(self.workers) {
            workers.stop();
        }
        sum_up(&self.closets);
        self.closets.ledger.clone().close();
        self.closets.mirrors.stop();
        tracing::info!("node is closed");
    }

    /// Ends the node as a crash would: nothing more is written, nobody is told. For tests, on a storage that writes
    /// nothing any more. `silent` is called once nothing of the node can be heard any more, before the ledger's threads
    /// are waited for: a storage that held them lets them go then.
    pub async fn dangerous_crash(mut self, silent: impl FnOnce()) {
        self.stop.send_replace(true);
        self.tasks.shutdown().await;
        if let Some(workers) = Arc::into_inner(self.workers) {
            workers.stop();
        }
        silent();
        self.closets.mirrors.abandon();
    }

    fn open_local_door(&mut self, listener: TcpListener, callers: Callers, health: HealthReporter) {
        let door = Door::new(listener, &self.closets.config.limits);
        let (closets, workers, stopped) = (
            Arc::clone(&self.closets),
            Arc::clone(&self.workers),
            self.stop.subscribe(),
        );
        self.tasks.spawn(async move {
            let inner = stopped.clone();
            door.serve(&workers, stopped, move |stream| {
                local::serve(
                    Arc::clone(&closets),
                    callers.clone(),
                    health.clone(),
                    stream,
                    inner.clone(),
                )
            })
            .await;
        });
    }

    fn open_peer_door(&mut self, listener: TcpListener) {
        let door = Door::new(listener, &self.closets.config.limits);
        let (closets, workers, stopped) = (
            Arc::clone(&self.closets),
            Arc::clone(&self.workers),
            self.stop.subscribe(),
        );
        self.tasks.spawn(async move {
            let inner = stopped.clone();
            door.serve(&workers, stopped, move |stream| {
                peer::serve(Arc::clone(&closets), stream, inner.clone())
            })
            .await;
        });
    }

    /// What goes on beside the exchanges.
    fn keep_house(&mut self, opened: Opened, health: HealthReporter) {
        self.tend("follower of the registry", registry_link::follow);
        self.tend("renewal of the TLS certificate", renewing::renew);
        self.tend("cosigning", cosigning::cosign);
        self.tend("time-stamps", stamping::stamp);
        self.tend("comparing with the registry", cosigning::compare_with_registry);
        self.tend("comparing with peers", watching::watch);
        self.tend("monitor of the registry", monitor::watch);
        self.tend("reading the registry's ledger", monitor::read);
        self.tend("witnesses", away::look);
        self.tend("life of the snapshot", fading::watch);
        self.tend("findings", findings::record);
        self.tend("collecting proofs", proofs::collect);
        self.tend("sending receipts", receipts::send);
        self.tend("missing receipts", receipts::mind);
        self.tend("reconciliation", reconciling::run);
        self.tend("reading the ledger again", rereading::run);
        self.tend("liveness of backends", liveness::report);
        self.tend("quarantine", |closets, stopped| {
            every(recovering::REMIND_EVERY, stopped, async move || {
                recovering::remind(&closets);
            })
        });
        self.tend("summing refusals up", |closets, stopped| {
            every(Duration::from_secs(60), stopped, async move || sum_up(&closets))
        });
        self.tend("retention", |closets, stopped| {
            every(RETAIN_EVERY, stopped, async move || erasing::retain(&closets).await)
        });
        let kept = Arc::default();
        self.tend("keeping the registry's entries", move |closets, stopped| {
            let kept = Arc::clone(&kept);
            every(Duration::from_secs(5), stopped, async move || {
                evidence::keep_entries(&closets, &kept).await
            })
        });
        self.tend("health", move |closets, stopped| {
            let health = health.clone();
            every(Duration::from_secs(2), stopped, async move || {
                mind(&closets, &health).await
            })
        });
        self.tasks.spawn(receipts::recall(
            Arc::clone(&self.closets),
            opened.newest_us,
            self.stop.subscribe(),
        ));
        self.tasks.spawn(recovering::recover(
            Arc::clone(&self.closets),
            opened,
            self.stop.subscribe(),
        ));
    }
}

impl Node {
    /// Keeps one part of the house going until the node stops.
    fn tend<P, F>(&mut self, name: &'static str, part: P)
    where
        P: Fn(Arc<Closets>, Stopped) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (closets, stopped) = (Arc::clone(&self.closets), self.stop.subscribe());
        self.tasks.spawn(keep_going(name, stopped.clone(), move || {
            part(Arc::clone(&closets), stopped.clone())
        }));
    }
}

/// Between two looks for messages whose time is over.
const RETAIN_EVERY: Duration = Duration::from_secs(3600);

/// Pause before a part that ended by a defect begins again.
const AGAIN: Duration = Duration::from_millis(250);

/// Runs `part` to its end. One that ends by a defect is said loudly and begun again: a node that no longer follows the
/// registry, or has nothing cosigned, must not look as if all were well.
async fn keep_going<F>(name: &'static str, mut stopped: Stopped, part: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        // In a set of its own, so that it ends with whoever waits for it.
        let mut running = JoinSet::new();
        running.spawn(part());
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(
                    part = name,
                    "a part of this node ended by a defect and is begun again; report it"
                );
            }
            _ => return,
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

/// Runs `work` now and then every `period`, until `stopped`.
async fn every<W: AsyncFn()>(period: Duration, mut stopped: Stopped, work: W) {
    loop {
        tokio::select! {
            () = work() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// One statement a peer and minute for what was refused without one.
fn sum_up(closets: &Closets) {
    if !closets.standing.is_running() {
        return;
    }
    let until_us = closets.now_us();
    for act in closets.refusals.sum_up(until_us) {
        closets.append_later(Draft::new(administrative(closets, Kind::RefusalsSummed)).act(&act));
    }
}

/// Missing schemas, and what the health service says.
async fn mind(closets: &Closets, health: &HealthReporter) {
    let current = closets.directory.current(closets.now_us());
    if let Ok(view) = &current {
        registry_link::fetch_schemas(closets, view).await;
    }
    let serving = if current.is_ok() && closets.standing.is_running() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    health.set_service_status("", serving).await;
}

/// Core of an administrative act of this node.
pub(crate) fn administrative(closets: &Closets, kind: Kind) -> Core {
    let view = closets.directory.newest();
    Core {
        format: 1,
        kind: kind as i32,
        instance: closets.node.instance().to_string(),
        created_us: closets.now_us(),
        snapshot_version: view.as_ref().map_or(0, |view| view.version),
        snapshot: view
            .map(|view| Bytes::copy_from_slice(&view.digest))
            .unwrap_or_default(),
        ..Core::default()
    }
}

/// States the configuration that is in force from now on.
pub(crate) async fn configured(closets: &Closets) -> Result<(), Fault> {
    let act = Configured {
        digest: Bytes::copy_from_slice(&closets.config.digest),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let statement = Draft::new(administrative(closets, Kind::Configured)).act(&act).close();
    closets.append(vec![statement]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_part_that_ends_by_a_defect_begins_again() {
        let begun = Arc::new(AtomicU32::new(0));
        let (_stop, stopped) = watch::channel(false);
        let part = {
            let begun = Arc::clone(&begun);
            move || {
                let times = begun.fetch_add(1, Ordering::SeqCst);
                async move { assert!(times >= 2, "a defect of the test") }
            }
        };
        keep_going("test", stopped, part).await;
        assert_eq!(begun.load(Ordering::SeqCst), 3);
    }
}
