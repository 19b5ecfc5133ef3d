//! The closet of peers that are refused for what their ledgers show: two histories, or seals that were never proven.
//!
//! A fork outlasts a restart, in a file of its own; what is only owed is asked for again.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jisr_ledger::files::Disk;
use jisr_proto::ident::Origin;
use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;
use serde::{Deserialize, Serialize};

use crate::directory::NodeRow;

/// Name of the file in the data directory.
const FILE: &str = "forked";

/// Who is refused, and why.
pub(crate) struct Trust {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// Whether anybody is: what an exchange looks at.
    any: AtomicBool,
    refused: RwLock<HashMap<Origin, Refused>>,
}

#[derive(Debug, Clone)]
struct Refused {
    reason: Reason,
    /// The key under which it happened: another listed key is another ledger.
    key: [u8; 32],
    text: String,
}

/// The file: by origin, since an origin stands there once.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forked {
    #[serde(default)]
    ledger: BTreeMap<String, ForkedRow>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForkedRow {
    key: [u8; 32],
    text: String,
}

impl Trust {
    /// Reads whose forks were found before; those that are found go to `disk`.
    ///
    /// # Errors
    /// The file cannot be read, or is not of its form.
    pub(crate) fn open(data: &Path, disk: Arc<dyn Disk>) -> io::Result<Trust> {
        let path = data.join(FILE);
        let forked: Forked = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Forked::default(),
            Err(error) => return Err(error),
        };
        let mut refused = HashMap::new();
        for (origin, row) in forked.ledger {
            let origin: Origin = origin.parse().map_err(io::Error::other)?;
            let known = Refused {
                reason: Reason::PeerLedgerForked,
                key: row.key,
                text: row.text,
            };
            refused.insert(origin, known);
        }
        Ok(Trust {
            path,
            disk,
            any: AtomicBool::new(!refused.is_empty()),
            refused: RwLock::new(refused),
        })
    }

    /// Whether exchanges with this node go on.
    pub(crate) fn admits(&self, peer: &NodeRow) -> Result<(), Fault> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let refused = self.refused.read().unwrap_or_else(PoisonError::into_inner);
        match refused.get(&peer.origin) {
            Some(refused) if refused.key == peer.seal_key.raw() => {
                Err(Fault::new(refused.reason, format!("{}: {}", peer.id, refused.text)))
            }
            _ => Ok(()),
        }
    }

    /// Why a ledger is refused; `None` where it is not.
    pub(crate) fn reason(&self, origin: &Origin) -> Option<Reason> {
        let refused = self.refused.read().unwrap_or_else(PoisonError::into_inner);
        refused.get(origin).map(|refused| refused.reason)
    }

    /// Refuses from now on. A fork outlasts whatever else is found. Whether this is news.
    pub(crate) fn refuse(&self, peer: &NodeRow, reason: Reason, text: String) -> bool {
        let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        let key = peer.seal_key.raw();
        let known = refused.get(&peer.origin).filter(|known| known.key == key);
        let is_news = known.is_none_or(|known| known.reason != reason && known.reason != Reason::PeerLedgerForked);
        if is_news {
            refused.insert(peer.origin.clone(), Refused { reason, key, text });
            self.any.store(true, Ordering::Release);
            if reason == Reason::PeerLedgerForked {
                self.keep(&refused);
            }
        }
        is_news
    }

    /// Puts the forks down. Blocks on disk.
    fn keep(&self, refused: &HashMap<Origin, Refused>) {
        let forked = refused
            .iter()
            .filter(|(_, known)| known.reason == Reason::PeerLedgerForked);
        let ledger = forked.map(|(origin, known)| {
            let (key, text) = (known.key, known.text.clone());
            (origin.to_string(), ForkedRow { key, text })
        });
        let file = Forked {
            ledger: ledger.collect(),
        };
        let kept = toml::to_string(&file)
            .map_err(io::Error::other)
            .and_then(|text| self.disk.replace(&self.path, text.as_bytes()));
        if let Err(error) = kept {
            tracing::error!(%error, "that a ledger is forked could not be put down; after a restart it must be found again");
        }
    }

    /// Takes a peer back that was refused for `reason`. Whether it was.
    pub(crate) fn take_back(&self, origin: &Origin, reason: Reason) -> bool {
        let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        let was = refused.get(origin).is_some_and(|refused| refused.reason == reason);
        if was {
            refused.remove(origin);
            self.any.store(!refused.is_empty(), Ordering::Release);
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tests::row;
    use jisr_ledger::files::RealDisk;

    #[test]
    fn only_what_was_owed_can_be_paid() {
        let dir = tempfile::tempdir().unwrap();
        let (trust, peer) = (
            Trust::open(dir.path(), Arc::new(RealDisk)).unwrap(),
            row("JO/GOV/psd/node/node1", 1),
        );
        assert!(trust.admits(&peer).is_ok());
        assert!(trust.refuse(&peer, Reason::PeerLedgerUnproven, "it owes".to_owned()));
        assert!(!trust.refuse(&peer, Reason::PeerLedgerUnproven, "it owes".to_owned()));
        assert_eq!(trust.admits(&peer).unwrap_err().reason, Reason::PeerLedgerUnproven);
        assert!(trust.refuse(&peer, Reason::PeerLedgerForked, "two histories".to_owned()));
        assert!(!trust.refuse(&peer, Reason::PeerLedgerUnproven, "it owes".to_owned()));
        assert!(!trust.take_back(&peer.origin, Reason::PeerLedgerUnproven));
        assert_eq!(trust.admits(&peer).unwrap_err().reason, Reason::PeerLedgerForked);
        let trust = Trust::open(dir.path(), Arc::new(RealDisk)).unwrap();
        assert_eq!(
            trust.admits(&peer).unwrap_err().reason,
            Reason::PeerLedgerForked,
            "after a restart"
        );
    }

    #[test]
    fn another_listed_key_is_another_ledger() {
        let dir = tempfile::tempdir().unwrap();
        let trust = Trust::open(dir.path(), Arc::new(RealDisk)).unwrap();
        trust.refuse(
            &row("JO/GOV/psd/node/node1", 1),
            Reason::PeerLedgerForked,
            "two histories".to_owned(),
        );
        assert!(trust.admits(&row("JO/GOV/psd/node/node1", 2)).is_ok());
        assert!(trust.admits(&row("JO/GOV/mol/node/node1", 1)).is_ok());
    }

    #[test]
    fn whoever_pays_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (trust, peer) = (
            Trust::open(dir.path(), Arc::new(RealDisk)).unwrap(),
            row("JO/GOV/psd/node/node1", 1),
        );
        trust.refuse(&peer, Reason::PeerLedgerUnproven, "it owes".to_owned());
        assert!(trust.take_back(&peer.origin, Reason::PeerLedgerUnproven));
        assert!(trust.admits(&peer).is_ok());
        assert_eq!(trust.reason(&peer.origin), None);
    }
}
