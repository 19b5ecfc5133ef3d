//! Who cosigned the checkpoints that findings rest on: looked up once it is known which they are.

use std::collections::HashMap;

use jisr_certs::digest::sha256;
use jisr_proto::ident::Origin;

use super::{Comparison, Side};
use crate::anchor::{Anchor, QuorumClass};
use crate::archive::{Archive, ArchiveError, Item};
use crate::note::{Checkpoint, SignedNote};
use crate::tree::Hash;

/// What a note says.
struct Known {
    size: u64,
    root: Hash,
    cosigned_by: Vec<String>,
}

/// Fills in size, root and cosigners of each proof.
pub(super) fn name(archives: &[Archive; 2], anchor: &Anchor, comparison: &mut Comparison) -> Result<(), ArchiveError> {
    for holder in Side::BOTH {
        let proofs = comparison.findings.iter().flat_map(|finding| &finding.proofs);
        let wanted = proofs
            .filter(|proof| proof.holder == holder)
            .filter_map(|proof| proof.note);
        let mut notes: HashMap<Hash, Option<Known>> = wanted.map(|note| (note, None)).collect();
        if notes.is_empty() {
            continue;
        }
        let origin = holder.other().of(&comparison.ledgers).origin.parse::<Origin>().ok();
        for item in holder.of(archives).items() {
            let Item::PeerNote(note) = item?.1 else { continue };
            if let Some(known) = notes.get_mut(&sha256(&[&note])) {
                *known = read(&note, origin.as_ref(), anchor);
            }
        }
        for proof in comparison.findings.iter_mut().flat_map(|finding| &mut finding.proofs) {
            let known = proof
                .note
                .filter(|_| proof.holder == holder)
                .and_then(|note| notes.get(&note));
            if let Some(Some(known)) = known {
                (proof.tree_size, proof.root) = (known.size, known.root);
                proof.cosigned_by.clone_from(&known.cosigned_by);
            }
        }
    }
    Ok(())
}

fn read(note: &[u8], origin: Option<&Origin>, anchor: &Anchor) -> Option<Known> {
    let checkpoint = Checkpoint::parse(SignedNote::parse(note).ok()?.text).ok()?;
    let cosigned = anchor.cosigned(note, origin?, QuorumClass::Standard).ok()?;
    Some(Known {
        size: checkpoint.size,
        root: checkpoint.root,
        cosigned_by: cosigned.by.into_iter().map(|cosignature| cosignature.name).collect(),
    })
}
