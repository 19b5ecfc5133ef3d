//! `[[backend]]`: the member's services and the servers that run them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jisr_proto::ident::{NodeId, ServiceName, SubsystemId};
use serde::Deserialize;

use super::{Wrong, host_port, own_subsystem};

/// `[[backend]]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendRaw {
    service: String,
    subsystem: String,
    url: String,
    ca: Option<PathBuf>,
}

/// A service of the member's own and the server that runs it.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Subsystem that publishes it.
    pub subsystem: SubsystemId,
    /// host:port.
    pub authority: String,
    /// TLS, with the certificates (PEM file) that are trusted for it; without: HTTP/2 in the clear (h2c).
    pub tls_ca: Option<PathBuf>,
}

/// Checks the rows of the node `node`, each service once, with paths taken from the data directory `data`.
pub(super) fn check(
    rows: Vec<BackendRaw>,
    node: &NodeId,
    data: &Path,
) -> Result<BTreeMap<ServiceName, Backend>, Wrong> {
    let mut backends = BTreeMap::new();
    for row in rows {
        let (service, backend) = row.check(node, data)?;
        if backends.insert(service.clone(), backend).is_some() {
            return Err(("backend.service", format!("`{service}` stands twice; leave one")));
        }
    }
    Ok(backends)
}

impl BackendRaw {
    fn check(self, node: &NodeId, data: &Path) -> Result<(ServiceName, Backend), Wrong> {
        let service: ServiceName = self.service.parse().map_err(|e| wrong("backend.service", e))?;
        let subsystem = own_subsystem("backend.subsystem", &self.subsystem, node)?;
        let (tls, authority) = match (self.url.strip_prefix("http://"), self.url.strip_prefix("https://")) {
            (Some(authority), _) => (false, authority),
            (_, Some(authority)) => (true, authority),
            _ => return Err(wrong("backend.url", "begins with http:// (h2c) or https:// (TLS)")),
        };
        let authority = host_port("backend.url", authority.trim_end_matches('/').to_owned())?;
        let tls_ca = match (tls, self.ca) {
            (true, Some(ca)) => Some(data.join(ca)),
            (false, None) => None,
            (true, None) => {
                return Err(wrong(
                    "backend.ca",
                    "is needed with https://: a PEM file of trusted certificates",
                ));
            }
            (false, Some(_)) => {
                return Err(wrong(
                    "backend.ca",
                    "has no meaning with http://; remove it or use https://",
                ));
            }
        };
        Ok((
            service,
            Backend {
                subsystem,
                authority,
                tls_ca,
            },
        ))
    }
}

fn wrong(key: &'static str, rule: impl ToString) -> Wrong {
    (key, rule.to_string())
}
