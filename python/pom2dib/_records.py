"""Everything that runs have observed, as a table."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import Error
from ._program import call
from ._run import Run
from ._sweep import Sweep
from ._tables import needed_pandas, read_csv, write_parquet

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
    return _table("pom2dib.records", *_folders(runs))


def _table(what: str, *words: str | os.PathLike[str]) -> pandas.DataFrame:
    """What the command writes that is called with these words."""
    needed_pandas(what)
    text = call("records", *words)
    # A seed may be any whole number below 2^64.
    return read_csv(io.StringIO(text), what, {**_WHOLE, "seed": "UInt64"})


def parquet_asked_for(words: Sequence[str]) -> tuple[list[str], str] | None:
    """Of a command line ``records RUN... --out FILE.parquet`` the words without the file, and the file; of any other ``None``."""
    if not words or words[0] != "records" or {"-h", "--help"} & set(words):
        return None
    rest, file = [], None
    given = iter(words[1:])
    for word in given:
        if word == "--out":
            file = next(given, None)
        elif word.startswith("--out="):
            file = word.removeprefix("--out=")
        else:
            rest.append(word)
    return (rest, file) if file is not None and Path(file).suffix == ".parquet" else None


def write_as_parquet(words: Sequence[str], file: str) -> None:
    """Writes what ``pom2dib records`` with these words says to a file.

    Raises:
        Error: if a folder is no run's, the file cannot be written, or a package is missing that this needs.
    """
    frame = _table(file, *words)
    try:
        write_parquet(frame, file)
    except OSError as error:
        raise Error(f"{file}: cannot be written ({error.strerror or error}); choose another --out", status=2) from None


def _folders(runs: Sequence[Run | Sweep | str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    folders: list[str | os.PathLike[str]] = []
    for run in runs:
        if isinstance(run, Sweep):
            folders += [of.folder for of in run.runs]
        else:
            folders.append(run.folder if isinstance(run, Run) else run)
    return folders
