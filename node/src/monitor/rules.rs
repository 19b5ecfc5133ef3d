//! What must be listed of the own member, and what may be. No I/O.

use std::collections::HashSet;
use std::sync::Arc;

use jisr_certs::digest::{self, Hash};
use jisr_certs::{csr, profile};
use jisr_ledger::snapshot::{agreement_key, node_key, service_key};
use jisr_ledger::statement::{Act, Parsed};
use jisr_proto::ident::{MemberId, NodeId, Origin};
use jisr_proto::snapshot::AgreementAct;
use jisr_proto::statement::{Agreed, FindingKind};

use crate::directory::{AgreementRow, NodeRow, View};

/// Something of the own member is otherwise than it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Alarm {
    /// What it is.
    pub(super) kind: FindingKind,
    /// Key of the row.
    pub(super) key: String,
    /// In words.
    pub(super) text: String,
}

impl Alarm {
    pub(super) fn unasked(key: String, text: String) -> Alarm {
        Alarm {
            kind: FindingKind::RegistryUnasked,
            key,
            text,
        }
    }

    pub(super) fn lacking(key: String, text: String) -> Alarm {
        Alarm {
            kind: FindingKind::RegistryLacking,
            key,
            text,
        }
    }
}

/// What a node knows of itself without the registry.
pub(super) struct Own {
    /// Its id.
    pub(super) node: NodeId,
    /// Origin of its ledger.
    pub(super) origin: Origin,
    /// Raw key of its ledger.
    pub(super) seal: [u8; 32],
    /// Raw key of its witness.
    pub(super) witness: [u8; 32],
    /// SHA-256 of the certificate of the member's local CA.
    pub(super) local_ca: Option<Hash>,
    /// Names of further nodes of the member.
    pub(super) siblings: Vec<String>,
    /// Services that it runs, with the subsystem.
    pub(super) backends: HashSet<(String, String)>,
}

impl Own {
    /// What a snapshot lists of the member, or should. `is_asked` knows the public keys that this node asked certificates for.
    pub(super) fn listed(&self, view: &View, is_asked: impl Fn(&[u8]) -> bool) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        let member = self.node.member();
        match view.node(&self.node) {
            Some(row) => alarms.extend(self.differs(row, is_asked)),
            None => alarms.push(Alarm::lacking(
                node_key(self.node.as_str()),
                "this node is not listed any more".to_owned(),
            )),
        }
        let known = |id: &NodeId| *id == self.node || self.is_sibling(id);
        for row in view.nodes_of(&member).iter().filter(|row| !known(&row.id)) {
            alarms.push(Alarm::unasked(
                node_key(row.id.as_str()),
                format!(
                    "a node of this member that `[watch] nodes` does not name, with the ledger {}",
                    row.origin
                ),
            ));
        }
        // What other nodes of the member run, this one does not know.
        let services = view
            .services()
            .filter(|(_, row)| self.siblings.is_empty() && row.provider.member() == member);
        for (name, row) in services {
            let (name, provider) = (name.to_string(), row.provider.to_string());
            if !self.backends.contains(&(name.clone(), provider.clone())) {
                alarms.push(Alarm::unasked(
                    service_key(&name, &provider),
                    "a service of this member for which this node has no `[[backend]]`".to_owned(),
                ));
            }
        }
        alarms
    }

    /// Whether `[watch] nodes` names it.
    fn is_sibling(&self, id: &NodeId) -> bool {
        let member = self.node.member();
        let mut names = self.siblings.iter();
        id.member() == member && names.any(|name| id.to_string() == format!("{member}/node/{name}"))
    }

    /// The own row, with something in it that is not this node's.
    fn differs(&self, row: &NodeRow, is_asked: impl Fn(&[u8]) -> bool) -> Option<Alarm> {
        let own = |der: &bytes::Bytes| csr::tls_key_in(der).is_some_and(|key| is_asked(&key));
        let is_own = row.row.tls_certificates.iter().all(own);
        let checks = [
            ("ledger", row.origin == self.origin),
            ("seal key", row.row.seal_key == self.seal.as_slice()),
            ("witness key", row.row.witness_key == self.witness.as_slice()),
            ("TLS certificate", is_own),
            (
                "local CA",
                self.local_ca.is_none_or(|own| row.local_ca == own.as_slice()),
            ),
        ];
        let others: Vec<&str> = checks.iter().filter(|(_, same)| !same).map(|(what, _)| *what).collect();
        (!others.is_empty()).then(|| {
            let text = format!("this node is listed with what is not its own: {}", others.join(", "));
            Alarm::unasked(node_key(self.node.as_str()), text)
        })
    }

    /// Whether an officer of this member signed the agreement that an entry registers.
    pub(super) fn signed(&self, view: &View, digest: &Hash, act: &AgreementAct) -> Result<(), String> {
        if digest::domain("jisr.agreement", &[&act.document]) != *digest {
            return Err("the entry that it cites registers another agreement".to_owned());
        }
        let member = self.node.member().to_string();
        let yes = act
            .agreed
            .iter()
            .filter_map(|sealed| Parsed::parse(sealed.statement.as_ref()?).ok());
        let mut told = Err(format!("no AGREED of {member} stands in the entry that registers it"));
        for statement in yes {
            let Some(Act::Agreed(agreed)) = statement
                .act()
                .filter(|act| matches!(act, Act::Agreed(agreed) if agreed.member == member))
            else {
                continue;
            };
            match self.is_officers(view, &act.document, agreed, statement.core().created_us) {
                Ok(()) => return Ok(()),
                Err(text) => told = Err(text),
            }
        }
        told
    }

    fn is_officers(&self, view: &View, document: &[u8], agreed: &Agreed, at_us: u64) -> Result<(), String> {
        let wrong = |error: &dyn std::fmt::Display| format!("no officer of this member signed it: {error}");
        let [officer, ca] = agreed.certificates.as_slice() else {
            return Err(wrong(&"two certificates belong to a signature"));
        };
        let ca = profile::check_local_ca(ca, at_us).map_err(|error| wrong(&error))?;
        let is_siblings = || {
            let mut nodes = view.nodes_of(&self.node.member()).iter();
            nodes.any(|row| self.is_sibling(&row.id) && row.local_ca == ca.sha256.as_slice())
        };
        if self.local_ca.is_some_and(|own| own != ca.sha256) && !is_siblings() {
            return Err(wrong(&"the certificate is of another local CA"));
        }
        let officer = profile::check_officer(officer, &ca, at_us).map_err(|error| wrong(&error))?;
        officer
            .verify_agreement(document, &agreed.signature)
            .map_err(|error| wrong(&error))
    }
}

/// Agreements that the member is party to.
pub(super) fn agreements<'v>(view: &'v View, member: &MemberId) -> impl Iterator<Item = &'v Arc<AgreementRow>> {
    let member = member.clone();
    view.agreements()
        .filter(move |row| row.consumer.member() == member || row.provider.member() == member)
}

/// Key of the row of an agreement.
pub(super) fn key(digest: &Hash) -> String {
    agreement_key(digest)
}

/// Keys of the member's agreements and services that were listed and are not now, or not shown any more. An agreement that has run out, or whose other
/// party is no member any more, needs no reason.
pub(super) fn gone(before: &View, view: &View, member: &MemberId, now_us: u64) -> Vec<String> {
    let is_member = |member: &MemberId| view.names(member) != ("", "");
    let agreements = agreements(before, member)
        .filter(|row| now_us <= row.document.valid_until_us)
        .filter(|row| is_member(&row.consumer.member()) && is_member(&row.provider.member()))
        .map(|row| key(&row.digest));
    let services = before
        .services()
        .filter(|(_, row)| row.provider.member() == *member)
        .map(|(name, row)| service_key(name.as_str(), row.provider.as_str()));
    agreements
        .chain(services)
        // Listed and not shown to a party is withheld from it.
        .filter(|key| view.rows.get(key).is_none_or(|known| known.row.is_none()))
        .collect()
}

/// Whether an act of the registry takes this row off.
pub(super) fn excuses(act: &Act, key: &str) -> bool {
    match act {
        Act::AgreementRevocation(act) => {
            <Hash>::try_from(act.digest.as_ref()).is_ok_and(|digest| agreement_key(&digest) == key)
        }
        Act::Service(act) => {
            let service = act.service.as_ref();
            act.withdrawn && service.is_some_and(|row| service_key(&row.name, &row.provider) == key)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use jisr_certs::issue::{Issuing, Root};
    use jisr_certs::keys::{KeySecret, KeyStore};
    use jisr_certs::tls_key::TlsKey;
    use jisr_certs::validity::Validity;

    use super::*;
    use crate::directory::tests::row;

    #[test]
    fn a_tls_certificate_for_a_foreign_key_is_an_alarm() {
        let dir = tempfile::tempdir().unwrap();
        let secret = KeySecret::from_bytes(&[7; 32], "a test's secret");
        let store = KeyStore::create(dir.path().join("keys"), &secret).unwrap();
        let now_us = 1_780_315_200_000_000;
        let root = Root::create(&store, &"JO".parse().unwrap(), now_us).unwrap();
        let issuing = Issuing::create(&store, &root, now_us).unwrap();
        let mut listed = row("JO/GOV/mol/node/node1", 1);
        let [used, next, foreign] = ["used", "next", "foreign"].map(|name| {
            let key = TlsKey::load_or_make(&store, name).unwrap();
            let request = csr::tls_csr(&key, &listed.id).unwrap();
            let issued = issuing.issue_node_tls(&request, &listed.id, Validity::days(now_us, 7));
            (key, issued.unwrap().to_vec())
        });
        let own = Own {
            node: listed.id.clone(),
            origin: listed.origin.clone(),
            seal: listed.seal_key.raw(),
            witness: [0; 32],
            local_ca: None,
            siblings: Vec::new(),
            backends: HashSet::new(),
        };
        listed.row.witness_key = vec![0; 32].into();
        listed.row.tls_certificates = vec![used.1.clone().into(), next.1.clone().into()];
        let asked: HashSet<Vec<u8>> = [&used, &next].map(|(key, _)| key.public().to_vec()).into();
        assert_eq!(own.differs(&listed, |key| asked.contains(key)), None);
        listed.row.tls_certificates.push(foreign.1.into());
        let alarm = own.differs(&listed, |key| asked.contains(key)).unwrap();
        assert_eq!(alarm.kind, FindingKind::RegistryUnasked);
        assert!(alarm.text.contains("TLS certificate"), "{alarm:?}");
    }
}
