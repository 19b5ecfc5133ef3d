//! How an agency becomes a member with a node and a catalogue entry: the commands of the registry's administrators and of the
//! agency's operator, in their order.

use std::net::SocketAddr;

use crate::agency::Agency;
use crate::demo::DemoError;
use crate::demo::commands::Jisr;
use crate::demo::layout::{self, Layout, REGISTRY};

use super::Addresses;

/// Two administrators of the registry, for nobody admits and approves alone.
const ADMINISTRATORS: [&str; 2] = ["huda", "samir"];

/// What both may do.
const ROLES: &str = "admit,certify,publish";

/// The members of the network, as the registry's administrators have them in a file.
const MEMBERS: &str = include_str!("../../../../jordan/members.csv");

/// The options of a command that an administrator signs.
fn by(name: &str) -> [String; 4] {
    [
        "--dir".into(),
        REGISTRY.into(),
        "--administrator".into(),
        layout::administrator(name),
    ]
}

/// The administrators' keys, then the registry that is founded with them.
pub(super) async fn found(jisr: &Jisr, address: SocketAddr) -> Result<(), DemoError> {
    let address = address.to_string();
    let mut init = vec!["registry", "init", "--dir", REGISTRY, "--instance", "JO"];
    init.extend(["--listen", &address, "--public", &address]);
    let mut founders = Vec::new();
    for name in ADMINISTRATORS {
        let dir = layout::administrator(name);
        let new = [
            "registry",
            "administrator",
            "new",
            name,
            "--instance",
            "JO",
            "--out",
            &dir,
        ];
        jisr.run(&new).await?;
        founders.push(format!("--administrator={name}={ROLES}:{dir}/request.csr"));
    }
    init.extend(founders.iter().map(String::as_str));
    jisr.run(&init).await.map(drop)
}

/// All members by one act: proposed by the first administrator, approved by the second.
pub(super) async fn admit(jisr: &Jisr, layout: &Layout) -> Result<(), DemoError> {
    let file = "members.csv";
    layout.write(file, MEMBERS.as_bytes())?;
    let [first, second] = ADMINISTRATORS.map(by);
    let admit = ["registry", "admit", "--csv", file].into_iter();
    let admit: Vec<&str> = admit.chain(first.iter().map(String::as_str)).collect();
    let act = jisr.run(&admit).await?;
    let approve = ["registry", "approve", act.word()].into_iter();
    let approve: Vec<&str> = approve.chain(second.iter().map(String::as_str)).collect();
    jisr.run(&approve).await.map(drop)
}

/// Token, configuration, enrolment, and the credentials of an application and an officer.
pub(super) async fn enrol(jisr: Jisr, addresses: Addresses, registry: SocketAddr) -> Result<(), DemoError> {
    let agency = addresses.agency;
    let [first, _] = ADMINISTRATORS.map(by);
    let node = agency.node();
    let token = ["registry", "token", &node].into_iter();
    let token: Vec<&str> = token.chain(first.iter().map(String::as_str)).collect();
    let token = jisr.run(&token).await?;

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
