"""RFC 6962 hashes, C2SP signed notes, checkpoints and cosignatures, as docs/formats.md names them."""

import base64
import hashlib
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wire import Refused, need

SEAL, WITNESS = 0x01, 0x04


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def domain(name: str, data: bytes) -> bytes:
    return sha256(name.encode(), b"\x01", data)


def tree_root(leaf_hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1."""
    if not leaf_hashes:
        return sha256(b"")
    while len(leaf_hashes) > 1:
        paired = [sha256(b"\x01", *leaf_hashes[i : i + 2]) for i in range(0, len(leaf_hashes) - 1, 2)]
        leaf_hashes = paired + leaf_hashes[len(paired) * 2 :]
    return leaf_hashes[0]


def root_from_path(index: int, size: int, leaf_hash: bytes, path: list[bytes]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162, 2.1.3.2, which is RFC 6962's path)."""
    need(index < size, "the index lies outside the tree")
    node, last, current = index, size - 1, leaf_hash
    for sibling in path:
        need(len(sibling) == 32, "a hash in the path has not 32 bytes")
        need(last > 0, "the path is too long")
        if node & 1 or node == last:
            current = sha256(b"\x01", sibling, current)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            current = sha256(b"\x01", current, sibling)
        node, last = node >> 1, last >> 1
    need(last == 0, "the path is too short")
    return current


@dataclass(frozen=True)
class Key:
    """A verifier key of C2SP signed-note."""

    name: str
    type: int
    raw: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode(), b"\n", bytes([self.type]), self.raw)[:4]

    @staticmethod
    def parse(vkey: str) -> "Key":
        name, key_id, blob = vkey.split("+", 2)
        raw = base64.b64decode(blob, validate=True)
        key = Key(name, raw[0], raw[1:])
        need(key.id.hex() == key_id and len(key.raw) == 32, f"vkey of {name} is damaged")
        return key


class Note:
    """A signed note; nothing in it is believed until `verify` or `cosigned_at` said so."""

    def __init__(self, data: bytes):
        text, split, signatures = data.decode("utf-8").rpartition("\n\n")
        need(split and signatures.endswith("\n"), "not a signed note")
        self.text = text + "\n"
        self.lines = []
        for line in signatures[:-1].split("\n"):
            mark, name, blob = line.split(" ")
            need(mark == "—", "not a signature line")
            self.lines.append((name, base64.b64decode(blob, validate=True)))

    def _signatures(self, key: Key) -> list[bytes]:
        return [blob[4:] for name, blob in self.lines if name == key.name and blob[:4] == key.id]

    def verify(self, key: Key) -> None:
        """The note is signed by this seal or snapshot key."""
        need(any(valid(key, s, self.text.encode()) for s in self._signatures(key)), f"not signed by {key.name}")

    def cosigned_at(self, key: Key) -> int | None:
        """When this witness cosigned it, POSIX seconds; None if it did not. A signature of its that does not hold refuses the note."""
        found = self._signatures(key)
        need(len(found) <= 1, f"{key.name} cosigned twice")
        for blob in found:
            (seconds,) = struct.unpack(">Q", blob[:8])
            message = f"cosignature/v1\ntime {seconds}\n{self.text}".encode()
            need(len(blob) == 72 and valid(key, blob[8:], message), f"the cosignature of {key.name} does not hold")
            return seconds
        return None


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes

    @staticmethod
    def parse(text: str) -> "Checkpoint":
        origin, size, root, rest = text.split("\n")
        need(rest == "" and str(int(size)) == size, "not a checkpoint")
        return Checkpoint(origin, int(size), base64.b64decode(root, validate=True))


def valid(key: Key, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True


__all__ = ["SEAL", "WITNESS", "Checkpoint", "Key", "Note", "Refused", "domain", "root_from_path", "sha256", "tree_root"]
