"""Reads a ledger directory, written from docs/formats.md and not from the program's sources.

It follows the section Ledger directory: segments, frames, all kinds of records, stored statements, the tree, checkpoints,
certificates, what is kept of other ledgers, receipts, stored messages and time-stamps. In a registry's ledger the acts of
administrators are judged too (administrators.py). Without keys what is encrypted is shown as sealed; with a data directory
whose secret lies beside it, it is opened.

    read_ledger.py DIR --anchor ANCHOR [--data DATA]      prints VALID and the records, or INVALID and why; exit code 0 or 1
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import administrators
import keystore
import time_stamps
from certified import seal_certificate
from erasures import STORED, Erasures
from messages import ACT_OF, CITATION, CORE, KINDS
from notes import SEAL, Checkpoint, Key, Note, domain, root_from_path, sha256, tree_root
from verify_evidence import Anchor
from wire import Refused, need, read

CLASS_OF_TAG = {3: 1, 4: 1, 5: 1, 7: 2, 8: 3}
STORED_CLASS = 4
ALWAYS_CLEAR = {1, 9, 10}
CRC_TABLE = []
for seed in range(256):
    for _ in range(8):
        seed = seed >> 1 ^ (0x82F63B78 if seed & 1 else 0)
    CRC_TABLE.append(seed)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class Fields:
    """Big-endian fields from the front of some bytes."""

    def __init__(self, data: bytes):
        self.data = data

    def take(self, count: int) -> bytes:
        need(count <= len(self.data), "a field is not wholly there")
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def uint(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def sized(self) -> bytes:
        return self.take(self.uint(4))

    def hashes(self) -> list[bytes]:
        count = self.uint(1)
        need(count <= 65, "a path is longer than any tree needs")
        return [self.take(32) for _ in range(count)]


@dataclass
class Statement:
    """A stored statement. `parts` holds what is in the clear or was opened, by tag; `sealed` and `erased` are tags."""

    leaf: bytes
    core: SimpleNamespace
    hashes: dict[int, bytes]
    parts: dict[int, bytes]
    salts: dict[int, bytes]
    sealed: set[int]
    erased: set[int]
    index: int = -1
    frame: int = -1
    act: SimpleNamespace | None = None
    citation: SimpleNamespace | None = None

    @property
    def kind(self) -> str:
        return KINDS[self.core.kind]


@dataclass
class Record:
    """What a record says: its name, the entry after which it stands, and words."""

    name: str
    entry: int
    text: str


@dataclass
class Ledger:
    origin: str = ""
    key: Key | None = None
    leaves: list[bytes] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    stamps: list[tuple[str, int]] = field(default_factory=list)
    untrusted: int = 0
    torn: int = 0

    @property
    def root(self) -> bytes:
        return tree_root([sha256(b"\x00", leaf) for leaf in self.leaves])


def month_of(created_us: int) -> int:
    days = created_us // 86_400_000_000
    year, month = 1970, 0
    while True:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        length = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month]
        if days < length:
            return (year - 1970) * 12 + month
        days, month = days - length, month + 1
        year, month = year + month // 12, month % 12


class Reader:
    def __init__(self, anchor: Anchor, data: Path | None = None):
        self.anchor, self.data = anchor, data
        self.ledger = Ledger()
        self.sizes: dict[int, bytes] = {}
        self.peers: dict[str, tuple[Key, int]] = {}
        self.notes: dict[bytes, Checkpoint] = {}
        self.tokens: list[bytes] = []
        self.newest_us = 0
        self.ended = False
        self.erasures: Erasures | None = None

    # -- files ---------------------------------------------------------------------------------------------------------------

    def directory(self, where: Path) -> Ledger:
        names = {path.name for path in where.iterdir()}
        need("segments" in names and names <= {"segments", "index"}, "the directory holds other things than segments and index")
        files = sorted((where / "segments").iterdir())
        need(files, "there is no segment")
        for number, file in enumerate(files):
            need(file.name == f"{number:020}.seg" and file.stat().st_size <= 1 << 30, f"{file.name} is no segment, or too long")
            self.segment(number, file.read_bytes(), is_last=number == len(files) - 1)
        need(self.ledger.origin, "the ledger does not begin with STARTED")
        self.erasures.end()
        if self.ledger.origin == self.anchor.registry.name:
            administrators.check(self.ledger.statements, self.anchor)
        return self.ledger

    def segment(self, number: int, data: bytes, is_last: bool) -> None:
        header = Fields(data[:60])
        need(len(data) >= 64 and crc32c(data[:60]) == int.from_bytes(data[60:64], "big"), "a segment's checksum does not hold")
        need(header.take(8) == b"JISRSEG\x01" and header.uint(8) == number, "a segment's header is another's")
        need(header.uint(8) == len(self.ledger.leaves) and header.take(32) == self.ledger.root, "a segment continues another tree")
        need(header.uint(4) == 0, "a field that is zero is not")
        at = 64
        while at < len(data) and any(data[at : at + 16]):
            body = self.frame(data, at, is_last)
            if body is None:
                return
            self.body(body, at)
            at += 16 + len(body)
        need(not any(data[at:]), "something follows the last frame")

    def frame(self, data: bytes, at: int, is_last: bool) -> bytes | None:
        """The body, or None where the frame is a write that was cut short."""
        head = data[at : at + 16]
        if len(head) < 16 and is_last:
            self.ledger.torn = len(head)
            return None
        need(crc32c(head[:12]) == int.from_bytes(head[12:], "big"), "a frame's header is damaged")
        length = int.from_bytes(head[4:8], "big")
        need(head[:4] == b"\x01\0\0\0" and 0 < length <= 64 << 20, "a frame of another type or length")
        body = data[at + 16 : at + 16 + length]
        if len(body) == length and crc32c(body) == int.from_bytes(head[8:12], "big"):
            return body
        need(is_last and torn(data, at, length, body), "a frame's body is damaged")
        self.ledger.torn = 16 + len(body)
        return None

    # -- records -------------------------------------------------------------------------------------------------------------

    def body(self, body: bytes, frame: int) -> None:
        fields = Fields(body)
        last, shown, has_message = None, None, False
        while fields.data:
            kind, data = fields.uint(1), fields.sized()
            need(self.ledger.origin or kind == 1, "the ledger does not begin with STARTED")
            if kind == 1:
                last, shown, has_message = self.own(stored(data, self.data), frame), None, False
            elif kind == 4:
                need(last is not None and shown is None and last.citation, "a PEER_STATEMENT follows nothing that cites it")
                shown = self.cited(data, last)
            elif kind == 8:
                committed = last if last and 8 in last.hashes else shown
                need(committed and 8 in committed.hashes and not has_message, "a PAYLOAD follows nothing that commits to it")
                self.message(data, committed)
                has_message = True
            else:
                names = {2: self.checkpoint, 3: self.peer_note, 5: self.proof, 6: self.certificates, 7: self.receipt, 9: self.stamp}
                need(kind in names, f"there is no record {kind}")
                names[kind](data)
        self.sizes[len(self.ledger.leaves)] = self.ledger.root

    def say(self, name: str, text: str) -> None:
        self.ledger.records.append(Record(name, len(self.ledger.leaves) - 1, text))

    def own(self, statement: Statement, frame: int) -> Statement:
        need(not self.ended, "something follows ENDED")
        statement.index, statement.frame = len(self.ledger.leaves), frame
        if not self.ledger.origin:
            self.started(statement)
        else:
            need(statement.kind != "STARTED", "STARTED stands there twice")
            need(self.belongs(statement), f"a {statement.kind} of others stands here")
        self.erasures.found |= {(statement.index, tag) for tag in statement.erased}
        self.erasures.take(statement)
        self.newest_us = max(self.newest_us, statement.core.created_us)
        self.ended = statement.kind == "ENDED"
        self.ledger.leaves.append(statement.leaf)
        self.ledger.statements.append(statement)
        sealed = f", sealed parts {sorted(statement.sealed)}" if statement.sealed else ""
        erased = f", erased parts {sorted(statement.erased)}" if statement.erased else ""
        self.say("STATEMENT", f"{statement.kind}{sealed}{erased}")
        return statement

    def started(self, statement: Statement) -> None:
        need(statement.kind == "STARTED" and statement.core.instance == self.anchor.instance, "it does not begin with STARTED")
        act = statement.act
        self.ledger.origin, self.ledger.key = act.origin, Key(act.origin, SEAL, act.seal_key)
        self.erasures = Erasures(act.origin)
        if act.origin == self.anchor.registry.name:
            need(self.ledger.key == self.anchor.registry, "the registry's key is not the anchor's")
            return
        certificate = seal_certificate(act.certificates, self.anchor.root, statement.core.created_us)
        need((certificate.origin, certificate.key) == (act.origin, act.seal_key), "the seal certificate is for another ledger")

    def belongs(self, statement: Statement) -> bool:
        """The row `statements` of the verification table."""
        core, number = statement.core, statement.core.kind
        need(core.instance == self.anchor.instance, "a statement of another instance")
        if self.ledger.origin == self.anchor.registry.name:
            return number >= 40 and statement.kind not in ("ERASED", "HELD", "RELEASED")
        if number >= 40:
            return number < 60
        member = "/".join(self.ledger.origin.split("/")[1:4])
        asks, answers = core.consumer.startswith(member + "/"), core.provider_origin == self.ledger.origin
        if statement.kind in ("ASKED", "DELIVERED", "LATE_ANSWER", "NOT_SENT"):
            return asks
        return answers if statement.kind in ("RECEIVED", "ANSWERED") else asks or answers

    def checked(self, note: bytes) -> Checkpoint:
        """A checkpoint of this ledger, of a size at which a frame ended."""
        parsed = Note(note)
        parsed.verify(self.ledger.key)
        checkpoint = Checkpoint.parse(parsed.text)
        need(checkpoint.origin == self.ledger.origin, "a checkpoint of another ledger")
        need(self.sizes.get(checkpoint.size) == checkpoint.root, f"the checkpoint of size {checkpoint.size} is not of this tree")
        for key, _ in self.anchor.witnesses:
            parsed.cosigned_at(key)
        return checkpoint

    def checkpoint(self, data: bytes) -> None:
        self.say("CHECKPOINT", f"size {self.checked(data).size}")

    def certificates(self, data: bytes) -> None:
        fields = Fields(data)
        origin, chain = fields.take(fields.uint(2)).decode(), []
        while fields.data:
            chain.append(fields.sized())
        need(len(chain) <= 8, "more than 8 certificates")
        certificate = seal_certificate(chain, self.anchor.root, self.newest_us)
        need(certificate.origin == origin, f"the certificates of {origin} name {certificate.origin}")
        key = Key(origin, SEAL, certificate.key)
        need(self.peers.setdefault(origin, (key, 0))[0] == key, f"two keys for {origin}")
        self.peers[origin] = (key, certificate.until_us)
        self.say("PEER_CERTIFICATES", origin)

    def peer_note(self, data: bytes) -> None:
        note = Note(data)
        checkpoint = Checkpoint.parse(note.text)
        known = self.peers.get(checkpoint.origin)
        if known is None and checkpoint.origin == self.anchor.registry.name:
            known = (self.anchor.registry, 1 << 64)
        need(known is not None, f"a checkpoint of {checkpoint.origin} comes before its certificates")
        note.verify(known[0])
        need(self.newest_us <= known[1], "a checkpoint after its seal certificate had ended")
        for key, _ in self.anchor.witnesses:
            note.cosigned_at(key)
        self.notes[sha256(data)] = checkpoint
        self.say("PEER_NOTE", f"{checkpoint.origin} size {checkpoint.size}")

    def note_of(self, digest: bytes) -> Checkpoint:
        need(digest in self.notes, "the note that a record refers to is not there")
        return self.notes[digest]

    def shown(self, data: bytes) -> tuple[Statement, Checkpoint]:
        """A statement of another ledger, under its note."""
        fields = Fields(data)
        index, size, note, path = fields.uint(8), fields.uint(8), self.note_of(fields.take(32)), fields.hashes()
        statement = stored(fields.data, self.data)
        statement.index = index
        need(size == note.size, "the tree is not that of the note")
        root = root_from_path(index, size, sha256(b"\x00", statement.leaf), path)
        need(root == note.root, f"entry {index} of {note.origin} is not shown")
        return statement, note

    def cited(self, data: bytes, last: Statement) -> Statement:
        statement, note = self.shown(data)
        cited = last.citation
        said = (cited.origin, cited.index, cited.leaf, cited.tree_size, cited.root)
        need(said == (note.origin, statement.index, statement.leaf, note.size, note.root), "not the statement that is cited")
        self.erasures.found |= {(last.index, tag) for tag in statement.erased}
        self.say("PEER_STATEMENT", f"{statement.kind}, entry {statement.index} of {note.origin}")
        return statement

    def proof(self, data: bytes) -> None:
        fields = Fields(data)
        index, leaf, note, path = fields.uint(8), fields.take(32), self.note_of(fields.take(32)), fields.hashes()
        need(not fields.data, "bytes follow a PEER_PROOF")
        need(root_from_path(index, note.size, sha256(b"\x00", leaf), path) == note.root, "a final proof does not hold")
        self.say("PEER_PROOF", f"entry {index} of {note.origin}")

    def receipt(self, data: bytes) -> None:
        statement, note = self.shown(data)
        core, citation = statement.core, statement.citation
        closing = ("DELIVERED", "LATE_ANSWER", "REFUSED", "FAILED", "CANCELLED", "NEVER_RECEIVED", "OUTCOME_UNKNOWN", "ANSWER_GONE")
        need(statement.kind in closing and citation, "a RECEIPT closes nothing")
        need(core.provider_origin == citation.origin == self.ledger.origin, "a RECEIPT of another exchange")
        member = "/".join(note.origin.split("/")[1:4])
        need(core.consumer.startswith(member + "/"), "a RECEIPT of another member than asked")
        own = self.ledger.statements[citation.index] if citation.index < len(self.ledger.statements) else None
        need(own and own.leaf == citation.leaf and own.citation, "a RECEIPT is for nothing that closed an exchange here")
        need(own.kind in closing[2:] + ("ANSWERED",) and own.core.provider_origin == self.ledger.origin, "nor is it for a closing")
        self.say("RECEIPT", f"{statement.kind} of {note.origin} for entry {citation.index}")

    def message(self, data: bytes, committed: Statement) -> None:
        fields = Fields(data)
        form = fields.uint(1)
        if form == 2:
            need(not any(fields.data), "an erased PAYLOAD still holds something")
            self.erasures.found.add((len(self.ledger.leaves) - 1, STORED))
            self.say("PAYLOAD", "erased")
            return
        month, group, zero, nonce = fields.uint(2), fields.uint(1), fields.uint(1), fields.take(12)
        made = month_of(committed.core.created_us)
        need((form, month, group, zero) == (1, made, STORED_CLASS, 0) and len(fields.data) >= 48, "a PAYLOAD out of form")
        text = "sealed"
        if self.data:
            bound = committed.hashes[8] + data[1:5]
            opened = AESGCM(keystore.vault(self.data, month, group)).decrypt(nonce, fields.data, bound)
            salt, message = opened[:32], opened[32:]
            part = bytes([8]) + salt + b"\x01" + domain("jisr.payload", salt + message)
            need(sha256(b"\x00", part) == committed.hashes[8], "a PAYLOAD is not what the part commits to")
            text = f"{len(message)} bytes"
        self.say("PAYLOAD", text)

    def stamp(self, data: bytes) -> None:
        fields = Fields(data)
        form = fields.uint(1)
        need(form in (1, 2), "a STAMP of another form")
        if form == 1:
            note = fields.sized()
            what, over = f"size {self.checked(note).size}", sha256(Note(note).text.encode())
        else:
            size = fields.uint(8)
            need(1 <= size <= len(self.tokens), "a renewal of time-stamps that are not there")
            over, what = time_stamps.renewed(self.tokens[:size]), f"the first {size} time-stamps"
        token = fields.data
        said = time_stamps.judge(token, over, self.anchor)
        self.tokens.append(token)
        self.ledger.stamps.append((what, said.time_us))
        self.ledger.untrusted += not said.is_trusted
        self.say("STAMP", f"on {what}")


def torn(data: bytes, at: int, length: int, body: bytes) -> bool:
    """The rule of the torn tail for a body that does not hold."""
    end = at + 16 + length
    if end > len(data):
        return True
    sector = (end - 1) // 512 * 512
    zeros = body[max(sector - at - 16, 0) :]
    return not any(zeros) and not any(data[end:])


def stored(data: bytes, keys: Path | None = None) -> Statement:
    """A stored statement, opened as far as keys are at hand."""
    fields, hashes, parts, salts, sealed, erased, months = Fields(data), {}, {}, {}, set(), set(), set()
    for _ in range(fields.uint(1)):
        tag, form, content = fields.uint(1), fields.uint(1), fields.sized()
        need(not hashes or tag > max(hashes), "the parts do not ascend")
        group = CLASS_OF_TAG.get(tag)
        need(1 <= tag <= 10 and form in ((1, 2) if group else (0, 2)) and not (form == 2 and tag in ALWAYS_CLEAR), "a part of another form")
        if form == 0:
            hashes[tag] = sha256(b"\x00", bytes([tag]), content)
            salts[tag], parts[tag] = content[:32], content[32:]
            continue
        hashes[tag] = content[:32]
        if form == 2:
            need(len(content) >= 32 and not any(content[32:]), "an erased part still holds something")
            erased.add(tag)
            continue
        month, nonce = int.from_bytes(content[32:34], "big"), content[36:48]
        need(content[34:36] == bytes([group, 0]) and len(content) >= 48 + 48, "an encrypted part of another class")
        months.add(month)
        opened = keystore.opens(keys, month, group, nonce, content[48:], content[:36])
        if opened is None:
            sealed.add(tag)
            continue
        need(sha256(b"\x00", bytes([tag]), opened) == content[:32], "an encrypted part is not what its hash says")
        salts[tag], parts[tag] = opened[:32], opened[32:]
    need(not fields.data and 1 in parts, "a stored statement out of form")
    core = read(CORE, parts[1])
    need(core.format == 1 and core.tags == bytes(hashes), "CORE lists other parts")
    need(months <= {month_of(core.created_us)}, "parts are encrypted for another month")
    need(core.kind in KINDS, f"there is no kind {core.kind}")
    leaf = domain("jisr.statement", tree_root(list(hashes.values())))
    statement = Statement(leaf, core, hashes, parts, salts, sealed, erased)
    if 9 in parts:
        statement.citation = read(CITATION, parts[9])
    schema = ACT_OF.get(KINDS[core.kind])
    need((10 in parts) == (schema is not None), "an act where there is none, or none where there is one")
    if schema is not None:
        statement.act = read(schema, parts[10])
    return statement


def read_directory(where: Path, anchor: Anchor, data: Path | None = None) -> Ledger:
    """Raises Refused at the first rule that is broken."""
    try:
        return Reader(anchor, data).directory(where)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Refused(f"the ledger does not parse: {error!r}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description="Reads a ledger directory from docs/formats.md alone.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--anchor", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="data directory whose keys open what is encrypted")
    arguments = parser.parse_args()
    try:
        anchor = Anchor.parse(arguments.anchor.read_text(encoding="utf-8"))
        ledger = read_directory(arguments.directory, anchor, arguments.data)
    except Refused as refused:
        print(f"INVALID\n{refused}")
        return 1
    print(f"VALID\n{ledger.origin}, {len(ledger.leaves)} entries, root {ledger.root.hex()}")
    for record in ledger.records:
        print(f"{record.entry:6} {record.name:17} {record.text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
