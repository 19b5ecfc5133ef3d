//! Tells the registry whether the backends of published services answer, and asks it for others. Beside the exchanges: none waits
//! for it, and none rests on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jisr_proto::catalogue::{Entry, Serving};
use jisr_proto::ident::{ServiceName, SubsystemId};
use jisr_proto::registry::{BackendHealth, LivenessRequest, Publication, ReportHealthRequest};
use tokio::time::Instant;

use crate::closets::Closets;
use crate::doors::Stopped;

/// Between two looks at the backends.
const LOOK: Duration = Duration::from_secs(5);
/// Between two reports where nothing changed.
const REPORT: Duration = Duration::from_secs(30);
/// How long the registry may take.
const WAIT: Duration = Duration::from_secs(5);
/// Publications of one question or report, as the registry takes them.
const AT_ONCE: usize = 1000;

type State = BTreeMap<(ServiceName, SubsystemId), bool>;

/// Looks at the backends and reports, every half minute and when something changed, until `stopped`.
pub(crate) async fn report(closets: Arc<Closets>, mut stopped: Stopped) {
    let mut last: Option<(Instant, State)> = None;
    loop {
        let state = look(&closets).await;
        let due = last
            .as_ref()
            .is_none_or(|(at, known)| at.elapsed() >= REPORT || *known != state);
        if due && (!state.is_empty() || last.is_some()) {
            match tell(&closets, &state).await {
                Ok(()) => last = Some((Instant::now(), state)),
                Err(error) => {
                    // Told again at the next look: to the registry nothing is known meanwhile.
                    last = None;
                    tracing::debug!(error, "the registry could not be told whether backends answer");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Whether each backend of a service that this member publishes, and this node runs, answers.
async fn look(closets: &Closets) -> State {
    let Some(view) = closets.directory.newest() else {
        return State::new();
    };
    let mut state = State::new();
    for (service, row) in view.services() {
        if closets.backends.serves(service, &row.provider) && row.provider.member() == closets.node.member() {
            let answers = closets.backends.answers(service).await;
            state.insert((service.clone(), row.provider.clone()), answers);
        }
    }
    state
}

async fn tell(closets: &Closets, state: &State) -> Result<(), String> {
    let backends: Vec<BackendHealth> = state
        .iter()
        .map(|((service, provider), serving)| BackendHealth {
            service: service.to_string(),
            provider: provider.to_string(),
            serving: *serving,
        })
        .collect();
    for some in backends.chunks(AT_ONCE) {
        let request = ReportHealthRequest {
            backends: some.to_vec(),
        };
        let told = async { closets.registry.client().report_health(request).await };
        let told = tokio::time::timeout(WAIT, told)
            .await
            .map_err(|_| "no answer in time".to_owned())?;
        told.map_err(|status| status.to_string())?;
    }
    Ok(())
}

/// Writes into entries what the registry knows of them. Where it cannot be asked they stay unknown.
pub(crate) async fn learn(closets: &Closets, entries: &mut [Entry]) {
    let publication = |entry: &Entry| {
        let row = entry.service.as_ref();
        Publication {
            service: row.map(|row| row.name.clone()).unwrap_or_default(),
            provider: row.map(|row| row.provider.clone()).unwrap_or_default(),
        }
    };
    for some in entries.chunks_mut(AT_ONCE) {
        let request = LivenessRequest {
            publications: some.iter().map(publication).collect(),
        };
        let asked = async { closets.registry.client().liveness(request).await };
        let Ok(Ok(told)) = tokio::time::timeout(WAIT, asked).await else {
            return;
        };
        for (entry, told) in some.iter_mut().zip(told.into_inner().services) {
            let named = publication(entry);
            if told.service == named.service && told.provider == named.provider {
                entry.serving = Serving::try_from(told.serving).unwrap_or(Serving::Unknown).into();
                entry.since_us = told.since_us;
            }
        }
    }
}
