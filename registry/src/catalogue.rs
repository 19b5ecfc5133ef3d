//! The catalogue: what is published, for people at the registry, and the schemas that a node may see.

use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::browse;
use jisr_proto::catalogue as wire;
use jisr_proto::catalogue::catalogue_server::Catalogue;
use jisr_proto::ident::{ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::registry::SchemaResponse;
use tonic::{Request, Response, Status};

use crate::office::{Caller, Office, hash};
use crate::refusal::Refusal;
use crate::service::answer;
use crate::state::{Service, State};

/// `jisr.catalogue.v1.Catalogue`.
pub(crate) struct CatalogueService {
    pub(crate) office: Arc<Office>,
}

#[tonic::async_trait]
impl Catalogue for CatalogueService {
    async fn search(&self, request: Request<wire::SearchRequest>) -> Result<Response<wire::SearchResponse>, Status> {
        let (office, request) = (Arc::clone(&self.office), request.into_inner());
        let searching = Arc::clone(&office);
        answer(office.blocking(move || searching.search(&request)).await)
    }

    async fn show(&self, request: Request<wire::ShowRequest>) -> Result<Response<wire::ShowResponse>, Status> {
        answer(self.office.show(request.into_inner()).await)
    }
}

impl Office {
    fn search(&self, request: &wire::SearchRequest) -> wire::SearchResponse {
        // Taken out first: comparing texts takes longer than a writer should wait.
        let entries: Vec<wire::Entry> = self.desk.look(|state| {
            let services = state.services().iter();
            services
                .map(|((name, provider), row)| self.entry(state, name, provider, row))
                .collect()
        });
        browse::select(entries.into_iter(), request)
    }

    async fn show(&self, request: wire::ShowRequest) -> Result<wire::ShowResponse, Refusal> {
        let name: ServiceName = request.service.parse()?;
        let (entry, digest) = self.desk.look(|state| {
            let all = state.services().iter().filter(|((known, _), _)| *known == name);
            let mut named = all
                .filter(|((_, provider), _)| request.provider.is_empty() || provider.to_string() == request.provider);
            match (named.next(), named.next()) {
                (Some(((name, provider), row)), None) => Ok((self.entry(state, name, provider, row), row.schema)),
                (None, _) => Err(Refusal::new(
                    Reason::UnknownService,
                    format!("nobody there publishes {name}"),
                )),
                (Some(_), Some(_)) => {
                    let rule = format!("several publish {name}; name the provider");
                    Err(Refusal::new(Reason::ProviderAmbiguous, rule))
                }
            }
        })?;
        let schema = self.base.schemas.find(digest).await?;
        Ok(self.blocking(move || browse::show(entry, schema)).await??)
    }

    fn entry(&self, state: &State, name: &ServiceName, provider: &SubsystemId, row: &Service) -> wire::Entry {
        let now_us = self.base.clock.now_us();
        let (serving, since_us) = self.health.of(&(name.clone(), provider.clone()), state, now_us);
        let member = state.members().get(&provider.member());
        wire::Entry {
            service: Some(crate::snapshot::service(name, provider, row)),
            serving: serving.into(),
            since_us,
            member_ar: member.map(|member| member.row.name_ar.clone()).unwrap_or_default(),
            member_en: member.map(|member| member.row.name_en.clone()).unwrap_or_default(),
        }
    }

    /// A schema, where the caller's member may see it: of others it learns nothing, not even that they exist.
    ///
    /// # Errors
    /// UNKNOWN_SCHEMA.
    pub(crate) async fn schema(&self, caller: &Caller, digest: &Bytes) -> Result<SchemaResponse, Refusal> {
        let digest = hash(digest, "the digest")?;
        if !self.desk.look(|state| state.shows_schema(&caller.member, &digest)) {
            let rule = format!("there is no schema {}", crate::text::hex(&digest));
            return Err(Refusal::new(Reason::UnknownSchema, rule));
        }
        let schema = self.base.schemas.find(digest).await?;
        Ok(SchemaResponse { schema })
    }
}
