"""The demo network as the tests see it: the directory that `jisr demo --dir` fills, and nothing of its insides."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JISR = Path(os.environ.get("JISR", ROOT / "target" / "release" / "jisr"))
READY_S_MAX = 90
STOP_S_MAX = 30


def jisr(*arguments, **options) -> subprocess.CompletedProcess:
    """Runs a command of the program and returns what it said."""
    return subprocess.run([JISR, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options)


def alive(pid: int) -> bool:
    """The process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Demo:
    """A running demo network."""

    def __init__(self, where: Path):
        self.dir = where
        self.output = where.parent / f"{where.name}.log"
        with self.output.open("wb") as log:
            self.process = subprocess.Popen([JISR, "demo", "--dir", where], stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + READY_S_MAX
        while not (where / "summary.json").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the demo is not ready after {READY_S_MAX} s:\n{self.output.read_text()}")
            time.sleep(0.1)
        self.summary = json.loads((where / "summary.json").read_text(encoding="utf-8"))

    def node(self, code: str) -> dict:
        return next(node for node in self.summary["nodes"] if node["code"] == code)

    def client(self, code: str) -> dict[str, Path]:
        """Files of the application's credential: ca, cert, key."""
        return {name: self.dir / "clients" / code / f"{name}.pem" for name in ("ca", "cert", "key")}

    def exchange(self, provider: str) -> dict:
        """An exchange of the journey that this member answered."""
        return next(e for e in self.summary["exchanges"] if f"/{provider}/" in e["provider"] and e["outcome"] == "answered")

    def ledger(self, code: str) -> Path:
        return self.dir / self.node(code)["ledger"]

    def evidence(self) -> list[Path]:
        return sorted((self.dir / "evidence").glob("*.jisr"))

    def stop(self) -> None:
        """SIGINT to the demo process alone; it ends its children."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise
