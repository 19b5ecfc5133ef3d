"""Canonical protobuf (docs/formats.md, conventions), read with nothing but the field numbers of the .proto files.

A schema maps field numbers to `(name, type)`, where type is one of `uint`, `bool`, `str`, `bytes` or another schema, in a list
if the field is repeated. Reading yields a plain object with one attribute per field.
"""

from types import SimpleNamespace


class Refused(Exception):
    """The input breaks a rule; the text says which."""


def read(schema: dict, data: bytes) -> SimpleNamespace:
    """Parses `data`, refusing everything that is not canonical."""
    message = SimpleNamespace(**{name: default(kind) for name, kind in schema.values()})
    position, last = 0, 0
    while position < len(data):
        key, position = varint(data, position)
        number, wire_type = key >> 3, key & 7
        value, position = raw_value(data, position, wire_type)
        if number not in schema:
            need(number >= 1000, f"unknown field {number}")
            continue
        name, kind = schema[number]
        repeated = isinstance(kind, list)
        need(number > last or (repeated and number == last), f"field {number} out of order or twice")
        last = number
        if repeated:
            store_repeated(getattr(message, name), kind[0], value, wire_type)
        else:
            parsed = convert(kind, value, wire_type)
            need(isinstance(kind, dict) or parsed != default(kind), f"field {number} holds its default")
            setattr(message, name, parsed)
    return message


def store_repeated(values: list, kind, value, wire_type: int) -> None:
    if kind not in ("uint", "bool"):
        values.append(convert(kind, value, wire_type))
        return
    need(wire_type == 2 and not values and value, "repeated numbers are packed, once")
    position = 0
    while position < len(value):
        number, position = varint(value, position)
        values.append(number)


def convert(kind, value, wire_type: int):
    if kind in ("uint", "bool"):
        need(wire_type == 0, "a number is expected")
        return value
    need(wire_type == 2, "bytes are expected")
    if kind == "bytes":
        return value
    if kind == "str":
        return value.decode("utf-8")
    return read(kind, value)


def default(kind):
    if isinstance(kind, list):
        return []
    if isinstance(kind, dict):
        return None
    return {"uint": 0, "bool": 0, "str": "", "bytes": b""}[kind]


def raw_value(data: bytes, position: int, wire_type: int):
    if wire_type == 0:
        return varint(data, position)
    need(wire_type == 2, f"wire type {wire_type} is not used")
    length, position = varint(data, position)
    need(position + length <= len(data), "a field is longer than its message")
    return data[position : position + length], position + length


def varint(data: bytes, position: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        need(position < len(data) and shift < 70, "a number does not end")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            need(byte != 0 or shift == 0, "a number is not in its shortest form")
            need(number < 1 << 64, "a number is too large")
            return number, position
        shift += 7


def need(holds, otherwise: str) -> None:
    if not holds:
        raise Refused(otherwise)
