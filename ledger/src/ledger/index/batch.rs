//! What several frames bring to the index, as few rows.

use std::collections::{BTreeMap, HashMap};

use jisr_proto::ident::ExchangeId;

use super::Selection;
use super::rows::{Began, FRAME_BYTES, ROW_ENTRIES, SPAN_US, Statement, bucket, key, place_bytes, proof_key};
use super::stamps;
use super::store::Changes;
use crate::ledger::fact::Fact;
use crate::ledger::follower::Followed;

/// Frames in a row.
const ROW_FRAMES: usize = 64;

/// An exchange that began: time, own index, id.
type Beginning = (u64, u64, ExchangeId);

pub(super) struct Batch<'a> {
    own: &'a str,
    origins: &'a mut HashMap<String, u32>,
    rows: Changes,
    frames: Vec<(u64, [u8; FRAME_BYTES])>,
    /// Number of the next time-stamp.
    next_stamp: u64,
    /// By bucket.
    statements: BTreeMap<[u8; 8], Vec<Statement>>,
    /// By what it is selected by.
    began: BTreeMap<Vec<u8>, Vec<Beginning>>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(own: &'a str, origins: &'a mut HashMap<String, u32>, next_stamp: u64) -> Self {
        Self {
            own,
            origins,
            rows: Changes::default(),
            frames: Vec::new(),
            next_stamp,
            statements: BTreeMap::new(),
            began: BTreeMap::new(),
        }
    }

    pub(super) fn frame(&mut self, frame: &Followed) {
        let place = place_bytes(frame.place);
        if !frame.facts.is_empty() {
            let mut row = [0; FRAME_BYTES];
            let (first, at) = row.split_at_mut(8);
            first.copy_from_slice(&frame.first.to_be_bytes());
            at.copy_from_slice(&place);
            self.frames.push((frame.first, row));
        }
        for (index, fact) in (frame.first..).zip(&frame.facts) {
            self.statement(index, fact);
        }
        for note in &frame.notes {
            self.rows.insert(key(b'n', &[note]), place);
        }
        for (index, leaf) in &frame.proofs {
            self.rows.insert(proof_key(*index, leaf), place);
        }
        for stamp in &frame.stamps {
            stamps::put(&mut self.rows, self.next_stamp, frame.place, stamp);
            self.next_stamp += 1;
        }
        for index in &frame.receipts {
            self.rows.insert(key(b'r', &[&index.to_be_bytes()]), place);
        }
    }

    fn statement(&mut self, index: u64, fact: &Fact) {
        let Some(exchange) = fact.exchange else { return };
        let peer = self.number(fact.peer(self.own));
        let Some(statement) = Statement::of(index, fact, self.own, peer) else {
            return;
        };
        let bucket = self.statements.entry(bucket(exchange.time_ms())).or_default();
        bucket.push(statement);
        if fact.begins() {
            let selections = fact.pseudonyms.iter().map(Selection::Pseudonym);
            let peer = (peer > 0).then_some(Selection::Peer(peer));
            for selection in selections.chain(peer).chain([Selection::Time]) {
                let began = self.began.entry(selection.prefix()).or_default();
                began.push((fact.created_us, index, exchange));
            }
        }
    }

    /// Number of an origin, a new one where it has none; 0 for no origin.
    fn number(&mut self, origin: &str) -> u32 {
        if origin.is_empty() {
            return 0;
        }
        if let Some(number) = self.origins.get(origin) {
            return *number;
        }
        let number = u32::try_from(self.origins.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.rows.insert(key(b'o', &[&number.to_be_bytes()]), origin.as_bytes());
        self.origins.insert(origin.to_owned(), number);
        number
    }

    pub(super) fn finish(mut self) -> Changes {
        for row in self.frames.chunks(ROW_FRAMES) {
            let Some((first, _)) = row.first() else { continue };
            let value: Vec<u8> = row.iter().flat_map(|(_, frame)| *frame).collect();
            self.rows.insert(key(b'i', &[&first.to_be_bytes()]), value);
        }
        for (bucket, mut statements) in self.statements {
            statements.sort_unstable_by_key(|statement| (statement.exchange, statement.index));
            for row in statements.chunks(ROW_ENTRIES) {
                let (lowest, row) = Statement::encode(row);
                self.rows.insert(key(b'x', &[&bucket, &lowest.to_be_bytes()]), row);
            }
        }
        for (prefix, mut began) in self.began {
            began.sort_unstable();
            let mut rest = began.as_slice();
            while let Some((first_us, index, _)) = rest.first() {
                let within = rest.partition_point(|(us, _, _)| us - first_us <= SPAN_US);
                let (row, behind) = rest.split_at(within.min(ROW_ENTRIES));
                let key = [prefix.as_slice(), &first_us.to_be_bytes(), &index.to_be_bytes()].concat();
                let began = row.iter().flat_map(|(us, _, id)| Began::encode(*first_us, *us, *id));
                let value: Vec<u8> = began.collect();
                self.rows.insert(key, value);
                rest = behind;
            }
        }
        self.rows
    }
}
