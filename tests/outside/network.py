"""A small network made with the operator's commands, as operators would: a registry, members, nodes, services, agreements."""

import json
import signal
import socket
import subprocess
import time
from pathlib import Path

from demo import JISR, jisr

INSTANCE = "JO"
START_S_MAX = 60
STOP_S_MAX = 60
PURPOSE = "trial"


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def command(*arguments) -> str:
    """A command that must succeed; returns its standard output."""
    done = jisr(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"jisr {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_until(holds, what: str) -> None:
    deadline = time.monotonic() + START_S_MAX
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not after {START_S_MAX} s: {what}")
        time.sleep(0.1)


class Server:
    """A running registry or node."""

    def __init__(self, kind: str, where: Path):
        self.kind, self.dir = kind, where
        self.log = where.parent / f"{where.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([JISR, kind, "run", "--dir", where], stdout=log, stderr=log)
        try:
            wait_until(self._ready, f"{where.name} answers")
        except RuntimeError as error:
            self.stop()
            raise RuntimeError(f"{error}\n{self.log.read_text()}") from error

    def _ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.dir.name} ended with {self.process.returncode}")
        return jisr(self.kind, "status", "--dir", self.dir).returncode == 0

    def status(self) -> dict:
        return json.loads(command(self.kind, "status", "--dir", self.dir, "--json"))

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S_MAX)


class Network:
    """Use it in a `with` statement; leaving it stops everything."""

    def __init__(self, where: Path):
        self.dir = where
        self.servers: list[Server] = []
        self.nodes: dict[str, Server] = {}
        self.ports: dict[str, int] = {}
        (port,) = free_ports(1)
        self.registry_address = f"127.0.0.1:{port}"
        where.mkdir()
        listen = ["--listen", self.registry_address, "--public", self.registry_address]
        administrators = []
        for name in ("huda", "samir"):
            command("registry", "administrator", "new", name, "--instance", INSTANCE, "--out", where / name)
            administrators += ["--administrator", f"{name}=admit,certify,publish:{where / name}/request.csr"]
        command("registry", "init", "--dir", self._registry, "--instance", INSTANCE, *listen, *administrators)
        self._start("registry", self._registry)

    @property
    def _registry(self) -> Path:
        return self.dir / "registry"

    @property
    def anchor(self) -> Path:
        return self._registry / "anchor"

    def _start(self, kind: str, where: Path) -> Server:
        self.servers.append(Server(kind, where))
        return self.servers[-1]

    def add_member(self, code: str, *init) -> Server:
        """Admits a member and brings up its node; `init` are further options of `jisr node init`."""
        member, node, where = f"{INSTANCE}/GOV/{code}", f"{INSTANCE}/GOV/{code}/node/node1", self.dir / code
        names = ["--name-ar", "جهة", "--name-en", code]
        huda, samir = (["--dir", self._registry, "--administrator", self.dir / name] for name in ("huda", "samir"))
        act = command("registry", "admit", member, *names, *huda).strip()
        command("registry", "approve", act, *samir)
        token = command("registry", "token", node, *huda).strip()
        self.ports[code], peer = free_ports(2)
        doors = ["--local", f"127.0.0.1:{self.ports[code]}", "--peer", f"127.0.0.1:{peer}", "--public", f"127.0.0.1:{peer}"]
        command("node", "init", "--dir", where, "--node", node, "--registry", self.registry_address, *doors, *init)
        command("node", "enrol", token, "--dir", where)
        command("node", "officer", "add", "rania", "--dir", where, "--out", self.dir / f"{code}-officer")
        self.nodes[code] = self._start("node", where)
        return self.nodes[code]

    def publish(self, code: str, subsystem: str, service: str, proto: Path) -> None:
        """The .proto file imports nothing but what lies beside it, the annotations and Google's well-known types."""
        options = ["--subsystem", f"{INSTANCE}/GOV/{code}/{subsystem}", "--service", service, "--proto", proto]
        command("node", "publish", "--dir", self.dir / code, *options)

    def agree(self, consumer: str, provider: str, methods: list[str]) -> None:
        """Consumer and provider are `code/subsystem`; returns when the consumer's and provider's nodes know of it."""
        asks, answers = consumer.split("/")[0], provider.split("/")[0]
        parties = ["--consumer", f"{INSTANCE}/GOV/{consumer}", "--provider", f"{INSTANCE}/GOV/{provider}"]
        terms = [item for method in methods for item in ("--method", method)] + ["--purpose", f"{PURPOSE}: a test"]
        wait_until(lambda: self._caught_up(asks), "the publication reaches the consumer's node")
        digest = command("node", "agree", "propose", "--dir", self.dir / asks, *parties, *terms, *self._officer(asks)).strip()
        command("node", "agree", "accept", digest, "--dir", self.dir / answers, *self._officer(answers))
        wait_until(lambda: self._caught_up(asks) and self._caught_up(answers), "the agreement reaches both nodes")

    def _officer(self, code: str) -> list:
        return ["--officer", self.dir / f"{code}-officer"]

    def _caught_up(self, code: str) -> bool:
        newest = self.servers[0].status()["snapshot_version"]
        return self.nodes[code].status()["snapshot_version"] >= newest

    def client(self, code: str, subsystem: str) -> dict[str, Path]:
        """A credential for an application of this subsystem: files ca, cert and key."""
        out = self.dir / f"{code}-{subsystem}-client"
        command("node", "client", "add", f"{INSTANCE}/GOV/{code}/{subsystem}", "--dir", self.dir / code, "--out", out)
        return {name: out / f"{name}.pem" for name in ("ca", "cert", "key")}

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for server in reversed(self.servers):
            server.stop()


class EchoPair(Network):
    """The benchmark's pair: a consumer's node with a plain local door, and a provider's node before `bench.v1.Echo`."""

    headers = (f"jisr-purpose: {PURPOSE}", "jisr-duty: none")

    def __init__(self, where: Path, backend: str, proto: Path):
        super().__init__(where)
        try:
            served = f"bench.v1.Echo={INSTANCE}/GOV/answers/echo=http://{backend}"
            self.add_member("answers", "--backend", served)
            self.add_member("asks", "--dangerous-plain-loopback", f"{INSTANCE}/GOV/asks/bench")
            self.publish("answers", "echo", "bench.v1.Echo", proto)
            self.agree("asks/bench", "answers/echo", ["bench.v1.Echo/Send"])
        except BaseException:
            self.__exit__()
            raise

    @property
    def plain_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['asks']}"

    @property
    def node_pids(self) -> list[int]:
        return [node.process.pid for node in self.nodes.values()]
