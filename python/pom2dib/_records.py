"""Everything that runs have observed, as a table."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._errors import needs
from ._program import call
from ._run import Run
from ._sweep import Sweep

if TYPE_CHECKING:
    import pandas

#: Columns that are whole numbers where there are any.
_WHOLE = {name: "Int64" for name in ("round", "receiver", "transmitter", "modality")}


def records(*runs: Run | Sweep | str | os.PathLike[str]) -> pandas.DataFrame:
    """Everything that runs have observed, one row an observation, as ``pom2dib records`` writes it (``pom2dib records --help`` says
    what the columns are). ``.to_parquet(FILE)`` of it writes Parquet.

    Args:
        runs: runs, sweeps (all their runs that are done), or folders of runs.

    Raises:
        Error: if one of them is no run's folder.
    """
    try:
        import pandas
    except ImportError:
        raise needs("pandas", "pandas", "pom2dib.records") from None
    text = call("records", *_folders(runs))
    # A seed may be any whole number below 2^64. The default parser of numbers is off by a last bit now and then.
    types = {**_WHOLE, "seed": "UInt64"}
    return pandas.read_csv(io.StringIO(text), dtype=types, float_precision="round_trip")


def _folders(runs: Sequence[Run | Sweep | str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    folders: list[str | os.PathLike[str]] = []
    for run in runs:
        if isinstance(run, Sweep):
            folders += [of.folder for of in run.runs]
        else:
            folders.append(run.folder if isinstance(run, Run) else run)
    return folders
