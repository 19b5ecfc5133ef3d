//! The numbers of a node for a monitoring system. They are made from its status, so that both always say the same.
//!
//! Labels are names of listed nodes, of own subsystems, of mirrors, and reasons: no peer can make their number grow (`PEERS_MAX`, and the
//! bound of the failures that are counted apart).

use jisr_proto::admin::StatusResponse;
use jisr_proto::exposition::{Exposition, Kind, seconds, seconds_until};

/// Peers that have rows of their own: those with the most failures first.
const PEERS_MAX: usize = 256;

/// The states of a node, as `jisr_node_state` names them.
const STATES: [&str; 3] = ["RUNNING", "RECOVERING", "QUARANTINED"];

/// Writes all numbers.
pub(crate) fn render(status: &StatusResponse) -> String {
    let mut text = Exposition::default();
    text.family("jisr_node_info", Kind::Gauge, "Who this node is; always 1.")
        .sample(
            &[
                ("node", &status.node),
                ("origin", &status.origin),
                ("program", &status.program),
            ],
            1,
        );
    let mut states = text.family("jisr_node_state", Kind::Gauge, "1 for the state in which the node is.");
    for state in STATES {
        states.sample(&[("state", state)], u8::from(status.state == state));
    }
    network(&mut text, status);
    ledger(&mut text, status);
    exchanges(&mut text, status);
    peers(&mut text, status);
    mirrors(&mut text, status);
    text.finish()
}

/// Snapshot, certificates, registry.
fn network(text: &mut Exposition, status: &StatusResponse) {
    let now = status.now_us;
    text.one(
        "jisr_registry_connected",
        Kind::Gauge,
        "1 while the registry is followed.",
        u8::from(status.registry_connected),
    );
    text.one(
        "jisr_snapshot_version",
        Kind::Gauge,
        "Version of the snapshot in force.",
        status.snapshot_version,
    );
    text.one(
        "jisr_snapshot_life_seconds",
        Kind::Gauge,
        "Time until the snapshot expires and this node refuses every exchange.",
        seconds_until(status.snapshot_expires_us, now),
    );
    let mut ends = text.family(
        "jisr_certificate_life_seconds",
        Kind::Gauge,
        "Time until the certificate expires: tls, seal, issuing, root.",
    );
    for certificate in &status.certificates {
        ends.sample(
            &[("certificate", &certificate.name)],
            seconds_until(certificate.expires_us, now),
        );
    }
}

/// The own ledger, what confirms it, and the disk under it.
fn ledger(text: &mut Exposition, status: &StatusResponse) {
    let now = status.now_us;
    let since = |us: u64| if us == 0 { 0 } else { now.saturating_sub(us) };
    text.one(
        "jisr_ledger_size",
        Kind::Gauge,
        "Entries in the ledger.",
        status.ledger_size,
    );
    text.one(
        "jisr_ledger_cosigned_size",
        Kind::Gauge,
        "Entries that the quorum of witnesses has cosigned.",
        status.cosigned_size,
    );
    text.one(
        "jisr_ledger_damaged_segments",
        Kind::Gauge,
        "Segments of the ledger that did not hold when they were last read again.",
        status.ledger_damages.len(),
    );
    if status.cosigned_us > 0 {
        text.one(
            "jisr_witness_age_seconds",
            Kind::Gauge,
            "Time since the quorum last cosigned; absent before the first time since the start. It grows while nothing is written.",
            seconds(since(status.cosigned_us)),
        );
    }
    text.one(
        "jisr_witness_away_seconds",
        Kind::Gauge,
        "Age of the first entry that no quorum has cosigned; 0 while witnesses are reached.",
        seconds(since(status.witness_away_since_us)),
    );
    if let Some(stamp) = status.stamp.as_ref().filter(|stamp| stamp.time_us > 0) {
        text.one(
            "jisr_stamp_age_seconds",
            Kind::Gauge,
            "Time since the newest time-stamp; absent where there is none.",
            seconds(since(stamp.time_us)),
        );
        text.one(
            "jisr_stamp_size",
            Kind::Gauge,
            "Entries under the newest time-stamp.",
            stamp.size,
        );
    }
    text.one(
        "jisr_disk_free_bytes",
        Kind::Gauge,
        "Bytes that may still be written to the disk of the data directory.",
        status.disk_free_bytes,
    );
    text.one(
        "jisr_disk_reserve_bytes",
        Kind::Gauge,
        "Bytes set aside for the next segment of the ledger; 0: the disk is full.",
        status.disk_reserve_bytes,
    );
    text.one(
        "jisr_findings_total",
        Kind::Counter,
        "Findings about other ledgers, or the own one, since the start.",
        status.findings,
    );
}

fn exchanges(text: &mut Exposition, status: &StatusResponse) {
    text.one(
        "jisr_exchanges_open",
        Kind::Gauge,
        "Exchanges that are not closed.",
        status.open_exchanges,
    );
    text.family(
        "jisr_exchanges_total",
        Kind::Counter,
        "Exchanges closed since the start, on either side, by outcome.",
    )
    .sample(&[("outcome", "answered")], status.exchanges_answered)
    .sample(&[("outcome", "refused")], status.exchanges_refused)
    .sample(&[("outcome", "failed")], status.exchanges_failed);
    text.one(
        "jisr_proofs_owed",
        Kind::Gauge,
        "Seals of peers whose final proof is owed.",
        status.proofs_owed,
    );
    text.one(
        "jisr_receipts_owed",
        Kind::Gauge,
        "Receipts that consumers owe this node.",
        status.receipts_owed,
    );
    let mut failures = text.family(
        "jisr_failures_total",
        Kind::Counter,
        "What failed, or was refused without a statement, since the start, by other side and reason.",
    );
    for row in &status.failures {
        failures.sample(&[("peer", &row.peer), ("reason", &row.reason)], row.count);
    }
}

fn peers(text: &mut Exposition, status: &StatusResponse) {
    let mut rows: Vec<_> = status.peers.iter().collect();
    rows.sort_by(|one, other| {
        other
            .failures
            .cmp(&one.failures)
            .then_with(|| one.node.cmp(&other.node))
    });
    rows.truncate(PEERS_MAX);
    text.one(
        "jisr_peers",
        Kind::Gauge,
        "Peers that this node has dealt with since the start.",
        status.peers.len(),
    );
    let mut connected = text.family(
        "jisr_peer_connected",
        Kind::Gauge,
        "1 while a connection to the peer is open.",
    );
    for row in &rows {
        connected.sample(&[("peer", &row.node)], u8::from(row.connected));
    }
    let mut refused = text.family(
        "jisr_peer_refused",
        Kind::Gauge,
        "1 while the peer is refused for what its ledger shows or owes.",
    );
    for row in &rows {
        refused.sample(&[("peer", &row.node)], u8::from(!row.refused.is_empty()));
    }
    let mut checked = text.family(
        "jisr_peer_checked_age_seconds",
        Kind::Gauge,
        "Time since the ledger of the peer was last found to go on from what was known of it.",
    );
    for row in rows.iter().filter(|row| row.checked_us > 0) {
        checked.sample(
            &[("peer", &row.node)],
            seconds(status.now_us.saturating_sub(row.checked_us)),
        );
    }
}

fn mirrors(text: &mut Exposition, status: &StatusResponse) {
    let mut entries = text.family(
        "jisr_mirror_lag_entries",
        Kind::Gauge,
        "Entries that the mirror does not hold yet.",
    );
    for row in &status.mirrors {
        entries.sample(&[("mirror", &row.location)], row.lag_entries);
    }
    let mut lag = text.family(
        "jisr_mirror_lag_seconds",
        Kind::Gauge,
        "Age of the oldest entry that the mirror does not hold yet.",
    );
    for row in &status.mirrors {
        lag.sample(&[("mirror", &row.location)], seconds(row.lag_us));
    }
    let mut failing = text.family(
        "jisr_mirror_failing",
        Kind::Gauge,
        "1 while something is wrong with the mirror.",
    );
    for row in &status.mirrors {
        failing.sample(&[("mirror", &row.location)], u8::from(!row.error.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_proto::admin::{CertificateStatus, PeerStatus};

    #[test]
    fn what_the_status_says_is_what_the_numbers_say() {
        let status = StatusResponse {
            state: "RECOVERING".to_owned(),
            now_us: 10_000_000,
            snapshot_expires_us: 3_610_000_000,
            certificates: vec![CertificateStatus {
                name: "seal".to_owned(),
                expires_us: 12_500_000,
            }],
            ..StatusResponse::default()
        };
        let text = render(&status);
        for line in [
            "jisr_node_state{state=\"RUNNING\"} 0",
            "jisr_node_state{state=\"RECOVERING\"} 1",
            "jisr_snapshot_life_seconds 3600.000000",
            "jisr_certificate_life_seconds{certificate=\"seal\"} 2.500000",
            "jisr_witness_away_seconds 0.000000",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
        assert!(
            !text.contains("jisr_witness_age_seconds"),
            "what is not known is not told"
        );
    }

    #[test]
    fn a_large_network_does_not_make_them_grow() {
        let peer = |n: u64| PeerStatus {
            node: format!("JO/GOV/m{n}/node/node1"),
            failures: n,
            ..PeerStatus::default()
        };
        let status = StatusResponse {
            peers: (0..2000).map(peer).collect(),
            ..StatusResponse::default()
        };
        let text = render(&status);
        let rows = text.lines().filter(|line| line.starts_with("jisr_peer_connected{"));
        assert_eq!(rows.count(), PEERS_MAX);
        assert!(text.contains("m1999/node"), "those that fail most are there");
    }
}
