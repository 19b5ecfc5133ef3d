//! What acts besides the registry's may hold (docs/formats.md, Acts): lengths, bounds, documents within documents.
//!
//! Who signed them is checked by whoever knows the ledger's owner ([`crate::erasure`]); here they need only be well formed.

use super::{
    check_text,
    text::{TEXT_BYTES_MAX, check_text_up_to},
};
use crate::note::NOTE_BYTES_MAX;
use bytes::Bytes;
use jisr_proto::{
    canonical,
    ident::{ExchangeId, Origin},
    statement::{Approval, Erasure, Finding, FindingKind, Hold, Release, Resumed, Started},
};
use prost::{Message, Name};

/// Longest reason or text of an act, bytes.
const WORDS_BYTES_MAX: usize = 1024;
/// Most exchanges that a FINDING names.
pub const FINDING_EXCHANGES_MAX: usize = 256;
/// Most notes that a FINDING carries.
pub const FINDING_NOTES_MAX: usize = 4;
/// Most entries that one erasure names, and most exchanges that one hold names.
pub const NAMED_MAX: usize = 65_536;
/// Most officers who approve one act.
const APPROVALS_MAX: usize = 8;
/// Longest certificate or signature of an approval, bytes.
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Most heads that a new ledger succeeds.
const HEADS_MAX: usize = 8;
/// Tag that stands in an erasure for the stored message (record 8) alone.
pub const STORED_PAYLOAD: u8 = 128;
/// The one reason for which stored messages may be erased without an officer: their time is over.
pub const RETENTION: &str = "retention";

type Rule = Result<(), &'static str>;

pub(super) fn started(act: &Started) -> Rule {
    if act.succeeds.len() > HEADS_MAX {
        return Err("succeeds more ledgers than 8");
    }
    let bad = act.succeeds.iter().any(|head| {
        head.origin.parse::<Origin>().is_err() || head.root.len() != 32 || head.checkpoint.len() > NOTE_BYTES_MAX
    });
    if bad {
        Err("succeeds a head out of form")
    } else {
        Ok(())
    }
}

pub(super) fn resumed(act: &Resumed) -> Rule {
    if act.confirmed_size > act.size {
        return Err("was confirmed for more than it holds");
    }
    if check_text(act.confirmed_by.as_bytes()).is_err() {
        return Err("names whoever confirmed it by no acceptable text");
    }
    Ok(())
}

pub(super) fn finding(act: &Finding) -> Rule {
    if FindingKind::try_from(act.kind).map_or(true, |kind| kind == FindingKind::Unspecified) {
        return Err("is of a kind that is not known");
    }
    if act.origin.parse::<Origin>().is_err() {
        return Err("is about what is no ledger");
    }
    if act.exchanges.len() > FINDING_EXCHANGES_MAX || !are_exchanges(&act.exchanges) {
        return Err("names exchanges out of form, unsorted or too many");
    }
    if act.count != 0 && act.count < act.exchanges.len() as u64 {
        return Err("counts fewer exchanges than it names");
    }
    if act.from_us > act.until_us {
        return Err("ends before it begins");
    }
    if act.notes.len() > FINDING_NOTES_MAX || act.notes.iter().any(|note| note.len() > NOTE_BYTES_MAX) {
        return Err("carries notes too many or too long");
    }
    let is_text = |text: &str, most| text.is_empty() || check_text_up_to(text.as_bytes(), most).is_ok();
    if !is_text(&act.reported_by, TEXT_BYTES_MAX) || !is_text(&act.text, WORDS_BYTES_MAX) {
        return Err("holds no acceptable text");
    }
    Ok(())
}

/// Reads the document of an ERASED.
pub(crate) fn erasure(bytes: &Bytes, approvals: &[Approval]) -> Result<Erasure, &'static str> {
    let document: Erasure = decode(bytes)?;
    documented(document.format, &document.reason)?;
    if document.origin.parse::<Origin>().is_err() || document.created_us == 0 || document.nonce.len() != 16 {
        return Err("lacks origin, time or nonce in its document");
    }
    let parts = &document.parts;
    if parts.is_empty() || parts.len() > NAMED_MAX || !parts.is_sorted_by(|one, next| one.index < next.index) {
        return Err("names no entries, too many, or in another order than by index");
    }
    for part in parts {
        let tags = &part.tags;
        let known = tags.iter().all(|tag| (2..=8).contains(tag) || *tag == STORED_PAYLOAD);
        if part.index == 0 || tags.is_empty() || !known || !tags.is_sorted_by(|one, next| one < next) {
            return Err("names parts that cannot be erased");
        }
    }
    let stored_only = parts.iter().all(|part| part.tags.as_ref() == [STORED_PAYLOAD]);
    approved(approvals, !(stored_only && document.reason == RETENTION))?;
    Ok(document)
}

/// Reads the document of a HELD.
pub(crate) fn hold(bytes: &Bytes, approvals: &[Approval]) -> Result<Hold, &'static str> {
    let document: Hold = decode(bytes)?;
    documented(document.format, &document.reason)?;
    if document.origin.parse::<Origin>().is_err() || document.nonce.len() != 16 {
        return Err("lacks origin or nonce in its document");
    }
    if document.exchanges.len() > NAMED_MAX || !are_exchanges(&document.exchanges) {
        return Err("names exchanges out of form, unsorted or too many");
    }
    let timed = document.from_us < document.until_us;
    let untimed = document.from_us == 0 && document.until_us == 0;
    if !(timed || untimed && !document.exchanges.is_empty()) {
        return Err("holds neither exchanges nor a time");
    }
    approved(approvals, true)?;
    Ok(document)
}

/// Reads the document of a RELEASED.
pub(crate) fn release(bytes: &Bytes, approvals: &[Approval]) -> Result<Release, &'static str> {
    let document: Release = decode(bytes)?;
    documented(document.format, &document.reason)?;
    if document.hold.len() != 32 {
        return Err("names no hold");
    }
    approved(approvals, true)?;
    Ok(document)
}

fn documented(format: u32, reason: &str) -> Rule {
    if format != 1 {
        return Err("has a document of another format than 1");
    }
    check_text_up_to(reason.as_bytes(), WORDS_BYTES_MAX)
        .map(drop)
        .map_err(|_| "gives no acceptable reason in its document")
}

/// How many there must be is the owner's matter; that there are certificates and a signature in each is form.
fn approved(approvals: &[Approval], needed: bool) -> Rule {
    if approvals.len() > APPROVALS_MAX || needed && approvals.is_empty() {
        return Err("bears no approval, or too many");
    }
    let bounded = |bytes: &Bytes| (1..=CERTIFICATE_BYTES_MAX).contains(&bytes.len());
    let formed = approvals.iter().all(|approval| {
        approval.certificates.len() == 2 && approval.certificates.iter().all(bounded) && bounded(&approval.signature)
    });
    if formed {
        Ok(())
    } else {
        Err("bears an approval out of form")
    }
}

fn are_exchanges(ids: &[Bytes]) -> bool {
    ids.iter().all(|id| ExchangeId::try_from(id.as_ref()).is_ok()) && ids.is_sorted_by(|one, next| one < next)
}

fn decode<M: Message + Default + Name>(bytes: &Bytes) -> Result<M, &'static str> {
    canonical::decode(bytes).map_err(|_| "holds a document that is not canonical")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever seals again after a start names who confirmed it: a RESUMED without is refused by every reader.
    #[test]
    fn nobody_confirms_himself_or_more_than_there_is() {
        let act = Resumed {
            size: 7,
            program: "0.1.0".to_owned(),
            confirmed_by: "JO/GOV/psd/node/node1".to_owned(),
            confirmed_size: 7,
        };
        assert_eq!(resumed(&act), Ok(()));
        let nobody = Resumed {
            confirmed_by: String::new(),
            ..act.clone()
        };
        assert!(resumed(&nobody).is_err());
        let more = Resumed {
            confirmed_size: 8,
            ..act
        };
        assert!(resumed(&more).is_err());
    }
}
