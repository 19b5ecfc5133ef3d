//! Canonical protobuf: exactly one encoding for each message (docs/formats.md, Conventions).
//!
//! What is signed or hashed is bytes, and a message that two readers understand differently is an attack. So bytes are
//! checked against the rule before they are parsed: ascending field numbers, no field twice, no default values,
//! shortest varints, packed repeated scalars, valid UTF-8, nothing unknown below field 1000.

mod scan;
mod table;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use prost::{Message, Name};

/// Unknown fields from this number on are skipped; below it they refuse the message.
pub const SKIPPED_FROM: u32 = 1000;

/// Messages may be nested this deep.
pub const DEPTH_MAX: usize = 16;

/// Parses bytes that must be canonical for `M`, a message of the `jisr.*` contracts. `bytes` fields of the result share
/// the storage of the input.
///
/// # Errors
/// The first place that breaks the rule.
pub fn decode<M: Message + Default + Name>(bytes: &Bytes) -> Result<M, CanonicalError> {
    check::<M>(bytes)?;
    M::decode(bytes.clone()).map_err(|_| unreadable::<M>())
}

fn unreadable<M: Name>() -> CanonicalError {
    CanonicalError {
        message: M::NAME,
        field: 0,
        why: Why::Unreadable,
    }
}

/// Parses as [`decode`] does, but only a message that holds at most so many messages and elements of repeated fields, all levels
/// counted: they are counted before anything is allocated for them. For what strangers wrote: an element takes two bytes there, and
/// some hundred in memory.
///
/// # Errors
/// The first place that breaks the rule, or [`Why::TooMany`].
pub fn decode_bounded<M: Message + Default + Name>(bytes: &Bytes, elements_max: usize) -> Result<M, CanonicalError> {
    scan::<M>(bytes, elements_max, &mut |_, _| {})?;
    M::decode(bytes.clone()).map_err(|_| unreadable::<M>())
}

/// Checks that bytes are canonical for `M` without parsing them.
///
/// # Errors
/// The first place that breaks the rule.
pub fn check<M: Name>(bytes: &[u8]) -> Result<(), CanonicalError> {
    visit::<M>(bytes, |_, _| {})
}

/// A field's value, as [`visit`] shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Of a number, bool or enum: its bits, signed ones extended to 64.
    Number(u64),
    /// Of a string.
    Text(&'a str),
    /// Of anything else: bytes, a message that was checked, packed numbers.
    Bytes(&'a [u8]),
}

/// Checks bytes as [`check`] does and shows every known field of the message, in order, by number and value: for whoever
/// needs a few fields of many messages and no copies. Before an error some fields may have been shown.
///
/// # Errors
/// The first place that breaks the rule.
pub fn visit<'a, M: Name>(bytes: &'a [u8], mut visit: impl FnMut(u32, Value<'a>)) -> Result<(), CanonicalError> {
    scan::<M>(bytes, usize::MAX, &mut visit)
}

fn scan<'a, M: Name>(
    bytes: &'a [u8],
    mut elements: usize,
    visit: &mut dyn FnMut(u32, Value<'a>),
) -> Result<(), CanonicalError> {
    let tables = table::tables();
    let table = tables.find(M::PACKAGE, M::NAME).ok_or(CanonicalError {
        message: M::NAME,
        field: 0,
        why: Why::NotOfTheContract,
    })?;
    scan::message(tables, table, bytes, (DEPTH_MAX, &mut elements), visit)
}

/// Encodes a message canonically, which is how prost always writes.
pub fn encode<M: Message>(message: &M) -> Bytes {
    message.encode_to_vec().into()
}

/// Bytes that are not canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical protobuf: {message} field {field}: {why}; the sender must encode it as docs/formats.md says")]
pub struct CanonicalError {
    /// Name of the message, without its package.
    pub message: &'static str,
    /// Number of the field; 0 where none could be read.
    pub field: u32,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The input ends within the field.
    #[error("the bytes end within it")]
    Truncated,
    /// A varint that has a shorter form, or more than 64 bits.
    #[error("a varint is not in its shortest form")]
    Varint,
    /// A field number of 0 or above 2^29 - 1.
    #[error("no such field number can exist")]
    Number,
    /// A field after one with a greater number.
    #[error("it stands after a field with a greater number")]
    Order,
    /// A field that is not repeated, or a packed one, for the second time.
    #[error("it appears twice")]
    Duplicate,
    /// A value that is written by leaving the field out.
    #[error("its default value is written out")]
    Default,
    /// A wire type other than that of the field; also groups, and repeated scalars that are not packed.
    #[error("its wire type is not the one the contract says")]
    WireType,
    /// A value out of the range of the field's type.
    #[error("its value is out of the range of its type")]
    Range,
    /// Text that is not UTF-8.
    #[error("its text is not UTF-8")]
    Utf8,
    /// A field below 1000 that the contract does not have.
    #[error("the contract has no such field, and fields below 1000 may not be ignored")]
    Unknown,
    /// Messages within messages, deeper than [`DEPTH_MAX`].
    #[error("messages are nested too deep")]
    Depth,
    /// More messages and elements than the caller takes.
    #[error("there are more messages and elements than its length allows")]
    TooMany,
    /// The message is not one of the contracts that this crate embeds.
    #[error("the message is not part of the contract")]
    NotOfTheContract,
    /// The parser refused what the scan let pass.
    #[error("it cannot be parsed")]
    Unreadable,
}
