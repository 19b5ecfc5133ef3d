//! When which authority is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jisr_certs::stamp::{Stamped, Trust};
use jisr_ledger::ledger::{ReadError, Record, Renewable, StampedCheckpoint};
use jisr_ledger::note::SignedNote;
use jisr_ledger::stamp as stamps;
use tokio::time::Instant;

use super::{Way, ask};
use crate::closets::Closets;
use crate::doors::Stopped;

/// Between two looks at whether there is something to stamp.
const LOOK: Duration = Duration::from_secs(1);
/// Pause before an authority that did not answer is asked again; doubled up to the usual pause.
const AGAIN: Duration = Duration::from_secs(5);
/// Age at which a time-stamp is renewed, microseconds: a year.
const RENEW_US: u64 = 365 * DAY_US;
/// How long before the end of its certificates a time-stamp is renewed at the latest, microseconds.
const RENEW_BEFORE_US: u64 = 90 * DAY_US;
const DAY_US: u64 = 86_400_000_000;

/// One authority, and when it is asked next.
struct Authority {
    way: Way,
    /// Size of the newest checkpoint that it stamped.
    size: u64,
    next: Instant,
    pause: Duration,
    error: Option<String>,
}

/// Has the own checkpoints stamped until `stopped`: at once what is new since the last time-stamp, then at the usual pause while the
/// ledger grows.
pub(crate) async fn stamp(closets: Arc<Closets>, mut stopped: Stopped) {
    let config = &closets.config.stamping;
    let trust = config.trust(closets.directory.anchor());
    if config.ways.is_empty() {
        return;
    }
    let newest = known(&closets, &trust).await;
    let mut authorities: Vec<Authority> = config
        .ways
        .iter()
        .map(|way| Authority {
            way: way.clone(),
            size: newest,
            next: Instant::now(),
            pause: AGAIN,
            error: None,
        })
        .collect();
    loop {
        for authority in &mut authorities {
            if closets.standing.is_running() && Instant::now() >= authority.next {
                turn(&closets, authority, &trust).await;
            }
        }
        say(&closets, &authorities);
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// The newest time-stamp that stands in the ledger from before; its size.
async fn known(closets: &Arc<Closets>, trust: &Trust) -> u64 {
    let ledger = closets.ledger.clone();
    let newest = tokio::task::spawn_blocking(move || ledger.newest_stamp()).await;
    let newest: Option<StampedCheckpoint> = match newest {
        Ok(Ok(newest)) => newest,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the time-stamps in the ledger could not be read");
            None
        }
        Err(_) => None,
    };
    let Some(newest) = newest else { return 0 };
    let imprint = SignedNote::parse(&newest.note).map(|note| stamps::imprint(note.text));
    if let Ok(imprint) = imprint
        && let Ok(stamped) = jisr_certs::stamp::verify(&newest.token, &imprint, trust)
    {
        took(closets, newest.size, &stamped);
    }
    newest.size
}

/// Asks an authority where there is something for it.
async fn turn(closets: &Arc<Closets>, authority: &mut Authority, trust: &Trust) {
    let Some((size, note)) = closets.cosigning.covering(authority.size) else {
        return;
    };
    if size <= authority.size {
        return;
    }
    let every = closets.config.stamping.every;
    match once(closets, &authority.way, (size, note), trust).await {
        Ok(()) => {
            (authority.size, authority.pause, authority.error) = (size, AGAIN, None);
            authority.next = Instant::now() + every;
        }
        Err(text) => {
            if authority.error.is_none() {
                tracing::warn!(authority = %authority.way, text, "a checkpoint was not stamped; exchanges go on, and it is tried again");
            }
            authority.error = Some(text);
            authority.next = Instant::now() + authority.pause;
            authority.pause = (authority.pause * 2).min(every);
        }
    }
}

/// One time-stamp on this checkpoint, stored with the next commit; and a renewal where it is time.
async fn once(closets: &Arc<Closets>, way: &Way, (size, note): (u64, Bytes), trust: &Trust) -> Result<(), String> {
    let text = SignedNote::parse(&note).map(|note| stamps::imprint(note.text));
    let imprint = text.map_err(|error| error.to_string())?;
    let policy = &closets.config.stamping.policy;
    let channel = || closets.registry.channel();
    let (token, stamped) = ask(way, channel(), &imprint, policy, trust, closets.clock.now_us()).await?;
    closets
        .ledger
        .note_later(Record::Stamp { note, token })
        .map_err(|error| error.to_string())?;
    took(closets, size, &stamped);
    let Some(due) = due(closets, trust).await? else {
        return Ok(());
    };
    let (token, _) = ask(way, channel(), &due.imprint, policy, trust, closets.clock.now_us()).await?;
    let renewal = Record::StampRenewal { size: due.size, token };
    closets.ledger.note_later(renewal).map_err(|error| error.to_string())?;
    tracing::info!(count = due.size, authority = %way, "the ledger's time-stamps were renewed");
    Ok(())
}

/// What is to be renewed now: a year after the oldest that is not, or before its certificates end.
async fn due(closets: &Arc<Closets>, trust: &Trust) -> Result<Option<Renewable>, String> {
    let ledger = closets.ledger.clone();
    let found = tokio::task::spawn_blocking(move || ledger.renewable()).await;
    let found = found
        .map_err(|error| error.to_string())?
        .map_err(|error: ReadError| error.to_string())?;
    let now_us = closets.clock.now_us();
    Ok(found.filter(|found| {
        let imprint = SignedNote::parse(&found.oldest.0).map(|note| stamps::imprint(note.text));
        let says = imprint
            .ok()
            .and_then(|imprint| jisr_certs::stamp::verify(&found.oldest.1, &imprint, trust).ok());
        says.is_some_and(|says| {
            now_us.saturating_sub(says.time_us) >= RENEW_US
                || says.not_after_us.saturating_sub(now_us) < RENEW_BEFORE_US
        })
    }))
}

fn took(closets: &Closets, size: u64, stamped: &Stamped) {
    let mut newest = closets.stamping.lock();
    if size >= newest.size {
        (newest.size, newest.time_us) = (size, stamped.time_us);
        newest.authority.clone_from(&stamped.authority);
    }
}

fn say(closets: &Closets, authorities: &[Authority]) {
    let failing = authorities
        .iter()
        .filter_map(|authority| Some(format!("{}: {}", authority.way, authority.error.as_ref()?)));
    closets.stamping.lock().error = failing.collect::<Vec<_>>().join("; ");
}
