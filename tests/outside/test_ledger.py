"""Ledger directories, snapshots and time-stamps before readers that were written from docs/formats.md alone."""

import base64
import json
import random
import shutil
import time

import pytest

import administrators
import read_snapshot
import time_stamps
import verify_evidence
from demo import jisr
from network import Network, command
from notes import Note, sha256
from read_ledger import read_directory
from wire import Refused

STAMPED_S_MAX = 60
CHANGED = 40


@pytest.fixture(scope="module")
def anchor(demo) -> verify_evidence.Anchor:
    return verify_evidence.Anchor.parse((demo.dir / "anchor").read_text(encoding="utf-8"))


def copy_of(ledger, to):
    """As an auditor is handed it: what the program derived is left out."""
    return shutil.copytree(ledger / "segments", to / "segments").parent


def ledgers(demo) -> dict:
    return {"registry": demo.dir / "registry"} | {node["code"]: demo.ledger(node["code"]).parent for node in demo.summary["nodes"]}


def test_every_ledger_is_read_as_our_verifier_reads_it(demo, anchor, tmp_path):
    kinds = set()
    for code, data in ledgers(demo).items():
        copy = copy_of(data / "ledger", tmp_path / code)
        told = json.loads(jisr("ledger", "verify", copy, "--anchor", demo.dir / "anchor", "--json").stdout)
        ledger = read_directory(copy, anchor)
        head = (told["verdict"], told["origin"], told["size"], told["root"])
        assert head == ("VALID", ledger.origin, len(ledger.leaves), base64.b64encode(ledger.root).decode())
        kinds |= {statement.kind for statement in ledger.statements}
        assert not any(statement.sealed for statement in ledger.statements if statement.core.kind >= 40)
    assert {"ASKED", "RECEIVED", "ANSWERED", "DELIVERED", "ADMINISTRATOR_SET", "ACT_APPROVED", "NODE_ENROLLED"} <= kinds


def test_what_rests_sealed_opens_with_the_keys(demo, anchor, tmp_path):
    data = ledgers(demo)["mol"]
    copy = copy_of(data / "ledger", tmp_path)
    sealed, opened = read_directory(copy, anchor), read_directory(copy, anchor, data)
    asked = [statement for statement in sealed.statements if statement.kind == "ASKED"]
    assert asked and all(8 in statement.sealed for statement in asked)
    assert not any(statement.sealed for statement in opened.statements) and opened.root == sealed.root
    names = {record.name for record in opened.records}
    assert {"CHECKPOINT", "PEER_NOTE", "PEER_STATEMENT", "PEER_PROOF", "PEER_CERTIFICATES"} <= names


def test_a_changed_byte_is_refused(demo, anchor, tmp_path):
    copy = copy_of(demo.ledger("ccd"), tmp_path)
    (segment,) = (copy / "segments").iterdir()
    whole = segment.read_bytes()
    whole = whole.rstrip(b"\0") + bytes(64)
    segment.write_bytes(whole)
    read_directory(copy, anchor)
    # The last frame may pass for a write that was cut short where it ends in zeros; so it is left alone.
    source, end = random.Random(20261124), len(whole) - 4096
    for _ in range(CHANGED):
        changed = bytearray(whole)
        changed[source.randrange(end)] ^= 1 << source.randrange(8)
        segment.write_bytes(changed)
        with pytest.raises(Refused):
            read_directory(copy, anchor)


def test_a_node_s_snapshot_holds(demo, anchor):
    told = set()
    for code, data in ledgers(demo).items():
        if code == "registry":
            continue
        snapshot = read_snapshot.held(data, anchor)
        assert f"node/JO/GOV/{code}/node/node1" in snapshot.rows and len(snapshot.rows) == snapshot.header.rows
        foreign = [key for key, row in snapshot.rows.items() if row is None]
        assert all(key.startswith("agreement/") for key in foreign)
        told.add(bool(foreign))
        for version, cited in read_snapshot.cited(data, anchor).items():
            assert cited.header.version == version
    assert True in told, "every node was shown agreements of others"


def test_time_stamps_in_evidence_are_judged(demo, anchor, tmp_path):
    file, data = tmp_path / "stamped.jisr", ledgers(demo)["mol"]
    ask = ["evidence", "export", demo.exchange("psd")["id"], "--ledger", data / "ledger", "--data", data, "--out"]
    deadline = time.monotonic() + STAMPED_S_MAX
    while True:
        file.unlink(missing_ok=True)
        command(*ask, file)
        evidence = verify_evidence.read(verify_evidence.EVIDENCE, verify_evidence.body_of(file.read_bytes()))
        if evidence.stamps or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert verify_evidence.verify(file.read_bytes(), anchor)
    for stamp in evidence.stamps:
        imprint = sha256(Note(evidence.checkpoints[stamp.checkpoint]).text.encode())
        assert time_stamps.judge(stamp.token, imprint, anchor).is_trusted
        with pytest.raises(Refused):
            time_stamps.judge(stamp.token, sha256(b"another text"), anchor)


def test_time_stamps_in_a_ledger_are_judged(demo, anchor, tmp_path):
    data = ledgers(demo)["registry"]
    ledger = read_directory(copy_of(data / "ledger", tmp_path), anchor)
    assert ledger.stamps and ledger.untrusted == 0
    assert all(time_us > 1_700_000_000_000_000 for _, time_us in ledger.stamps)


@pytest.fixture(scope="module")
def administered(tmp_path_factory):
    """A registry in which everything was done that administrators do, and its anchor."""
    where = tmp_path_factory.mktemp("administered") / "network"
    with Network(where) as network:
        network.add_member("mol")
        network.add_member("psd")
        registry = ["--dir", where / "registry"]
        huda, samir = ([*registry, "--administrator", where / name] for name in ("huda", "samir"))
        admit = ["registry", "admit", "JO/GOV/moh", "--name-ar", "الصحة", "--name-en", "Health", *huda]
        command("registry", "reject", command(*admit).strip(), "--reason", "twice", *samir)
        command("registry", "administrator", "new", "rania", "--instance", "JO", "--out", where / "rania")
        request = ["--roles", "admit,audit", "--request", where / "rania" / "request.csr"]
        appointed = command("registry", "administrator", "set", "rania", *request, *huda).strip()
        command("registry", "approve", appointed, *samir)
        command("registry", "change", "JO/GOV/mol", "--name-ar", "العمل", "--name-en", "Labour", *samir)
        removed = command("registry", "remove", "JO/GOV/psd", "--reason", "it was closed", *huda).strip()
        command("registry", "approve", removed, *samir)
        command("registry", "revoke", "JO/GOV/mol/node/node1", *huda)
        network.servers[0].stop()
        anchor = verify_evidence.Anchor.parse(network.anchor.read_text(encoding="utf-8"))
        yield read_directory(copy_of(where / "registry" / "ledger", where / "copy"), anchor), anchor


def test_the_acts_of_administrators_are_judged(administered):
    ledger, anchor = administered
    decided = administrators.check(ledger.statements, anchor)
    two = {what for what, who in decided if ", " in who}
    assert {"admission", "appointment", "removal", "rejected admission"} <= two, decided
    assert {"token", "change", "revocation"} <= {what for what, _ in decided}, decided
    kinds = [statement.kind for statement in ledger.statements]
    assert {"MEMBER_REMOVED", "MEMBER_CHANGED", "CERTIFICATE_REVOKED", "ACT_REJECTED"} <= set(kinds)


FORGERIES = ["ACT_PROPOSED", "ACT_APPROVED", "MEMBER_ADMITTED", "ADMINISTRATOR_SET"]


@pytest.mark.parametrize("kind", FORGERIES)
def test_an_act_that_is_not_signed_by_two_is_refused(administered, kind):
    """The registry leaves out one entry of that kind, and what it says then follows from no two signatures."""
    ledger, anchor = administered
    for position, statement in enumerate(ledger.statements):
        if statement.kind == kind:
            without = ledger.statements[:position] + ledger.statements[position + 1 :]
            with pytest.raises(Refused):
                administrators.check(without, anchor)


def test_a_forged_signature_is_refused(administered):
    ledger, anchor = administered
    signed = [s.act for s in ledger.statements if getattr(s.act, "signed", None)]
    assert len(signed) > 8
    for act in signed:
        whole = act.signed.document
        act.signed.document = whole[:-1] + bytes([whole[-1] ^ 1])
        with pytest.raises(Refused):
            administrators.check(ledger.statements, anchor)
        act.signed.document = whole
    administrators.check(ledger.statements, anchor)
