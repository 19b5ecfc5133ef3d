//! What stands in a ledger, read from its files as they lie there, whether the node runs or not.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use bytes::Bytes;
use jisr_ledger::frame::{Form, Next, Record, Records, SegmentScan, StoredParts};
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
    let mut names: Vec<_> = std::fs::read_dir(ledger.join("segments"))
        .expect("a ledger has segments")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let file = BufReader::new(File::open(name).expect("a segment can be read"));
        let mut scan = SegmentScan::open(file).expect("a segment begins with its header");
        // What a live node is writing just now is not read.
        while let Ok(Next::Frame { body, .. }) = scan.read_next() {
            read(&body, &mut found);
        }
    }
    found
}

fn read(body: &Bytes, found: &mut Vec<Stood>) {
    for record in Records::new(body) {
        let Record::Statement(stored) = record.expect("a frame whose checksum holds") else {
            continue;
        };
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
        let core = core.expect("CORE rests in the clear");
        found.push(Stood {
            index: found.len() as u64,
            core,
            citation,
            act,
        });
    }
}
