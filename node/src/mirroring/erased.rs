//! What an erasure may change of a frame: parts and payloads that were there are erased in their place, and nothing else.

use jisr_ledger::frame::{Form, PeerStatement, Record, Records, StoredParts, StoredPayload};

/// Whether `live` is the body `mirrored` with nothing changed but what was erased since.
pub(super) fn is_erasure_of(live: &[u8], mirrored: &[u8]) -> bool {
    if live.len() != mirrored.len() {
        return false;
    }
    let (mut now, mut before) = (Records::new(live), Records::new(mirrored));
    loop {
        match (now.next(), before.next()) {
            (None, None) => return true,
            (Some(Ok(now)), Some(Ok(before))) if now == before || record_erased(now, before) => {}
            _ => return false,
        }
    }
}

/// Whether anything in this body is erased.
pub(super) fn holds_erased(body: &[u8]) -> bool {
    let parts = |stored: &[u8]| {
        StoredParts::new(stored)
            .is_ok_and(|mut parts| parts.any(|part| part.is_ok_and(|part| matches!(part.form, Form::Erased { .. }))))
    };
    Records::new(body).any(|record| match record {
        Ok(Record::Statement(stored)) => parts(stored),
        Ok(Record::PeerStatement(data) | Record::Receipt(data)) => {
            PeerStatement::parse(data).is_ok_and(|peer| parts(peer.statement))
        }
        Ok(Record::Payload(data)) => matches!(StoredPayload::parse(data), Ok(StoredPayload::Erased)),
        _ => false,
    })
}

fn record_erased(live: Record<'_>, mirrored: Record<'_>) -> bool {
    match (live, mirrored) {
        (Record::Statement(live), Record::Statement(mirrored)) => parts_erased(live, mirrored),
        (Record::PeerStatement(live), Record::PeerStatement(mirrored))
        | (Record::Receipt(live), Record::Receipt(mirrored)) => {
            match (PeerStatement::parse(live), PeerStatement::parse(mirrored)) {
                (Ok(live), Ok(mirrored)) => {
                    (live.index, live.tree_size, live.note, live.path)
                        == (mirrored.index, mirrored.tree_size, mirrored.note, mirrored.path)
                        && parts_erased(live.statement, mirrored.statement)
                }
                _ => false,
            }
        }
        (Record::Payload(live), Record::Payload(mirrored)) => {
            matches!(StoredPayload::parse(live), Ok(StoredPayload::Erased))
                && StoredPayload::parse(mirrored).is_ok()
                && live.len() == mirrored.len()
        }
        _ => false,
    }
}

fn parts_erased(live: &[u8], mirrored: &[u8]) -> bool {
    let (Ok(mut now), Ok(mut before)) = (StoredParts::new(live), StoredParts::new(mirrored)) else {
        return false;
    };
    loop {
        match (now.next(), before.next()) {
            (None, None) => return true,
            (Some(Ok(now)), Some(Ok(before))) => {
                let erased = matches!(now.form, Form::Erased { .. }) && now.hash() == before.hash();
                if now.tag != before.tag || !(now == before || erased) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}
