"""RFC 3161 time-stamps as docs/formats.md has them (Time-stamps): tokens are judged by the package rfc3161-client."""

from dataclasses import dataclass

from cryptography import x509
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from certified import TIME_STAMPING, chain_of, root_of
from notes import domain, root_from_path, sha256, tree_root
from wire import Refused, need

SHA256_OID = "2.16.840.1.101.3.4.2.1"
TOKEN_BYTES_MAX = 16 << 10


@dataclass(frozen=True)
class Said:
    """What a token says: when, how exactly (both microseconds), and until when its certificates are valid."""

    time_us: int
    accuracy_us: int
    until_us: int
    is_trusted: bool


def leaf(token: bytes) -> bytes:
    return domain("jisr.stamp", token)


def imprint_of_renewal(size: int, root: bytes) -> bytes:
    return domain("jisr.stamps", size.to_bytes(8, "big") + root)


def renewed(tokens: list[bytes]) -> bytes:
    """What a renewal of these tokens is over."""
    return imprint_of_renewal(len(tokens), tree_root([sha256(b"\x00", leaf(token)) for token in tokens]))


def response_of(token: bytes):
    """The package reads whole answers: one that says "granted" around the token."""
    need(len(token) <= TOKEN_BYTES_MAX, "a token is longer than 16 KiB")
    inner = b"\x30\x03\x02\x01\x00" + token
    return decode_timestamp_response(b"\x30\x82" + len(inner).to_bytes(2, "big") + inner)


def judge(token: bytes, imprint: bytes, anchor) -> Said:
    """Refused where the token does not hold; one of an authority that nobody vouches for holds and is not trusted."""
    response = response_of(token)
    info = response.tst_info
    need(info.message_imprint.hash_algorithm.dotted_string == SHA256_OID, "a token over another digest than SHA-256")
    need(info.message_imprint.message == imprint, "a token over something else")
    time_us = int(info.gen_time.timestamp()) * 1_000_000 + info.gen_time.microsecond
    accuracy = info.accuracy
    parts = ((accuracy.seconds or 0) * 1_000_000, (accuracy.millis or 0) * 1_000, accuracy.micros or 0) if accuracy else ()
    carried = [bytes(der) for der in response.signed_data.certificates]
    root, until_us = trusted(response, carried, anchor, time_us)
    if root is None:
        return Said(time_us, sum(parts), 0, False)
    try:
        VerifierBuilder(roots=[root], intermediates=[]).build().verify(response, imprint)
    except VerificationError as error:
        raise Refused(f"a token does not hold: {error}") from error
    return Said(time_us, sum(parts), until_us, True)


def signer_of(response, carried: list[bytes]) -> bytes:
    (signer,) = response.signed_data.signer_infos
    named = [der for der in carried if x509.load_der_x509_certificate(der).serial_number == signer.serial_number]
    need(len(named) == 1, "the token does not carry its signer's certificate")
    return named[0]


def trusted(response, carried: list[bytes], anchor, time_us: int) -> tuple[x509.Certificate | None, int]:
    """The certificate in which trust ends, and until when the way to it is valid."""
    signer = signer_of(response, carried)
    if any(sha256(der) == anchor.root for der in carried):
        root = root_of(carried, anchor.root, time_us)
        authorities = [der for der in carried if der != signer and sha256(der) != anchor.root]
        _, uri = chain_of([signer, *authorities], TIME_STAMPING, root, time_us)
        need(uri == f"spiffe://{anchor.instance.lower()}/registry/timestamp", "a time-stamp certificate for somebody else")
        return root, ends(carried)
    for der in anchor.authorities:
        authority = x509.load_der_x509_certificate(der)
        try:
            VerifierBuilder(roots=[authority], intermediates=[]).build().verify(response, response.tst_info.message_imprint.message)
        except VerificationError:
            continue
        return authority, ends([signer, der])
    return None, 0


def ends(certificates: list[bytes]) -> int:
    last = min(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp() for der in certificates)
    return int(last) * 1_000_000


def renewals(stamp, first: Said, anchor) -> Said:
    """Follows the renewals of a time-stamp in evidence; returns what the last token says."""
    before, token = first, stamp.token
    for renewal in stamp.renewals:
        root = root_from_path(renewal.index, renewal.size, sha256(b"\x00", leaf(token)), renewal.path)
        said = judge(renewal.token, imprint_of_renewal(renewal.size, root), anchor)
        need(said.time_us + said.accuracy_us + before.accuracy_us >= before.time_us, "a renewal is older than what it renews")
        need(not before.is_trusted or said.time_us <= before.until_us + 999_999, "a renewal came too late")
        before, token = said, renewal.token
    return before
