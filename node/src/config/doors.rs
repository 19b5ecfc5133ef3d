//! `[local_door]` and `[peer_door]`: where applications and other nodes call.

use std::net::SocketAddr;

use jisr_proto::ident::{NodeId, SubsystemId};
use serde::Deserialize;

use super::{Wrong, host_port, own_subsystem};

/// `[local_door]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalDoorRaw {
    listen: SocketAddr,
    #[serde(default)]
    names: Vec<String>,
    dangerous_plain_loopback: Option<Vec<String>>,
}

/// `[peer_door]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeerDoorRaw {
    listen: SocketAddr,
    public: String,
}

/// Settings of the local door.
#[derive(Debug, Clone)]
pub struct LocalDoor {
    /// Address to listen at.
    pub listen: SocketAddr,
    /// DNS names and IP addresses that the door's certificate carries.
    pub names: Vec<String>,
    /// If set, the door speaks plain HTTP/2 on loopback and takes every caller for these subsystems.
    pub dangerous_plain_loopback: Option<Vec<SubsystemId>>,
}

/// Settings of the peer door.
#[derive(Debug, Clone)]
pub struct PeerDoor {
    /// Address to listen at.
    pub listen: SocketAddr,
    /// host:port under which other nodes reach it.
    pub public: String,
}

impl LocalDoorRaw {
    /// Checked for the node `node`.
    pub(super) fn check(self, node: &NodeId) -> Result<LocalDoor, Wrong> {
        let dangerous_plain_loopback = match self.dangerous_plain_loopback {
            None => None,
            Some(_) if !self.listen.ip().is_loopback() => {
                let rule = "is only allowed while local_door.listen is a loopback address";
                return Err(wrong("local_door.dangerous_plain_loopback", rule));
            }
            Some(names) => Some(
                names
                    .iter()
                    .map(|name| own_subsystem("local_door.dangerous_plain_loopback", name, node))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
        };
        if self.names.is_empty() && dangerous_plain_loopback.is_none() {
            return Err(wrong(
                "local_door.names",
                "needs at least one name or address that applications call",
            ));
        }
        Ok(LocalDoor {
            listen: self.listen,
            names: self.names,
            dangerous_plain_loopback,
        })
    }
}

impl PeerDoorRaw {
    pub(super) fn check(self) -> Result<PeerDoor, Wrong> {
        Ok(PeerDoor {
            listen: self.listen,
            public: host_port("peer_door.public", self.public)?,
        })
    }
}

fn wrong(key: &'static str, rule: &str) -> Wrong {
    (key, rule.to_owned())
}
