//! What was erased, and whether officers said so: no part is erased that no ERASED names, and none was held.

use super::Fault;
use crate::{
    erasure::{self, ApprovalError, Owner},
    statement::{Act, STORED_PAYLOAD, Tag},
    tree::Hash,
};
use jisr_proto::ident::Origin;
use std::collections::BTreeSet;

/// Most holds that one ledger may have standing at a time.
const HOLDS_MAX: usize = 1 << 16;
/// Most parts that are erased, or named as erased, in one ledger: 8 bytes each are kept.
const ITEMS_MAX: usize = 1 << 28;
/// Slot of a stored message; those of parts are their tags.
const STORED_SLOT: u64 = 15;

/// An entry and a part of it in one number, ordered by entry.
fn item(index: u64, tag: u8) -> u64 {
    let slot = if tag == STORED_PAYLOAD {
        STORED_SLOT
    } else {
        u64::from(tag)
    };
    index << 4 | slot
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Erasures {
    erased: Vec<u64>,
    named: Vec<u64>,
    holds: BTreeSet<Hash>,
    pub(super) acts: u64,
    pub(super) held: u64,
    pub(super) released: u64,
}

fn wrong(text: impl Into<String>) -> Fault {
    Fault::new("erasures", text)
}

impl Erasures {
    /// A part of this entry, or of the statement that it cites, stands there erased.
    pub(super) fn part(&mut self, index: u64, tag: Tag) -> Result<(), Fault> {
        push(&mut self.erased, item(index, tag.number()))
    }

    /// The message stored with this entry stands there erased.
    pub(super) fn payload(&mut self, index: u64) -> Result<(), Fault> {
        push(&mut self.erased, item(index, STORED_PAYLOAD))
    }

    /// Parts found erased so far.
    pub(super) fn count(&self) -> usize {
        self.erased.len()
    }

    /// Takes an act of this ledger, which stands at `index`.
    pub(super) fn act(&mut self, index: u64, act: &Act, created_us: u64, origin: &Origin) -> Result<(), Fault> {
        let owner = Owner { origin, local_ca: None };
        let bad = |error: ApprovalError| wrong(error.to_string());
        match act {
            Act::Erased(act) => {
                let approved = erasure::erasure(act, owner, created_us).map_err(bad)?;
                for parts in &approved.document().parts {
                    if parts.index >= index {
                        return Err(wrong("an ERASED names an entry that comes after it"));
                    }
                    for tag in &parts.tags {
                        push(&mut self.named, item(parts.index, *tag))?;
                        // Who erases what a statement commits to erases the message too.
                        if *tag == Tag::Payload.number() {
                            push(&mut self.named, item(parts.index, STORED_PAYLOAD))?;
                        }
                    }
                }
                self.acts += 1;
            }
            Act::Held(act) => {
                let approved = erasure::hold(act, owner, created_us).map_err(bad)?;
                if self.holds.len() == HOLDS_MAX {
                    return Err(wrong("more holds stand than one ledger may have"));
                }
                if !self.holds.insert(*approved.digest()) {
                    return Err(wrong("the same hold begins twice"));
                }
                self.held += 1;
            }
            Act::Released(act) => {
                let approved = erasure::release(act, owner, created_us).map_err(bad)?;
                let hold = Hash::try_from(approved.document().hold.as_ref()).unwrap_or_default();
                if !self.holds.remove(&hold) {
                    return Err(wrong("a RELEASED ends a hold that does not stand"));
                }
                self.released += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks what can only be checked when all is read.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.named.sort_unstable();
        for item in &self.erased {
            if self.named.binary_search(item).is_err() {
                let text = format!("entry {}: a part is erased, and no ERASED names it", item >> 4);
                return Err(wrong(text));
            }
        }
        Ok(())
    }
}

fn push(items: &mut Vec<u64>, item: u64) -> Result<(), Fault> {
    if items.len() == ITEMS_MAX {
        return Err(wrong("more parts are erased than one ledger may have"));
    }
    items.push(item);
    Ok(())
}
