//! `jisr node status`: what the running node says of itself.

use clap::Args;
use jisr_proto::admin::admin_client::AdminClient;
use jisr_proto::admin::{CertificateStatus, MirrorStatus, PeerStatus, StatusRequest, StatusResponse};
use serde_json::{Value, json};

use super::Dir;
use crate::admin::{self, Server};
use crate::failure::Failure;
use crate::instant::show;
use crate::{output, runtime};

/// Tell ledger, snapshot, certificates, exchanges and peers of the running node
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  jisr node status --dir /var/lib/jisr\n\nExit codes: 0 it runs · 1 it does \
                             not, or refused · 64 wrong usage · 70 this program or machine failed"
)]
pub(crate) struct Status {
    #[command(flatten)]
    node: Dir,
    /// Print one object; times are microseconds since 1970
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let status = runtime::block_on(async {
            let channel = admin::connect(&self.node.dir, Server::Node).await?;
            Ok(AdminClient::new(channel).status(StatusRequest {}).await?.into_inner())
        })?;
        if self.json {
            return output::json(&object(&status));
        }
        for (name, value) in lines(&status) {
            output::line(format!("{name:<14} {value}"));
        }
        for peer in &status.peers {
            output::line(format!("{:<14} {}", "peer", peer_line(peer)));
        }
        for damage in &status.ledger_damages {
            output::line(format!("{:<14} {damage}", "DAMAGED"));
        }
        for mirror in &status.mirrors {
            output::line(format!("{:<14} {}", "mirror", mirror_line(mirror)));
        }
        Ok(())
    }
}

fn mirror_line(mirror: &MirrorStatus) -> String {
    let mut line = match mirror.lag_entries {
        0 => format!("{} holds everything", mirror.location),
        lag => format!(
            "{} lacks {lag} entries, for {} s",
            mirror.location,
            mirror.lag_us / 1_000_000
        ),
    };
    if mirror.written_us > 0 {
        line.push_str(&format!(", written at {}", show(mirror.written_us)));
    }
    if !mirror.error.is_empty() {
        line.push_str(&format!(", ERROR {}", output::printable(&mirror.error)));
    }
    line
}

fn peer_line(peer: &PeerStatus) -> String {
    let there = if peer.connected { "connected" } else { "not connected" };
    let mut line = format!(
        "{} {there}, {} proofs owed, {} failures",
        peer.node, peer.proofs_owed, peer.failures
    );
    if peer.checked_us > 0 {
        line.push_str(&format!(
            ", ledger checked to size {} at {}",
            peer.checked_size,
            show(peer.checked_us)
        ));
    }
    if !peer.refused.is_empty() {
        line.push_str(&format!(", REFUSED {}", peer.refused));
    }
    line
}

/// State, and why it is not running.
fn state(status: &StatusResponse) -> String {
    if status.state_text.is_empty() {
        status.state.clone()
    } else {
        format!("{}: {}", status.state, status.state_text)
    }
}

/// Whether a quorum of witnesses is reached.
fn witnesses(status: &StatusResponse) -> String {
    if status.witness_away_since_us == 0 {
        return status.witness_state.clone();
    }
    format!(
        "{}: no quorum has cosigned what was made since {}",
        status.witness_state,
        show(status.witness_away_since_us)
    )
}

/// The newest time-stamp, and which authority does not answer.
fn stamped(status: &StatusResponse) -> String {
    let Some(stamp) = &status.stamp else {
        return "unknown".to_owned();
    };
    let newest = match stamp.time_us {
        0 if stamp.off => "no authority is configured".to_owned(),
        0 => "not yet".to_owned(),
        at => format!("size {} at {} by {}", stamp.size, show(at), stamp.authority),
    };
    if stamp.error.is_empty() {
        newest
    } else {
        format!("{newest}; {}", stamp.error)
    }
}

/// The snapshot in force, and what its end means while the registry is away.
fn snapshot(status: &StatusResponse) -> String {
    let left_us = status.snapshot_expires_us.saturating_sub(status.now_us);
    let (hours, minutes) = (left_us / 3_600_000_000, left_us / 60_000_000 % 60);
    let expires = show(status.snapshot_expires_us);
    let told = format!(
        "{}, expires {expires}, {hours} h {minutes} min left",
        status.snapshot_version
    );
    match status.snapshot_alarm.as_str() {
        "OK" => told,
        "EXPIRED" => format!("{told}: EXPIRED, every exchange is refused"),
        alarm => format!("{told}: ALARM {alarm}, then every exchange is refused"),
    }
}

fn certificates(status: &StatusResponse) -> String {
    let row = |row: &CertificateStatus| {
        let days = row.expires_us.saturating_sub(status.now_us) / 86_400_000_000;
        format!("{} {days} days", row.name)
    };
    let rows: Vec<String> = status.certificates.iter().map(row).collect();
    rows.join(", ")
}

fn disk(status: &StatusResponse) -> String {
    let reserve = match status.disk_reserve_bytes {
        0 => "NO reserve: nothing new is let in once the segment is full".to_owned(),
        bytes => format!("{} MiB in reserve", bytes >> 20),
    };
    format!("{} MiB free, {reserve}", status.disk_free_bytes >> 20)
}

fn lines(status: &StatusResponse) -> [(&'static str, String); 17] {
    let registry = if status.registry_connected {
        "connected"
    } else {
        "not connected: exchanges go on until the snapshot expires"
    };
    let exchanges = format!(
        "{} answered, {} refused, {} failed, {} open",
        status.exchanges_answered, status.exchanges_refused, status.exchanges_failed, status.open_exchanges
    );
    [
        ("node", status.node.clone()),
        ("state", state(status)),
        ("program", status.program.clone()),
        ("local door", status.local_address.clone()),
        ("peer door", status.peer_address.clone()),
        (
            "ledger",
            format!(
                "{} size {} root {}",
                status.origin,
                status.ledger_size,
                output::base64(&status.ledger_root)
            ),
        ),
        (
            "cosigned",
            match status.cosigned_us {
                0 => format!("size {}, before this start", status.cosigned_size),
                at => format!("size {} at {}", status.cosigned_size, show(at)),
            },
        ),
        ("witnesses", witnesses(status)),
        ("stamped", stamped(status)),
        ("registry", registry.to_owned()),
        ("snapshot", snapshot(status)),
        ("certificates", certificates(status)),
        ("disk", disk(status)),
        ("exchanges", exchanges),
        ("proofs owed", status.proofs_owed.to_string()),
        ("receipts owed", status.receipts_owed.to_string()),
        ("findings", status.findings.to_string()),
    ]
}

fn object(status: &StatusResponse) -> Value {
    let mirror = |mirror: &MirrorStatus| {
        json!({
            "location": mirror.location,
            "lag_entries": mirror.lag_entries,
            "lag_us": mirror.lag_us,
            "written_us": mirror.written_us,
            "error": mirror.error,
        })
    };
    let mirrors: Vec<Value> = status.mirrors.iter().map(mirror).collect();
    let peers: Vec<Value> = status
        .peers
        .iter()
        .map(|peer| {
            json!({
                "node": peer.node,
                "connected": peer.connected,
                "proofs_owed": peer.proofs_owed,
                "failures": peer.failures,
                "refused": peer.refused,
                "checked_size": peer.checked_size,
                "checked_us": peer.checked_us,
                "receipts_owed": peer.receipts_owed,
            })
        })
        .collect();
    let certificates: serde_json::Map<String, Value> = status
        .certificates
        .iter()
        .map(|row| (row.name.clone(), json!(row.expires_us)))
        .collect();
    let failures: Vec<Value> = status
        .failures
        .iter()
        .map(|row| json!({ "peer": row.peer, "reason": row.reason, "count": row.count }))
        .collect();
    let stamp = status.stamp.clone().unwrap_or_default();
    json!({
        "node": status.node,
        "origin": status.origin,
        "program": status.program,
        "state": status.state,
        "state_text": status.state_text,
        "ledger_size": status.ledger_size,
        "ledger_root": output::base64(&status.ledger_root),
        "cosigned_size": status.cosigned_size,
        "cosigned_us": status.cosigned_us,
        "witness_state": status.witness_state,
        "witness_away_since_us": status.witness_away_since_us,
        "snapshot_version": status.snapshot_version,
        "snapshot_expires_us": status.snapshot_expires_us,
        "tls_certificate_expires_us": status.tls_certificate_expires_us,
        "open_exchanges": status.open_exchanges,
        "exchanges_answered": status.exchanges_answered,
        "exchanges_refused": status.exchanges_refused,
        "exchanges_failed": status.exchanges_failed,
        "registry_connected": status.registry_connected,
        "local_address": status.local_address,
        "peer_address": status.peer_address,
        "proofs_owed": status.proofs_owed,
        "receipts_owed": status.receipts_owed,
        "findings": status.findings,
        "ledger_damages": status.ledger_damages,
        "reread_us": status.reread_us,
        "now_us": status.now_us,
        "snapshot_alarm": status.snapshot_alarm,
        "certificates_expire_us": certificates,
        "disk_free_bytes": status.disk_free_bytes,
        "disk_reserve_bytes": status.disk_reserve_bytes,
        "failures": failures,
        "peers": peers,
        "mirrors": mirrors,
        "stamped_size": stamp.size,
        "stamped_us": stamp.time_us,
        "stamp_authority": stamp.authority,
        "stamp_error": stamp.error,
    })
}
