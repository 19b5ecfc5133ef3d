//! Origins: the names of ledgers.

use super::names::{is_code, is_epoch, is_instance};
use super::text::text_identifier;
use super::{Code, Epoch, Instance, MemberId, NodeId};

text_identifier! {
    /// Name of one ledger, and of the key that signs its checkpoints (C2SP tlog-checkpoint, origin line):
    /// `jisr/JO/GOV/mol/node1/2026` for a node, `jisr/JO/registry/2026` for the registry.
    Origin, Origin, |text| matches!(read(text), Some(Read::Node { .. } | Read::Registry { .. }))
}

/// An origin taken apart.
enum Read<'a> {
    Node {
        member: MemberId,
        node: &'a str,
        epoch: &'a str,
    },
    Registry {
        instance: &'a str,
        epoch: &'a str,
    },
}

fn read(text: &str) -> Option<Read<'_>> {
    let (owner, epoch) = text.strip_prefix("jisr/")?.rsplit_once('/')?;
    if !is_epoch(epoch) {
        return None;
    }
    let (front, last) = owner.rsplit_once('/')?;
    if last == "registry" && is_instance(front) {
        return Some(Read::Registry { instance: front, epoch });
    }
    let member = front.parse().ok()?;
    is_code(last).then_some(Read::Node {
        member,
        node: last,
        epoch,
    })
}

impl Origin {
    /// Origin of the registry's ledger.
    pub fn registry(instance: &Instance, epoch: &Epoch) -> Origin {
        format!("jisr/{instance}/registry/{epoch}")
            .parse()
            .expect("an instance and an epoch make an origin")
    }

    pub(super) fn of_node(member: &MemberId, node: &Code, epoch: &Epoch) -> Origin {
        format!("jisr/{member}/{node}/{epoch}")
            .parse()
            .expect("a member, a code and an epoch make an origin")
    }

    /// The node whose ledger it is; none for the registry's.
    pub fn node(&self) -> Option<NodeId> {
        match self.read() {
            Read::Node { member, node, .. } => {
                let code = node.parse().expect("the constructor checked the code");
                Some(member.node(&code))
            }
            Read::Registry { .. } => None,
        }
    }

    /// The member whose node keeps it; none for the registry's.
    pub fn member(&self) -> Option<MemberId> {
        match self.read() {
            Read::Node { member, .. } => Some(member),
            Read::Registry { .. } => None,
        }
    }

    /// The network it belongs to.
    pub fn instance(&self) -> Instance {
        match self.read() {
            Read::Node { member, .. } => member.instance(),
            Read::Registry { instance, .. } => instance.parse().expect("the constructor checked the instance"),
        }
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        let (Read::Node { epoch, .. } | Read::Registry { epoch, .. }) = self.read();
        epoch.parse().expect("the constructor checked the epoch")
    }

    /// Who operates it, as anchors and witness rows name operators: the member, or `JO/registry`.
    pub fn operator(&self) -> String {
        match self.read() {
            Read::Node { member, .. } => member.to_string(),
            Read::Registry { instance, .. } => format!("{instance}/registry"),
        }
    }

    fn read(&self) -> Read<'_> {
        read(self.as_str()).expect("the constructor took the same text apart")
    }
}
