//! The rules that the acts alone decide.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::ident::{MemberId, NodeId, Origin, ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::snapshot::{Service, ServiceAct};

use super::{
    Act, AgreementAct, EnrolAct, Hash, MemberAct, RevokeAgreementAct, RevokeNodeAct, SnapshotAct, State, TokenAct,
};
use crate::refusal::Refusal;
use crate::text;

/// Unused tokens that one node may have at once.
const OPEN_TOKENS_MAX: usize = 16;

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

/// A 32-byte value.
pub(super) fn hash(value: &Bytes, what: &str) -> Result<Hash, Refusal> {
    let wrong = |_| Refusal::invalid(format!("{what} has {} instead of 32 bytes", value.len()));
    value.as_ref().try_into().map_err(wrong)
}

impl State {
    /// Whether the act may be done at `at_us`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn check(&self, act: &Act, at_us: u64) -> Result<(), Refusal> {
        match act {
            Act::Admit(act) => self.check_admission(act),
            Act::Approve(act) => self.check_approval(act),
            Act::Token(act) => self.check_token(act, at_us),
            Act::Enrol(act) => self.check_enrolment(act, at_us),
            Act::Service(act) => self.check_service(act, at_us),
            Act::Agreement(act) => self.check_agreement(act),
            Act::RevokeAgreement(act) => self.check_agreement_revocation(act),
            Act::RevokeNode(act) => self.check_node_revocation(act),
            Act::Snapshot(act) => self.check_snapshot(act, at_us),
        }
    }

    /// The member, if it is approved.
    ///
    /// # Errors
    /// NOT_ADMITTED otherwise.
    pub(crate) fn approved(&self, member: &MemberId) -> Result<u64, Refusal> {
        match self.members.get(member) {
            None => Err(Refusal::new(
                Reason::NotAdmitted,
                format!("{member} is not a member; an administrator admits it first"),
            )),
            Some(row) => row.approved.ok_or_else(|| {
                Refusal::new(
                    Reason::NotAdmitted,
                    format!("{member} is admitted but not approved; a second administrator approves it"),
                )
            }),
        }
    }

    fn check_admission(&self, act: &MemberAct) -> Result<(), Refusal> {
        if act.member.instance() != self.instance {
            let rule = format!("{} does not belong to the instance {}", act.member, self.instance);
            return Err(Refusal::invalid(rule));
        }
        text::arabic(&act.name_ar).map_err(|e| Refusal::invalid(format!("Arabic name: {e}")))?;
        text::english(&act.name_en).map_err(|e| Refusal::invalid(format!("English name: {e}")))?;
        text::administrator(&act.administrator).map_err(Refusal::invalid)?;
        match self.members.get(&act.member) {
            Some(row) if row.approved.is_some() => Err(Refusal::new(
                Reason::AlreadyAdmitted,
                format!("{} is a member already", act.member),
            )),
            // Not approved yet: admitting again corrects the names, and whoever does it is then the one who admitted.
            _ => Ok(()),
        }
    }

    fn check_approval(&self, act: &MemberAct) -> Result<(), Refusal> {
        text::administrator(&act.administrator).map_err(Refusal::invalid)?;
        let Some(row) = self.members.get(&act.member) else {
            return Err(Refusal::new(
                Reason::NotAdmitted,
                format!("{} was not admitted", act.member),
            ));
        };
        if row.approved.is_some() {
            return Err(Refusal::new(
                Reason::AlreadyAdmitted,
                format!("{} is approved already", act.member),
            ));
        }
        if text::same_person(&row.admitted_by, &act.administrator) {
            let rule = format!(
                "{} admitted {}; somebody else has to approve it",
                row.admitted_by, act.member
            );
            return Err(Refusal::new(Reason::FourEyes, rule));
        }
        if (&row.name_ar, &row.name_en) != (&act.name_ar, &act.name_en) {
            return Err(Refusal::invalid(format!(
                "the approval of {} repeats other names",
                act.member
            )));
        }
        Ok(())
    }

    fn check_token(&self, act: &TokenAct, at_us: u64) -> Result<(), Refusal> {
        text::administrator(&act.administrator).map_err(Refusal::invalid)?;
        self.approved(&act.node.member())?;
        if act.expires_us <= at_us {
            return Err(Refusal::invalid("the token would be expired at once"));
        }
        if self.tokens.contains_key(&act.token) {
            return Err(Refusal::invalid("this token exists already"));
        }
        let open = |row: &&super::Token| row.node == act.node && !row.used && row.expires_us > at_us;
        if self.tokens.values().filter(open).count() >= OPEN_TOKENS_MAX {
            let rule = format!("{} has {OPEN_TOKENS_MAX} unused tokens; let them expire", act.node);
            return Err(Refusal::new(Reason::Overloaded, rule));
        }
        Ok(())
    }

    /// Whether a node may enrol with this token now.
    ///
    /// # Errors
    /// TOKEN_INVALID, the same for an unknown token and for that of another node; TOKEN_USED; TOKEN_EXPIRED.
    pub(crate) fn check_token_use(&self, token: &Hash, node: &NodeId, at_us: u64) -> Result<(), Refusal> {
        let row = self.tokens.get(token).filter(|row| row.node == *node);
        let row = row.ok_or_else(|| {
            Refusal::new(
                Reason::TokenInvalid,
                format!("the registry issued no such token for {node}"),
            )
        })?;
        if row.used {
            return Err(Refusal::new(
                Reason::TokenUsed,
                format!("the token for {node} was used already; ask for a new one"),
            ));
        }
        if at_us >= row.expires_us {
            let late_s = (at_us - row.expires_us) / 1_000_000;
            let rule =
                format!("the token for {node} expired {late_s} s ago by the registry's clock; ask for a new one");
            return Err(Refusal::new(Reason::TokenExpired, rule));
        }
        self.approved(&node.member()).map(|_| ())
    }

    fn check_enrolment(&self, act: &EnrolAct, at_us: u64) -> Result<(), Refusal> {
        let id: NodeId = act.row.id.parse()?;
        let origin: Origin = act.row.origin.parse()?;
        self.check_token_use(&act.token, &id, at_us)?;
        text::address(&act.row.address).map_err(Refusal::invalid)?;
        if origin.node().as_ref() != Some(&id) {
            return Err(Refusal::invalid(format!("{origin} is not an origin of {id}")));
        }
        if self.origins.contains_key(&origin) {
            return Err(Refusal::invalid(format!("{origin} was listed before")));
        }
        let keys = [(&act.row.seal_key, "seal"), (&act.row.witness_key, "witness")];
        for (key, what) in keys {
            hash(key, what)?;
            if let Some(other) = self.keys.get(key) {
                let rule = format!("the {what} key is or was that of {other}; one key has one use, make a new one");
                return Err(Refusal::new(Reason::CsrInvalid, rule));
            }
        }
        if act.row.seal_key == act.row.witness_key {
            return Err(Refusal::new(
                Reason::CsrInvalid,
                "seal key and witness key are the same; one key has one use",
            ));
        }
        if self
            .by_tls_certificate
            .contains_key(&digest::sha256(&[&act.row.tls_certificate]))
        {
            return Err(Refusal::new(
                Reason::CsrInvalid,
                "the TLS certificate is listed already",
            ));
        }
        Ok(())
    }

    fn check_service(&self, act: &ServiceAct, at_us: u64) -> Result<(), Refusal> {
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
        let names = |row: &super::AgreementRow| {
            let mut methods = row.agreement.methods.iter();
            methods.any(|m| m.service == name.as_str() && m.schema.as_ref() != schema.as_slice())
        };
        self.agreements
            .iter()
            .filter(|(_, row)| row.provider == *provider && row.agreement.valid_until_us > at_us && names(row))
            .map(|(digest, _)| text::hex(digest))
            .collect()
    }

    fn check_agreement(&self, act: &AgreementAct) -> Result<(), Refusal> {
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

    fn check_agreement_revocation(&self, act: &RevokeAgreementAct) -> Result<(), Refusal> {
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

    fn check_node_revocation(&self, act: &RevokeNodeAct) -> Result<(), Refusal> {
        text::administrator(&act.administrator).map_err(Refusal::invalid)?;
        if !self.nodes.contains_key(&act.node) {
            return Err(Refusal::new(Reason::UnknownNode, format!("{} is not listed", act.node)));
        }
        // RFC 5280 section 5.3.1; 7 is not used, 6 (hold) and 8 (removeFromCRL) would take a revocation back.
        if !matches!(act.reason, 0..=5 | 9 | 10) {
            let rule = format!(
                "{} is not a reason code of RFC 5280 for a final revocation: 0 to 5, 9, 10",
                act.reason
            );
            return Err(Refusal::invalid(rule));
        }
        Ok(())
    }

    fn check_snapshot(&self, act: &SnapshotAct, at_us: u64) -> Result<(), Refusal> {
        let last = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
        if act.version != last + 1 {
            return Err(Refusal::invalid(format!(
                "snapshot {} does not follow {last}",
                act.version
            )));
        }
        if act.expires_us <= at_us {
            return Err(Refusal::invalid("the snapshot would be expired at once"));
        }
        Ok(())
    }
}
