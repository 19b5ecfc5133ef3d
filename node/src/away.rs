//! The closet that tells for how long no quorum of witnesses has cosigned what stands in the own ledger.
//!
//! Exchanges go on meanwhile. After a while it is a warning, then evidence counts as unwitnessed, then methods of the highest
//! evidence class are refused. The time runs from the first entry that is not covered, as it stands in the ledger, so that it
//! survives a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use jisr_proto::reason::Reason;
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::config;
use crate::doors::Stopped;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// What is younger than that is on its way.
const ON_ITS_WAY_US: u64 = 10_000_000;

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum State {
    /// A quorum cosigns what is appended.
    Reached,
    /// For long enough that somebody should look.
    Warn,
    /// Evidence of this time counts as unwitnessed.
    Unwitnessed,
    /// Methods of the highest evidence class are refused.
    RefusingHigh,
}

impl State {
    /// Name, as the operator reads it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            State::Reached => "OK",
            State::Warn => "WARN",
            State::Unwitnessed => "UNWITNESSED",
            State::RefusingHigh => "REFUSING_HIGH",
        }
    }

    /// After so long, microseconds.
    fn after(age_us: u64, limits: &config::Away) -> State {
        match age_us {
            age if age >= limits.refuse_high_us => State::RefusingHigh,
            age if age >= limits.unwitnessed_us => State::Unwitnessed,
            age if age >= limits.warn_us => State::Warn,
            _ => State::Reached,
        }
    }
}

/// For how long witnesses have been away.
#[derive(Debug, Default)]
pub(crate) struct Away {
    state: AtomicU8,
    since_us: AtomicU64,
}

impl Away {
    /// How far it has come.
    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Reached,
            1 => State::Warn,
            2 => State::Unwitnessed,
            _ => State::RefusingHigh,
        }
    }

    /// Since when, microseconds; 0: a quorum is reached.
    pub(crate) fn since_us(&self) -> u64 {
        self.since_us.load(Ordering::Acquire)
    }

    /// Whether a method of this class may be called.
    pub(crate) fn admits(&self, high: bool) -> Result<(), Fault> {
        if high && self.state() == State::RefusingHigh {
            let detail = format!(
                "the first entry that no quorum has cosigned was made at {} µs",
                self.since_us()
            );
            return Err(Fault::new(Reason::WitnessAway, detail));
        }
        Ok(())
    }

    fn set(&self, since_us: u64, state: State) {
        self.since_us.store(since_us, Ordering::Release);
        let before = self.state.swap(state as u8, Ordering::AcqRel);
        if before != state as u8 {
            let state = state.name();
            if before < self.state.load(Ordering::Acquire) {
                tracing::error!(
                    state,
                    since_us,
                    "no quorum of witnesses has cosigned this ledger for long; check the way to the registry and to peers"
                );
            } else {
                tracing::info!(state, "witnesses");
            }
        }
    }
}

/// Looks each second, until `stopped`.
pub(crate) async fn look(closets: Arc<Closets>, mut stopped: Stopped) {
    // The first entry that is not covered, and when it was made.
    let mut first: Option<(u64, u64)> = None;
    loop {
        let covered = closets.cosigning.size();
        if covered >= closets.ledger.size() {
            first = None;
        } else if first.is_none_or(|(index, _)| index != covered) {
            first = created(&closets, covered).await.map(|created_us| (covered, created_us));
        }
        let age_us = first.map_or(0, |(_, created_us)| closets.now_us().saturating_sub(created_us));
        let since_us = first.map_or(0, |(_, created_us)| created_us);
        let since_us = if age_us > ON_ITS_WAY_US { since_us } else { 0 };
        closets.away.set(since_us, State::after(age_us, &closets.config.away));
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// When an entry was made, microseconds.
async fn created(closets: &Closets, index: u64) -> Option<u64> {
    let ledger = closets.ledger.clone();
    let entry = tokio::task::spawn_blocking(move || ledger.entry(index)).await;
    match entry.ok()? {
        Ok(entry) => entry.map(|entry| entry.statement.core().created_us),
        Err(error) => {
            tracing::warn!(%error, index, "an entry could not be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: config::Away = config::Away {
        warn_us: 15,
        unwitnessed_us: 60,
        refuse_high_us: 240,
    };

    #[test]
    fn it_grows_worse_with_time() {
        let names: Vec<_> = [0, 14, 15, 59, 60, 239, 240]
            .map(|age| State::after(age, &LIMITS).name())
            .into();
        assert_eq!(
            names,
            [
                "OK",
                "OK",
                "WARN",
                "WARN",
                "UNWITNESSED",
                "UNWITNESSED",
                "REFUSING_HIGH"
            ]
        );
    }

    #[test]
    fn only_the_highest_class_is_ever_refused() {
        let away = Away::default();
        away.set(7, State::Unwitnessed);
        assert!(away.admits(true).is_ok());
        away.set(7, State::RefusingHigh);
        assert!(away.admits(false).is_ok());
        assert_eq!(away.admits(true).unwrap_err().reason, Reason::WitnessAway);
        away.set(0, State::Reached);
        assert!(away.admits(true).is_ok());
    }
}
