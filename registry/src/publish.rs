//! Publication of services: a schema with titles in Arabic and English, under a subsystem of the caller's member.

use bytes::Bytes;
use jisr_proto::annotations::ServiceSchema;
use jisr_proto::ident::{ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::registry::{PublishRequest, PublishResponse};
use jisr_proto::snapshot as wire;

use crate::office::{Caller, Office};
use crate::refusal::Refusal;
use crate::state::{Act, Hash};

impl Office {
    /// Publishes or withdraws a service.
    ///
    /// # Errors
    /// SUBSYSTEM_NOT_YOURS, SCHEMA_INVALID, TITLE_MISSING, BREAKING_CHANGE, UNKNOWN_SERVICE.
    pub(crate) async fn publish(&self, caller: Caller, request: PublishRequest) -> Result<PublishResponse, Refusal> {
        let service: ServiceName = request.service.parse()?;
        let provider: SubsystemId = request.provider.parse()?;
        if provider.member() != caller.member {
            let rule = format!("{provider} is not a subsystem of {}", caller.member);
            return Err(Refusal::new(Reason::SubsystemNotYours, rule));
        }
        if request.withdraw {
            return self.withdraw(caller, service, provider).await;
        }
        let schema = ServiceSchema::parse(&request.schema, service.as_str())?;
        schema.check_classified()?;
        let titles = schema.titles(&request.title_ar, &request.title_en)?;
        let act = |schema: Hash| wire::ServiceAct {
            service: Some(wire::Service {
                name: service.to_string(),
                provider: provider.to_string(),
                schema: Bytes::copy_from_slice(&schema),
                title_ar: titles.ar.to_string(),
                title_en: titles.en.to_string(),
                entry: 0,
            }),
            node: caller.node.to_string(),
            withdrawn: false,
        };
        // Checked before anything is stored, so that what is refused leaves no file.
        let planned = Act::Service(act(crate::schemas::digest_of(&request.schema)));
        let now_us = self.base.clock.now_us();
        self.desk.look(|state| state.check(&planned, now_us))?;
        let digest = self.base.schemas.put(request.schema).await?;
        self.enter_service(caller.clone(), act(digest)).await
    }

    async fn withdraw(
        &self,
        caller: Caller,
        service: ServiceName,
        provider: SubsystemId,
    ) -> Result<PublishResponse, Refusal> {
        let row = self
            .desk
            .look(|state| state.services().get(&(service.clone(), provider.clone())).cloned());
        let row =
            row.ok_or_else(|| Refusal::new(Reason::UnknownService, format!("{provider} does not publish {service}")))?;
        let act = wire::ServiceAct {
            service: Some(wire::Service {
                name: service.to_string(),
                provider: provider.to_string(),
                schema: Bytes::copy_from_slice(&row.schema),
                title_ar: row.title_ar,
                title_en: row.title_en,
                entry: 0,
            }),
            node: caller.node.to_string(),
            withdrawn: true,
        };
        self.enter_service(caller, act).await
    }

    async fn enter_service(&self, caller: Caller, act: wire::ServiceAct) -> Result<PublishResponse, Refusal> {
        let schema = act.service.as_ref().map(|row| row.schema.clone()).unwrap_or_default();
        let done = self
            .desk
            .submit(move |state, _| {
                caller.listed(state)?;
                Ok((Act::Service(act), ()))
            })
            .await?;
        Ok(PublishResponse {
            schema,
            snapshot_version: done.snapshot.version,
        })
    }
}
