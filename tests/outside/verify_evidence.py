"""A second verifier of evidence files and sets, written from docs/formats.md and not from the program's sources.

It checks what makes an exchange proven: the file's digest, canonical bytes, every statement's parts, leaf and path, the
signature of every checkpoint by the key that a signed snapshot or the anchor names for its origin, the quorum of
cosignatures by the anchor's witnesses and those of the snapshots, the citations between the two ledgers, and that the agreement and the snapshots stand in the registry's ledger.
Certificates of nodes are left to `openssl verify`, which the tests run on them. Time-stamps are judged, with their renewals.

    verify_evidence.py FILE --anchor ANCHOR      prints VALID, or INVALID and why; exit code 0 or 1
"""

import argparse
import base64
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import time_stamps
from notes import SEAL, WITNESS, Checkpoint, Key, Note, domain, root_from_path, sha256, tree_root
from wire import Refused, need, read

MAGIC, SET_MAGIC = b"JISREV\x00\x01", b"JISREV\x01\x01"
FILE_BYTES_MAX, SET_BYTES_MAX = 16 << 20, 256 << 20

PART = {1: ("tag", "uint"), 2: ("salt", "bytes"), 3: ("content", "bytes"), 4: ("hash", "bytes"), 5: ("erased", "bool")}
STATEMENT = {1: ("origin", "str"), 2: ("index", "uint"), 3: ("parts", [PART]), 4: ("path", ["bytes"]), 5: ("checkpoint", "uint")}
RENEWAL = {1: ("index", "uint"), 2: ("size", "uint"), 3: ("path", ["bytes"]), 4: ("token", "bytes")}
STAMP = {1: ("checkpoint", "uint"), 2: ("token", "bytes"), 3: ("renewals", [RENEWAL])}
CITED = {1: ("header", "bytes"), 2: ("note", "bytes")}
SHOWN_ROW = {1: ("key", "str"), 2: ("row", "bytes"), 3: ("content", "bytes"), 4: ("index", "uint"), 5: ("path", ["bytes"])}
SHOWN_ROWS = {1: ("root", "bytes"), 2: ("rows", [SHOWN_ROW])}
EVIDENCE = {
    1: ("format", "uint"), 2: ("instance", "str"), 3: ("exchange_id", "bytes"), 4: ("created_us", "uint"),
    5: ("checkpoints", ["bytes"]), 6: ("statements", [STATEMENT]), 7: ("registry", [STATEMENT]), 8: ("certificates", ["bytes"]),
    9: ("snapshots", [CITED]), 10: ("rows", [SHOWN_ROWS]), 11: ("schema", "bytes"), 12: ("stamps", [STAMP]),
}
EXCHANGE = {1: ("exchange_id", "bytes"), 2: ("statements", [STATEMENT])}
EVIDENCE_SET = {
    1: ("format", "uint"), 2: ("instance", "str"), 3: ("created_us", "uint"), 4: ("title", "str"), 5: ("checkpoints", ["bytes"]),
    6: ("exchanges", [EXCHANGE]), 7: ("registry", [STATEMENT]), 8: ("certificates", ["bytes"]), 9: ("snapshots", [CITED]),
    10: ("rows", [SHOWN_ROWS]), 11: ("schemas", ["bytes"]), 12: ("stamps", [STAMP]),
}
CORE = {
    1: ("format", "uint"), 2: ("kind", "uint"), 3: ("instance", "str"), 4: ("exchange_id", "bytes"), 5: ("created_us", "uint"),
    6: ("expires_us", "uint"), 7: ("tags", "bytes"), 8: ("consumer", "str"), 9: ("provider", "str"), 10: ("provider_origin", "str"),
    11: ("service", "str"), 12: ("method", "str"), 13: ("agreement", "bytes"), 14: ("snapshot_version", "uint"), 15: ("snapshot", "bytes"),
    16: ("schema", "bytes"), 17: ("key_set", "bytes"), 18: ("payload_bytes", "uint"), 19: ("status", "uint"), 20: ("rule", "str"),
    21: ("mask", "str"), 22: ("no_side_effects", "bool"), 23: ("repeats", "bytes"),
}
CITATION = {1: ("origin", "str"), 2: ("index", "uint"), 3: ("leaf", "bytes"), 4: ("tree_size", "uint"), 5: ("root", "bytes")}
NODE = {
    1: ("id", "str"), 2: ("origin", "str"), 3: ("address", "str"), 4: ("tls_certificates", ["bytes"]), 5: ("seal_certificate", "bytes"),
    6: ("seal_key", "bytes"), 7: ("witness_key", "bytes"), 8: ("local_ca", "bytes"), 9: ("entry", "uint"),
}
SUBSYSTEM = {1: ("code", "str"), 2: ("name_ar", "str"), 3: ("name_en", "str")}
CONTACT = {1: ("role", "uint"), 2: ("name", "str"), 3: ("email", "str"), 4: ("phone", "str")}
MEMBER = {
    1: ("id", "str"), 2: ("name_ar", "str"), 3: ("name_en", "str"), 4: ("entry", "uint"), 5: ("subsystems", [SUBSYSTEM]),
    6: ("contacts", [CONTACT]),
}
LISTING = {
    1: ("version", "str"), 2: ("classification", "uint"), 3: ("text_ar", "str"), 4: ("text_en", "str"), 5: ("availability", "str"),
    6: ("availability_target", "uint"), 7: ("contact", "str"),
}
SERVICE = {
    1: ("name", "str"), 2: ("provider", "str"), 3: ("schema", "bytes"), 4: ("title_ar", "str"), 5: ("title_en", "str"), 6: ("entry", "uint"),
    7: ("listing", LISTING), 8: ("continues", ["bytes"]),
}
AGREEMENT_ROW = {1: ("digest", "bytes"), 2: ("document", "bytes"), 3: ("entry", "uint")}
WITNESS_ROW = {1: ("name", "str"), 2: ("key", "bytes"), 3: ("operator", "str")}
HEADER = {
    1: ("format", "uint"), 2: ("instance", "str"), 3: ("version", "uint"), 4: ("created_us", "uint"), 5: ("expires_us", "uint"),
    6: ("previous", "bytes"), 7: ("rows", "uint"), 8: ("root", "bytes"),
}
ROW = {
    1: ("key", "str"), 2: ("member", MEMBER), 3: ("node", NODE), 4: ("service", SERVICE), 5: ("agreement", AGREEMENT_ROW),
    6: ("witness", WITNESS_ROW), 7: ("quorum", {1: ("routine", "uint"), 2: ("standard", "uint"), 3: ("high", "uint")}),
    8: ("revoked", {1: ("certificate", "bytes")}), 9: ("authority", {1: ("kind", "str"), 2: ("certificate", "bytes")}),
}
METHOD = {
    1: ("service", "str"), 2: ("method", "str"), 3: ("schema", "bytes"), 4: ("mask", "str"), 5: ("no_side_effects", "bool"),
    6: ("evidence_class", "uint"),
}
PURPOSE = {1: ("code", "str"), 2: ("legal_basis", "str")}
AGREEMENT = {
    1: ("format", "uint"), 2: ("instance", "str"), 3: ("consumer", "str"), 4: ("provider", "str"), 5: ("methods", [METHOD]),
    6: ("purposes", [PURPOSE]), 7: ("consent_required", "bool"), 8: ("rate_per_minute", "uint"), 9: ("subjects_per_case", "uint"),
    10: ("valid_from_us", "uint"), 11: ("valid_until_us", "uint"), 12: ("nonce", "bytes"),
}
OPEN_PART = {1: ("tag", "uint"), 2: ("salt", "bytes"), 3: ("content", "bytes")}
SEAL_MESSAGE = {1: ("index", "uint"), 2: ("path", ["bytes"]), 3: ("checkpoint", "bytes")}
SEALED = {1: ("statement", {1: ("parts", [OPEN_PART])}), 2: ("seal", SEAL_MESSAGE)}
AGREEMENT_ACT = {1: ("document", "bytes"), 2: ("agreed", [SEALED])}
SNAPSHOT_ACT = {1: ("version", "uint"), 2: ("digest", "bytes"), 3: ("expires_us", "uint")}

CLOSED_AT_HOME = (5, 6, 7, 8)
TAG_CORE, TAG_PURPOSE, TAG_PEER, TAG_ACT = 1, 2, 9, 10
ASKED, AGREEMENT_REGISTERED, SNAPSHOT_PUBLISHED = 1, 65, 68
CLASS_NAMES = {0: "STANDARD", 1: "ROUTINE", 2: "STANDARD", 3: "HIGH"}
REPEATED_FROM_ASKED = ("instance", "exchange_id", "consumer", "provider", "provider_origin", "service", "method", "agreement")


@dataclass(frozen=True)
class Anchor:
    """What the verifier believes before he opens the file."""

    instance: str
    registry: Key
    snapshot: Key
    witnesses: list[tuple[Key, str]]
    quorum: dict[str, int]
    root: bytes
    authorities: list[bytes]

    @staticmethod
    def parse(text: str) -> "Anchor":
        raw = tomllib.loads(text)
        need(raw.pop("format") == 1, "anchor of another format")
        registry = Key.parse(raw["registry_key"])
        need(registry.name == raw["registry_origin"] and registry.type == SEAL, "the registry's key has another name")
        witnesses = [(Key.parse(row["key"]), row["operator"]) for row in raw.get("witness", [])]
        root = bytes.fromhex(raw["root"])
        need(len(root) == 32, "the root's fingerprint is damaged")
        authorities = [base64.b64decode(row["certificate"], validate=True) for row in raw.get("timestamp", [])]
        return Anchor(raw["instance"], registry, Key.parse(raw["snapshot_key"]), witnesses, raw["quorum"], root, authorities)

    def policy(self, snapshots) -> dict[str, list[tuple[Key, str, bool]]]:
        """Keys that count by name, each with its operator and whether the anchor names it (Quorum)."""
        known = {key.name: [(key, operator, True)] for key, operator in self.witnesses}
        for snapshot in snapshots.values():
            listed = [(row.name, row.key, row.operator) for row in snapshot.witnesses]
            for node in snapshot.nodes:
                member, _, code = node.id.rpartition("/node/")
                listed.append((f"jisr/{member}/{code}/witness", node.witness_key, member))
            for name, raw, operator in listed:
                rows = known.setdefault(name, [])
                row = (Key(name, WITNESS, raw), operator, False)
                if len(raw) == 32 and row not in rows and not any(anchored for *_, anchored in rows):
                    rows.append(row)
        return known

    def need_quorum(self, entry, evidence_class: str, policy, parties=()) -> None:
        """As many operators as the class demands cosigned it, the ledger's own not counted, for HIGH one of them no party."""
        registry = f"{self.instance}/registry"
        own = registry if entry.origin == self.registry.name else "/".join(entry.origin.split("/")[1:4])
        operators = set()
        for name in {name for name, _ in entry.note.lines} & set(policy):
            for key, operator, anchored in policy[name]:
                if entry.note.cosigned_at(key) is not None and operator != own and (anchored or own != registry):
                    operators.add(operator)
        needed = self.quorum[evidence_class]
        need(len(operators) >= needed, f"{entry.origin}: {len(operators)} cosigners, {needed} are needed")
        if evidence_class == "HIGH":
            need(operators - {registry, *parties}, f"{entry.origin}: no cosigner beyond the registry and both parties")


@dataclass(frozen=True)
class Entry:
    """A statement that was shown to stand in a ledger."""

    origin: str
    index: int
    leaf: bytes
    core: SimpleNamespace
    opened: dict[int, bytes]
    erased: set[int]
    note: Note


def body_of(data: bytes, magic: bytes = MAGIC, name: str = "jisr.evidence", bytes_max: int = FILE_BYTES_MAX) -> bytes:
    need(len(data) <= bytes_max + 40, "the file is too large")
    need(data[:8] == magic, "not an evidence file")
    need(data[8:40] == domain(name, data[40:]), "the file's digest is not that of its body")
    return data[40:]


KEYS = {
    "member": lambda row: f"member/{row.id}",
    "node": lambda row: f"node/{row.id}",
    "service": lambda row: f"service/{row.name}/{row.provider}",
    "agreement": lambda row: f"agreement/{row.digest.hex()}",
    "witness": lambda row: f"witness/{row.name}",
    "quorum": lambda row: "quorum",
    "revoked": lambda row: f"revoked/{row.certificate.hex()}",
    "authority": lambda row: f"authority/{row.kind}/{sha256(row.certificate).hex()}",
}


class Snapshot:
    """A header, and the rows of it that are shown, each under its path."""

    def __init__(self, header, shown):
        self.header = header
        self.places = [(row.index, row.key) for row in shown]
        need(self.places == sorted(set(self.places)), "rows out of order")
        need([key for _, key in self.places] == sorted({key.encode(): key for _, key in self.places}.values()), "keys out of order")
        rows = [self.row(row) for row in shown]
        self.rows = {row.key: row for row in rows if row}
        said = [(kind, getattr(row, kind)) for row in self.rows.values() for kind in KEYS if getattr(row, kind) is not None]
        self.nodes = [row for kind, row in said if kind == "node"]
        self.witnesses = [row for kind, row in said if kind == "witness"]
        self.agreements = [row for kind, row in said if kind == "agreement"]

    def row(self, shown):
        need(bool(shown.row) != bool(shown.content), "a row is neither shown nor withheld")
        content = domain("jisr.row", shown.row) if shown.row else shown.content
        leaf = domain("jisr.listed", content + shown.key.encode())
        root = root_from_path(shown.index, self.header.rows, sha256(b"\x00", leaf), shown.path)
        need(root == self.header.root, f"{shown.key}: the path leads to another root")
        return read_row(shown.row, shown.key) if shown.row else None

    def is_absent(self, key: str) -> bool:
        """The keys on both sides stand side by side."""
        before = max((index for index, other in self.places if other.encode() < key.encode()), default=-1)
        after = min((index for index, other in self.places if other.encode() > key.encode()), default=self.header.rows)
        return before + 1 == after


def read_row(data: bytes, key: str):
    row = read(ROW, data)
    said = [kind for kind in KEYS if getattr(row, kind) is not None]
    need(len(said) == 1 and row.key == key == KEYS[said[0]](getattr(row, said[0])), "a row's key is that of another")
    return row


def snapshots_of(evidence, anchor: Anchor) -> dict[bytes, Snapshot]:
    """The snapshots by digest, each signed by the anchor's snapshot key, with the rows that are shown."""
    shown = {rows.root: rows.rows for rows in evidence.rows}
    need(list(shown) == sorted(shown) and len(shown) == len(evidence.rows), "the rows do not stand by root, each once")
    found = {}
    for cited in evidence.snapshots:
        digest, header, note = domain("jisr.snapshot", cited.header), read(HEADER, cited.header), Note(cited.note)
        note.verify(anchor.snapshot)
        need(header.format == 2 and header.instance == anchor.instance, "a snapshot of another format or instance")
        need(note.text == snapshot_text(anchor, header, digest), "the note is for another snapshot")
        found[digest] = Snapshot(header, shown.get(header.root, []))
    need(set(shown) <= {snapshot.header.root for snapshot in found.values()}, "rows of no snapshot in the file")
    return found


def check_not_revoked(entries, snapshots) -> None:
    """No snapshot that is cited lists a certificate of either node as revoked."""
    for cited in {entry.core.snapshot for entry in entries} & set(snapshots):
        for origin in {entry.origin for entry in entries}:
            for node in (node for node in snapshots[cited].nodes if node.origin == origin):
                for certificate in (node.seal_certificate,):
                    key = f"revoked/{sha256(certificate).hex()}"
                    need(snapshots[cited].is_absent(key), f"{origin}: nothing shows that its certificate is not revoked")


def snapshot_text(anchor: Anchor, snapshot, digest: bytes) -> str:
    return f"{anchor.snapshot.name}\n{snapshot.version}\n{base64.b64encode(digest).decode()}\n{snapshot.expires_us // 1_000_000}\n"


def seal_keys(snapshots, anchor: Anchor) -> dict[str, Key]:
    keys = {anchor.registry.name: anchor.registry}
    for snapshot in snapshots.values():
        for node in snapshot.nodes:
            known = keys.setdefault(node.origin, Key(node.origin, SEAL, node.seal_key))
            need(known.raw == node.seal_key, f"two seal keys for {node.origin}")
    return keys


def part_hash(part) -> bytes:
    if part.hash:
        need(part.erased in (0, 1), "a truth value is 0 or 1")
        need(len(part.hash) == 32 and not (part.tag or part.salt or part.content), "a part is both shown and withheld")
        return part.hash
    need(not part.erased, "a part is both shown and erased")
    need(len(part.salt) == 32 and 1 <= part.tag <= 10, "a part without salt or with an unknown tag")
    return sha256(b"\x00", bytes([part.tag]), part.salt, part.content)


def entry_of(statement, evidence, keys: dict[str, Key], anchor: Anchor) -> Entry:
    """Leaf, path and checkpoint of one statement."""
    opened = {part.tag: part.content for part in statement.parts if not part.hash}
    need(TAG_CORE in opened, "CORE is withheld")
    core = read(CORE, opened[TAG_CORE])
    need(core.format == 1 and core.instance == anchor.instance, "a statement of another format or instance")
    need(len(core.tags) == len(statement.parts) and list(core.tags) == sorted(set(core.tags)), "tags and parts do not fit")
    need(all(p.hash or p.tag == tag for p, tag in zip(statement.parts, core.tags)), "a part has another tag than CORE says")
    leaf = domain("jisr.statement", tree_root([part_hash(part) for part in statement.parts]))
    need(statement.checkpoint < len(evidence.checkpoints), "a checkpoint is missing")
    note = Note(evidence.checkpoints[statement.checkpoint])
    checkpoint = Checkpoint.parse(note.text)
    need(checkpoint.origin == statement.origin and statement.origin in keys, f"no key for {statement.origin}")
    note.verify(keys[statement.origin])
    root = root_from_path(statement.index, checkpoint.size, sha256(b"\x00", leaf), statement.path)
    need(root == checkpoint.root, f"{statement.origin} #{statement.index}: the path leads to another root")
    erased = {tag for part, tag in zip(statement.parts, core.tags) if part.erased}
    return Entry(statement.origin, statement.index, leaf, core, opened, erased, note)


def check_citations(entries: list[Entry]) -> None:
    """Whatever a statement cites, and the file holds, is the statement that was cited."""
    by_place = {(entry.origin, entry.index): entry for entry in entries}
    for entry in entries:
        if TAG_PEER in entry.opened:
            citation = read(CITATION, entry.opened[TAG_PEER])
            cited = by_place.get((citation.origin, citation.index))
            need(cited is not None and cited.leaf == citation.leaf, f"{entry.origin} #{entry.index} cites what is not here")


def check_exchange(entries: list[Entry], evidence) -> Entry:
    """All statements are of one exchange; returns ASKED."""
    asked = [entry for entry in entries if entry.core.kind == ASKED]
    need(len(asked) == 1, "there is not exactly one ASKED")
    for entry in entries:
        for field in REPEATED_FROM_ASKED:
            need(getattr(entry.core, field) == getattr(asked[0].core, field), f"{field} differs from ASKED")
        own_side = entry.origin == asked[0].core.provider_origin or entry.origin == asked[0].origin
        need(own_side, f"{entry.origin} is no party of the exchange")
    need(asked[0].core.exchange_id == evidence.exchange_id, "the file is for another exchange")
    check_citations(entries)
    return asked[0]


def refused_at_home(entries: list[Entry], evidence) -> bool:
    """The consumer's own node closed the exchange before anything was asked: one statement, which cites nothing."""
    (alone,) = entries if len(entries) == 1 else (None,)
    if alone is None or alone.core.kind not in CLOSED_AT_HOME:
        return False
    need(TAG_PEER not in alone.opened and alone.core.exchange_id == evidence.exchange_id, "the file is for another exchange")
    need(alone.core.consumer.split("/")[:3] == alone.origin.split("/")[1:4], "not the consumer's own ledger")
    return True


def check_registry(entries: list[Entry], asked: Entry, snapshots) -> str:
    """Agreement and snapshots stand in the registry's ledger; returns the evidence class that the agreement pins."""
    acts = [(entry.core.kind, entry.opened[TAG_ACT]) for entry in entries if TAG_ACT in entry.opened]
    published = {read(SNAPSHOT_ACT, act).digest for kind, act in acts if kind == SNAPSHOT_PUBLISHED}
    need(set(snapshots) <= published, "a snapshot was not published")
    need(asked.core.snapshot in snapshots, "the snapshot that ASKED cites is missing")
    rows = {row.digest: row.document for row in snapshots[asked.core.snapshot].agreements}
    document = rows.get(asked.core.agreement)
    need(document and domain("jisr.agreement", document) == asked.core.agreement, "the agreement is not in the snapshot")
    registered = {read(AGREEMENT_ACT, act).document for kind, act in acts if kind == AGREEMENT_REGISTERED}
    need(document in registered, "the agreement was not registered")
    return permitted(read(AGREEMENT, document), asked)


def permitted(agreement, asked: Entry) -> str:
    core = asked.core
    need((agreement.consumer, agreement.provider) == (core.consumer, core.provider), "the agreement is between others")
    need(agreement.valid_from_us <= core.created_us <= agreement.valid_until_us, "the agreement was not in force")
    methods = [m for m in agreement.methods if (m.service, m.method) == (core.service, core.method)]
    need(methods and methods[0].schema == core.schema, "the method is not agreed")
    if TAG_PURPOSE in asked.opened:
        need(asked.opened[TAG_PURPOSE].decode() in {p.code for p in agreement.purposes}, "the purpose is not agreed")
    return CLASS_NAMES[methods[0].evidence_class]


class Ground:
    """What the exchanges of a file share, checked once."""

    def __init__(self, body, anchor: Anchor):
        need(body.format == 1 and body.instance == anchor.instance, "another format or instance")
        self.body, self.anchor = body, anchor
        self.snapshots = snapshots_of(body, anchor)
        self.keys, self.policy = seal_keys(self.snapshots, anchor), anchor.policy(self.snapshots)
        self.registry = [self.entry(statement) for statement in body.registry]
        need(all(entry.origin == anchor.registry.name for entry in self.registry), "a registry entry of another ledger")
        for entry in self.registry:
            anchor.need_quorum(entry, "REGISTRY", self.policy)
        indexes = [entry.index for entry in self.registry]
        need(indexes == sorted(set(indexes)), "the registry's entries are out of order")
        self.stamps = [(stamp.checkpoint, self.stamp(stamp)) for stamp in body.stamps]
        places = [(stamp.checkpoint, stamp.token) for stamp in body.stamps]
        need(places == sorted(places) and len(set(places)) == len(places), "the time-stamps are out of order")

    def stamp(self, stamp) -> time_stamps.Said:
        """What a time-stamp says of its checkpoint. Its renewals hold, and an authority that is trusted vouches for it."""
        note = Note(self.body.checkpoints[stamp.checkpoint])
        said = time_stamps.judge(stamp.token, sha256(note.text.encode()), self.anchor)
        need(len(stamp.renewals) <= 64, "more than 64 renewals")
        last = time_stamps.renewals(stamp, said, self.anchor)
        need(said.is_trusted and last.is_trusted, "a time-stamp of an authority that the anchor does not name")
        return said

    def entry(self, statement) -> Entry:
        return entry_of(statement, self.body, self.keys, self.anchor)

    def exchange(self, exchange) -> list[Entry]:
        """The proven statements of one exchange."""
        entries = [self.entry(statement) for statement in exchange.statements]
        self.check_stamps(entries, exchange.statements)
        if refused_at_home(entries, exchange):
            evidence_class = CLASS_NAMES[0]
        else:
            evidence_class = check_registry(self.registry, check_exchange(entries, exchange), self.snapshots)
        check_times(entries)
        check_not_revoked(entries, self.snapshots)
        parties = [subsystem.rpartition("/")[0] for subsystem in (entries[0].core.consumer, entries[0].core.provider)]
        for entry in entries:
            self.anchor.need_quorum(entry, evidence_class, self.policy, parties)
        return entries

    def check_stamps(self, entries: list[Entry], statements) -> None:
        """What stands under a checkpoint was not made after it was stamped."""
        for position, said in self.stamps:
            for entry in (entry for entry, statement in zip(entries, statements) if statement.checkpoint == position):
                late = entry.core.created_us - said.time_us - said.accuracy_us
                need(late <= 60_000_000, f"{entry.origin} #{entry.index} was made after its checkpoint was stamped")


def check_times(entries: list[Entry]) -> None:
    """Within one ledger time steps back by a second at most."""
    for one, after in zip(entries, entries[1:]):
        back = one.core.created_us - after.core.created_us
        need(one.origin != after.origin or back <= 1_000_000, "time went back within a ledger")


def verify(data: bytes, anchor: Anchor) -> list[Entry]:
    """Returns the proven statements of the exchange; raises Refused at the first thing that does not hold."""
    try:
        evidence = read(EVIDENCE, body_of(data))
        return Ground(evidence, anchor).exchange(evidence)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Refused(f"the file does not parse: {error}") from error


def verify_set(data: bytes, anchor: Anchor) -> dict[bytes, list[Entry]]:
    """Returns the proven statements of all exchanges of a set, by id; raises Refused at the first thing that does not hold."""
    try:
        body = read(EVIDENCE_SET, body_of(data, SET_MAGIC, "jisr.evidence-set", SET_BYTES_MAX))
        ids = [exchange.exchange_id for exchange in body.exchanges]
        need(ids and ids == sorted(set(ids)), "the exchanges do not stand by id, each once")
        digests = [domain("jisr.schema", schema) for schema in body.schemas]
        need(digests == sorted(set(digests)), "the schemas do not stand by digest, each once")
        ground = Ground(body, anchor)
        return {exchange.exchange_id: ground.exchange(exchange) for exchange in body.exchanges}
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Refused(f"the file does not parse: {error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description="Verifies an evidence file from docs/formats.md alone.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--anchor", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        data, anchor = arguments.file.read_bytes(), Anchor.parse(arguments.anchor.read_text(encoding="utf-8"))
        proven = verify_set(data, anchor).values() if data[:8] == SET_MAGIC else [verify(data, anchor)]
    except Refused as refused:
        print(f"INVALID\n{refused}")
        return 1
    print("VALID")
    for entry in (entry for entries in proven for entry in entries):
        print(f"{entry.origin} #{entry.index} kind {entry.core.kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
