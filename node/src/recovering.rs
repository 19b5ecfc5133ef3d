//! After a start: nothing is sealed before somebody outside has confirmed that nothing newer is known of this ledger.
//!
//! The registry and the peers are asked at once. Whoever holds a newer or another history ends it in a quarantine; of the others
//! the one who knows most confirms. Then what the last run left open is settled, and the doors let exchanges in.

use std::sync::Arc;
use std::time::Duration;

use jisr_ledger::ledger::{ConfirmError, Opened};
use jisr_ledger::note;
use jisr_proto::status::Fault;
use tokio::task::JoinSet;

use crate::closets::Closets;
use crate::doors::Stopped;
use crate::standing::Fits;
use crate::{cosigning, node, settling, watching};

/// Once somebody has confirmed, how long others may still object.
const OBJECTIONS: Duration = Duration::from_millis(300);
/// First pause between two rounds of asking; doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long whoever is asked may take.
const ASK_WAIT: Duration = Duration::from_secs(6);
/// Between two lines in the log while the node is quarantined.
pub(crate) const REMIND_EVERY: Duration = Duration::from_secs(60);

/// Waits for a confirmation where the ledger needs one, then settles what the last run left open.
pub(crate) async fn recover(closets: Arc<Closets>, opened: Opened, mut stopped: Stopped) {
    if !closets.standing.is_running() {
        tokio::select! {
            () = confirmed(&closets) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        tokio::select! {
            () = take_part(&closets, &opened) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
    tokio::select! {
        () = settling::settle_asked(closets, opened.open) => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

/// Returns once the ledger is confirmed; in a quarantine never.
async fn confirmed(closets: &Arc<Closets>) {
    let mut pause = PAUSE_MIN;
    while !closets.ledger.is_confirmed() {
        if closets.standing.is_quarantined() {
            std::future::pending::<()>().await;
        }
        ask(closets).await;
        match closets.standing.best() {
            Some(fits) if !closets.standing.is_quarantined() => confirm(closets, fits).await,
            _ => {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = closets.standing.news() => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// One round: everybody at once. Ends when all have answered, or a while after the first has confirmed.
async fn ask(closets: &Arc<Closets>) {
    let mut asked = JoinSet::new();
    let registry = Arc::clone(closets);
    asked.spawn(async move {
        let told = tokio::time::timeout(ASK_WAIT, cosigning::greet_registry(&registry)).await;
        matches!(told, Ok(Ok(())))
    });
    let peers = watching::known_peers(closets);
    let count = peers.len();
    for peer in peers {
        let closets = Arc::clone(closets);
        asked.spawn(async move {
            let told = tokio::time::timeout(ASK_WAIT, watching::greet_known(&closets, &peer)).await;
            matches!(told, Ok(Ok(())))
        });
    }
    let mut answered = 0;
    let all = async {
        while let Some(told) = asked.join_next().await {
            answered += usize::from(told.unwrap_or(false));
            if closets.standing.best().is_some() || closets.standing.is_quarantined() {
                break;
            }
        }
    };
    all.await;
    if closets.standing.best().is_some() {
        let rest = async { while asked.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(OBJECTIONS, rest).await;
        return;
    }
    closets.standing.say(format!(
        "asked the registry at {} and {count} nodes whether they know anything newer of this ledger; {answered} answered, and none of them \
         holds a checkpoint of it. It is asked again",
        closets.config.registry
    ));
}

/// Opens the ledger by this confirmation. What cannot be written yet is tried again by the next round.
async fn confirm(closets: &Arc<Closets>, fits: Fits) {
    let theirs = note::open(&fits.note, &closets.watching.own_key).ok();
    let (ledger, by, known) = (closets.ledger.clone(), fits.by.clone(), theirs.clone());
    let confirmed = tokio::task::spawn_blocking(move || ledger.confirm(&by, known.as_deref()));
    let Ok(confirmed) = confirmed.await else {
        return;
    };
    match confirmed {
        Ok(()) => tracing::info!(by = fits.by, size = fits.size, "the ledger is confirmed"),
        Err(error @ (ConfirmError::Ahead { .. } | ConfirmError::Differs { .. })) => {
            if let Some(theirs) = theirs {
                closets
                    .watching
                    .quarantine(&fits.by, &theirs, &fits.note, error.to_string());
            }
        }
        Err(error) => {
            tracing::error!(%error, "the ledger is confirmed and could not be opened");
            closets.standing.say(error.to_string());
            tokio::time::sleep(PAUSE_MAX).await;
        }
    }
}

/// Settles what must be settled before exchanges are let in, and lets them in.
async fn take_part(closets: &Arc<Closets>, opened: &Opened) {
    while let Err(fault) = settle(closets, opened).await {
        tracing::error!(%fault, "what the last run left open could not be closed yet");
        closets
            .standing
            .say(format!("what the last run left open could not be closed yet: {fault}"));
        tokio::time::sleep(PAUSE_MAX).await;
    }
    // Connections on which this node introduced itself without a checkpoint: from now on it has one to show.
    closets.peers.connect_anew();
    closets.standing.run();
    tracing::info!(size = closets.ledger.size(), "this node takes part");
}

/// Closes what was received and not answered, and states the configuration.
pub(crate) async fn settle(closets: &Arc<Closets>, opened: &Opened) -> Result<(), Fault> {
    settling::close_received(closets, &opened.open).await?;
    node::configured(closets).await
}

/// Says in the log that the node is quarantined.
pub(crate) fn remind(closets: &Closets) {
    if closets.standing.is_quarantined() {
        let (_, text) = closets.standing.told();
        tracing::error!("QUARANTINED, nothing is exchanged: {text}");
    }
}
