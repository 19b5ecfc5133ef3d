//! Time-stamps on this ledger, and those that renew them.

use super::{Fault, item::Stamp};
use crate::{
    evidence::instant::utc,
    note::SignedNote,
    stamp::{leaf, renewal_imprint},
    tree::{Hash, leaf_hash, root_of},
};
use jisr_certs::{
    error::CertError,
    stamp::{StampRule, Stamped, Trust, verify},
};

/// The time-stamps so far.
pub(super) struct Stamps {
    trust: Trust,
    /// Leaf hashes in their tree.
    leaves: Vec<Hash>,
    renewals: u64,
    untrusted: u64,
    /// Size of the newest checkpoint with one that counts, and what it says.
    newest: Option<(u64, Stamped)>,
}

impl Stamps {
    pub(super) fn new(trust: Trust) -> Self {
        Self {
            trust,
            leaves: Vec::new(),
            renewals: 0,
            untrusted: 0,
            newest: None,
        }
    }

    /// Takes the next; its checkpoint, where it has one, has been compared with the tree.
    pub(super) fn take(&mut self, stamp: Stamp) -> Result<(), Fault> {
        match stamp {
            Stamp::Checkpoint { checked, judged, leaf } => {
                match judged {
                    Some(stamped) => self.newest = Some((checked.size, stamped)),
                    None => self.untrusted += 1,
                }
                self.leaves.push(leaf_hash(&leaf));
            }
            Stamp::Renewal { size, token } => {
                let renewed = usize::try_from(size).ok().filter(|size| *size > 0);
                let renewed = renewed.and_then(|size| self.leaves.get(..size));
                let renewed =
                    renewed.ok_or_else(|| Fault::new("stamps", "a renewal is of time-stamps that are not there"))?;
                let imprint = renewal_imprint(size, &root_of(renewed));
                self.renewals += 1;
                self.untrusted += u64::from(judge(&token, &imprint, &self.trust)?.is_none());
                self.leaves.push(leaf_hash(&leaf(&token)));
            }
        }
        Ok(())
    }

    pub(super) fn text(&self) -> String {
        let Some((size, newest)) = &self.newest else {
            return match self.untrusted {
                0 => "not present".to_owned(),
                count => format!("{count}, by authorities that the anchor does not name: they count for nothing"),
            };
        };
        let untrusted = match self.untrusted {
            0 => String::new(),
            count => format!("; {count} by authorities that the anchor does not name count for nothing"),
        };
        format!(
            "{} tokens hold, {} of them renew others; the ledger had {size} statements by {}, says {}{untrusted}",
            self.leaves.len() as u64 - self.untrusted,
            self.renewals,
            utc(newest.time_us),
            newest.authority
        )
    }
}

/// What a token says; none where its authority is not trusted.
pub(super) fn judge(token: &[u8], imprint: &Hash, trust: &Trust) -> Result<Option<Stamped>, Fault> {
    match verify(token, imprint, trust) {
        Ok(stamped) => Ok(Some(stamped.into_inner())),
        Err(CertError::Stamp(refused)) if refused.rule == StampRule::Untrusted => Ok(None),
        Err(error) => Err(Fault::new("stamps", error.to_string())),
    }
}

/// The text of a note, which a token is over.
pub(super) fn text(note: &[u8]) -> Result<&[u8], Fault> {
    SignedNote::parse(note)
        .map(|note| note.text.as_bytes())
        .map_err(|error| Fault::new("stamps", error.to_string()))
}
