//! How an agency becomes a member with a node and a catalogue entry: the commands of the registry's administrators and of the
//! agency's operator, in their order.

use std::net::SocketAddr;

use crate::agency::Agency;
use crate::demo::DemoError;
use crate::demo::commands::Jisr;
use crate::demo::layout::{self, REGISTRY};

use super::Addresses;

/// Two administrators of the registry, for nobody admits and approves alone.
const ADMINISTRATORS: [&str; 2] = ["huda", "samir"];

/// Admission, token, configuration, enrolment, and the credentials of an application and an officer.
pub(super) async fn enrol(jisr: Jisr, addresses: Addresses, registry: SocketAddr) -> Result<(), DemoError> {
    let agency = addresses.agency;
    let member = agency.member();
    let [first, second] = ADMINISTRATORS;
    let by = |administrator| ["--dir", REGISTRY, "--administrator", administrator];
    let names = ["--name-ar", agency.name_ar(), "--name-en", agency.name_en()];
    jisr.run(&[&["registry", "admit", &member], by(first).as_slice(), &names].concat())
        .await?;
    jisr.run(&[&["registry", "approve", &member], by(second).as_slice()].concat())
        .await?;
    let token = jisr
        .run(&[&["registry", "token", &agency.node()], by(first).as_slice()].concat())
        .await?;

    let dir = layout::node(agency);
    initialise(&jisr, &addresses, registry, &dir).await?;
    jisr.run(&["node", "enrol", token.word(), "--dir", &dir]).await?;
    let client = layout::client(agency);
    jisr.run(&[
        "node",
        "client",
        "add",
        &agency.subsystem(),
        "--dir",
        &dir,
        "--out",
        &client,
    ])
    .await?;
    let officer = layout::officer(agency);
    jisr.run(&["node", "officer", "add", "rania", "--dir", &dir, "--out", &officer])
        .await
        .map(drop)
}

async fn initialise(jisr: &Jisr, addresses: &Addresses, registry: SocketAddr, dir: &str) -> Result<(), DemoError> {
    let Addresses {
        agency,
        local,
        peer,
        backend,
    } = *addresses;
    let backends: Vec<String> = agency
        .services()
        .iter()
        .map(|contract| format!("--backend={}={}=http://{backend}", contract.service, agency.subsystem()))
        .collect();
    let (node, registry) = (agency.node(), registry.to_string());
    let (local, peer) = (local.to_string(), peer.to_string());
    let mut arguments = vec!["node", "init", "--dir", dir, "--node", &node, "--registry", &registry];
    arguments.extend(["--local", &local, "--peer", &peer, "--public", &peer]);
    arguments.extend(backends.iter().map(String::as_str));
    jisr.run(&arguments).await.map(drop)
}

/// Publishes every service of an agency.
pub(super) async fn publish(jisr: Jisr, agency: Agency) -> Result<(), DemoError> {
    let (dir, subsystem) = (layout::node(agency), agency.subsystem());
    for contract in agency.services() {
        let schema = layout::schema(contract.service);
        let arguments = ["node", "publish", "--dir", &dir, "--subsystem", &subsystem];
        let what = ["--service", contract.service, "--descriptor-set", &schema];
        jisr.run(&[arguments.as_slice(), &what].concat()).await?;
    }
    Ok(())
}
