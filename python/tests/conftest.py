"""What the tests share: a folder of their own, and the smallest scenario with everything in it."""

from __future__ import annotations

import os
from pathlib import Path

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
