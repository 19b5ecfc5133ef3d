"""The demo command's contract."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from demo import Demo, alive, jisr

ONCE_S_MAX = 60
LAST_LINE = re.compile(r"demo: (\d+) exchanges answered, (\d+) refused, (\d+) evidence files VALID")


@pytest.mark.parametrize("run", ["first", "second"])
def test_once_ends_by_itself(tmp_path, run):
    where, started = tmp_path / run, time.monotonic()
    ended = jisr("demo", "--once", "--dir", where)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert time.monotonic() - started < ONCE_S_MAX
    answered, refused, valid = map(int, LAST_LINE.fullmatch(ended.stdout.rstrip("\n").rpartition("\n")[2]).groups())
    summary = json.loads((where / "summary.json").read_text(encoding="utf-8"))
    assert (summary["format"], summary["answered"], summary["refused"]) == (1, answered, refused)
    assert summary["evidence_valid"] == valid == len(list((where / "evidence").iterdir()))
    assert summary["tamper_detected"] is True
    assert answered >= 5 and refused >= 1
    assert not any(alive(node["pid"]) for node in summary["nodes"])


def test_the_directory_holds_what_is_promised(demo):
    assert (demo.dir / "anchor").is_file()
    for node in demo.summary["nodes"]:
        assert alive(node["pid"])
        assert (demo.dir / "nodes" / node["code"] / "ledger").is_dir()
        assert all(path.is_file() for path in demo.client(node["code"]).values())
    assert {node["code"] for node in demo.summary["nodes"]} == {"mol", "psd", "moh", "ssc", "ccd", "gid"}
    for exchange in demo.summary["exchanges"]:
        assert {"id", "consumer", "provider", "method", "purpose", "outcome", "reason", "evidence"} <= set(exchange)


def test_the_commands_that_it_prints_work(demo, tool, tmp_path):
    """The grpcurl and Python commands as they stand, but for the installation of what is installed here."""
    said = demo.output.read_text(encoding="utf-8")
    script = said[said.index("grpcurl -cacert") : said.index("\nEND\n") + 5]
    script = script.replace("python3 -m pip install grpcio grpcio-tools && ", "")
    tools = {**os.environ, "PATH": f"{Path(tool('grpcurl')).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=tools, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"source": "psd"' in done.stdout and 'source: "psd"' in done.stdout, done.stdout


def test_the_verifications_that_it_prints_work_from_anywhere(demo, tmp_path):
    said = demo.output.read_text(encoding="utf-8")
    commands = re.findall(r"^/.* (?:evidence|ledger) verify .*$", said, re.MULTILINE)
    assert len(commands) == 2, said
    for command in commands:
        done = subprocess.run(["bash", "-euc", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout.partition("\n")[0]) == (0, "VALID"), done.stdout + done.stderr


def test_a_directory_that_is_in_use_is_not_touched(demo):
    assert jisr("demo", "--once", "--dir", demo.dir).returncode == 64


def test_sigint_to_the_demo_alone_ends_its_children(tmp_path):
    network = Demo(tmp_path / "demo")
    pids = [node["pid"] for node in network.summary["nodes"]]
    assert all(map(alive, pids))
    network.stop()
    assert not any(map(alive, pids))
    assert network.process.returncode in (0, 130, -2)
