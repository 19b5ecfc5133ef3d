"""What the catalogue gives is taken by foreign tools: protoc, grpcurl, and generated stubs."""

import importlib
import json
import subprocess
import sys
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

from conftest import generate
from demo import jisr
from network import INSTANCE, Network, command

HERE = Path(__file__).parent
SERVICE = "weather.v1.Weather"
SUBSYSTEM = f"{INSTANCE}/GOV/met/stations"
GRPCURL = Path(sys.executable).with_name("grpcurl")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with Network(tmp_path_factory.mktemp("catalogue-network") / "net") as network:
        network.add_member("met")
        network.publish("met", "stations", SERVICE, HERE / "weather.proto")
        yield network


@pytest.fixture(scope="module", params=["met", "registry"])
def folder(request, network, tmp_path_factory):
    """A download, from a node and from the registry."""
    out = tmp_path_factory.mktemp("download") / "weather"
    told = command("catalogue", "download", SERVICE, "--dir", network.dir / request.param, "--out", out, "--json")
    files = json.loads(told)["files"]
    assert sorted(files) == ["jisr/v1/annotations.proto", "service.binpb", "weather.proto"]
    return out


def test_it_is_found_and_shown(network):
    where = ["--dir", network.dir / "met", "--json"]
    for words in (["الطقس"], ["طَقس"], ["WEATHER"], ["weather.v1", "met"]):
        found = json.loads(command("catalogue", "search", *words, *where))
        assert [row["service"] for row in found["services"]] == [SERVICE]
    assert json.loads(command("catalogue", "search", "snow", *where)) == {"found": 0, "services": []}
    shown = json.loads(command("catalogue", "show", SERVICE, *where))
    assert (shown["provider"], shown["version"], shown["classification"]) == (SUBSYSTEM, "1.0.0", "PUBLIC")
    assert [method["name"] for method in shown["methods"]] == ["Record", "Report"]
    text = command("catalogue", "show", SERVICE, "--dir", network.dir / "met")
    assert "\u2068الطقس\u2069" in text


def test_protoc_takes_both_forms(folder, tmp_path):
    include = protoc.__file__.rsplit("/", 1)[0] + "/_proto"
    made = tmp_path / "made.binpb"
    files = ["weather.proto", "jisr/v1/annotations.proto"]
    arguments = ["protoc", f"-I{folder}", f"-I{include}", "--include_imports", f"--descriptor_set_out={made}", *files]
    assert protoc.main(arguments) == 0
    published = descriptor_pb2.FileDescriptorSet.FromString((folder / "service.binpb").read_bytes())
    ours = {file.name: file for file in published.file}
    for file in descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes()).file:
        if not file.name.startswith("google/"):
            assert file == ours[file.name], file.name
    arguments = ["protoc", f"--descriptor_set_in={folder / 'service.binpb'}", f"--python_out={tmp_path}", "weather.proto"]
    assert protoc.main(arguments) == 0
    assert (tmp_path / "weather_pb2.py").exists()


def test_grpcurl_describes_and_calls_with_the_set(folder, tmp_path):
    def grpcurl(*arguments):
        return subprocess.run([GRPCURL, "-protoset", folder / "service.binpb", *arguments], capture_output=True, text=True, timeout=60)

    listed = grpcurl("list")
    assert listed.stdout.split() == [SERVICE], listed.stderr
    described = grpcurl("describe", f"{SERVICE}.Report")
    assert "rpc Report ( .weather.v1.ReportRequest ) returns ( .weather.v1.ReportResponse )" in described.stdout, described.stderr

    generate(folder, [folder / "weather.proto", folder / "jisr" / "v1" / "annotations.proto"], tmp_path)
    sys.path.insert(0, str(tmp_path))
    try:
        types, stubs = importlib.import_module("weather_pb2"), importlib.import_module("weather_pb2_grpc")
    finally:
        sys.path.remove(str(tmp_path))

    class Backend(stubs.WeatherServicer):
        def Report(self, request, context):
            return types.ReportResponse(village=request.village, celsius=7)

    server = grpc.server(futures.ThreadPoolExecutor(1))
    stubs.add_WeatherServicer_to_server(Backend(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        called = grpcurl("-plaintext", "-d", '{"village": "Dana"}', f"127.0.0.1:{port}", f"{SERVICE}/Report")
    finally:
        server.stop(None)
    assert json.loads(called.stdout) == {"village": "Dana", "celsius": 7}, called.stderr


def test_a_download_replaces_nothing(network, folder):
    again = jisr("catalogue", "download", SERVICE, "--dir", network.dir / "met", "--out", folder)
    assert again.returncode != 0
