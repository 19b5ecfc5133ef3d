//! The network is raised as its operators would raise it: registry, members, tokens, nodes, catalogue, agreements.

mod agreements;
mod members;

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::transport::{Channel, Uri};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::agency::{self, Agency};
use crate::world::World;

use super::DemoError;
use super::commands::Jisr;
use super::layout::{self, Layout, REGISTRY};
use super::ports;
use super::processes::Processes;
use super::screen;

pub(super) use agreements::PURPOSE;

/// The members' ports: local door, peer door, backend of each, and the registry's.
const PORTS: usize = 3 * agency::ALL.len() + 1;

/// How long a server may take until its admin door answers.
const READY: Duration = Duration::from_secs(30);

/// A node that runs.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) agency: Agency,
    pub(super) pid: u32,
    /// Where applications call.
    pub(super) local: SocketAddr,
    /// Where other nodes call.
    pub(super) peer: SocketAddr,
}

/// A network that is ready for questions.
pub(super) struct Network {
    pub(super) nodes: Vec<Node>,
}

/// Addresses of one agency.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    agency: Agency,
    local: SocketAddr,
    peer: SocketAddr,
    backend: SocketAddr,
}

impl Network {
    /// Starts everything and waits until every node knows of every agreement.
    pub(super) async fn raise(
        jisr: &Jisr,
        layout: &Layout,
        processes: &mut Processes,
        world: &World,
    ) -> Result<Self, DemoError> {
        let [registry, rest @ ..] = ports::free::<PORTS>()?;
        let plan = plan(&rest);

        let registers = screen::step("backends: six registers, filled while the rest goes on");
        for addresses in &plan {
            start_backend(processes, addresses, world)?;
        }

        let step = screen::step("registry: keys, ledger, anchor, two administrators");
        start_registry(jisr, layout, processes, registry).await?;
        step.done();

        let step = screen::step(
            "members: sixteen admitted by one administrator, approved by another; nodes enrolled by token",
        );
        let enrolled = async {
            members::admit(jisr, layout).await?;
            each(&plan, |addresses| members::enrol(jisr.clone(), addresses, registry)).await
        };
        processes.meanwhile(enrolled).await?;
        step.done();

        let step = screen::step("nodes: started");
        let mut nodes = Vec::new();
        for Addresses {
            agency, local, peer, ..
        } in plan.iter().copied()
        {
            let pid = processes.start(
                &format!("node-{agency}"),
                &["node", "run", "--dir", &layout::node(agency)],
            )?;
            nodes.push(Node {
                agency,
                pid,
                local,
                peer,
            });
        }
        for node in &nodes {
            let status = ["node", "status", "--dir", &layout::node(node.agency), "--json"];
            let name = format!("node-{}", node.agency);
            processes
                .meanwhile(wait_until_ready(jisr, layout, &name, &status))
                .await?;
        }
        step.done();

        let step = screen::step("catalogue and agreements: published, proposed, accepted");
        let network = Self { nodes };
        let agreed = async {
            each(&agency::ALL, |agency| members::publish(jisr.clone(), agency)).await?;
            let version = agreements::conclude(jisr).await?;
            network.wait_for_snapshot(jisr, layout, version).await
        };
        processes.meanwhile(agreed).await?;
        step.done();
        for addresses in &plan {
            processes.meanwhile(wait_for_backend(addresses.backend)).await?;
        }
        registers.done();
        Ok(network)
    }

    /// The node of an agency.
    pub(super) fn node(&self, agency: Agency) -> Result<&Node, DemoError> {
        let found = self.nodes.iter().find(|node| node.agency == agency);
        found.ok_or(DemoError::Door {
            node: agency.code(),
            address: String::new(),
            what: "it was not started".into(),
        })
    }

    /// Waits until every node holds a snapshot at least as new as the last agreement.
    async fn wait_for_snapshot(&self, jisr: &Jisr, layout: &Layout, version: u64) -> Result<(), DemoError> {
        let begun = Instant::now();
        for node in &self.nodes {
            let dir = layout::node(node.agency);
            while jisr
                .run(&["node", "status", "--dir", &dir, "--json"])
                .await?
                .number("snapshot_version")?
                < version
            {
                if begun.elapsed() > READY {
                    return Err(late(layout, &format!("node-{}", node.agency)));
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }
}

fn plan(ports: &[SocketAddr]) -> Vec<Addresses> {
    let addresses = |(agency, three): (Agency, &[SocketAddr])| match three {
        [local, peer, backend] => Some(Addresses {
            agency,
            local: *local,
            peer: *peer,
            backend: *backend,
        }),
        _ => None,
    };
    agency::ALL
        .into_iter()
        .zip(ports.chunks_exact(3))
        .filter_map(addresses)
        .collect()
}

/// Does the same for several at once; the first error counts.
async fn each<T, F>(all: &[T], act: impl Fn(T) -> F) -> Result<(), DemoError>
where
    T: Copy,
    F: Future<Output = Result<(), DemoError>> + Send + 'static,
{
    let mut tasks: JoinSet<Result<(), DemoError>> = all.iter().map(|one| act(*one)).collect();
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task is cancelled, and none panics")?;
    }
    Ok(())
}

fn start_backend(processes: &mut Processes, addresses: &Addresses, world: &World) -> Result<(), DemoError> {
    let Addresses { agency, backend, .. } = addresses;
    let arguments = [
        "demo",
        "backend",
        agency.code(),
        "--listen",
        &backend.to_string(),
        "--database",
        &format!("backends/{agency}.db"),
        "--seed",
        &world.seed.to_string(),
        "--people",
        &world.people.to_string(),
        "--today",
        &world.today.to_string(),
    ];
    processes.start(&format!("backend-{agency}"), &arguments).map(drop)
}

async fn start_registry(
    jisr: &Jisr,
    layout: &Layout,
    processes: &mut Processes,
    address: SocketAddr,
) -> Result<(), DemoError> {
    members::found(jisr, address).await?;
    processes.start("registry", &["registry", "run", "--dir", REGISTRY])?;
    let status = ["registry", "status", "--dir", REGISTRY, "--json"];
    processes
        .meanwhile(wait_until_ready(jisr, layout, "registry", &status))
        .await?;
    layout.write("anchor", &layout.read(&format!("{REGISTRY}/anchor"))?)
}

/// Asks a server for its status until it answers.
async fn wait_until_ready(jisr: &Jisr, layout: &Layout, name: &str, status: &[&str]) -> Result<(), DemoError> {
    let begun = Instant::now();
    while jisr.attempt(status).await?.code() != Some(0) {
        if begun.elapsed() > READY {
            return Err(late(layout, name));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Waits until a backend says that it serves. A large world takes a while to fill, so there is no limit but its end.
async fn wait_for_backend(address: SocketAddr) -> Result<(), DemoError> {
    loop {
        if let Ok(channel) = Channel::builder(uri(address)).connect().await
            && HealthClient::new(channel)
                .check(HealthCheckRequest::default())
                .await
                .is_ok()
        {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn uri(address: SocketAddr) -> Uri {
    format!("http://{address}")
        .parse()
        .expect("an address and a port make a URI")
}

fn late(layout: &Layout, name: &str) -> DemoError {
    DemoError::NotReady {
        name: name.to_owned(),
        seconds: READY.as_secs(),
        log: layout.path(&layout::log(name)),
    }
}
