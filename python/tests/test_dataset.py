"""Data sets of the caller's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest

import pom2dib


class Ring(pom2dib.Dataset):
    """Points on a ring, of which one transmitter sees x and another y."""

    modalities = {"x": (1,), "y": (1, 1)}
    tasks = {"side": ["left", "right"], "height": None}

    def __init__(self, noise: float = 0.1, fault: str = "") -> None:
        self.noise, self.fault = noise, fault

    def samples(self, split: str) -> int:
        return 600 if split == "train" else 150

    def point(self, split: str, sample: int) -> Any:
        generator = numpy.random.default_rng([split == "test", sample])
        angle = generator.uniform(0, 2 * numpy.pi)
        return numpy.array([numpy.cos(angle), numpy.sin(angle)]) + generator.normal(0, self.noise, 2)

    def read(self, modality: str, split: str, sample: int, epoch: int) -> Any:
        if self.fault == "raises" and split == "test":
            raise OSError(f"no file of sample {sample}")
        value = self.point(split, sample)[0 if modality == "x" else 1]
        return [value, value] if self.fault == "shape" else numpy.nan if self.fault == "nan" else value

    def targets(self, task: str, split: str) -> Any:
        points = numpy.array([self.point(split, sample) for sample in range(self.samples(split))])
        if task == "side":
            return (points[:, 0] > 0) + (1 if self.fault == "labels" else 0)
        return points[:, 1]


def test_samples_are_read_as_they_are_needed_and_learnt_from() -> None:
    keys = {"train.coding_lr": 3e-3, "train.beta": 0, "network.limits": False, "network.feature_dim": 4, "evaluation.passes": 1, "evaluation.joint_rate_samples": 100}
    run = pom2dib.run(data={"class": Ring, "noise": 0.05}, rounds=40, set=keys)
    assert run.folder == Path("runs/Ring-pom2dib-s1").absolute()
    side, height = run.summary["test"]["tasks"]
    assert (side["name"], side["metric"], height["metric"]) == ("side", "top1", "mse")
    assert side["value"] > 0.8, "guessing is right half of the time"
    assert run.summary["test"]["classes"][0]["names"] == ["left", "right"]
    assert run.scenario["data"]["keys"] == {"noise": 0.05}
    assert json.loads(pom2dib.call("evaluate", run.folder, "--json"))["test"] == run.summary["test"]
    # The run's own scenario is one like any other.
    again = pom2dib.run(run.folder / "scenario.toml", rounds=1, out="again", in_process=True)
    other = pom2dib.run(data={"class": Ring, "noise": 0.05}, rounds=1, set=keys, out="other", in_process=True)
    assert again.summary["fingerprint"] == other.summary["fingerprint"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"class": Ring, "fault": "labels"}, "Ring.targets('side', 'train') gives int64 from 1 to 2; it must give integers from 0 to 1"),
        ({"class": Ring, "fault": "shape"}, "it must give [1"),
        ({"class": Ring, "fault": "nan"}, "gives a number that is not finite, in []"),
        ({"class": Ring, "fault": "raises"}, f"Ring.read ({__file__}, line {Ring.read.__code__.co_firstlineno + 2}): OSError: no file of sample 0"),
        ({"class": Ring, "depth": 3}, "unexpected keyword argument 'depth'"),
        (Path, "a folder, pom2dib.Arrays or a class that derives from pom2dib.Dataset is wanted"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(given: Any, line: str) -> None:
    with pytest.raises((pom2dib.Error, TypeError)) as raised:
        pom2dib.run(data=given, rounds=1, out="a")
    assert line in str(raised.value) and "\n" not in str(raised.value)
