"""CSV as pandas has it, to the last bit of every number; and Parquet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from ._errors import Error, needs

if TYPE_CHECKING:
    import pandas

#: From here on pandas reads every number to its last bit, and warns of whoever asks for that.
_EXACT = (3, 1)


def read_csv(source: IO[str] | os.PathLike[str], what: str, types: Mapping[str, str] | None = None) -> pandas.DataFrame:
    """The table of a file or a text. ``what`` is what its reader called for."""
    pandas = needed_pandas(what)
    version = tuple(int(number) for number in pandas.__version__.split(".")[:2])
    exact = {} if version >= _EXACT else {"float_precision": "round_trip"}
    frame: Any = pandas.read_csv(source, dtype=dict(types or {}), **exact)
    return frame


def needed_pandas(what: str) -> Any:
    """The module pandas; if it is not installed, a line that says so."""
    try:
        import pandas
    except ImportError:
        raise needs("pandas", "pandas", what) from None
    return pandas


def write_parquet(frame: pandas.DataFrame, file: str | os.PathLike[str]) -> None:
    """Writes a table as Parquet.

    Raises:
        Error: if pyarrow is not installed, or cannot be loaded.
    """
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        raise needs("pyarrow", "parquet", os.fspath(file)) from None
    except ImportError as error:
        raise Error(f"{os.fspath(file)}: pyarrow cannot be loaded: {error}", status=2) from None
    frame.to_parquet(file, engine="pyarrow")
