"""One run of h2load, checked, and the processor time that a set of processes spent meanwhile.

h2load counts HTTP 200 and knows nothing of grpc-status: a refused call counts as done. So the bytes of all reply bodies are
compared with what the calls must have brought back.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 8
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
GRPC_PREFIX_BYTES = 5


@dataclass(frozen=True)
class Load:
    """What is sent: `body` is a gRPC-framed message that comes back as it is."""

    body: Path
    in_flight: int

    @property
    def body_bytes(self) -> int:
        return self.body.stat().st_size


@dataclass(frozen=True)
class Result:
    calls: int
    calls_per_s: float
    mean_us: float
    cpu_us: float


def cpu_s(pids) -> float:
    """User and system time of the processes so far, all threads (fields 14 and 15 of proc(5) stat)."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total * TICK_S


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)[1])


def microseconds(text: str) -> float:
    """h2load writes 312us, 1.20ms or 2.01s."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def run(url: str, load: Load, calls: int, pids, headers=()) -> Result:
    """Sends `calls` calls and measures. Raises if any call brought back anything but its own message."""
    connections = min(CONNECTIONS, load.in_flight)
    command = ["h2load", "-n", str(calls), "-c", str(connections), "-m", str(load.in_flight // connections), "-t", "1"]
    command += ["-w", "24", "-W", "26", "-d", str(load.body), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    for header in headers:
        command += ["-H", header]
    before = cpu_s(pids)
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=300, check=False)
    spent = cpu_s(pids) - before
    return Result(calls, *check(done.stdout + done.stderr, load, calls), spent * 1e6 / calls)


def check(output: str, load: Load, calls: int) -> tuple[float, float]:
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", output)
    succeeded = re.search(r"(\d+) succeeded, 0 failed, 0 errored, 0 timeout", output)
    data = re.search(r"\((\d+)\) data", output)
    mean = re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", output)
    if not (rate and succeeded and data and mean) or int(succeeded[1]) != calls:
        raise RuntimeError(f"h2load: not every call succeeded\n{output}")
    if int(data[1]) != calls * load.body_bytes:
        raise RuntimeError(f"replies hold {data[1]} bytes, {calls * load.body_bytes} are due: calls were refused\n{output}")
    return float(rate[1]), microseconds(mean[1])


def write_body(path: Path, size: int) -> Path:
    """A gRPC-framed `bench.v1.Message` of `size` bytes, as random as encrypted data."""
    content = os.urandom(size - 1 - len(varint(size)))
    message = b"\x0a" + varint(len(content)) + content
    path.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    if path.stat().st_size != size + GRPC_PREFIX_BYTES:
        raise ValueError(f"no message has exactly {size} bytes")
    return path


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
