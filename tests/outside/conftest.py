"""What the tests share: one demo network, and stubs generated from the .proto files that it hands out."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from demo import ROOT, Demo

TOOLS = Path(sys.executable).parent


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    network = Demo(tmp_path_factory.mktemp("network") / "demo")
    yield network
    network.stop()


@pytest.fixture(scope="session")
def stubs(demo, tmp_path_factory):
    """Imports a generated module by its name, `stubs("jo.residency.v1.residency_pb2")`."""
    out = tmp_path_factory.mktemp("stubs")
    generate(demo.dir / "protos", sorted((demo.dir / "protos").rglob("*.proto")), out)
    sys.path.insert(0, str(out))
    yield importlib.import_module
    sys.path.remove(str(out))


@pytest.fixture(scope="session")
def tool():
    """Path of a foreign tool of the Python environment; it must be there."""

    def find(name: str) -> str:
        path = TOOLS / name
        assert path.exists(), f"{name} is missing: tests/outside/tools installs it"
        return str(path)

    return find


def generate(include: Path, files: list[Path], out: Path) -> None:
    """Python stubs, made by grpcio-tools."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{include}", f"-I{ROOT / 'proto' / 'proto'}"]
    subprocess.run([*command, f"--python_out={out}", f"--grpc_python_out={out}", *map(str, files)], check=True)
