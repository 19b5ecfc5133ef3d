//! `[timestamp]`: who stamps the own checkpoints.

use std::path::Path;
use std::time::Duration;

use jisr_certs::pem;
use jisr_certs::stamp::Trust;
use jisr_ledger::anchor::Anchor;
use serde::Deserialize;

use super::Wrong;

pub use crate::stamping::Way;

/// `[timestamp]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StampRaw {
    urls: Vec<String>,
    every_s: u64,
    policy: String,
    trusted: Vec<String>,
}

impl Default for StampRaw {
    fn default() -> Self {
        StampRaw {
            urls: vec!["registry".to_owned()],
            every_s: 600,
            policy: String::new(),
            trusted: Vec::new(),
        }
    }
}

/// Who stamps the own checkpoints, and how often.
#[derive(Debug, Clone)]
pub struct Stamping {
    /// The authorities; none: nothing is stamped.
    pub ways: Vec<Way>,
    /// Between two time-stamps of one authority while the ledger grows.
    pub every: Duration,
    /// The policy that is asked for, in dots; empty for the authority's own.
    pub policy: String,
    /// Certificates of outside authorities, or of CAs above them, DER, besides those that the anchor names.
    pub trusted: Vec<Vec<u8>>,
    /// The files they were read from, as they are written.
    pub files: Vec<String>,
}

impl Stamping {
    /// Whose time-stamps count: those that the anchor names, and those that are configured.
    pub(crate) fn trust(&self, anchor: &Anchor) -> Trust {
        let anchored = anchor.time_stamp_trust();
        self.trusted
            .iter()
            .fold(anchored, |trust, der| trust.with_certificate(der))
    }
}

impl StampRaw {
    pub(super) fn check(self, data: &Path) -> Result<Stamping, Wrong> {
        if !(1..=86_400).contains(&self.every_s) {
            return Err(("timestamp.every_s", "lies between 1 and 86400 seconds".to_owned()));
        }
        if self.urls.len() > 4 {
            return Err(("timestamp.urls", "names at most 4 authorities".to_owned()));
        }
        let way = |url: &String| {
            Way::parse(url).ok_or_else(|| {
                let rule = format!(
                    "`{url}` is neither `registry` nor an http:// address; a time-stamp needs no TLS, it is signed"
                );
                ("timestamp.urls", rule)
            })
        };
        let ways = self.urls.iter().map(way).collect::<Result<_, _>>()?;
        if !self.policy.is_empty() && jisr_certs::stamp::Query::new(&[0; 32], &self.policy).is_err() {
            return Err(("timestamp.policy", format!("`{}` is no object identifier", self.policy)));
        }
        let mut trusted = Vec::new();
        for file in &self.trusted {
            let path = data.join(file);
            let text = std::fs::read(&path);
            let text =
                text.map_err(|error| ("timestamp.trusted", format!("cannot read {}: {error}", path.display())))?;
            let certificates = pem::certificates_from_pem(&text);
            let certificates =
                certificates.map_err(|error| ("timestamp.trusted", format!("{}: {error}", path.display())))?;
            trusted.extend(certificates.iter().map(|der| der.to_vec()));
        }
        Ok(Stamping {
            ways,
            every: Duration::from_secs(self.every_s),
            policy: self.policy,
            trusted,
            files: self.trusted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_has_the_documented_values_and_what_cannot_be_meant_is_refused() {
        let here = Path::new(".");
        let config = StampRaw::default().check(here).unwrap();
        assert_eq!((config.ways, config.every.as_secs()), (vec![Way::Registry], 600));
        for text in [
            "every_s = 0",
            "urls = [\"https://tsa.example\"]",
            "policy = \"one\"",
            "trusted = [\"not-there.pem\"]",
        ] {
            let raw: StampRaw = toml::from_str(text).unwrap();
            assert!(raw.check(here).is_err(), "{text}");
        }
        assert!(toml::from_str::<StampRaw>("url = \"registry\"").is_err());
    }
}
