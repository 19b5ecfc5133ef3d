//! The scan: one pass over the bytes beside the table of the message.

use super::table::{Field, Shape, Table, Tables};
use super::{CanonicalError, SKIPPED_FROM, Why};
use crate::wire::{DELIMITED, FIXED32, FIXED64, Reader, VARINT, WireError};

/// Checks one message. `depth` is how many levels may still follow, this one included.
pub(super) fn message(
    tables: &'static Tables,
    table: &'static Table,
    bytes: &[u8],
    depth: usize,
) -> Result<(), CanonicalError> {
    let error = |field, why| CanonicalError {
        message: &table.name,
        field,
        why,
    };
    let Some(below) = depth.checked_sub(1) else {
        return Err(error(0, Why::Depth));
    };
    let mut reader = Reader::new(bytes);
    // Both the message and the table ascend by number, so one walk over the table finds every field.
    let mut known: &[Field] = &table.fields;
    let mut last = 0;
    while !reader.is_empty() {
        let (number, wire) = reader.tag().map_err(|why| error(last, why.into()))?;
        if number < last {
            return Err(error(number, Why::Order));
        }
        while let [field, after @ ..] = known
            && field.number < number
        {
            known = after;
        }
        let again = number == last;
        last = number;
        match known.first().filter(|field| field.number == number) {
            Some(field) if again && !field.each_on_its_own() => return Err(error(number, Why::Duplicate)),
            Some(field) => {
                if let Some((position, content)) = value(field, wire, &mut reader).map_err(|why| error(number, why))? {
                    message(tables, tables.message(position), content, below)?;
                }
            }
            None if number < SKIPPED_FROM => return Err(error(number, Why::Unknown)),
            None => reader.skip(wire).map_err(|why| error(number, why.into()))?,
        }
    }
    Ok(())
}

impl Field {
    /// Whether each element of the field is a field of its own on the wire, rather than one packed field holding all.
    fn each_on_its_own(&self) -> bool {
        self.repeated && matches!(self.shape, Shape::Bytes | Shape::Text | Shape::Message(_))
    }
}

/// Checks the value of a field. Of a message it returns position and content, still to be checked.
fn value<'a>(field: &Field, wire: u8, reader: &mut Reader<'a>) -> Result<Option<(usize, &'a [u8])>, Why> {
    let content = match field.shape {
        Shape::Bytes | Shape::Text | Shape::Message(_) => {
            expect(wire, DELIMITED)?;
            reader.delimited()?
        }
        scalar if field.repeated => {
            expect(wire, DELIMITED)?;
            packed(scalar, reader.delimited()?)?;
            return Ok(None);
        }
        scalar => {
            expect(wire, wire_of(scalar))?;
            let zero = self::scalar(scalar, reader)?;
            return if zero && !field.presence {
                Err(Why::Default)
            } else {
                Ok(None)
            };
        }
    };
    if let Shape::Message(position) = field.shape {
        return Ok(Some((position, content)));
    }
    if content.is_empty() && !field.repeated && !field.presence {
        return Err(Why::Default);
    }
    if matches!(field.shape, Shape::Text) && std::str::from_utf8(content).is_err() {
        return Err(Why::Utf8);
    }
    Ok(None)
}

/// Checks the elements of a packed field, of which there is at least one.
fn packed(shape: Shape, content: &[u8]) -> Result<(), Why> {
    if content.is_empty() {
        return Err(Why::Default);
    }
    let mut reader = Reader::new(content);
    while !reader.is_empty() {
        scalar(shape, &mut reader)?;
    }
    Ok(())
}

/// Checks one scalar; whether it is zero.
fn scalar(shape: Shape, reader: &mut Reader<'_>) -> Result<bool, Why> {
    match shape {
        Shape::Unsigned { max } => match reader.varint()? {
            value if value > max => Err(Why::Range),
            value => Ok(value == 0),
        },
        Shape::Signed32 => {
            let value = reader.varint()?;
            i32::try_from(value.cast_signed())
                .map(|value| value == 0)
                .map_err(|_| Why::Range)
        }
        Shape::Fixed64 => Ok(reader.take(8)?.iter().all(|byte| *byte == 0)),
        Shape::Fixed32 => Ok(reader.take(4)?.iter().all(|byte| *byte == 0)),
        Shape::Bytes | Shape::Text | Shape::Message(_) => Err(Why::WireType),
    }
}

fn wire_of(scalar: Shape) -> u8 {
    match scalar {
        Shape::Unsigned { .. } | Shape::Signed32 => VARINT,
        Shape::Fixed64 => FIXED64,
        Shape::Fixed32 => FIXED32,
        Shape::Bytes | Shape::Text | Shape::Message(_) => DELIMITED,
    }
}

fn expect(wire: u8, wanted: u8) -> Result<(), Why> {
    if wire == wanted { Ok(()) } else { Err(Why::WireType) }
}

impl From<WireError> for Why {
    fn from(error: WireError) -> Why {
        match error {
            WireError::Truncated => Why::Truncated,
            WireError::Varint => Why::Varint,
            WireError::Number => Why::Number,
            WireError::WireType => Why::WireType,
        }
    }
}
