//! SPIFFE ids: how certificates name whom they are for.
//!
//! Instance and class are upper case in identifiers and lower case in SPIFFE ids; everything else is lower case in both.
//! So the mapping loses nothing.

use super::{Code, IdentError, Instance, MemberId, NodeId, OfficerId, SubsystemId, quoted};

impl Instance {
    /// SPIFFE id of the registry: `spiffe://jo/registry`.
    pub fn registry_spiffe(&self) -> String {
        format!("spiffe://{}/registry", self.as_str().to_ascii_lowercase())
    }

    /// SPIFFE id of an administrator of the registry: `spiffe://jo/registry/administrator/huda`.
    pub fn administrator_spiffe(&self, name: &Code) -> String {
        format!("{}/administrator/{name}", self.registry_spiffe())
    }

    /// Reads what [`Instance::administrator_spiffe`] writes for this instance.
    ///
    /// # Errors
    /// [`IdentError::Spiffe`] for anything else.
    pub fn administrator_of_spiffe(&self, uri: &str) -> Result<Code, IdentError> {
        uri.strip_prefix(&self.registry_spiffe())
            .and_then(|rest| rest.strip_prefix("/administrator/"))
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| IdentError::Spiffe(quoted(uri), "administrator", "spiffe://jo/registry/administrator/huda"))
    }
}

impl NodeId {
    /// `spiffe://jo/gov/mol/node/node1`.
    pub fn spiffe(&self) -> String {
        write(&self.member(), "node", self.code().as_str())
    }

    /// Reads what [`NodeId::spiffe`] writes.
    ///
    /// # Errors
    /// [`IdentError::Spiffe`] for anything else.
    pub fn from_spiffe(uri: &str) -> Result<NodeId, IdentError> {
        read(uri, "node")
            .and_then(|(member, code)| Some(member.node(&code.parse().ok()?)))
            .ok_or_else(|| IdentError::Spiffe(quoted(uri), "node", "spiffe://jo/gov/mol/node/node1"))
    }
}

impl SubsystemId {
    /// `spiffe://jo/gov/mol/subsystem/permits`.
    pub fn spiffe(&self) -> String {
        write(&self.member(), "subsystem", self.code().as_str())
    }

    /// Reads what [`SubsystemId::spiffe`] writes.
    ///
    /// # Errors
    /// [`IdentError::Spiffe`] for anything else.
    pub fn from_spiffe(uri: &str) -> Result<SubsystemId, IdentError> {
        read(uri, "subsystem")
            .and_then(|(member, code)| member.subsystem(&code.parse().ok()?))
            .ok_or_else(|| IdentError::Spiffe(quoted(uri), "subsystem", "spiffe://jo/gov/mol/subsystem/permits"))
    }
}

impl OfficerId {
    /// `spiffe://jo/gov/mol/officer/rania`.
    pub fn spiffe(&self) -> String {
        write(&self.member(), "officer", self.code().as_str())
    }

    /// Reads what [`OfficerId::spiffe`] writes.
    ///
    /// # Errors
    /// [`IdentError::Spiffe`] for anything else.
    pub fn from_spiffe(uri: &str) -> Result<OfficerId, IdentError> {
        read(uri, "officer")
            .and_then(|(member, code)| Some(member.officer(&code.parse().ok()?)))
            .ok_or_else(|| IdentError::Spiffe(quoted(uri), "officer", "spiffe://jo/gov/mol/officer/rania"))
    }
}

fn write(member: &MemberId, role: &str, code: &str) -> String {
    format!("spiffe://{}/{role}/{code}", member.as_str().to_ascii_lowercase())
}

/// Splits `spiffe://instance/class/member/role/code`.
fn read<'a>(uri: &'a str, role: &str) -> Option<(MemberId, &'a str)> {
    let path = uri.strip_prefix("spiffe://")?;
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let (front, code) = path.rsplit_once('/')?;
    let (front, named) = front.rsplit_once('/')?;
    let (network, code_of_member) = front.rsplit_once('/')?;
    let member = format!("{}/{code_of_member}", network.to_ascii_uppercase())
        .parse()
        .ok()?;
    (named == role).then_some((member, code))
}
