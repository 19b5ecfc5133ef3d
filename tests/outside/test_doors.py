"""What both doors of a node speak, seen by openssl and sslyze."""

import json
import subprocess

import pytest

OLDER = ["ssl_2_0_cipher_suites", "ssl_3_0_cipher_suites", "tls_1_0_cipher_suites", "tls_1_1_cipher_suites", "tls_1_2_cipher_suites"]
DOORS = ["local", "peer"]


def handshake(address: str, *options) -> subprocess.CompletedProcess:
    command = ["openssl", "s_client", "-connect", address, "-alpn", "h2", "-ign_eof", *map(str, options)]
    # The HTTP/2 preface and an empty SETTINGS frame: TLS 1.3 tells a client that its certificate is missing only when it reads.
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    try:
        return subprocess.run(command, input=preface, capture_output=True, timeout=3, check=False)
    except subprocess.TimeoutExpired as running:
        return subprocess.CompletedProcess(command, None, running.stdout or b"", running.stderr or b"")


@pytest.mark.parametrize("door", DOORS)
def test_tls_1_2_is_refused(demo, door):
    ended = handshake(demo.node("mol")[door], "-tls1_2")
    assert b"protocol version" in ended.stderr or b"handshake failure" in ended.stderr, ended.stderr


@pytest.mark.parametrize("door", DOORS)
def test_a_client_without_certificate_is_refused(demo, door):
    ended = handshake(demo.node("mol")[door], "-tls1_3")
    assert b"certificate required" in ended.stderr, ended.stderr


def test_the_local_door_takes_its_own_clients(demo):
    client = demo.client("mol")
    ended = handshake(demo.node("mol")["local"], "-tls1_3", "-CAfile", client["ca"], "-cert", client["cert"], "-key", client["key"])
    assert b"Verify return code: 0 (ok)" in ended.stdout, ended.stdout
    assert b"ALPN protocol: h2" in ended.stdout
    assert b"alert" not in ended.stderr, ended.stderr


@pytest.mark.parametrize("door", DOORS)
def test_another_members_client_is_refused(demo, door):
    stranger = demo.client("psd")
    ended = handshake(demo.node("mol")[door], "-tls1_3", "-cert", stranger["cert"], "-key", stranger["key"])
    assert b"alert" in ended.stderr, ended.stderr


@pytest.mark.parametrize("door", DOORS)
def test_sslyze_finds_tls_1_3_and_nothing_older(demo, tool, tmp_path, door):
    out = tmp_path / "scan.json"
    client = demo.client("mol")
    scan = [tool("sslyze"), "--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--compression", "--early_data"]
    scan += ["--mozilla_config", "disable", "--cert", client["cert"], "--key", client["key"], "--json_out", out]
    subprocess.run([*map(str, scan), demo.node("mol")[door]], capture_output=True, timeout=120, check=False)
    (server,) = json.loads(out.read_text())["server_scan_results"]
    assert server["connectivity_status"] == "COMPLETED", server["connectivity_error_trace"]
    result = server["scan_result"]
    for older in OLDER:
        assert result[older]["result"]["accepted_cipher_suites"] == [], older
    accepted = {suite["cipher_suite"]["name"] for suite in result["tls_1_3_cipher_suites"]["result"]["accepted_cipher_suites"]}
    assert accepted and accepted <= {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
    assert not result["tls_compression"]["result"]["supports_compression"]
    # The peer door ends the connection of a certificate that the snapshot does not list: no ticket, no early data to try.
    early_data = result["tls_1_3_early_data"]["result"]
    assert (early_data is None and door == "peer") or not early_data["supports_early_data"]
