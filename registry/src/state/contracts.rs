//! The rules for services and agreements.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::ident::{NodeId, ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::{Service, ServiceAct};

use super::rules::hash;
use super::{AgreementAct, AgreementRow, Hash, RevokeAgreementAct, State};
use crate::refusal::Refusal;
use crate::text;

/// The digest that names an agreement.
pub(crate) fn agreement_digest(document: &[u8]) -> Hash {
    digest::domain("jisr.agreement", &[document])
}

/// The identifiers of a service act.
pub(super) fn service(act: &ServiceAct) -> Result<(ServiceName, SubsystemId, &Service), Refusal> {
    let row = act
        .service
        .as_ref()
        .ok_or_else(|| Refusal::invalid("the act names no service"))?;
    Ok((row.name.parse()?, row.provider.parse()?, row))
}

impl State {
    pub(super) fn check_service(&self, act: &ServiceAct, at_us: u64) -> Result<(), Refusal> {
        let (name, provider, row) = service(act)?;
        let node: NodeId = act.node.parse()?;
        if !self.nodes.contains_key(&node) {
            return Err(Refusal::new(Reason::UnknownNode, format!("{node} is not listed")));
        }
        if provider.member() != node.member() {
            let rule = format!(
                "{provider} is not a subsystem of {}, whose node {node} asks",
                node.member()
            );
            return Err(Refusal::new(Reason::SubsystemNotYours, rule));
        }
        let key = (name, provider);
        if act.withdrawn {
            let missing = || Refusal::new(Reason::UnknownService, format!("{} does not publish {}", key.1, key.0));
            return self.services.get(&key).map(|_| ()).ok_or_else(missing);
        }
        let schema = hash(&row.schema, "the schema digest")?;
        text::arabic(&row.title_ar)
            .map_err(|e| Refusal::new(Reason::TitleMissing, format!("Arabic title of {}: {e}", key.0)))?;
        text::english(&row.title_en)
            .map_err(|e| Refusal::new(Reason::TitleMissing, format!("English title of {}: {e}", key.0)))?;
        let bound = self.bound_to_other_schema(&key.0, &key.1, &schema, at_us);
        if !bound.is_empty() {
            let rule = format!(
                "another schema of {} would break the agreements {}",
                key.0,
                bound.join(", ")
            );
            return Err(Refusal::new(Reason::BreakingChange, rule));
        }
        Ok(())
    }

    /// Agreements in force that name another schema of the service than this one, as hex digests.
    fn bound_to_other_schema(
        &self,
        name: &ServiceName,
        provider: &SubsystemId,
        schema: &Hash,
        at_us: u64,
    ) -> Vec<String> {
        let names = |row: &AgreementRow| {
            let mut methods = row.agreement.methods.iter();
            methods.any(|m| m.service == name.as_str() && m.schema.as_ref() != schema.as_slice())
        };
        self.agreements
            .iter()
            .filter(|(_, row)| row.provider == *provider && row.agreement.valid_until_us > at_us && names(row))
            .map(|(digest, _)| text::hex(digest))
            .collect()
    }

    pub(super) fn check_agreement(&self, act: &AgreementAct) -> Result<(), Refusal> {
        let consumer: SubsystemId = act.agreement.consumer.parse()?;
        let provider: SubsystemId = act.agreement.provider.parse()?;
        self.approved(&consumer.member())?;
        self.approved(&provider.member())?;
        self.check_unregistered(&agreement_digest(&act.document))?;
        if act.agreed.len() != 2 {
            return Err(Refusal::new(
                Reason::AgreementInvalid,
                "the AGREED of both parties are needed",
            ));
        }
        for method in &act.agreement.methods {
            self.published_schema(&method.service.parse()?, &provider, &method.schema)?;
        }
        Ok(())
    }

    /// The digest of the schema that an agreement names, if it is the published one.
    ///
    /// # Errors
    /// UNKNOWN_SERVICE where the provider does not publish the service, AGREEMENT_INVALID where with another schema.
    pub(crate) fn published_schema(
        &self,
        name: &ServiceName,
        provider: &SubsystemId,
        schema: &Bytes,
    ) -> Result<Hash, Refusal> {
        let row = self.services.get(&(name.clone(), provider.clone())).ok_or_else(|| {
            let rule = format!("{provider} does not publish {name}; it publishes before it agrees");
            Refusal::new(Reason::UnknownService, rule)
        })?;
        if schema.as_ref() != row.schema.as_slice() {
            let rule = format!("the agreement names another schema of {name} than is published");
            return Err(Refusal::new(Reason::AgreementInvalid, rule));
        }
        Ok(row.schema)
    }

    /// Whether an agreement is new.
    ///
    /// # Errors
    /// AGREEMENT_REVOKED or AGREEMENT_INVALID where it was registered before.
    pub(crate) fn check_unregistered(&self, digest: &Hash) -> Result<(), Refusal> {
        if self.gone.contains(digest) {
            let rule = "this agreement was revoked; conclude one with another nonce".to_owned();
            return Err(Refusal::new(Reason::AgreementRevoked, rule));
        }
        if self.agreements.contains_key(digest) {
            return Err(Refusal::new(
                Reason::AgreementInvalid,
                "this agreement is registered already",
            ));
        }
        Ok(())
    }

    pub(super) fn check_agreement_revocation(&self, act: &RevokeAgreementAct) -> Result<(), Refusal> {
        text::remark(&act.reason).map_err(|e| Refusal::invalid(format!("reason: {e}")))?;
        let row = self.agreements.get(&act.digest);
        let row =
            row.ok_or_else(|| Refusal::new(Reason::UnknownAgreement, "no agreement with this digest is registered"))?;
        if row.consumer.member() != act.member && row.provider.member() != act.member {
            return Err(Refusal::new(
                Reason::NotAParty,
                format!("{} is not a party of this agreement", act.member),
            ));
        }
        Ok(())
    }
}
