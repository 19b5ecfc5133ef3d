"""Writes every byte string and every text of the test vectors into a directory, each as a file named by its digest.

    seeds.py VECTORS OUT
"""

import hashlib
import json
import pathlib
import sys


def leaves(value):
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)


def main():
    vectors, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(vectors.glob("*.json")):
        for text in leaves(json.loads(path.read_text(encoding="utf-8"))):
            try:
                seed = bytes.fromhex(text)
            except ValueError:
                seed = text.encode()
            (out / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main()
