//! The closet that watches the registry for the own member: what it lists must have been asked for, and what was asked for must be
//! listed. What is otherwise is a finding: in the log, in the status, as a statement; each once since the start.
//!
//! What this node can tell without the registry's word: its own keys, and those that it asked certificates for; further nodes of its member by `[watch] nodes`;
//! services by its `[[backend]]` rows; agreements by the signature of an officer under the member's own local CA, which stands in the
//! registry's entry and which the registry cannot make. A row that is gone must have an entry of the registry's ledger that says so.

mod acts;
mod asked;
mod entries;
mod followed;
mod founded;
mod returning;
mod rules;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jisr_certs::digest::{self, Hash};
use jisr_ledger::snapshot::Header;
use jisr_ledger::statement::Act;
use jisr_proto::ident::NodeId;
use jisr_proto::snapshot::SnapshotUpdate;
use jisr_proto::statement::{Finding, FindingKind};

use crate::closets::Closets;
use crate::directory::View;
use crate::doors::Stopped;
use crate::setup;
use crate::snapshots::SnapshotError;

pub(crate) use acts::{judge, read};
pub(crate) use asked::Asked;
pub(crate) use followed::Followed;
pub(crate) use founded::Founded;
pub(crate) use returning::give_back;
use rules::{Alarm, Own};

/// Between two attempts to read what the registry's ledger says of a row.
const AGAIN: Duration = Duration::from_secs(2);

/// What was looked at.
struct Monitor {
    own: Own,
    /// Whose rows hold, or were said not to.
    before: Option<Arc<View>>,
    /// Agreements whose entry was looked at.
    agreed: HashSet<Hash>,
}

/// Looks at every snapshot that is taken up, until `stopped`.
pub(crate) async fn watch(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut versions = closets.directory.follow();
    let reading = Arc::clone(&closets);
    let own = tokio::task::spawn_blocking(move || own(&reading)).await;
    let mut monitor = Monitor {
        own: match own {
            Ok(own) => own,
            Err(_) => return,
        },
        before: closets.directory.newest(),
        agreed: HashSet::new(),
    };
    let mut is_open = false;
    loop {
        tokio::select! {
            changed = versions.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if is_open => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        if let Some(view) = closets.directory.newest() {
            is_open = !monitor.look(&closets, &view).await;
        }
    }
}

/// What this node knows of itself. Blocks on disk.
fn own(closets: &Closets) -> Own {
    let local_ca = setup::own_local_ca(&closets.config.data, closets.clock.now_us());
    Own {
        node: closets.node.clone(),
        origin: closets.origin.clone(),
        seal: closets.watching.own_key.raw(),
        witness: closets.watching.witness.key().public().as_bytes().to_owned(),
        local_ca: local_ca
            .inspect_err(|error| tracing::error!(%error, "the own local CA cannot be read; it is not compared"))
            .ok(),
        siblings: closets.config.watch.nodes.clone(),
        backends: closets
            .config
            .backends
            .iter()
            .map(|(name, backend)| (name.to_string(), backend.subsystem.to_string()))
            .collect(),
    }
}

impl Monitor {
    /// Whether all could be judged.
    async fn look(&mut self, closets: &Closets, view: &Arc<View>) -> bool {
        for alarm in self.own.listed(view, |key| closets.asked.is_asked(key)) {
            raise(closets, view, alarm);
        }
        self.agreements(closets, view).await && self.gone(closets, view).await
    }

    /// Agreements that are listed for the first time.
    async fn agreements(&mut self, closets: &Closets, view: &View) -> bool {
        let member = closets.node.member();
        let new: Vec<_> = rules::agreements(view, &member)
            .filter(|row| !self.agreed.contains(&row.digest))
            .cloned()
            .collect();
        for row in new {
            let Some(read) = entries::read(closets, &[row.entry]).await else {
                return false;
            };
            let act = read
                .iter()
                .find(|(index, _)| *index == row.entry)
                .and_then(|(_, entry)| entry.statement.act());
            let signed = match act {
                Some(Act::Agreement(act)) => self.own.signed(view, &row.digest, act),
                _ => Err("the entry that it cites is of another kind, or withheld".to_owned()),
            };
            if let Err(text) = signed {
                raise(closets, view, Alarm::unasked(rules::key(&row.digest), text));
            }
            self.agreed.insert(row.digest);
        }
        true
    }

    /// Rows of the member that were listed before.
    async fn gone(&mut self, closets: &Closets, view: &Arc<View>) -> bool {
        let Some(before) = self.before.as_ref() else {
            self.before = Some(Arc::clone(view));
            return true;
        };
        let gone = rules::gone(before, view, &closets.node.member(), closets.now_us());
        if !gone.is_empty() {
            let Some(acts) = entries::between(closets, before, view).await else {
                return false;
            };
            for key in gone
                .iter()
                .filter(|key| !acts.iter().any(|act| rules::excuses(act, key)))
            {
                let text = "it was listed, and no entry of the registry's ledger takes it off".to_owned();
                raise(closets, view, Alarm::lacking(key.clone(), text));
            }
        }
        self.before = Some(Arc::clone(view));
        true
    }
}

fn raise(closets: &Closets, view: &View, alarm: Alarm) {
    let Alarm { kind, key, text } = alarm;
    let remedy = "if your member did not mean this, tell the registry's operator and the other members";
    let finding = Finding {
        kind: kind.into(),
        origin: closets.directory.anchor().registry_origin.to_string(),
        notes: vec![view.signed.note.clone()],
        text: format!("{key}, snapshot {}: {text}; {remedy}", view.version),
        ..Finding::default()
    };
    closets
        .findings
        .found_once(format!("{} {key} {text}", kind.as_str_name()), finding);
}

/// The registry offered a snapshot that contradicts the one held.
pub(crate) fn refused(closets: &Closets, update: &SnapshotUpdate, error: &SnapshotError) {
    let kind = match error {
        SnapshotError::Forked { .. } => FindingKind::SnapshotForked,
        SnapshotError::RolledBack { .. } => FindingKind::SnapshotRolledBack,
        _ => return,
    };
    let (Some(held), Some(offered)) = (closets.directory.newest(), &update.signed) else {
        return;
    };
    let version = Header::parse(&offered.header).map_or(0, |header| header.version);
    let name = hex(&digest::domain("jisr.snapshot", &[&offered.header]));
    let finding = Finding {
        kind: kind.into(),
        origin: closets.directory.anchor().registry_origin.to_string(),
        notes: vec![held.signed.note.clone(), offered.note.clone()],
        text: format!("snapshot {} is held, {version} was offered: {error}", held.version),
        ..Finding::default()
    };
    closets
        .findings
        .found_once(format!("{} {name}", kind.as_str_name()), finding);
}

/// A peer says that it holds another snapshot of the version held here. A peer can say that once of each version at most.
pub(crate) fn contradicted(closets: &Closets, peer: &NodeId, theirs: &[u8]) {
    let Some(held) = closets.directory.newest() else { return };
    let text = format!(
        "{peer} says that its snapshot {} has digest {}, here it is {}",
        held.version,
        hex(theirs.get(..32).unwrap_or(theirs)),
        hex(&held.digest)
    );
    let finding = Finding {
        kind: FindingKind::SnapshotForked.into(),
        origin: closets.directory.anchor().registry_origin.to_string(),
        notes: vec![held.signed.note.clone()],
        text,
        ..Finding::default()
    };
    closets
        .findings
        .found_once(format!("SNAPSHOT {} {peer}", held.version), finding);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
