"""A service that Jisr has never seen is published, agreed and called, with no change to any program."""

import importlib
import json
import sys
from concurrent import futures
from pathlib import Path

import grpc
import pytest

import verify_evidence
from conftest import generate
from demo import ROOT, jisr
from network import INSTANCE, PURPOSE, Network, command

HERE = Path(__file__).parent
PROTO = HERE / "weather.proto"
METADATA = [("jisr-purpose", PURPOSE), ("jisr-duty", "none"), ("asked-by", "a shepherd")]


@pytest.fixture(scope="module")
def weather(tmp_path_factory):
    """The generated modules of the service."""
    out = tmp_path_factory.mktemp("weather")
    generate(HERE, [PROTO, ROOT / "proto" / "proto" / "jisr" / "v1" / "annotations.proto"], out)
    sys.path.insert(0, str(out))
    yield importlib.import_module("weather_pb2"), importlib.import_module("weather_pb2_grpc")
    sys.path.remove(str(out))


@pytest.fixture(scope="module")
def backend(weather):
    """The publisher's own server, an ordinary one; it keeps the metadata of each call."""
    types, grpc_types = weather

    class Backend(grpc_types.WeatherServicer):
        seen: list[dict] = []
        records = 0

        def Report(self, request, context):
            self.seen.append(dict(context.invocation_metadata()))
            if request.village != "Dana":
                context.abort(grpc.StatusCode.NOT_FOUND, f"no thermometer in {request.village}")
            context.set_trailing_metadata([("station", "7")])
            return types.ReportResponse(village=request.village, celsius=-3)

        def Record(self, request, context):
            self.seen.append(dict(context.invocation_metadata()))
            self.records += 1
            return types.RecordResponse(records=self.records)

    server = grpc.server(futures.ThreadPoolExecutor(4))
    service = Backend()
    grpc_types.add_WeatherServicer_to_server(service, server)
    service.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(None)


@pytest.fixture(scope="module")
def network(tmp_path_factory, backend):
    with Network(tmp_path_factory.mktemp("weather-network") / "net") as network:
        network.add_member("met", "--backend", f"weather.v1.Weather={INSTANCE}/GOV/met/stations=http://{backend.address}")
        network.add_member("moa")
        network.publish("met", "stations", "weather.v1.Weather", PROTO)
        network.agree("moa/farms", "met/stations", ["weather.v1.Weather/Report", "weather.v1.Weather/Record"])
        yield network


@pytest.fixture(scope="module")
def stub(network, weather):
    files = {name: path.read_bytes() for name, path in network.client("moa", "farms").items()}
    credentials = grpc.ssl_channel_credentials(files["ca"], files["key"], files["cert"])
    with grpc.secure_channel(f"127.0.0.1:{network.ports['moa']}", credentials) as channel:
        yield weather[1].WeatherStub(channel)


def test_it_is_called_with_its_own_stub(stub, weather, backend):
    answer, call = stub.Report.with_call(weather[0].ReportRequest(village="Dana"), metadata=METADATA, timeout=20)
    assert (answer.village, answer.celsius) == ("Dana", -3)
    assert dict(call.trailing_metadata())["station"] == "7"
    exchange_id = (dict(call.initial_metadata()) | dict(call.trailing_metadata()))["jisr-exchange-id"]
    assert backend.seen[-1]["jisr-exchange-id"] == exchange_id
    assert backend.seen[-1]["asked-by"] == "a shepherd"


def test_its_own_refusal_comes_back_as_it_was(stub, weather):
    with pytest.raises(grpc.RpcError) as error:
        stub.Report(weather[0].ReportRequest(village="Atlantis"), metadata=METADATA, timeout=20)
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.NOT_FOUND, "no thermometer in Atlantis")


def test_a_method_with_effects_runs_once_for_one_exchange_id(stub, weather, backend):
    request = weather[0].RecordRequest(village="Dana", celsius=4)
    answer, call = stub.Record.with_call(request, metadata=METADATA, timeout=20)
    exchange_id = (dict(call.initial_metadata()) | dict(call.trailing_metadata()))["jisr-exchange-id"]
    again = [*METADATA, ("jisr-exchange-id", exchange_id)]
    assert stub.Record(request, metadata=again, timeout=20).records == answer.records == backend.records == 1


def test_it_is_called_from_json_with_evidence(network, tmp_path):
    options = ["--dir", network.dir / "moa", "--client", f"{INSTANCE}/GOV/moa/farms", "--purpose", PURPOSE, "--json"]
    question = ["--json-in", '{"village": "Dana"}', "--duty", "none"]
    told = json.loads(command("call", "weather.v1.Weather/Report", *question, *options))
    assert told["reply"] == {"village": "Dana", "celsius": -3}
    file = tmp_path / "weather.jisr"
    command("evidence", "export", told["exchange_id"], "--dir", network.dir / "moa", "--out", file)
    ours = jisr("evidence", "verify", file, "--anchor", network.anchor)
    assert ours.stdout.startswith("VALID\n"), ours.stdout + ours.stderr
    anchor = verify_evidence.Anchor.parse(network.anchor.read_text(encoding="utf-8"))
    assert len(verify_evidence.verify(file.read_bytes(), anchor)) >= 4


def test_a_ledger_verifies_after_a_clean_stop(network):
    network.nodes["moa"].stop()
    run = jisr("ledger", "verify", network.dir / "moa" / "ledger", "--anchor", network.anchor)
    assert (run.returncode, run.stdout.split("\n")[0]) == (0, "VALID"), run.stdout + run.stderr
