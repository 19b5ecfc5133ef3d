//! The rules that the acts alone decide: membership, tokens, nodes, snapshots. Those of contracts stand in `contracts`.

use bytes::Bytes;
use jisr_certs::digest;
use jisr_proto::ident::{MemberId, NodeId, Origin};
use jisr_proto::reason::Reason;
use jisr_proto::statement::Finding;

use super::{Act, EnrolAct, Hash, Member, MemberAct, RevokeNodeAct, SnapshotAct, State, TokenAct};
use crate::refusal::Refusal;
use crate::text;

/// Unused tokens that one node may have at once.
const OPEN_TOKENS_MAX: usize = 16;

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
            Act::Finding(act) => self.check_finding(act),
        }
    }

    /// The member, if it is admitted, approved or not.
    ///
    /// # Errors
    /// NOT_ADMITTED otherwise; which command is due the detail says, for the reason alone means either.
    pub(crate) fn admitted(&self, member: &MemberId) -> Result<&Member, Refusal> {
        self.members.get(member).ok_or_else(|| {
            Refusal::new(
                Reason::NotAdmitted,
                format!("{member} was never admitted; an administrator has to run `jisr registry admit` first"),
            )
        })
    }

    /// Where the member was approved, if it is.
    ///
    /// # Errors
    /// NOT_ADMITTED otherwise.
    pub(crate) fn approved(&self, member: &MemberId) -> Result<u64, Refusal> {
        self.admitted(member)?.approved.ok_or_else(|| {
            Refusal::new(
                Reason::NotAdmitted,
                format!(
                    "{member} is admitted but not approved; a second administrator has to run `jisr registry approve`"
                ),
            )
        })
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
        let row = self.admitted(&act.member)?;
        if row.approved.is_some() {
            return Err(Refusal::new(
                Reason::AlreadyAdmitted,
                format!("{} is approved already", act.member),
            ));
        }
        if row.admitted_by == act.administrator {
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
