//! `[limits]`: what is bounded, and by how much.

use std::time::Duration;

use serde::Deserialize;

use super::Wrong;

/// `[limits]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsRaw {
    body_bytes_max: usize,
    header_bytes_max: u32,
    connections_max: usize,
    streams_per_connection_max: u32,
    exchanges_max: usize,
    handshake_timeout_ms: u64,
    connect_timeout_ms: u64,
    default_deadline_ms: u64,
    lifetime_max_s: u64,
    skew_s: u64,
    replies_kept_bytes_max: usize,
    receipts_owed_max: u64,
    proofs_per_minute: u32,
    threads: usize,
}

impl Default for LimitsRaw {
    fn default() -> Self {
        LimitsRaw {
            body_bytes_max: 16 << 20,
            header_bytes_max: 64 << 10,
            connections_max: 1024,
            streams_per_connection_max: 1024,
            exchanges_max: 8192,
            handshake_timeout_ms: 10_000,
            connect_timeout_ms: 5_000,
            default_deadline_ms: 60_000,
            lifetime_max_s: 300,
            skew_s: 60,
            replies_kept_bytes_max: 64 << 20,
            receipts_owed_max: 65_536,
            proofs_per_minute: 6_000,
            threads: 0,
        }
    }
}

/// Bounds.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message of an application or backend, bytes.
    pub body_bytes_max: usize,
    /// Largest header block, bytes.
    pub header_bytes_max: u32,
    /// Connections at each door.
    pub connections_max: usize,
    /// Streams in flight on one connection.
    pub streams_per_connection_max: u32,
    /// Exchanges in flight at each door.
    pub exchanges_max: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Time to connect to a peer or backend.
    pub connect_timeout: Duration,
    /// Deadline of a call that brings none.
    pub default_deadline: Duration,
    /// Longest lifetime of an ASKED, microseconds.
    pub lifetime_max_us: u64,
    /// Difference of clocks that is tolerated, microseconds.
    pub skew_us: u64,
    /// Bytes of replies kept for calls with effects.
    pub replies_kept_bytes_max: usize,
    /// Receipts that one consumer's node may owe before its questions are refused; 0: no limit.
    pub receipts_owed_max: u64,
    /// Proofs, tiles and cosignatures that one peer may ask for in a minute.
    pub proofs_per_minute: u32,
    /// Worker threads; 0 in the file means one per core.
    pub threads: usize,
}

impl LimitsRaw {
    pub(super) fn check(self) -> Result<Limits, Wrong> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if self.body_bytes_max == 0 || self.body_bytes_max > 1 << 30 {
            return Err(wrong("limits.body_bytes_max", "lies between 1 and 1073741824"));
        }
        if self.lifetime_max_s == 0 || self.lifetime_max_s > 3600 {
            return Err(wrong("limits.lifetime_max_s", "lies between 1 and 3600 seconds"));
        }
        if self.exchanges_max == 0 || self.connections_max == 0 || self.streams_per_connection_max == 0 {
            return Err(wrong(
                "limits",
                "connections_max, streams_per_connection_max and exchanges_max are at least 1",
            ));
        }
        Ok(Limits {
            body_bytes_max: self.body_bytes_max,
            header_bytes_max: self.header_bytes_max,
            connections_max: self.connections_max,
            streams_per_connection_max: self.streams_per_connection_max,
            exchanges_max: self.exchanges_max,
            handshake_timeout: Duration::from_millis(self.handshake_timeout_ms),
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            default_deadline: Duration::from_millis(self.default_deadline_ms),
            lifetime_max_us: self.lifetime_max_s * 1_000_000,
            skew_us: self.skew_s.saturating_mul(1_000_000),
            replies_kept_bytes_max: self.replies_kept_bytes_max,
            receipts_owed_max: self.receipts_owed_max,
            proofs_per_minute: self.proofs_per_minute,
            threads: if self.threads == 0 {
                cores
            } else {
                self.threads.min(256)
            },
        })
    }
}

fn wrong(key: &'static str, rule: &str) -> Wrong {
    (key, rule.to_owned())
}
