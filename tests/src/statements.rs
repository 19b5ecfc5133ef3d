//! What stands in a ledger, read from its files as they lie there, whether the node runs or not.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use bytes::Bytes;
use jisr_ledger::frame::{Form, Next, PeerStatement, Record, Records, SegmentScan, StoredParts};
use jisr_ledger::statement::Tag;
use jisr_node::Layout;
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Citation, Core, Finding, Kind, RefusalsSummed};
use prost::Message as _;

use crate::world::World;

/// A statement, as far as it rests in the clear.
#[derive(Debug, Clone)]
pub struct Stood {
    /// Index of its leaf.
    pub index: u64,
    /// What it says.
    pub core: Core,
    /// What it cites.
    pub citation: Option<Citation>,
    /// What an administrative act says; empty for a statement of an exchange.
    pub act: Bytes,
}

/// A receipt, as far as it rests in the clear.
#[derive(Debug, Clone)]
pub struct Receipted {
    /// What the consumer's closing statement says.
    pub core: Core,
    /// What of this ledger it cites.
    pub citation: Citation,
}

impl World {
    /// All statements in the ledger of a member's node.
    #[must_use]
    pub fn statements(&self, code: &str) -> Vec<Stood> {
        statements_in(&Layout::new(&self.party(code).dir).ledger())
    }

    /// Statements of one exchange in the ledger of a member's node.
    #[must_use]
    pub fn of_exchange(&self, code: &str, exchange: &str) -> Vec<Stood> {
        let exchange: jisr_proto::ident::ExchangeId = exchange.parse().expect("an exchange id");
        let all = self.statements(code).into_iter();
        all.filter(|stood| stood.core.exchange_id == exchange.as_bytes().as_slice())
            .collect()
    }

    /// What the ledger of a member's node holds as found.
    #[must_use]
    pub fn findings(&self, code: &str) -> Vec<Finding> {
        let all = self.statements(code).into_iter();
        let found = all.filter(|stood| stood.core.kind() == Kind::Finding);
        found
            .map(|stood| Finding::decode(stood.act).expect("an act of its kind"))
            .collect()
    }

    /// Receipts in the ledger of a member's node: closing statements of other ledgers.
    #[must_use]
    pub fn receipts(&self, code: &str) -> Vec<Receipted> {
        let mut found = Vec::new();
        each_body(&Layout::new(&self.party(code).dir).ledger(), |body| {
            for record in Records::new(body) {
                let Record::Receipt(data) = record.expect("a frame whose checksum holds") else {
                    continue;
                };
                let stored = PeerStatement::parse(data).expect("a stored receipt");
                let read = clear(stored.statement);
                found.push(Receipted {
                    core: read.core,
                    citation: read.citation.expect("a receipt cites"),
                });
            }
        });
        found
    }

    /// How often a stopped node counted this reason towards this caller or peer.
    #[must_use]
    pub fn summed(&self, code: &str, peer: &str, reason: Reason) -> u64 {
        let acts = self
            .statements(code)
            .into_iter()
            .filter(|stood| stood.core.kind() == Kind::RefusalsSummed);
        let sums = acts.map(|stood| RefusalsSummed::decode(stood.act).expect("an act of its kind"));
        let counts = sums.filter(|sum| sum.peer == peer).flat_map(|sum| sum.counts);
        counts
            .filter(|row| row.reason == reason.as_str())
            .map(|row| row.count)
            .sum()
    }

    /// Kinds of the statements of one exchange in the ledger of a member's node, by index.
    #[must_use]
    pub fn kinds(&self, code: &str, exchange: &str) -> Vec<Kind> {
        let exchange: jisr_proto::ident::ExchangeId = exchange.parse().expect("an exchange id");
        let of_it = |stood: &Stood| stood.core.exchange_id == exchange.as_bytes().as_slice();
        self.statements(code)
            .into_iter()
            .filter(of_it)
            .map(|stood| stood.core.kind())
            .collect()
    }
}

/// All statements in a ledger directory, up to where it parses.
#[must_use]
pub fn statements_in(ledger: &Path) -> Vec<Stood> {
    let mut found = Vec::new();
    each_body(ledger, |body| read(body, &mut found));
    found
}

/// Bodies of all frames in a ledger directory, up to where it parses.
fn each_body(ledger: &Path, mut each: impl FnMut(&Bytes)) {
    let mut names: Vec<_> = std::fs::read_dir(ledger.join("segments"))
        .expect("a ledger has segments")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    names.sort();
    for name in names {
        let file = BufReader::new(File::open(name).expect("a segment can be read"));
        let mut scan = SegmentScan::open(file).expect("a segment begins with its header");
        // What a live node is writing just now is not read.
        while let Ok(Next::Frame { body, .. }) = scan.read_next() {
            each(&body);
        }
    }
}

fn read(body: &Bytes, found: &mut Vec<Stood>) {
    for record in Records::new(body) {
        let Record::Statement(stored) = record.expect("a frame whose checksum holds") else {
            continue;
        };
        let read = clear(stored);
        found.push(Stood {
            index: found.len() as u64,
            ..read
        });
    }
}

/// A stored statement as far as it rests in the clear; its index is not known.
fn clear(stored: &[u8]) -> Stood {
    let (mut core, mut citation, mut act) = (None, None, Bytes::new());
    for part in StoredParts::new(stored).expect("a stored statement") {
        let part = part.expect("a stored part");
        let Form::Clear { content, .. } = part.form else {
            continue;
        };
        match part.tag {
            Tag::Core => core = Core::decode(content).ok(),
            Tag::Peer => citation = Citation::decode(content).ok(),
            Tag::Act => act = Bytes::copy_from_slice(content),
            _ => {}
        }
    }
    Stood {
        index: 0,
        core: core.expect("CORE rests in the clear"),
        citation,
        act,
    }
}
