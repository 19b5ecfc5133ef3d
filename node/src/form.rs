//! What other nodes say, judged by its form alone: without ledger, snapshot, disk or clock.
//!
//! The doors and corridors call these before they look at anything else. They are public so that hostile bytes can be thrown at
//! them directly (tests/fuzz); whoever speaks to a node goes through its doors.

use bytes::Bytes;
use jisr_ledger::note::NOTE_BYTES_MAX;
use jisr_ledger::statement::{Parsed, can_receipt};
use jisr_ledger::{Hash, seal};
use jisr_proto::ident::{ExchangeId, NodeId, Origin, SubsystemId};
use jisr_proto::peer::{HelloRequest, HelloResponse, ReceiptsRequest, ReconcileRequest, ReconcileResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::Citation;
use jisr_proto::status::Fault;
use prost::encoding::{self, DecodeContext};

pub use crate::pairing::{Item, Range, Sum};

/// The version of the peer protocol that this node speaks.
pub const PROTOCOL_VERSION: u32 = 1;
/// So many answered exchanges are listed by their items; more are halved.
pub const LISTED_MAX: usize = 64;
/// So many unanswered exchanges come at once.
pub const PAGE_MAX: usize = 1024;
/// So many receipts come at once.
pub const RECEIPTS_MAX: usize = 1024;

/// Longest time that is compared at once.
pub(crate) const CHUNK_MS: u64 = 3_600_000;
/// Longest time that is answered for at once: what peers with longer windows compare.
const SPAN_MS_MAX: u64 = 2 * CHUNK_MS;
/// Longest request of the peer protocol without the payload of an exchange, and longest answer besides a payload: a list of nothing
/// takes two bytes an element there, and some hundred in memory.
pub const ENVELOPE_BYTES_MAX: usize = 1 << 20;
/// Longest answer that carries no payload: as many proofs as are asked for at once in a ledger of 2^58 statements.
pub(crate) const ANSWER_BYTES_MAX: usize = 2 << 20;
/// Number of `payload` in `ExchangeRequest` and `ExchangeResponse`.
const PAYLOAD: u32 = 15;
/// Protocol versions that a caller may list.
const VERSIONS_MAX: usize = 16;
/// So much of an origin that is none stands in an error.
const ORIGIN_CHARS_SHOWN: usize = 200;

/// What a peer said of a range, in form.
#[derive(Debug, Clone)]
pub struct Told {
    /// Of all of it.
    pub sum: Sum,
    /// The items: all, or the first ones, or none, by their number.
    pub items: Vec<Item>,
}

/// Checks that an exchange's message is short but for its payload, before anything of it is allocated.
///
/// # Errors
/// BODY_TOO_LARGE; MALFORMED_FRAME where it is no message.
pub fn envelope(message: &[u8]) -> Result<(), Fault> {
    let wrong = |error: prost::DecodeError| malformed(error.to_string());
    let mut rest = message;
    let mut envelope = 0usize;
    while !rest.is_empty() {
        let before = rest.len();
        let (number, wire) = encoding::decode_key(&mut rest).map_err(wrong)?;
        encoding::skip_field(wire, number, &mut rest, DecodeContext::default()).map_err(wrong)?;
        if number != PAYLOAD {
            envelope = envelope.saturating_add(before - rest.len());
        }
        if envelope > ENVELOPE_BYTES_MAX {
            return Err(Fault::new(
                Reason::BodyTooLarge,
                format!("a message of an exchange has more than {ENVELOPE_BYTES_MAX} bytes besides its payload"),
            ));
        }
    }
    Ok(())
}

/// Checks the form of a caller's `Hello`; `listed` is the origin that the snapshot lists for it.
///
/// # Errors
/// PROTOCOL_VERSION, ORIGIN_UNLISTED, MALFORMED_FRAME.
pub fn hello(request: &HelloRequest, caller: &NodeId, listed: &Origin) -> Result<(), Fault> {
    if request.versions.len() > VERSIONS_MAX {
        let count = request.versions.len();
        return Err(malformed(format!(
            "{caller} lists {count} protocol versions, {VERSIONS_MAX} are possible"
        )));
    }
    if !request.versions.contains(&PROTOCOL_VERSION) {
        let detail = format!(
            "this node speaks version {PROTOCOL_VERSION}, the caller {:?}",
            request.versions
        );
        return Err(Fault::new(Reason::ProtocolVersion, detail));
    }
    introduced(
        caller,
        listed,
        &request.origin,
        [&request.snapshot, &request.checkpoint, &request.yours],
    )
}

/// Checks the form of the answer to a `Hello`. Returns the consistency proof.
///
/// # Errors
/// PROTOCOL_VERSION, ORIGIN_UNLISTED, MALFORMED_FRAME, PEER_MISBEHAVED (the proof).
pub fn hello_answer(answer: &HelloResponse, peer: &NodeId, listed: &Origin) -> Result<Vec<Hash>, Fault> {
    if answer.version != PROTOCOL_VERSION {
        let detail = format!(
            "{peer} speaks version {}, this node speaks {PROTOCOL_VERSION}",
            answer.version
        );
        return Err(Fault::new(Reason::ProtocolVersion, detail));
    }
    introduced(
        peer,
        listed,
        &answer.origin,
        [&answer.snapshot, &answer.checkpoint, &answer.yours],
    )?;
    let proof = seal::path(&answer.proof);
    proof.map_err(|error| Fault::new(Reason::PeerMisbehaved, format!("{peer}: the proof at Hello: {error}")))
}

/// What both sides of a `Hello` say: their origin, the snapshot's digest, and two notes.
fn introduced(
    node: &NodeId,
    listed: &Origin,
    origin: &str,
    [snapshot, checkpoint, yours]: [&Bytes; 3],
) -> Result<(), Fault> {
    if origin != listed.as_str() {
        // No longer than an origin that could be meant.
        let said: String = origin.chars().take(ORIGIN_CHARS_SHOWN).collect();
        let detail = format!("{node} says its ledger is {said}, the snapshot says {listed}");
        return Err(Fault::new(Reason::OriginUnlisted, detail));
    }
    if !matches!(snapshot.len(), 0 | 32) {
        return Err(malformed(format!(
            "the digest of {node}'s snapshot is not 32 bytes long"
        )));
    }
    if checkpoint.len().max(yours.len()) > NOTE_BYTES_MAX {
        return Err(malformed(format!(
            "{node} shows a checkpoint of more than {NOTE_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// Checks the size of a batch of receipts.
///
/// # Errors
/// MALFORMED_FRAME.
pub fn receipts(request: &ReceiptsRequest) -> Result<(), Fault> {
    let count = request.receipts.len();
    if count > RECEIPTS_MAX {
        return Err(malformed(format!(
            "{count} receipts came, at most {RECEIPTS_MAX} are taken"
        )));
    }
    Ok(())
}

/// Which exchange of a consumer of the `sender`'s member a receipt closes, and what it cites; `own`: the ledger of whoever takes it.
///
/// # Errors
/// MALFORMED_STATEMENT.
pub fn receipt<'a>(statement: &'a Parsed, sender: &NodeId, own: &Origin) -> Result<(ExchangeId, &'a Citation), Fault> {
    let misfit = |detail: &str| Fault::new(Reason::MalformedStatement, format!("a receipt of {sender}: {detail}"));
    let core = statement.core();
    if !can_receipt(statement.kind()) {
        return Err(misfit("the statement closes no exchange at a consumer"));
    }
    let exchange = ExchangeId::try_from(core.exchange_id.as_ref()).map_err(|error| misfit(&error.to_string()))?;
    let consumer: Result<SubsystemId, _> = core.consumer.parse();
    if !consumer.is_ok_and(|consumer| consumer.member() == sender.member()) {
        return Err(misfit("the exchange has another consumer"));
    }
    let citation = statement.citation();
    let citation = citation.ok_or_else(|| misfit("it cites nothing"))?;
    // Kept beside what it cites it would be a fault of this ledger, not of the peer's.
    if citation.origin == own.as_str() && core.provider_origin != citation.origin {
        return Err(misfit("it names another provider than the one that it cites"));
    }
    Ok((exchange, citation))
}

/// Checks what a peer asks of a window; `newest_ms`: until then a window may reach.
///
/// # Errors
/// MALFORMED_FRAME.
pub fn window(request: &ReconcileRequest, newest_ms: u64) -> Result<Range, Fault> {
    let (from, until) = (request.from_ms, request.until_ms);
    if from >= until || until - from > SPAN_MS_MAX || until > newest_ms {
        return Err(malformed(format!(
            "a window lies in the past and is at most {} s long",
            SPAN_MS_MAX / 1000
        )));
    }
    let window = Range::of_time(from, until);
    let bound = |bytes: &Bytes, default: ExchangeId| {
        if bytes.is_empty() {
            return Ok(default);
        }
        ExchangeId::try_from(bytes.as_ref()).map_err(|error| malformed(error.to_string()))
    };
    let range = Range {
        low: bound(&request.low, window.low)?,
        high: bound(&request.high, window.high)?,
    };
    if !window.holds(&range.low) || !window.holds(&range.high) || range.low > range.high {
        return Err(malformed("the ids lie outside of the window".to_owned()));
    }
    Ok(range)
}

/// Checks what a peer tells of a range: items of it, in order, each once, as many as there must be, under their root.
///
/// # Errors
/// What does not hold together.
pub fn told(response: &ReconcileResponse, range: &Range, unanswered: bool) -> Result<Told, &'static str> {
    let root = response.root.as_ref().try_into();
    let items: Option<Vec<Item>> = response.items.iter().map(Item::parse).collect();
    let (Ok(root), Some(items)) = (root, items) else {
        return Err("an answer is out of form");
    };
    let sum = Sum {
        count: response.count,
        root,
    };
    let listed = match (unanswered, usize::try_from(sum.count)) {
        (true, count) => count.map_or(PAGE_MAX, |count| count.min(PAGE_MAX)),
        (false, Ok(count)) if count <= LISTED_MAX => count,
        (false, _) => 0,
    };
    let ordered = items.is_sorted_by(|one, next| one.exchange < next.exchange);
    if items.len() != listed || !ordered || !items.iter().all(|item| range.holds(&item.exchange)) {
        return Err("an answer lists other exchanges than it counts");
    }
    if items.len() as u64 == sum.count && Sum::of(&items) != sum {
        return Err("an answer lists other exchanges than its root holds");
    }
    Ok(Told { sum, items })
}

fn malformed(detail: String) -> Fault {
    Fault::new(Reason::MalformedFrame, detail)
}

#[cfg(test)]
mod tests;
