"""Logs of large networks, which leave out what is zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import pom2dib

LINE = {"round": 0, "sum_rate": 3.0, "n_ce": -1.0, "loss": 2.0, "ce": [0.5, 0.5], "rate": [1.0, 2.0], "seconds": 0.1}
BYTES = [[7, 0], [0, 9]]
DECIBELS = [[None, 0.0], [9.5, None]]
GRANTED = [[0.0, 0.25, 0.0, 0.0, 1.0], [0.5, 0.0, 0.0, 0.0, 0.0]]
SPARSE_BYTES = {"shape": [2, 2], "rest": 0, "at": [0, 3], "is": [7, 9]}
SPARSE_DECIBELS = {"shape": [2, 2], "rest": None, "at": [1, 2], "is": [0.0, 9.5]}
SPARSE_GRANTED = {"shape": [2, 5], "rest": 0.0, "at": [1, 4, 5], "is": [0.25, 1.0, 0.5]}


def logged(name: str, link_bytes: Any, decibels: Any, granted: Any) -> pom2dib.Run:
    """A run of the tiny scenario with a round that has these in its lines."""
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    (folder / "scenario.toml").write_text(Path("tiny.toml").read_text())
    metrics = {**LINE, "link_bytes": link_bytes, "link_snr_db": decibels}
    selection = {"round": 0, "granted": granted, "encoded": [0.5, 0.25, 0.0, 0.0, 1.0], "asked": [0.75, 1.0]}
    (folder / "metrics.jsonl").write_text(json.dumps(metrics) + "\n")
    (folder / "selection.jsonl").write_text(json.dumps(selection) + "\n")
    return pom2dib.Run(folder)


def test_both_forms_of_a_log_say_the_same() -> None:
    whole = logged("whole", BYTES, DECIBELS, GRANTED)
    sparse = logged("sparse", SPARSE_BYTES, SPARSE_DECIBELS, SPARSE_GRANTED)
    assert sparse.rounds == whole.rounds
    record = sparse.rounds[0].record
    assert (record["link_bytes"], record["link_snr_db"]) == (BYTES, DECIBELS)
    assert sparse._lines("selection.jsonl") == whole._lines("selection.jsonl")

    pandas = pytest.importorskip("pandas")
    pandas.testing.assert_frame_equal(sparse.metrics, whole.metrics)
    assert sparse.metrics["link_bytes.1.1"].to_list() == [9]
    pandas.testing.assert_frame_equal(sparse.selection, whole.selection)
    assert sparse.selection["share"].to_list() == GRANTED[0] + GRANTED[1]


def test_a_picture_is_drawn_of_what_is_not_zero() -> None:
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("matplotlib")
    axes = logged("sparse", SPARSE_BYTES, SPARSE_DECIBELS, SPARSE_GRANTED).plot.selection()
    assert numpy.array_equal(numpy.asarray(axes.get_images()[0].get_array()), numpy.transpose(GRANTED))


@pytest.mark.parametrize(
    "damage",
    [
        {"at": [1, 4, 10]},
        {"at": [-1, 4, 5]},
        {"at": [1, 4]},
        {"at": ["1", "4", "5"]},
        {"shape": [2]},
        {"shape": [1_000_000_000_000, 5]},
        {"shape": [2.0, 5]},
        {"is": None},
    ],
)
def test_a_damaged_line_is_named(damage: dict[str, Any]) -> None:
    run = logged("damaged", SPARSE_BYTES, SPARSE_DECIBELS, {**SPARSE_GRANTED, **damage})
    assert len(run.rounds) == 1
    with pytest.raises(pom2dib.Error, match=r"selection\.jsonl: the line of round 0 is damaged"):
        run._lines("selection.jsonl")
