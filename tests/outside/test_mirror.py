"""A node mirrors its ledger to S3-compatible storage that is not ours, and is restored from there."""

import json
import shutil
import subprocess
import urllib.request

import pytest

from demo import ROOT, jisr
from network import Network, command, free_ports, wait_until

BUCKET = "jisr-mirrors"
KEYS = "[default]\naws_access_key_id = outside\naws_secret_access_key = outside-secret\n"


@pytest.fixture()
def storage(tmp_path):
    """moto's S3 server on loopback, with a bucket; its address."""
    (port,) = free_ports(1)
    where = f"http://127.0.0.1:{port}"
    with (tmp_path / "storage.log").open("wb") as log:
        arguments = [ROOT / "target" / "outside-storage-venv" / "bin" / "moto_server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        wait_until(lambda: made(where), "the storage answers")
        yield where
    finally:
        server.terminate()
        server.wait(30)


def made(where: str) -> bool:
    """Whether the bucket could be made."""
    request = urllib.request.Request(f"{where}/{BUCKET}", method="PUT")
    request.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=outside/20260101/us-east-1/s3/aws4_request")
    try:
        return urllib.request.urlopen(request, timeout=5).status == 200
    except OSError:
        return False


def test_a_node_comes_back_from_a_bucket(tmp_path, storage):
    credentials, secret = tmp_path / "credentials", tmp_path / "secret"
    credentials.write_text(KEYS)
    credentials.chmod(0o600)
    command("node", "mirror-secret", "--out", secret)
    with Network(tmp_path / "network") as network:
        node = network.add_member("mol")
        node.stop()
        with (node.dir / "node.toml").open("a") as toml:
            toml.write(
                f'\n[[mirror]]\nurl = "s3://{BUCKET}/mol"\nendpoint = "{storage}"\n'
                f'credentials_file = "{credentials}"\nsecret_file = "{secret}"\ninterval_ms = 100\n'
            )
        node = network._start("node", node.dir)

        def holds_all() -> bool:
            (mirror,) = node.status()["mirrors"]
            return mirror["error"] == "" and mirror["lag_entries"] == 0 and mirror["written_us"] > 0

        wait_until(holds_all, "the mirror holds everything")
        size = node.status()["ledger_size"]
        node.stop()
        address = f"s3://{BUCKET}/mol?endpoint={storage}&credentials={credentials}"
        ledger = f"s3://{BUCKET}/mol/ledger?endpoint={storage}&credentials={credentials}"
        report = jisr("ledger", "verify", ledger, "--anchor", network.anchor, "--json")
        assert report.returncode == 0, report.stdout + report.stderr
        assert json.loads(report.stdout)["size"] >= size

        over = jisr("node", "recover", "--from", address, "--dir", node.dir, "--secret-file", secret)
        assert over.returncode == 64 and "not empty" in over.stderr
        shutil.rmtree(node.dir)
        restored = command("node", "recover", "--from", address, "--dir", node.dir, "--secret-file", secret, "--json")
        assert json.loads(restored)["size"] >= size
        node = network._start("node", node.dir)
        wait_until(lambda: node.status()["state"] == "RUNNING", "the registry confirms the ledger")
        wait_until(holds_all, "the mirror goes on")
        wrong = jisr("node", "recover", "--from", f"s3://{BUCKET}/other?endpoint={storage}&credentials={credentials}",
                     "--dir", tmp_path / "other", "--secret-file", secret)
        assert wrong.returncode == 66 and not (tmp_path / "other").exists()
