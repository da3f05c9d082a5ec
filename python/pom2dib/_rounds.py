"""The rounds of a run, read from its folder as they are logged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ._errors import Error

#: Numbers of the largest table of a line, by receiver and entry.
_MOST_NUMBERS = 1 << 26


@dataclass(frozen=True)
class Round:
    """A round of training: a line of ``metrics.jsonl``. Rates, cross entropies and the loss are in nats."""

    #: Counted from 0.
    round: int
    #: The rate of all granted entries of all receivers, with the scenario's estimator.
    sum_rate: float
    #: Minus the sum over receivers of the cross entropy.
    n_ce: float
    #: The objective (20), all receivers together.
    loss: float
    #: The cross entropy of each receiver.
    ce: list[float]
    #: The rate of each receiver.
    rate: list[float]
    #: How long it took.
    seconds: float
    #: The whole line. By link and by entry it has lists of every receiver, also where the log leaves out what is zero.
    record: dict[str, Any] = field(repr=False)


def of_line(record: dict[str, Any]) -> Round:
    """A round, of its line."""
    numbers = {name: record[name] for name in ("round", "sum_rate", "n_ce", "loss", "seconds")}
    # Older logs do not say them by receiver.
    return Round(**numbers, ce=record.get("ce", []), rate=record.get("rate", []), record=record)


def read_line(text: str | bytes, path: Path) -> dict[str, Any]:
    """A line of a log, with all numbers: logs of large networks leave out those that are zero.

    Raises:
        Error: if what it says of them does not fit together.
    """
    record: dict[str, Any] = json.loads(text)
    try:
        return {name: _whole(value) for name, value in record.items()}
    except (IndexError, KeyError, TypeError, ValueError):
        what = f"the line of round {record.get('round')} is damaged: a table has places that its shape does not have"
        raise Error(f"{path}: {what}", status=2) from None


def _whole(value: Any) -> Any:
    """Of a table of what is not ``rest`` the rows with all numbers; anything else is left as it is."""
    if not isinstance(value, dict) or "shape" not in value:
        return value
    (rows, columns), places, numbers = value["shape"], value["at"], value["is"]
    # No more memory is taken than the largest network needs, whatever the line says.
    if min(rows, columns) < 1 or rows * columns > _MOST_NUMBERS or min(places, default=0) < 0:
        raise ValueError
    if len(places) != len(numbers):
        raise ValueError
    flat = [value["rest"]] * (rows * columns)
    for place, number in zip(places, numbers):
        flat[place] = number
    return [flat[row * columns : (row + 1) * columns] for row in range(rows)]


class Follower:
    """Reads the lines of a log that have been added since, each round once.

    A network that goes back to a checkpoint cuts its log back and writes the same rounds again: those are passed over.
    """

    def __init__(self, path: Path, after: int = -1, newer_than: int = 0) -> None:
        self._path = path
        self._last = after
        self._newer_than = newer_than
        self._inode = 0
        self._offset = 0

    def new(self) -> Iterator[Round]:
        """The rounds that have been logged since the last call."""
        try:
            with open(self._path, "rb") as log:
                yield from self._of(log)
        except FileNotFoundError:
            return

    def _of(self, log: BinaryIO) -> Iterator[Round]:
        found = os.fstat(log.fileno())
        if found.st_mtime_ns < self._newer_than:
            return
        if found.st_ino != self._inode or found.st_size < self._offset:
            self._inode, self._offset = found.st_ino, 0
        log.seek(self._offset)
        text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            record = read_line(line, self._path)
            if record["round"] > self._last:
                self._last = record["round"]
                yield of_line(record)


def last_round(path: Path) -> int:
    """The last round that a log holds, -1 if it holds none."""
    last = -1
    for round in Follower(path).new():
        last = round.round
    return last
