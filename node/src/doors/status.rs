//! How the node is, as its operator reads it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::admin::{FailureCount, PeerStatus, StampStatus, StatusResponse};

use super::admin::Addresses;
use crate::closets::Closets;
use crate::fading;
use crate::machine::Machine;

/// Tells how the node is, with what its machine says. What cannot be read is 0, or absent.
pub(crate) async fn of(closets: &Arc<Closets>, addresses: Addresses) -> StatusResponse {
    let closets = Arc::clone(closets);
    let data = closets.config.data.clone();
    let machine = tokio::task::spawn_blocking(move || Machine::look(&data)).await;
    let machine = machine.unwrap_or_default();
    StatusResponse {
        certificates: machine.certificates,
        disk_free_bytes: machine.disk_free_bytes,
        disk_reserve_bytes: machine.disk_reserve_bytes,
        ..tell(&closets, addresses)
    }
}

fn tell(closets: &Closets, addresses: Addresses) -> StatusResponse {
    let view = closets.directory.newest();
    let checkpoint = closets.ledger.checkpoint();
    let failures = failures(closets);
    let peers = peers(closets, &failures);
    let (state, mut state_text) = closets.standing.told();
    if let Some(lost) = closets.watching.witness.lost() {
        let part = if state_text.is_empty() { "" } else { "; " };
        state_text = format!("{state_text}{part}the witness cosigns nothing: {lost}");
    }
    StatusResponse {
        node: closets.node.to_string(),
        origin: closets.origin.to_string(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        ledger_size: checkpoint.size,
        ledger_root: Bytes::copy_from_slice(&checkpoint.root),
        cosigned_size: closets.cosigning.size(),
        cosigned_us: closets.counters.cosigned_us.value(),
        snapshot_version: view.as_ref().map_or(0, |view| view.version),
        snapshot_expires_us: view.map_or(0, |view| view.expires_us),
        tls_certificate_expires_us: closets.identity.expires_us(),
        open_exchanges: closets.counters.open.value(),
        exchanges_answered: closets.counters.answered.value(),
        exchanges_refused: closets.counters.refused.value(),
        exchanges_failed: closets.counters.failed.value(),
        registry_connected: closets.counters.registry_connected.value() == 1,
        local_address: addresses.local.to_string(),
        peer_address: addresses.peer.to_string(),
        proofs_owed: peers.iter().map(|peer| peer.proofs_owed).sum(),
        peers,
        state: state.to_owned(),
        state_text,
        witness_away_since_us: closets.away.since_us(),
        witness_state: closets.away.state().name().to_owned(),
        receipts_owed: closets.receipts_owed.total(),
        findings: closets.findings.count(),
        mirrors: closets.mirrors.status(checkpoint.size, closets.now_us()),
        stamp: Some(stamp(closets)),
        now_us: closets.now_us(),
        failures,
        ledger_damages: closets.rereading.damaged(),
        reread_us: closets.rereading.whole_us(),
        snapshot_alarm: fading::now(closets).name().to_owned(),
        ..StatusResponse::default()
    }
}

fn failures(closets: &Closets) -> Vec<FailureCount> {
    let counted = closets.refusals.totals().into_iter();
    counted
        .map(|(peer, reason, count)| FailureCount {
            peer,
            reason: reason.to_owned(),
            count,
        })
        .collect()
}

fn stamp(closets: &Closets) -> StampStatus {
    let newest = closets.stamping.status();
    StampStatus {
        size: newest.size,
        time_us: newest.time_us,
        authority: newest.authority,
        error: newest.error,
        off: closets.config.stamping.ways.is_empty(),
    }
}

/// Listed nodes that this node has spoken with, or whose ledger it has checked.
fn peers(closets: &Closets, counted: &[FailureCount]) -> Vec<PeerStatus> {
    let owed: HashMap<_, _> = closets.owed.counts().into_iter().collect();
    let Some(view) = closets.directory.newest() else {
        return Vec::new();
    };
    let mut failed: HashMap<&str, u64> = HashMap::new();
    for row in counted {
        *failed.entry(&row.peer).or_default() += row.count;
    }
    let mut peers: Vec<PeerStatus> = view
        .nodes()
        .filter(|row| row.id != closets.node)
        .filter_map(|row| {
            let checked = closets.watching.checked(&row.origin);
            let owes = owed.get(&row.id);
            let receipts_owed = closets.receipts_owed.by(&row.id);
            let owes_too_many = closets.receipts_owed.admits(&row.id).err().map(|fault| fault.reason);
            let refused = closets.trust.reason(&row.origin).or(owes_too_many);
            if checked.is_none()
                && owes.is_none()
                && refused.is_none()
                && receipts_owed == 0
                && !failed.contains_key(row.id.as_str())
            {
                return None;
            }
            let (checked_size, checked_us) = checked.unwrap_or_default();
            Some(PeerStatus {
                node: row.id.to_string(),
                connected: closets.peers.connected(&row.id),
                proofs_owed: owes.copied().unwrap_or_default(),
                failures: failed.get(row.id.as_str()).copied().unwrap_or_default(),
                refused: refused.map_or_else(String::new, |reason| reason.as_str().to_owned()),
                checked_size,
                checked_us,
                receipts_owed,
            })
        })
        .collect();
    peers.sort_by(|one, other| one.node.cmp(&other.node));
    peers
}
