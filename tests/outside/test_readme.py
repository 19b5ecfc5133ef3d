"""What the README tells an operator to type works as it stands there; only ports and the clone's place are filled in."""

import os
import re
import subprocess

from demo import JISR, ROOT
from network import free_ports

FIRST_EXCHANGE = re.compile(r"## A first exchange by hand.+?```sh\n(.+?)```", re.S)
S_MAX = 120


def test_the_first_exchange_by_hand(tmp_path):
    script = FIRST_EXCHANGE.search((ROOT / "README.md").read_text(encoding="utf-8"))[1].replace("~/jisr", str(ROOT))
    ports = sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", script)))
    for port, free in zip(ports, free_ports(len(ports))):
        script = script.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free}")
    whole = f"set -euo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n{script}"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "jisr").symlink_to(JISR)
    path = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", "-c", whole]
    done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, timeout=S_MAX, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nVALID\n" in done.stdout, done.stdout
