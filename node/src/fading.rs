//! For how long the snapshot still holds while the registry is away. The log says it once at 48, 12 and 1 h left, and once more when nothing
//! is exchanged any more; status says it all the while.

use std::sync::Arc;
use std::time::Duration;

use crate::closets::Closets;
use crate::doors::Stopped;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
const HOUR_US: u64 = 3_600_000_000;

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    /// The registry is followed, or there is time.
    Enough,
    /// Two days or less.
    H48,
    /// Half a day or less.
    H12,
    /// An hour or less.
    H1,
    /// Nothing is exchanged.
    Expired,
}

impl Life {
    /// With so much left, microseconds. While the registry is followed only the end itself counts: what it sends is new.
    pub(crate) fn of(left_us: u64, registry_connected: bool) -> Life {
        match left_us {
            0 => Life::Expired,
            _ if registry_connected => Life::Enough,
            left if left <= HOUR_US => Life::H1,
            left if left <= 12 * HOUR_US => Life::H12,
            left if left <= 48 * HOUR_US => Life::H48,
            _ => Life::Enough,
        }
    }

    /// Name, as the operator reads it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Life::Enough => "OK",
            Life::H48 => "48H",
            Life::H12 => "12H",
            Life::H1 => "1H",
            Life::Expired => "EXPIRED",
        }
    }
}

/// How it stands with the snapshot that is held.
pub(crate) fn now(closets: &Closets) -> Life {
    Life::of(left_us(closets), closets.counters.registry_connected.value() == 1)
}

fn left_us(closets: &Closets) -> u64 {
    let expires_us = closets.directory.newest().map_or(0, |view| view.expires_us);
    expires_us.saturating_sub(closets.now_us())
}

/// What was said last, so that each step down is said once. It is said again only after the registry came back.
#[derive(Debug)]
struct Said(Life);

impl Said {
    /// Whether to say something.
    fn hears(&mut self, life: Life) -> bool {
        let news = match life {
            Life::Enough => self.0 != Life::Enough,
            life => life > self.0,
        };
        if news {
            self.0 = life;
        }
        news
    }
}

/// Looks each second, until `stopped`.
pub(crate) async fn watch(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut said = Said(Life::Enough);
    loop {
        let life = now(&closets);
        // A node that was just enrolled holds no snapshot for a moment; that is no alarm.
        if closets.directory.newest().is_some() && said.hears(life) {
            say(&closets, life);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

fn say(closets: &Closets, life: Life) {
    let registry = &closets.config.registry;
    let left_min = left_us(closets) / 60_000_000;
    match life {
        Life::Enough => tracing::info!(%registry, "the registry is followed again"),
        Life::Expired => tracing::error!(
            %registry,
            "the snapshot has expired and every exchange is refused (SNAPSHOT_EXPIRED). Bring the way to the registry back"
        ),
        life => tracing::error!(
            %registry, alarm = life.name(), left_min,
            "the registry is away, and once the snapshot expires every exchange is refused; see why it is not reached"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_48_12_and_1_hours_and_at_the_end() {
        let lives: Vec<_> = [73, 49, 48, 13, 12, 2, 1, 0]
            .map(|hours| Life::of(hours * HOUR_US, false).name())
            .into();
        assert_eq!(lives, ["OK", "OK", "48H", "48H", "12H", "12H", "1H", "EXPIRED"]);
        assert_eq!(Life::of(HOUR_US, true), Life::Enough, "the registry is there");
        assert_eq!(Life::of(0, true), Life::Expired, "what it sends is too old");
    }

    #[test]
    fn each_step_is_said_once() {
        let mut said = Said(Life::Enough);
        let heard = [
            Life::Enough,
            Life::H48,
            Life::H48,
            Life::H12,
            Life::H12,
            Life::H1,
            Life::Expired,
            Life::Expired,
            Life::Enough,
            Life::Enough,
            Life::H12,
        ]
        .map(|life| said.hears(life));
        let wanted = [false, true, false, true, false, true, true, false, true, false, true];
        assert_eq!(heard, wanted);
    }
}
