"""numpy arrays as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest

import pom2dib

ROWS = {"train": 400, "test": 100}


def halves(split: str) -> tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]:
    """Points, and on which side of the middle each lies."""
    generator = numpy.random.default_rng(1 if split == "train" else 2)
    points = generator.uniform(-1, 1, (ROWS[split], 2, 3))
    return points, points[:, 0, 0] > 0


def test_arrays_of_any_type_and_order_are_learnt_from() -> None:
    (train, train_side), (test, test_side) = halves("train"), halves("test")
    data = pom2dib.Arrays(
        train={"points": numpy.asfortranarray(train), "counts": (train[:, 1] * 100).astype(numpy.int64)},
        test={"points": numpy.asfortranarray(test), "counts": (test[:, 1] * 100).astype(numpy.int64)},
        tasks={
            "side": (numpy.where(train_side, "right", "left"), numpy.where(test_side, "right", "left").astype(object)),
            "where": (train[:, 0, 0], test[:, 0, 0].astype(numpy.float32)),
        },
    )
    keys = {"train.coding_lr": 2e-3, "network.feature_dim": 4, "checkpoint.every": 0, "evaluation.passes": 2}
    run = pom2dib.run(data=data, rounds=60, set=keys, out="a")
    side, where = run.summary["test"]["tasks"]
    assert (side["name"], side["metric"], where["metric"]) == ("side", "top1", "mse")
    assert side["value"] > 0.9, "guessing is right half of the time"
    assert run.summary["test"]["classes"][0]["names"] == ["left", "right"]

    # The files go with the arrays and their runs.
    folder = data.folder
    assert run.scenario["data"]["path"] == str(folder)
    del data
    assert folder.exists()
    del run
    assert not folder.exists()


def test_arrays_may_stay_in_a_folder_and_be_run_by_a_scenario(place: Path) -> None:
    (train, train_side), (test, test_side) = halves("train"), halves("test")
    given: dict[str, Any] = dict(train={"p": train}, test={"p": test}, tasks={"side": (train_side, test_side)})
    data = pom2dib.Arrays(**given, folder="kept")
    Path("mine.toml").write_text(data.scenario(rounds=2))
    assert pom2dib.run("mine.toml", data=data, out="a", rounds=1).summary["rounds"] == 1
    with pytest.raises(pom2dib.Error, match="not empty"):
        pom2dib.Arrays(**given, folder="kept")
    assert numpy.array_equal(numpy.load(place / "kept" / "p.train.npy"), train)


X = numpy.zeros((4, 2))
Y = numpy.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (dict(train={"x": X}, test={}, tasks={"y": (Y, Y)}), "'x' is not in both train and test"),
        (dict(train={"x": X}, test={"x": X}, tasks={}), "at least one modality"),
        (dict(train={"x": X}, test={"x": X}, tasks={"x": (Y, Y)}), "a modality and a task"),
        (dict(train={"x": X}, test={"x": X}, tasks={"y": Y}), "give a pair"),
        (dict(train={"x": X}, test={"x": X}, tasks={"y": (Y[:3], Y)}), "'y' (train) has 3 rows, but 'x' has 4"),
        (dict(train={"x": X + 1j}, test={"x": X}, tasks={"y": (Y, Y)}), "'x' (train) holds complex128"),
        (dict(train={"x": 1.0}, test={"x": X}, tasks={"y": (Y, Y)}), "'x' (train) has no rows"),
        (dict(train={"a/b": X}, test={"a/b": X}, tasks={"y": (Y, Y)}), "letters, digits"),
    ],
)
def test_what_a_run_could_not_read_is_named(given: dict[str, Any], line: str) -> None:
    with pytest.raises(pom2dib.Error) as raised:
        pom2dib.Arrays(**given)
    assert line in str(raised.value) and raised.value.status == 2
