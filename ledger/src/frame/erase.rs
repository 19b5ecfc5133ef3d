//! Erases parts of a frame in its place: hashes stay, what was hashed becomes zero, every length stays as it was.

use super::{FrameError, StoredPayload};
use crate::statement::{STORED_PAYLOAD, Tag, part_hash};

/// Bytes of a record before its data: type and length.
const RECORD_HEADER: usize = 5;
/// Bytes of a part before its data: tag, form, length.
const PART_HEADER: usize = 6;
/// Where in the data of PEER_STATEMENT the number of path hashes stands.
const PATH_COUNT_AT: usize = 8 + 8 + 32;
/// Form of what is erased, of parts and payloads alike.
const ERASED: u8 = 2;

/// Erases from a frame's body the parts that `tags_of` names for its entries, the first of which has the index `first`
/// (docs/formats.md, Erasure and hold: what a tag names). Returns how many were there to erase; what is erased already
/// is left as it is.
///
/// # Errors
/// The body is not one of a ledger; then it may be changed in part and must not be written.
pub fn erase<'t>(body: &mut [u8], first: u64, tags_of: impl Fn(u64) -> Option<&'t [u8]>) -> Result<u32, FrameError> {
    let bad = || FrameError::Record("it ends before its data does");
    let (mut next, mut tags, mut erased) = (first, None, 0);
    let mut rest = body;
    while !rest.is_empty() {
        let (header, after) = rest.split_first_chunk_mut::<RECORD_HEADER>().ok_or_else(bad)?;
        let [kind, length @ ..] = *header;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| bad())?;
        let (data, after) = after.split_at_mut_checked(length).ok_or_else(bad)?;
        rest = after;
        if kind == 1 {
            tags = tags_of(next);
            next += 1;
        }
        let Some(tags) = tags else { continue };
        erased += match kind {
            1 => parts(data, tags)?,
            4 => parts(cited(data).ok_or_else(bad)?, tags)?,
            8 => payload(data, tags)?,
            _ => 0,
        };
    }
    Ok(erased)
}

/// The stored statement in the data of a PEER_STATEMENT.
fn cited(data: &mut [u8]) -> Option<&mut [u8]> {
    let hashes = usize::from(*data.get(PATH_COUNT_AT)?);
    data.get_mut(PATH_COUNT_AT + 1 + 32 * hashes..)
}

fn parts(stored: &mut [u8], tags: &[u8]) -> Result<u32, FrameError> {
    let bad = || FrameError::Record("a part ends before its data does");
    let mut erased = 0;
    let (_, mut rest) = stored.split_first_mut().ok_or_else(bad)?;
    while !rest.is_empty() {
        let (header, after) = rest.split_first_chunk_mut::<PART_HEADER>().ok_or_else(bad)?;
        let [tag, form, length @ ..] = header;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| bad())?;
        let (data, after) = after.split_at_mut_checked(length).ok_or_else(bad)?;
        rest = after;
        let named = Tag::from_number(*tag).filter(|named| named.can_be_erased() && tags.contains(tag));
        let Some(named) = named.filter(|_| *form != ERASED) else {
            continue;
        };
        let (hash, held) = data.split_first_chunk_mut::<32>().ok_or_else(bad)?;
        if *form == 0 {
            // In the clear the salt stands where the hash is to be.
            *hash = part_hash(named, hash, held);
        }
        held.fill(0);
        *form = ERASED;
        erased += 1;
    }
    Ok(erased)
}

fn payload(data: &mut [u8], tags: &[u8]) -> Result<u32, FrameError> {
    let named = tags.contains(&STORED_PAYLOAD) || tags.contains(&Tag::Payload.number());
    if !named || StoredPayload::parse(data)? == StoredPayload::Erased {
        return Ok(0);
    }
    data.fill(0);
    if let Some(form) = data.first_mut() {
        *form = ERASED;
    }
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::super::{
        Form, Record, Records, StoredParts, put_clear, put_encrypted, put_payload, put_peer_statement, put_record,
    };
    use super::*;
    use crate::tree::Hash;

    fn stored(tags: &[Tag]) -> Vec<u8> {
        let mut stored = vec![u8::try_from(tags.len()).expect("few")];
        for tag in tags {
            match tag.data_class() {
                None => put_clear(&mut stored, *tag, &[1; 32], b"content"),
                Some(class) => {
                    put_encrypted(&mut stored, *tag, &[tag.number(); 32], (683, class), &[3; 12], &[4; 60]);
                }
            }
        }
        stored
    }

    /// Two entries; the second cites and has a payload.
    fn body() -> Vec<u8> {
        let mut body = Vec::new();
        put_record(&mut body, Record::PeerNote(b"note"));
        put_record(
            &mut body,
            Record::Statement(&stored(&[Tag::Core, Tag::Purpose, Tag::Case])),
        );
        put_record(&mut body, Record::Statement(&stored(&[Tag::Core, Tag::Peer])));
        let cited = stored(&[Tag::Core, Tag::Case, Tag::Subject, Tag::Payload]);
        put_peer_statement(&mut body, (5, 9), &[1; 32], &[[2; 32], [3; 32]], |body| {
            body.extend_from_slice(&cited);
        });
        put_payload(&mut body, 683, &[3; 12], &[4; 50]);
        put_record(&mut body, Record::Checkpoint(b"note"));
        body
    }

    /// Hashes of the parts, and which are erased, of every statement in the body.
    fn found(body: &[u8]) -> Vec<(u8, bool, Hash)> {
        let mut found = Vec::new();
        for record in Records::new(body) {
            let stored = match record.expect("well formed") {
                Record::Statement(stored) => stored,
                Record::PeerStatement(data) => super::super::PeerStatement::parse(data).expect("good").statement,
                Record::Payload(data) => {
                    let is_erased = StoredPayload::parse(data) == Ok(StoredPayload::Erased);
                    found.push((STORED_PAYLOAD, is_erased, [0; 32]));
                    continue;
                }
                _ => continue,
            };
            for part in StoredParts::new(stored).expect("parts") {
                let part = part.expect("well formed");
                let is_erased = matches!(part.form, Form::Erased { .. });
                found.push((part.tag.number(), is_erased, part.hash()));
            }
        }
        found
    }

    #[test]
    fn what_is_named_goes_and_every_hash_and_length_stays() {
        let before = body();
        let was = found(&before);
        let mut after = before.clone();
        let tags: &[u8] = &[2, 3, 7, 8];
        assert_eq!(erase(&mut after, 40, |index| (index == 41).then_some(tags)), Ok(4));
        let is = found(&after);
        assert_eq!(after.len(), before.len());
        for (was, is) in was.iter().zip(&is).take(5) {
            assert_eq!(was, is, "another entry, or its own CORE and PEER");
        }
        for (was, is) in was.iter().zip(&is).skip(5) {
            assert_eq!((was.0, is.1, was.2), (is.0, is.0 != 1, is.2));
        }
        assert_eq!(erase(&mut after, 40, |_| Some(tags)), Ok(2), "only of the first entry");
        assert_eq!(found(&after)[1].2, was[1].2, "the hash of a clear part is computed");
        assert_eq!(erase(&mut after, 40, |_| Some(tags)), Ok(0));
    }

    #[test]
    fn the_payload_alone_can_go_and_core_and_peer_never() {
        let mut after = body();
        assert_eq!(erase(&mut after, 0, |_| Some(&[STORED_PAYLOAD])), Ok(1));
        assert!(
            found(&after)
                .iter()
                .all(|(tag, erased, _)| *erased == (*tag == STORED_PAYLOAD))
        );
        assert_eq!(erase(&mut body(), 0, |_| Some(&[1, 9, 10])), Ok(0));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_erased_or_refused(mut body: Vec<u8>) {
            let length = body.len();
            let _ = erase(&mut body, 0, |_| Some(&[2, 3, 4, 5, 6, 7, 8]));
            assert_eq!(body.len(), length);
        }
    }
}
