"""What was erased in a ledger, and whether officers said so, from docs/formats.md alone (Erasure and hold)."""

from certified import DOCUMENT_SIGNING, authority, is_p256, issued, leaf, signed_by
from notes import domain, sha256
from wire import need, read

STORED, PAYLOAD = 128, 8
PARTS = {1: ("index", "uint"), 2: ("tags", "bytes")}
ERASURE = {
    1: ("format", "uint"), 2: ("origin", "str"), 3: ("parts", [PARTS]), 4: ("reason", "str"), 5: ("created_us", "uint"),
    6: ("nonce", "bytes"),
}
HOLD = {
    1: ("format", "uint"), 2: ("origin", "str"), 3: ("exchanges", ["bytes"]), 4: ("from_us", "uint"), 5: ("until_us", "uint"),
    6: ("reason", "str"), 7: ("nonce", "bytes"),
}
RELEASE = {1: ("format", "uint"), 2: ("hold", "bytes"), 3: ("reason", "str")}


class Erasures:
    """What is named so far, what was found erased, and the holds that stand."""

    def __init__(self, origin: str):
        self.origin = origin
        self.named: set[tuple[int, int]] = set()
        self.found: set[tuple[int, int]] = set()
        self.holds: set[bytes] = set()

    def take(self, statement) -> None:
        """An act of this ledger."""
        act, at_us = statement.act, statement.core.created_us
        if statement.kind == "ERASED":
            document = read(ERASURE, act.erasure)
            indexes = [part.index for part in document.parts]
            need(indexes and indexes == sorted(set(indexes)) and 0 < indexes[0], "an ERASED names entries out of order")
            need(indexes[-1] < statement.index and document.created_us, "an ERASED names what comes after it")
            for part in document.parts:
                tags = list(part.tags)
                need(tags and tags == sorted(set(tags)) and set(tags) <= {*range(2, 9), STORED}, "parts that cannot be erased")
                self.named |= {(part.index, tag) for tag in tags}
                self.named |= {(part.index, STORED) for tag in tags if tag == PAYLOAD}
            kept_only = all(part.tags == bytes([STORED]) for part in document.parts) and document.reason == "retention"
            self.approved("jisr.erasure", act.erasure, document, act.approvals, 0 if kept_only else 2, at_us)
        elif statement.kind == "HELD":
            document = read(HOLD, act.hold)
            self.approved("jisr.hold", act.hold, document, act.approvals, 1, at_us)
            digest = domain("jisr.hold", act.hold)
            need(digest not in self.holds, "a hold begins twice")
            self.holds.add(digest)
        elif statement.kind == "RELEASED":
            document = read(RELEASE, act.release)
            self.approved("jisr.release", act.release, document, act.approvals, 2, at_us)
            need(document.hold in self.holds, "a RELEASED ends a hold that does not stand")
            self.holds.remove(document.hold)

    def approved(self, name: str, data: bytes, document, approvals: list, needed: int, at_us: int) -> None:
        """So many different officers of the owner, all under one local authority; every approval that is there holds."""
        need(document.format == 1 and document.reason, "a document out of form")
        need(name == "jisr.release" or (document.origin == self.origin and len(document.nonce) == 16), "a document of another ledger")
        need(needed <= len(approvals) <= 8, "too few or too many approvals")
        member = self.origin.split("/")[1:4]
        wanted = "spiffe://" + "/".join(part.lower() for part in member) + "/officer/"
        seen: set = set()
        for approval in approvals:
            need(len(approval.certificates) == 2, "an approval without both certificates")
            local = authority(approval.certificates[1], 0, at_us)
            issued(local, local)
            officer, uri = leaf(approval.certificates[0], DOCUMENT_SIGNING, at_us)
            issued(officer, local)
            need(uri.startswith(wanted) and is_p256(officer), f"{uri} is no officer of the owner")
            signed_by(officer, approval.signature, name.encode() + b"\x01" + data)
            who = {("name", uri), ("key", officer.public_key().public_numbers())}
            need(not who & seen, "one officer approves twice")
            seen |= who
        need(len({sha256(approval.certificates[1]) for approval in approvals}) <= 1, "officers of two local authorities")

    def end(self) -> None:
        need(self.found <= self.named, f"parts are erased that no ERASED names: {sorted(self.found - self.named)[:4]}")
