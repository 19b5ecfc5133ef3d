"""The test vectors in docs/vectors hold for code that was written from docs/formats.md alone."""

import base64
import json
import tomllib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

import read_ledger
import time_stamps
import verify_evidence
from demo import ROOT
from keystore import opened
from messages import ADMINISTRATIVE_ACT
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
    inputs = [domain("jisr.listed", unhex(row["content"]) + row["key"].encode()) for row in told["rows"]]
    assert [leaf.hex() for leaf in inputs] == [row["leaf_input"] for row in told["rows"]]
    leaves = [sha256(b"\x00", leaf) for leaf in inputs]
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


def test_administration():
    told = vector("administration")
    assert set(told) == {name for number, (name, _) in ADMINISTRATIVE_ACT.items() if number >= 10}
    for name, shown in told.items():
        document = unhex(shown["document"])
        assert unhex(shown["signed_bytes"]) == b"jisr.administration\x01" + document
        assert domain("jisr.administration", document).hex() == shown["digest"]
        act = read(ADMINISTRATIVE_ACT, document)
        assert (act.format, act.instance, len(act.nonce)) == (1, "JO", 16) and getattr(act, name) is not None
    for name in ("approval", "rejection"):
        assert getattr(read(ADMINISTRATIVE_ACT, unhex(told[name]["document"])), name).act.hex() == told["admission"]["digest"]


def test_stamps():
    told = vector("stamps")
    assert sha256(told["checkpoint_text"].encode()).hex() == told["imprint"]
    tokens = [unhex(row["token"]) for row in told["tokens"]]
    for row in told["tokens"]:
        first = tokens[: row["size"]]
        assert time_stamps.leaf(first[-1]).hex() == row["leaf_input"]
        assert tree_root([sha256(b"\x00", time_stamps.leaf(token)) for token in first]).hex() == row["root"]
        assert time_stamps.renewed(first).hex() == row["renewal_imprint"]


@pytest.mark.parametrize("kdf", ["hkdf-sha256", "argon2id"])
def test_key_store(kdf):
    told = vector("key-store")[kdf]
    header = tomllib.loads(told["keystore_toml"])
    assert (header["format"], header["kdf"]) == (1, kdf)
    salt, cost = unhex(header["salt"]), [header.get(name, 0) for name in ("memory_kib", "passes", "lanes")]
    secret = unhex(told["secret"]) if kdf == "hkdf-sha256" else stretched(told["secret"].encode(), salt, *cost)
    bound = b"JISRWRAP\x01" + b"".join(number.to_bytes(4, "big") for number in cost) + salt
    key = opened(secret, salt, b"jisr.keystore/wrap\0", bound, unhex(header["wrapped"]))

    def content(name: str) -> bytes:
        file = unhex(told["files"][name])
        magic, salt, sealed = file[:9], file[9:41], file[41:]
        assert magic == b"JISRREST\x01"
        return opened(key, salt, b"jisr.keystore/file\0" + name.encode(), magic + salt + name.encode(), sealed)

    for name, held in told["content"].items():
        assert content(name).hex() == held
    wrapped, named = content("vault/680-1.key"), (680).to_bytes(2, "big") + b"\x01\x00"
    assert wrapped[:8] == b"JISRKEY\x01"
    data_key = AESGCM(content("vault.secret")).decrypt(wrapped[8:20], wrapped[20:], named)
    plain = AESGCM(data_key).decrypt(unhex(told["nonce"]), unhex(told["sealed"]), unhex(told["part_hash"]) + named)
    assert plain.hex() == told["plain"]


def stretched(passphrase: bytes, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib).derive(passphrase)


@pytest.mark.parametrize("name", ["ledger", "erasure"])
def test_ledger_directories_are_read(name, tmp_path):
    """All kinds of records but STAMP; parts that rest encrypted are shown as sealed, and those that were erased as erased."""
    told = vector(name)
    for file, content in told["files"].items():
        path = tmp_path / file if "/" in file else tmp_path / "segments" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(unhex(content))
    ledger = read_ledger.read_directory(tmp_path, verify_evidence.Anchor.parse(told["anchor"]))
    assert (ledger.origin, len(ledger.leaves), ledger.root.hex()) == (told["origin"], told["size"], told["root"])
    names = {record.name for record in ledger.records}
    if name == "erasure":
        assert {"RECEIPT", "PAYLOAD"} <= names and {"ERASED", "HELD", "RELEASED"} <= {s.kind for s in ledger.statements}
        assert any(statement.erased for statement in ledger.statements)


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
