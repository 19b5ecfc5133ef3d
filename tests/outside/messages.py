"""Field numbers of the messages that stand in ledgers (files under proto/proto/jisr/), for `wire.read`."""

from verify_evidence import AGREEMENT_ACT, CITATION, CORE, MEMBER, NODE, SEALED, SERVICE, SNAPSHOT_ACT, WITNESS_ROW

KINDS = {
    1: "ASKED", 2: "RECEIVED", 3: "ANSWERED", 4: "DELIVERED", 5: "REFUSED", 6: "FAILED", 7: "CANCELLED", 8: "NOT_SENT",
    9: "NEVER_RECEIVED", 10: "OUTCOME_UNKNOWN", 11: "ANSWER_GONE", 12: "LATE_ANSWER", 40: "STARTED", 41: "RESUMED",
    42: "TORN_TAIL_CUT", 43: "ENDED", 44: "CONFIGURED", 45: "AGREED", 46: "REFUSALS_SUMMED", 47: "FINDING", 48: "ERASED", 49: "HELD",
    50: "RELEASED", 51: "CERTIFICATE_ASKED", 60: "MEMBER_ADMITTED", 62: "TOKEN_ISSUED", 63: "NODE_ENROLLED", 64: "SERVICE_PUBLISHED",
    65: "AGREEMENT_REGISTERED", 66: "AGREEMENT_REVOKED", 67: "CERTIFICATE_REVOKED", 68: "SNAPSHOT_PUBLISHED", 69: "CERTIFICATE_ISSUED", 71: "MEMBER_REMOVED",
    72: "ACT_PROPOSED", 73: "ACT_APPROVED", 74: "ACT_REJECTED", 75: "ADMINISTRATOR_SET", 76: "WITNESS_POLICY_SET", 78: "MEMBER_CHANGED",
}
HEAD = {1: ("origin", "str"), 2: ("size", "uint"), 3: ("root", "bytes"), 4: ("checkpoint", "bytes")}
STARTED = {1: ("origin", "str"), 2: ("certificates", ["bytes"]), 3: ("seal_key", "bytes"), 4: ("succeeds", [HEAD])}
RESUMED = {1: ("size", "uint"), 2: ("program", "str"), 3: ("confirmed_by", "str"), 4: ("confirmed_size", "uint")}
TORN_TAIL_CUT = {1: ("segment", "uint"), 2: ("offset", "uint"), 3: ("bytes", "uint")}
CONFIGURED = {1: ("digest", "bytes"), 2: ("program", "str")}
AGREED = {1: ("agreement", "bytes"), 2: ("member", "str"), 3: ("certificates", ["bytes"]), 4: ("signature", "bytes")}
COUNT = {1: ("reason", "str"), 2: ("count", "uint")}
REFUSALS_SUMMED = {1: ("peer", "str"), 2: ("from_us", "uint"), 3: ("until_us", "uint"), 4: ("counts", [COUNT])}
FINDING = {
    1: ("kind", "uint"), 2: ("origin", "str"), 3: ("exchanges", ["bytes"]), 4: ("count", "uint"), 5: ("from_us", "uint"),
    6: ("until_us", "uint"), 7: ("notes", ["bytes"]), 8: ("text", "str"), 9: ("reported_by", "str"),
}
APPROVAL = {1: ("certificates", ["bytes"]), 2: ("signature", "bytes")}
ERASED = {1: ("erasure", "bytes"), 2: ("approvals", [APPROVAL])}
HELD = {1: ("hold", "bytes"), 2: ("approvals", [APPROVAL])}
RELEASED = {1: ("release", "bytes"), 2: ("approvals", [APPROVAL])}

SIGNED = {1: ("document", "bytes"), 2: ("certificate", "bytes"), 3: ("signature", "bytes")}
ORDER = {1: ("node", "str"), 2: ("certificates", ["bytes"]), 3: ("reason", "uint")}
POLICY = {1: ("quorum", ["uint"]), 2: ("witnesses", [WITNESS_ROW])}
ADMINISTRATIVE_ACT = {
    1: ("format", "uint"), 2: ("instance", "str"), 3: ("created_us", "uint"), 4: ("nonce", "bytes"),
    10: ("admission", {1: ("members", [MEMBER])}), 11: ("removal", {1: ("member", "str"), 2: ("reason", "str")}),
    12: ("change", {1: ("member", MEMBER)}), 13: ("token", {1: ("node", "str"), 2: ("token", "bytes"), 3: ("expires_us", "uint")}),
    14: ("revocation", ORDER), 15: ("appointment", {1: ("name", "str"), 2: ("roles", "uint"), 3: ("request", "bytes")}),
    16: ("witness_policy", POLICY), 30: ("approval", {1: ("act", "bytes")}), 31: ("rejection", {1: ("act", "bytes"), 2: ("reason", "str")}),
    32: ("confirmation", {1: ("size", "uint"), 2: ("root", "bytes")}),
}
ADMINISTRATOR = {1: ("name", "str"), 2: ("roles", "uint"), 3: ("certificates", ["bytes"])}
MEMBER_ACT = {1: ("member", MEMBER), 2: ("act", "bytes"), 3: ("signed", SIGNED)}

ACT_OF = {
    "STARTED": STARTED, "RESUMED": RESUMED, "TORN_TAIL_CUT": TORN_TAIL_CUT, "CONFIGURED": CONFIGURED, "AGREED": AGREED,
    "REFUSALS_SUMMED": REFUSALS_SUMMED, "FINDING": FINDING, "ERASED": ERASED, "HELD": HELD, "RELEASED": RELEASED,
    "MEMBER_ADMITTED": MEMBER_ACT, "MEMBER_CHANGED": MEMBER_ACT,
    "MEMBER_REMOVED": {1: ("member", "str"), 2: ("reason", "str"), 3: ("act", "bytes")},
    "ACT_PROPOSED": {1: ("signed", SIGNED)}, "ACT_APPROVED": {1: ("signed", SIGNED), 2: ("certificates", ["bytes"])},
    "ACT_REJECTED": {1: ("signed", SIGNED)},
    "ADMINISTRATOR_SET": {1: ("administrators", [ADMINISTRATOR]), 2: ("act", "bytes"), 3: ("dangerous_single", "bool")},
    "WITNESS_POLICY_SET": {1: ("policy", POLICY), 2: ("act", "bytes")},
    "TOKEN_ISSUED": {1: ("node", "str"), 2: ("token", "bytes"), 3: ("expires_us", "uint"), 4: ("signed", SIGNED)},
    "NODE_ENROLLED": {1: ("node", NODE), 2: ("token", "bytes")},
    "SERVICE_PUBLISHED": {1: ("service", SERVICE), 2: ("node", "str"), 3: ("withdrawn", "bool")},
    "AGREEMENT_REGISTERED": AGREEMENT_ACT, "AGREEMENT_REVOKED": {1: ("digest", "bytes"), 2: ("member", "str"), 3: ("reason", "str")},
    "CERTIFICATE_REVOKED": {
        1: ("certificates", ["bytes"]), 2: ("reason", "uint"), 3: ("node", "str"), 4: ("signed", SIGNED), 5: ("act", "bytes"),
    },
    "SNAPSHOT_PUBLISHED": SNAPSHOT_ACT,
    "CERTIFICATE_ASKED": {1: ("request", "bytes"), 2: ("certificate", "bytes")},
    "CERTIFICATE_ISSUED": {1: ("node", "str"), 2: ("certificate", "bytes"), 3: ("asked", SEALED), 4: ("withdrawn", ["bytes"])},
}

__all__ = ["ACT_OF", "ADMINISTRATIVE_ACT", "CITATION", "CORE", "KINDS"]
