"""The numbers of a node, read by the parser of Prometheus' own client library, against the status that the node tells."""

import http.client
import re
import socket

from prometheus_client.parser import text_string_to_metric_families

from demo import ROOT


class AdminSocket(http.client.HTTPConnection):
    """HTTP over the admin socket of a server."""

    def __init__(self, path):
        super().__init__("localhost")
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def families(demo):
    connection = AdminSocket(demo.ledger("mol").parent / "admin.sock")
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}


def test_every_number_that_the_alarms_and_the_page_name_is_known_to_the_program():
    source = (ROOT / "node" / "src" / "metrics.rs").read_text()
    made = set(re.findall(r'"(jisr_[a-z_]+)"', source))
    rules = (ROOT / "deploy" / "prometheus" / "jisr.rules.yml").read_text()
    page = (ROOT / "docs" / "operating.md").read_text()
    assert set(re.findall(r"\bjisr_[a-z_]+", rules)) <= made
    assert made <= set(re.findall(r"`(jisr_[a-z_]+)", page))


def test_the_parser_of_prometheus_reads_what_the_admin_socket_tells(demo):
    told = families(demo)
    (info,) = told["jisr_node_info"].samples
    assert info.labels["node"] == "JO/GOV/mol/node/node1" and info.value == 1
    assert {sample.labels["state"]: sample.value for sample in told["jisr_node_state"].samples}["RUNNING"] == 1
    assert {sample.labels["certificate"] for sample in told["jisr_certificate_life_seconds"].samples} == {"tls", "seal", "issuing", "root"}
    assert 0 < told["jisr_snapshot_life_seconds"].samples[0].value <= 72 * 3600
    outcomes = {sample.labels["outcome"]: sample.value for sample in told["jisr_exchanges"].samples}
    assert outcomes["answered"] > 0
