//! Whether published services answer, as the nodes of their providers tell. It is told, kept in memory, and rests on nobody's
//! word but the provider's: no right depends on it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jisr_proto::catalogue::{Liveness, Serving};
use jisr_proto::ident::{NodeId, ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::registry::{LivenessRequest, LivenessResponse, ReportHealthRequest, ReportHealthResponse};

use crate::office::{Caller, Office};
use crate::refusal::Refusal;
use crate::state::State;

/// Three reports missed: then nothing is known.
const STALE_US: u64 = 90_000_000;
/// Backends of one report.
const BACKENDS_MAX: usize = 1024;
/// Services of one question.
const PUBLICATIONS_MAX: usize = 1000;

type Publication = (ServiceName, SubsystemId);

/// What nodes said of their backends.
#[derive(Debug, Default)]
pub(crate) struct Health {
    told: Mutex<BTreeMap<Publication, BTreeMap<NodeId, Told>>>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    serving: bool,
    since_us: u64,
    at_us: u64,
}

impl Told {
    fn is_fresh(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.at_us) <= STALE_US
    }
}

impl Health {
    /// Notes what a node says.
    fn note(&self, publication: Publication, node: NodeId, serving: bool, now_us: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = told.entry(publication).or_default();
        let before = nodes
            .get(&node)
            .filter(|told| told.serving == serving && told.is_fresh(now_us));
        let since_us = before.map_or(now_us, |told| told.since_us);
        nodes.insert(
            node,
            Told {
                serving,
                since_us,
                at_us: now_us,
            },
        );
    }

    /// Whether a publication answers, and since when.
    pub(crate) fn of(&self, publication: &Publication, state: &State, now_us: u64) -> (Serving, u64) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = |(node, told): (&NodeId, &Told)| state.nodes().contains_key(node).then_some(*told);
        let all: Vec<Told> = told.get(publication).into_iter().flatten().filter_map(listed).collect();
        let fresh = || all.iter().filter(|told| told.is_fresh(now_us));
        if let Some(since_us) = fresh().filter(|told| told.serving).map(|told| told.since_us).min() {
            (Serving::Yes, since_us)
        } else if let Some(since_us) = fresh().map(|told| told.since_us).max() {
            (Serving::No, since_us)
        } else {
            let last = all.iter().map(|told| told.at_us.saturating_add(STALE_US)).max();
            (Serving::Unknown, last.unwrap_or_default())
        }
    }

    /// Forgets what is published no more.
    fn forget(&self, state: &State) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() > state.services().len() {
            told.retain(|publication, _| state.services().contains_key(publication));
        }
    }
}

impl Office {
    /// Takes what a node says of its backends. What is not published is passed over: the node may know an older snapshot.
    ///
    /// # Errors
    /// SUBSYSTEM_NOT_YOURS, REQUEST_INVALID.
    pub(crate) fn report_health(
        &self,
        caller: &Caller,
        request: ReportHealthRequest,
    ) -> Result<ReportHealthResponse, Refusal> {
        at_most("backends", request.backends.len(), BACKENDS_MAX)?;
        let now_us = self.base.clock.now_us();
        let mut said = Vec::with_capacity(request.backends.len());
        for backend in request.backends {
            let publication: Publication = (backend.service.parse()?, backend.provider.parse()?);
            if publication.1.member() != caller.member {
                let rule = format!("{} is not a subsystem of {}", publication.1, caller.member);
                return Err(Refusal::new(Reason::SubsystemNotYours, rule));
            }
            said.push((publication, backend.serving));
        }
        self.desk.look(|state| {
            said.retain(|(publication, _)| state.services().contains_key(publication));
            self.health.forget(state);
        });
        for (publication, serving) in said {
            self.health.note(publication, caller.node.clone(), serving, now_us);
        }
        Ok(ReportHealthResponse {})
    }

    /// Tells whether services answer.
    ///
    /// # Errors
    /// REQUEST_INVALID.
    pub(crate) fn liveness(&self, request: LivenessRequest) -> Result<LivenessResponse, Refusal> {
        at_most("publications", request.publications.len(), PUBLICATIONS_MAX)?;
        let now_us = self.base.clock.now_us();
        let asked = request
            .publications
            .into_iter()
            .map(|row| Ok((row.service.parse()?, row.provider.parse()?)));
        let asked: Vec<Publication> = asked.collect::<Result<_, Refusal>>()?;
        let services = self.desk.look(|state| {
            let tell = |publication: &Publication| {
                let (serving, since_us) = self.health.of(publication, state, now_us);
                Liveness {
                    service: publication.0.to_string(),
                    provider: publication.1.to_string(),
                    serving: serving.into(),
                    since_us,
                }
            };
            asked.iter().map(tell).collect()
        });
        Ok(LivenessResponse { services })
    }
}

fn at_most(what: &str, count: usize, max: usize) -> Result<(), Refusal> {
    if count <= max {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "{count} {what} came, and {max} are taken at once"
    )))
}
