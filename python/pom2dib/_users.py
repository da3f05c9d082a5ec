"""Code of the user's own, as it runs in a node: what it raises is one line, and its traceback is in the node's log."""

from __future__ import annotations

import json
import linecache
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from . import _classes
from ._errors import Error, needs

#: What cloudpickle calls the file of all code that goes by value.
_BY_VALUE = "<dynamic-code>"


class ModelError(Exception):
    """What is wrong with a class of the user's, in one line."""


class Found(NamedTuple):
    """A class that a table of a scenario names."""

    #: Its name there.
    name: str
    #: The class, or whatever has that name.
    of: Any
    #: The file in which it was written, if it came by value.
    source: str
    #: The table's other keys.
    keys: dict[str, Any]

    def refusal(self, base: str) -> ModelError:
        """The error for one that does not derive from a class, or from one of several."""
        return ModelError(f"{self.name} is {self.of!r}: a class that derives from {base} is wanted")


def find(keys: str) -> Found:
    """The class that a table of a scenario names."""
    # What a class prints goes where the node's other messages go: a command's own output stays what it is.
    sys.stdout = sys.stderr
    words: dict[str, Any] = json.loads(keys)
    name, file, sha256 = (words.pop(key, None) for key in ("class", "file", "sha256"))
    try:
        of, source = _classes.find(name, file, sha256)
    except Error as error:
        raise ModelError(str(error)) from None
    return Found(name, of, source, words)


class OfUser:
    """An object of a class of the user's own."""

    #: The module, which is optional.
    numpy: Any

    def __init__(self, of: type, source: str) -> None:
        """Of a class; ``source`` is the file in which it was written, if it came by value."""
        self.of = of
        self.name = of.__name__
        self.source = source

    @contextmanager
    def users(self, method: str) -> Iterator[None]:
        """Around code of the user's: what it raises becomes one line, and its traceback goes to the node's log."""
        try:
            yield
        except ModelError:
            raise
        except BaseException as error:
            self._show(error)
            raise ModelError(f"{self.name}.{method}{self._place(error.__traceback__)}: {_said(error)}") from None

    def refuse_infinite(self, what: str, values: Any, behind: str) -> None:
        """Raises a line that names the first number that is not finite, if there is one."""
        wrong = ~self.numpy.isfinite(values)
        if wrong.any():
            count = f"{int(wrong.sum())} of {values.size} numbers that are not finite, in {by(values.shape)}"
            first = " x ".join(str(int(at)) for at in self.numpy.argwhere(wrong)[0])
            raise ModelError(f"{what} {count} (the first at {first}){behind}; NaN may also come of a large learning rate")

    def range_of(self, x: Any) -> str:
        """Between which values an input lies, for a line."""
        return f" with values from {float(x.min()):.3g} to {float(x.max()):.3g}" if x.size else ""

    def _show(self, error: BaseException) -> None:
        """Writes a traceback to the node's log. What came by value has lost its file, which may be there all the same."""
        lines = linecache.getlines(self.source) if self.source else []
        if lines:
            linecache.cache[_BY_VALUE] = (0, None, lines, _BY_VALUE)
        written = "".join(traceback.format_exception(error)).replace(f'"{_BY_VALUE}"', f'"{self.source}"')
        print(written, end="", file=sys.stderr, flush=True)

    def _place(self, trace: TracebackType | None) -> str:
        """File and line of what was raised: the innermost frame that is no library's."""
        home = getattr(sys.modules.get(self.of.__module__), "__file__", None)
        own = [frame for frame in traceback.extract_tb(trace) if frame.filename == home or not _is_library(frame.filename)]
        if not own:
            return ""
        file = self.source if own[-1].filename == _BY_VALUE else own[-1].filename
        return f" ({file}, line {own[-1].lineno})"


def by(shape: Sequence[int]) -> str:
    """A shape, for a line."""
    return "[" + ", ".join(str(size) for size in shape) + "]"


def needed_numpy(what: str) -> Any:
    """The module numpy; if it is not installed, a line that says so."""
    try:
        import numpy
    except ImportError:
        raise ModelError(str(needs("numpy", "models", what))) from None
    return numpy


def _is_library(filename: str) -> bool:
    parts = Path(filename).parts
    return bool({"site-packages", "dist-packages"} & set(parts)) or filename.startswith(
        (os.path.dirname(os.__file__) + os.sep, os.path.dirname(__file__) + os.sep, "<frozen", "<__array_function__")
    )


def _said(error: BaseException) -> str:
    """What was raised, on one line."""
    lines = str(error).strip().splitlines()
    return type(error).__name__ + (f": {lines[0]}" if lines else "")
