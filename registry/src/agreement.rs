//! Agreements: what a document must say to be registered.

use std::collections::BTreeSet;

use bytes::Bytes;
use jisr_proto::annotations::ServiceSchema;
use jisr_proto::canonical;
use jisr_proto::ident::{Instance, MemberId, MethodName, ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{AgreedMethod, Agreement};

use crate::refusal::Refusal;
use crate::schemas::Schemas;
use crate::state::{Hash, State, agreement_digest};
use crate::text;

/// Methods in one agreement.
const METHODS_MAX: usize = 256;
/// Purposes in one agreement.
const PURPOSES_MAX: usize = 64;
/// Longest document, bytes.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// One of the two parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Who asks.
    Consumer,
    /// Who answers.
    Provider,
}

/// A document whose form is right. Whether it fits the catalogue is a question of the moment ([`Terms::check`]).
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// `D(jisr.agreement, document)`.
    pub(crate) digest: Hash,
    /// Canonical bytes.
    pub(crate) document: Bytes,
    /// What they say.
    pub(crate) agreement: Agreement,
    /// Who asks.
    pub(crate) consumer: SubsystemId,
    /// Who answers.
    pub(crate) provider: SubsystemId,
}

impl Terms {
    /// Reads a document.
    ///
    /// # Errors
    /// AGREEMENT_INVALID or MASK_UNSUPPORTED, naming the rule.
    pub(crate) fn read(document: Bytes, instance: &Instance) -> Result<Terms, Refusal> {
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(invalid(format!(
                "the document is longer than {DOCUMENT_BYTES_MAX} bytes"
            )));
        }
        let agreement: Agreement = canonical::decode(&document).map_err(|e| invalid(e.to_string()))?;
        let consumer: SubsystemId = agreement
            .consumer
            .parse()
            .map_err(|e| invalid(format!("consumer: {e}")))?;
        let provider: SubsystemId = agreement
            .provider
            .parse()
            .map_err(|e| invalid(format!("provider: {e}")))?;
        let terms = Terms {
            digest: agreement_digest(&document),
            document,
            agreement,
            consumer,
            provider,
        };
        terms.check_head(instance)?;
        terms.check_methods()?;
        terms.check_purposes()?;
        Ok(terms)
    }

    fn check_head(&self, instance: &Instance) -> Result<(), Refusal> {
        let agreement = &self.agreement;
        if agreement.format != 1 {
            return Err(invalid(format!(
                "format {} is not known; this registry knows 1",
                agreement.format
            )));
        }
        if agreement.instance != instance.as_str() || self.consumer.instance() != *instance {
            return Err(invalid(format!(
                "it is for the instance {}, not {instance}",
                agreement.instance
            )));
        }
        if self.consumer.member() == self.provider.member() {
            return Err(invalid(
                "consumer and provider belong to one member; an agreement is between two",
            ));
        }
        if agreement.nonce.len() != 16 {
            return Err(invalid(format!(
                "the nonce has {} instead of 16 bytes",
                agreement.nonce.len()
            )));
        }
        if agreement.valid_from_us >= agreement.valid_until_us {
            return Err(invalid("its validity ends before it begins"));
        }
        // An agreement is the right: what the nodes do not enforce must not stand in it.
        if agreement.rate_per_minute != 0 || agreement.subjects_per_case != 0 {
            return Err(invalid(
                "it limits calls a minute or persons a case, which this version does not enforce; leave both 0",
            ));
        }
        Ok(())
    }

    fn check_methods(&self) -> Result<(), Refusal> {
        let methods = &self.agreement.methods;
        if methods.is_empty() || methods.len() > METHODS_MAX {
            return Err(invalid(format!(
                "it has {} methods, 1 to {METHODS_MAX} are possible",
                methods.len()
            )));
        }
        let mut seen = BTreeSet::new();
        for method in methods {
            let name = format!("{}/{}", method.service, method.method);
            method
                .service
                .parse::<ServiceName>()
                .map_err(|e| invalid(e.to_string()))?;
            method
                .method
                .parse::<MethodName>()
                .map_err(|e| invalid(e.to_string()))?;
            if method.mask != "*" {
                let rule = format!("{name} has the mask `{}`", method.mask.escape_debug());
                return Err(Refusal::new(Reason::MaskUnsupported, rule));
            }
            if !seen.insert(name.clone()) {
                return Err(invalid(format!("{name} stands in it twice")));
            }
        }
        Ok(())
    }

    fn check_purposes(&self) -> Result<(), Refusal> {
        let purposes = &self.agreement.purposes;
        if purposes.is_empty() || purposes.len() > PURPOSES_MAX {
            return Err(invalid(format!(
                "it has {} purposes, 1 to {PURPOSES_MAX} are possible",
                purposes.len()
            )));
        }
        let mut seen = BTreeSet::new();
        for purpose in purposes {
            text::remark(&purpose.code).map_err(|e| invalid(format!("purpose code: {e}")))?;
            text::paragraph(&purpose.legal_basis)
                .map_err(|e| invalid(format!("legal basis of the purpose `{}`: {e}", purpose.code)))?;
            if !seen.insert(&purpose.code) {
                return Err(invalid(format!("the purpose `{}` stands in it twice", purpose.code)));
            }
        }
        Ok(())
    }

    /// Whether it fits the catalogue now: parties exist, each method is published with this schema and has the properties
    /// that the schema gives it, and the validity has not ended.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) async fn check(&self, methods: Published, schemas: &Schemas, now_us: u64) -> Result<(), Refusal> {
        if self.agreement.valid_until_us <= now_us {
            return Err(Refusal::new(
                Reason::AgreementExpired,
                "its validity has ended by the registry's clock",
            ));
        }
        for (service, digest) in methods.0 {
            let schema = schemas.find(digest).await?;
            let schema = ServiceSchema::parse(&schema, service.as_str())?;
            for method in self
                .agreement
                .methods
                .iter()
                .filter(|method| method.service == service.as_str())
            {
                check_method(method, &schema)?;
            }
        }
        Ok(())
    }

    /// What of the catalogue the document names.
    ///
    /// # Errors
    /// NOT_ADMITTED, UNKNOWN_SERVICE or AGREEMENT_INVALID where it names something else than is published.
    pub(crate) fn published(&self, state: &State) -> Result<Published, Refusal> {
        state.admitted(&self.consumer.member())?;
        state.admitted(&self.provider.member())?;
        let mut found = BTreeSet::new();
        for method in &self.agreement.methods {
            let service: ServiceName = method.service.parse()?;
            let digest = state.published_schema(&service, &self.provider, &method.schema)?;
            found.insert((service, digest));
        }
        Ok(Published(found))
    }

    /// Which party a member is.
    pub(crate) fn side(&self, member: &MemberId) -> Option<Side> {
        if self.consumer.member() == *member {
            Some(Side::Consumer)
        } else if self.provider.member() == *member {
            Some(Side::Provider)
        } else {
            None
        }
    }

    /// The member on a side.
    pub(crate) fn member(&self, side: Side) -> MemberId {
        match side {
            Side::Consumer => self.consumer.member(),
            Side::Provider => self.provider.member(),
        }
    }
}

/// Services that a document names, as they are published, with the digests of their schemas.
#[derive(Debug)]
pub(crate) struct Published(BTreeSet<(ServiceName, Hash)>);

fn check_method(method: &AgreedMethod, schema: &ServiceSchema) -> Result<(), Refusal> {
    let name = format!("{}/{}", method.service, method.method);
    let found = schema
        .method(&method.method)
        .ok_or_else(|| Refusal::new(Reason::UnknownMethod, format!("the schema has no method {name}")))?;
    if method.no_side_effects != found.no_side_effects {
        return Err(invalid(format!(
            "{name}: no_side_effects is {} in the schema",
            found.no_side_effects
        )));
    }
    if method.evidence_class != found.evidence_class as u32 {
        return Err(invalid(format!(
            "{name}: the evidence class in the schema is {}",
            found.evidence_class as u32
        )));
    }
    Ok(())
}

pub(crate) fn invalid(rule: impl Into<String>) -> Refusal {
    Refusal::new(Reason::AgreementInvalid, rule)
}
