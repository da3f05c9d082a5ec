"""Services: samples of an iterable in, answers out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import pom2dib

numpy = pytest.importorskip("numpy")


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    """Test rows of two modalities."""
    generator = numpy.random.default_rng(3)
    return {"points": generator.uniform(-1, 1, (20, 2, 3)).astype("float32"), "side": generator.normal(0, 9, (20, 4)).astype("float32")}


@pytest.fixture(scope="module")
def trained(rows: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> pom2dib.Run:
    """A run over arrays with those test rows."""
    generator = numpy.random.default_rng(4)
    train = {"points": generator.uniform(-1, 1, (60, 2, 3)).astype("float32"), "side": generator.normal(0, 9, (60, 4)).astype("float32")}
    labels = [numpy.where(of["side"][:, 0] > 0, "up", "down") for of in (train, rows)]
    folder = tmp_path_factory.mktemp("served")
    data = pom2dib.Arrays(train, rows, {"way": (labels[0], labels[1])}, folder=folder / "arrays")
    return pom2dib.run(data=data, rounds=4, in_process=True, out=folder / "run", progress=False)


def samples(rows: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One row after the other, every second one as lists."""
    for row in range(20):
        sample = {name: values[row] for name, values in rows.items()}
        yield {name: values.tolist() for name, values in sample.items()} if row % 2 else sample


def test_the_samples_of_an_iterable_are_answered_as_the_test_sets_rows(trained: pom2dib.Run, rows: dict[str, Any]) -> None:
    keys = ["seq", "receiver", "label", "probabilities", "entries"]
    expected = [[answer[key] for key in keys] for answer in pom2dib.serve(trained, limit=20, in_process=True)]
    service = pom2dib.serve(trained, samples(rows), in_process=True)
    assert [[answer[key] for key in keys] for answer in service] == expected
    assert len(expected) == 20 and {answer[2] for answer in expected} <= {"up", "down"}
    assert service.summary["answered"] == 20 and service.summary["skipped"] == 0
    assert list(service) == [], "it has ended"


def test_what_is_refused_is_told_and_numbers_may_be_ones_own(
    trained: pom2dib.Run, rows: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    first = {name: values[0] for name, values in rows.items()}
    given = [{"seq": 5, **first}, {"seq": 7, "points": [1.0]}, {"seq": 7, "side": rows["side"][1]}]
    with caplog.at_level(logging.WARNING, "pom2dib"):
        service = pom2dib.serve(trained.folder, given, in_process=True)
        answers = list(service)
    assert [answer["seq"] for answer in answers] == [5, 7]
    assert answers[1]["not_observed"] == ["0:points"]
    assert service.summary["refused"] == 1 and "points has 1 values" in caplog.text


def test_what_goes_wrong_in_the_iterable_or_the_service_is_raised(trained: pom2dib.Run, rows: dict[str, Any]) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield {name: values[0] for name, values in rows.items()}
        raise RuntimeError("the sensor is broken")

    service = pom2dib.serve(trained, broken(), in_process=True)
    assert next(service)["seq"] == 0
    with pytest.raises(RuntimeError, match="the sensor is broken"):
        list(service)
    with pytest.raises(pom2dib.Error, match="sample 0: .* finite numbers"):
        list(pom2dib.serve(trained, [{"side": [1, 2, 3, float("nan")]}], in_process=True))
    with pytest.raises(pom2dib.Error, match="holds no run") as refused:
        list(pom2dib.serve("nowhere", []))
    assert refused.value.status == 2


def test_a_service_that_is_left_early_ends(trained: pom2dib.Run, rows: dict[str, Any]) -> None:
    def endless() -> Iterator[dict[str, Any]]:
        while True:
            yield {name: values[0] for name, values in rows.items()}

    with pom2dib.serve(trained, endless(), in_process=True) as service:
        for answer in service:
            if answer["seq"] == 50:
                break
    with pytest.raises(pom2dib.Error, match="closed before its end"):
        service.summary
