"""Certificate profiles, judged by openssl and by pkilint."""

import hashlib
import json
import re
import ssl
import subprocess
import tomllib

import pytest

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.S)


def openssl(*arguments, data: bytes | None = None) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def chain(demo, tmp_path_factory):
    """PEM files of the network's certificates by what they are for: root, issuing, seal, tls, local_ca, client."""
    out = tmp_path_factory.mktemp("certificates")
    trusted = tomllib.loads((demo.dir / "anchor").read_text(encoding="utf-8"))["root"]
    files = {"local_ca": demo.client("mol")["ca"], "client": demo.client("mol")["cert"]}
    kept = PEM.findall((demo.dir / "nodes" / "mol" / "seal.pem").read_text(encoding="ascii"))
    for der in map(ssl.PEM_cert_to_DER_cert, kept):
        text = openssl("x509", "-inform", "DER", "-noout", "-text", data=der)
        is_root = hashlib.sha256(der).hexdigest() == trusted
        role = "root" if is_root else "issuing" if "CA:TRUE" in text else "seal"
        files[role] = out / f"{role}.pem"
        files[role].write_text(openssl("x509", "-inform", "DER", data=der))
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", demo.node("mol")["peer"], "-showcerts"], input=b"", capture_output=True, timeout=20, check=False
    )
    files["tls"] = out / "tls.pem"
    files["tls"].write_text(PEM.findall(shown.stdout.decode())[0])
    return files


@pytest.mark.parametrize("role,purposes", [("tls", ["sslserver", "sslclient"]), ("seal", ["any"]), ("issuing", ["any"])])
def test_openssl_accepts_the_chain(chain, role, purposes):
    for purpose in purposes:
        between = [] if role == "issuing" else ["-untrusted", chain["issuing"]]
        openssl("verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose, "-CAfile", chain["root"], *between, chain[role])


def test_openssl_accepts_an_applications_certificate(chain):
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", chain["local_ca"], chain["client"])


def test_what_certificates_say(chain):
    text = {role: openssl("x509", "-in", path, "-noout", "-text") for role, path in chain.items()}
    assert re.search(r"URI:spiffe://jo/gov/mol/node/node1\b", text["tls"]) and "P-256" in text["tls"]
    assert "ED25519" in text["seal"] and "Server Authentication" not in text["seal"]
    assert re.search(r"URI:spiffe://jo/gov/mol/subsystem/", text["client"])
    for leaf in ("tls", "seal", "client"):
        assert "CA:TRUE" not in text[leaf]


# pkilint wants a dot in the host of a URI. A SPIFFE trust domain is a name and no host (SPIFFE-ID, section 2.1).
ACCEPTED = {"pkix.invalid_uri_syntax"}


@pytest.mark.parametrize("role", ["root", "issuing", "seal", "tls", "local_ca", "client"])
def test_pkilint_finds_no_fault(chain, tool, role):
    command = [tool("lint_pkix_cert"), "lint", "-s", "WARNING", "-f", "JSON", chain[role]]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    results = json.loads(linted.stdout)["results"]
    findings = {finding["code"] for result in results for finding in result["finding_descriptions"]}
    assert findings <= ACCEPTED, linted.stdout
