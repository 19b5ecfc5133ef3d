//! The rules that the acts alone decide: membership, tokens, nodes, snapshots. Those of contracts stand in `contracts`.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::ident::{MemberId, NodeId, Origin, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::statement::Finding;

use super::administration::unapproved;
use super::{Act, ChangeAct, EnrolAct, Ground, Hash, Member, Node, RevokeNodeAct, SnapshotAct, State, TokenAct};
use crate::administration::{Order, Roles};
use crate::office::SKEW_US;
use crate::refusal::Refusal;
use crate::text;

/// RFC 5280 section 5.3.1: superseded.
pub(crate) const SUPERSEDED: u32 = 4;
/// Unused tokens that one node may have at once.
const OPEN_TOKENS_MAX: usize = 16;

/// Longest lifetime of a token, microseconds: 30 days.
const TOKEN_LIFETIME_US_MAX: u64 = 30 * 86_400_000_000;

/// What a token that is known and has not expired is good for.
#[derive(Debug)]
pub(crate) enum TokenUse<'a> {
    /// Nobody enrolled with it yet.
    First,
    /// This node did; who shows the same keys may have lost the answer.
    Again(&'a Node),
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
        if let Some(owed) = self.owed.front() {
            // It was judged when it was approved.
            let other = || {
                Refusal::new(
                    Reason::Internal,
                    "an approved act has effects that do not stand here first",
                )
            };
            return (owed == act).then_some(()).ok_or_else(other);
        }
        match act {
            Act::Propose(signed) => self.check_proposal(signed, at_us),
            Act::Approve(act) => self.check_approval(act, at_us),
            Act::Reject(signed) => self.check_rejection(signed, at_us),
            Act::Administrators(act) => self.check_founding(act, at_us),
            Act::Admit(_) | Act::Remove(_) => Err(unapproved("a member")),
            Act::WitnessPolicy(_) => Err(unapproved("witnesses")),
            Act::Change(act) => self.check_change(act, at_us),
            Act::Token(act) => self.check_token(act, at_us),
            Act::Enrol(act) => self.check_enrolment(act, at_us),
            Act::Service(act) => self.check_service(act, at_us),
            Act::Agreement(act) => self.check_agreement(act),
            Act::RevokeAgreement(act) => self.check_agreement_revocation(act),
            Act::RevokeNode(act) => self.check_node_revocation(act, at_us),
            Act::Renew(act) => self.check_renewal(act, at_us),
            Act::Snapshot(act) => self.check_snapshot(act, at_us),
            Act::Finding(act) => self.check_finding(act),
        }
    }

    /// The member, if it is one.
    ///
    /// # Errors
    /// NOT_ADMITTED otherwise.
    pub(crate) fn admitted(&self, member: &MemberId) -> Result<&Member, Refusal> {
        self.members.get(member).ok_or_else(|| {
            let rule = format!(
                "{member} is no member; one administrator runs `jisr registry admit`, another `jisr registry approve`"
            );
            Refusal::new(Reason::NotAdmitted, rule)
        })
    }

    /// Whether a member publishes and agrees under this subsystem: any, where it lists none.
    ///
    /// # Errors
    /// NOT_ADMITTED, SUBSYSTEM_NOT_YOURS.
    pub(super) fn check_subsystem(&self, subsystem: &SubsystemId) -> Result<(), Refusal> {
        let listed = &self.admitted(&subsystem.member())?.row.subsystems;
        if listed.is_empty() || listed.iter().any(|it| it.code == subsystem.code().as_str()) {
            return Ok(());
        }
        let rule = format!("{subsystem} is none of the subsystems that its member lists; an administrator adds it");
        Err(Refusal::new(Reason::SubsystemNotYours, rule))
    }

    fn check_change(&self, act: &ChangeAct, at_us: u64) -> Result<(), Refusal> {
        self.signer(&act.signed, Roles::ADMIT, at_us)?;
        if act.signed.order != Order::Change(act.row.clone()) {
            return Err(unapproved("a member"));
        }
        let member: MemberId = act.row.id.parse()?;
        self.admitted(&member)?;
        let listed = &act.row.subsystems;
        let parties = self.agreements.values().flat_map(|row| [&row.consumer, &row.provider]);
        let mut used = self.services.keys().map(|(_, provider)| provider).chain(parties);
        let unlisted = |it: &&SubsystemId| {
            it.member() == member && !listed.is_empty() && listed.iter().all(|row| row.code != it.code().as_str())
        };
        match used.find(unlisted) {
            Some(used) => Err(Refusal::invalid(format!(
                "services or agreements of {used} stand; it cannot be left out"
            ))),
            None => Ok(()),
        }
    }

    fn check_token(&self, act: &TokenAct, at_us: u64) -> Result<(), Refusal> {
        self.signer(&act.signed, Roles::CERTIFY, at_us)?;
        let ordered = Order::Token {
            node: act.node.clone(),
            token: act.token,
            expires_us: act.expires_us,
        };
        if act.signed.order != ordered {
            return Err(unapproved("a token"));
        }
        self.admitted(&act.node.member())?;
        if act.expires_us <= at_us {
            return Err(Refusal::invalid("the token would be expired at once"));
        }
        // The signer's clock may be ahead of the registry's.
        if act.expires_us - at_us > TOKEN_LIFETIME_US_MAX + SKEW_US {
            let days = TOKEN_LIFETIME_US_MAX / 86_400_000_000;
            return Err(Refusal::invalid(format!("a token lives at most {days} days")));
        }
        if self.tokens.contains_key(&act.token) {
            return Err(Refusal::invalid("this token exists already"));
        }
        let open = |row: &&super::Token| row.node == act.node && row.used.is_none() && row.expires_us > at_us;
        if self.tokens.values().filter(open).count() >= OPEN_TOKENS_MAX {
            let rule = format!("{} has {OPEN_TOKENS_MAX} unused tokens; let them expire", act.node);
            return Err(Refusal::new(Reason::Overloaded, rule));
        }
        Ok(())
    }

    /// What a node may do with this token now: enrol, or hear once more what it was answered.
    ///
    /// # Errors
    /// TOKEN_INVALID, the same for an unknown token and for that of another node; TOKEN_EXPIRED; TOKEN_USED where what came of it
    /// is listed no more.
    pub(crate) fn token_use(&self, token: &Hash, node: &NodeId, at_us: u64) -> Result<TokenUse<'_>, Refusal> {
        let row = self.tokens.get(token).filter(|row| row.node == *node);
        let row = row.ok_or_else(|| {
            Refusal::new(
                Reason::TokenInvalid,
                format!("the registry issued no such token for {node}"),
            )
        })?;
        if at_us >= row.expires_us {
            let late_s = (at_us - row.expires_us) / 1_000_000;
            let rule =
                format!("the token for {node} expired {late_s} s ago by the registry's clock; ask for a new one");
            return Err(Refusal::new(Reason::TokenExpired, rule));
        }
        self.admitted(&node.member())?;
        let Some(issued) = row.used else {
            return Ok(TokenUse::First);
        };
        match self.node_by_tls_certificate(&issued) {
            Some((_, listed)) => Ok(TokenUse::Again(listed)),
            None => Err(Refusal::new(
                Reason::TokenUsed,
                format!(
                    "{node} enrolled with this token, and what it was given then is listed no more; ask for a new one"
                ),
            )),
        }
    }

    fn check_enrolment(&self, act: &EnrolAct, at_us: u64) -> Result<(), Refusal> {
        let id: NodeId = act.row.id.parse()?;
        let origin: Origin = act.row.origin.parse()?;
        if let TokenUse::Again(_) = self.token_use(&act.token, &id, at_us)? {
            return Err(Refusal::new(
                Reason::TokenUsed,
                format!("{id} enrolled with this token already"),
            ));
        }
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
        let [certificate] = act.row.tls_certificates.as_slice() else {
            return Err(Refusal::invalid("a node enrols with one TLS certificate"));
        };
        if self.by_tls_certificate.contains_key(&digest::sha256(&[certificate])) {
            return Err(Refusal::new(
                Reason::CsrInvalid,
                "the TLS certificate is listed already",
            ));
        }
        Ok(())
    }

    fn check_node_revocation(&self, act: &RevokeNodeAct, at_us: u64) -> Result<(), Refusal> {
        match &act.ground {
            Ground::Ordered(signed) => {
                self.signer(signed, Roles::CERTIFY, at_us)?;
                self.check_ordered_revocation(act, &signed.order)?;
            }
            Ground::Superseded => {
                let superseded = |it: &Hash| self.superseded.get(it) == Some(&act.node);
                if act.reason != SUPERSEDED || act.certificates.is_empty() || !act.certificates.iter().all(superseded) {
                    return Err(unapproved("certificates"));
                }
            }
            Ground::Removed(_) => return Err(unapproved("certificates")),
        }
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

    fn check_ordered_revocation(&self, act: &RevokeNodeAct, order: &Order) -> Result<(), Refusal> {
        let Order::Revoke {
            node,
            certificates,
            reason,
        } = order
        else {
            return Err(unapproved("certificates"));
        };
        let in_use = self.certificates_of(&act.node);
        let named = if certificates.is_empty() { &in_use } else { certificates };
        if (node, named, *reason) != (&act.node, &act.certificates, act.reason) {
            return Err(unapproved("certificates"));
        }
        // A digest with a slip in it would be listed as revoked, and the certificate that was meant would not.
        let foreign = |it: &&Hash| !in_use.contains(it) && self.superseded.get(*it) != Some(node);
        match named.iter().find(foreign) {
            Some(foreign) => Err(Refusal::invalid(format!(
                "{} is the SHA-256 of no certificate that is listed for {node}",
                text::hex(foreign)
            ))),
            None => Ok(()),
        }
    }

    /// SHA-256 of the certificates that a node uses; none where it is not listed.
    pub(crate) fn certificates_of(&self, node: &NodeId) -> Vec<Hash> {
        let listed = self.nodes.get(node).map(|listed| &listed.row).into_iter();
        let certificates = listed.flat_map(|row| row.tls_certificates.iter().chain([&row.seal_certificate]));
        certificates.map(|der| digest::sha256(&[der])).collect()
    }

    fn check_finding(&self, act: &Finding) -> Result<(), Refusal> {
        let origin: Origin = act.origin.parse()?;
        if !self.origins.contains_key(&origin) {
            let rule = format!("{origin} was never listed");
            return Err(Refusal::new(Reason::OriginUnlisted, rule));
        }
        if self.has_found(act.kind, &origin) {
            return Err(Refusal::invalid(format!("this stands here already for {origin}")));
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
