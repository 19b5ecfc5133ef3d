"""Reads the snapshot that a node holds, written from docs/formats.md alone (Snapshot): header, note, entry and rows.

    read_snapshot.py DATA --anchor ANCHOR      prints VALID and the rows, or INVALID and why; exit code 0 or 1
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from messages import CORE
from notes import Checkpoint, Note, domain, root_from_path, sha256, tree_root
from verify_evidence import HEADER, SEALED, SHOWN_ROWS, SNAPSHOT_ACT, Anchor, Snapshot, read_row, snapshot_text
from wire import Refused, need, read

SIGNED_SNAPSHOT = {1: ("header", "bytes"), 2: ("note", "bytes"), 3: ("entry", SEALED)}
CHANGE = {1: ("key", "str"), 2: ("row", "bytes"), 3: ("content", "bytes"), 4: ("removed", "bool")}
UPDATE = {1: ("signed", SIGNED_SNAPSHOT), 2: ("base_version", "uint"), 3: ("changes", [CHANGE]), 4: ("more", "bool")}
SNAPSHOT_PUBLISHED = 68


@dataclass
class Held:
    """A snapshot; `rows` holds what each key says, None where that is withheld."""

    header: SimpleNamespace
    digest: bytes
    contents: dict[str, bytes]
    rows: dict[str, SimpleNamespace | None]


def signed(shown, anchor: Anchor) -> tuple[SimpleNamespace, bytes]:
    """The header under the snapshot key, and its digest under the registry's checkpoint."""
    need(shown is not None and shown.entry is not None, "a snapshot without header, note or entry")
    header, digest, note = read(HEADER, shown.header), domain("jisr.snapshot", shown.header), Note(shown.note)
    note.verify(anchor.snapshot)
    need(header.format == 2 and header.instance == anchor.instance, "a snapshot of another format or instance")
    need(header.expires_us % 1_000_000 == 0 and bool(header.previous) == (header.version > 1), "a header out of form")
    need(note.text == snapshot_text(anchor, header, digest), "the note is for another snapshot")
    seal, parts = shown.entry.seal, shown.entry.statement.parts
    leaf = domain("jisr.statement", tree_root([sha256(b"\x00", bytes([p.tag]), p.salt, p.content) for p in parts]))
    checkpoint = Note(seal.checkpoint)
    checkpoint.verify(anchor.registry)
    told = Checkpoint.parse(checkpoint.text)
    need(told.origin == anchor.registry.name, "its entry stands in another ledger")
    need(root_from_path(seal.index, told.size, sha256(b"\x00", leaf), seal.path) == told.root, "its entry does not stand there")
    content = {part.tag: part.content for part in parts}
    act = read(SNAPSHOT_ACT, content[10])
    need(read(CORE, content[1]).kind == SNAPSHOT_PUBLISHED, "its entry is of another kind")
    need((act.version, act.digest, act.expires_us) == (header.version, digest, header.expires_us), "its entry is another's")
    return header, digest


def applied(update, before: Held | None, anchor: Anchor) -> Held:
    """What is held once the changes are made; the root over all rows is that of the header."""
    need(not update.more and update.base_version == (before.header.version if before else 0), "changes to another version")
    header, digest = signed(update.signed, anchor)
    contents, rows = (dict(before.contents), dict(before.rows)) if before else ({}, {})
    keys = [change.key.encode() for change in update.changes]
    need(keys == sorted(set(keys)), "the changes do not stand by key, each once")
    for change in update.changes:
        need(bool(change.row) + bool(change.content) + bool(change.removed) == 1, f"{change.key}: not exactly one change")
        if change.removed:
            need(contents.pop(change.key, None), f"{change.key} is removed and was not there")
            rows.pop(change.key)
            continue
        rows[change.key] = read_row(change.row, change.key) if change.row else None
        contents[change.key] = domain("jisr.row", change.row) if change.row else change.content
    ordered = sorted(contents, key=str.encode)
    leaves = [sha256(b"\x00", domain("jisr.listed", contents[key] + key.encode())) for key in ordered]
    need((len(ordered), tree_root(leaves)) == (header.rows, header.root), "the rows are not those of the header")
    return Held(header, digest, contents, rows)


def held(data: Path, anchor: Anchor) -> Held:
    """The snapshot that a node holds; raises Refused where it does not hold."""
    try:
        whole = applied(read(UPDATE, (data / "snapshot" / "rows").read_bytes()), None, anchor)
        changes = data / "snapshot" / "changes"
        if changes.exists() and (update := read(UPDATE, changes.read_bytes())).base_version == whole.header.version:
            whole = applied(update, whole, anchor)
        return whole
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Refused(f"the snapshot does not parse: {error!r}") from error


def cited(data: Path, anchor: Anchor) -> dict[int, Snapshot]:
    """The snapshots that statements of this node cite, by version, with the rows that are kept of them."""
    found = {}
    for file in (data / "snapshots").iterdir():
        if file.name == "rows":
            continue
        header, _ = signed(read(SIGNED_SNAPSHOT, file.read_bytes()), anchor)
        need(file.name == str(header.version), "a snapshot lies under another version")
        kept = data / "snapshots" / "rows" / header.root.hex()
        shown = read(SHOWN_ROWS, kept.read_bytes()) if kept.exists() else SimpleNamespace(root=header.root, rows=[])
        need(shown.root == header.root, "the rows lie under another root")
        found[header.version] = Snapshot(header, shown.rows)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Reads a node's snapshot from docs/formats.md alone.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--anchor", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        anchor = Anchor.parse(arguments.anchor.read_text(encoding="utf-8"))
        snapshot = held(arguments.data, anchor)
    except Refused as refused:
        print(f"INVALID\n{refused}")
        return 1
    print(f"VALID\nversion {snapshot.header.version}, {snapshot.header.rows} rows, digest {snapshot.digest.hex()}")
    for key, row in snapshot.rows.items():
        print(key if row else f"{key} (withheld)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
