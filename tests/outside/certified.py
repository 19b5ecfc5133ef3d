"""Certificates as docs/formats.md has them (Certificates), read with the `cryptography` package."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier, SignatureAlgorithmOID

from notes import sha256
from wire import need

DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
TIME_STAMPING = ObjectIdentifier("1.3.6.1.5.5.7.3.8")
KNOWN_CRITICAL = {
    ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}
AUTHORITY_USAGE, LEAF_USAGE = {"key_cert_sign", "crl_sign"}, {"digital_signature"}
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
)


@dataclass(frozen=True)
class SealCertificate:
    origin: str
    key: bytes
    until_us: int


def extension(certificate: x509.Certificate, oid: ObjectIdentifier):
    found = [one for one in certificate.extensions if one.oid == oid]
    return found[0] if found else None


def well_formed(der: bytes, usage: set[str], at_us: int) -> x509.Certificate:
    """What every profile has in common."""
    need(len(der) <= 16 << 10, "a certificate is longer than 16 KiB")
    certificate = x509.load_der_x509_certificate(der)
    need(certificate.version is x509.Version.v3 and certificate.serial_number > 0, "a certificate of another version or serial number")
    need(certificate.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256, "signed with another algorithm")
    begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    need(begins <= at_us // 1_000_000 <= ends, "a certificate is not valid at that time")
    critical = {one.oid for one in certificate.extensions if one.critical}
    need(critical <= KNOWN_CRITICAL, "an unknown critical extension")
    said = extension(certificate, ExtensionOID.KEY_USAGE)
    need(said and said.critical and {name for name in USAGES if getattr(said.value, name)} == usage, "another keyUsage")
    return certificate


def authority(der: bytes, path_length: int, at_us: int) -> x509.Certificate:
    certificate = well_formed(der, AUTHORITY_USAGE, at_us)
    constraints = extension(certificate, ExtensionOID.BASIC_CONSTRAINTS)
    need(constraints and constraints.critical and constraints.value.ca, "no authority")
    need(constraints.value.path_length == path_length, "an authority with another pathLenConstraint")
    for oid in (ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.SUBJECT_ALTERNATIVE_NAME):
        need(extension(certificate, oid) is None, "an authority with a use or a name of its own")
    need(is_p256(certificate), "an authority's key is no P-256 key")
    return certificate


def leaf(der: bytes, usage: ObjectIdentifier, at_us: int) -> tuple[x509.Certificate, str]:
    """A leaf of the profiles whose one extKeyUsage is critical, and its one URI."""
    certificate = well_formed(der, LEAF_USAGE, at_us)
    constraints = extension(certificate, ExtensionOID.BASIC_CONSTRAINTS)
    need(constraints is None or not constraints.value.ca, "a leaf says that it is an authority")
    usages = extension(certificate, ExtensionOID.EXTENDED_KEY_USAGE)
    need(usages and usages.critical and list(usages.value) == [usage], "another extKeyUsage")
    names = extension(certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    need(names and len(list(names.value)) == 1, "not exactly one name")
    (name,) = names.value
    need(isinstance(name, x509.UniformResourceIdentifier), "its name is no URI")
    return certificate, name.value


def is_p256(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        need(False, "a certificate was not signed by its issuer")


def root_of(certificates: list[bytes], fingerprint: bytes, at_us: int) -> x509.Certificate:
    found = [der for der in certificates if sha256(der) == fingerprint]
    need(found, "the anchor's root is not there")
    root = authority(found[0], 1, at_us)
    issued(root, root)
    return root


def chain_of(certificates: list[bytes], usage: ObjectIdentifier, root: x509.Certificate, at_us: int) -> tuple[x509.Certificate, str]:
    """A leaf, the first, over one issuing authority, the second, to the root."""
    need(len(certificates) >= 2, "no issuing authority beside the leaf")
    certificate, uri = leaf(certificates[0], usage, at_us)
    issuing = authority(certificates[1], 0, at_us)
    issued(certificate, issuing)
    issued(issuing, root)
    return certificate, uri


def seal_certificate(certificates: list[bytes], fingerprint: bytes, at_us: int) -> SealCertificate:
    """Judged at that time, or at the seal certificate's first moment where that is later."""
    need(certificates, "no certificates")
    begins = x509.load_der_x509_certificate(certificates[0]).not_valid_before_utc.timestamp()
    at_us = max(at_us, int(begins) * 1_000_000)
    root = root_of(certificates, fingerprint, at_us)
    certificate, uri = chain_of(certificates, DOCUMENT_SIGNING, root, at_us)
    need(isinstance(certificate.public_key(), ed25519.Ed25519PublicKey), "a seal key is no Ed25519 key")
    need(uri.startswith("jisr://"), "a seal certificate names no ledger")
    raw = certificate.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    until = int(certificate.not_valid_after_utc.timestamp()) * 1_000_000
    return SealCertificate(uri.replace("://", "/", 1), raw, until)


def signed_by(certificate: x509.Certificate, signature: bytes, message: bytes) -> None:
    """ECDSA P-256 with SHA-256, ASN.1."""
    need(is_p256(certificate), "the signer's key is no P-256 key")
    try:
        certificate.public_key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        need(False, "a signature does not hold")
