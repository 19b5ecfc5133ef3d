"""Our pair of nodes and an nginx pair in turn before the same backend under h2load.

Both pairs: client in the clear over HTTP/2 to the first, mutual TLS 1.3 between the two, HTTP/2 in the clear to the backend,
all on this machine. Ours is the release program with a real registry, agreements and ledgers on disk; nginx passes bytes.
Runs alternate and ratios are taken within a round, because a shared machine is faster in one minute than in the next.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import grpc

import load
import nginx
from load import Load, Result

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "outside"))
import demo  # noqa: E402
import network  # noqa: E402

METHOD = "/bench.v1.Echo/Send"
CELLS = [(1024, 32), (1024, 256), (65536, 32), (65536, 256)]
LONE = (1024, 1)
FIRST_CALLS = 500


@dataclass
class Contender:
    """Something that answers `bench.v1.Echo`, and what its processes are."""

    name: str
    url: str
    pids: list[int]
    headers: tuple[str, ...] = ()
    rates: dict[Load, float] = field(default_factory=dict)

    def warm_up(self, what: Load) -> None:
        self.rates[what] = load.run(self.url + METHOD, what, FIRST_CALLS, self.pids, self.headers).calls_per_s

    def measure(self, what: Load, seconds: float) -> Result:
        """As many calls as take about `seconds`."""
        calls = max(what.in_flight * 4, int(self.rates[what] * seconds))
        result = load.run(self.url + METHOD, what, calls, self.pids, self.headers)
        self.rates[what] = result.calls_per_s
        return result

    def check_answer(self, body: bytes) -> None:
        """A real gRPC client gets status OK and the message it sent."""
        metadata = [tuple(header.split(": ", 1)) for header in self.headers]
        with grpc.insecure_channel(self.url.removeprefix("http://")) as channel:
            message = body[load.GRPC_PREFIX_BYTES :]
            if channel.unary_unary(METHOD)(message, timeout=20, metadata=metadata) != message:
                raise RuntimeError(f"{self.name} answers something else than was sent")


def median(values) -> float:
    return statistics.median(values)


def row(name: str, size, in_flight: int, rounds: list[tuple[Result, Result]]) -> dict:
    """Of rounds of (ours, nginx)."""
    ratios = [ours.calls_per_s / theirs.calls_per_s for ours, theirs in rounds]
    return {
        "name": name,
        "size": size,
        "in_flight": in_flight,
        "jisr_rps": round(median(ours.calls_per_s for ours, _ in rounds), 1),
        "nginx_rps": round(median(theirs.calls_per_s for _, theirs in rounds), 1),
        "ratio": round(median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "cpu_ratio": round(median(ours.cpu_us / theirs.cpu_us for ours, theirs in rounds if theirs.cpu_us), 3),
        "jisr_cpu_us": round(median(ours.cpu_us for ours, _ in rounds), 1),
    }


def single(name: str, value: float, unit: str, nginx_value: float | None = None) -> dict:
    """A figure that is no comparison of rates."""
    keys = ("jisr_rps", "nginx_rps", "ratio", "ratio_min", "ratio_max", "cpu_ratio", "jisr_cpu_us")
    figure = {"value": round(value, 1), "unit": unit, "nginx_value": None if nginx_value is None else round(nginx_value, 1)}
    return {"name": name, "size": None, "in_flight": None, **dict.fromkeys(keys), **figure}


def faster(pairs: list[Contender], what: Load, seconds: float) -> Contender:
    """The faster of nginx with one and with two workers for this load, by the better of two runs each."""
    best = {pair.name: 0.0 for pair in pairs}
    for _ in range(2):
        for pair in pairs:
            best[pair.name] = max(best[pair.name], pair.measure(what, seconds / 2).calls_per_s)
    return max(pairs, key=lambda pair: best[pair.name])


def compare(ours: Contender, nginx_pairs: list[Contender], what: Load, rounds: int, seconds: float):
    """Rounds of (ours, nginx), who goes first changing from round to round."""
    for contender in (ours, *nginx_pairs):
        contender.warm_up(what)
    theirs = faster(nginx_pairs, what, seconds)
    found = []
    for number in range(rounds):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        results = {contender.name: contender.measure(what, seconds) for contender in order}
        found.append((results[ours.name], results[theirs.name]))
    return found, theirs.name


def lone_calls(direct: Contender, ours: Contender, theirs: Contender, what: Load, rounds: int) -> list[dict]:
    """What one call at a time costs beyond calling the backend itself."""
    for contender in (direct, ours, theirs):
        contender.warm_up(what)
    found = [[contender.measure(what, 0.5) for contender in (direct, ours, theirs)] for _ in range(rounds)]
    added = [median(results[i].mean_us - results[0].mean_us for results in found) for i in (1, 2)]
    return [
        row("one call at a time, 1 KiB", None, 1, [(mine, other) for _, mine, other in found]),
        single("latency added to a direct call, one at a time, 1 KiB", added[0], "us", added[1]),
    ]


def report(rows: list[dict]) -> None:
    print(f"{'':44}{'jisr/s':>9}{'nginx/s':>9}{'ratio':>7}{'range':>14}{'CPU':>7}{'us/call':>9}")
    for r in rows:
        name = r["name"] if r["size"] is None else f"{r['name']}, {r['size'] // 1024} KiB, {r['in_flight']} in flight"
        if "value" in r:
            nginx_value = "" if r["nginx_value"] is None else f" (nginx {r['nginx_value']})"
            print(f"{name}: {r['value']} {r['unit']}{nginx_value}")
        else:
            spread = f"{r['ratio_min']:.2f}-{r['ratio_max']:.2f}"
            rates = f"{r['jisr_rps']:>9.0f}{r['nginx_rps']:>9.0f}{r['ratio']:>7.2f}"
            print(f"{name:44}{rates}{spread:>14}{r['cpu_ratio']:>7.2f}{r['jisr_cpu_us']:>9.0f}")


def backend(stack: contextlib.ExitStack) -> tuple[str, int]:
    """Starts the backend; returns its address and process id."""
    program = ROOT / "target" / "release" / "examples" / "bench-backend"
    process = stack.enter_context(
        subprocess.Popen([program, "127.0.0.1:0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    return process.stdout.readline().strip(), process.pid


def pair_of(program: Path, work: Path, address: str, stack: contextlib.ExitStack) -> Contender:
    """A pair of nodes of another program, for instance of an earlier release."""
    own = demo.JISR
    demo.JISR = network.JISR = program.resolve()
    try:
        instance = stack.enter_context(network.EchoPair(work, address, ROOT / "tests" / "bench" / "bench.proto"))
    finally:
        demo.JISR = network.JISR = own
    return Contender(str(program), instance.plain_url, instance.node_pids, instance.headers)


def bench_against(arguments, work: Path, stack: contextlib.ExitStack) -> list[dict]:
    """Our pair and one of another program in turn; in the rows the other one stands where nginx does."""
    address, _ = backend(stack)
    ours = pair_of(demo.JISR, work / "ours", address, stack)
    theirs = pair_of(arguments.against, work / "theirs", address, stack)
    rows = []
    for size, in_flight in [*CELLS, LONE]:
        what = Load(load.write_body(work / f"{size}.body", size), in_flight)
        found, name = compare(ours, [theirs], what, arguments.rounds, arguments.seconds)
        rows.append(row(f"against {name.split('/')[-1]}", size, in_flight, found))
    return rows


def bench(arguments, work: Path, stack: contextlib.ExitStack) -> list[dict]:
    address, backend_pid = backend(stack)
    instance = stack.enter_context(network.EchoPair(work / "jisr", address, ROOT / "tests" / "bench" / "bench.proto"))
    ours = Contender("jisr", instance.plain_url, instance.node_pids, instance.headers)
    idle_kib = max(load.memory_kib(pid) for pid in ours.pids)
    keys = nginx.make_keys(work / "keys")
    pairs = []
    for workers in (1, 2):
        pair = nginx.Pair(work, keys, tuple(network.free_ports(2)), address, workers)
        stack.callback(pair.stop)
        pairs.append(Contender(f"nginx, {workers} worker(s)", pair.url, pair.pids(), ours.headers))
    bodies = {size: load.write_body(work / f"{size}.body", size) for size in {size for size, _ in CELLS}}
    for contender in (ours, *pairs):
        for body in bodies.values():
            contender.check_answer(body.read_bytes())

    rows = []
    for size, in_flight in CELLS:
        found, name = compare(ours, pairs, Load(bodies[size], in_flight), arguments.rounds, arguments.seconds)
        rows.append(row("unary, no side effects", size, in_flight, found))
        print(f"{size // 1024} KiB, {in_flight} in flight: done, against {name}", file=sys.stderr)
    direct = Contender("direct", f"http://{address}", [backend_pid], ours.headers)
    rows += lone_calls(direct, ours, pairs[0], Load(bodies[LONE[0]], LONE[1]), arguments.rounds)
    rows.append(single("memory of an idle node", idle_kib, "KiB"))
    rows.append(single("memory of a node after the load", max(load.memory_kib(pid) for pid in ours.pids), "KiB"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="rounds for each row (default 11)")
    parser.add_argument("--seconds", type=float, default=3, help="about how long each run takes (default 3)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--against", type=Path, help="compare with this other jisr program instead of nginx")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jisr-bench-") as work, contextlib.ExitStack() as stack:
        rows = (bench_against if arguments.against else bench)(arguments, Path(work), stack)
    report(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps({"format": 1, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
