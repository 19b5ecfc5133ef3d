"""Time-stamps: tokens of the built-in authority before openssl and rfc3161-client, and an openssl authority before a node."""

import hashlib
import http.server
import json
import ssl
import subprocess
import threading
import time
import tomllib

import pytest
from cryptography import x509
from rfc3161_client import VerifierBuilder, decode_timestamp_response

from demo import jisr
from network import Network
from test_certificates import PEM, openssl

WAIT_S_MAX = 60
CONFIGURATION = """
[tsa]
default_tsa = one
[one]
serial = {where}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = yes
ess_cert_id_alg = sha256
"""
EXTENSIONS = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"


def text_of(note: bytes) -> bytes:
    """What a token is over: the note without its signatures."""
    return note[: note.index(b"\n\n") + 1]


def stamps_in(ledger) -> list[tuple[bytes, bytes]]:
    """Text and token of every STAMP record on a checkpoint in a ledger directory (docs/formats.md, Ledger directory)."""
    found = []
    for segment in sorted((ledger / "segments").glob("*.seg")):
        data, at = segment.read_bytes(), 64
        while at + 16 <= len(data) and data[at] == 1:
            end = at + 16 + int.from_bytes(data[at + 4 : at + 8])
            at += 16
            while at < end:
                kind, length = data[at], int.from_bytes(data[at + 1 : at + 5])
                record, at = data[at + 5 : at + 5 + length], at + 5 + length
                if kind == 9 and record[0] == 1:
                    note = 5 + int.from_bytes(record[1:5])
                    found.append((text_of(record[5:note]), record[note:]))
    return found


class Authority:
    """An authority of openssl behind a small HTTP server."""

    def __init__(self, where):
        self.dir = where
        where.mkdir()
        (where / "serial").write_text("01\n")
        (where / "tsa.cnf").write_text(CONFIGURATION.format(where=where))
        (where / "extensions").write_text(EXTENSIONS)
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes"]
        openssl("req", "-x509", *curve, "-keyout", where / "ca.key", "-out", where / "ca.pem", "-subj", "/CN=Outside CA", "-days", "30")
        openssl("req", *curve, "-keyout", where / "tsa.key", "-out", where / "tsa.csr", "-subj", "/CN=Outside authority")
        openssl("x509", "-req", "-in", where / "tsa.csr", "-CA", where / "ca.pem", "-CAkey", where / "ca.key", "-CAcreateserial",
                "-days", "20", "-extfile", where / "extensions", "-out", where / "tsa.pem")
        authority = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                request = self.rfile.read(int(self.headers["Content-Length"]))
                answer = authority.answer(request)
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/tsr"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: bytes) -> bytes:
        query, reply = self.dir / "query.tsq", self.dir / "reply.tsr"
        query.write_bytes(request)
        openssl("ts", "-reply", "-config", self.dir / "tsa.cnf", "-queryfile", query, "-signer", self.dir / "tsa.pem",
                "-inkey", self.dir / "tsa.key", "-out", reply)
        return reply.read_bytes()

    def stop(self):
        self.server.shutdown()


@pytest.fixture(scope="module")
def built_in(demo, tmp_path_factory):
    """Texts and tokens of checkpoints that the demo network's own authority stamped, and its root."""
    out = tmp_path_factory.mktemp("stamps")
    deadline = time.monotonic() + WAIT_S_MAX
    while not (stamps := stamps_in(demo.ledger("mol"))):
        assert time.monotonic() < deadline, "the ledger is not stamped"
        time.sleep(0.2)
    trusted = tomllib.loads((demo.dir / "anchor").read_text(encoding="utf-8"))["root"]
    kept = PEM.findall((demo.dir / "nodes" / "mol" / "seal.pem").read_text(encoding="ascii"))
    (root,) = (der for der in map(ssl.PEM_cert_to_DER_cert, kept) if hashlib.sha256(der).hexdigest() == trusted)
    (out / "root.pem").write_text(openssl("x509", "-inform", "DER", data=root))
    return out, root, stamps


def test_openssl_takes_tokens_of_the_built_in_authority(built_in):
    out, _, stamps = built_in
    for text, token in stamps:
        (out / "text").write_bytes(text)
        (out / "token").write_bytes(token)
        check = ["ts", "-verify", "-in", out / "token", "-token_in", "-CAfile", out / "root.pem"]
        assert "Verification: OK" in openssl(*check, "-data", out / "text")
        (out / "text").write_bytes(text + b"x")
        done = subprocess.run(["openssl", *map(str, check), "-data", str(out / "text")], capture_output=True, check=False)
        assert done.returncode != 0
        said = openssl("ts", "-reply", "-in", out / "token", "-token_in", "-token_out", "-text")
        assert "Ordering: yes" in said and "0x01 seconds" in said, said


def test_rfc3161_client_takes_tokens_of_the_built_in_authority(built_in):
    _, root, stamps = built_in
    for text, token in stamps:
        # The library reads whole answers: one that says "granted" around the token.
        inner = b"\x30\x03\x02\x01\x00" + token
        answer = b"\x30\x82" + len(inner).to_bytes(2, "big") + inner
        response = decode_timestamp_response(answer)
        verifier = VerifierBuilder().add_root_certificate(x509.load_der_x509_certificate(root)).build()
        assert verifier.verify_message(response, text)
        assert not response.tst_info.nonce or response.tst_info.nonce > 0


def test_a_node_takes_tokens_of_an_openssl_authority(tmp_path):
    authority = Authority(tmp_path / "tsa")
    try:
        with Network(tmp_path / "network") as network:
            server = network.add_member("mol")
            server.stop()
            where = network.dir / "mol"
            configuration = (where / "node.toml").read_text(encoding="utf-8")
            (where / "tsa-ca.pem").write_text((authority.dir / "ca.pem").read_text())
            stamping = f'\n[timestamp]\nurls = ["{authority.url}"]\nevery_s = 1\ntrusted = ["tsa-ca.pem"]\n'
            (where / "node.toml").write_text(configuration + stamping, encoding="utf-8")
            server = network._start("node", where)
            deadline = time.monotonic() + WAIT_S_MAX
            # The start itself is an entry, so that there is something to stamp.
            while (status := server.status())["stamp_authority"] != "CN=Outside authority":
                assert time.monotonic() < deadline, json.dumps(status)
                time.sleep(0.2)
            assert not status["stamp_error"], status
            server.stop()
            done = jisr("ledger", "verify", where / "ledger", "--anchor", network.anchor)
            assert done.returncode == 0 and "authorities that the anchor does not name" in done.stdout, done.stdout
            der = openssl("x509", "-in", authority.dir / "ca.pem", "-outform", "PEM")
            base64 = "".join(line for line in der.splitlines() if "CERTIFICATE" not in line)
            anchor = tmp_path / "anchor"
            anchor.write_text(network.anchor.read_text() + f'\n[[timestamp]]\ncertificate = "{base64}"\n')
            done = jisr("ledger", "verify", where / "ledger", "--anchor", anchor)
            assert done.returncode == 0 and "says CN=Outside authority" in done.stdout, done.stdout
    finally:
        authority.stop()
