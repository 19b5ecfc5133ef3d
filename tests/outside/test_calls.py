"""Applications call with ordinary stubs; nothing on their side knows of Jisr but the credential and the metadata."""

import json
import re
import subprocess

import grpc
import pytest

CONSUMER = "mol"
SERVICE = "jo.residency.v1.ResidencePermits"
REFLECTION = {"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.fixture(scope="module")
def channel(demo):
    files = {name: path.read_bytes() for name, path in demo.client(CONSUMER).items()}
    credentials = grpc.ssl_channel_credentials(files["ca"], files["key"], files["cert"])
    with grpc.secure_channel(demo.node(CONSUMER)["local"], credentials) as channel:
        yield channel


@pytest.fixture(scope="module")
def metadata(demo):
    return [("jisr-purpose", demo.exchange("psd")["purpose"]), ("jisr-duty", "labour-law-8-1996"), ("jisr-case", "%D9%85-17")]


@pytest.fixture(scope="module")
def person(demo):
    """A personal number that the demo itself names in its example calls."""
    return re.search(r'personal_?[nN]umber\W+(\d{6,})', demo.output.read_text(encoding="utf-8"))[1]


@pytest.fixture(scope="module")
def residency(stubs, channel):
    stub = stubs("jo.residency.v1.residency_pb2_grpc").ResidencePermitsStub(channel)
    return stub, stubs("jo.residency.v1.residency_pb2"), stubs("jo.common.v1.people_pb2")


def grpcurl(tool, demo, *arguments, headers=()):
    client = demo.client(CONSUMER)
    command = [tool("grpcurl"), "-cacert", client["ca"], "-cert", client["cert"], "-key", client["key"]]
    for name, value in headers:
        command += ["-H", f"{name}: {value}"]
    options, verb = arguments[:-2], arguments[-2:]
    target = demo.node(CONSUMER)["local"]
    return subprocess.run([*command, *options, target, *[v for v in verb if v]], capture_output=True, text=True, timeout=60, check=False)


def test_python_gets_the_typed_answer(residency, metadata, person):
    stub, types, people = residency
    request = types.CheckStatusRequest(person=people.PersonRef(personal_number=person))
    answer, call = stub.CheckStatus.with_call(request, metadata=metadata, timeout=20)
    assert isinstance(answer, types.CheckStatusResponse)
    assert answer.status != 0
    assert answer.provenance.source == "psd"
    returned = dict(call.initial_metadata()) | dict(call.trailing_metadata())
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", returned["jisr-exchange-id"])


def test_the_backends_own_error_passes_through(residency, metadata):
    stub, types, people = residency
    nobody = types.CheckStatusRequest(person=people.PersonRef(personal_number="1"))
    with pytest.raises(grpc.RpcError) as error:
        stub.CheckStatus(nobody, metadata=metadata, timeout=20)
    assert error.value.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    assert "jisr-exchange-id" in dict(error.value.initial_metadata() or ()) | dict(error.value.trailing_metadata() or ())


def test_a_call_without_purpose_is_refused_by_name(residency, person):
    stub, types, people = residency
    request = types.CheckStatusRequest(person=people.PersonRef(personal_number=person))
    with pytest.raises(grpc.RpcError) as error:
        stub.CheckStatus(request, timeout=20)
    assert error_info(error.value)["reason"] == "PURPOSE_MISSING"


def test_a_purpose_that_was_not_agreed_is_refused(residency, person):
    stub, types, people = residency
    request = types.CheckStatusRequest(person=people.PersonRef(personal_number=person))
    with pytest.raises(grpc.RpcError) as error:
        stub.CheckStatus(request, metadata=[("jisr-purpose", "curiosity")], timeout=20)
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert error_info(error.value)["party"]


def test_grpcurl_lists_exactly_the_agreed_services(tool, demo):
    listed = grpcurl(tool, demo, "list", "")
    assert listed.returncode == 0, listed.stderr
    agreed = {e["method"].partition("/")[0] for e in demo.summary["exchanges"] if e["outcome"] == "answered"}
    assert set(listed.stdout.split()) - REFLECTION == agreed


def test_grpcurl_calls_by_reflection(tool, demo, metadata, person):
    body = json.dumps({"person": {"personal_number": person}})
    answer = grpcurl(tool, demo, "-d", body, f"{SERVICE}/CheckStatus", "", headers=metadata)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["provenance"]["source"] == "psd"


def test_health_is_served(channel):
    """Not by grpcurl: reflection shows the agreed services and no others, so the type is not to be had there."""
    serving = bytes([1 << 3, 1])
    assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=20) == serving


def error_info(error: grpc.RpcError) -> dict:
    """google.rpc.ErrorInfo out of the status details, read by hand: reason and metadata."""
    details = next(value for name, value in error.trailing_metadata() if name == "grpc-status-details-bin")
    status = fields(details)
    packed = fields(next(value for number, value in status if number == 3))
    info = fields(next(value for number, value in packed if number == 2))
    found = {"reason": next(value for number, value in info if number == 1).decode()}
    for number, value in info:
        if number == 3:
            entry = dict(fields(value))
            found[entry[1].decode()] = entry[2].decode()
    return found


def fields(data: bytes) -> list:
    from wire import raw_value, varint

    found, position = [], 0
    while position < len(data):
        key, position = varint(data, position)
        value, position = raw_value(data, position, key & 7)
        found.append((key >> 3, value))
    return found
