//! One exchange of a file, taken apart: its statements, and the ground it shares with others.

use super::{
    Refusal,
    ground::{Cited, Entry, Ground, STATEMENTS_MAX, entry},
};
use bytes::Bytes;
use jisr_proto::{
    evidence::EvidenceStatement,
    ident::{ExchangeId, Instance, Origin},
    statement::Kind,
};
use std::collections::BTreeSet;

/// One exchange, unproven.
pub(super) struct Case<'g> {
    pub(super) exchange: ExchangeId,
    pub(super) ground: &'g Ground,
    pub(super) statements: Vec<Entry>,
    /// The schema that goes with the question; empty where there is none.
    pub(super) schema: &'g Bytes,
}

impl<'g> Case<'g> {
    /// Takes the statements apart.
    pub(super) fn read(
        exchange_id: &Bytes,
        statements: &[EvidenceStatement],
        instance: &Instance,
        ground: &'g Ground,
        schema: &'g Bytes,
    ) -> Result<Self, Refusal> {
        let exchange = ExchangeId::try_from(exchange_id.as_ref());
        let exchange = exchange.map_err(|error| ("format", format!("the exchange id: {error}")))?;
        if !(1..=STATEMENTS_MAX).contains(&statements.len()) {
            return Err((
                "format",
                "it has no statement, or more than an exchange can have".into(),
            ));
        }
        let statements = statements
            .iter()
            .map(|raw| entry(raw, "statements", ground.notes.len()))
            .collect::<Result<Vec<_>, _>>()?;
        let first = statements.first().map(|entry| &entry.origin);
        let place = |entry: &Entry| (Some(&entry.origin) != first, entry.origin.to_string(), entry.index);
        if !statements.is_sorted_by(|one, next| place(one) < place(next)) {
            return Err(("statements", "they do not stand by ledger and index, each once".into()));
        }
        for entry in &statements {
            let core = entry.parsed.core();
            if core.exchange_id != exchange_id || core.instance != instance.as_str() {
                let text = format!(
                    "entry {} of {} is of another exchange or instance",
                    entry.index, entry.origin
                );
                return Err(("statements", text));
            }
        }
        Ok(Self {
            exchange,
            ground,
            statements,
            schema,
        })
    }

    /// The statements of one kind, in any ledger.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.statements.iter().filter(move |entry| entry.parsed.kind() == kind)
    }

    /// The question, where there is one.
    pub(super) fn asked(&self) -> Option<&Entry> {
        self.of_kind(Kind::Asked).next()
    }

    /// Origin of the consumer's ledger: that of the question, else that of the only statement.
    pub(super) fn consumer(&self) -> Option<&Origin> {
        self.asked().or(self.statements.first()).map(|entry| &entry.origin)
    }

    /// The core that speaks for the exchange: that of the question, else of the first statement.
    pub(super) fn core(&self) -> Option<&jisr_proto::statement::Core> {
        self.asked()
            .or(self.statements.first())
            .map(|entry| entry.parsed.core())
    }

    /// The ledgers that the statements stand in, each once.
    pub(super) fn origins(&self) -> Vec<&Origin> {
        let mut origins: Vec<&Origin> = self.statements.iter().map(|entry| &entry.origin).collect();
        origins.dedup();
        origins
    }

    /// The statements in one ledger.
    pub(super) fn in_ledger<'a>(&'a self, origin: &'a Origin) -> impl Iterator<Item = &'a Entry> {
        self.statements.iter().filter(move |entry| entry.origin == *origin)
    }

    /// The snapshots in the file that the statements cite, each once.
    pub(super) fn cited(&self) -> Vec<&'g Cited> {
        let versions: BTreeSet<u64> = self
            .statements
            .iter()
            .map(|entry| entry.parsed.core().snapshot_version)
            .collect();
        versions
            .into_iter()
            .filter_map(|version| self.ground.snapshot(version))
            .collect()
    }

    /// What is there, for people.
    pub(super) fn listed(&self) -> String {
        let one = |entry: &Entry| format!("{:?} at {} of {}", entry.parsed.kind(), entry.index, entry.origin);
        self.statements.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// What is kept back, for people.
    pub(super) fn withheld(&self) -> String {
        let mut withheld = Vec::new();
        for entry in &self.statements {
            for part in entry.parsed.parts().iter().filter(|part| part.opened.is_none()) {
                let why = if part.erased { " (erased)" } else { "" };
                withheld.push(format!("{} of {:?}{why}", part.tag.name(), entry.parsed.kind()));
            }
        }
        if withheld.is_empty() {
            "nothing".to_owned()
        } else {
            withheld.join(", ")
        }
    }
}
