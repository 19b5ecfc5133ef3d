"""Judges the acts in the registry's ledger, from docs/formats.md alone (Administrators): who signed, in which role, with four eyes."""

from copy import copy
from dataclasses import dataclass, field

from cryptography import x509

from certified import DOCUMENT_SIGNING, chain_of, root_of, signed_by
from messages import ADMINISTRATIVE_ACT
from notes import domain, sha256
from verify_evidence import AGREEMENT
from wire import need, read

ADMIT, CERTIFY, PUBLISH = 1, 2, 4
ROLE = {
    "admission": ADMIT, "removal": ADMIT, "change": ADMIT, "token": CERTIFY, "revocation": CERTIFY, "appointment": CERTIFY,
    "witness_policy": PUBLISH,
}
FOUR_EYES = {"admission", "removal", "appointment", "witness_policy"}
WINDOW_US, WAIT_US, TOKEN_US = 60_000_000, 30 * 86_400_000_000, 30 * 86_400_000_000
EFFECTS = {"MEMBER_ADMITTED", "MEMBER_REMOVED", "ADMINISTRATOR_SET", "WITNESS_POLICY_SET"}
REMOVED, SUCCEEDED = 5, 4
FINAL = {0, 1, 2, 3, 4, 5, 9, 10}


@dataclass(frozen=True)
class Administrator:
    name: str
    roles: int
    certificates: tuple[bytes, ...]

    @property
    def certificate(self) -> bytes:
        return self.certificates[0] if self.certificates else b""


@dataclass
class Act:
    """An administrative act that was signed as it must be."""

    document: bytes
    body: object
    what: str
    by: Administrator
    entry: object

    @property
    def digest(self) -> bytes:
        return domain("jisr.administration", self.document)

    @property
    def content(self):
        return getattr(self.body, self.what)


@dataclass
class State:
    """What the ledger says so far."""

    anchor: object
    root: x509.Certificate
    administrators: dict[str, Administrator] = field(default_factory=dict)
    single: bool = False
    seen: set[bytes] = field(default_factory=set)
    waiting: dict[bytes, Act] = field(default_factory=dict)
    nodes: dict[str, list] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    agreements: dict[bytes, object] = field(default_factory=dict)
    decided: list[tuple[str, str]] = field(default_factory=list)


def check(statements: list, anchor) -> list[tuple[str, str]]:
    """Raises Refused at the first act that breaks a rule. Returns what was decided: act, and the names of who signed."""
    started = statements[0]
    state = State(anchor, root_of(started.act.certificates, anchor.root, started.core.created_us))
    position = 0
    while position < len(statements):
        entry = statements[position]
        position += 1
        if entry.core.kind >= 60 and not state.administrators:
            need(entry.kind == "ADMINISTRATOR_SET", "an act of the registry before it has administrators")
            founded(state, entry)
        elif entry.kind == "ACT_APPROVED":
            position += approved(state, entry, statements[position:])
        else:
            single(state, entry)
    return state.decided


def single(state: State, entry) -> None:
    """An entry that is no effect of an approval."""
    need(entry.kind not in EFFECTS, f"a {entry.kind} that nobody approved")
    act = entry.act
    if entry.kind == "NODE_ENROLLED":
        state.nodes.setdefault(act.node.id, []).append(copy(act.node))
        state.listed.add(act.node.id)
    elif entry.kind == "AGREEMENT_REGISTERED":
        state.agreements[domain("jisr.agreement", act.document)] = read(AGREEMENT, act.document)
    elif entry.kind == "AGREEMENT_REVOKED":
        state.agreements.pop(act.digest, None)
    elif entry.kind == "ACT_PROPOSED":
        proposed = signed(state, entry, act.signed)
        need(proposed.what in FOUR_EYES, f"{proposed.what} is not proposed")
        state.waiting[proposed.digest] = proposed
    elif entry.kind == "ACT_REJECTED":
        rejection = signed(state, entry, act.signed)
        need(rejection.what == "rejection", "a rejection of another kind")
        proposed = state.waiting.pop(rejection.content.act, None)
        need(proposed, "what is rejected does not wait")
        allowed = rejection.by.roles & ROLE[proposed.what] or rejection.by.name == proposed.by.name
        need(allowed, f"{rejection.by.name} may not reject it")
        state.decided.append((f"rejected {proposed.what}", f"{proposed.by.name}, {rejection.by.name}"))
    elif entry.kind == "TOKEN_ISSUED":
        order = alone(state, entry, "token")
        said = (act.node, act.token, act.expires_us)
        need(said == (order.node, order.token, order.expires_us), "a token other than was signed")
        life_us = act.expires_us - entry.core.created_us
        need(0 < life_us <= TOKEN_US + WINDOW_US, "a token that has expired, or for more than 30 days")
    elif entry.kind == "MEMBER_CHANGED":
        need(act.member == alone(state, entry, "change").member and not act.act, "a member changed otherwise than was signed")
    elif entry.kind == "CERTIFICATE_ISSUED":
        need(act.node in state.listed, "a certificate for a node that is not listed")
        withdraw(state.nodes[act.node][-1], act.withdrawn)
        state.nodes[act.node][-1].tls_certificates += [act.certificate] if act.certificate else []
        need(1 <= len(state.nodes[act.node][-1].tls_certificates) <= 3, "a node has one to three TLS certificates")
    elif entry.kind == "CERTIFICATE_REVOKED":
        revoked(state, entry)


def alone(state: State, entry, what: str):
    act = signed(state, entry, entry.act.signed)
    need(act.what == what, f"a {act.what} stands in {entry.kind}")
    need(act.by.roles & ROLE[what], f"{act.by.name} has not the role for {what}")
    state.decided.append((what, act.by.name))
    return act.content


def revoked(state: State, entry) -> None:
    act = entry.act
    need(not act.act, "certificates revoked for an act that nobody approved")
    nodes = state.nodes.get(act.node, [])
    if act.signed is None:
        former = [sha256(node.seal_certificate) for node in nodes[:-1]]
        need(act.reason == SUCCEEDED and act.certificates and set(act.certificates) <= set(former), "revoked without a signature")
        return
    order = alone(state, entry, "revocation")
    need(act.node in state.listed and act.reason in FINAL, "revoked of a node that is not listed, or not for good")
    named = order.certificates or certificates_of(nodes[-1])
    need((act.node, act.reason, act.certificates) == (order.node, order.reason, named), "revoked otherwise than was signed")
    withdraw(nodes[-1], named)
    if not nodes[-1].tls_certificates or sha256(nodes[-1].seal_certificate) in named:
        state.listed.discard(act.node)


def withdraw(node, digests) -> None:
    node.tls_certificates = [der for der in node.tls_certificates if sha256(der) not in digests]


def certificates_of(node) -> list[bytes]:
    return [*map(sha256, node.tls_certificates), sha256(node.seal_certificate)]


def signed(state: State, entry, shown) -> Act:
    """Who signed is listed, in time, and the document is new."""
    need(shown is not None, f"a {entry.kind} that nobody signed")
    need(len(shown.document) <= 1 << 20 and len(shown.certificate) <= 8 << 10 and len(shown.signature) <= 8 << 10, "an act too long")
    listed = [one for one in state.administrators.values() if one.roles and one.certificate == shown.certificate]
    need(listed, f"a {entry.kind} signed by nobody who is listed")
    certificate = x509.load_der_x509_certificate(shown.certificate)
    at = entry.core.created_us // 1_000_000
    valid = certificate.not_valid_before_utc.timestamp() <= at <= certificate.not_valid_after_utc.timestamp()
    need(valid, "an administrator's certificate is not valid at that time")
    signed_by(certificate, shown.signature, b"jisr.administration\x01" + shown.document)
    body = read(ADMINISTRATIVE_ACT, shown.document)
    need(body.format == 1 and body.instance == state.anchor.instance and len(body.nonce) == 16, "an act out of form")
    need(abs(body.created_us - entry.core.created_us) <= WINDOW_US, "an act of another time")
    need(shown.document not in state.seen, "an act done twice")
    state.seen.add(shown.document)
    whats = [name for number, (name, _) in ADMINISTRATIVE_ACT.items() if number >= 10 and getattr(body, name) is not None]
    need(len(whats) == 1, "not exactly one act")
    if whats[0] in ROLE:
        need(listed[0].roles & ROLE[whats[0]], f"{listed[0].name} has not the role for {whats[0]}")
    return Act(shown.document, body, whats[0], listed[0], entry)


def approved(state: State, entry, after: list) -> int:
    """What was approved follows in the same frame; returns how many entries that are."""
    approval = signed(state, entry, entry.act.signed)
    need(approval.what == "approval", "an approval of another kind")
    act = state.waiting.pop(approval.content.act, None)
    need(act, "what is approved does not wait")
    need(approval.by.roles & ROLE[act.what], f"{approval.by.name} has not the role for {act.what}")
    need(approval.by.name != act.by.name or state.single, "one pair of eyes")
    need(entry.core.created_us <= act.entry.core.created_us + WAIT_US, "it waited for more than 30 days")
    need(state.administrators.get(act.by.name) == act.by or still(state, act), "the proposer is administrator no more")
    wanted = list(effects(state, act, entry))
    for (kind, fields), found in zip(wanted, after):
        need(found.frame == entry.frame and found.kind == kind, f"{kind} does not follow its approval")
        for name, value in fields.items():
            need(getattr(found.act, name) == value, f"{kind}: {name} is not what was approved")
    need(len(after) >= len(wanted), "what was approved is not done")
    state.decided.append((act.what, f"{act.by.name}, {approval.by.name}"))
    return len(wanted)


def still(state: State, act: Act) -> bool:
    now = state.administrators.get(act.by.name)
    return bool(now and now.certificate == act.by.certificate and now.roles & ROLE[act.what])


def effects(state: State, act: Act, entry):
    """Kind and fields of each entry that follows the approval."""
    content = act.content
    if act.what == "admission":
        need(1 <= len(content.members) <= 1000, "an admission of none or too many")
        for member in content.members:
            yield "MEMBER_ADMITTED", {"member": member, "act": act.digest, "signed": None}
    elif act.what == "removal":
        yield from removal(state, act)
    elif act.what == "witness_policy":
        yield "WITNESS_POLICY_SET", {"policy": content, "act": act.digest}
    else:
        listed = state.administrators.get(content.name)
        certificates = tuple(entry.act.certificates) if content.request else listed.certificates if content.roles else ()
        appointed = Administrator(content.name, content.roles, certificates)
        appoint(state, appointed, entry.core.created_us, content.request)
        row = type(entry.core)(name=appointed.name, roles=appointed.roles, certificates=list(certificates))
        yield "ADMINISTRATOR_SET", {"administrators": [row], "act": act.digest, "dangerous_single": 0}


def removal(state: State, act: Act):
    member, reason = act.content.member, act.content.reason
    for digest in sorted(state.agreements):
        agreement = state.agreements[digest]
        if member in (agreement.consumer.rpartition("/")[0], agreement.provider.rpartition("/")[0]):
            yield "AGREEMENT_REVOKED", {"digest": digest, "member": member, "reason": reason}
            del state.agreements[digest]
    for node in sorted(id for id in state.listed if id.startswith(member + "/node/")):
        named = certificates_of(state.nodes[node][-1])
        yield "CERTIFICATE_REVOKED", {"node": node, "certificates": named, "reason": REMOVED, "act": act.digest, "signed": None}
        state.listed.discard(node)
    yield "MEMBER_REMOVED", {"member": member, "reason": reason, "act": act.digest}


def founded(state: State, entry) -> None:
    act = entry.act
    need(not act.act, "the founders were approved by somebody")
    names = [one.name for one in act.administrators]
    need(names == sorted(set(names)), "the founders do not stand by name, each once")
    for one in act.administrators:
        appoint(state, Administrator(one.name, one.roles, tuple(one.certificates)), entry.core.created_us, b"new")
    state.single = bool(act.dangerous_single)
    needed = 1 if state.single else 2
    for role in (ADMIT, CERTIFY, PUBLISH):
        need(holders(state, role) >= needed, "a role is held by too few founders")
    settle(state)


def appoint(state: State, one: Administrator, at_us: int, request: bytes) -> None:
    """A new certificate leads to the root, for that name, and its key is nobody else's."""
    if one.roles and request:
        certificate, uri = chain_of(list(one.certificates), DOCUMENT_SIGNING, state.root, at_us)
        wanted = f"spiffe://{state.anchor.instance.lower()}/registry/administrator/{one.name}"
        need(uri == wanted and len(one.certificates) == 2, f"{one.name}: the certificate is for {uri}")
        if request != b"new":
            need(x509.load_der_x509_csr(request).public_key() == certificate.public_key(), "a certificate for another key")
        others = [other for other in state.administrators.values() if other.name != one.name and other.certificate]
        keys = [x509.load_der_x509_certificate(other.certificate).public_key() for other in others]
        need(certificate.public_key() not in keys, "two administrators with one key")
    state.administrators[one.name] = one
    settle(state)


def holders(state: State, role: int) -> int:
    return sum(1 for one in state.administrators.values() if one.roles & role)


def settle(state: State) -> None:
    """With two holders of each role one pair of eyes is enough no more."""
    if all(holders(state, role) >= 2 for role in (ADMIT, CERTIFY, PUBLISH)):
        state.single = False
