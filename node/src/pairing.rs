//! What two nodes must both hold of their exchanges, as items of a tree (docs/formats.md, Reconciliation).

use std::collections::HashMap;

use bytes::Bytes;
use jisr_certs::digest;
use jisr_ledger::Hash;
use jisr_ledger::ledger::{Ledger, PairRow, ReadError};
use jisr_ledger::tree::{self, Frontier};
use jisr_proto::ident::{ExchangeId, Origin};
use jisr_proto::peer::PairItem;

/// Milliseconds of exchange ids that are read at once, at most and at least.
const SLICE_MS: (u64, u64) = (1, 60_000);
/// Rows that one slice should hold.
const SLICE_ROWS: usize = 16_384;

/// Which exchanges with one peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Selection {
    /// Origin of the peer's ledger.
    pub peer: Origin,
    /// This node asked.
    pub asked_by_us: bool,
    /// Those that were not answered, instead of those that were.
    pub unanswered: bool,
}

/// Ids made in a window of time, from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub low: ExchangeId,
    /// The last.
    pub high: ExchangeId,
}

/// What both sides hold of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Leaf input of ASKED.
    pub asked: Hash,
    /// Leaf input of the provider's closing statement.
    pub closing: Option<Hash>,
}

/// How many items there are, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// RFC 6962 root over their hashes by id.
    pub root: Hash,
}

/// A sum that grows.
#[derive(Debug, Default)]
struct Summing(Frontier);

impl Item {
    fn of(row: &PairRow, unanswered: bool) -> Option<Item> {
        let closing = match (row.answered, unanswered) {
            (Some(answered), false) => Some(answered),
            // The provider has not said anything yet.
            (None, true) if row.asked_by_us || row.closed.is_some() => row.otherwise,
            _ => return None,
        };
        Some(Item {
            exchange: row.exchange,
            asked: row.asked,
            closing,
        })
    }

    /// The leaf input in the tree of items.
    fn input(&self) -> Hash {
        let closing = self.closing.as_ref().map_or(&[][..], Hash::as_slice);
        digest::domain("jisr.pair", &[self.exchange.as_bytes(), &self.asked, closing])
    }

    /// As it is sent.
    pub fn wire(&self) -> PairItem {
        PairItem {
            exchange_id: Bytes::copy_from_slice(self.exchange.as_bytes()),
            asked: Bytes::copy_from_slice(&self.asked),
            closing: self
                .closing
                .map(|leaf| Bytes::copy_from_slice(&leaf))
                .unwrap_or_default(),
        }
    }

    /// As it came; `None` where it is out of form.
    pub fn parse(wire: &PairItem) -> Option<Item> {
        Some(Item {
            exchange: ExchangeId::try_from(wire.exchange_id.as_ref()).ok()?,
            asked: wire.asked.as_ref().try_into().ok()?,
            closing: if wire.closing.is_empty() {
                None
            } else {
                Some(wire.closing.as_ref().try_into().ok()?)
            },
        })
    }
}

impl Summing {
    fn add(&mut self, item: &Item) {
        self.0.push(tree::leaf_hash(&item.input()));
    }

    fn sum(&self) -> Sum {
        Sum {
            count: self.0.size(),
            root: self.0.root(),
        }
    }
}

impl Sum {
    /// Of items in order.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a Item>) -> Sum {
        let mut summing = Summing::default();
        items.into_iter().for_each(|item| summing.add(item));
        summing.sum()
    }
}

impl Range {
    /// All ids made from `from_ms` to before `until_ms`, which is the later one.
    pub fn of_time(from_ms: u64, until_ms: u64) -> Range {
        Range {
            low: first_of(from_ms),
            high: id_of(rank(&first_of(until_ms)).saturating_sub(1)),
        }
    }

    /// Whether an id lies in it.
    pub fn holds(&self, id: &ExchangeId) -> bool {
        (self.low..=self.high).contains(id)
    }

    /// The lower and the upper half; `None` where there is one id only.
    pub fn halves(&self) -> Option<(Range, Range)> {
        let (low, high) = (rank(&self.low), rank(&self.high));
        if low >= high {
            return None;
        }
        let middle = low + (high - low) / 2;
        let lower = Range {
            low: self.low,
            high: id_of(middle),
        };
        let upper = Range {
            low: id_of(middle + 1),
            high: self.high,
        };
        Some((lower, upper))
    }

    /// What follows this id; `None` where nothing does.
    pub fn after(&self, id: &ExchangeId) -> Option<Range> {
        let next = rank(id) + 1;
        (next <= rank(&self.high)).then(|| Range {
            low: id_of(next),
            high: self.high,
        })
    }

    /// What lies up to this id, itself included.
    pub fn up_to(&self, id: &ExchangeId) -> Range {
        Range {
            low: self.low,
            high: *id.min(&self.high),
        }
    }
}

/// Bits of an id after the 48 of its time that are not fixed: 12 and 62 (RFC 9562, section 5.7).
const FREE_BITS: u32 = 74;

/// Where an id stands among all ids: its 122 bits that are not fixed.
fn rank(id: &ExchangeId) -> u128 {
    let bits = u128::from_be_bytes(*id.as_bytes());
    let (time, a, b) = (bits >> 80, bits >> 64 & 0xfff, bits & (u128::MAX >> 66));
    time << FREE_BITS | a << 62 | b
}

/// The id that stands there.
fn id_of(rank: u128) -> ExchangeId {
    let (time, a, b) = (rank >> FREE_BITS, rank >> 62 & 0xfff, rank & (u128::MAX >> 66));
    let bits = (time & 0xffff_ffff_ffff) << 80 | 7 << 76 | a << 64 | 0b10 << 62 | b;
    ExchangeId::try_from(bits.to_be_bytes().as_slice()).expect("version and variant are set")
}

fn first_of(ms: u64) -> ExchangeId {
    id_of(u128::from(ms) << FREE_BITS)
}

/// Every exchange whose id lies in the range, by id. Memory is bounded by what a moment holds. Blocks on disk.
pub(crate) fn each_in(
    ledger: &Ledger,
    range: &Range,
    mut row: impl FnMut(&PairRow) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let until = range.high.time_ms().saturating_add(1);
    let mut from = range.low.time_ms();
    let mut slice = SLICE_MS.1;
    while from < until {
        let to = from.saturating_add(slice).min(until);
        let rows = ledger.pairs(from, to, range.low, range.high)?;
        rows.iter().try_for_each(&mut row)?;
        let (least, most) = SLICE_MS;
        slice = if rows.len() > SLICE_ROWS { slice / 2 } else { slice * 2 };
        slice = slice.clamp(least, most);
        from = to;
    }
    Ok(())
}

/// The same for all ids made in a time.
pub(crate) fn each(
    ledger: &Ledger,
    from_ms: u64,
    until_ms: u64,
    row: impl FnMut(&PairRow) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    each_in(ledger, &Range::of_time(from_ms, until_ms), row)
}

/// What a range holds of one selection.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Of all of it.
    pub sum: Sum,
    /// The first items, as many as were asked for.
    pub items: Vec<Item>,
    /// Not all exchanges are closed on this side.
    pub open: bool,
    /// Rows that were looked at, of whomever.
    pub rows: u64,
}

/// Looks at a range. Blocks on disk.
pub(crate) fn survey(
    ledger: &Ledger,
    selection: &Selection,
    range: &Range,
    items_max: usize,
) -> Result<Survey, ReadError> {
    let mut summing = Summing::default();
    let (mut items, mut open, mut rows) = (Vec::new(), false, 0);
    each_in(ledger, range, |row| {
        rows += 1;
        if row.peer != selection.peer || row.asked_by_us != selection.asked_by_us {
            return Ok(());
        }
        open |= row.closed.is_none();
        if let Some(item) = Item::of(row, selection.unanswered) {
            summing.add(&item);
            if items.len() < items_max {
                items.push(item);
            }
        }
        Ok(())
    })?;
    Ok(Survey {
        sum: summing.sum(),
        items,
        open,
        rows,
    })
}

/// Sums of a range for all selections that it holds anything of, and how many rows were read. Blocks on disk.
pub(crate) fn sums(ledger: &Ledger, range: &Range) -> Result<(HashMap<Selection, Sum>, u64), ReadError> {
    let mut all: HashMap<Selection, Summing> = HashMap::new();
    let mut rows = 0;
    each_in(ledger, range, |row| {
        rows += 1;
        for unanswered in [false, true] {
            if let Some(item) = Item::of(row, unanswered) {
                let selection = Selection {
                    peer: row.peer.clone(),
                    asked_by_us: row.asked_by_us,
                    unanswered,
                };
                all.entry(selection).or_default().add(&item);
            }
        }
        Ok(())
    })?;
    let sums = all.into_iter().map(|(of, summing)| (of, summing.sum()));
    Ok((sums.collect(), rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_ranks_in_their_order_and_back() {
        let mut last = None;
        for ms in [0, 1, 1_700_000_000_000, (1 << 48) - 1] {
            for random in [[0; 10], [1; 10], [0x7f; 10], [0xff; 10]] {
                let id = ExchangeId::new_v7(ms * 1_000, random);
                assert_eq!(id_of(rank(&id)), id);
                assert!(last < Some(rank(&id)));
                last = Some(rank(&id));
            }
        }
    }

    #[test]
    fn halving_a_window_misses_no_id_and_ends() {
        let window = Range::of_time(5_000, 6_000);
        assert_eq!((window.low.time_ms(), window.high.time_ms()), (5_000, 5_999));
        let mut range = window;
        let mut steps = 0;
        while let Some((lower, upper)) = range.halves() {
            assert_eq!(rank(&lower.high) + 1, rank(&upper.low));
            assert_eq!((lower.low, upper.high), (range.low, range.high));
            assert_eq!(lower.after(&lower.high), None);
            assert_eq!(range.after(&lower.high), Some(upper));
            assert_eq!(range.up_to(&lower.high), lower);
            range = if steps % 2 == 0 { upper } else { lower };
            steps += 1;
        }
        assert!(steps <= 84, "{steps}");
    }

    /// docs/vectors/reconciliation.json: items, their leaf inputs, and the roots over the first ones.
    #[test]
    fn the_vector_is_what_the_code_makes() {
        let items: Vec<Item> = (0..5u8)
            .map(|nth| Item {
                exchange: ExchangeId::new_v7(1_790_000_000_000_000 + u64::from(nth) * 1_000, [nth; 10]),
                asked: [0xa0 + nth; 32],
                closing: (nth != 2).then_some([0xc0 + nth; 32]),
            })
            .collect();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let listed = items.iter().map(|item| {
            serde_json::json!({
                "exchange_id": hex(item.exchange.as_bytes()),
                "asked": hex(&item.asked),
                "closing": item.closing.map(|leaf| hex(&leaf)).unwrap_or_default(),
                "input": hex(&item.input()),
            })
        });
        let roots = (0..=items.len()).map(|count| hex(&Sum::of(&items[..count]).root));
        let made = serde_json::json!({
            "items": listed.collect::<Vec<_>>(),
            "roots_of_the_first": roots.collect::<Vec<_>>(),
        });
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors/reconciliation.json");
        let kept = std::fs::read_to_string(path).expect("the vector is there");
        let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
        assert!(kept == made, "{made:#}");
    }

    #[test]
    fn an_item_comes_as_it_went_and_one_out_of_form_does_not() {
        let item = Item {
            exchange: ExchangeId::new_v7(7, [1; 10]),
            asked: [2; 32],
            closing: Some([3; 32]),
        };
        let without = Item { closing: None, ..item };
        assert_eq!(Item::parse(&item.wire()), Some(item));
        assert_eq!(Item::parse(&without.wire()), Some(without));
        assert_ne!(Sum::of([&item]), Sum::of([&without]));
        let breaks: [fn(&mut PairItem); 3] = [
            |item| item.exchange_id = Bytes::from_static(&[0; 16]),
            |item| item.asked = Bytes::new(),
            |item| item.closing = Bytes::from_static(&[0; 31]),
        ];
        for break_it in breaks {
            let mut wire = item.wire();
            break_it(&mut wire);
            assert_eq!(Item::parse(&wire), None);
        }
    }
}
