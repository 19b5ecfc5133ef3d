//! `summary.json`: what the demo did, for machines. It appears at once and whole, when everything in it is true.

use serde::Serialize;

use crate::agency::Agency;

use super::DemoError;
use super::journey::{Journey, Outcome};
use super::layout::{self, Layout};
use super::network::Network;
use super::proof::Proof;

/// Version of the format.
const FORMAT: u32 = 1;

/// The object in the file. Paths are relative to its directory.
#[derive(Serialize)]
pub(super) struct Summary {
    format: u32,
    answered: usize,
    refused: usize,
    evidence_valid: usize,
    tamper_detected: bool,
    nodes: Vec<NodeEntry>,
    exchanges: Vec<ExchangeEntry>,
}

#[derive(Serialize)]
struct NodeEntry {
    code: &'static str,
    pid: u32,
    local: String,
    peer: String,
    ledger: String,
}

#[derive(Serialize)]
struct ExchangeEntry {
    id: String,
    consumer: String,
    provider: String,
    method: &'static str,
    purpose: &'static str,
    outcome: &'static str,
    reason: String,
    /// Empty where no evidence file is VALID.
    evidence: String,
}

impl Summary {
    pub(super) fn of(network: &Network, journey: &Journey, proof: &Proof) -> Self {
        let count = |outcome| {
            journey
                .exchanges()
                .filter(|exchange| exchange.outcome == outcome)
                .count()
        };
        let nodes = network.nodes.iter().map(|node| NodeEntry {
            code: node.agency.code(),
            pid: node.pid,
            local: node.local.to_string(),
            peer: node.peer.to_string(),
            ledger: format!("{}/ledger", layout::node(node.agency)),
        });
        let exchanges = journey.exchanges().map(|exchange| ExchangeEntry {
            id: exchange.id.clone(),
            consumer: Agency::Mol.subsystem(),
            provider: exchange.provider.subsystem(),
            method: exchange.method,
            purpose: exchange.purpose,
            outcome: exchange.outcome.word(),
            reason: exchange.reason.clone(),
            evidence: proof.files.get(&exchange.id).cloned().unwrap_or_default(),
        });
        Self {
            format: FORMAT,
            answered: count(Outcome::Answered),
            refused: count(Outcome::Refused),
            evidence_valid: proof.files.len(),
            tamper_detected: proof.tampered.found,
            nodes: nodes.collect(),
            exchanges: exchanges.collect(),
        }
    }

    /// Writes the file beside its place and moves it there.
    pub(super) fn write(&self, layout: &Layout) -> Result<(), DemoError> {
        let mut text = serde_json::to_string_pretty(self).expect("texts, numbers and lists have a JSON form");
        text.push('\n');
        layout.write("summary.json.new", text.as_bytes())?;
        layout.rename("summary.json.new", "summary.json")
    }

    /// Whether everything came out as it must: every permitted question answered, the forbidden one refused, each of them
    /// proven, the flipped bit found.
    pub(super) fn held(&self, journey: &Journey) -> bool {
        self.answered == self.exchanges.len() - 1
            && journey.forbidden.outcome == Outcome::Refused
            && self.exchanges.iter().all(|exchange| !exchange.evidence.is_empty())
            && self.tamper_detected
    }

    /// The last line under `--once`.
    pub(super) fn last_line(&self) -> String {
        format!(
            "demo: {} exchanges answered, {} refused, {} evidence files VALID",
            self.answered, self.refused, self.evidence_valid
        )
    }
}
