//! How often ledgers are compared, and for how long witnesses may be away.

use std::time::Duration;

use serde::Deserialize;

/// `[watch]` as it is written, seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WatchRaw {
    busy_s: u64,
    idle_s: u64,
    unproven_s: u64,
    nodes: Vec<String>,
}

impl Default for WatchRaw {
    fn default() -> Self {
        WatchRaw {
            busy_s: 5,
            idle_s: 30,
            unproven_s: 10,
            nodes: Vec::new(),
        }
    }
}

/// `[witness]` as it is written, seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WitnessRaw {
    warn_s: u64,
    unwitnessed_s: u64,
    refuse_high_s: u64,
}

impl Default for WitnessRaw {
    fn default() -> Self {
        WitnessRaw {
            warn_s: 900,
            unwitnessed_s: 3600,
            refuse_high_s: 14_400,
        }
    }
}

/// How often this node and others compare their ledgers.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Between two comparisons with a peer under traffic.
    pub busy: Duration,
    /// Between two comparisons with a peer that is idle.
    pub idle: Duration,
    /// How long a peer may owe the final proof of a seal while this node reaches a quorum.
    pub unproven: Duration,
    /// Names of further nodes of the own member, `node2`: any other one that the snapshot lists is a finding.
    pub nodes: Vec<String>,
}

/// For how long no quorum of witnesses may have cosigned what stands in the own ledger.
#[derive(Debug, Clone)]
pub struct Away {
    /// Then it is a warning, microseconds.
    pub warn_us: u64,
    /// Then evidence counts as unwitnessed, microseconds.
    pub unwitnessed_us: u64,
    /// Then methods of the highest evidence class are refused, microseconds.
    pub refuse_high_us: u64,
}

/// Key and rule of a value that breaks one.
type Wrong = (&'static str, &'static str);

impl WatchRaw {
    pub(super) fn check(&self) -> Result<Watch, Wrong> {
        if self.busy_s == 0 || self.busy_s > self.idle_s || self.idle_s > 600 {
            return Err(("watch", "busy_s is at least 1, idle_s no less, and at most 600 seconds"));
        }
        if self.unproven_s == 0 || self.unproven_s > 3600 {
            return Err(("watch.unproven_s", "lies between 1 and 3600 seconds"));
        }
        Ok(Watch {
            busy: Duration::from_secs(self.busy_s),
            idle: Duration::from_secs(self.idle_s),
            unproven: Duration::from_secs(self.unproven_s),
            nodes: self.nodes.clone(),
        })
    }
}

impl WitnessRaw {
    pub(super) fn check(&self) -> Result<Away, Wrong> {
        let ascending =
            0 < self.warn_s && self.warn_s <= self.unwitnessed_s && self.unwitnessed_s <= self.refuse_high_s;
        if !ascending || self.refuse_high_s > 30 * 86_400 {
            return Err((
                "witness",
                "warn_s is at least 1, unwitnessed_s and refuse_high_s are no less than the one before, and at most 2592000 seconds",
            ));
        }
        Ok(Away {
            warn_us: self.warn_s * 1_000_000,
            unwitnessed_us: self.unwitnessed_s * 1_000_000,
            refuse_high_us: self.refuse_high_s * 1_000_000,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_has_the_documented_values() {
        let watch = WatchRaw::default().check().unwrap();
        assert_eq!((watch.busy.as_secs(), watch.idle.as_secs()), (5, 30));
        let away = WitnessRaw::default().check().unwrap();
        assert_eq!(
            (away.warn_us, away.unwitnessed_us, away.refuse_high_us),
            (900_000_000, 3_600_000_000, 14_400_000_000)
        );
    }

    #[test]
    fn times_that_cannot_be_meant_are_refused() {
        for text in ["busy_s = 0", "busy_s = 31", "idle_s = 601", "unproven_s = 0"] {
            let raw: WatchRaw = toml::from_str(text).unwrap();
            assert!(raw.check().is_err(), "{text}");
        }
        for text in [
            "warn_s = 0",
            "warn_s = 3601",
            "refuse_high_s = 60",
            "unwitnessed_s = 20000",
        ] {
            let raw: WitnessRaw = toml::from_str(text).unwrap();
            assert!(raw.check().is_err(), "{text}");
        }
        assert!(toml::from_str::<WatchRaw>("busy = 1").is_err());
    }
}
