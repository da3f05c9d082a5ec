"""What the tests share: a folder of their own, and the smallest scenario with everything in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pom2dib

# The environment is to say nothing of what is run, and pictures need no screen.
for name in [name for name in os.environ if name.startswith("POM2DIB_")]:
    del os.environ[name]
os.environ["MPLBACKEND"] = "Agg"

TINY = """
name = "tiny"
[network]
feature_dim = 4
transmitter_limit = 2
[train]
rounds = 6
ticks_per_round = 3
samples_per_tick = 20
[evaluation]
passes = 1
joint_rate_samples = 60
[checkpoint]
every = 0
[[transmitter]]
modalities = ["noise-1", "noise-2", "fft"]
[[transmitter]]
modalities = ["fft", "mel"]
[[receiver]]
task = "parity"
[[receiver]]
task = "digit"
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, in which it is, with ``tiny.toml``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> pom2dib.Run:
    """A run of the tiny scenario."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(TINY)
    return pom2dib.run(folder / "tiny.toml", out=folder / "run", seed=3)


@pytest.fixture
def still() -> dict[str, Any]:
    """Keys with which no step changes a parameter: what a run began with can be exported behind its first round."""
    return {"train.coding_lr": 1e-30, "train.selection_lr": 1e-30, "train.rounds": 1}


@pytest.fixture
def checkpoint() -> Callable[[Path, str], dict[str, Any]]:
    """Reads the tensors of a node's last checkpoint."""
    return _checkpoint


@pytest.fixture
def kill_node() -> Callable[[pom2dib.Live, str, int], None]:
    """Kills a node's process, which its run then starts again."""
    return _kill_node


@pytest.fixture
def interrupt() -> Callable[[pom2dib.Live, str, int], None]:
    """Kills a node after round 4, and has the run save and end after round 9."""
    return _interrupt


def _interrupt(live: pom2dib.Live, role: str, index: int) -> None:
    for round in live:
        if round.round == 4:
            _kill_node(live, role, index)
        if round.round == 9:
            live.save_and_end()
            break


def _checkpoint(run: Path, node: str) -> dict[str, Any]:
    """The tensors of a node's last checkpoint: safetensors, read by hand."""
    file = max((run / "checkpoints").rglob(f"{node}.*.safetensors"))
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    numpy = pytest.importorskip("numpy")
    tensors = {}
    for name, about in json.loads(content[8:start]).items():
        if name != "__metadata__" and about["dtype"] == "F32":
            first, last = (start + at for at in about["data_offsets"])
            tensors[name] = numpy.frombuffer(content[first:last], numpy.float32).reshape(about["shape"])
    return tensors


def _kill_node(live: pom2dib.Live, role: str, index: int) -> None:
    """Kills a node's process, which its run then starts again."""
    address = (live.folder / "address").read_text()
    listed = subprocess.run(["ps", "-wweo", "pid,args"], capture_output=True, text=True, check=True).stdout
    words = f" {role} --end-with-parent --coordinator {address} --index {index} "
    (pid,) = (int(line.split()[0]) for line in listed.splitlines() if words in line)
    os.kill(pid, signal.SIGKILL)
