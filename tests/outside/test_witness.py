"""C2SP tlog-witness and tlog-tiles, spoken by curl: proofs are computed here from tiles, cosignatures verified here."""

import base64
import subprocess
import tomllib
from pathlib import Path

import pytest

import keystore
from notes import WITNESS, Checkpoint, Key, Note, sha256, tree_root
from verify_evidence import read_row
from wire import read

HTTP2 = ["curl", "--silent", "--show-error", "--max-time", "10"]


class Answer:
    def __init__(self, out: Path, *options):
        head = out / "head"
        body = out / "body"
        command = [*HTTP2, "--dump-header", head, "--output", body, *options]
        body.unlink(missing_ok=True)
        subprocess.run([*map(str, command)], check=True, timeout=20)
        first, *lines = head.read_bytes().decode().split("\r\n")
        self.version, status, *_ = first.split(" ")
        self.status = int(status)
        self.headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        self.body = body.read_bytes() if body.exists() else b""


class Log:
    """mol's ledger, as its admin socket serves it."""

    def __init__(self, node: Path, out: Path):
        self.socket, self.out = node / "admin.sock", out

    def get(self, path: str) -> Answer:
        return Answer(self.out, "--http2-prior-knowledge", "--unix-socket", self.socket, f"http://node{path}")

    def checkpoint(self) -> bytes:
        return self.get("/checkpoint").body

    def leaves(self, size: int) -> list[bytes]:
        """Hashes of the leaves, tile by tile."""
        hashes = []
        for number in range((size + 255) // 256):
            width = min(256, size - 256 * number)
            partial = "" if width == 256 else f".p/{width}"
            tile = self.get(f"/tile/0/{number:03}{partial}")
            assert tile.status == 200 and len(tile.body) == 32 * width
            hashes += [tile.body[i : i + 32] for i in range(0, len(tile.body), 32)]
        return hashes


def consistency(old: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.2."""

    def sub(m: int, part: list[bytes], whole: bool) -> list[bytes]:
        if m == len(part):
            return [] if whole else [tree_root(part)]
        k = 1
        while k * 2 < len(part):
            k *= 2
        if m <= k:
            return sub(m, part[:k], whole) + [tree_root(part[k:])]
        return sub(m - k, part[k:], False) + [tree_root(part[:k])]

    return sub(old, leaves, True) if 0 < old < len(leaves) else []


@pytest.fixture
def mol(demo, tmp_path):
    node = demo.node("mol")
    return demo.ledger("mol").parent, Log(demo.ledger("mol").parent, tmp_path), node


def witnesses(demo, node: Path) -> dict[str, str]:
    """Addresses where a node may have its checkpoints cosigned: a peer, the registry."""
    registry = tomllib.loads((node / "node.toml").read_text(encoding="utf-8"))["registry"]
    return {"JO/GOV/psd/node/node1": demo.node("psd")["peer"], "JO/registry": registry}


def post(address: str, node: Path, out: Path, body: bytes) -> Answer:
    request = out / "request"
    request.write_bytes(body)
    # Whose certificate it is, a node knows by its URI name and the snapshot; curl knows host names only.
    identity = ["--cert", node / "tls.pem", "--key", keystore.plain(node, "tls-tls.pem", out), "--insecure", "--http2"]
    kind = ["--header", "Content-Type: text/plain", "--data-binary", f"@{request}"]
    return Answer(out, *identity, *kind, f"https://{address}/add-checkpoint")


def request(old: int, proof: list[bytes], checkpoint: bytes) -> bytes:
    lines = [f"old {old}", *(base64.b64encode(hash).decode() for hash in proof), "", ""]
    return "\n".join(lines).encode() + checkpoint


def test_the_ledger_is_a_log_of_tiles(mol):
    _, log, _ = mol
    checkpoint = Checkpoint.parse(Note(log.checkpoint()).text)
    leaves = log.leaves(checkpoint.size)
    assert tree_root(leaves) == checkpoint.root
    bundle = log.get(f"/tile/entries/000.p/{min(checkpoint.size, 255)}").body
    entries = [bundle[i : i + 34] for i in range(0, len(bundle), 34)]
    for entry, leaf in zip(entries, leaves):
        assert entry[:2] == b"\x00\x20" and sha256(b"\x00", entry[2:]) == leaf
    assert log.get("/tile/0/x999/999").status == 404


def test_a_peer_cosigns_what_is_proven_to_continue(demo, mol, tmp_path):
    node, log, _ = mol
    keys = witness_keys(node)
    for witness, address in witnesses(demo, node).items():
        checkpoint = log.checkpoint()
        size = Checkpoint.parse(Note(checkpoint).text).size
        leaves = log.leaves(size)
        # A first try with any old size tells the right one, unless a round of the node's own was faster.
        old, answer = 0, None
        for _ in range(20):
            answer = post(address, node, tmp_path, request(old, consistency(old, leaves), checkpoint))
            assert answer.version == "HTTP/2"
            if answer.status != 409:
                break
            assert answer.headers["content-type"] == "text/x.tlog.size"
            old = int(answer.body.decode().removesuffix("\n"))
            if old > size:
                checkpoint = log.checkpoint()
                size = Checkpoint.parse(Note(checkpoint).text).size
                leaves = log.leaves(size)
        assert answer.status == 200, answer.body
        assert Note(checkpoint + answer.body).cosigned_at(keys[witness]) is not None


CHANGE = {1: ("key", "str"), 2: ("row", "bytes"), 3: ("content", "bytes"), 4: ("removed", "bool")}
UPDATE = {1: ("signed", "bytes"), 2: ("base_version", "uint"), 3: ("changes", [CHANGE]), 4: ("more", "bool")}


def rows_of(node: Path) -> dict[str, object]:
    """The rows of the newest snapshot, as they lie on the node's disk: a whole one, and what changed since."""
    rows = {}
    for file in ("rows", "changes"):
        path = node / "snapshot" / file
        for change in read(UPDATE, path.read_bytes()).changes if path.exists() else []:
            rows[change.key] = change.row and read_row(change.row, change.key)
    return {key: row for key, row in rows.items() if row}


def witness_keys(node: Path) -> dict[str, Key]:
    """Witness keys that the snapshot lists, by whose they are."""
    rows = rows_of(node).values()
    keys = {row.witness.operator: Key(row.witness.name, WITNESS, row.witness.key) for row in rows if row.witness}
    for row in (row.node for row in rows if row.node):
        keys[row.id] = Key("jisr/" + row.id.replace("/node/", "/") + "/witness", WITNESS, row.witness_key)
    return keys


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"old 1\n"),
        (400, b"old 01\n\nx\n"),
        (400, b"old 1\n" + 64 * (base64.b64encode(bytes(32)) + b"\n") + b"\n"),
        (413, b"o" * ((128 << 10) + 1)),
        (404, b"old 0\n\njisr/JO/GOV/nobody/node1/2026\n1\n" + base64.b64encode(bytes(32)) + b"\n\n\xe2\x80\x94 key AAAAAAAA\n"),
    ],
)
def test_what_is_no_request_is_refused(demo, mol, tmp_path, status, body):
    node, _, _ = mol
    for address in witnesses(demo, node).values():
        assert post(address, node, tmp_path, body).status == status


def test_a_changed_checkpoint_is_not_cosigned(demo, mol, tmp_path):
    node, log, _ = mol
    origin, size, rest = log.checkpoint().split(b"\n", 2)
    changed = b"\n".join([origin, str(int(size) + 1).encode(), rest])
    for address in witnesses(demo, node).values():
        assert post(address, node, tmp_path, request(0, [], changed)).status == 403
