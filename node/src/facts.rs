//! What all statements of one exchange at one node have in common.

use jisr_certs::digest::Hash;
use jisr_proto::ident::{ExchangeId, MethodPath, SubsystemId};
use jisr_proto::statement::{Core, Kind};

use crate::agreements::Permit;
use crate::directory::{self, NodeRow, View};

/// The facts of an exchange as this node sees them.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    core: Core,
}

/// Who, what and whom: the part of the facts that the question brings.
#[derive(Debug)]
pub(crate) struct Parties<'a> {
    /// Instance.
    pub instance: &'a str,
    /// Exchange id.
    pub exchange: ExchangeId,
    /// Consumer subsystem.
    pub consumer: &'a SubsystemId,
    /// Provider subsystem.
    pub provider: &'a SubsystemId,
    /// Service and method.
    pub path: &'a MethodPath,
}

impl Facts {
    /// Facts of an exchange that nothing allows, or not yet.
    pub(crate) fn new(parties: &Parties<'_>, view: &View) -> Facts {
        Facts {
            core: Core {
                format: 1,
                instance: parties.instance.to_owned(),
                exchange_id: parties.exchange.as_bytes().to_vec().into(),
                consumer: parties.consumer.to_string(),
                provider: parties.provider.to_string(),
                service: parties.path.service.to_string(),
                method: parties.path.method.to_string(),
                snapshot_version: view.version,
                snapshot: copy(&view.digest),
                ..Core::default()
            },
        }
    }

    /// The same with what the agreement fixes.
    pub(crate) fn permitted(mut self, permit: &Permit) -> Facts {
        self.core.agreement = copy(permit.agreement());
        self.core.schema = copy(permit.schema());
        self.core.mask = permit.mask().to_owned();
        self.core.no_side_effects = permit.no_side_effects();
        self
    }

    /// The same between these two nodes.
    pub(crate) fn between(mut self, consumer: &NodeRow, provider: &NodeRow) -> Facts {
        self.core.provider_origin = provider.origin.to_string();
        self.core.key_set = copy(&directory::key_set(consumer, provider));
        self
    }

    /// The same with the agreement that the question cites, whether it stands or not: a refusal says what it refused.
    pub(crate) fn citing(mut self, asked: &Core) -> Facts {
        self.core.agreement = asked.agreement.clone();
        self.core.schema = asked.schema.clone();
        self.core.mask = asked.mask.clone();
        self.core.no_side_effects = asked.no_side_effects;
        self
    }

    /// Facts of an exchange as an earlier statement of this ledger, or the other side's ASKED, gave them.
    pub(crate) fn of(core: &Core) -> Facts {
        let mut core = core.clone();
        core.expires_us = 0;
        core.payload_bytes = 0;
        core.status = 0;
        core.rule = String::new();
        core.repeats = bytes::Bytes::new();
        core.tags = bytes::Bytes::new();
        Facts { core }
    }

    /// Core of a statement of this kind.
    pub(crate) fn core(&self, kind: Kind, now_us: u64) -> Core {
        Core {
            kind: kind as i32,
            created_us: now_us,
            ..self.core.clone()
        }
    }

    /// Whether another statement speaks of the same exchange between the same parties.
    pub(crate) fn same_exchange(&self, other: &Core) -> bool {
        let own = &self.core;
        own.instance == other.instance
            && own.exchange_id == other.exchange_id
            && own.consumer == other.consumer
            && own.provider == other.provider
            && own.provider_origin == other.provider_origin
            && own.service == other.service
            && own.method == other.method
            && own.agreement == other.agreement
    }

    /// Origin of the one node that may run it.
    pub(crate) fn provider_origin(&self) -> &str {
        &self.core.provider_origin
    }
}

fn copy(digest: &Hash) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(digest)
}
