//! The scan: one pass over the bytes beside the table of the message.

use super::table::{Field, Shape, Table, Tables};
use super::{CanonicalError, SKIPPED_FROM, Value, Why};
use crate::wire::{DELIMITED, FIXED32, FIXED64, Reader, VARINT, WireError};

/// Checks one message, and shows its known fields to `visit`. `depth` is how many levels may still follow, this one included;
/// `elements` how many messages and elements of repeated fields.
pub(super) fn message<'a>(
    tables: &'static Tables,
    table: &'static Table,
    bytes: &'a [u8],
    (depth, elements): (usize, &mut usize),
    visit: &mut dyn FnMut(u32, Value<'a>),
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
                let value = value(field, wire, &mut reader).map_err(|why| error(number, why))?;
                if field.is_element() {
                    *elements = elements.checked_sub(1).ok_or_else(|| error(number, Why::TooMany))?;
                }
                if let (Shape::Message(position), Value::Bytes(content)) = (field.shape, value) {
                    message(
                        tables,
                        tables.message(position),
                        content,
                        (below, &mut *elements),
                        &mut |_, _| {},
                    )?;
                }
                visit(number, value);
            }
            None if number < SKIPPED_FROM => return Err(error(number, Why::Unknown)),
            None => reader.skip(wire).map_err(|why| error(number, why.into()))?,
        }
    }
    Ok(())
}

impl Field {
    /// Whether a value of the field takes memory of its own beside its bytes.
    fn is_element(&self) -> bool {
        self.each_on_its_own() || matches!(self.shape, Shape::Message(_))
    }

    /// Whether each element of the field is a field of its own on the wire, rather than one packed field holding all.
    fn each_on_its_own(&self) -> bool {
        self.repeated && matches!(self.shape, Shape::Bytes | Shape::Text | Shape::Message(_))
    }
}

/// Checks the value of a field; what a message holds is still to be checked.
fn value<'a>(field: &Field, wire: u8, reader: &mut Reader<'a>) -> Result<Value<'a>, Why> {
    let content = match field.shape {
        Shape::Bytes | Shape::Text | Shape::Message(_) => {
            expect(wire, DELIMITED)?;
            reader.delimited()?
        }
        scalar if field.repeated => {
            expect(wire, DELIMITED)?;
            let content = reader.delimited()?;
            packed(scalar, content)?;
            return Ok(Value::Bytes(content));
        }
        scalar => {
            expect(wire, wire_of(scalar))?;
            return match self::scalar(scalar, reader)? {
                0 if !field.presence => Err(Why::Default),
                number => Ok(Value::Number(number)),
            };
        }
    };
    if matches!(field.shape, Shape::Message(_)) {
        return Ok(Value::Bytes(content));
    }
    if content.is_empty() && !field.repeated && !field.presence {
        return Err(Why::Default);
    }
    if matches!(field.shape, Shape::Text) {
        return str::from_utf8(content).map(Value::Text).map_err(|_| Why::Utf8);
    }
    Ok(Value::Bytes(content))
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

/// Checks one scalar and returns its bits.
fn scalar(shape: Shape, reader: &mut Reader<'_>) -> Result<u64, Why> {
    let little_endian = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    match shape {
        Shape::Unsigned { max } => match reader.varint()? {
            value if value > max => Err(Why::Range),
            value => Ok(value),
        },
        Shape::Signed32 => {
            let value = reader.varint()?;
            i32::try_from(value.cast_signed())
                .map(|_| value)
                .map_err(|_| Why::Range)
        }
        Shape::Fixed64 => Ok(little_endian(reader.take(8)?)),
        Shape::Fixed32 => Ok(little_endian(reader.take(4)?)),
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
