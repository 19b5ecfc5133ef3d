"""The test vectors in docs/vectors hold for code that was written from docs/formats.md alone."""

import base64
import json

import pytest

import verify_evidence
from demo import ROOT
from notes import Checkpoint, Key, Note, domain, root_from_path, sha256, tree_root
from wire import Refused, read


ERASURE = {
    1: ("format", "uint"), 2: ("origin", "str"), 3: ("parts", [{1: ("index", "uint"), 2: ("tags", "bytes")}]), 4: ("reason", "str"),
    5: ("created_us", "uint"), 6: ("nonce", "bytes"),
}


def vector(name: str) -> dict:
    return json.loads((ROOT / "docs" / "vectors" / f"{name}.json").read_text(encoding="utf-8"))


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def test_tree():
    for row in vector("tree")["roots"]:
        leaves = [sha256(b"\x00", bytes([number]) * 32) for number in range(row["size"])]
        assert tree_root(leaves).hex() == row["root"]


def test_statement():
    told = vector("statement")
    hashes = [sha256(b"\x00", bytes([p["tag"]]), unhex(p["salt"]), unhex(p["content"])) for p in told["parts"]]
    assert [one.hex() for one in hashes] == [part["part_hash"] for part in told["parts"]]
    assert tree_root(hashes).hex() == told["statement_root"]
    leaf = domain("jisr.statement", tree_root(hashes))
    assert (leaf.hex(), sha256(b"\x00", leaf).hex()) == (told["leaf_input"], told["leaf_hash"])
    payload = next(part for part in told["parts"] if part["tag"] == 8)
    commitment = b"\x01" + domain("jisr.payload", unhex(payload["salt"]) + unhex(told["message"]))
    assert commitment.hex() == payload["content"]
    core = read(verify_evidence.CORE, unhex(told["parts"][0]["content"]))
    assert (core.format, core.instance, len(core.tags)) == (1, "JO", len(told["parts"]))


def test_checkpoint_and_cosignature():
    told = vector("checkpoint")
    note, seal, witness = Note(told["cosigned_note"].encode()), Key.parse(told["seal_key"]), Key.parse(told["witness_key"])
    note.verify(seal)
    assert note.cosigned_at(witness) == int(told["cosigned_message"].split("\n")[1].removeprefix("time "))
    assert Checkpoint.parse(note.text) == Checkpoint(told["origin"], told["size"], unhex(told["root"]))
    with pytest.raises(Refused):
        note.verify(witness)


def test_snapshot():
    told = vector("snapshot")
    note = Note(told["note"].encode())
    note.verify(Key.parse(told["key"]))
    assert domain("jisr.snapshot", unhex(told["header"])).hex() == told["digest"]
    assert base64.b64decode(note.text.split("\n")[2]).hex() == told["digest"]
    header = read(verify_evidence.HEADER, unhex(told["header"]))
    assert (header.instance, header.root.hex(), header.rows) == ("JO", told["root"], len(told["rows"]))
    assert [row["key"] for row in told["rows"]] == sorted(row["key"] for row in told["rows"])
    leaves = [sha256(b"\x00", domain("jisr.listed", unhex(row["content"]) + row["key"].encode())) for row in told["rows"]]
    assert tree_root(leaves).hex() == told["root"]
    for index, (row, leaf) in enumerate(zip(told["rows"], leaves)):
        assert domain("jisr.row", unhex(row["row"])).hex() == row["content"]
        assert verify_evidence.read_row(unhex(row["row"]), row["key"])
        assert root_from_path(index, header.rows, leaf, [unhex(step) for step in row["path"]]) == header.root


def test_agreement():
    told = vector("agreement")
    document = unhex(told["document"])
    assert unhex(told["signed_bytes"]) == b"jisr.agreement\x01" + document
    assert domain("jisr.agreement", document).hex() == told["digest"]
    assert read(verify_evidence.AGREEMENT, document).instance == "JO"


def test_token():
    told = vector("token")
    data = base64.urlsafe_b64decode(told["text"].removeprefix("jisr1-") + "==")
    assert data[:-4].hex() == told["canonical"] and data[-4:] == sha256(data[:-4])[:4]


def stored_parts(data: bytes):
    """Tag, form, part hash and the rest of each part of a stored statement."""
    position = 1
    for _ in range(data[0]):
        tag, form, length = data[position], data[position + 1], int.from_bytes(data[position + 2 : position + 6], "big")
        part = data[position + 6 : position + 6 + length]
        position += 6 + length
        hash_of = sha256(b"\x00", bytes([tag]), part) if form == 0 else part[:32]
        yield tag, form, hash_of, part[32:]
    assert position == len(data)


def stored_statements(segment: bytes):
    """The data of the STATEMENT records of a segment."""
    frame = 64
    while frame < len(segment) and segment[frame]:
        body = segment[frame + 16 : frame + 16 + int.from_bytes(segment[frame + 4 : frame + 8], "big")]
        frame += 16 + len(body)
        while body:
            length = int.from_bytes(body[1:5], "big")
            if body[0] == 1:
                yield body[5 : 5 + length]
            body = body[5 + length :]


def test_erasure():
    told = vector("erasure")
    for name in ("erasure", "hold", "release"):
        document = unhex(told[name]["document"])
        assert unhex(told[name]["signed_bytes"]) == f"jisr.{name}".encode() + b"\x01" + document
        assert domain(f"jisr.{name}", document).hex() == told[name]["digest"]
    ended = read({1: ("format", "uint"), 2: ("hold", "bytes"), 3: ("reason", "str")}, unhex(told["release"]["document"]))
    assert ended.hold.hex() == told["hold"]["digest"]
    segments = [unhex(segment) for _, segment in sorted(told["files"].items())]
    entries = [list(stored_parts(data)) for segment in segments for data in stored_statements(segment)]
    leaves = [domain("jisr.statement", tree_root([part[2] for part in parts])) for parts in entries]
    assert (len(leaves), tree_root([sha256(b"\x00", leaf) for leaf in leaves]).hex()) == (told["size"], told["root"])
    gone = [(index, tag) for index, parts in enumerate(entries) for tag, form, _, rest in parts if form == 2 and not any(rest)]
    erasure = read(ERASURE, unhex(told["erasure"]["document"]))
    named = [(part.index, tag) for part in erasure.parts for tag in part.tags if tag != 128]
    assert erasure.origin == told["origin"] and gone and set(gone) <= set(named)


def test_evidence():
    told = vector("evidence")
    entries = verify_evidence.verify(unhex(told["file"]), verify_evidence.Anchor.parse(told["anchor"]))
    assert told["verdict"] == "VALID" and len(entries) >= 4


def test_evidence_set():
    told = vector("evidence-set")
    proven = verify_evidence.verify_set(unhex(told["file"]), verify_evidence.Anchor.parse(told["anchor"]))
    assert told["verdict"] == "VALID" and len(proven) == len(told["exchanges"]) == 2
