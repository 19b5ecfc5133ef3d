//! `[admin]`: what monitoring may ask.

use std::net::SocketAddr;

use serde::Deserialize;

/// `[admin]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AdminRaw {
    metrics: Option<SocketAddr>,
}

impl AdminRaw {
    /// Where the numbers are served besides the admin socket. Key and rule of a value that breaks one otherwise.
    pub(super) fn check(&self) -> Result<Option<SocketAddr>, (&'static str, &'static str)> {
        match self.metrics {
            Some(address) if !address.ip().is_loopback() => Err((
                "admin.metrics",
                "is a loopback address: the numbers name peers and are not encrypted. Have an agent on this machine fetch them, or ask at the \
                 admin socket",
            )),
            address => Ok(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_leave_no_machine_by_themselves() {
        let raw: AdminRaw = toml::from_str("metrics = \"127.0.0.1:9464\"").unwrap();
        assert!(raw.check().unwrap().is_some());
        let raw: AdminRaw = toml::from_str("metrics = \"0.0.0.0:9464\"").unwrap();
        assert_eq!(raw.check().unwrap_err().0, "admin.metrics");
        assert!(AdminRaw::default().check().unwrap().is_none());
    }
}
