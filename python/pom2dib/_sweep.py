"""A run for every combination of values."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._run import Run
from ._tables import read_csv

if TYPE_CHECKING:
    import pandas


class Sweep:
    """A sweep that was made, by this module or by ``pom2dib sweep``: its runs, and tables of what they came to, whose
    ``.to_parquet(FILE)`` writes Parquet."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()

    @property
    def json(self) -> dict[str, Any]:
        """Both tables, as ``sweep.json`` has them."""
        found: dict[str, Any] = json.loads((self.folder / "sweep.json").read_text("utf-8"))
        return found

    @property
    def runs(self) -> list[Run]:
        """The runs that are done, in the order of the table."""
        return [Run(_folder(self.folder, point)) for point in self.json["points"] if point["status"] == "done"]

    def table(self) -> pandas.DataFrame:
        """A row a point: the values of the keys, and what the run came to."""
        return self._read("sweep.csv")

    def over_seeds(self) -> pandas.DataFrame:
        """Means over seeds, with 95 % intervals by Student's t: a row for all points that differ in the seed alone."""
        return self._read("sweep-seeds.csv")

    def _read(self, name: str) -> pandas.DataFrame:
        return read_csv(self.folder / name, "a table")


def _folder(sweep: Path, point: Mapping[str, Any]) -> Path:
    return sweep / Path(point["folder"]).name


def values(of: Any) -> list[Any]:
    """The values that a key takes; a single one is one."""
    if hasattr(of, "tolist"):
        of = of.tolist()
    if isinstance(of, (str, bytes, Mapping)) or not isinstance(of, Iterable):
        return [of]
    return list(of)
