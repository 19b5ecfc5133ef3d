"""The key store of docs/formats.md, read without Jisr's code."""

import tomllib
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def opened(secret: bytes, salt: bytes, info: bytes, bound: bytes, sealed: bytes) -> bytes:
    made = HKDF(algorithm=hashes.SHA256(), length=44, salt=salt, info=info).derive(secret)
    return AESGCM(made[:32]).decrypt(made[32:], sealed, bound)


def read(data: Path, name: str) -> bytes:
    """Content of a key file of a data directory whose secret lies beside it."""
    secret = bytes.fromhex(data.with_name(f"{data.name}.secret").read_text(encoding="ascii").strip())
    header = tomllib.loads((data / "keys" / "keystore.toml").read_text(encoding="ascii"))
    assert (header["format"], header["kdf"]) == (1, "hkdf-sha256")
    salt = bytes.fromhex(header["salt"])
    key = opened(secret, salt, b"jisr.keystore/wrap\0", b"JISRWRAP\x01" + bytes(12) + salt, bytes.fromhex(header["wrapped"]))
    file = (data / "keys" / name).read_bytes()
    magic, salt, sealed = file[:9], file[9:41], file[41:]
    assert magic == b"JISRREST\x01"
    return opened(key, salt, b"jisr.keystore/file\0" + name.encode(), magic + salt + name.encode(), sealed)


def vault(data: Path, month: int, group: int) -> bytes:
    """Key of a month and class of data, 32 bytes: wrapped under the secret `vault`."""
    file = read(data, f"vault/{month}-{group}.key")
    assert file[:8] == b"JISRKEY\x01"
    return AESGCM(read(data, "vault.secret")).decrypt(file[8:20], file[20:], month.to_bytes(2, "big") + bytes([group, 0]))


def opens(data: Path | None, month: int, group: int, nonce: bytes, sealed: bytes, bound: bytes) -> bytes | None:
    """What is sealed under the key of month and class; None where there are no keys, or that one was destroyed."""
    if data is None or not (data / "keys" / "vault" / f"{month}-{group}.key").exists():
        return None
    return AESGCM(vault(data, month, group)).decrypt(nonce, sealed, bound)


def plain(data: Path, name: str, out: Path) -> Path:
    """The same as a file for tools that read PEM."""
    path = out / name
    path.touch(mode=0o600)
    path.write_bytes(read(data, name))
    return path
