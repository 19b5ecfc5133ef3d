//! The rules for services and agreements.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::ident::{MemberId, NodeId, ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::{self as wire, ServiceAct};

use super::rules::hash;
use super::{AgreementAct, AgreementRow, Hash, RevokeAgreementAct, Service, State};
use crate::listing;
use crate::refusal::Refusal;
use crate::text;

/// The digest that names an agreement.
pub(crate) fn agreement_digest(document: &[u8]) -> Hash {
    digest::domain("jisr.agreement", &[document])
}

/// The identifiers of a service act.
pub(super) fn service(act: &ServiceAct) -> Result<(ServiceName, SubsystemId, &wire::Service), Refusal> {
    let row = act
        .service
        .as_ref()
        .ok_or_else(|| Refusal::invalid("the act names no service"))?;
    Ok((row.name.parse()?, row.provider.parse()?, row))
}

/// Most agreements that a refusal names; a check names all.
const NAMED_MAX: usize = 20;

/// Nothing that is agreed may be broken.
///
/// # Errors
/// BREAKING_CHANGE with the agreements.
fn unbroken(what: &str, broken: Vec<String>) -> Result<(), Refusal> {
    if broken.is_empty() {
        return Ok(());
    }
    let more = broken.len().saturating_sub(NAMED_MAX);
    let named: Vec<String> = broken.into_iter().take(NAMED_MAX).collect();
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    let rule = format!(
        "{what} would break the agreements {}{more}; revoke them first, or conclude new ones and publish under another name",
        named.join(", ")
    );
    Err(Refusal::new(Reason::BreakingChange, rule))
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
        self.check_subsystem(&provider)?;
        let key = (name, provider);
        if act.withdrawn {
            let missing = || Refusal::new(Reason::UnknownService, format!("{} does not publish {}", key.1, key.0));
            self.services.get(&key).ok_or_else(missing)?;
            let resting = self.resting(&key.0, &key.1, at_us).map(|(digest, _)| text::hex(digest));
            return unbroken(&format!("withdrawing {}", key.0), resting.collect());
        }
        hash(&row.schema, "the schema digest")?;
        text::arabic(&row.title_ar)
            .map_err(|e| Refusal::new(Reason::TitleMissing, format!("Arabic title of {}: {e}", key.0)))?;
        text::english(&row.title_en)
            .map_err(|e| Refusal::new(Reason::TitleMissing, format!("English title of {}: {e}", key.0)))?;
        listing::check(row, self.services.get(&key))?;
        for earlier in &row.continues {
            hash(earlier, "the digest of an earlier schema")?;
        }
        if !row.continues.is_sorted_by(|one, next| one < next) {
            return Err(Refusal::invalid("the earlier schemas do not stand in order, each once"));
        }
        let bound = self.resting(&key.0, &key.1, at_us).filter(|(_, agreement)| {
            let mut methods = agreement.agreement.methods.iter();
            methods.any(|method| method.service == row.name && !row.holds(&method.schema))
        });
        unbroken(
            &format!("this schema of {}", key.0),
            bound.map(|(digest, _)| text::hex(digest)).collect(),
        )
    }

    /// Agreements in force, or to come, that rest on this publication.
    pub(crate) fn resting<'s>(
        &'s self,
        name: &'s ServiceName,
        provider: &'s SubsystemId,
        at_us: u64,
    ) -> impl Iterator<Item = (&'s Hash, &'s AgreementRow)> {
        let rests = |row: &AgreementRow| {
            let mut methods = row.agreement.methods.iter();
            methods.any(|method| method.service == name.as_str())
        };
        let agreements = self.agreements.iter();
        agreements
            .filter(move |(_, row)| row.provider == *provider && row.agreement.valid_until_us > at_us && rests(row))
    }

    /// Whether a schema may be seen by a member: it is published, a publication continues it, or an agreement of the member names it.
    pub(crate) fn shows_schema(&self, member: &MemberId, schema: &Hash) -> bool {
        let published =
            |row: &Service| row.schema == *schema || row.continues.iter().any(|earlier| earlier == schema.as_slice());
        let agreed = |row: &AgreementRow| {
            (row.consumer.member() == *member || row.provider.member() == *member)
                && row
                    .agreement
                    .methods
                    .iter()
                    .any(|method| method.schema == schema.as_slice())
        };
        self.services.values().any(published) || self.agreements.values().any(agreed)
    }

    pub(super) fn check_agreement(&self, act: &AgreementAct) -> Result<(), Refusal> {
        let consumer: SubsystemId = act.agreement.consumer.parse()?;
        let provider: SubsystemId = act.agreement.provider.parse()?;
        self.check_subsystem(&consumer)?;
        self.check_subsystem(&provider)?;
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
        if self.gone.contains_key(digest) {
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
