"""A run's folder, as Python has it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import Error
from ._plot import Plot
from ._rounds import Follower, Round, read_line
from ._tables import needed_pandas

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    import pandas


class Run:
    """A run, finished or not: what lies in its folder. Nothing is read before it is asked for."""

    def __init__(self, folder: str | os.PathLike[str], *, keep: object = None) -> None:
        """The run in a folder. ``keep`` lives as long: arrays that it was trained on."""
        self.folder = Path(folder).absolute()
        self._keep = keep

    def __repr__(self) -> str:
        return f"pom2dib.Run({str(self.folder)!r})"

    @property
    def is_finished(self) -> bool:
        """Whether it has been trained and judged."""
        return (self.folder / "summary.json").exists()

    @property
    def summary(self) -> dict[str, Any]:
        """What the run has come to: ``summary.json``.

        Raises:
            Error: if the run has not finished.
        """
        return dict(self._json("summary.json"))

    @property
    def scenario(self) -> dict[str, Any]:
        """The scenario, with all that was changed of it: ``scenario.toml``."""
        return tomllib.loads(self._text("scenario.toml"))

    @property
    def rounds(self) -> list[Round]:
        """All rounds that have been logged."""
        return list(Follower(self.folder / "metrics.jsonl").new())

    @property
    def receivers(self) -> list[str]:
        """The task of each receiver."""
        network, tables = self._network("receiver")
        return [tables[t % len(tables)]["task"] for t in range(network.get("receivers", len(tables)))]

    @property
    def entries(self) -> list[tuple[int, int, str]]:
        """Each modality of each transmitter: k, m and its name."""
        network, tables = self._network("transmitter")
        transmitters = range(network.get("transmitters", len(tables)))
        return [(k, m, name) for k in transmitters for m, name in enumerate(tables[k % len(tables)]["modalities"])]

    @property
    def metrics(self) -> pandas.DataFrame:
        """A row a round: ``metrics.jsonl``. Of lists and tables each number is a column: ``ce.0`` is the cross entropy of receiver 0."""
        frame = needed_pandas("metrics").DataFrame([dict(_flat(round.record)) for round in self.rounds])
        return frame

    @property
    def selection(self) -> pandas.DataFrame:
        """A row for each round and entry: ``round``, ``k``, ``t``, ``m``, ``modality``, ``task``, and as ``share`` the share of the
        round's ticks at which receiver t was granted modality m of transmitter k."""
        frame, tasks, entries = needed_pandas("selection").DataFrame, self.receivers, self.entries
        rows = [
            (line["round"], k, t, m, name, tasks[t], share)
            for line in self._lines("selection.jsonl")
            for t, granted in enumerate(line["granted"])
            for (k, m, name), share in zip(entries, granted)
        ]
        return frame(rows, columns=["round", "k", "t", "m", "modality", "task", "share"])

    @property
    def plot(self) -> Plot:
        """Its pictures."""
        return Plot(self)

    def _network(self, role: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        scenario = self.scenario
        return scenario.get("network", {}), scenario[role]

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text("utf-8")
        except FileNotFoundError:
            what = "the run has not finished" if name == "summary.json" else "no run lies there"
            raise Error(f"{self.folder / name}: {what}", status=2) from None

    def _json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._text(name))
        return found

    def _lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a log; a run that has just begun has none."""
        if not (self.folder / name).exists():
            return []
        text = self._text(name)
        return [read_line(line, self.folder / name) for line in text[: text.rfind("\n") + 1].splitlines()]


def load(folder: str | os.PathLike[str]) -> Run:
    """The run in a folder.

    Raises:
        Error: if there is none.
    """
    run = Run(folder)
    run.scenario
    return run


def _flat(record: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers of a line, by the way to them."""
    if isinstance(record, dict):
        for key, value in record.items():
            yield from _flat(value, f"{name}.{key}" if name else key)
    elif isinstance(record, list):
        for at, value in enumerate(record):
            yield from _flat(value, f"{name}.{at}")
    else:
        yield name, record
