//! What stands in a ledger, read from its files as they lie there, whether the node runs or not.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use bytes::Bytes;
use jisr_ledger::frame::{Form, Next, Record, Records, SegmentScan, StoredParts};
use jisr_ledger::statement::Tag;
use jisr_node::Layout;
use jisr_proto::statement::{Citation, Core, Kind};
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
}

impl World {
    /// All statements in the ledger of a member's node.
    #[must_use]
    pub fn statements(&self, code: &str) -> Vec<Stood> {
        statements_in(&Layout::new(&self.party(code).dir).ledger())
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
        let (mut core, mut citation) = (None, None);
        for part in StoredParts::new(stored).expect("a stored statement") {
            let part = part.expect("a stored part");
            let Form::Clear { content, .. } = part.form else {
                continue;
            };
            match part.tag {
                Tag::Core => core = Core::decode(content).ok(),
                Tag::Peer => citation = Citation::decode(content).ok(),
                _ => {}
            }
        }
        let core = core.expect("CORE rests in the clear");
        found.push(Stood {
            index: found.len() as u64,
            core,
            citation,
        });
    }
}
